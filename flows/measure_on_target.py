"""The flow that runs on a target: what a run asks a worker of the target's pool to measure.

A worker needs `pip install parsimony prefect` and the store; nothing that trains, validates or registers is imported.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

from prefect import flow
from prefect.client.schemas.objects import State
from prefect.states import Completed, Failed
from pydantic import Field

from parsimony.errors import InfrastructureError, ParsimonyError
from parsimony.files import FileRef
from parsimony.flows import settings
from parsimony.flows.settings import Settings
from parsimony.tasks import target
from parsimony.tasks.registry.secrets import without_secrets
from parsimony.tasks.store import VARIABLE, Store

FLOW, ENTRYPOINT = "measure-on-target", "parsimony.flows.measure_on_target.measure_on_target"
MEASURED, REFUSED = "Measured", "Not measured"

Digest = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$", description="SHA-256 of the request in the store")]
Bytes = Annotated[int, Field(ge=1, le=1 << 24, description="its bytes")]
Folder = Annotated[
    str, Field(max_length=4096, description="the store, where it is a folder that this machine reaches too")
]


@flow(name=FLOW)
def measure_on_target(request: Digest, size_bytes: Bytes, store: Folder = "") -> State[Any]:
    """Measure on this machine what a request in the store names, and store the result; started by a run, not by hand."""
    try:
        where = settings.prepare()
        reference = FileRef(uri=f"sha256:{request}", sha256=request, size_bytes=size_bytes)
        answer = target.answer(reference, _store(where, store), where.home)
    except ParsimonyError as error:
        state = error.state if isinstance(error, target.NotMeasuredError) else REFUSED
        return Failed(name=state, message=without_secrets(" ".join(str(error).split())))
    return Completed(name=MEASURED, message=str(answer))


def _store(where: Settings, named: str) -> Store:
    """Return the store that the environment of this worker names, else the folder that the run named."""
    if where.store_address:
        return where.store
    if not named or not Path(named).is_dir():
        raise InfrastructureError(
            f"{VARIABLE} names no store on this worker, and {named or 'the store of the run'} is no folder here; set {VARIABLE} to the "
            "same store on both machines"
        )
    return Store(address=named, cache=where.store.cache)
