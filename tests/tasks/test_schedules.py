"""Two who change one journal take turns in every order of at most two interruptions, with a crash or a lost response anywhere.

The registry is one in memory with MLflow's semantics, and a test holds it against the real one. Two actors stop before each call
that reads or changes what they share; every state that such turns lead to is visited once. A crash is an actor that takes no
further turn, so whatever holds in every state holds after every crash.
"""

from __future__ import annotations

import copy
import random
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import partial
from itertools import pairwise
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from bundles import write_tiny_bundle
from greenlet import getcurrent, greenlet
from test_registry import MODEL, decide, judged_pass, registry, template_database

from parsimony.decision.journal import MOVES, JournalEntry, hold_of
from parsimony.decision.records import Decision
from parsimony.errors import InfrastructureError, PlanError
from parsimony.tasks.registry import entries, holds, promotion, versions
from parsimony.tasks.registry.journal import look
from parsimony.tasks.registry.refusals import failures
from parsimony.tasks.registry.stored_bundles import Verified
from parsimony.tasks.registry.tracking import Registry, connected

__all__ = ["registry", "template_database"]  # fixtures
pytestmark = pytest.mark.slow

JOURNAL = MODEL + entries.JOURNAL_SUFFIX
FAKE = Registry(tracking_uri="http://in.memory")


@pytest.fixture(autouse=True)
def at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let nobody wait between two requests: time is no part of a schedule."""
    monkeypatch.setattr(versions, "_WAITS_S", (0.0, 0.0))


def refusal(code: str) -> Exception:
    from mlflow.exceptions import MlflowException
    from mlflow.protos import databricks_pb2

    return MlflowException("refused", error_code=databricks_pb2.ErrorCode.Value(code))


class Page(list[Any]):
    token: str | None = None


@dataclass
class Memory:
    """A model registry: what `MlflowClient` does with registered models, versions, aliases and tags."""

    models: dict[str, dict[str, Any]] = field(default_factory=dict)
    folders: dict[str, str] = field(default_factory=dict)

    def _model(self, name: str) -> dict[str, Any]:
        if name not in self.models:
            raise refusal("RESOURCE_DOES_NOT_EXIST")
        return self.models[name]

    def _version(self, name: str, version: str) -> dict[str, Any]:
        known = self.models.get(name, {"versions": {}})["versions"].get(int(version))
        if known is None or known["deleted"]:
            raise refusal("RESOURCE_DOES_NOT_EXIST")
        return dict(known)

    def create_registered_model(self, name: str, **_: object) -> None:
        if name in self.models:
            raise refusal("RESOURCE_ALREADY_EXISTS")
        self.models[name] = {"aliases": {}, "tags": {}, "versions": {}}

    def delete_registered_model(self, name: str) -> None:
        del self.models[self._model(name) and name]

    def get_registered_model(self, name: str) -> SimpleNamespace:
        model = self._model(name)
        return SimpleNamespace(aliases=dict(model["aliases"]), tags=dict(model["tags"]))

    def create_model_version(
        self, name: str, source: str, run_id: str | None = None, tags: dict[str, str] | None = None, **_: object
    ) -> SimpleNamespace:
        versions = self._model(name)["versions"]
        number = max(versions, default=0) + 1
        versions[number] = {"source": source, "tags": dict(tags or {}), "deleted": False}
        return SimpleNamespace(version=str(number))

    def search_model_versions(self, query: str, **_: object) -> Page:
        versions = self.models.get(query.split("'")[1], {"versions": {}})["versions"]
        return Page(
            SimpleNamespace(version=str(number), tags=dict(v["tags"]), source=v["source"])
            for number, v in versions.items()
            if not v["deleted"]
        )

    def get_model_version(self, name: str, version: str) -> SimpleNamespace:
        known = self._version(name, version)
        return SimpleNamespace(version=str(version), tags=dict(known["tags"]), source=known["source"])

    def delete_model_version(self, name: str, version: str) -> None:
        self._version(name, version)
        model = self._model(name)
        model["versions"][int(version)]["deleted"] = True
        model["aliases"] = {alias: to for alias, to in model["aliases"].items() if to != str(version)}

    def set_registered_model_alias(self, name: str, alias: str, version: str) -> None:
        self._version(name, version)
        self._model(name)["aliases"][alias] = str(version)

    def delete_registered_model_alias(self, name: str, alias: str) -> None:
        self._model(name)["aliases"].pop(alias, None)

    def set_registered_model_tag(self, name: str, key: str, value: str) -> None:
        self._model(name)["tags"][key] = value

    def set_model_version_tag(self, name: str, version: str, key: str, value: str) -> None:
        self._version(name, version)
        self._model(name)["versions"][int(version)]["tags"][key] = value

    def get_logged_model(self, model_id: str) -> SimpleNamespace:
        return SimpleNamespace(source_run_id="run")

    def get_model_version_download_uri(self, name: str, version: str) -> str:
        return self.folders[self._version(name, version)["tags"]["digest"]]


# --- the registry in memory is like the real one --------------------------------------------------


def a_call(rng: random.Random) -> tuple[str, tuple[str, ...]]:
    name, version, alias = rng.choice("ab"), str(rng.randint(1, 4)), rng.choice(("champion", "other"))
    return rng.choice(
        [
            ("create_registered_model", (name,)),
            ("create_model_version", (name, "/nowhere")),
            ("create_model_version", (name, "/nowhere")),
            ("create_model_version", (name, "/nowhere")),
            ("get_registered_model", (name,)),
            ("search_model_versions", (f"name='{name}'",)),
            ("get_model_version", (name, version)),
            ("delete_model_version", (name, version)),
            ("set_registered_model_alias", (name, alias, version)),
            ("set_registered_model_alias", (name, alias, version)),
            ("delete_registered_model_alias", (name, alias)),
            ("set_registered_model_tag", (name, "key", version)),
            ("set_model_version_tag", (name, version, "key", alias)),
            *([("delete_registered_model", (name,))] if rng.random() < 0.1 else []),
        ]
    )


def shown(client: Any, call: str, arguments: tuple[str, ...]) -> object:
    """Return what a call gives, as far as it is looked at, or the code of its refusal."""
    try:
        result = getattr(client, call)(*arguments)
    except failures() as error:
        return getattr(error, "error_code", error)
    if call == "search_model_versions":
        return sorted((str(v.version), dict(v.tags)) for v in result)
    if call == "get_registered_model":
        return {alias: str(to) for alias, to in result.aliases.items()}, dict(result.tags)
    return (str(result.version), dict(result.tags)) if call == "get_model_version" else None


def test_the_registry_in_memory_does_what_mlflow_does(registry: Registry) -> None:
    rng, calls = random.Random(7), 0
    with connected(registry) as real:
        for _ in range(5):
            memory = Memory()
            for name in "ab":
                shown(real, "delete_registered_model", (name,))
            for _ in range(60):
                call, arguments = a_call(rng)
                assert shown(memory, call, arguments) == shown(real, call, arguments), (call, arguments)
                calls += 1
    assert calls == 300


# --- taking turns ---------------------------------------------------------------------------------

SHARED = {
    "search_model_versions", "get_registered_model", "create_model_version", "set_registered_model_alias",
    "set_registered_model_tag", "delete_registered_model_alias",
}  # fmt: skip
WRITES = {name for name in SHARED if name.startswith(("create", "set", "delete"))}
MOST_INTERRUPTIONS = 2
Action = Callable[[], JournalEntry | None]


@dataclass
class World:
    """The registry and two actors on the way to one state; `turns` say who takes the next call, and whether its response is lost."""

    memory: Memory
    actions: tuple[Action, ...]
    results: list[object] = field(default_factory=lambda: [None, None])
    observed: list[list[str]] = field(default_factory=lambda: [[], []])
    actors: list[greenlet] = field(default_factory=list)
    waiting: list[str] = field(default_factory=lambda: ["", ""])
    attempts: list[int] = field(default_factory=lambda: [0, 0])

    def __getattr__(self, name: str) -> Any:
        """Give one of the client's calls; a shared one waits for its turn."""
        call = getattr(self.memory, name)
        return call if name not in SHARED or self.number is None else lambda *a, **k: self._take(name, call, *a, **k)

    @property
    def number(self) -> int | None:
        """Which actor is at work; None outside of both."""
        return next((i for i, actor in enumerate(self.actors) if actor is getcurrent()), None)

    def _take(self, name: str, call: Callable[..., Any], *arguments: Any, **keywords: Any) -> Any:
        number = self.number
        assert number is not None
        lost = getcurrent().parent.switch(name)
        try:
            result = call(*arguments, **keywords)
        except Exception as error:
            self.observed[number].append(f"{name} {error!r}")
            raise
        self.observed[number].append(f"{name} {result!r} {lost}")
        if lost:
            raise refusal("INTERNAL_ERROR")
        return result

    def begin(self) -> None:
        for number, action in enumerate(self.actions):
            self.actors.append(greenlet(partial(self._act, number, action)))
            self.turn(number)

    def _act(self, number: int, action: Action, _: bool) -> str:
        try:
            self.results[number] = action()
        except (InfrastructureError, PlanError) as error:
            self.results[number] = error
        return ""

    def turn(self, number: int, *, lost: bool = False) -> None:
        """Let an actor make the call that it waits for, and go on to the next."""
        self.waiting[number] = self.actors[number].switch(lost)

    @property
    def key(self) -> str:
        """What decides everything that can still happen."""
        return repr((self.memory.models, self.observed))


@contextmanager
def placed(world: list[World]) -> Iterator[None]:
    """Let the registry's modules work in the world that is the list's last, with a clock that stands and attempts that are counted."""

    @contextmanager
    def in_memory(_: Registry) -> Iterator[World]:
        try:
            yield world[-1]
        except failures() as error:
            raise InfrastructureError(str(error)) from error

    def attempt() -> SimpleNamespace:
        number = world[-1].number
        if number is None:
            return SimpleNamespace(
                hex=f"before {len(world[-1].memory.models.get(JOURNAL, {'versions': ()})['versions'])}"
            )
        world[-1].attempts[number] += 1
        return SimpleNamespace(hex=f"{number} {world[-1].attempts[number]}")

    import mlflow.artifacts

    with pytest.MonkeyPatch.context() as patch:
        for module in (promotion, holds):
            patch.setattr(module, "connected", in_memory)
        patch.setattr(entries, "uuid", SimpleNamespace(uuid4=attempt))
        patch.setattr(entries, "datetime", SimpleNamespace(now=lambda zone: datetime(2026, 1, 5, tzinfo=UTC)))
        patch.setattr(mlflow.artifacts, "download_artifacts", lambda artifact_uri, **_: artifact_uri)
        yield


@dataclass
class Story:
    """Where it begins, and what each of the two does."""

    memory: Memory
    decisions: dict[str, Decision]

    def promote(self, name: str) -> Action:
        decision = self.decisions[name]
        built = decision.judged[0].bundle
        assert built is not None
        version = str(1 + "abc".index(name))
        return lambda: promotion.promote(FAKE, decision, Verified(version=version, digest=built.digest))


@pytest.fixture(scope="module")
def story(tmp_path_factory: pytest.TempPathFactory) -> Story:
    return told(tmp_path_factory.mktemp("bundles"))


def told(folder: Path) -> Story:
    """Return a story of three versions that were judged; `a` and then `b` were promoted, `c` was not."""
    memory = Memory()
    decisions: dict[str, Decision] = {}
    memory.create_registered_model(JOURNAL)
    memory.create_registered_model(MODEL)
    for name in "abc":
        root = folder / name
        built = write_tiny_bundle(root / "artifacts" / "bundle", name=name)
        memory.folders[built.digest] = str(root)
        memory.create_model_version(MODEL, f"models:/{name}", tags={"digest": built.digest, "candidate": name})
        decisions[name] = decide(judged_pass(name, built), winner=name, run_id=f"run-{name}")
    story = Story(memory=memory, decisions=decisions)
    with placed([World(memory=memory, actions=())]):
        for name in "ab":
            story.promote(name)()
    return story


def _interruptions(turns: tuple[tuple[int, bool], ...]) -> int:
    """Count how often the turn changes from one actor to the other."""
    return sum(one[0] != other[0] for one, other in pairwise(turns))


def explored(
    story: Story, actions: tuple[Action, Action], check: Callable[[World], None], *, losses: int
) -> tuple[int, int]:
    """Visit every state that turns lead to, with at most so many lost responses; return how many states and ends there are."""
    world: list[World] = [World(memory=Memory(), actions=())]
    seen_keys: set[str] = set()
    ends = 0
    waiting: list[tuple[tuple[int, bool], ...]] = [()]
    with placed(world):
        while waiting:
            turns = waiting.pop()
            world[-1] = World(memory=copy.deepcopy(story.memory), actions=actions)
            world[-1].begin()
            for number, lost in turns:
                world[-1].turn(number, lost=lost)
            here = world[-1]
            key = repr((here.key, turns[-1:], _interruptions(turns), sum(lost for _, lost in turns)))
            if key in seen_keys or _interruptions(turns) > MOST_INTERRUPTIONS:
                continue
            seen_keys.add(key)
            check(here)
            ends += not any(here.waiting)
            for number in (0, 1):
                if here.waiting[number]:
                    waiting.append((*turns, (number, False)))
                    if here.waiting[number] in WRITES and sum(lost for _, lost in turns) < losses:
                        waiting.append((*turns, (number, True)))
    return len(seen_keys), ends


MENDED: set[str] = set()  # what a registry holds decides what mending it gives


def is_sound(world: World) -> None:
    """Hold a state against the promises, as if both had crashed in it, and mend it as the next run does."""
    before = look(world, MODEL)
    assert before.journal.damage == ""
    counted = before.journal.counted
    assert [e.expect for e in counted] == [None, *(e.number for e in counted[:-1])]
    assert before.alias in {e.version for e in counted if e.kind in MOVES}
    for i, entry in enumerate(counted):
        assert entry.kind != "promote" or hold_of(counted[:i]) is None
    for result in world.results:
        assert not isinstance(result, JournalEntry) or result in counted
    if not any(world.waiting):
        refused = [
            result
            for result in world.results
            if not isinstance(result, JournalEntry | PlanError) and "at the same moment; look again" not in str(result)
        ]
        assert refused == []
        assert {e.attempt for e in counted[2:]} == {r.attempt for r in world.results if isinstance(r, JournalEntry)}
        if "True" not in repr(world.observed):
            assert before.head is not None and before.last is not None and before.anchor is not None
            assert (before.alias, before.anchor.number) == (before.head.version, before.last.number)
    if (known := repr(world.memory.models)) in MENDED:
        return
    MENDED.add(known)
    models, world.memory.models = world.memory.models, copy.deepcopy(world.memory.models)
    promotion.reconcile(FAKE, MODEL)
    current = promotion.champion(FAKE, MODEL)
    after = look(world, MODEL)
    world.memory.models = models
    assert current is not None and current.notes == ()
    assert (after.alias, after.journal) == (current.version, before.journal)


def who(story: Story, action: str) -> Action:
    return {
        "promotes": story.promote("c"),
        "promotes an older one": story.promote("a"),
        "rolls back": lambda: promotion.rollback(FAKE, MODEL, "complaints"),
        "rolls back to the first": lambda: promotion.rollback(FAKE, MODEL, "complaints", to="1"),
        "holds": lambda: holds.hold(FAKE, MODEL, "audit"),
        "reconciles": lambda: promotion.reconcile(FAKE, MODEL) and None,
    }[action]


PAIRS = [
    pytest.param(("promotes", "promotes an older one"), marks=pytest.mark.long),
    pytest.param(("promotes", "rolls back to the first"), marks=pytest.mark.long),
    ("promotes", "holds"),
]


@pytest.mark.parametrize("pair", PAIRS, ids=" and ".join)
def test_two_at_once_and_a_crash_anywhere(pair: tuple[str, str], story: Story) -> None:
    states, ends = explored(story, (who(story, pair[0]), who(story, pair[1])), is_sound, losses=0)
    assert states > 50 and ends > 5


@pytest.mark.long
def test_a_response_that_is_lost_anywhere_while_another_promotes(story: Story) -> None:
    states, ends = explored(story, (who(story, "promotes"), who(story, "holds")), is_sound, losses=1)
    assert states > 100 and ends > 10
