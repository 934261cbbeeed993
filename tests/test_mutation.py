"""What is said of mutants: none is taken for killed, and none survives without its reason."""

from __future__ import annotations

import tomllib
from importlib import import_module
from operator import attrgetter
from pathlib import Path

import mutation
import pytest
from mutation import Module, Survivor

DIFF = """\
--- parsimony/stats.py
+++ parsimony/stats.py
@@ -{line},4 +{line},4 @@
 def bound(gap):
-    if gap > 0:
+    if gap >= 0:
         return gap
     return -gap
"""
ALIVE = Survivor(where="stats.bound", was="if gap > 0:", now="if gap >= 0:")


def module(mutants: int = 100, *survivors: Survivor) -> Module:
    return Module(name="stats", mutants=mutants, out_of_time=2, survivors=survivors)


@pytest.mark.parametrize("line", [7, 213])
def test_a_survivor_is_known_by_its_lines_wherever_they_stand(line: int) -> None:
    assert mutation.survivor("stats.bound", DIFF.format(line=line)) == ALIVE


def test_lines_that_a_mutant_takes_away_are_part_of_what_it_was() -> None:
    result = mutation.survivor("f", " call(\n-    first,\n-    second,\n+    first,\n )\n")
    assert result == Survivor(where="f", was="first, second,", now="first,")


def test_killed_mutants_and_survivors_with_reasons_hold() -> None:
    assert mutation.summary([module(100, ALIVE)], {ALIVE: "the same"}) == {
        "mutants": 100,
        "killed": 99,
        "survived": 1,
        "share": 0.99,
        "modules": {"stats": {"mutants": 100, "killed": 99, "survived": 1}},
        "without_reason": [],
        "reasons_without_survivor": [],
        "holds": True,
    }


def test_a_survivor_without_a_reason_does_not_hold_and_is_named() -> None:
    result = mutation.summary([module(100, ALIVE)], {})
    assert (result["holds"], result["without_reason"]) == (False, ["stats.bound: if gap > 0: -> if gap >= 0:"])
    assert "**No reason is known.**" in mutation.page([module(100, ALIVE)], {}, "here")


@pytest.mark.parametrize(("survivors", "holds"), [(5, True), (6, False)])
def test_fewer_than_95_killed_of_100_do_not_hold_whatever_the_reasons(survivors: int, holds: bool) -> None:
    result = mutation.summary([module(100, *[ALIVE] * survivors)], {ALIVE: "the same"})
    assert result["holds"] is holds


@pytest.mark.parametrize("modules", [[], [module(0)], [module(100), module(0)]])
def test_a_module_without_mutants_does_not_hold(modules: list[Module]) -> None:
    assert mutation.summary(modules, {})["holds"] is False


def test_a_reason_whose_mutant_is_killed_is_named_and_does_no_harm() -> None:
    result = mutation.summary([module()], {ALIVE: "the same"})
    assert (result["holds"], result["reasons_without_survivor"]) == (True, ["stats.bound"])


def test_the_page_has_a_row_for_each_module_and_a_reason_for_each_survivor() -> None:
    text = mutation.page([module(200, ALIVE)], {ALIVE: "Both are the same."}, "On this machine")
    assert "| stats | 200 | 199 | 2 | 1 | 99.5 |" in text
    assert "- `stats.bound`: `if gap > 0:` as `if gap >= 0:`. Both are the same." in text


def _room(module: str) -> str:
    """Return the room of a module that `make mutate` changes."""
    changed = tomllib.loads(Path("pyproject.toml").read_text(encoding="utf-8"))["tool"]["mutmut"]["only_mutate"]
    return next(Path(path).parent.name for path in changed if Path(path).stem == module)


def test_every_reason_that_is_kept_says_something_of_a_function_that_is_there() -> None:
    known = mutation.reasons()
    assert known
    for one, reason in known.items():
        name, function = one.where.split(".", 1)
        assert callable(attrgetter(function)(import_module(f"parsimony.{_room(name)}.{name}"))), one
        assert reason.endswith("."), one
        assert one.was != one.now, one
