"""Which texts a model was trained on, as digests: enough to leave them out of a test later, and no text among them."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from pathlib import Path

import numpy as np

from parsimony.data.normalise import normalise
from parsimony.errors import DataError

TRAINING_ROWS = "training-rows.npy"
_BYTES = 8


def row_digests(texts: Iterable[str]) -> np.ndarray:
    """Return the first 64 bits of the SHA-256 of every text, uint64 [texts]; texts that count as the same have the same."""
    return np.array(
        [int.from_bytes(hashlib.sha256(normalise(text).encode()).digest()[:_BYTES], "big") for text in texts],
        dtype=np.uint64,
    )


def write_row_digests(path: Path, texts: Iterable[str]) -> None:
    """Keep the digests of texts, sorted and each once, in NumPy's format."""
    with path.open("wb") as stream:
        np.save(stream, np.unique(row_digests(texts)), allow_pickle=False)


def read_row_digests(path: Path) -> np.ndarray:
    """Return the digests that were kept, uint64 [different texts]; DataError for a file of another kind."""
    try:
        digests = np.load(path, allow_pickle=False)
        if isinstance(digests, np.ndarray) and digests.dtype == np.uint64 and digests.ndim == 1:
            return digests
    except (ValueError, EOFError) as error:
        raise DataError(f"{path} holds no digests of rows: {error}") from error
    raise DataError(f"{path} holds no digests of rows, expected one column of 64-bit numbers")
