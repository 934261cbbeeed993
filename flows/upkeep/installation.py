"""The installation: packages that do not go together, and telemetry that somebody switched on."""

from __future__ import annotations

import importlib.metadata
import os
from collections.abc import Iterator, Mapping

from parsimony.flows.upkeep.diagnosis import Diagnosis

# What breaks although no package says so: this package in these versions, with that one in those, and what happens then.
_BREAKS = (
    ("fastapi", ">=0.151", "prefect", "<3.9.1", "Prefect's server does not start", "prefect>=3.9.1"),
    ("sqlalchemy", ">=2.1", "mlflow", "<4", "a home with % or ? in its name is not read back", "sqlalchemy<2.1"),
    ("sqlalchemy", ">=2.1", "prefect", "<4", "Prefect makes no scheduled runs", "sqlalchemy<2.1"),
)
# What each library reads, and the values that switch its telemetry off.
_TELEMETRY = {
    "DO_NOT_TRACK": ("1", "true"),
    "GX_ANALYTICS_ENABLED": ("false", "0"),
    "HF_HUB_DISABLE_TELEMETRY": ("1", "true", "yes", "on"),
    "MLFLOW_DISABLE_TELEMETRY": ("true", "1"),
    "ORT_DISABLE_TELEMETRY": ("1",),
    "PREFECT_SERVER_ANALYTICS_ENABLED": ("false", "0"),
}
# What this package asks for where it trains, and where it only works for Prefect, which is known by the missing torch.
_TRAINS, _WORKS = ("", "train", "flow"), ("", "worker")


def packages() -> Iterator[Diagnosis]:
    """Yield what this package and those that it needs ask for and do not get, and what is known to break."""
    problems = [*_unmet("parsimony"), *_breaks()]
    yield from problems
    if not problems:
        yield Diagnosis(subject="packages", state="well", message="all versions go together")


def _unmet(root: str) -> Iterator[Diagnosis]:
    """Yield requirements that the installed versions do not meet, of a package and of all below it."""
    from packaging.requirements import Requirement

    trains = _version("torch") is not None or _version("great_expectations") is not None
    waiting: list[tuple[str, tuple[str, ...]]] = [(root, _TRAINS if trains else _WORKS)]
    known = set[tuple[str, tuple[str, ...]]]()
    while waiting:
        name, extras = waiting.pop()
        if (name, extras) in known:
            continue
        known.add((name, extras))
        for line in importlib.metadata.requires(name) or ():
            needed = Requirement(line)
            if needed.marker is not None and not any(needed.marker.evaluate({"extra": extra}) for extra in extras):
                continue
            if needed.name == root:
                continue
            version = _version(needed.name)
            if version is None:
                message = f"{name} asks for {needed.name}{needed.specifier}, which is not installed"
            elif needed.specifier.contains(version, prereleases=True):
                waiting.append((needed.name, ("", *sorted(needed.extras))))
                continue
            else:
                message = f"{name} asks for {needed.name}{needed.specifier}, {version} is installed"
            remedy = f"pip install '{needed.name}{needed.specifier}'"
            yield Diagnosis(subject="packages", state="wrong", message=message, remedy=remedy)


def _breaks() -> Iterator[Diagnosis]:
    from packaging.specifiers import SpecifierSet

    for one, versions, other, others, what, cure in _BREAKS:
        first, second = _version(one), _version(other)
        if first is None or second is None:
            continue
        if SpecifierSet(versions).contains(first) and SpecifierSet(others).contains(second):
            message = f"{one} {first} with {other} {second}: {what}"
            yield Diagnosis(subject="packages", state="wrong", message=message, remedy=f"pip install '{cure}'")


def _version(name: str) -> str | None:
    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return None


def telemetry(environment: Mapping[str, str] = os.environ) -> Iterator[Diagnosis]:
    """Yield each library whose telemetry the environment leaves on, after `settings` gave it its defaults."""
    on = [name for name, off in _TELEMETRY.items() if environment.get(name, "").lower() not in off]
    for name in on:
        message = f"{name} is {environment.get(name)!r}: that library may send what it is used for"
        remedy = f"unset {name}, or set it to {_TELEMETRY[name][0]}"
        yield Diagnosis(subject="telemetry", state="wrong", message=message, remedy=remedy)
    if not on:
        yield Diagnosis(subject="telemetry", state="well", message="off in every library")
