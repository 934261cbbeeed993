"""What several verbs need: how a verb is declared, the registry, a bundle by name, the folder of a run."""

from __future__ import annotations

import argparse
import contextlib
import sys
import tempfile
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias

from parsimony.errors import PlanError
from parsimony.flows import settings

if TYPE_CHECKING:
    from parsimony.tasks.registry.tracking import Registry

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


def registry() -> Registry:
    """Return the registry that the environment names; only to read where its folder cannot be written."""
    return settings.look().registry


@contextlib.contextmanager
def bundle_folder(name: str) -> Iterator[Path]:
    """Give a bundle's folder: a folder on disk, or the champion of a model, verified.

    The champion is downloaded once and kept; where nothing can be kept, for as long as the block lasts.
    """
    if (Path(name) / "manifest.json").is_file():
        yield Path(name)
        return
    from parsimony.files import is_complete
    from parsimony.tasks.registry.promotion import cached, champion, kept_in

    place, where = registry(), settings.look()
    present = champion(place, name)
    if present is None:
        raise PlanError(f"{name!r} is neither a folder with a bundle nor a model with a champion")
    store = where.home / "champions"
    usable = where.writable or is_complete(kept_in(store, present.digest))
    with contextlib.nullcontext(store) if usable else tempfile.TemporaryDirectory() as folder:
        current, bundle = cached(place, name, Path(folder))
        say(current.notes)
        yield Path(bundle.folder)


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
