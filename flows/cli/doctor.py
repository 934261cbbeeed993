"""`parsimony doctor`: whether this machine, its servers and what is kept are fit for a run."""

from __future__ import annotations

import argparse
import json
from dataclasses import asdict
from typing import TYPE_CHECKING

from parsimony.flows import settings
from parsimony.flows.cli.shared import Verbs, takes_json, verb

if TYPE_CHECKING:
    from collections.abc import Iterator

    from parsimony.flows.settings import Settings
    from parsimony.flows.upkeep.diagnosis import Diagnosis


def add(verbs: Verbs) -> None:
    """Declare the verb."""
    parser = verb(verbs, doctor, "doctor", "check packages, servers, disk, journal and what killed runs left", "doctor")
    takes_json(parser, "print what was found as JSON")


def doctor(chosen: argparse.Namespace) -> int:
    """Print what was looked at, and what to do; 1 when something will fail or is unsafe."""
    diagnoses = list(_examined(settings.look()))
    if chosen.json:
        print(json.dumps([asdict(diagnosis) for diagnosis in diagnoses]))
    else:
        for diagnosis in diagnoses:
            print(f"{diagnosis.state:<6} {diagnosis.subject:<10} {diagnosis.message}")
            if diagnosis.remedy:
                print(f"{'':<18}do: {diagnosis.remedy}")
    return 1 if any(diagnosis.state == "wrong" for diagnosis in diagnoses) else 0


def _examined(where: Settings) -> Iterator[Diagnosis]:
    from parsimony.flows.upkeep import home, installation, servers

    yield from installation.packages()
    yield from installation.telemetry()
    yield from home.disk(where.home)
    yield from home.clock(where.home)
    yield from servers.examined(where)
    yield from home.journals(where)
    yield from home.remains(where.home)
