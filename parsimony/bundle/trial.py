"""A bundle from elsewhere, tried out in a process of its own before this one opens it: limited memory, limited time, nothing written.

What the checks of a file cannot see (an operator that fills all memory, a defect of a library) ends that process and not this one.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

from parsimony.bundle.folder import MODEL
from parsimony.errors import InfrastructureError, ParsimonyError, first_line
from parsimony.files import MANIFEST, digest_file, home

WALL_S, CPU_S = 60, 30
WALL_S_PER_GB, CPU_S_PER_GB = 120, 60
# Beside what the libraries take: so much for any bundle, and so many times the bytes of its graph.
MEMORY_BYTES, MEMORY_PER_GRAPH_BYTE = 384 * 2**20, 6
TEXTS = ("", "a text", "Ä ﷺ\u200d\U0001f9d1 1e9\t…", "word " * 4_000, "x" * 20_000)
# The places where the parent finds its modules, so that no folder where it was started is one of them.
_CODE = "import sys; sys.path[:] = sys.argv[2:]; from parsimony.bundle.trial import serve; serve(sys.argv[1])"

_trusted: set[tuple[Path, str]] = set()


def require(folder: Path) -> None:
    """Try out a bundle from elsewhere; one in our own home, or that this process knows already, is trusted.

    Raises InfrastructureError when it is not to be used.
    """
    if (folder / MANIFEST).is_file() and not is_in_home(folder) and _name_of(folder) not in _trusted:
        try_out(folder)
        trust(folder)


def trust(folder: Path) -> None:
    """Let this process open a bundle without a trial: it was tried out, or compared with what was promoted."""
    _trusted.add(_name_of(folder))


def _name_of(folder: Path) -> tuple[Path, str]:
    return folder.resolve(), digest_file(folder / MANIFEST)  # another manifest is another bundle


def is_in_home(folder: Path) -> bool:
    """Say whether a folder lies in the folder where our own runs keep what they built and verified."""
    return folder.resolve().is_relative_to(home())


def try_out(folder: Path) -> None:
    """Load a bundle and predict with it in a limited process.

    Raises InfrastructureError with one line when it is refused there, ends, or takes too much memory or time.
    """
    gigabytes = _graph_bytes(folder) / 1e9
    command = [sys.executable, "-P", "-c", _CODE, str(folder.absolute()), *sys.path]
    with tempfile.TemporaryFile() as told, tempfile.TemporaryFile() as errors:
        process = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=told, stderr=errors, env=_environment(), start_new_session=True
        )
        try:
            status = process.wait(timeout=WALL_S + WALL_S_PER_GB * gigabytes)
        except subprocess.TimeoutExpired:
            status = None
        finally:
            process.kill()
            process.wait()
        told.seek(0)
        errors.seek(0)
        verdict = _verdict(told.read(10_000), errors.read()[-2_000:], status)
    if verdict:
        raise InfrastructureError(f"{folder} was tried out and is not used: {verdict}")


def _graph_bytes(folder: Path) -> int:
    try:
        return (folder / MODEL).stat().st_size
    except OSError:  # the process says what is wrong
        return 0


def _environment() -> dict[str, str]:
    """Return what the process needs to know: no secret of this one's, no library that is loaded first."""
    kept = ("PATH", "LANG", "LC_ALL", "LD_LIBRARY_PATH", "SYSTEMROOT", "TMPDIR", "TEMP", "TMP", "ORT_DISABLE_TELEMETRY")
    known = {name: os.environ[name] for name in kept if name in os.environ}
    return {**known, "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "TOKENIZERS_PARALLELISM": "false"}


def _verdict(told: bytes, errors: bytes, status: int | None) -> str:
    """Return why the bundle is refused, "" when it is not."""
    if status is None:
        return "it takes too long to load or to predict with"
    lines = told.decode("utf-8", "replace").splitlines()
    if status == 0 and lines:
        return str(json.loads(lines[-1]))
    if status < 0:
        return f"it ended the process that opened it (signal {-status})"
    said = errors.decode("utf-8", "replace").strip().splitlines() or [f"exit status {status}"]
    return f"it ended the process that opened it ({said[-1].strip()[:200]})"


# --- in the process -------------------------------------------------------------------------------


def serve(folder: str) -> None:
    """Load the bundle, predict a few texts, and print as JSON why it is refused, "" when it is not."""
    import numpy
    import onnxruntime
    import tokenizers

    from parsimony.bundle import predict

    _limit(numpy, onnxruntime, tokenizers, graph_bytes=_graph_bytes(Path(folder)))
    refused = ""
    try:
        model = predict.load(Path(folder))
        for text in TEXTS:
            predict.logits(model, text)
    except ParsimonyError as error:
        refused = first_line(error, 600)
    except MemoryError:
        refused = "it takes too much memory"
    except Exception as error:
        what = first_line(error, 300)
        refused = "it takes too much memory" if "alloc" in what.lower() else f"{type(error).__name__}: {what}"
    sys.stdout.write(f"{json.dumps(refused)}\n")
    sys.stdout.flush()


def _limit(*_libraries: object, graph_bytes: int) -> None:
    """Limit this process, once the libraries are loaded, where the system knows limits."""
    try:
        import resource
    except ImportError:  # Windows: the time is limited by the parent
        return
    cpu_s = int(CPU_S + CPU_S_PER_GB * graph_bytes / 1e9)
    limits = {
        resource.RLIMIT_CPU: cpu_s,
        resource.RLIMIT_AS: _address_space() + MEMORY_BYTES + MEMORY_PER_GRAPH_BYTE * graph_bytes,
        resource.RLIMIT_FSIZE: 2**16,
        resource.RLIMIT_CORE: 0,
    }
    for kind, most in limits.items():
        _, hard = resource.getrlimit(kind)
        most = most if hard == resource.RLIM_INFINITY else min(most, hard)
        try:
            resource.setrlimit(kind, (most, most))
        except (ValueError, OSError):  # macOS does not know the one for memory
            continue


def _address_space() -> int:
    """Return the bytes of address space that the libraries take, 2 GiB where the system does not say."""
    status = Path("/proc/self/statm")
    return int(status.read_text().split()[0]) * os.sysconf("SC_PAGE_SIZE") if status.is_file() else 2**31
