"""Every model of a registry at a glance: its journal's head, its alias, and the bundles that must be kept for it."""

from __future__ import annotations

from dataclasses import dataclass

from parsimony.decision.journal import JournalEntry
from parsimony.errors import ParsimonyError
from parsimony.tasks.registry import database
from parsimony.tasks.registry.promotion import ALIAS, JOURNAL_SUFFIX, history
from parsimony.tasks.registry.tracking import Registry, connected

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
        return self.entries[-1] if self.entries else None

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
        journals = client.search_registered_models(f"name LIKE '%{JOURNAL_SUFFIX}'", max_results=_MOST_MODELS)
        models = sorted(journal.name.removesuffix(JOURNAL_SUFFIX) for journal in journals)
        present = {
            model.name: dict(model.aliases) for model in client.search_registered_models(max_results=_MOST_MODELS)
        }
    return tuple(_standing(registry, model, present.get(model, {})) for model in models)


def _standing(registry: Registry, model: str, aliases: dict[str, str]) -> Standing:
    alias = aliases.get(ALIAS)
    try:
        entries = history(registry, model)
    except ParsimonyError as error:
        return Standing(model=model, alias=None if alias is None else str(alias), problem=str(error))
    return Standing(model=model, entries=entries, alias=None if alias is None else str(alias))
