"""The Open Inference Protocol, version 2 (KServe, Triton): one BYTES tensor `text` goes in, label, share and shares come out.

Source: https://github.com/kserve/open-inference-protocol. Triton's binary extension is read, so that its client works as it is;
responses are JSON, which that client reads, too.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Sequence

import numpy as np

from parsimony.serving.messages import Question, RefusedError, Request, json_object, texts_of
from parsimony.serving.served import Served, shares
from parsimony.serving.settings import Limits

INPUT = "text"
_JSON_BYTES = b"inference-header-content-length"


def read(request: Request, _: Served, limits: Limits) -> Question:
    """Read a request to `infer`."""
    header, binary = _parts(request)
    asked = json_object(header)
    tensors = asked.get("inputs")
    if not isinstance(tensors, list) or len(tensors) != 1 or not isinstance(tensors[0], dict):
        raise RefusedError(400, f"inputs is not a list of one tensor, expected one named {INPUT!r} of datatype BYTES")
    texts = texts_of(_texts(tensors[0], binary), f"{INPUT}.data", limits)
    wanted = _wanted(asked.get("outputs"))
    number = asked.get("id")
    if number is not None and not isinstance(number, str):
        raise RefusedError(400, "id is not a text")
    if not isinstance(asked.get("parameters", {}), dict):
        raise RefusedError(400, "parameters is not an object")

    def render(served: Served, rows: Sequence[np.ndarray]) -> object:
        about = {"model_name": served.name, "model_version": served.version, "parameters": {"digest": served.digest}}
        tensors = [OUTPUTS[name](served, rows) for name in wanted]
        return {**about, **({} if number is None else {"id": number}), "outputs": tensors}

    return Question(texts=texts, render=render)


def _parts(request: Request) -> tuple[bytes, bytes]:
    """Return the JSON and what follows it, which is empty unless a header says how long the JSON is."""
    said = request.headers.get(_JSON_BYTES)
    if said is None:
        return request.body, b""
    if not said.isdigit() or len(said) > 10 or int(said) > len(request.body):
        raise RefusedError(400, "inference-header-content-length is not a number of bytes of this body")
    return request.body[: int(said)], request.body[int(said) :]


def _texts(tensor: dict[str, object], binary: bytes) -> list[object]:
    if tensor.get("name") != INPUT or tensor.get("datatype") != "BYTES":
        raise RefusedError(
            400,
            f"the tensor is {str(tensor.get('name'))[:80]!r} of {str(tensor.get('datatype'))[:80]!r}, expected {INPUT!r} of 'BYTES'",
        )
    count = _count(tensor.get("shape"))
    data = tensor.get("data")
    if data is None:
        texts: list[object] = list(_strings(_of_length(tensor, binary)))
    elif isinstance(data, list):
        texts = [each[0] if isinstance(each, list) and len(each) == 1 else each for each in data]
    else:
        raise RefusedError(400, "data is not a list of texts")
    if len(texts) != count:
        raise RefusedError(400, f"shape says {count} texts, data holds {len(texts)}")
    return texts


def _count(shape: object) -> int:
    """Return how many texts a shape says there are: [n] or [n, 1]."""
    if (
        isinstance(shape, list)
        and shape
        and all(type(size) is int and size >= 0 for size in shape)
        and set(shape[1:]) <= {1}
    ):
        return int(shape[0])
    raise RefusedError(400, "shape is neither [n] nor [n, 1], n the number of texts")


def _of_length(tensor: dict[str, object], binary: bytes) -> bytes:
    parameters = tensor.get("parameters")
    size = parameters.get("binary_data_size") if isinstance(parameters, dict) else None
    if type(size) is not int or size != len(binary):
        raise RefusedError(
            400, "the tensor has no data, and binary_data_size is not the number of bytes behind the JSON"
        )
    return binary


def _strings(binary: bytes) -> list[str]:
    """Return the strings of a binary BYTES tensor: each behind its length, 4 bytes, little-endian."""
    texts, place = [], 0
    try:
        while place < len(binary):
            (size,) = struct.unpack_from("<I", binary, place)
            if place + 4 + size > len(binary):
                raise RefusedError(400, "the binary tensor ends within a text")
            texts.append(binary[place + 4 : place + 4 + size].decode())
            place += 4 + size
    except (struct.error, UnicodeDecodeError) as error:
        raise RefusedError(400, f"the binary tensor is not UTF-8 texts behind their lengths ({error})") from error
    return texts


def _wanted(outputs: object) -> tuple[str, ...]:
    if outputs is None or outputs == []:
        return tuple(OUTPUTS)
    if not isinstance(outputs, list) or not all(
        isinstance(each, dict) and each.get("name") in OUTPUTS for each in outputs
    ):
        raise RefusedError(400, f"outputs is not a list of tensors, each named one of {', '.join(OUTPUTS)}")
    return tuple(dict.fromkeys(str(each["name"]) for each in outputs))


def _label(served: Served, rows: Sequence[np.ndarray]) -> dict[str, object]:
    labels = [served.labels[int(row.argmax())] for row in rows]
    return {"name": "label", "datatype": "BYTES", "shape": [len(rows)], "data": labels}


def _share(_: Served, rows: Sequence[np.ndarray]) -> dict[str, object]:
    return {"name": "share", "datatype": "FP64", "shape": [len(rows)], "data": [max(shares(row)) for row in rows]}


def _shares(served: Served, rows: Sequence[np.ndarray]) -> dict[str, object]:
    data = [share for row in rows for share in shares(row)]
    return {"name": "shares", "datatype": "FP64", "shape": [len(rows), len(served.labels)], "data": data}


OUTPUTS: dict[str, Callable[[Served, Sequence[np.ndarray]], dict[str, object]]] = {
    "label": _label,
    "share": _share,
    "shares": _shares,
}


def server_metadata(version: str) -> dict[str, object]:
    """Return what `/v2` says of the server."""
    return {"name": "parsimony", "version": version, "extensions": ["binary_tensor_data"]}


def model_metadata(served: Served) -> dict[str, object]:
    """Return what `/v2/models/NAME` says of the model."""
    outputs = [
        {"name": "label", "datatype": "BYTES", "shape": [-1]},
        {"name": "share", "datatype": "FP64", "shape": [-1]},
        {"name": "shares", "datatype": "FP64", "shape": [-1, len(served.labels)]},
    ]
    return {
        "name": served.name,
        "versions": [served.version],
        "platform": "onnxruntime_onnx",
        "inputs": [{"name": INPUT, "datatype": "BYTES", "shape": [-1]}],
        "outputs": outputs,
        "parameters": {"digest": served.digest, "size_bytes": served.size_bytes},
    }


def complain(refused: RefusedError) -> dict[str, object]:
    """Return a refusal in this protocol's words."""
    return {"error": refused.message}
