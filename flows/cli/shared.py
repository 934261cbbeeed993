"""What several verbs need: how a verb is declared, what is said beside a result, the folder of a run."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import TypeAlias

from parsimony.errors import PlanError
from parsimony.flows import settings

Verbs: TypeAlias = "argparse._SubParsersAction[argparse.ArgumentParser]"


def verb(
    verbs: Verbs, function: Callable[[argparse.Namespace], int], name: str, purpose: str, example: str
) -> argparse.ArgumentParser:
    """Declare a verb: the function that does it, its purpose in a line, and an example without the program's name."""
    parser = verbs.add_parser(name, help=purpose, description=purpose, epilog=f"example: parsimony {example}")
    parser.set_defaults(verb=function)
    return parser


def takes_plan(parser: argparse.ArgumentParser) -> None:
    """Let a verb take a plan and changes to it."""
    parser.add_argument("plan", help="the plan, a TOML file")
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE", help="change a key of the plan")


def takes_optional_plan(parser: argparse.ArgumentParser) -> None:
    """Let a verb take the plan that the deployments of the search carry."""
    parser.add_argument(
        "plan", nargs="?", help="the plan of the searches; without it the one they have, the demonstration's at first"
    )
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE", help="change a key of the plan")


def takes_reason(parser: argparse.ArgumentParser) -> None:
    """Let a verb take the reason that the journal keeps, with who gave it."""
    parser.add_argument(
        "--reason", required=True, metavar="WORDS", type=_words, help="why, for whoever reads the journal later"
    )


def _words(text: str) -> str:
    if not text.strip():
        raise argparse.ArgumentTypeError("it is empty; say why in a few words")
    return text


def takes_json(parser: argparse.ArgumentParser, purpose: str) -> None:
    """Let a verb print JSON instead of what is meant for people."""
    parser.add_argument("--json", action="store_true", help=purpose)


def takes_confidence(parser: argparse.ArgumentParser) -> None:
    """Let a verb take how sure its verdict is."""
    parser.add_argument(
        "--confidence", type=share, default=0.95, metavar="SHARE", help="how sure the verdict is (default: 0.95)"
    )


def share(text: str) -> float:
    """Return a share between 0 and 1, both excluded."""
    try:
        value = float(text)
    except ValueError:
        value = -1.0
    if not 0.0 < value < 1.0:
        raise argparse.ArgumentTypeError(f"found {text!r}, expected a number between 0 and 1")
    return value


def say(lines: Iterable[str]) -> None:
    """Print what a person should know beside the result, a line each, on standard error."""
    for line in lines:
        print(f"parsimony: {line}", file=sys.stderr)


def run_folder(name: str | None) -> Path:
    """Return the folder of a run: of the latest one without a name, by its id, or by the path of its receipt."""
    if name is not None and Path(name).name == "receipt.json" and Path(name).is_file():
        return Path(name).parent
    runs_folder = settings.look().home / "runs"
    runs = sorted(p.parent.name for p in runs_folder.glob("*/receipt.json"))
    matching = [run for run in runs if run == name or name in (None, "latest")]
    if not matching:
        known = ", ".join(runs[-5:]) or "none yet"
        raise PlanError(f"no finished run {name or 'latest'!r} below {runs_folder}; the last ones: {known}")
    return runs_folder / matching[-1]
