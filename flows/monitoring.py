"""What is result of a champion in use: whether recent texts differ from its training texts, and whether it is still as often right."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from parsimony.bundle import predict
from parsimony.data.reader import read_table, read_texts
from parsimony.decision.drift import Drift, Moved, distinguished, moved
from parsimony.decision.sequential import Watched, watch
from parsimony.errors import DataError
from parsimony.reporting.formatting import counted, percent
from parsimony.training.domain_classifier import domains


@dataclass(frozen=True, slots=True, kw_only=True)
class Texts:
    """Recent texts and those of the training: files or folders of any kind that a plan can name, with a column `text`."""

    recent: str
    training: str
    text: str = "text"


@dataclass(frozen=True, slots=True, kw_only=True)
class Labelled:
    """Recent labelled texts, in the order in which they came."""

    source: str
    text: str = "text"
    label: str = "label"


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """The share of texts that may be distinguished (half is chance), how sure a verdict is, and which texts are drawn."""

    distinguished: float = 0.6
    confidence: float = 0.95
    seed: int = 0


def drift(bundle: Path, texts: Texts, limits: Limits) -> Drift:
    """Compare recent texts with those of the training, and what the champion predicts for either.

    Raises DataError for too few texts.
    """
    result = domains(read_texts(texts.training, texts.text), read_texts(texts.recent, texts.text), limits.seed)
    model = predict.load(bundle)
    before, after = (Counter(model.predict(side)) for side in result.texts)
    rows = (len(result.texts[0]), len(result.texts[1]))
    return Drift(
        rows=result.rows,
        right=result.right,
        distinguished=distinguished(result.right, result.rows, limits.confidence),
        limit=limits.distinguished,
        words=moved(*result.words, rows, limits.confidence),
        labels=moved(before, after, rows, limits.confidence),
    )


def quality(bundle: Path, labelled: Labelled, promised: float, confidence: float) -> Watched:
    """Count how often the champion is right on recent labelled texts.

    promised: the least accuracy that it is held to. A row whose label it does not know counts as wrong. Raises DataError when no row
    has a label that it knows: then the columns are the wrong ones.
    """
    table = read_table(labelled.source, text=labelled.text, label=labelled.label, part="train")
    model = predict.load(bundle)
    if not set(table.labels) & set(model.labels):
        theirs, ours = (", ".join(sorted(set(labels))[:3]) for labels in (table.labels, model.labels))
        raise DataError(
            f"{labelled.source}: found labels such as {theirs}, expected the champion's, such as {ours}; name the column of labels"
        )
    correct = np.array([said == truth for said, truth in zip(model.predict(table.texts), table.labels, strict=True)])
    return watch(correct, promised, confidence)


def drift_lines(result: Drift) -> tuple[str, ...]:
    """Return what was seen, in words: whether it has drifted, and which words and labels moved."""
    share = (
        f"{percent(result.right / result.rows)} of {result.rows:,} new texts are distinguished from the training texts"
    )
    verdict = "The texts have drifted" if result.has_drifted else "No drift is proven"
    head = f"{verdict}: {share} (at least {percent(result.distinguished)}; limit {percent(result.limit)}, chance 50 %)."
    return (head, *_moved("word", result.words), *_moved("label", result.labels))


def _moved(what: str, names: Sequence[Moved]) -> tuple[str, ...]:
    return tuple(
        f"{what} {one.name!r}: {percent(one.before)} of the training texts, {percent(one.after)} now" for one in names
    )


def quality_line(result: Watched) -> str:
    """Return what was seen, in words."""
    if result.share is None:
        return "There are no rows yet."
    share = f"{result.right:,} of {counted(result.rows, 'row')} right ({percent(result.share)})"
    if result.has_fallen:
        return f"The quality has fallen: {share}; {percent(result.promised)} was promised, and it is at most {percent(result.most)}."
    return f"No fall is proven: {share}; {percent(result.promised)} is promised, evidence {result.evidence:.2g} of {1 / (1 - result.confidence):.0f}."
