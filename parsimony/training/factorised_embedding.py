"""Factorised token tables: a narrow table and one matrix that widens the rows looked up in it (Lan et al. 2020, ALBERT).

Both start from the singular value decomposition of the table, in which every token counts as often as it occurs in the
texts.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    import torch


FACTORS = "factors.npz"
# How much a token that occurs in no text counts, beside one that occurs once.
_ABSENT = 0.01


def table_of(encoder: torch.nn.Module) -> torch.nn.Embedding:
    """Return the token table: [vocabulary, hidden], or narrower where it is factorised."""
    embedding = encoder.get_input_embeddings()
    return embedding if projection_of(encoder) is None else embedding[0]


def projection_of(encoder: torch.nn.Module) -> torch.nn.Linear | None:
    """Return the matrix [hidden, width] that widens the rows of a factorised table, None where the table is whole."""
    import torch

    embedding = encoder.get_input_embeddings()
    return embedding[1] if isinstance(embedding, torch.nn.Sequential) else None


def put_table(encoder: torch.nn.Module, rows: torch.Tensor) -> None:
    """Replace the rows of the token table by others of the same width; the encoder is changed in place."""
    _put(encoder, rows, projection_of(encoder))
    encoder.config.vocab_size = len(rows)


def _put(encoder: torch.nn.Module, rows: torch.Tensor, projection: torch.nn.Linear | None) -> None:
    import torch

    table = torch.nn.Embedding.from_pretrained(rows, freeze=False)
    encoder.set_input_embeddings(table if projection is None else torch.nn.Sequential(table, projection))


def factorise(encoder: torch.nn.Module, width: int, rows: Sequence[Sequence[int]]) -> None:
    """Replace the encoder's token table by one of this width and a matrix that widens it; changed in place.

    rows: tokenised texts, which say how often each token counts. Raises ValueError unless the table is wider.
    """
    import torch

    table = table_of(encoder).weight.data.double()
    if not 0 < width < table.shape[1]:
        raise ValueError(f"a table {table.shape[1]} wide cannot be made {width} wide")
    occurrences = Counter(token for row in rows for token in row)
    counts = torch.tensor([occurrences.get(token, _ABSENT) for token in range(len(table))], dtype=torch.float64)
    directions = torch.linalg.eigh(table.T @ (table * counts[:, None])).eigenvectors[:, -width:]
    narrow = table @ directions
    scale = narrow.std() / table.std()  # one learning rate suits both factors when the rows are as long as before
    _put(encoder, (narrow / scale).float(), _projection((directions * scale).float()))


def _projection(directions: torch.Tensor) -> torch.nn.Linear:
    import torch

    projection = torch.nn.Linear(*reversed(directions.shape), bias=False)
    projection.weight.data = directions.contiguous()
    return projection


def whole_state(encoder: torch.nn.Module) -> dict[str, torch.Tensor]:
    """Return the encoder's weights under the names that transformers uses; a factorised table as its product."""
    state: dict[str, torch.Tensor] = encoder.state_dict()
    if projection_of(encoder) is not None:
        embedding = encoder.get_input_embeddings()
        name = next(name for name, module in encoder.named_modules() if module is embedding)
        state[f"{name}.weight"] = state.pop(f"{name}.0.weight") @ state.pop(f"{name}.1.weight").T
    return state


def write(encoder: torch.nn.Module, folder: Path) -> None:
    """Write the two factors beside the encoder's weights; nothing where its table is whole."""
    if (projection := projection_of(encoder)) is not None:
        rows, directions = (m.weight.detach().numpy() for m in (table_of(encoder), projection))
        np.savez(folder / FACTORS, rows=rows, directions=directions)


def read(encoder: torch.nn.Module, folder: Path) -> None:
    """Give the encoder the factors that `write` wrote, if it wrote any; it is changed in place."""
    import torch

    if (path := folder / FACTORS).exists():
        with np.load(path, allow_pickle=False) as kept:
            _put(encoder, torch.from_numpy(kept["rows"]), _projection(torch.from_numpy(kept["directions"])))
