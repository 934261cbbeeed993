"""A plan read from its TOML file, with the changes of `--set`, and what is said of one that cannot be used."""

from __future__ import annotations

import difflib
import tomllib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from parsimony.errors import PlanError
from parsimony.flows.plan import SECTIONS, Plan


def load(path: Path, changes: Sequence[str] = ()) -> Plan:
    """Read a plan from TOML, with changes such as `gates.margin=0.02`; relative paths start at the plan's folder.

    Raises PlanError with one line: what was found, what was expected.
    """
    try:
        document = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise PlanError(f"{path}: cannot be read ({error.strerror}); expected the path of a plan in TOML") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise PlanError(f"{path}: is not TOML: {error}") from error
    for change in changes:
        _set(document, change)
    plan = parse(document, str(path))
    return _resolved(plan, path.resolve().parent)


def parse(document: Mapping[str, Any], source: str) -> Plan:
    """Check a plan's keys and values; raise PlanError naming the first wrong one."""
    try:
        return Plan.model_validate(document)
    except ValidationError as error:
        raise PlanError(f"{source}: {_explain(error)}") from error


def _set(document: dict[str, Any], change: str) -> None:
    """Apply one `key=value`; the value is read as TOML, or as text when it is not TOML."""
    key, equals, text = change.partition("=")
    names = [name.strip() for name in key.split(".")]
    if not equals or not all(names):
        raise PlanError(f"--set {change}: expected key=value, such as gates.margin=0.02")
    try:
        value = tomllib.loads(f"value = {text}")["value"]
    except tomllib.TOMLDecodeError:
        value = text
    place: Any = document
    for name in names[:-1]:
        place = _step(place, name, change)
    if isinstance(place, list):
        raise PlanError(f"--set {change}: name which one by its number, such as targets.0.threads=2")
    place[names[-1]] = value


def _step(place: Any, name: str, change: str) -> Any:
    if isinstance(place, list):
        if not name.isdigit() or int(name) >= len(place):
            raise PlanError(f"--set {change}: {name} is none of the {len(place)} entries, counted from 0")
        return place[int(name)]
    inner = place.setdefault(name, {})
    if not isinstance(inner, dict | list):
        raise PlanError(f"--set {change}: {name} is a value, not a table")
    return inner


def _explain(error: ValidationError) -> str:
    first = error.errors()[0]
    where = ".".join(str(part) for part in first["loc"])
    more = f" (and {error.error_count() - 1} more)" if error.error_count() > 1 else ""
    if first["type"] == "renamed":
        return first["msg"]
    if first["type"] == "extra_forbidden":
        return f"unknown key {where!r}; {_nearest(first['loc'])}{more}"
    if first["type"] == "missing":
        return f"the key {where!r} is missing{more}"
    value = "" if isinstance(first["input"], dict) else f", found {first['input']!r}"
    return f"{where or 'the plan'}: {first['msg'].removeprefix('Value error, ')}{value}{more}"


def _nearest(location: tuple[int | str, ...]) -> str:
    section: Any = Plan
    for part in location[:-1]:
        if isinstance(part, str):
            section = SECTIONS.get(part, section)
    names = list(section.model_fields)
    close = difflib.get_close_matches(str(location[-1]), names, n=1, cutoff=0.5)
    return f"did you mean {close[0]!r}?" if close else f"valid here: {', '.join(names)}"


def _resolved(plan: Plan, folder: Path) -> Plan:
    """Make the plan's relative paths absolute."""
    data = plan.data.model_copy(
        update={
            "train": _path(plan.data.train, folder),
            "test": None if plan.data.test is None else _path(plan.data.test, folder),
        }
    )
    names = tuple(name if name.startswith("package:") else _path(name, folder) for name in plan.bases.names)
    return plan.model_copy(update={"data": data, "bases": plan.bases.model_copy(update={"names": names})})


def _path(name: str, folder: Path) -> str:
    return name if name.startswith("hf:") else str((folder / Path(name).expanduser()).resolve())
