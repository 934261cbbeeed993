"""One run: its name, its folder, what its stages share, the time they take, and what it says while it works."""

from __future__ import annotations

import contextlib
import logging
import shutil
import time
import uuid
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

from parsimony.data.splits import Splits
from parsimony.decision.procedure import Case
from parsimony.decision.records import NO_SHIFT, NOTHING_SAID, Rules, Shift, Standing
from parsimony.flows import settings
from parsimony.flows.forecast import Forecast
from parsimony.flows.plan import Plan, flat
from parsimony.flows.preflight import preflight
from parsimony.flows.settings import Settings
from parsimony.flows.upkeep.leftovers import clear, running
from parsimony.measurement import machine
from parsimony.measurement.energy import Meter, meter
from parsimony.measurement.host_lock import host_lock
from parsimony.measurement.records import TRAINING_MACHINE, TargetSettings
from parsimony.measurement.remote import Result
from parsimony.reporting.formatting import duration
from parsimony.tasks.alarms import mend
from parsimony.tasks.builder import Build, building
from parsimony.tasks.notices import notice
from parsimony.tasks.pool import absence
from parsimony.tasks.publish import may_have_promoted, run_tags, settle
from parsimony.tasks.registry import searches
from parsimony.tasks.registry.artifact_store import try_artifacts, try_text
from parsimony.tasks.registry.searches import Search
from parsimony.tasks.registry.tracking import Registry

log = logging.getLogger("parsimony.progress")


@dataclass(slots=True, kw_only=True)
class Session:
    """A run in progress. Everything that is kept lies below `home`; what is this run's own below `folder`.

    `stage_s` collects the seconds that each stage took; `shift` is known once the reference is built, `results` by target once those that
    lie elsewhere were asked, `test_reuse` once the test split was asked, `standing` once the decision is due.
    """

    plan: Plan
    home: Path
    registry: Registry
    targets: tuple[TargetSettings, ...]
    energy: Meter
    build: Build
    forecast: Forecast = field(default_factory=Forecast)
    id: str = field(default_factory=lambda: f"{datetime.now(UTC):%Y%m%d-%H%M%S}-{uuid.uuid4().hex[:6]}")
    started_at: str = field(default_factory=lambda: datetime.now(UTC).isoformat(timespec="seconds"))
    begun: float = field(default_factory=time.monotonic)
    stage_s: dict[str, float] = field(default_factory=dict)
    test_reuse: int = 0
    shift: Shift = NO_SHIFT
    results: dict[str, Result] = field(default_factory=dict)
    standing: Standing = NOTHING_SAID
    search: Search = field(init=False)

    def __post_init__(self) -> None:
        """Describe the run as MLflow shows it from its beginning."""
        self.search = _search(self.plan, self.id)

    @property
    def folder(self) -> Path:
        """The folder of this run's own files."""
        return self.home / "runs" / self.id

    @property
    def here(self) -> TargetSettings:
        """What is predicted with on this machine: the first target that is measured here, or the machine itself."""
        mine = next((target for target in self.targets if target.pool is None), None)
        first = self.targets[0]
        return mine or TargetSettings(
            name=TRAINING_MACHINE,
            threads=min(first.threads, machine.usable_threads()),
            p99_ms=None,
            peak_rss_bytes=None,
            size_bytes=None,
        )

    @property
    def rules(self) -> Rules:
        """The promises of the plan and the seed of what is drawn to test them."""
        return Rules(gates=self.plan.gates.settings(), seed=self.plan.run.seed)

    @property
    def elapsed_s(self) -> float:
        """Seconds since the run began."""
        return time.monotonic() - self.begun

    def case(self, splits: Splits) -> Case:
        """Return what the decision of this run is about; the reference is known from the start of the ladder."""
        return Case(
            reference=self.forecast.reference,
            gates=self.rules.gates,
            targets=self.targets,
            test_rows=splits.dataset.test_rows,
            shift=self.shift,
            standing=self.standing,
        )

    @contextlib.contextmanager
    def stage(self, name: str, detail: str = "") -> Iterator[None]:
        """Say what is being done and count the seconds that it takes; stages add up under one name."""
        self.say(name, detail)
        start = time.monotonic()
        try:
            yield
        finally:
            self.stage_s[name] = self.stage_s.get(name, 0.0) + time.monotonic() - start

    def say(self, stage: str, detail: str) -> None:
        """Tell whoever follows the run where it is."""
        extra = {"stage": stage, "detail": detail, "left_s": self.forecast.left_s}
        left = "" if self.forecast.left_s is None else f" (about {duration(self.forecast.left_s)} left)"
        log.info("%s %s%s", stage, detail, left, extra=extra)


def _search(plan: Plan, run_id: str) -> Search:
    here = machine.environment(1)
    tags = {"environment.cpu": here.cpu, "environment.platform": here.platform, "environment.python": here.python}
    versions = ", ".join(f"{name} {version}" for name, version in here.versions)
    return Search(
        model=plan.model,
        run_id=run_id,
        plan=flat(plan.model_dump()),
        tags={**tags, "environment.versions": versions, **run_tags()},
    )


@contextlib.contextmanager
def session(plan: Plan) -> Iterator[Session]:
    """Open a run: where things are kept, what this machine can do, the meter; a refused run leaves no folder."""
    where = settings.prepare()
    targets = preflight(plan)
    # Of the searches of one machine one runs and the others wait, whatever started them: they would measure one another.
    with host_lock("searching", "search"):
        yield from _opened(plan, where, targets)


def _opened(plan: Plan, where: Settings, targets: tuple[TargetSettings, ...]) -> Iterator[Session]:
    registry = where.registry
    # A registry that does not respond, a damaged journal and a full store are noticed before anything is trained.
    for line in mend(registry, plan.model):
        notice("registry", line)
    try_artifacts(registry, plan.model)
    try_text(registry, plan.model)
    for target in targets:
        if target.pool is not None and (why := absence(target.pool)):
            line = f"target {target.name!r} could not be measured now: {why}; it is asked once candidates are built"
            notice("targets", line)
    settle(registry, where.home / "runs")
    for left in clear(where.home):
        if left.kind == "dead run" and left.path is not None:
            searches.end(registry, plan.model, left.path.name, "KILLED", "its process was ended")
    with meter(plan.run.country) as energy, building() as build:
        run = Session(plan=plan, home=where.home, registry=registry, targets=targets, energy=energy, build=build)
        with running(where.home, run.folder):
            searches.begin(registry, run.search)
            try:
                yield run
            except BaseException as error:
                ending: searches.Ending = "FAILED" if isinstance(error, Exception) else "KILLED"
                searches.end(registry, plan.model, run.id, ending, f"{type(error).__name__}: {error}")
                # A run that may have promoted leaves its folder, which is the evidence.
                if not may_have_promoted(run.folder):
                    shutil.rmtree(run.folder, ignore_errors=True)
                raise
