"""The description of a registered version: a verdict that fits into a list, then the model card."""

from __future__ import annotations

from collections.abc import Sequence

from parsimony.decision.records import Decision, Judged
from parsimony.measurement.records import Measurement
from parsimony.reporting import change, speed_text
from parsimony.reporting import formatting as say
from parsimony.reporting.facts import reference_quality, slowest, times_smaller
from parsimony.reporting.markdown import escape
from parsimony.reporting.sentences import metric_name

FIRST_LINE = 32  # MLflow's list of versions shows so many characters of a description
WHOLE_CARD = 5000  # and its database keeps so many
SHOWN_LABELS = 12
NAME = 200  # characters of a name from outside that the card repeats

USE = """import json, numpy as np, onnxruntime, tokenizers
labels, manifest = (json.load(open(f"{name}.json", encoding="utf-8")) for name in ("labels", "manifest"))
session = onnxruntime.InferenceSession("model.onnx")
names, read = [node.name for node in session.get_inputs()], None if manifest.get("windows") == "mean" else 1
tokenizer, kind = (None, object) if names == ["text"] else (tokenizers.Tokenizer.from_file("tokenizer.json"), np.int64)
def classify(text):
    parts = [part for one in [tokenizer.encode(text)] for part in [one, *one.overflowing][:read]] if tokenizer else []
    windows = [{"input_ids": part.ids, "attention_mask": part.attention_mask} for part in parts] or [{"text": text}]
    rows = [session.run(["logits"], {n: np.array([one[n]], dtype=kind) for n in names})[0][0] for one in windows]
    return labels[np.average(rows, axis=0, weights=[len(window[names[0]]) or 1 for window in windows]).argmax()]"""


def version_card(decision: Decision) -> str:
    """Return the Markdown description of the winner's registered version, at most 5,000 characters.

    Its first line has at most 32. Raises ValueError when nothing won, because nothing may be registered then.
    """
    if decision.winner is None:
        raise ValueError("the decision has no winner, expected one: only a winner is registered, so there is no card")
    judged = decision.of(decision.winner)
    sections = (
        first_line(decision, judged),
        _intended_use(decision),
        _quality(decision, judged),
        *_change(decision),
        _size(decision, judged),
        _speed(judged),
        _making(decision, judged),
        _limits(decision),
        f"## Use\n\nIn the folder of the bundle:\n\n```python\n{USE}\n```",
    )
    return _within(sections)


def _within(sections: Sequence[str]) -> str:
    """Join the sections, without those that would make the card longer than may be kept."""
    card = sections[0]
    for section in sections[1:]:
        longer = f"{card}\n\n{section}"
        card = longer if len(longer) <= WHOLE_CARD else card
    return card


def first_line(decision: Decision, judged: Judged) -> str:
    """Return the verdict in at most 32 characters: `PASS 3.7MB acc .917 p50 0.7ms`; what does not fit is left out."""
    bundle, certificate, measurement = judged.bundle, judged.certificate, slowest(judged)
    metric = "acc" if decision.gates.metric == "accuracy" else "f1"
    parts = [
        judged.verdict.upper(),
        *([_tight(say.size(bundle.size_bytes, 2))] if bundle else []),
        *([f"{metric} {_quality_digits(certificate.score.value(decision.gates.metric))}"] if certificate else []),
        *([f"p50 {_tight(say.milliseconds(measurement.p50.value_ms, 2))}"] if measurement else []),
    ]
    while len(" ".join(parts)) > FIRST_LINE:
        parts.pop()
    return " ".join(parts)


def _tight(amount: str) -> str:
    return amount.replace(" ", "").replace(",", "")


def _quality_digits(value: float) -> str:
    return f"{value:.3f}".removeprefix("0")


def _quoted(text: str) -> str:
    return escape(say.shorten(text, NAME))


def _intended_use(decision: Decision) -> str:
    labels = decision.dataset.labels
    shown = ", ".join(escape(say.clip(label, 40)) for label in labels[:SHOWN_LABELS])
    more = f" and {say.count(len(labels) - SHOWN_LABELS)} more, in labels.json" if len(labels) > SHOWN_LABELS else ""
    data = decision.dataset
    return (
        f"## Intended use\n\nGives a text one of {say.count(len(labels))} labels ({shown}{more}), for texts like those it "
        f"was trained on: {say.count(data.train_rows)} rows of the data with digest {escape(say.clip(data.digest, 64))}."
    )


def _quality(decision: Decision, judged: Judged) -> str:
    certificate, gates = judged.certificate, decision.gates
    if certificate is None:
        return "## Quality\n\nNot certified."
    return (
        f"## Quality\n\nOn {say.count(certificate.n)} test rows: {metric_name(decision)} "
        f"{say.ratio(certificate.score.value(gates.metric))}, reference {say.ratio(reference_quality(decision))}. The "
        f"difference is {say.signed(certificate.difference)}, with {say.percent(gates.confidence)} confidence at least "
        f"{say.signed(certificate.lower_bound)}; {say.signed(-gates.margin)} was allowed. Right where the reference was "
        f"wrong: {say.count(certificate.only_candidate_right)}; wrong where it was right: "
        f"{say.count(certificate.only_reference_right)}."
    )


def _change(decision: Decision) -> tuple[str, ...]:
    words = " ".join(escape(say.shorten(line, 600)) for line in change.in_words(decision))
    return (f"## Against the champion before\n\n{words}",) if words else ()


def _size(decision: Decision, judged: Judged) -> str:
    factor = times_smaller(decision, judged)
    if judged.bundle is None or factor is None:
        return "## Size\n\nNot known."
    reference = decision.of(decision.reference).bundle
    beside = f", {say.times(factor)} smaller than the reference ({say.size(reference.size_bytes)})" if reference else ""
    return f"## Size\n\n{say.size(judged.bundle.size_bytes)} ({say.count(judged.bundle.size_bytes)} bytes){beside}."


def _speed(judged: Judged) -> str:
    lines = "\n".join(_target(measurement) for measurement in judged.measurements[:4])
    return f"## Latency\n\nFrom raw text to label, one text at a time.\n\n{lines or 'Not measured.'}"


def _target(measurement: Measurement) -> str:
    p50, p99 = say.milliseconds(measurement.p50.value_ms), speed_text.p99(measurement)
    machine = measurement.environment
    return (
        f"- {escape(say.shorten(measurement.target, 40))}: p50 {p50}, p99 {p99}, "
        f"{say.size(measurement.peak_rss_bytes)} memory, on {escape(say.shorten(machine.cpu, 60))}, "
        f"{machine.threads} of {say.counted(machine.cores, 'core')}{'' if measurement.stable else ' (unsteady)'}"
    )


def _making(decision: Decision, judged: Judged) -> str:
    base = f" from {_quoted(judged.base)}" if judged.base else ""
    steps = ", then ".join(escape(say.shorten(step, 40)) for step in judged.techniques[:8]) or "no technique"
    shape = f", shape {' '.join(escape(say.shorten(part, 40)) for part in judged.shape[:8])}" if judged.shape else ""
    return (
        f"## How it was made\n\nFamily {escape(say.shorten(judged.family, 40))}{base}{shape}: {steps}. "
        f"Candidate {_quoted(judged.candidate)} of run {_quoted(decision.run_id)}, {_quoted(decision.started_at)}; "
        f"chosen from {say.counted(len(decision.judged), 'candidate')}: {_quoted(decision.reason.strip().rstrip('.'))}."
    )


def _limits(decision: Decision) -> str:
    margin = say.plain(round(decision.smallest_certifiable_margin, 4))
    return (
        "## Limits\n\n"
        "- The quality holds for texts like those of the test split; other topics or languages were not tested.\n"
        "- Every text gets one of the labels, also one that belongs to none. Long texts are cut, or read in windows.\n"
        "- 8-bit and 4-bit predictions can differ between processors; quality and speed hold for the machines above.\n"
        f"- A margin below {margin} could not have been shown with this much data."
    )
