"""What a plan would do, before any of it is trained: the ladder with predicted sizes, and about how long it takes."""

from __future__ import annotations

import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

from parsimony.candidates import ModelSpec
from parsimony.data.splits import Splits
from parsimony.data.table import Dataset
from parsimony.flows import settings
from parsimony.flows.forecast import passes_of, step_s
from parsimony.flows.plan import Plan
from parsimony.flows.preflight import preflight
from parsimony.flows.stages.data import rules_of, source_of
from parsimony.flows.stages.search import ladder_settings
from parsimony.search.ladder import SizedCandidate, ladder_of, reference_spec, students_of
from parsimony.search.size_prediction import layers_of_base
from parsimony.tasks.validate import validate
from parsimony.training import bases

_SAMPLE_TEXTS = 256


@dataclass(frozen=True, slots=True, kw_only=True)
class Outlook:
    """The ladder of a plan, smallest first, and seconds of training on this machine, estimated from a short trial."""

    candidates: tuple[SizedCandidate, ...]
    reference: str
    dataset: Dataset
    finetune_s: float
    student_s: tuple[tuple[ModelSpec, float], ...]


def outlook(plan: Plan) -> Outlook:
    """Validate the data, list the ladder for the plan's first base and time a forward pass; nothing is kept.

    Raises what a run would raise for a plan or data that cannot be used.
    """
    preflight(plan)
    reference = reference_spec(plan.bases.names[0])
    with tempfile.TemporaryDirectory() as scratch:
        splits = validate.fn(source_of(plan), rules_of(plan), Path(scratch), settings.prepare().home)
    candidates = ladder_of(ladder_settings(plan, splits), reference)
    layers = layers_of_base(bases.resolve(reference.base))
    rows = splits.dataset.train_rows * _trial(plan, splits, reference)
    passes = {student: passes_of(student, layers, plan.training.student_epochs) for student in students_of(candidates)}
    return Outlook(
        candidates=candidates,
        reference=reference.id,
        dataset=splits.dataset,
        finetune_s=layers * plan.training.epochs * rows,
        student_s=tuple((student, count * rows) for student, count in passes.items()),
    )


def _trial(plan: Plan, splits: Splits, reference: ModelSpec) -> float:
    """Return about what a training step costs here per row and layer, from the base's features of some texts."""
    from parsimony.training.classifier import features, load_base
    from parsimony.training.vocabulary import token_ids

    folder = bases.resolve(reference.base)
    base = load_base(folder, classes=len(splits.dataset.labels), max_tokens=plan.data.max_tokens)
    rows = token_ids(base.tokenizer, splits.tables["train"].texts[:_SAMPLE_TEXTS])
    features(base, rows[:8])
    start = time.perf_counter()
    features(base, rows)
    return step_s(time.perf_counter() - start, layers_of_base(folder), len(rows))
