"""Every model of a registry at a glance: its journal's head, its alias, and the bundles that must be kept for it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from parsimony.decision.journal import MOVES, JournalEntry
from parsimony.errors import ParsimonyError
from parsimony.tasks.registry import database
from parsimony.tasks.registry.entries import JOURNAL_SUFFIX
from parsimony.tasks.registry.journal import ALIAS, look
from parsimony.tasks.registry.tracking import Registry, connected

if TYPE_CHECKING:
    from mlflow import MlflowClient

_MOST_MODELS = 1000
_PROMOTIONS_KEPT = 5


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """A model: the entries of its journal that count, the version that its alias names, and why the journal cannot be read."""

    model: str
    entries: tuple[JournalEntry, ...] = ()
    alias: str | None = None
    problem: str = ""

    @property
    def head(self) -> JournalEntry | None:
        """The entry that names the champion; None where there is none."""
        return next((entry for entry in reversed(self.entries) if entry.kind in MOVES), None)

    @property
    def kept_digests(self) -> frozenset[str]:
        """The digests of the champion and of the last five promotions, with all that was put in production since."""
        promoted = [place for place, entry in enumerate(self.entries) if entry.kind == "promote"]
        first = promoted[-_PROMOTIONS_KEPT:][0] if promoted else 0
        return frozenset(entry.digest for entry in self.entries[first:])


def standings(registry: Registry) -> tuple[Standing, ...]:
    """Return how every model with a journal stands; InfrastructureError when the registry does not respond.

    A database that is not there yet is not made.
    """
    file = database.path_of(registry.tracking_uri)
    if file is not None and not file.exists():
        return ()
    with connected(registry) as client:
        present = {
            model.name: dict(model.aliases) for model in client.search_registered_models(max_results=_MOST_MODELS)
        }
        models = {name.removesuffix(JOURNAL_SUFFIX) for name in present if name.endswith(JOURNAL_SUFFIX)}
        models |= {
            name for name, aliases in present.items() if ALIAS in aliases
        }  # their journals may have been deleted
        return tuple(_standing(client, model, present.get(model, {})) for model in sorted(models))


def _standing(client: MlflowClient, model: str, aliases: dict[str, str]) -> Standing:
    alias = str(aliases[ALIAS]) if ALIAS in aliases else None
    try:
        state = look(client, model)
    except ParsimonyError as error:
        return Standing(model=model, alias=alias, problem=str(error))
    problem = state.damage if state.journal.damage else ""
    return Standing(model=model, entries=state.journal.counted, alias=alias, problem=problem)
