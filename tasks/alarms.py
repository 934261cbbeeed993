"""Events in Prefect about a model, which an automation can turn into mail, chat or a run; and the alarm of a moved alias."""

from __future__ import annotations

from prefect.events import emit_event

from parsimony.tasks.registry.promotion import reconcile
from parsimony.tasks.registry.review import show_all
from parsimony.tasks.registry.tracking import Registry

ALIAS_MOVED = "parsimony.alias.moved"


def mend(registry: Registry, model: str) -> tuple[str, ...]:
    """Let the aliases follow the journal, as `reconcile` does, show what became of reviews, emit an event where an alias had been moved.

    Return the lines of `reconcile`.
    """
    lines = reconcile(registry, model)
    show_all(registry, model)
    if moved := [line for line in lines if "follows the journal again" in line]:
        tell(ALIAS_MOVED, model, lines=moved)
    return lines


def tell(event: str, model: str, **payload: object) -> None:
    """Emit an event about a model, for the automations; what is told lies beside the model's name in its payload."""
    resource = {"prefect.resource.id": f"parsimony.model.{model}", "prefect.resource.name": model}
    emit_event(event=event, resource=resource, payload={"model": model, **payload})
