"""Everything that a base can get wrong, found before any data is read.

First what is told by names, sizes and headers, in well under a second; then the base is loaded and reads two words, and
one of a kind that is seldom used is exported.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path

from parsimony.errors import InfrastructureError, ParsimonyError, PlanError
from parsimony.training import bases
from parsimony.training.base_architecture import positions_of, require_encoder
from parsimony.training.base_files import CONFIG, first_line, read_object
from parsimony.training.base_shape import require_whole, token_rows
from parsimony.training.base_tokenizer import require_tokenizer
from parsimony.training.sentence_encoder import described
from parsimony.training.weights_header import weights_of

_TRIAL_TEXTS = ("two words", "one")
# Known to come through the exporter, which would take seconds to see it.
_EXPORTED = frozenset(
    {
        "bert",
        "camembert",
        "deberta",
        "deberta-v2",
        "distilbert",
        "electra",
        "modernbert",
        "mpnet",
        "roberta",
        "xlm-roberta",
    }
)


def check(base: str, *, max_tokens: int, asked: bool) -> tuple[str, ...]:
    """Return what is to be said of a base that can be used.

    asked: whether somebody wrote `max_tokens` into the plan. Raises PlanError for a base that cannot be used as the plan
    says, InfrastructureError when it cannot be reached or read.
    """
    folder = bases.resolve(base)
    with one_line(base):
        config = read_object(folder / CONFIG)
        require_encoder(config)
        positions = positions_of(config)
        if asked and positions is not None and positions < max_tokens:
            raise PlanError(
                f"it reads {positions:,} tokens at most, and data.max_tokens is {max_tokens:,}; set data.max_tokens to "
                f"{positions} or take a base that reads more"
            )
        tensors = weights_of(folder)
        require_whole(config, tensors)
        require_tokenizer(folder, config, token_rows(tensors))
        said = described(folder)
        _try(folder, _signature(folder))
    longest = min(max_tokens, positions or max_tokens, said.max_tokens or max_tokens)
    notes = [f"it reads {longest} tokens of a text, not {max_tokens}"] if longest < max_tokens else []
    notes += [f"its module {kind} is left out: a head is trained on what is pooled" for kind in said.left_out]
    return tuple(f"base {base!r}: {note}" for note in notes)


@contextlib.contextmanager
def one_line(base: str) -> Iterator[None]:
    """Turn whatever is raised about a base into one line with its name."""
    try:
        yield
    except PlanError as error:
        raise PlanError(f"base {base!r}: {error}") from error
    except (ParsimonyError, ImportError):  # a library that is not installed is no fault of the base
        raise
    except (OSError, MemoryError) as error:
        raise InfrastructureError(f"base {base!r} cannot be read: {first_line(error)}") from error
    except Exception as error:  # transformers, safetensors and tokenizers raise whatever they come across
        raise PlanError(
            f"base {base!r} cannot be used: {type(error).__name__}: {first_line(error)}; download it again, or take "
            "another base"
        ) from error


def _signature(folder: Path) -> tuple[tuple[str, int, int], ...]:
    files = ((path, path.stat()) for path in sorted(folder.iterdir()) if path.is_file())
    return tuple((path.name, stat.st_size, stat.st_mtime_ns) for path, stat in files)


@lru_cache(maxsize=16)
def _try(folder: Path, _: tuple[tuple[str, int, int], ...]) -> None:
    """Load a base, weights and all, and let it read two texts: what no header tells is found here.

    The second argument makes a base that was changed be tried again.
    """
    import numpy as np

    from parsimony.training.checkpoint import graph_of
    from parsimony.training.classifier import features, load_base
    from parsimony.training.vocabulary import token_ids

    classifier = load_base(folder, classes=2, max_tokens=16)
    states = features(classifier, token_ids(classifier.tokenizer, _TRIAL_TEXTS))
    if not np.isfinite(states).all():
        raise PlanError(
            "the encoder makes no numbers of a text (NaN or infinity): its weights are damaged; download it again"
        )
    if classifier.encoder.config.model_type not in _EXPORTED:
        graph_of(classifier)
