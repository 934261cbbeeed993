"""A seeded share of the storm (`make storm`), and that its instruments notice what they are there to notice.

Not repeated here is what other tests try in full: two actors in every order (test_schedules), broken bases (test_preflight), runs that are
killed (test_interrupts).
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from pathlib import Path

import pytest
from test_registry import MODEL

from tests.storm import calls, checker, crowd, kills, material, secrets, stops, strangers, tampering
from tests.storm.calls import Field
from tests.storm.failpoints import Place, stopped_at
from tests.storm.forks import done, fork
from tests.storm.material import Base
from tests.storm.page import Storm, page
from tests.storm.records import SuiteResult, Tally, upper_bound

GENEROUS_S = 30.0

pytestmark = [pytest.mark.slow, pytest.mark.flow, pytest.mark.long]


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory, prefect_backend: None) -> Iterator[Base]:
    folder = tmp_path_factory.mktemp("storm")
    material.warm(folder / "warm")
    with material.bases(folder, with_postgres=False) as [only]:
        yield only


@pytest.fixture(scope="module")
def field(base: Base) -> Iterator[Field]:
    with calls.field_on(base) as served:
        yield served


def held(result: SuiteResult, trials: int) -> None:
    assert result.violations == ()
    assert result.trials >= trials


# --- a share of every suite -------------------------------------------------------------------------


def test_stopped_at_two_places_in_each_way(base: Base, rng: random.Random) -> None:
    held(stops.every_place([base], 0.002, rng), 6)


def test_killed_at_three_times_drawn_by_chance(base: Base, rng: random.Random) -> None:
    held(kills.at_any_time([base], 0.01, rng), 3)


def test_calls_spoiled_in_six_ways(field: Field, rng: random.Random) -> None:
    held(calls.every_call(field, 0.008, rng), 5)


def test_a_version_whose_response_is_lost_is_not_made_twice(field: Field) -> None:
    for number in (1, 2):  # the model's, and the entry of its journal
        calls.spoiled(field, number, "dropped response", "/model-versions/create")


def test_a_rollback_takes_seconds_on_a_database_and_on_a_server(base: Base, field: Field) -> None:
    """Less than five on a machine at rest, which `make storm` holds; here others may be at work."""
    for taken in calls.rollbacks(base, field, 2):
        assert max(taken) < GENEROUS_S


def test_two_and_eight_who_promote_at_once(base: Base, rng: random.Random) -> None:
    for suite in crowd.suites([base])[:2]:
        held(suite(0.02, rng), 2)


def test_four_kinds_of_tampering(base: Base, rng: random.Random) -> None:
    held(tampering.every_kind(base, 0.1, rng), 4)


def test_strangers_files(tmp_path: Path, rng: random.Random) -> None:
    for name, suite in {"b": strangers.bundles, "g": strangers.graphs, "t": strangers.tables}.items():
        (tmp_path / name).mkdir()
        held(suite(tmp_path / name, 0.1, rng), 25)


def test_two_secrets_in_their_places(base: Base, rng: random.Random) -> None:
    held(secrets.everywhere(base, 0.1, rng), 2)


@pytest.fixture
def rng() -> random.Random:
    return random.Random(14)


# --- the instruments --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("statement", "noticed"),
    [
        ("UPDATE model_version_tags SET value = 'x' WHERE name = '{j}' AND version = 2 AND key = 'reason'", "not what was sealed"),
        ("UPDATE model_version_tags SET value = 'fail' WHERE name = '{m}' AND version = 2 AND key = 'verdict'", "not judged"),
        ("UPDATE model_version_tags SET value = 'x' WHERE name = '{m}' AND version = 2 AND key = 'digest'", "differ"),
        ("DELETE FROM model_versions WHERE name = '{m}' AND version = 2", "not there"),
        ("UPDATE registered_model_aliases SET version = 9", "alias names 9"),
        ("UPDATE registered_model_tags SET value = '9 x'", "the anchor names"),
        ("UPDATE registered_model_aliases SET version = 1", "alias 1, journal 2"),
        ("UPDATE logged_models SET artifact_location = 'file:///nowhere'", "has no manifest"),
    ],
)  # fmt: skip
def test_the_checker_notices_what_was_changed(statement: str, noticed: str, base: Base) -> None:
    with base.ground() as ground:
        checker.check_settled(checker.facts(ground, MODEL), ground.bundles["b"])
        scene = tampering.Scene(ground=ground, places={})
        scene.sql(statement.format(m=MODEL, j=tampering.JOURNAL))
        with pytest.raises(AssertionError, match=noticed):
            checker.check_settled(checker.facts(ground, MODEL), ground.bundles["b"])


def test_a_process_is_stopped_where_it_was_to_be(base: Base) -> None:
    place = Place(name="begin in tasks/registry/journal.py:append")
    verb = stops.verbs(base)[0]
    for mode, end in (("kill", "killed"), ("raise", "raised"), ("hang", "killed")):
        with base.ground() as ground:
            process = fork(stopped_at(lambda: verb.do(ground), place, mode), ground.log)
            assert process.hangs() == (mode == "hang")
            process.kill()
            assert process.end().end == end
            state = checker.facts(ground, MODEL)
            assert (len(state.counted), len(state.versions)) == (2, 3)  # registered, and not yet promoted
            marks = list(ground.runs.glob("*/promotion-pending"))
            assert bool(marks) == (mode != "raise")  # a refusal that is certain takes the mark away


def test_a_canary_that_is_read_is_noticed(tmp_path: Path) -> None:
    with strangers.canary(tmp_path / "secret.bin") as secret:
        secret.untouched()
        assert done(lambda: len((tmp_path / "secret.bin").read_bytes())).value == 72
        with pytest.raises(AssertionError, match="was read"):
            secret.untouched()


def test_bounds_and_page() -> None:
    assert upper_bound(0, 0) == upper_bound(3, 3) == 1.0
    assert upper_bound(0, 1000) == pytest.approx(0.0029912, abs=1e-6)
    assert upper_bound(1, 10) == pytest.approx(0.394163, abs=1e-5)
    tally = Tally(name="suite", whole=4)
    for number in range(3):
        with tally.trial(f"seed {number}"):
            assert number != 1, "it is one"
    shown = page(Storm(seed=5).with_result("stops", tally.result("a remark")))
    assert "**3 trials, 1 violation.**" in shown and "- suite: seed 1: it is one" in shown
    assert "Fewer trials than a whole storm has were made in: suite." in shown
    assert "Not one trial was made of: kills, calls, " in shown
    assert "| suite | 3 | 4 | 1 | 86.46% | 0 | a remark |" in shown
