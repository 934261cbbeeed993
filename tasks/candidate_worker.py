"""The process that builds candidates: it follows orders, one JSON object a line, and says what became of each.

Run as `python -m parsimony.tasks.candidate_worker PARENT BYTES`: the number of the process that it ends with, and the memory that it may use.
"""

from __future__ import annotations

import contextlib
import json
import os
import sys
import traceback
from collections.abc import Callable
from dataclasses import asdict
from functools import lru_cache
from pathlib import Path
from typing import Any, BinaryIO

from parsimony.candidates import BuiltBundle, Candidate, ModelSpec
from parsimony.compression.build import Sources
from parsimony.compression.build import build as build_bundle
from parsimony.compression.technique import DoesNotApplyError
from parsimony.data.table import Texts
from parsimony.errors import first_line
from parsimony.measurement.parent import end_with_parent

_FIRST_TO_GO = (
    "1000"  # of -1000 to 1000 (proc(5), oom_score_adj): when memory runs out, this process ends and the run goes on
)


def main(build: Callable[[Candidate, Sources, Path], BuiltBundle] = build_bundle) -> None:
    """Follow the orders of the process that started this one, with the function that builds."""
    end_with_parent(int(sys.argv[1]))
    _limit_memory(int(sys.argv[2]))
    replies = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # what libraries print is no reply
    serve(sys.stdin.buffer, replies, build)


def serve(orders: BinaryIO, replies: BinaryIO, build: Callable[[Candidate, Sources, Path], BuiltBundle]) -> None:
    """Say that orders are followed, then follow them until the input ends, each with one reply."""
    _say(replies, {"ready": True})
    for line in orders:
        _say(replies, _followed(json.loads(line), build))


def _say(replies: BinaryIO, reply: dict[str, Any]) -> None:
    replies.write(json.dumps(reply).encode() + b"\n")
    replies.flush()


def _followed(order: dict[str, Any], build: Callable[[Candidate, Sources, Path], BuiltBundle]) -> dict[str, Any]:
    """Build what is ordered; return the bundle, or what stands against it."""
    try:
        return asdict(build(_candidate(order["candidate"]), _sources(order), Path(order["target"])))
    except DoesNotApplyError as error:
        return {"refused": "does not apply", "reason": str(error)}
    except ImportError as error:  # a broken installation
        return {"refused": "import", "reason": str(error), "name": error.name}
    except OSError as error:  # a full disk
        return {
            "refused": "system",
            "reason": error.strerror or str(error),
            "errno": error.errno or 0,
            "name": error.filename,
        }
    except MemoryError as error:
        return {"refused": "memory", "reason": f"out of memory: {first_line(error)}"}
    except (
        BaseException
    ) as error:  # optimiser and quantiser raise whatever their C++ raises, tokenizers what Rust panics with
        traceback.print_exc()
        kind = "memory" if "bad_alloc" in str(error) else "failed"
        return {"refused": kind, "reason": f"{type(error).__name__}: {first_line(error)}"}


def _candidate(order: dict[str, Any]) -> Candidate:
    spec = order["spec"]
    shape = tuple(spec.pop("shape"))
    return Candidate(spec=ModelSpec(shape=shape, **spec), techniques=tuple(order["techniques"]))


def _sources(order: dict[str, Any]) -> Sources:
    return Sources(
        checkpoint=Path(order["checkpoint"]),
        base=Path(order["base"]),
        texts=_texts(order["texts"], order["texts_digest"]),
        labels=tuple(order["labels"]),
        data_digest=order["data_digest"],
        windows=order["windows"],
    )


@lru_cache(maxsize=2)
def _texts(path: str, digest: str) -> Texts:
    return Texts(digest=digest, texts=tuple(json.loads(Path(path).read_text(encoding="utf-8"))))


def _limit_memory(most_bytes: int) -> None:
    """Let an allocation beyond this fail here, before the system looks for a process to end, and let that be this one."""
    with contextlib.suppress(OSError):
        Path("/proc/self/oom_score_adj").write_text(_FIRST_TO_GO, encoding="ascii")
    if sys.platform == "linux":
        import resource

        with contextlib.suppress(ValueError, OSError):  # a lower limit is set from outside
            resource.setrlimit(resource.RLIMIT_DATA, (most_bytes, resource.getrlimit(resource.RLIMIT_DATA)[1]))


if __name__ == "__main__":
    main()
