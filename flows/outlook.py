"""What a plan would do, before any of it is trained: the ladder with predicted sizes, and about how long it takes."""

from __future__ import annotations

import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

from flows import steps
from flows.forecast import passes_of, step_s
from flows.plan import Plan
from flows.preflight import preflight
from parsimony import bases, search, sizing
from parsimony.data.splits import load_split
from parsimony.records import Dataset, Trunk
from tasks.validate import validate

_SAMPLE_TEXTS = 256


@dataclass(frozen=True, slots=True, kw_only=True)
class Outlook:
    """The ladder of a plan, smallest first, and seconds of training on this machine, estimated from a short trial."""

    rungs: tuple[search.Rung, ...]
    reference: str
    dataset: Dataset
    finetune_s: float
    student_s: tuple[tuple[Trunk, float], ...]


def outlook(plan: Plan) -> Outlook:
    """Validate the data, list the ladder for the plan's first base and time a forward pass; nothing is kept.

    Raises what a run would raise for a plan or data that cannot be used.
    """
    preflight(plan)
    with tempfile.TemporaryDirectory() as scratch:
        dataset = validate.fn(*steps.asked(plan), Path(scratch))
        reference = search.reference_trunk(plan.bases.names[0])
        rungs = steps.rungs_of(plan, dataset, reference)
        row_s = _trial(plan, dataset, reference)
    layers, rows = sizing.layers_of_base(bases.resolve(reference.base)), dataset.train * row_s
    students = dict.fromkeys(rung.candidate.trunk for rung in rungs if rung.candidate.trunk.family == "student")
    return Outlook(
        rungs=rungs,
        reference=reference.id,
        dataset=dataset,
        finetune_s=layers * plan.training.epochs * rows,
        student_s=tuple((trunk, passes_of(trunk, layers, plan.training.student_epochs) * rows) for trunk in students),
    )


def _trial(plan: Plan, dataset: Dataset, reference: Trunk) -> float:
    """Return about what a training step costs here per row and layer, from the base's features of some texts."""
    from parsimony.classifier import features, load_base
    from parsimony.vocabulary import token_ids

    folder = bases.resolve(reference.base)
    base = load_base(folder, classes=len(dataset.labels), max_tokens=plan.data.max_tokens)
    rows = token_ids(base.tokenizer, load_split(dataset, "train").texts[:_SAMPLE_TEXTS])
    features(base, rows[:8])
    start = time.perf_counter()
    features(base, rows)
    return step_s(time.perf_counter() - start, sizing.layers_of_base(folder), len(rows))
