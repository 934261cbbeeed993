"""What trials begin with: a registry in which `a` and then `b` were promoted, copied for each trial; and what is done to it."""

from __future__ import annotations

import gc
import shutil
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext, suppress
from dataclasses import dataclass, field, replace
from pathlib import Path

from test_registry import MODEL, Registry, connected, decision_on

from parsimony.candidates import BuiltBundle
from parsimony.decision.records import Decision
from parsimony.tasks.registry.holds import hold, release
from parsimony.tasks.registry.promotion import reconcile, rollback
from tests.storm import postgres
from tests.storm.forks import Outcome, done

BEFORE = ("a", "b")


@dataclass(frozen=True, slots=True, kw_only=True)
class Ground:
    """A registry of one trial; `bundles` are digests by name, `runs` the folder of the runs of its home."""

    registry: Registry
    home: Path
    bundles: dict[str, str]

    @property
    def runs(self) -> Path:
        """The folder of the runs."""
        return self.home / "runs"

    @property
    def stored(self) -> Path:
        """Where a server of this trial keeps artifacts."""
        return self.home / "stored"

    @property
    def log(self) -> Path:
        """Where the processes of the trial write what they say."""
        return self.home / "log.txt"


@dataclass(slots=True, kw_only=True)
class Base:
    """A database with its two champions, of which every trial gets a copy; the artifacts of all lie in one folder."""

    kind: str
    folder: Path
    server: postgres.Postgres | None = None
    decisions: dict[str, Decision] = field(default_factory=dict)

    @property
    def artifacts(self) -> Path:
        """Where the artifacts of every trial lie."""
        return self.folder / "artifacts"

    @contextmanager
    def ground(self, *, empty: bool = False) -> Iterator[Ground]:
        """Give a copy to a trial; one without champions when it is to be empty."""
        name, template = f"t{uuid.uuid4().hex[:12]}", "empty" if empty else "two"
        home = self.folder / name
        home.mkdir()
        if self.server is None:
            shutil.copyfile(self.folder / f"{template}.db", home / "mlflow.db")
        else:
            self.server.make(name, template)
        try:
            yield self._ground(name, home)
        finally:
            if self.server is not None:
                self.server.drop(name)
            shutil.rmtree(home, ignore_errors=True)

    def _ground(self, name: str, home: Path) -> Ground:
        uri = f"sqlite:///{home / 'mlflow.db'}" if self.server is None else self.server.uri(name)
        digests = {each: digest_in(decision) for each, decision in self.decisions.items()}
        return Ground(registry=self._registry(uri), home=home, bundles=digests)

    def _registry(self, uri: str) -> Registry:
        return Registry(tracking_uri=uri, artifact_root=str(self.artifacts))

    def prepare(self) -> None:
        """Make the two databases that trials begin with."""
        self.folder.mkdir(parents=True, exist_ok=True)
        for name in "abcdefgh":
            decision = replace(decision_on(self.folder / "bundles", name), reference=name)
            self.decisions[name] = decision
        for name in ("empty", "two"):
            uri = f"sqlite:///{self.folder / f'{name}.db'}" if self.server is None else self.server.uri(name)
            if self.server is not None:
                self.server.make(name, "empty" if name == "two" else None)
            elif name == "two":
                shutil.copyfile(self.folder / "empty.db", self.folder / "two.db")
            place = Ground(registry=self._registry(uri), home=self.folder / name, bundles={})
            fill = (lambda place=place: self._fill(place)) if name == "two" else (lambda place=place: _create(place))
            (self.folder / name).mkdir()
            outcome = done(fill, place.log)
            if outcome.end != "ended":
                raise RuntimeError(f"{outcome}\n{place.log.read_text()[-3000:]}")

    def _fill(self, ground: Ground) -> None:
        for name in BEFORE:
            publish(self.decisions[name], ground, f"before-{name}")


def _create(ground: Ground) -> None:
    with connected(ground.registry) as client:
        client.search_experiments(max_results=1)


def digest_in(decision: Decision) -> str:
    """Return the digest of the winner's bundle."""
    return bundle_of(decision).digest


def bundle_of(decision: Decision) -> BuiltBundle:
    """Return the winner's bundle."""
    built = decision.judged[0].bundle
    assert built is not None
    return built


@contextmanager
def bases(folder: Path, *, with_postgres: bool) -> Iterator[list[Base]]:
    """Give a base on SQLite and, where it is wanted and installed, one on PostgreSQL."""
    server = postgres.postgres() if with_postgres and postgres.programs() else nullcontext()
    with server as running:
        made = [Base(kind="SQLite", folder=folder / "sqlite")]
        if running is not None:
            made.append(Base(kind="PostgreSQL", folder=folder / "postgresql", server=running))
        for base in made:
            base.prepare()
        yield made


# --- what is done ---------------------------------------------------------------------------------


def publish(decision: Decision, ground: Ground, run_id: str) -> None:
    """Do what the last stage of a run does, with a folder of its own: runs, version, receipt, page, promotion."""
    from parsimony.tasks.publish import publish as task
    from parsimony.tasks.registry.review import Terms

    folder = ground.runs / run_id
    folder.mkdir(parents=True)
    task.fn(replace(decision, run_id=run_id), ground.registry, folder, Terms())


def begin_again(ground: Ground) -> None:
    """Do what every run does first: let the alias follow, settle what killed runs have promoted."""
    from parsimony.tasks.publish import settle

    reconcile(ground.registry, MODEL)
    settle(ground.registry, ground.runs)


Deed = Callable[[Ground], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Verb:
    """Something that changes a journal: what comes before it, what it is, which bundle is in production after it, how it may be asked again."""

    name: str
    do: Deed
    expected: str
    before: Deed | None = None
    empty: bool = False


def verbs(base: Base) -> tuple[Verb, ...]:
    """Return everything that changes a journal."""
    publishing = publish_once(base, "c")
    return (
        Verb(name="publish", do=publishing, expected="c"),
        Verb(name="first publish", do=publish_once(base, "a"), expected="a", empty=True),
        Verb(name="rollback", do=lambda g: _void(rollback(g.registry, MODEL, "storm", to="1")), expected="a"),
        Verb(name="hold", do=lambda g: _void(hold(g.registry, MODEL, "storm")), expected="b"),
        Verb(
            name="release",
            before=lambda g: _void(hold(g.registry, MODEL, "storm")),
            do=lambda g: _void(release(g.registry, MODEL, "storm")),
            expected="b",
        ),
        Verb(name="reconcile", before=_mislead, do=lambda g: _void(reconcile(g.registry, MODEL)), expected="b"),
    )


def publish_once(base: Base, name: str) -> Deed:
    """Return what publishes a decision, in a run of its own each time."""
    return lambda ground: publish(base.decisions[name], ground, f"run-{uuid.uuid4().hex[:8]}")


def _mislead(ground: Ground) -> None:
    with connected(ground.registry) as client:
        client.set_registered_model_alias(MODEL, "champion", "1")
        client.delete_registered_model_tag(MODEL, "parsimony.journal")


def _void(_: object) -> None:
    return None


def after(ground: Ground, *deeds: Deed) -> Outcome:
    """Let a new process do these things, one after the other."""

    def all_of_them() -> None:
        for deed in deeds:
            deed(ground)

    return done(all_of_them, ground.log)


def warm(folder: Path) -> None:
    """Load every library that a publication needs into this process, with a registry that no trial uses."""
    with suppress(FileExistsError):
        folder.mkdir(parents=True)
    ground = Ground(
        registry=Registry(tracking_uri=f"sqlite:///{folder / 'mlflow.db'}", artifact_root=str(folder / "artifacts")),
        home=folder,
        bundles={},
    )
    for name in ("warm", "warmer"):
        publish(replace(decision_on(folder, name), reference=name), ground, name)
    gc.collect()
    gc.freeze()  # what is there is copied by no trial
