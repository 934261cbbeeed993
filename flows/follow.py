"""Look up which bundle is in production, every few seconds, and tell the servers of it: a process of its own, beside them.

So that a server carries neither MLflow nor its time. A champion is downloaded, verified against the journal and tried out here;
servers verify it once more. What goes wrong is one line, once, and the servers go on with what they have.
"""

from __future__ import annotations

import signal
import sys
import time
from types import FrameType
from typing import NoReturn

from parsimony.errors import InfrastructureError, ParsimonyError, first_line
from parsimony.flows import settings
from parsimony.measurement.parent import end_with_parent
from parsimony.serving import champion_file
from parsimony.serving.champion_file import Named
from parsimony.tasks.registry.secrets import without_secrets

EVERY_S = 4.0


def look_up(name: str) -> Named:
    """Write which bundle of a model is in production, and return it; raises what the registry raises."""
    where = settings.look()
    from parsimony.tasks.registry.promotion import cached

    champion, bundle = cached(where.registry, name, where.home / "champions")
    named = Named(
        model=name, version=champion.version, digest=bundle.digest, folder=bundle.folder, note="; ".join(champion.notes)
    )
    champion_file.write(champion_file.path_in(where.home, name), named)
    return named


def keep_looking(name: str, every_s: float = EVERY_S) -> None:
    """Look production up until this process ends."""
    said = ""
    while True:
        try:
            look_up(name)
            line = ""
        except (ParsimonyError, OSError) as error:
            line = first_line(error, 300)
        if line and line != said:
            sys.stderr.write(f"parsimony: {without_secrets(line)}; what was verified last is served meanwhile\n")
            sys.stderr.flush()
        said = line
        time.sleep(every_s)


def once(name: str) -> int:
    """Look production up once; print what is refused, and return the exit status."""
    try:
        look_up(name)
    except (ParsimonyError, OSError) as error:
        sys.stderr.write(f"parsimony: {without_secrets(first_line(error))}\n")
        return getattr(error, "exit_code", InfrastructureError.exit_code)
    return 0


def _leave(number: int, _: FrameType | None) -> NoReturn:
    sys.exit(128 + number)


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, _leave)  # the first process of a container hears no signal that it does not handle
    if sys.argv[2:]:
        end_with_parent(int(sys.argv[2]))
    if sys.argv[3:] == ["once"]:
        sys.exit(once(sys.argv[1]))
    keep_looking(sys.argv[1])
