"""What is asked of another machine and what it says: read back as written, and refused where it says something else."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from decisions import ENVIRONMENT
from decisions import measurement as measured_on

from parsimony.files import FileRef, digest_bytes
from parsimony.measurement.records import MachineClass, Measurement, TargetSettings
from parsimony.measurement.remote import Request, Result

BOARD = TargetSettings(
    name="board",
    threads=1,
    p99_ms=5.0,
    peak_rss_bytes=None,
    size_bytes=1000,
    pool="edge",
    machine=MachineClass(cpu="xeon", isa=("avx2",), cores=1, memory_bytes=1, onnxruntime="1.23.2"),
)


def reference(word: str) -> FileRef:
    return FileRef(uri=word, sha256=digest_bytes(word.encode()), size_bytes=len(word))


REQUEST = Request(
    target=BOARD,
    baseline="encoder",
    bundles=(("encoder", reference("a")), ("linear", reference("b"))),
    validation=reference("c"),
    test=reference("d"),
    code="0" * 64,
)
DIGEST = digest_bytes(REQUEST.dumps())


def measurement() -> Measurement:
    first = measured_on(4.1, target=BOARD)
    return replace(first, environment=replace(first.environment, cpu="Xeon", isa=("avx2",)))


RESULT = Result(
    request=DIGEST,
    taken_at=datetime.now(UTC).isoformat(),
    measurements={"encoder": measurement()},
    predictions={"encoder": (0, 1, 2)},
    refused={"linear": "an operator is not known"},
    remade=1,
)


def test_a_request_and_a_result_are_read_as_they_were_written() -> None:
    assert Request.loads(REQUEST.dumps()) == replace(REQUEST, target=replace(BOARD, deadline_s=0.0))
    assert Result.loads(RESULT.dumps()) == RESULT


def test_who_waits_how_long_changes_no_request() -> None:
    patient = replace(REQUEST, target=replace(BOARD, deadline_s=1.0, optional=True))
    assert patient.dumps() == REQUEST.dumps()
    assert replace(REQUEST, target=replace(BOARD, threads=2)).dumps() != REQUEST.dumps()


def test_a_whole_result_of_the_request_is_taken() -> None:
    RESULT.require_of(REQUEST, DIGEST, 3)


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        (replace(RESULT, request="1" * 64), "the result of the request"),
        (replace(RESULT, refused={}), "refused"),
        (replace(RESULT, predictions={"encoder": (0, 1)}), "2 predictions, expected 3"),
        (replace(RESULT, predictions={}), "measured"),
        (replace(RESULT, measurements={}, predictions={}, refused={"linear": "", "encoder": ""}), "the baseline"),
        (
            replace(RESULT, measurements={"encoder": replace(measurement(), target="here")}),
            "measured on",
        ),
        (
            replace(
                RESULT,
                measurements={
                    "encoder": replace(measurement(), environment=replace(measurement().environment, cpu="Other"))
                },
            ),
            "another machine",
        ),
    ],
)
def test_a_result_of_something_else_is_refused(changed: Result, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        changed.require_of(REQUEST, DIGEST, 3)


def test_an_old_an_unsteady_and_a_future_result_are_not_taken_again() -> None:
    assert RESULT.is_fresh()
    for days in (-2, 2):
        assert not replace(RESULT, taken_at=(datetime.now(UTC) + timedelta(days=days)).isoformat()).is_fresh()
    assert not replace(RESULT, measurements={"encoder": replace(measurement(), stable=False)}).is_fresh()


@pytest.mark.parametrize("content", [b"", b"[]", b"{}", b'{"format": 2}', b'{"format": 1}', b"\xff"])
def test_what_is_no_request_and_no_result_is_an_error(content: bytes) -> None:
    for kind in (Request, Result):
        with pytest.raises((ValueError, TypeError, KeyError)):
            kind.loads(content)


def test_the_same_bundle_twice_is_no_request() -> None:
    with pytest.raises(ValueError, match="different names"):
        replace(REQUEST, bundles=(*REQUEST.bundles, REQUEST.bundles[0]))
    with pytest.raises(ValueError, match="baseline"):
        replace(REQUEST, baseline="unknown")


@pytest.mark.parametrize(
    ("machine", "said"),
    [
        (MachineClass(cpu="cortex"), "the processor is"),
        (MachineClass(isa=("avx2", "amx_int8")), "it lacks amx_int8"),
        (MachineClass(cores=4096), "expected at least 4096"),
        (MachineClass(memory_bytes=1 << 60), "bytes of memory"),
        (MachineClass(onnxruntime="1.0.0"), "ONNX Runtime 1.23.2, expected 1.0.0"),
        (MachineClass(), ""),
    ],
)
def test_a_machine_of_another_class_is_named_by_what_it_lacks(machine: MachineClass, said: str) -> None:
    different = machine.mismatch(ENVIRONMENT)
    assert said in different and bool(different) == bool(said)


def test_a_request_holds_no_address_and_no_path() -> None:
    said = json.loads(REQUEST.dumps())
    assert set(said) == {"format", "target", "baseline", "bundles", "validation", "test", "code"}
