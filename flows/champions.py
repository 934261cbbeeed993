"""The registry that the environment names, and the bundle of a champion on this machine."""

from __future__ import annotations

import contextlib
import tempfile
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from parsimony.errors import PlanError
from parsimony.flows import settings

if TYPE_CHECKING:
    from parsimony.tasks.registry.tracking import Registry


def registry() -> Registry:
    """Return the registry that the environment names; only to read where its folder cannot be written."""
    return settings.look().registry


@contextlib.contextmanager
def bundle_folder(name: str, tell: Callable[[Iterable[str]], None]) -> Iterator[Path]:
    """Give a bundle's folder: a folder on disk, or the champion of a model, verified; `tell` gets what a person should know of it.

    The champion is downloaded once and kept; where nothing can be kept, for as long as the block lasts.
    """
    if (Path(name) / "manifest.json").is_file():
        yield Path(name)
        return
    from parsimony.files import is_complete
    from parsimony.tasks.registry.promotion import cached, champion, kept_in

    where = settings.look()
    place = where.registry
    present = champion(place, name)
    if present is None:
        raise PlanError(f"{name!r} is neither a folder with a bundle nor a model with a champion")
    store = where.home / "champions"
    usable = where.writable or is_complete(kept_in(store, present.digest))
    with contextlib.nullcontext(store) if usable else tempfile.TemporaryDirectory() as folder:
        current, bundle = cached(place, name, Path(folder))
        tell(current.notes)
        yield Path(bundle.folder)
