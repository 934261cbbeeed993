"""Whether anything has changed since the champion was decided: asked before anything is read, validated or trained."""

from __future__ import annotations

import importlib.metadata
import re
from pathlib import Path

import parsimony
from parsimony import flows, tasks
from parsimony.decision.journal import Champion
from parsimony.errors import InfrastructureError, ParsimonyError
from parsimony.files import digest_file, digest_of
from parsimony.flows import settings
from parsimony.flows.plan import Plan
from parsimony.measurement import machine
from parsimony.tasks.notices import notice
from parsimony.tasks.registry import inputs
from parsimony.training import bases

_COMMIT = re.compile(r"hf:[^@]+@[0-9a-f]{40}")


def inputs_digest(plan: Plan) -> str | None:
    """Return one digest of all that a decision follows from: the contents of data and bases, plan, code, libraries, machine.

    None where that cannot be known: a name on the hub without a full commit. Raises PlanError for a base that is not there,
    OSError for a file.
    """
    sources = [plan.data.train, *filter(None, [plan.data.test, plan.data.unlabelled]), *plan.bases.names]
    if any(name.startswith("hf:") and not _COMMIT.fullmatch(name) for name in sources):
        return None
    libraries = sorted({f"{d.name}=={d.version}" for d in importlib.metadata.distributions()})
    return digest_of(
        [content(name) for name in sources], plan.model_dump(mode="json"), _code(), libraries, machine.kind()
    )


def content(name: str) -> list[str]:
    """Return the digest of each file of a data source or base; its name where the name says all."""
    if name.startswith("hf:"):
        return [name]
    if name.startswith("package:"):
        return [bases.digest(bases.resolve(name))]
    path = Path(name)
    files = sorted(p for p in path.rglob("*") if p.is_file()) if path.is_dir() else [path]
    return [digest_file(file) for file in files]


def _code() -> str:
    """Return one digest of all our code, wherever it is installed."""
    roots = (Path(package.__file__ or "").parent for package in (parsimony, flows, tasks))
    return digest_of([digest_file(path) for root in roots for path in sorted(root.rglob("*.py"))])


def champion_of_same(plan: Plan, digest: str) -> Champion | None:
    """Return the champion when nothing has changed since it was decided, and it is there and verifies; else None."""
    registry = settings.prepare().registry
    try:
        return inputs.decided_on(registry, plan.model, digest)
    except ParsimonyError as error:
        notice("unchanged", f"the champion is looked at again: {error}")
        return None


def remember(plan: Plan, digest: str) -> None:
    """Write down what the champion was decided on; where that does not work, the next run searches again."""
    registry = settings.prepare().registry
    try:
        inputs.remember(registry, plan.model, digest)
    except InfrastructureError as error:
        notice("unchanged", f"the next run searches again, whatever has changed: {error}")
