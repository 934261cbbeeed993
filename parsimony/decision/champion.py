"""The champion beside the candidates: what it can be judged on, and whether a candidate is proven to be worse than it.

Arithmetic only. A champion is judged on the rows whose labels it knows, without those that it was trained on.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from parsimony.data.row_digests import row_digests
from parsimony.data.splits import Splits
from parsimony.decision import exact_test, gates, slices, stats
from parsimony.decision.records import Coverage, GateResult, GateSettings, GateVerdict, OverChampion, Rules, TestSet

GATE, LABELS_GATE = "champion", "labels"
_NAMED = 5


def cover(version: str, own: Sequence[str], splits: Splits, trained: np.ndarray | None) -> tuple[Coverage, np.ndarray]:
    """Return what a champion can be judged on: in numbers, and as rows of the test split, bool [rows].

    own: the champion's labels; trained: the digests of the rows that it was trained or chosen on, None where they are not known.
    """
    table, today = splits.tables["test"], splits.dataset.labels
    new = tuple(label for label in today if label not in set(own))
    known = ~np.isin(np.array(table.labels, dtype=object), new)
    fresh = known if trained is None else known & ~np.isin(row_digests(table.texts), trained)
    return Coverage(
        version=version,
        rows=int(fresh.sum()),
        new_labels=new,
        gone_labels=tuple(label for label in own if label not in set(today)),
        of_new_labels=int((~known).sum()),
        trained_on=None if trained is None else int((known & ~fresh).sum()),
    ), fresh


def compare(test: TestSet, champion: np.ndarray, candidate: np.ndarray, rules: Rules, tests: int) -> OverChampion:
    """Compare a candidate with the champion on the same rows; class numbers [rows] each.

    tests: how many candidates are compared with the champion; they share 1 - confidence (Bonferroni). The upper bound, by which harm
    is proven, takes the exact critical value where the normal quantile, which is never above it, would prove it.
    """
    settings, n = rules.gates, len(test)
    confidence = 1 - (1 - settings.confidence) / tests
    lost, won = stats.discordant(test.truth, champion, candidate)
    own, theirs = (gates.score(test.truth, predicted, test.classes) for predicted in (candidate, champion))
    if settings.metric == "macro_f1":
        low, high = stats.macro_f1_bounds(test.truth, champion, candidate, test.classes, confidence, rules.seed)
    else:
        low, high = stats.paired_bounds(lost, won, n, confidence)
        if high < -settings.champion_margin:
            critical = exact_test.critical_value(n, settings.champion_margin, confidence, "more")
            high = -stats.paired_bounds(won, lost, n, confidence, critical)[0]
    labels = {key: rows for key, rows in test.slices.items() if key[0] == "label"}
    return OverChampion(
        n=n,
        score=own,
        champion=theirs,
        difference=own.value(settings.metric) - theirs.value(settings.metric),
        lower_bound=low,
        upper_bound=high,
        lost=lost,
        won=won,
        labels=slices.compare(test.truth, champion, candidate, labels),
    )


def judge(over: OverChampion | None, settings: GateSettings) -> tuple[GateResult, ...]:
    """Fail a candidate that is proven to be worse than the champion by more than `champion_margin`; nothing without a champion.

    A guard that finds proven harm: on few rows even a great loss proves nothing; the decision's reason warns of it.
    """
    if over is None:
        return ()
    limit = -settings.champion_margin
    reason = (
        f"{settings.metric} {over.difference:+.4f} against the champion on the same {over.n:,} rows, {over.lost:,} lost, "
        f"{over.won:,} won; at most {over.upper_bound:+.4f}; allowed {limit:+.4f}"
    )
    proven = not over.upper_bound >= limit
    return (
        GateResult(gate=GATE, verdict="fail" if proven else "pass", value=over.upper_bound, limit=limit, reason=reason),
    )


def knows_labels(coverage: Coverage | None) -> tuple[GateResult, ...]:
    """Fail a champion that cannot give a label of today's data; nothing for any other candidate."""
    if coverage is None:
        return ()
    new = coverage.new_labels
    named = ", ".join(repr(label) for label in new[:_NAMED]) + (
        f" and {len(new) - _NAMED} more" if len(new) > _NAMED else ""
    )
    reason = (
        f"it was trained before there was {named}, {coverage.of_new_labels:,} test rows"
        if new
        else "it knows every label"
    )
    verdict: GateVerdict = "fail" if new else "pass"
    return (GateResult(gate=LABELS_GATE, verdict=verdict, value=float(len(new)), limit=0.0, reason=reason),)
