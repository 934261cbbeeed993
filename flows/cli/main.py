"""The command line: `parsimony VERB`. Results on standard output, progress and errors on standard error."""

from __future__ import annotations

import argparse
import sys
import traceback
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from parsimony.errors import InfrastructureError, ParsimonyError
from parsimony.flows import interrupts, settings, streams
from parsimony.flows.cli import (
    audit,
    bench,
    champion,
    clean,
    deploy,
    doctor,
    drift,
    history,
    hold,
    plan,
    predict,
    quality,
    reconcile,
    release,
    report,
    review,
    rollback,
    rotate,
    run,
    serve,
    up,
    watch,
)
from parsimony.tasks.registry.secrets import without_secrets

if TYPE_CHECKING:
    from parsimony.errors import Finding
    from parsimony.flows.interrupts import Interrupt

_VERBS = (
    run, plan, rotate, champion, history, rollback, review, hold, release, reconcile, predict, serve, report, audit, bench, drift,
    quality, doctor, clean, up, watch, deploy,
)  # fmt: skip
_EXIT_CODES = (
    "exit status: 0 promoted, waiting or kept, 1 nothing passed, a receipt that does not hold or a machine that is not fit, 2 bad plan, "
    "3 bad data, 4 infrastructure"
)
_FINDINGS_SHOWN = 20


def parser() -> argparse.ArgumentParser:
    """Return the parser of every verb and its arguments."""
    whole = argparse.ArgumentParser(
        prog="parsimony",
        description="Find the smallest model that provably keeps the quality, and put exactly that one into production.",
        epilog=_EXIT_CODES,
    )
    verbs = whole.add_subparsers(required=True, metavar="VERB")
    for verb in _VERBS:
        verb.add(verbs)
    return whole


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one verb and return its exit status; what is refused or interrupted is one line on standard error."""
    with streams.lenient(), interrupts.watched() as interrupt:
        try:
            return _status(parser().parse_args(arguments), interrupt)
        except BaseException:
            if interrupt.number is None:
                raise
            return interrupts.leave_if_alone(interrupt, arguments)


def _status(chosen: argparse.Namespace, interrupt: Interrupt) -> int:
    verb: Callable[[argparse.Namespace], int] = chosen.verb
    try:
        return verb(chosen)
    except (KeyboardInterrupt, SystemExit, GeneratorExit):
        raise
    except BaseException as error:
        # A server that went away, a broken installation, a panic, a defect: one line, and the evidence.
        if interrupt.number is not None:  # what fails then fails because of it
            raise
        return _refused(error)


def _refused(error: BaseException) -> int:
    """Print what is refused as one line, with the findings where there are several, and return the exit status."""
    if isinstance(error, ParsimonyError):
        _tell(str(error))
        _list_findings(getattr(error, "findings", ()))
        return error.exit_code
    if isinstance(error, OSError):
        _tell(f"{error}; free or fix it and run again")
    else:
        _tell(_missing(error) or _evidence(error))
    return InfrastructureError.exit_code


def _tell(message: str) -> None:
    """Print what is refused as one line, without the secrets of addresses."""
    print(f"parsimony: {without_secrets(' '.join(message.splitlines()))}", file=sys.stderr)


def _missing(error: BaseException) -> str:
    """Return the line that says which extra to install, "" when the error is another one.

    Both kinds of ImportError have no path: of a library that is not there, and of a name in an empty folder that is
    called like the library, as `mlflow/` in the checkout is.
    """
    if not isinstance(error, ImportError) or not error.name or error.path is not None:
        return ""
    library = error.name.partition(".")[0]
    return "" if library == "parsimony" else f"{library} is not installed; pip install 'parsimony[flow]'"


def _evidence(error: BaseException) -> str:
    """Keep the traceback in a file and return the line that names the error and the file."""
    first = (str(error).strip().splitlines() or [""])[0][:300]
    line = f"{type(error).__name__}: {first}"
    try:
        path = settings.prepare().home / "error.txt"
        path.write_text(without_secrets("".join(traceback.format_exception(error))), encoding="utf-8")
    except (InfrastructureError, OSError) as refused:
        return f"{line}; the details could not be kept: {refused}"
    return f"{line}; the details are in {path}"


def _list_findings(findings: Sequence[Finding]) -> None:
    """Print every finding when there are several: file, row, column, reason."""
    for finding in findings[:_FINDINGS_SHOWN] if len(findings) > 1 else ():
        print(f"  {without_secrets(finding.line())}", file=sys.stderr)
    if len(findings) > _FINDINGS_SHOWN:
        print(f"  and {len(findings) - _FINDINGS_SHOWN} more", file=sys.stderr)


if __name__ == "__main__":
    sys.exit(main())
