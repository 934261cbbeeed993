"""The data: validated, split, and large and fresh enough for what the plan asks."""

from __future__ import annotations

from parsimony.data.splits import Splits
from parsimony.data.table import Dataset
from parsimony.decision import stats
from parsimony.decision.verdicts import GUESSED_DISCORDANCE
from parsimony.errors import DataError, PlanError
from parsimony.flows.names import rename, with_rows
from parsimony.flows.plan import Plan
from parsimony.flows.session import Session
from parsimony.tasks.registry.ledger import questions
from parsimony.tasks.registry.searches import describe_data
from parsimony.tasks.validate import Source, validate
from parsimony.tasks.validation.suites import Rules


def source_of(plan: Plan) -> Source:
    """Return where the plan's data lie, and how they are cut."""
    data = plan.data
    return Source(
        train=data.train,
        test=data.test,
        text=data.text,
        label=data.label,
        train_slices=data.train_slices,
        test_slices=data.slices,
        validation_share=data.validation_share,
        test_share=data.test_share,
        seed=plan.run.seed,
        unlabelled=data.unlabelled,
    )


def rules_of(plan: Plan) -> Rules:
    """Return what the plan's data must be."""
    data = plan.data
    return Rules(
        max_chars=data.max_chars,
        min_rows_per_class=data.min_rows_per_class,
        max_class_share=data.max_class_share,
        max_quarantined_share=data.max_quarantined_share,
        near_duplicates=data.near_duplicates,
    )


def read(run: Session) -> Splits:
    """Validate and split the data."""
    with run.stage("validate", run.plan.data.train):
        splits = validate(source_of(run.plan), rules_of(run.plan), run.folder, run.home)
    dataset = splits.dataset
    rename(with_rows(run.plan.model, dataset.train_rows + dataset.validation_rows + dataset.test_rows))
    run.say(
        "validate",
        f"{len(dataset.labels)} labels; {dataset.train_rows:,} rows to train, {dataset.validation_rows:,} to validate, "
        f"{dataset.test_rows:,} to test; {len(dataset.quarantined):,} set aside"
        + (f"; {dataset.unlabelled_rows:,} texts without labels" if dataset.unlabelled_rows else ""),
    )
    plan = run.plan.data
    describe_data(run.registry, run.search, dataset, (plan.train, plan.test or plan.train))
    _require_power(run.plan, dataset)
    _require_fresh(run, dataset)
    return splits


def _require_power(plan: Plan, dataset: Dataset) -> None:
    """Refuse a margin that this test split would hardly certify even for an equal candidate."""
    margin = stats.smallest_margin(GUESSED_DISCORDANCE, dataset.test_rows, plan.gates.confidence)
    if plan.gates.margin < margin and not plan.gates.underpowered:
        raise PlanError(
            f"gates.margin is {plan.gates.margin:g}, but {dataset.test_rows:,} test rows can certify {margin:.4f} at best "
            f"(for a candidate that differs from the reference on {GUESSED_DISCORDANCE:.0%} of them); give more test "
            "rows or a larger margin, or set gates.underpowered=true"
        )


def _require_fresh(run: Session, dataset: Dataset) -> None:
    """Warn of a test split that was reused often, and refuse one that was reused too often."""
    reuse, limit = len(questions(run.registry, dataset.test_digest)), run.plan.gates.test_reuse
    if reuse > limit:
        raise DataError(
            f"the test split has answered {reuse} different questions, gates.test_reuse allows {limit}: what passes now "
            "may pass by having been chosen on it; draw a new one with `parsimony rotate`"
        )
    if reuse > limit / 2:
        run.say("validate", f"the test split has answered {reuse} of {limit} questions; think of `parsimony rotate`")
