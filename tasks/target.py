"""What a worker on a target does: fetch what a request names, verify it, measure and predict there, and store the result.

Needs the base dependencies, Prefect and the store, and nothing that trains, validates or registers.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path

from parsimony.bundle.folder import describe
from parsimony.candidates import BuiltBundle
from parsimony.data.table import Texts
from parsimony.errors import BundleError, InfrastructureError, first_line
from parsimony.files import FileRef, code_digest
from parsimony.measurement import machine
from parsimony.measurement import measure as instrument
from parsimony.measurement.prediction_cache import ROOMS, is_kept, predictions_of
from parsimony.measurement.remote import Request, Result
from parsimony.measurement.roofline.efficiency import with_roofline
from parsimony.tasks.store import ChangedError, Store

WRONG_CLASS, WRONG_VERSION, CHANGED = "Wrong class", "Wrong version", "Changed"
_RESULT = re.compile(r"sha256:([0-9a-f]{64}), ([0-9]{1,12}) bytes")


class NotMeasuredError(InfrastructureError):
    """A target does not measure, for a reason that has a name."""

    def __init__(self, state: str, message: str) -> None:
        super().__init__(message)
        self.state = state


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """The result of a request, where it is kept, and what to say of it."""

    result: Result
    reference: FileRef

    def __str__(self) -> str:
        """Say what was measured and where the result lies, as `result_in` reads it."""
        return (
            f"Measured {len(self.result.measurements)} bundles, {self.result.remade} of them predicted anew; the result is "
            f"sha256:{self.reference.sha256}, {self.reference.size_bytes} bytes."
        )


def result_in(sentence: str) -> FileRef | None:
    """Return the reference of the result that a sentence names, None where it names none."""
    match = _RESULT.search(sentence)
    return None if match is None else FileRef(uri=match[0], sha256=match[1], size_bytes=int(match[2]))


def measuring_code() -> str:
    """Return the digest of the code that decides what is predicted and how it is timed."""
    return code_digest(*ROOMS)


def answer(reference: FileRef, store: Store, home: Path) -> Answer:
    """Return the result of a request, from the store where a fresh one is, else measured now.

    Raises NotMeasuredError where this machine is not of the class, runs another version, or gets something else from the store than
    was put there; BundleError where the baseline cannot be predicted with.
    """
    request = _request(reference, store)
    require_here(request)
    if (before := kept(request, reference, store)) is not None:
        return before
    try:
        bundles = {name: describe(store.get_folder(bundle)) for name, bundle in request.bundles}
        validation, test = _texts(request.validation, store), _texts(request.test, store)
    except ChangedError as error:
        raise NotMeasuredError(CHANGED, str(error)) from error
    result = replace(_measured(request, bundles, validation, test, home), request=reference.sha256)
    made = store.put_bytes(result.dumps())
    store.note(reference.sha256, made)
    return Answer(result=result, reference=made)


def kept(request: Request, reference: FileRef, store: Store) -> Answer | None:
    """Return a whole and fresh result of this request that is in the store already."""
    noted = store.noted(reference.sha256)
    if noted is None:
        return None
    try:
        result = Result.loads(store.get_bytes(noted))
        result.require_of(request, reference.sha256, len(_texts(request.test, store)))
    except (InfrastructureError, ValueError, TypeError, KeyError):
        return None
    return Answer(result=result, reference=noted) if result.is_fresh() else None


def require_here(request: Request) -> None:
    """Refuse a request that this machine cannot stand for."""
    target = request.target
    if request.code != measuring_code():
        raise NotMeasuredError(
            WRONG_VERSION,
            "the code that measures is another one here than where the run trains; install the same version",
        )
    here = replace(
        machine.environment(target.threads), memory_bytes=machine.usable_memory_bytes(), cores=machine.usable_threads()
    )
    if different := replace(target.machine, onnxruntime="").mismatch(here):
        raise NotMeasuredError(WRONG_CLASS, f"this machine is not of the class of {target.name!r}: {different}")
    if different := target.machine.mismatch(here):
        raise NotMeasuredError(
            WRONG_VERSION, f"{different}; install that version, or name this one as the target's `onnxruntime`"
        )


def _request(reference: FileRef, store: Store) -> Request:
    try:
        return Request.loads(store.get_bytes(reference))
    except ChangedError as error:
        raise NotMeasuredError(CHANGED, str(error)) from error
    except (ValueError, TypeError, KeyError) as error:
        raise NotMeasuredError(
            WRONG_VERSION, f"the request cannot be read ({first_line(error, 200)}); install the same version"
        ) from error


def _texts(reference: FileRef, store: Store) -> Texts:
    return Texts.of(json.loads(store.get_bytes(reference)))


def _measured(
    request: Request, bundles: Mapping[str, BuiltBundle], validation: Texts, test: Texts, home: Path
) -> Result:
    """Predict with every bundle, each kept as soon as it is made, then measure side by side those that can be predicted with."""
    target, store = request.target, home / "predictions"
    predictions, refused, remade = dict[str, tuple[int, ...]](), dict[str, str](), 0
    for name, bundle in bundles.items():
        remade += not is_kept(bundle, test, target, store)
        try:
            classes = predictions_of(bundle, test, target, store).classes
        except BundleError as error:
            if name == request.baseline:
                raise
            refused[name] = first_line(error, 300)
        else:
            predictions[name] = tuple(map(int, classes))
    folders = {name: Path(bundle.folder) for name, bundle in bundles.items() if name in predictions}
    measured = instrument.measure(folders, validation.texts, target, request.baseline)
    return Result(
        request="",
        taken_at=datetime.now(UTC).isoformat(timespec="seconds"),
        measurements=with_roofline(measured, folders, validation.texts, target),
        predictions=predictions,
        refused=refused,
        remade=remade,
    )
