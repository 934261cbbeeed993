"""What the champion was decided on, as a tag beside it: one digest of data, plan, code and libraries."""

from __future__ import annotations

from parsimony.decision.journal import Champion, hold_of
from parsimony.tasks.registry.journal import in_production, look
from parsimony.tasks.registry.promotion import reconcile
from parsimony.tasks.registry.stored_bundles import verify_version
from parsimony.tasks.registry.tracking import Registry, connected

_TAG = "parsimony.inputs"


def remember(registry: Registry, model: str, digest: str) -> None:
    """Write down that the present champion was decided on inputs of this digest."""
    with connected(registry) as client:
        current = in_production(client, look(client, model))
        if current is not None:
            client.set_registered_model_tag(model, _TAG, f"{digest} {current.version}")


def decided_on(registry: Registry, model: str, digest: str) -> Champion | None:
    """Return the champion when it was decided on inputs of this digest, is still in production, and its bundle verifies; else None.

    The alias follows the journal again. Raises InfrastructureError when the registry does not respond, or the bundle is not
    what was promoted.
    """
    with connected(registry) as client:
        state = look(client, model)
        current = in_production(client, state)
        if current is None or hold_of(state.journal.counted) is not None:
            return None
        if client.get_registered_model(model).tags.get(_TAG) != f"{digest} {current.version}":
            return None
        reconcile(registry, model)
        verify_version(client, registry, model, current.version, current.digest)
        return current
