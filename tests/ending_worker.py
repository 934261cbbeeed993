"""Builds candidates whose end is known beforehand: each base names how its candidate ends, the others are written as bundles."""

from __future__ import annotations

import os
import signal
import sys
import time
from pathlib import Path

from parsimony.bundle.folder import describe
from parsimony.candidates import BuiltBundle, Candidate
from parsimony.compression.build import Sources
from parsimony.compression.technique import DoesNotApplyError
from parsimony.files import new_folder, write_manifest
from parsimony.tasks.candidate_worker import main


class Panic(BaseException):
    """What a library written in Rust raises."""


def build(candidate: Candidate, sources: Sources, target: Path) -> BuiltBundle:
    with new_folder(target, present="kept") as work:
        (work / "process").write_text(f"{os.getpid()} {len(sources.texts)}", encoding="utf-8")
        print("what a library prints")
        match candidate.spec.base:
            case "crash":
                os.kill(os.getpid(), signal.SIGSEGV)
            case "killed":
                os.kill(os.getpid(), signal.SIGKILL)
            case "exit":
                sys.stderr.write("a last word\n")
                os._exit(3)
            case "hang":
                time.sleep(600)
            case "memory":
                bytearray(1 << 44)
            case "panic":
                raise Panic("called `unwrap` on a `None` value\nand more")
            case "does not apply":
                raise DoesNotApplyError("no such layer")
            case "disk":
                raise OSError(28, "No space left on device", str(work))
            case "library":
                raise ModuleNotFoundError("No module named 'onnx_ir'", name="onnx_ir")
        write_manifest(work, {})
    return describe(target)


if __name__ == "__main__":
    main(build)
