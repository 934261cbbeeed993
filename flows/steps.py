"""The steps of the flow: each takes the session and what came before, calls its task, and says what it does."""

from __future__ import annotations

import contextlib
import shutil
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace

from flows import settings
from flows.forecast import Forecast
from flows.plan import Plan
from flows.preflight import preflight
from parsimony import bases, judging, search, selection, sizing, stats
from parsimony.contracts import TrainingSettings
from parsimony.data.splits import load_split
from parsimony.energy import Meter, meter
from parsimony.errors import DataError, PlanError
from parsimony.files import digest_of, sweep
from parsimony.judging import Entry
from parsimony.records import Candidate, Cost, Dataset, Decision, TargetSettings, Trunk
from parsimony.run import Run
from parsimony.selection import Searched, Shortlist
from parsimony.trunk_store import Grown
from parsimony.trunks import class_numbers
from tasks import build as building
from tasks.certify import certify as certify_task
from tasks.champion import bring_champion
from tasks.ledger import expose, questions
from tasks.measure import measure as measure_task
from tasks.promotion import champion
from tasks.publish import Published
from tasks.publish import publish as publish_task
from tasks.suites import Rules
from tasks.tracking import Registry
from tasks.train import train
from tasks.validate import Source, validate


@dataclass(slots=True, kw_only=True)
class Session:
    """What every step of a run shares; `exposures` is known once the sealed split was asked."""

    plan: Plan
    run: Run
    registry: Registry
    targets: tuple[TargetSettings, ...]
    energy: Meter
    forecast: Forecast
    exposures: int = 0

    @property
    def reference(self) -> str:
        """The id of the reference; known from the start of the ladder."""
        return self.forecast.reference


@contextlib.contextmanager
def session(plan: Plan) -> Iterator[Session]:
    """Open a run: where things are kept, what this machine can do, the meter; a refused run leaves no folder."""
    where = settings.prepare()
    targets = preflight(plan)
    registry = Registry(tracking_uri=where.tracking_uri, artifact_root=where.artifact_root)
    champion(registry, plan.model)  # a registry that does not answer is found out before anything is trained
    for kept in ("trunks", "bundles", "champions"):
        sweep(where.home / kept)
    run = Run(home=where.home)
    run.folder.mkdir(parents=True)
    try:
        with meter(plan.run.country) as energy:
            yield Session(
                plan=plan, run=run, registry=registry, targets=targets, energy=energy, forecast=Forecast(run=run)
            )
    except BaseException:
        shutil.rmtree(run.folder, ignore_errors=True)
        raise


def asked(plan: Plan) -> tuple[Source, Rules]:
    """Return what the plan says of the data: where it lies, and what it must be."""
    data = plan.data
    source = Source(
        train=data.train,
        test=data.test,
        text=data.text,
        label=data.label,
        train_slices=data.train_slices,
        test_slices=data.slices,
        search_share=data.search_share,
        sealed_share=data.sealed_share,
        seed=plan.run.seed,
    )
    rules = Rules(
        max_chars=data.max_chars,
        min_rows_per_class=data.min_rows_per_class,
        max_class_share=data.max_class_share,
        max_quarantined_share=data.max_quarantined_share,
    )
    return source, rules


def read(run: Session) -> Dataset:
    """Validate and split the data."""
    with run.run.stage("validate", run.plan.data.train):
        dataset = validate(*asked(run.plan), run.run.folder)
    run.run.say(
        "validate",
        f"{len(dataset.labels)} labels; {dataset.train:,} rows to train on, {dataset.search:,} to choose on, "
        f"{dataset.sealed:,} sealed; {len(dataset.quarantined):,} set aside",
    )
    _require_power(run.plan, dataset)
    _require_fresh(run, dataset)
    return dataset


def _require_power(plan: Plan, dataset: Dataset) -> None:
    """Refuse a margin that this sealed split would hardly certify even for an equal candidate."""
    margin = stats.smallest_margin(judging.GUESSED_DISCORDANCE, dataset.sealed, plan.gates.confidence)
    if plan.gates.margin < margin and not plan.gates.underpowered:
        raise PlanError(
            f"gates.margin is {plan.gates.margin:g}, but {dataset.sealed:,} sealed rows can certify {margin:.4f} at best "
            f"(for a candidate that answers {judging.GUESSED_DISCORDANCE:.0%} of them differently); give more sealed "
            "rows or a larger margin, or set gates.underpowered=true"
        )


def _require_fresh(run: Session, dataset: Dataset) -> None:
    """Warn of a sealed split that has answered many questions, and refuse one that has answered too many."""
    asked_before, limit = len(questions(run.registry, dataset.sealed_digest)), run.plan.gates.exposures
    if asked_before > limit:
        raise DataError(
            f"the sealed split has answered {asked_before} different questions, gates.exposures allows {limit}: what "
            "passes now may pass by having been chosen on it; draw a new one with `parsimony rotate`"
        )
    if asked_before > limit / 2:
        run.run.say(
            "validate",
            f"the sealed split has answered {asked_before} of {limit} questions; think of `parsimony rotate`",
        )


def probe(run: Session, dataset: Dataset) -> tuple[Grown, ...]:
    """Try every base as it is, with a linear head on its frozen features; the best first."""
    grown = []
    for trunk in search.probe_trunks(run.plan.bases.names):
        with run.run.stage("probe", trunk.id):
            grown.append(_train(run, trunk, None, dataset))
        run.forecast.probed(grown[-1], dataset)
    return tuple(sorted(grown, key=lambda g: -g.search_accuracy))


def finetune(run: Session, dataset: Dataset, probes: Sequence[Grown]) -> Grown:
    """Fine-tune the base that did best as it is: the yardstick of quality, and the teacher."""
    best = probes[0]
    trunk = search.reference_trunk(best.trunk.base)
    run.forecast.expect(trunk, sizing.layers_of_base(bases.resolve(trunk.base)), dataset, run.plan)
    with run.run.stage("finetune", f"{trunk.id}; as it is, the base gets {best.search_accuracy:.3f}"):
        reference = _train(run, trunk, best, dataset)
    run.forecast.finetuned(reference, dataset, run.plan)
    return reference


def ladder(run: Session, dataset: Dataset, reference: Trunk) -> tuple[search.Rung, ...]:
    """List every candidate with its predicted size, the smallest first."""
    rungs = rungs_of(run.plan, dataset, reference)
    run.forecast.candidates(len(rungs))
    return rungs


def rungs_of(plan: Plan, dataset: Dataset, reference: Trunk) -> tuple[search.Rung, ...]:
    """Return the ladder of a plan on this data, the smallest first."""
    texts = load_split(dataset, "train").texts
    shape = sizing.shape_of(bases.resolve(reference.base), texts, plan.data.max_tokens)
    trunks = [*search.probe_trunks(plan.bases.names), reference]
    if "linear" in plan.search.families:
        trunks.append(Trunk(family="linear", base=reference.base))
    if "student" in plan.search.families:
        trunks += search.student_trunks(
            reference.base,
            shape.layers,
            heads=shape.heads,
            neurons=shape.neurons,
            columns=sizing.columns_to_prune(shape),
        )

    def architecture(trunk: Trunk) -> str:
        return bases.architecture(bases.resolve(trunk.base))

    return search.ladder(
        trunks,
        plan.search.families,
        reference,
        lambda candidate: _predicted(plan, dataset, texts, candidate),
        architecture,
    )


def _predicted(plan: Plan, dataset: Dataset, texts: tuple[str, ...], candidate: Candidate) -> int:
    """Return the bytes that a candidate's bundle will have, trimmed to the training texts."""
    shape = sizing.shape_of(bases.resolve(candidate.trunk.base), texts, plan.data.max_tokens)
    return sizing.predict(candidate, shape, dataset.labels)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Climb:
    """What is known while students are trained: every candidate, the students from the largest, which are trained, and why
    others are not."""

    entries: dict[Candidate, Entry]
    students: tuple[Trunk, ...]
    trained: list[Trunk]
    skipped: dict[Trunk, str]


def climb(run: Session, dataset: Dataset, rungs: Sequence[search.Rung], done: Sequence[Grown]) -> list[Entry]:
    """Build every candidate of what is trained and see what it answers; train students, one by one, while that pays.

    Which student comes next follows from the answers so far: smaller while the last one may well pass, else larger.
    First for their trimmed bundles, then for those with the whole vocabulary, where they would be smaller than what was
    found.
    """
    entries = {rung.candidate: Entry(candidate=rung.candidate, predicted_bytes=rung.predicted_bytes) for rung in rungs}
    reference = done[-1]
    for linear in dict.fromkeys(c.trunk for c in entries if c.trunk.family == "linear"):
        with run.run.stage("train", linear.id):
            done = (*done, _train(run, linear, None, dataset))
    for grown in (reference, *(g for g in done if g != reference)):
        _derive(run, dataset, entries, grown)
    state = _Climb(entries=entries, students=search.students_of(rungs), trained=[], skipped={})
    for trimmed in (True, False):
        while (trunk := _next(run, dataset, state, trimmed=trimmed)) is not None:
            with run.run.stage("train", trunk.id):
                grown = _train(run, trunk, reference, dataset)
            state.trained.append(trunk)
            _derive(run, dataset, entries, grown)
    chances = search.chances_of(state.trained, _chances(run, dataset, entries), trimmed=True)
    reasons = state.skipped | search.pointless(state.students, chances)
    return [replace(e, obstacle=reasons[c.trunk]) if c.trunk in reasons else e for c, e in entries.items()]


def _next(run: Session, dataset: Dataset, state: _Climb, *, trimmed: bool) -> Trunk | None:
    """Return the student to train next, None when there is none; those that come too late join the skipped ones."""
    seen = _chances(run, dataset, state.entries)
    chances = search.chances_of(state.trained, seen, trimmed=trimmed)
    if state.trained:
        trunk = state.trained[-1]
        kind = "trimmed" if trimmed else "with all its words"
        run.run.say("search", f"{trunk.id}, {kind}, has a chance of {chances[trunk]:.0%} to be certified")
    open_ = [t for t in state.students if t not in state.trained and t not in state.skipped]
    state.skipped.update(_too_late(run, dataset, open_))
    left = search.in_question([t for t in state.students if t not in state.skipped], chances)
    if not trimmed:
        left = search.smaller_whole(left, {c: e.predicted_bytes for c, e in state.entries.items()}, seen)
    run.forecast.students(left, dataset, run.plan)
    return search.next_student(left)


def _too_late(run: Session, dataset: Dataset, students: Sequence[Trunk]) -> dict[Trunk, str]:
    """Return, with the reason, the students with which the run would not end within its budget."""
    budget = run.plan.search.budget_minutes
    left = budget * 60 - run.run.elapsed_s - run.forecast.end_s()
    reason = f"not trained: the run would not end within its budget of {budget:g} minutes"
    return {trunk: reason for trunk in students if run.forecast.cost_s(trunk, dataset, run.plan) > left}


def _derive(run: Session, dataset: Dataset, entries: dict[Candidate, Entry], grown: Grown) -> None:
    """Build and evaluate every candidate of a trunk; `entries` is filled in."""
    for candidate in [candidate for candidate in entries if candidate.trunk == grown.trunk]:
        _build(run, dataset, entries, grown, candidate)


def _build(run: Session, dataset: Dataset, entries: dict[Candidate, Entry], grown: Grown, candidate: Candidate) -> None:
    with run.run.stage("build", candidate.id):
        entry = building.build(entries[candidate], grown, dataset, run.run.home)
    with run.run.stage("evaluate", candidate.id):
        entries[candidate] = building.evaluate(entry, dataset, run.targets[0], run.run.home)
    run.forecast.built()


def _chances(run: Session, dataset: Dataset, entries: Mapping[Candidate, Entry]) -> dict[Candidate, float]:
    """Return the chance to be certified of every candidate whose answers are known."""
    gates_ = run.plan.gates.settings()
    seen = {found.candidate: found for found in compared(run, dataset, tuple(entries.values()))}
    return {c: selection.chance(seen[c.id], dataset.sealed, gates_) for c in entries if c.id in seen}


def _train(run: Session, trunk: Trunk, start: Grown | None, dataset: Dataset) -> Grown:
    plan = run.plan
    recipe = TrainingSettings(**plan.training.model_dump())
    return train(trunk, start, dataset, recipe, run.run.home, max_tokens=plan.data.max_tokens, seed=plan.run.seed)


def join_champion(run: Session, dataset: Dataset, entries: list[Entry]) -> list[Entry]:
    """Bring the champion, which is judged on today's data beside the new candidates."""
    with run.run.stage("champion", run.plan.model):
        joined = bring_champion(entries, run.plan.model, dataset, run.registry, run.run.home)
        return [
            building.evaluate(e, dataset, run.targets[0], run.run.home) if e.is_champion and e.answers is None else e
            for e in joined
        ]


def shortlist(run: Session, dataset: Dataset, entries: Sequence[Entry]) -> Shortlist:
    """Choose, on the search split alone, what the sealed split will be asked about, and in which order."""
    return selection.shortlist(compared(run, dataset, entries), dataset.sealed, run.plan.gates.settings())


def compared(run: Session, dataset: Dataset, entries: Sequence[Entry]) -> tuple[Searched, ...]:
    """Compare every candidate with the reference on the search split."""
    truth = class_numbers(load_split(dataset, "search"), dataset.labels)
    reference = next(e for e in entries if e.id == run.reference)
    settings_ = run.plan.gates.settings()
    return tuple(judging.searched(e, reference, truth, settings_) for e in entries if e.answers is not None)


def measure(run: Session, dataset: Dataset, entries: Sequence[Entry], chosen: Shortlist) -> list[Entry]:
    """Measure the shortlist, the reference and the champion side by side on every target.

    They are compared with the champion, with the reference where there is none.
    """
    champions = [e.id for e in entries if e.is_champion and e.bundle is not None]
    names = list(dict.fromkeys((*chosen.order, run.reference, *champions)))
    base_line = champions[0] if champions else run.reference
    for target in run.targets:
        with run.run.stage("measure", f"{len(names)} candidates in turn on {target.name!r}"):
            entries = measure_task(entries, names, base_line, dataset, target)
    return list(entries)


def fitting(run: Session, entries: Sequence[Entry], chosen: Shortlist) -> Shortlist:
    """Take out of the sequence what fails a target's limits."""
    return judging.fitting(entries, chosen, run.targets)


def certify(run: Session, dataset: Dataset, entries: Sequence[Entry], chosen: Shortlist) -> list[Entry]:
    """Ask the sealed split, safest candidate first, until one does not pass; the question is written down before."""
    digests = {e.id: e.bundle.digest for e in entries if e.bundle}
    settings_ = run.plan.gates.settings()
    asked_for = asdict(settings_), run.plan.data.slices
    question = digest_of([digests[name] for name in chosen.order], digests[run.reference], *asked_for)
    run.exposures = expose(run.registry, dataset.sealed_digest, question, model=run.plan.model, run_id=run.run.id)
    with run.run.stage("certify", f"{len(chosen.order)} candidates, safest first"):
        return certify_task(
            entries,
            chosen.order,
            run.reference,
            dataset,
            run.plan.gates.settings(),
            run.targets[0],
            run.run.folder,
            run.run.home,
            run.plan.run.seed,
        )


def decide(run: Session, dataset: Dataset, entries: Sequence[Entry], chosen: Shortlist) -> Decision:
    """Give every candidate its final word and name the winner."""
    settings_ = run.plan.gates.settings()
    left_out = dict(chosen.left_out)
    judged = tuple(judging.verdict(e, run.targets, settings_, left_out, run.reference) for e in entries)
    outcome, winner, reason = selection.decide(judged)
    run.energy.read()
    return Decision(
        outcome=outcome,
        reason=reason,
        model=run.plan.model,
        winner=winner,
        reference=run.reference,
        judged=judged,
        gates=settings_,
        targets=run.targets,
        dataset=dataset,
        smallest_certifiable_margin=judging.certifiable_margin(
            compared(run, dataset, entries), dataset.sealed, settings_
        ),
        cost=Cost(
            wall_s=run.run.elapsed_s,
            stages=tuple(run.run.stages.items()),
            energy_wh=run.energy.energy_wh,
            energy_source=run.energy.energy_source,
            carbon_g=run.energy.carbon_g,
            carbon_source=run.energy.carbon_source,
        ),
        exposures=run.exposures,
        seed=run.plan.run.seed,
        started_at=run.run.started_at,
        run_id=run.run.id,
    )


def publish(run: Session, decision: Decision) -> Published:
    """Write the evidence down and promote the winner, last of all."""
    with run.run.stage("publish", decision.outcome):
        return publish_task(decision, run.registry, run.run.folder)
