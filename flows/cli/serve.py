"""`parsimony serve`: a bundle over HTTP. With a folder it needs the base dependencies and the extra `serve` only."""

from __future__ import annotations

import argparse
import contextlib
import importlib.util
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

from parsimony.errors import InfrastructureError, PlanError
from parsimony.files import MANIFEST, home
from parsimony.flows import settings as environment
from parsimony.flows.cli.shared import Verbs, say, verb

if TYPE_CHECKING:
    from parsimony.serving.settings import Settings

SAGEMAKER_FOLDER = "/opt/ml/model"
_LOOK_S = 0.5


def add(verbs: Verbs) -> None:
    """Declare the verb."""
    purpose = "answer over HTTP with the champion, and follow it"
    parser = verb(verbs, serve, "serve", purpose, "serve support-tickets --port 8080")
    parser.add_argument(
        "name",
        nargs="?",
        default=SAGEMAKER_FOLDER,
        help="the registered model, or a folder with a bundle (SageMaker's)",
    )
    parser.add_argument(
        "--host", help=f"the address to listen on ({environment.SERVING_HOST}, or 127.0.0.1: this machine only)"
    )
    parser.add_argument("--port", type=int, default=8080, help="the port to listen on (8080); 0 for a free one")
    parser.add_argument("--processes", type=int, default=1, help="processes that share the port (1)")
    parser.add_argument("--threads", type=int, default=1, help="threads a prediction may use (1)")
    parser.add_argument("--body-bytes", type=int, default=1 << 20, help="most bytes of a request's body (1048576)")
    parser.add_argument("--texts", type=int, default=128, help="most texts of a request (128)")
    parser.add_argument("--chars", type=int, default=20_000, help="most characters of a text (20000)")
    parser.add_argument("--queue", type=int, default=256, help="most texts that wait; above it 429 (256)")
    parser.add_argument(
        "--timeout", type=float, default=10.0, help="seconds for a body to come, and for texts to wait (10)"
    )
    parser.add_argument(
        "--followed", action="store_true", help="another process looks production up: only read what it writes"
    )
    parser.add_argument(
        "--sample",
        metavar="FILE",
        help="keep a sample of texts with their labels in this file; without it none is kept",
    )
    parser.add_argument("--sample-most", type=int, default=10_000, help="most texts that the sample keeps (10000)")
    parser.add_argument(
        "--sample-share", type=float, default=0.01, help="the share of texts that the sample keeps (0.01)"
    )


def serve(chosen: argparse.Namespace) -> int:
    """Serve until SIGTERM or Ctrl-C, which finish what is in hand."""
    for library in ("uvicorn", "orjson"):
        if importlib.util.find_spec(library) is None:
            raise InfrastructureError(f"{library} is not installed; pip install 'parsimony[serve]'")
    from parsimony.serving import server

    settings = _settings(chosen)
    if settings.host not in environment.LOOPBACK and not settings.token:
        say((f"{settings.host} can be reached from other machines without a token; set {environment.SERVING_TOKEN}",))
    if chosen.followed:
        _wait_for(settings.source)
    elif (
        settings.follow and not settings.source.is_file()
    ):  # never served here: nothing to go on with until it is looked up
        status = subprocess.run((*settings.follow, "once"), check=False).returncode
        if status != 0:
            return status
    signal.set_wakeup_fd(-1)  # a server ends in its own time, not in the seconds that other verbs are given
    with contextlib.suppress(KeyboardInterrupt):  # uvicorn raises the signal again once the last response is out
        server.run(settings)
    return 0


def _wait_for(path: Path) -> None:
    """Wait until a first champion is named; a container that ended instead would be started again and again."""
    if not path.exists():
        say((f"waits for a first champion; whoever follows production names it in {path}",))
    while not path.exists():
        time.sleep(_LOOK_S)


def _settings(chosen: argparse.Namespace) -> Settings:
    from parsimony.serving import champion_file, served
    from parsimony.serving.settings import Limits, Sample, Settings

    try:
        limits = Limits(
            body_bytes=chosen.body_bytes,
            texts=chosen.texts,
            chars=chosen.chars,
            waiting_texts=chosen.queue,
            timeout_s=chosen.timeout,
        )
        kept = None
        if chosen.sample:
            kept = Sample(path=Path(chosen.sample).absolute(), most=chosen.sample_most, share=chosen.sample_share)
        common = {
            "host": chosen.host or environment.serving_host(),
            "port": chosen.port,
            "processes": chosen.processes,
            "threads": chosen.threads,
        }
        common |= {"limits": limits, "sample": kept, "token": environment.serving_token()}
        folder = Path(chosen.name)
        if (folder / MANIFEST).is_file():
            return Settings(name=served.name_of(folder), source=folder.absolute(), **common)
        if folder.is_dir() or chosen.name == SAGEMAKER_FOLDER or os.sep in chosen.name:
            raise PlanError(
                f"{chosen.name} is no folder with a bundle: it holds no {MANIFEST}; name a folder or a registered model"
            )
        follow = () if chosen.followed else follow_command(chosen.name)
        return Settings(name=chosen.name, source=champion_file.path_in(home(), chosen.name), follow=follow, **common)
    except ValueError as error:
        raise PlanError(str(error)) from error


def follow_command(name: str) -> tuple[str, ...]:
    """Return the command of the process that looks production up; from no folder where it was started."""
    return (sys.executable, "-P", "-m", "parsimony.flows.follow", name, str(os.getpid()))
