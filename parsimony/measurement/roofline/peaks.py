"""The roofline peaks of a machine: the most operations and bytes a second that it does, measured where bundles run.

The products are ONNX Runtime's own, on the CPU and at the target's threads, so a bundle can come near to them but not
pass them. The graphs are written byte by byte (`matmul_graph`): a small target has no `onnx` package.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable

import numpy as np

from parsimony.measurement.records import RooflinePeaks
from parsimony.measurement.roofline import matmul_graph
from parsimony.runtimes.onnxruntime_cpu import open_session

ROWS, INNER, COLUMNS = 256, 1024, 1024
BUFFER_BYTES = 128 << 20  # larger than the caches of most processors
_SECONDS, _FEWEST = 0.4, 5


def here(threads: int) -> RooflinePeaks:
    """Measure the peaks of this machine in about a second, on the cores that this process may use.

    int8: MatMulInteger, unsigned activations times signed weights; fp32: MatMul, both [256, 1024] x [1024, 1024], best
    of 5 or more. Memory: the sum of 128 MiB of int64, one thread, best of 5 or more.
    """
    operations = 2 * ROWS * INNER * COLUMNS
    rng = np.random.default_rng(0)
    weights = rng.integers(-127, 128, (INNER, COLUMNS))
    rows = rng.integers(0, 256, (ROWS, INNER))
    buffer = np.ones(BUFFER_BYTES // 8, dtype=np.int64)
    return RooflinePeaks(
        int8_ops_per_s=operations / _best_s(_product(weights.astype(np.int8), rows.astype(np.uint8), threads)),
        fp32_ops_per_s=operations / _best_s(_product(weights.astype(np.float32), rows.astype(np.float32), threads)),
        memory_bytes_per_s=buffer.nbytes / _best_s(buffer.sum),
    )


def _product(weights: np.ndarray, rows: np.ndarray, threads: int) -> Callable[[], object]:
    """Return what multiplies rows [256, 1024] by constant weights [1024, 1024] in ONNX Runtime."""
    session = open_session(matmul_graph.product(weights, rows), threads)
    return lambda: session.run(None, {"rows": rows})


def _best_s(work: Callable[[], object]) -> float:
    """Return the shortest of several durations: whatever disturbs makes them longer, nothing makes them shorter."""
    best, end, count = math.inf, time.monotonic() + _SECONDS, 0
    while count < _FEWEST or time.monotonic() < end:
        start = time.perf_counter_ns()
        work()
        best = min(best, (time.perf_counter_ns() - start) / 1e9)
        count += 1
    return best
