"""The rules that the simulation and the replay compare: what each certifies, from the same predictions.

All but one keep the chance of a false certificate at 1 - confidence in samples of every size. `step-down` does so only for
large ones (Romano and Wolf 2005): its critical values come from the candidates' correlations on the test split, as if the
statistics were normal, and a loss of just the margin makes no symmetric null from which exact ones could be had by changing
signs. It is shown for what the correlations would be worth.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from parsimony.decision import certification, exact_test, fixed_sequence, procedure, sharing
from parsimony.decision.certification import Tests
from parsimony.decision.chances import Comparison, Question, outlooks
from parsimony.decision.procedure import Case
from parsimony.decision.sharing import TENTHS
from parsimony.decision.shortlist import Shortlist, front, most_promising

_SAMPLES = 2_000

# Which candidates a rule certifies, without the reference.
Rule = Callable[["Trial"], list[str]]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Trial:
    """What a rule sees: the case, the comparisons on the validation split, the tests, and for each candidate its differences
    to the reference on test rows (-1, 0, 1), int8 [rows]."""

    case: Case
    comparisons: Sequence[Comparison]
    tests: Tests
    differences: Mapping[str, np.ndarray]


def shared(trial: Trial) -> list[str]:
    """Certify as the project does: the level shared among several starts, chosen for the expected saving."""
    return _in_turn(procedure.choose(trial.case, trial.comparisons), trial)


def fixed(trial: Trial) -> list[str]:
    """Certify in one sequence, by the chances and the order of receipts of format 2."""
    return _in_turn(fixed_sequence.shortlist(trial.comparisons, trial.case.question), trial)


def better_order(trial: Trial) -> list[str]:
    """Certify in one sequence, its order and members chosen by today's chances."""
    return _in_turn(_with_moves(trial.comparisons, trial.case.question, (TENTHS,)), trial)


def equal_shares(trial: Trial) -> list[str]:
    """Certify the sequence of format 2 with equal shares of the level for all its members, as far as tenths allow."""
    chosen = fixed_sequence.shortlist(trial.comparisons, trial.case.question)
    names = [name for name in chosen.order if name != trial.case.reference]
    each, rest = divmod(TENTHS, max(len(names), 1))
    shares = {name: each + (place < rest) for place, name in enumerate(names)}
    return _in_turn(
        Shortlist(order=chosen.order, left_out=(), shares=tuple(shares.get(name, 0) for name in chosen.order)), trial
    )


def step_down(trial: Trial) -> list[str]:
    """Certify all of the front at once by the largest of their statistics, then those that are left, until none is added."""
    question = trial.case.question
    known = outlooks(trial.comparisons, question)
    names = [entry.candidate for entry in front(trial.comparisons, known, question)[0]]
    if not names:
        return []
    table = np.array([trial.differences[name] for name in names], dtype=np.float64)
    lost, won = ((table == sign).sum(axis=1) for sign in (-1, 1))
    statistics = -exact_test.scores(lost, won, question.rows, question.gates.margin)
    draws = _correlated(table)
    left, certified = list(range(len(names))), list[str]()
    while left:
        critical = np.quantile(draws[:, left].max(axis=1), question.gates.confidence)
        passed = [place for place in left if statistics[place] > critical]
        if not passed:
            break
        certified += [names[place] for place in passed]
        left = [place for place in left if place not in passed]
    return certified


RULES: dict[str, Rule] = {
    "shared": shared,
    "fixed sequence": fixed,
    "better order": better_order,
    "equal shares": equal_shares,
    "step-down": step_down,
}


def _correlated(table: np.ndarray) -> np.ndarray:
    """Return normal draws with the correlations of the rows' differences, [samples, candidates]."""
    products = table @ table.T + 1e-3 * np.eye(len(table))
    scale = 1 / np.sqrt(np.diag(products))
    root = np.linalg.cholesky(products * scale[:, None] * scale[None, :] + 1e-9 * np.eye(len(table)))
    noise: np.ndarray = np.random.default_rng(0).standard_normal((_SAMPLES, len(table)))
    return noise @ root.T


def _with_moves(comparisons: Sequence[Comparison], question: Question, moves: Sequence[int]) -> Shortlist:
    known = outlooks(comparisons, question)
    start_bytes = max(entry.size_bytes for entry in comparisons)
    among = most_promising(front(comparisons, known, question)[0], known, question, start_bytes)
    scene = sharing.draw_scene(among, known, start_bytes, 1 - question.gates.confidence)
    shares = sharing.best_shares(scene, moves)
    tested = {e.candidate: share for e, share in zip(among, shares, strict=True) if share >= 0}
    return Shortlist(order=tuple(tested), left_out=(), shares=tuple(tested.values()))


def _in_turn(chosen: Shortlist, trial: Trial) -> list[str]:
    tested = certification.in_turn(chosen, trial.tests)
    return [
        name
        for name, results in tested.items()
        if name != trial.case.reference and {result.verdict for result in results} == {"pass"}
    ]
