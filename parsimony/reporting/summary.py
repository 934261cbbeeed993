"""The decision for a reader who knows nothing of the field: what happens, how small, how fast, how good, how sure."""

from __future__ import annotations

from parsimony.decision.records import Certificate, Decision, GateResult, Judged
from parsimony.measurement.records import Ratio
from parsimony.reporting import formatting as say
from parsimony.reporting.facts import (
    built,
    champion_of,
    nearest_miss,
    reference_quality,
    size_of,
    slowest,
    times_smaller,
)
from parsimony.reporting.remedy import QUIETER, remedies, stopped

LARGE = "the best model without compression"
# What it means to miss a gate, by the last word of its name.
MISSED = {
    "margin": "it makes too many mistakes",
    "floor": "it makes too many mistakes",
    "slices": "it gets clearly worse on one group of texts",
    "champion": "it is clearly worse than the model in production",
    "labels": "it does not know every label of today's data",
    "measured": "its speed could not be measured reliably",
    "p99_ms": "it is too slow",
    "peak_rss_bytes": "it needs too much memory",
    "size_bytes": "it is too large",
}
UNPROVEN = {
    "margin": "there are too few test texts to be sure that it is good enough",
    "floor": "there are too few test texts to be sure that it is good enough",
    "p99_ms": "it could not be shown to be fast enough",
}


def title(decision: Decision) -> str:
    """Return what happens in a few words: `A model 24.3 times smaller goes into production`."""
    if decision.winner is None:
        return "Nothing changes in production"
    if decision.outcome == "kept":
        return "The model in production stays"
    goes = "waits for review" if decision.outcome == "waiting" else "goes into production"
    if decision.winner == decision.reference:
        return f"The model without compression {goes}"
    factor = times_smaller(decision, decision.of(decision.winner))
    if factor is None or factor < 1.05:
        return f"A new model {goes}"
    return f"A model {_factor(factor)} times smaller {goes}"


def in_plain_words(decision: Decision) -> tuple[str, ...]:
    """Return the decision in one or two paragraphs that need no knowledge of machine learning."""
    if decision.winner is None:
        return (f"No model met every rule of the plan for {decision.model}, so {_nothing(decision)}",)
    winner = decision.of(decision.winner)
    first = f"{_what(decision, winner)} {_how_small(decision, winner)}{_how_fast(decision, winner)}.{_before(decision)}"
    return (
        first,
        *([_how_good(decision, winner.certificate)] if winner.certificate else []),
        _meaning(decision, winner),
    )


def _what(decision: Decision, winner: Judged) -> str:
    size = say.size(size_of(winner))
    if decision.outcome == "kept":
        return f"The model of {size} that is in production for {decision.model} stays there."
    if decision.outcome == "waiting":
        return f"A model of {size} waits for a person to let it go into production for {decision.model}."
    return f"A model of {size} goes into production for {decision.model}."


def _how_small(decision: Decision, winner: Judged) -> str:
    factor, large = times_smaller(decision, winner), say.size(size_of(decision.of(decision.reference)))
    if winner.candidate == decision.reference or factor is None:
        return "It was not compressed, because no smaller model met every rule of the plan"
    if factor < 1:
        return f"It is {_factor(1 / factor)} times the size of {LARGE} ({large})"
    return f"It is {_factor(factor)} times smaller than {LARGE} ({large})"


def _factor(value: float) -> str:
    return say.times(value).removesuffix("×")


def _how_fast(decision: Decision, winner: Judged) -> str:
    measurement = slowest(winner)
    if measurement is None:
        return ""
    where = f" on {measurement.target}, the slowest machine" if len(decision.targets) > 1 else ""
    about = "" if measurement.stable else "about "
    taken = f", and labels a text in {about}{say.milliseconds(measurement.p50.value_ms)}{where}"
    if not measurement.stable:
        return f"{taken} (the machine was busy meanwhile, so this is not exact)"
    ratio = measurement.ratio
    if ratio is None or ratio.baseline == winner.candidate:
        return taken
    return f"{taken}{_compared(decision, ratio)}"


def _compared(decision: Decision, ratio: Ratio) -> str:
    other = "that model" if ratio.baseline == decision.reference else "the model in production until now"
    if ratio.verdict == "same":
        return f", as fast as {other}"
    if ratio.verdict == "inconclusive":
        return ""
    factor = 1 / ratio.value if ratio.verdict == "faster" else ratio.value
    amount = f"{_factor(factor)} times" if factor >= 1.5 else f"{100 * (factor - 1):.0f} %"
    return f", {amount} {ratio.verdict} than {other}"


def _before(decision: Decision) -> str:
    champion = champion_of(decision)
    if champion is None or champion.bundle is None or decision.outcome == "kept":
        return ""
    return f" The model in production until now has {say.size(champion.bundle.size_bytes)}."


def _how_good(decision: Decision, certificate: Certificate) -> str:
    metric, gates = decision.gates.metric, decision.gates
    own, large = certificate.score.value(metric), reference_quality(decision)
    texts = f"This was tested on {say.counted(certificate.n, 'text')} that neither training nor selection had used."
    sure = f"With {say.percent(gates.confidence)} confidence"
    if metric == "macro_f1":
        return (
            f"Its macro F1, the mean over all labels of how reliably each is recognised (1 is perfect), is "
            f"{say.ratio(own)}; {LARGE} has {say.ratio(large)}. {sure} it has lost at most "
            f"{say.ratio(max(-certificate.lower_bound, 0.0))}; the plan allows {say.plain(gates.margin)}. {texts}"
        )
    lost = max(round(-1000 * certificate.lower_bound, 1), 0.0)
    return (
        f"Of 1,000 new texts it labels about {_of_1000(own)} correctly; {LARGE}, about {_of_1000(large)}. {sure} it loses "
        f"at most {say.plain(lost)} of 1,000 against it; the plan allows {say.plain(1000 * gates.margin)}. {texts}"
    )


def _of_1000(share: float | None) -> str:
    return say.NONE if share is None else f"{1000 * share:,.0f}"


def _meaning(decision: Decision, winner: Judged) -> str:
    saved = size_of(decision.of(decision.reference)) - size_of(winner)
    if decision.outcome == "waiting":
        return "What it means: it meets every rule of the plan; until it is approved nothing changes in production."
    if decision.outcome == "kept" and winner.verdict != "pass":
        return f"What it means: nothing changes in production. {_not_shown(winner)} Run it again to be sure."
    if decision.outcome == "kept":
        return "What it means: nothing changes in production, and what runs there still keeps the promised quality."
    if saved <= 0:
        return "What it means: the promised quality is kept."
    return f"What it means: the promised quality is kept, with {say.size(saved)} less to store, to ship and to load."


def _not_shown(winner: Judged) -> str:
    """Say that it was not shown that a kept model still meets every rule, and why."""
    why = next((_missed(gate) for gate in winner.gates if gate.verdict != "pass"), "")
    return f"Whether what runs there still meets every rule was not shown this time{f': {why}' if why else ''}."


def _nothing(decision: Decision) -> str:
    miss = nearest_miss(decision)
    if miss is None:
        return f"nothing changes in production. {_untested(decision)}"
    near = f"nothing changes in production. The nearest one has {say.size(size_of(miss.judged))}: {_missed(miss.gate)}."
    certificate = miss.judged.certificate
    if miss.gate.verdict == "inconclusive" and certificate is not None and certificate.needed is not None:
        more = say.count(max(certificate.needed - certificate.n, 0))
        return f"{near} What it means: about {more} more labelled test texts would probably settle it."
    return f"{near} {_what_next(decision)}"


def _untested(decision: Decision) -> str:
    """Say what stopped the best model before its quality was tested."""
    judged = stopped(decision)
    if judged is None:
        return "No model came near." if built(decision) else "No model was built."
    gate = next(gate for gate in judged.gates if gate.verdict != "pass")
    return f"No model was tested for its quality. The best one: {_missed(gate)}. {_what_next(decision)}"


def _what_next(decision: Decision) -> str:
    if {remedy.words for remedy in remedies(decision)} == {QUIETER}:
        return "What it means: it has to be repeated on a quieter machine."
    return "What it means: either the plan has to allow more, or a better model has to be found."


def _missed(gate: GateResult) -> str:
    rule = gate.gate.split()[-1] if gate.gate.split() else ""
    proven = MISSED.get(rule, f"it misses the rule {gate.gate}")
    return UNPROVEN.get(rule, proven) if gate.verdict == "inconclusive" else proven
