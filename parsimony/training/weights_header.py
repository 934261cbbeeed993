"""What a safetensors file holds, read from its header alone: 8 bytes of length, then JSON, then the numbers.

https://github.com/huggingface/safetensors#format
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from math import prod
from pathlib import Path
from typing import Any

from parsimony.errors import PlanError
from parsimony.training.base_files import INDEX, WEIGHTS, read_object, weight_files

_LENGTH = 8
_BYTES = {
    "BOOL": 1, "U8": 1, "I8": 1, "F8_E4M3": 1, "F8_E5M2": 1, "I16": 2, "U16": 2, "F16": 2, "BF16": 2, "I32": 4, "U32": 4,
    "F32": 4, "I64": 8, "U64": 8, "F64": 8,
}  # fmt: skip
_AGAIN = "download it again"


@dataclass(frozen=True, slots=True, kw_only=True)
class Tensor:
    """One tensor of a file: its data type as the format calls it, its shape, and where its bytes begin and end."""

    dtype: str
    shape: tuple[int, ...]
    begin: int
    end: int


def weights_of(folder: Path) -> dict[str, Tensor]:
    """Return every tensor of a base by name; raise PlanError, without the base's name, for files that are not whole."""
    if (folder / WEIGHTS).is_file():
        return header_of(folder / WEIGHTS)
    shards = weight_files(folder)[1:]
    headers = {shard.name: header_of(shard) for shard in shards}
    wanted: Any = read_object(folder / INDEX)["weight_map"]
    for tensor, shard in wanted.items():
        if tensor not in headers[shard]:
            raise PlanError(f"{INDEX} says that {shard} holds {tensor}, which is not in it; download all files again")
    return {name: tensor for header in headers.values() for name, tensor in header.items()}


def header_of(path: Path) -> dict[str, Tensor]:
    """Return the tensors of one file; raise PlanError when it is cut short, longer than it says, or something else."""
    size = path.stat().st_size
    with path.open("rb") as stream:
        start = stream.read(_LENGTH)
        length = int.from_bytes(start, "little")
        if len(start) < _LENGTH or length > size - _LENGTH:
            raise PlanError(
                f"{path.name} is cut short or no safetensors file: it has {size:,} bytes, its header alone would take "
                f"{length:,}; {_AGAIN}"
            )
        text = stream.read(length)
    try:
        header = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise PlanError(f"{path.name} is no safetensors file: its header is no JSON; {_AGAIN}") from error
    if not isinstance(header, dict):
        raise PlanError(f"{path.name} is no safetensors file: its header is no JSON object; {_AGAIN}")
    tensors = {name: _tensor(path, name, entry) for name, entry in header.items() if name != "__metadata__"}
    _require_filled(path, tensors, size - _LENGTH - length)
    return tensors


def _tensor(path: Path, name: str, entry: Any) -> Tensor:
    try:
        begin, end = (int(offset) for offset in entry["data_offsets"])
        tensor = Tensor(dtype=str(entry["dtype"]), shape=tuple(int(n) for n in entry["shape"]), begin=begin, end=end)
    except (KeyError, TypeError, ValueError) as error:
        raise PlanError(f"{path.name}: its header does not say where {name} lies; {_AGAIN}") from error
    wanted = prod(tensor.shape) * _BYTES.get(tensor.dtype, 0)
    if tensor.dtype in _BYTES and (min((0, *tensor.shape)) < 0 or end - begin != wanted):
        raise PlanError(
            f"{path.name}: {name} is {tensor.dtype} {list(tensor.shape)}, {wanted:,} bytes, but {end - begin:,} are set "
            f"aside for it; {_AGAIN}"
        )
    return tensor


def _require_filled(path: Path, tensors: dict[str, Tensor], size: int) -> None:
    """Require that the tensors fill what follows the header: nothing is missing, nothing lies between or behind them."""
    place = 0
    for name, tensor in sorted(tensors.items(), key=lambda item: (item[1].begin, item[1].end)):
        if tensor.begin != place:
            raise PlanError(f"{path.name}: {name} begins at byte {tensor.begin:,}, expected {place:,}; {_AGAIN}")
        place = tensor.end
    if place != size:
        raise PlanError(
            f"{path.name} is cut short, or longer than it says: its tensors take {place:,} bytes, it has {size:,}; {_AGAIN}"
        )
    if not tensors:
        raise PlanError(f"{path.name} holds no tensors at all; {_AGAIN}")
