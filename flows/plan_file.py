"""A plan read from its TOML file, with the changes of `--set`, and what is said of one that cannot be used."""

from __future__ import annotations

import codecs
import difflib
import re
import tomllib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from parsimony.errors import PlanError
from parsimony.flows.plan import SECTIONS, Plan

_BACKSLASH = "in double quotes a backslash begins an escape: write the path in single quotes, or with /"


def load(path: Path, changes: Sequence[str] = ()) -> Plan:
    """Read a plan from TOML, with changes such as `gates.margin=0.02`; relative paths start at the plan's folder.

    Raises PlanError with one line: what was found, what was expected.
    """
    try:
        data = path.read_bytes()
    except OSError as error:
        raise PlanError(f"{path}: cannot be read ({error.strerror}); expected the path of a plan in TOML") from error
    document = _document(data, str(path))
    for change in changes:
        _set(document, change)
    plan = parse(document, str(path))
    for name in (plan.data.train, plan.data.test or "", plan.data.unlabelled or "", *plan.bases.names):
        if any(ord(character) < 32 for character in name):  # "C:\temp" is TOML of another path
            raise PlanError(f"{path}: the path {name!r} holds a control character; {_BACKSLASH}")
    return _resolved(plan, path.resolve().parent)


def _document(data: bytes, source: str) -> dict[str, Any]:
    """Parse TOML in UTF-8, which may begin with a byte order mark; say what makes it none."""
    if data.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        raise PlanError(f"{source}: is UTF-16, by its byte order mark; expected TOML in UTF-8: save it as UTF-8")
    try:
        content = data.decode("utf-8-sig")
        return tomllib.loads(content)
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        reason = f"byte {error.start} (0x{data[error.start]:02x}, line {line}) is not UTF-8; save it as UTF-8"
        raise PlanError(f"{source}: is not TOML: {reason}") from error
    except tomllib.TOMLDecodeError as error:
        raise PlanError(f"{source}: is not TOML: {error}{_hint(content, str(error))}") from error


def _hint(content: str, problem: str) -> str:
    """Say what people write instead of TOML: a path of Windows in double quotes, curly quotes, a value without quotes."""
    lines = content.splitlines() or [""]
    place = re.search(r"at line (\d+)", problem)
    line = lines[min(int(place[1]), len(lines)) - 1] if place else lines[-1]
    if "\\" in line and '"' in line:
        return "; " + _BACKSLASH
    return "; the quotes are curly, expected straight ones" if re.search("[“”„‘’]", line) else ""


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
            "unlabelled": None if plan.data.unlabelled is None else _path(plan.data.unlabelled, folder),
        }
    )
    names = tuple(name if name.startswith("package:") else _path(name, folder) for name in plan.bases.names)
    return plan.model_copy(update={"data": data, "bases": plan.bases.model_copy(update={"names": names})})


def _path(name: str, folder: Path) -> str:
    return name if name.startswith("hf:") else str((folder / Path(name).expanduser()).resolve())
