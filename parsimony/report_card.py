"""The description of a registered version: a verdict that fits into a list, then the model card."""

from __future__ import annotations

from collections.abc import Sequence

from parsimony import speed
from parsimony import wording as say
from parsimony.readings import reference_quality, slowest, times_smaller
from parsimony.records import Decision, Judged, Measurement
from parsimony.report_markdown import escape
from parsimony.report_text import metric_name

FIRST_LINE = 32  # MLflow's list of versions shows so many characters of a description
WHOLE_CARD = 5000  # and its database keeps so many
SHOWN_LABELS = 12
NAME = 200  # characters of a name from outside that the card repeats

USE = """import json, numpy as np, onnxruntime, tokenizers
labels = json.load(open("labels.json", encoding="utf-8"))
session = onnxruntime.InferenceSession("model.onnx")
names = [node.name for node in session.get_inputs()]
tokenizer = tokenizers.Tokenizer.from_file("tokenizer.json") if "input_ids" in names else None
def classify(text):
    seen = tokenizer.encode(text) if tokenizer is not None else None
    values = {"text": text} if seen is None else {"input_ids": seen.ids, "attention_mask": seen.attention_mask}
    feeds = {name: np.array([values[name]], dtype=object if seen is None else np.int64) for name in names}
    return labels[session.run(["logits"], feeds)[0][0].argmax()]"""


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
    bundle, found, seen = judged.bundle, judged.certificate, slowest(judged)
    metric = "acc" if decision.gates.metric == "accuracy" else "f1"
    parts = [
        judged.verdict.upper(),
        *([_tight(say.size(bundle.size_bytes, 2))] if bundle else []),
        *([f"{metric} {_quality_digits(found.score.value(decision.gates.metric))}"] if found else []),
        *([f"p50 {_tight(say.milliseconds(seen.p50.value_ms, 2))}"] if seen else []),
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
        f"was trained on: {say.count(data.train)} rows of the data with digest {escape(say.clip(data.digest, 64))}."
    )


def _quality(decision: Decision, judged: Judged) -> str:
    found, gates = judged.certificate, decision.gates
    if found is None:
        return "## Quality\n\nNot certified."
    return (
        f"## Quality\n\nOn {say.count(found.n)} sealed rows: {metric_name(decision)} "
        f"{say.ratio(found.score.value(gates.metric))}, reference {say.ratio(reference_quality(decision))}. The difference "
        f"is {say.signed(found.difference)}, with {say.percent(gates.confidence)} confidence at least "
        f"{say.signed(found.lower_bound)}; {say.signed(-gates.margin)} was allowed. Right where the reference was wrong: "
        f"{say.count(found.only_candidate_right)}; wrong where it was right: {say.count(found.only_reference_right)}."
    )


def _size(decision: Decision, judged: Judged) -> str:
    factor = times_smaller(decision, judged)
    if judged.bundle is None or factor is None:
        return "## Size\n\nNot known."
    reference = decision.of(decision.reference).bundle
    beside = f", {say.times(factor)} smaller than the reference ({say.size(reference.size_bytes)})" if reference else ""
    return f"## Size\n\n{say.size(judged.bundle.size_bytes)} ({say.count(judged.bundle.size_bytes)} bytes){beside}."


def _speed(judged: Judged) -> str:
    lines = "\n".join(_target(seen) for seen in judged.measurements[:4])
    return f"## Latency\n\nFrom raw text to label, one text at a time.\n\n{lines or 'Not measured.'}"


def _target(seen: Measurement) -> str:
    p50, p99 = say.milliseconds(seen.p50.value_ms), speed.p99(seen)
    machine = seen.environment
    return (
        f"- {escape(say.shorten(seen.target, 40))}: p50 {p50}, p99 {p99}, {say.size(seen.peak_rss_bytes)} memory, on "
        f"{escape(say.shorten(machine.cpu, 60))}, {machine.threads} of {machine.cores} cores"
        f"{'' if seen.stable else ' (unstable)'}"
    )


def _making(decision: Decision, judged: Judged) -> str:
    base = f" from {_quoted(judged.base)}" if judged.base else ""
    steps = ", then ".join(escape(say.shorten(step, 40)) for step in judged.techniques[:8]) or "no technique"
    return (
        f"## How it was made\n\nFamily {escape(say.shorten(judged.family, 40))}{base}: {steps}. "
        f"Candidate {_quoted(judged.candidate)} of run {_quoted(decision.run_id)}, {_quoted(decision.started_at)}; "
        f"the smallest that passed of {say.count(len(decision.judged))} candidates."
    )


def _limits(decision: Decision) -> str:
    margin = say.plain(round(decision.smallest_certifiable_margin, 4))
    return (
        "## Limits\n\n"
        "- The quality holds for texts like the sealed ones; other topics or languages were not tested.\n"
        "- Every text gets one of the labels, also one that belongs to none. Long texts are cut.\n"
        "- 8-bit and 4-bit answers can differ between processors; quality and speed hold for the machines above.\n"
        f"- A margin below {margin} could not have been shown with this much data."
    )
