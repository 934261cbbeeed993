"""One bundle behind several HTTP servers in one run: ours, other stacks around the same prediction, and `mlflow models serve`.

    python benchmarks/serving.py BUNDLE [--mlflow MODEL_URI] [--granian PYTHON] [--seconds 5]

Each server runs on the first core, the client on the second. A server's processor time for each response is printed beside what the client
saw, because it hardly depends on what else the machine does. `--granian` names a Python that has granian, numpy, onnxruntime and tokenizers.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from parsimony.errors import InfrastructureError
from parsimony.measurement.scenarios import http_load
from parsimony.measurement.scenarios.bench import SAMPLE_TEXTS

ROOT = Path(__file__).parents[1]
SERVER_CORE, CLIENT_CORE = 0, 1
BARE = """
import json, sys
from pathlib import Path
from parsimony.bundle import predict
MODEL = predict.load(Path({bundle!r}))
async def app(scope, receive, send):
    if scope["type"] == "lifespan":
        while True:
            message = await receive()
            await send({{"type": message["type"] + ".complete"}})
            if message["type"].endswith("shutdown"):
                return
    message = await receive()
    shares = MODEL.probabilities(json.loads(message["body"])["inputs"])
    body = json.dumps([{{"label": name, "score": share}} for name, share in sorted(shares.items(), key=lambda x: -x[1])]).encode()
    headers = [(b"content-type", b"application/json"), (b"content-length", str(len(body)).encode())]
    await send({{"type": "http.response.start", "status": 200, "headers": headers}})
    await send({{"type": "http.response.body", "body": body}})
"""
IN_PROCESS = """
import json, sys, time
from pathlib import Path
from parsimony.bundle import predict
model, texts, seconds = predict.load(Path(sys.argv[1])), json.loads(sys.argv[2]), float(sys.argv[3])
durations, number, end = [], 0, time.perf_counter() + seconds + 1
while time.perf_counter() < end:
    begun = time.perf_counter(); model.probabilities(texts[number % len(texts)]); durations.append(time.perf_counter() - begun); number += 1
print(json.dumps(durations[len(durations) // 6:]))
"""


def main() -> None:
    """Measure every server and print a row for each."""
    parser = argparse.ArgumentParser()
    parser.add_argument("bundle")
    parser.add_argument("--mlflow")
    parser.add_argument("--granian")
    parser.add_argument("--seconds", type=float, default=5.0)
    chosen = parser.parse_args()
    os.sched_setaffinity(0, {CLIENT_CORE})
    _say(
        "| server | p50 ms | p99 ms | texts/s, 8 connections | processor ms a response | first response s | resident MB |"
    )
    _say("|---|---:|---:|---:|---:|---:|---:|")
    _say(in_process(chosen.bundle, chosen.seconds))
    with tempfile.TemporaryDirectory() as work:
        (Path(work) / "bare.py").write_text(BARE.format(bundle=str(Path(chosen.bundle).absolute())), encoding="utf-8")
        for name, path, command in servers(chosen):
            _say(measured(name, path, command, (work, chosen.seconds)))


def _say(line: str) -> None:
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


def servers(chosen: argparse.Namespace) -> list[tuple[str, str, list[str]]]:
    """Return name, path and command of each server; PORT stands for its port."""
    python, bare = sys.executable, ["bare:app", "--port", "PORT", "--no-access-log", "--log-level", "critical"]
    serve = [python, "-P", "-m", "parsimony.flows.cli.main", "serve", chosen.bundle, "--port", "PORT"]
    listed = [
        ("parsimony serve, /predict", "predict", serve),
        ("parsimony serve, /invocations", "invocations", serve),
        ("uvicorn, uvloop, httptools, bare", "predict", [python, "-m", "uvicorn", *bare]),
        (
            "uvicorn, asyncio, h11, bare",
            "predict",
            [python, "-m", "uvicorn", *bare, "--loop", "asyncio", "--http", "h11"],
        ),
    ]
    if chosen.granian:
        granian = [chosen.granian, "-m", "granian", "--interface", "asgi", "--loop", "uvloop", *bare]
        listed.append(("granian, uvloop, bare", "predict", granian))
    if chosen.mlflow:
        command = [
            python,
            "-m",
            "mlflow",
            "models",
            "serve",
            "-m",
            chosen.mlflow,
            "--env-manager",
            "local",
            "--port",
            "PORT",
        ]
        listed.append(("mlflow models serve", "invocations", command))
    return listed


def in_process(bundle: str, seconds: float) -> str:
    """Return the row of the prediction itself."""
    command = [
        "taskset",
        "-c",
        str(SERVER_CORE),
        sys.executable,
        "-c",
        IN_PROCESS,
        bundle,
        json.dumps(SAMPLE_TEXTS),
        str(seconds),
    ]
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    done = subprocess.run(command, capture_output=True, text=True, check=True, env=_environment())
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    times = sorted(json.loads(done.stdout))
    used = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    p50, p99 = (times[int(len(times) * share)] * 1e3 for share in (0.5, 0.99))
    return f"| in process | {p50:.3f} | {p99:.3f} | {len(times) / sum(times):,.0f} | {used / len(times) / 1.2 * 1e3:.3f} | | |"


def measured(name: str, path: str, command: Sequence[str], place: tuple[str, float]) -> str:
    """Return the row of one server."""
    work, seconds = place
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    typed = ["taskset", "-c", str(SERVER_CORE), *(str(port) if word == "PORT" else word for word in command)]
    begun = time.perf_counter()
    process = subprocess.Popen(
        typed, cwd=work, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env=_environment()
    )
    try:
        address = http_load.address_of(f"http://127.0.0.1:{port}/{path}")
        first_s = _first(address, begun)
        one, several = http_load.every(address, SAMPLE_TEXTS, seconds)[:2]
        with http_load.opened(address, 1) as connections:
            before = _used_s(process.pid)
            count = http_load.closed_loop(
                connections, [address.request(text) for text in SAMPLE_TEXTS], seconds
            ).statuses[200]
            used = (_used_s(process.pid) - before) / count * 1e3
        if one.p50 is None or one.p99 is None or several.throughput_per_s is None:
            raise SystemExit(f"{name}: too few responses")
        figures = f"{one.p50.value_ms:.3f} | {one.p99.value_ms:.3f} | {several.throughput_per_s:,.0f} | {used:.3f}"
        return f"| {name} | {figures} | {first_s:.2f} | {_resident_mb(process.pid):.0f} |"
    finally:
        process.terminate()
        process.wait()


def _environment() -> dict[str, str]:
    # MLflow starts uvicorn by its name.
    programs = f"{Path(sys.executable).parent}{os.pathsep}{os.environ.get('PATH', '')}"
    own = {"PATH": programs, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1", "ORT_DISABLE_TELEMETRY": "1"}
    return {**os.environ, **own}


def _first(address: http_load.Address, begun: float) -> float:
    """Return after how many seconds the first response came."""
    while time.perf_counter() - begun < 120:
        try:
            with http_load.opened(address, 1) as connections:
                if http_load.closed_loop(connections, [address.request("a text")], 0.0).statuses[200] or _asked(
                    address
                ):
                    return time.perf_counter() - begun
        except InfrastructureError:
            time.sleep(0.01)
    raise SystemExit("it does not respond")


def _asked(address: http_load.Address) -> bool:
    with http_load.opened(address, 1) as connections:
        return bool(http_load.closed_loop(connections, [address.request("a text")], 1e-3).statuses[200])


def _processes(pid: int) -> list[int]:
    """Return a process and its descendants."""
    children = [
        int(child) for task in Path(f"/proc/{pid}/task").glob("*") for child in (task / "children").read_text().split()
    ]
    return [pid, *(each for child in children for each in _processes(child))]


def _used_s(pid: int) -> float:
    fields = [Path(f"/proc/{each}/stat").read_text().rsplit(")", 1)[1].split() for each in _processes(pid)]
    return sum(int(each[11]) + int(each[12]) for each in fields) / os.sysconf("SC_CLK_TCK")


def _resident_mb(pid: int) -> float:
    status = "".join(Path(f"/proc/{each}/status").read_text() for each in _processes(pid))
    return sum(int(line.split()[1]) for line in status.splitlines() if line.startswith("VmRSS")) / 1e3


if __name__ == "__main__":
    main()
