"""The records of data: a table of labelled texts, and a dataset cut into its three splits."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Literal

from parsimony.errors import Finding, require
from parsimony.files import digest_of

SplitName = Literal["train", "validation", "test"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Texts:
    """Texts with their digest, by which alone they are compared and hashed: a cache never walks through a corpus."""

    digest: str
    texts: tuple[str, ...] = field(compare=False, repr=False)

    @classmethod
    def of(cls, texts: Iterable[str]) -> Texts:
        """Digest these texts, in their order."""
        kept = tuple(texts)
        return cls(digest=digest_of(kept), texts=kept)

    def __len__(self) -> int:
        return len(self.texts)


@dataclass(frozen=True, slots=True, kw_only=True)
class Table:
    """Labelled texts exactly as read; `rows[i]` is the row number in `source` a person would look at.

    `slices` are further columns, each a name and a value for every row; `findings` what was noticed while it was read,
    and the rows that were set aside then.
    """

    source: str
    texts: tuple[str, ...]
    labels: tuple[str, ...]
    rows: tuple[int, ...]
    slices: tuple[tuple[str, tuple[str, ...]], ...] = ()
    findings: tuple[Finding, ...] = ()

    def __post_init__(self) -> None:
        counts = (len(self.texts), len(self.labels), len(self.rows), *(len(values) for _, values in self.slices))
        require(len(set(counts)) == 1, f"texts, labels, rows and slices have lengths {counts}, expected equal")

    def __len__(self) -> int:
        return len(self.texts)

    def take(self, positions: tuple[int, ...]) -> Table:
        """Return the rows at these positions, in this order, without the findings of the whole."""
        return Table(
            source=self.source,
            texts=tuple(self.texts[i] for i in positions),
            labels=tuple(self.labels[i] for i in positions),
            rows=tuple(self.rows[i] for i in positions),
            slices=tuple((name, tuple(values[i] for i in positions)) for name, values in self.slices),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Dataset:
    """The cleaned data of a run, cut into its three splits and kept as files in `folder`; and texts without labels, where given."""

    folder: str
    digest: str
    labels: tuple[str, ...]
    train_rows: int
    validation_rows: int
    test_rows: int
    test_digest: str
    quarantined: tuple[Finding, ...]
    notes: tuple[Finding, ...]
    unlabelled_rows: int = 0
    unlabelled_digest: str = ""

    def __post_init__(self) -> None:
        require(len(self.labels) >= 2, f"{len(self.labels)} labels, expected at least 2")
        require(min(self.train_rows, self.validation_rows, self.test_rows) > 0, "a split is empty")
