"""The receipt says everything that the decision holds, as strict JSON on one line."""

from __future__ import annotations

import json
import math
import re
from dataclasses import replace

import decisions
import pytest

from parsimony.decision.records import Decision
from parsimony.measurement.json_format import from_json, to_json
from parsimony.reporting.facts import steps_to
from parsimony.reporting.receipt import RECEIPT_FORMAT, dumps, receipt

# `decisions.ENVIRONMENT` as JSON.
ENVIRONMENT = {
    "cpu": "Example 9 CPU at 3.1 GHz",
    "isa": ["avx2", "avx512f", "avx512_vnni"],
    "cores": 2,
    "quota_cores": None,
    "memory_bytes": 8_000_000_000,
    "governor": "performance",
    "load_1m": 0.12,
    "platform": "Linux-6.1-x86_64-glibc2.36",
    "python": "3.11.9",
    "versions": {"numpy": "2.3.4", "onnxruntime": "1.23.2", "tokenizers": "0.22.1"},
    "threads": 1,
    "intra_op_threads": 1,
    "inter_op_threads": 1,
    "spinning": False,
    "affinity": [1],
}
# What only a measurement side by side has.
UNMEASURED: dict[str, object] = {"ratio": None, "roofline_peaks": None, "roofline_efficiency": None, "warm_up": None}


def _candidate(of: Decision, name: str) -> dict[str, object]:
    candidates = json.loads(dumps(receipt(of, version=None)))["candidates"]
    [one] = [candidate for candidate in candidates if candidate["candidate"] == name]
    return dict(one)


def test_the_receipt_has_exactly_the_documented_keys() -> None:
    assert set(receipt(decisions.decision(), version="7")) == {
        "format", "outcome", "reason", "model", "run_id", "started_at", "winner", "reference", "champion_before",
        "change", "candidates", "gates", "targets", "data", "smallest_certifiable_margin", "test_reuse", "seed", "cost",
        "tests", "shift",
    }  # fmt: skip
    assert _candidate(decisions.decision(), decisions.WINNER).keys() == {
        "candidate", "family", "base", "shape", "techniques", "predicted_bytes", "size_bytes", "validation", "certified",
        "measurements", "gates", "verdict", "reason", "cost_s", "digest", "is_champion", "steps", "slices",
    }  # fmt: skip


def test_the_receipt_says_the_number_of_its_format() -> None:
    assert receipt(decisions.decision(), version="7")["format"] == RECEIPT_FORMAT == 3
    assert next(iter(receipt(decisions.decision(), version="7"))) == "format"


def test_no_key_of_the_receipt_uses_a_word_that_was_given_up() -> None:
    keys = set(re.findall(r'"(\w+)":', dumps(receipt(decisions.replaced(), version="7"))))
    assert not keys & {"seen", "found", "search", "sealed", "exposures", "roofs", "efficiency", "against", "base_line"}


def test_the_reference_is_written_with_its_validation_score() -> None:
    assert receipt(decisions.decision(), version="7")["reference"] == {
        "candidate": "encoder",
        "size_bytes": 91_032_540,
        "validation": {"n": 1500, "accuracy": 0.92, "macro_f1": 0.92 - 0.0013},
    }


def test_the_champion_of_an_earlier_run_is_written_with_what_it_was_worth() -> None:
    certificate = decisions.certificate(2827, 36, 7)
    assert receipt(decisions.replaced(), version="7")["champion_before"] == {
        "version": "3",
        "size_bytes": 6_012_400,
        "accuracy": 2827 / 3080,
        "p50_ms": 0.62,
        "difference": certificate.difference,
        "lower_bound": certificate.lower_bound,
    }


def test_without_a_champion_before_there_is_none() -> None:
    assert receipt(decisions.decision(), version="7")["champion_before"] is None


def test_a_kept_champion_has_the_version_of_the_winner() -> None:
    before = receipt(decisions.kept(), version="7")["champion_before"]
    assert isinstance(before, dict)
    assert (before["version"], before["size_bytes"], before["p50_ms"]) == ("7", 3_742_118, 0.71)


def test_what_is_not_known_of_the_champion_before_is_null() -> None:
    decision = decisions.kept()
    rebuilt = tuple(replace(j, certificate=None, measurements=()) if j.is_champion else j for j in decision.judged)
    promoted = replace(decision, outcome="promoted", judged=rebuilt)
    assert receipt(promoted, version="8")["champion_before"] == {
        "version": None, "size_bytes": 3_742_118, "accuracy": None, "p50_ms": None, "difference": None,
        "lower_bound": None,
    }  # fmt: skip
    unbuilt = tuple(replace(j, bundle=None) if j.is_champion else j for j in decisions.replaced().judged)
    assert receipt(replace(decisions.replaced(), judged=unbuilt), version="8")["champion_before"] is None


def test_the_winner_carries_its_digest_and_its_version() -> None:
    decision = decisions.decision()
    bundle = decision.of(decisions.WINNER).bundle
    assert bundle is not None
    assert receipt(decision, version="7")["winner"] == {
        "candidate": "student-L2+trim+int4",
        "family": "student",
        "techniques": ["trim", "fusion", "int4"],
        "size_bytes": 3_742_118,
        "digest": bundle.digest,
        "version": "7",
    }


def test_without_a_winner_the_receipt_has_none_and_keeps_the_whole_ladder() -> None:
    decision = decisions.nothing_passed()
    paper = json.loads(dumps(receipt(decision, version=None)))
    assert paper["winner"] is None
    assert paper["outcome"] == "none"
    assert [c["candidate"] for c in paper["candidates"]] == [j.candidate for j in decision.judged]


def test_a_winner_without_a_bundle_is_refused() -> None:
    before = decisions.decision()
    unbuilt = tuple(replace(j, bundle=None) for j in before.judged)
    with pytest.raises(ValueError, match="has no bundle, expected one that was built"):
        receipt(replace(before, judged=unbuilt), version="7")


def test_a_certificate_is_written_with_its_evidence() -> None:
    expected = decisions.certificate(2815, 102, 6)
    assert _candidate(decisions.decision(), "linear-char-ngrams")["certified"] == {
        "n": 3080,
        "difference": (2815 - 2831) / 3080,
        "lower_bound": expected.lower_bound,
        "verdict": "inconclusive",
        "accuracy": 2815 / 3080,
        "macro_f1": 2815 / 3080 - 0.0013,
        "correct": 2815,
        "only_reference_right": 102,
        "only_candidate_right": 86,
        "needed": expected.needed,
        "position": 6,
        "level": 1 - decisions.CONFIDENCE,
        "over_champion": None,
    }


def test_a_measurement_is_written_with_its_intervals_and_its_environment() -> None:
    whole = decisions.measurement(0.71)
    assert _candidate(decisions.decision(), decisions.WINNER)["measurements"] == [
        {
            "target": "here",
            "samples": 4000,
            "p50_ms": whole.p50.value_ms,
            "p50_interval_ms": [whole.p50.low_ms, whole.p50.high_ms],
            "p90_ms": whole.p90.value_ms,
            "p90_interval_ms": [whole.p90.low_ms, whole.p90.high_ms],
            "p99_ms": whole.p99.value_ms,
            "p99_interval_ms": [whole.p99.low_ms, whole.p99.high_ms],
            "throughput_per_s": whole.throughput_per_s,
            "peak_rss_bytes": whole.peak_rss_bytes,
            "startup_s": whole.startup_s,
            "noise": 0.012,
            "stable": True,
            "disturbance": {"steal_share": 0.0004, "throttled": 0, "waited_share": 0.003, "turns": 1, "set_aside": 0},
            "warm_up": 75,
            "ratio": {
                "baseline": decisions.REFERENCE,
                "value": 0.71 / 4.1,
                "low": 0.71 / 4.1 * 0.984,
                "high": 0.71 / 4.1 * 1.013,
                "rounds": 20,
                "noise_floor": 0.021,
                "verdict": "faster",
            },
            "roofline_peaks": {"int8_ops_per_s": 8.6e11, "fp32_ops_per_s": 2.2e11, "memory_bytes_per_s": 2.9e10},
            "roofline_efficiency": {
                "tokens": 13,
                "int8_ops": 86_000_000,
                "fp32_ops": 0,
                "value": 0.1 / 0.71,
                "reason": "",
            },
            "environment": ENVIRONMENT,
        }
    ]


def test_a_measurement_is_read_back_as_it_was_written() -> None:
    first_look = replace(decisions.measurement(0.71), **UNMEASURED)
    unread = replace(decisions.ENVIRONMENT, governor=None, affinity=None, spinning=None)
    least = replace(first_look, environment=unread, disturbance=None)
    for measurement in (decisions.measurement(0.05), first_look, least):
        assert from_json(json.loads(dumps(to_json(measurement)))) == measurement


def test_a_measurement_of_an_older_receipt_is_read_without_what_it_did_not_hold() -> None:
    measurement = replace(decisions.measurement(0.71), **UNMEASURED, disturbance=None)
    old = json.loads(dumps(to_json(measurement)))
    for key in (*UNMEASURED, "disturbance"):
        del old[key]
    for key in ("intra_op_threads", "inter_op_threads", "spinning", "affinity"):
        del old["environment"][key]
    unsaid = {"intra_op_threads": None, "inter_op_threads": None, "spinning": None, "affinity": None}
    assert from_json(old) == replace(measurement, environment=replace(measurement.environment, **unsaid))


def test_quarantine_is_counted_by_check() -> None:
    data = json.loads(dumps(receipt(decisions.decision(), version=None)))["data"]
    labels = data.pop("labels")
    assert data == {
        "digest": "5e" * 32,
        "train_rows": 8495,
        "validation_rows": 1500,
        "test_rows": 3080,
        "test_digest": "a1" * 32,
        "quarantined": 8,
        "unlabelled_rows": 0,
        "unlabelled_digest": None,
        "quarantined_by_check": {"conflicting_labels": 6, "empty_text": 2},
    }
    assert labels == list(decisions.dataset().labels)


def test_a_candidate_that_was_not_built_has_nulls_and_its_reason() -> None:
    name = decisions.candidate_id("student", ("L1",), ("trim", "fusion", "int4"))
    assert _candidate(decisions.decision(), name) == {
        "candidate": name,
        "family": "student",
        "base": decisions.MINILM,
        "shape": ["L1"],
        "techniques": ["trim", "fusion", "int4"],
        "predicted_bytes": 2_210_000,
        "size_bytes": None,
        "digest": None,
        "is_champion": False,
        "validation": None,
        "certified": None,
        "measurements": [],
        "gates": [],
        "verdict": "not built",
        "reason": "a larger student of its shape is already 0.0460 below the reference",
        "cost_s": 0.0,
        "steps": [],
        "slices": [],
    }


def test_every_slice_is_told_the_greatest_loss_first_and_each_column_adds_up() -> None:
    decision = decisions.decision()
    certificate = decision.of(decision.winner or "").certificate
    assert certificate is not None
    slices = _candidate(decision, decisions.WINNER)["slices"]
    assert isinstance(slices, list)
    assert slices[0] == {"column": "label", "value": "intent_76", "n": 40, "right": 36, "lost": 28, "won": 18}
    assert len(slices) == 77 + 2
    for column in ("label", "region"):
        mine = [one for one in slices if one["column"] == column]
        assert sum(one["n"] for one in mine) == certificate.n
        assert sum(one["lost"] for one in mine) == certificate.only_reference_right
        assert sum(one["won"] for one in mine) == certificate.only_candidate_right
    net = [one["won"] - one["lost"] for one in slices]
    assert net == sorted(net)


def test_the_steps_to_a_candidate_add_up_to_its_difference_from_the_reference() -> None:
    decision = decisions.decision()
    reference = decision.of(decision.reference)
    assert reference.validation is not None
    assert reference.bundle is not None
    assert _candidate(decision, decision.reference)["steps"] == []
    taken = 0
    for judged in decision.judged:
        steps = steps_to(decision, judged)
        if judged.validation is None or judged.bundle is None or not steps:
            continue
        taken += 1
        assert sum(s.quality for s in steps) == pytest.approx(
            judged.validation.accuracy - reference.validation.accuracy
        )
        assert sum(s.size_bytes for s in steps) == judged.bundle.size_bytes - reference.bundle.size_bytes
        assert "+".join(s.name for s in steps) == "+".join((*judged.shape, *judged.techniques))
        assert _candidate(decision, judged.candidate)["steps"] == [
            {"step": s.name, "quality": s.quality, "size_bytes": s.size_bytes} for s in steps
        ]
    assert taken >= 3


def test_promises_targets_and_cost_are_written_as_asked_and_spent() -> None:
    paper = receipt(decisions.several_targets(), version="7")
    assert paper["gates"] == {
        "metric": "accuracy",
        "margin": 0.01,
        "confidence": 0.95,
        "floor": 0.85,
        "slice_margin": 0.1,
        "slice_floor": 0.0,
        "champion_margin": 0.02,
        "underpowered": False,
        "approval": "none",
    }
    assert paper["targets"] == [
        {"name": "here", "threads": 1, "p99_ms": 20.0, "peak_rss_bytes": 300_000_000, "size_bytes": None},
        {"name": "edge", "threads": 2, "p99_ms": 50.0, "peak_rss_bytes": None, "size_bytes": 25_000_000},
    ]
    cost = json.loads(dumps(paper))["cost"]
    assert cost.pop("stages")[3] == {"stage": "reference", "duration_s": 271.3}
    assert cost == {
        "wall_s": 1090.5,
        "energy_wh": 9.1,
        "energy_source": "estimated: 15 W for each busy core",
        "carbon_g": 3.2,
        "carbon_source": "estimated: 350 g/kWh, set in the plan",
    }


def test_the_text_is_one_line_and_gives_the_same_values_back() -> None:
    for decision in (decisions.decision(), decisions.bare(), decisions.hostile(), decisions.many(60)):
        paper = receipt(replace(decision, reason="a\u2028b\nc"), version=None)
        text = dumps(paper)
        assert text.splitlines() == [text]
        assert json.loads(text) == paper


def test_the_value_of_a_gate_that_is_nan_is_null_beside_its_verdict() -> None:
    before = decisions.decision()
    nan = tuple(replace(j, gates=tuple(replace(g, value=math.nan) for g in j.gates)) for j in before.judged)
    gates = _candidate(replace(before, judged=nan), "linear-char-ngrams")["gates"]
    assert isinstance(gates, list)
    assert [(gate["verdict"], gate["value"]) for gate in gates] == [("inconclusive", None), ("pass", None)]


def test_any_other_number_that_is_not_finite_is_refused() -> None:
    before = decisions.decision()
    for wrong in (math.nan, math.inf):
        paper = receipt(replace(before, smallest_certifiable_margin=wrong), version=None)
        with pytest.raises(ValueError, match="not finite, expected only finite ones"):
            dumps(paper)
