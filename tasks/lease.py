"""The right to publish a model, held by one run of this machine at a time.

It spares two runs that end together a second version and the repetition of a promotion. What is promoted is safe without it:
the journal accepts an entry only when the head is the one that it expects.
"""

from __future__ import annotations

from contextlib import AbstractContextManager

from parsimony.files import digest_of
from parsimony.measurement.host_lock import host_lock
from parsimony.tasks.registry.tracking import Registry


def lease(registry: Registry, model: str) -> AbstractContextManager[None]:
    """Hold the lease of a model in a registry for a block."""
    return host_lock(f"publishing-{digest_of(registry.tracking_uri, model)[:16]}", "publish")
