"""Worlds like real ladders: a dozen candidates of mixed kinds that answer the same rows, and a test split harder than validation.

What is quantised after training differs from the reference in few rows, and always in the same ones; what is distilled differs
in more. Only hard rows are predicted differently. A given test file has more of them than rows cut from train, and words that
training never held, which only trimmed candidates stumble over. The numbers are those of kept runs on three data sets.
"""

from __future__ import annotations

from dataclasses import dataclass
from statistics import NormalDist
from typing import Literal

import numpy as np

from parsimony.decision.records import NO_SHIFT, Shift

# Nature: what the ladder truly loses. Boundary: every candidate truly loses just the margin; mixed: every other one does.
Truth = Literal["nature", "boundary", "mixed"]

REFERENCE_BYTES = 91_000_000
_HARD, _WRONG = 0.25, 0.15  # share of hard validation rows, and of those on which the reference is wrong
_ALIKE = 0.5  # correlation of two candidates of a kind on a hard row
_VALIDATION_SHARE, _LEAST_VALIDATION = 1 / 3, 300
_ESTIMATE_SPREAD = 0.2  # relative error of the estimated shift
_SHIFTS = (1.2, 2.2)
# Logarithms: how much more than the ladder's is lost, of the data (mean and spread) and of each candidate by itself.
_DIFFICULTY, _OWN_DIFFICULTY = (0.0, 0.5), 0.3
# Share of the texts with new words, of which a part is lost; and the part of the harm that the validation split shows.
_NEW_WORDS, _LOST_OF_NEW, _SEEN = (0.05, 0.4), 0.03, 0.1

# Megabytes, kind, and what is lost and how many rows differ at a margin of 0.01; then whether the vocabulary is trimmed.
_LADDER = (
    (23.2, "quantised", 0.0008, 0.008, False),
    (17.5, "quantised", 0.0014, 0.012, False),
    (14.0, "quantised", 0.0024, 0.018, False),
    (12.2, "quantised", 0.0011, 0.010, True),
    (7.2, "quantised", 0.0027, 0.020, True),
    (5.9, "distilled", 0.0014, 0.025, False),
    (3.9, "distilled", 0.0014, 0.025, True),
    (4.6, "distilled", 0.0021, 0.030, False),
    (2.6, "distilled", 0.0021, 0.030, True),
    (3.9, "distilled", 0.0031, 0.036, False),
    (1.8, "distilled", 0.0031, 0.036, True),
    (1.15, "distilled", 0.0048, 0.042, True),
    (0.6, "distilled", 0.0090, 0.060, True),
    (0.25, "linear", 0.0250, 0.090, True),
)
_SIZES = np.array([round(mb * 1e6) for mb, *_ in _LADDER])
KINDS = tuple(kind for _, kind, *_ in _LADDER)
_LOSS, _DISCORDANCE = (np.array([one[place] for one in _LADDER]) for place in (2, 3))
TRIMMED = np.array([one[4] for one in _LADDER])


@dataclass(frozen=True, slots=True, kw_only=True)
class Setting:
    """The kind of worlds in a cell: test rows, the margin, whether the test split is harder, and whether it has new words."""

    rows: int
    margin: float
    shifted: bool
    new_words: bool = False

    @property
    def validation_rows(self) -> int:
        """How many rows the validation split has."""
        return max(_LEAST_VALIDATION, round(self.rows * _VALIDATION_SHARE))


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class World:
    """One ladder: sizes, true losses on the test split, the shift as it is known, and on each split the candidates' differences
    to the reference on hard rows: 1 where only the candidate is right, -1 where only the reference is, int8 [candidates, rows]."""

    size_bytes: np.ndarray
    losses: np.ndarray
    shift: Shift
    validation: np.ndarray
    test: np.ndarray


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class _Rates:
    """Shares of all rows: the hard ones, of each candidate the lost and the won ones, what it loses more by new words; and the
    texts that hold such words."""

    hard: float
    lost: np.ndarray
    won: np.ndarray
    harm: np.ndarray
    holding: float = 0.0


def counts(differences: np.ndarray) -> np.ndarray:
    """Return (only the reference right, only the candidate right) of each candidate, [candidates, 2]."""
    return np.column_stack(((differences < 0).sum(axis=1), (differences > 0).sum(axis=1)))


def draw(setting: Setting, truth: Truth, rng: np.random.Generator) -> World:
    """Draw one world.

    The shift is estimated from the texts that were drawn: their hard rows, with an error, and the rows that hold new words.
    """
    before, after = _rates(setting, truth, rng)
    validation, was_hard = _rows(setting.validation_rows, before, rng)
    test, is_hard = _rows(setting.rows, after, rng)
    harder = (is_hard / setting.rows) / (was_hard / setting.validation_rows)
    error = float(np.exp(rng.normal(0.0, _ESTIMATE_SPREAD)))
    estimate = Shift(discordance=harder * error, new_words=rng.binomial(setting.rows, after.holding) / setting.rows)
    return World(
        size_bytes=_SIZES,
        losses=after.lost - after.won + after.harm,
        shift=estimate if setting.shifted else NO_SHIFT,
        validation=validation,
        test=test,
    )


def _rates(setting: Setting, truth: Truth, rng: np.random.Generator) -> tuple[_Rates, _Rates]:
    """Return the true rates on the validation split and on the test split."""
    scale, place = setting.margin / 0.01, np.arange(len(_LADDER))
    of_the_data, of_each = rng.normal(*_DIFFICULTY), rng.normal(0.0, _OWN_DIFFICULTY, len(_LADDER))
    loss = np.minimum(_LOSS * scale * np.exp(of_the_data + of_each), 0.06)
    discordance = np.maximum(_DISCORDANCE * scale * rng.uniform(0.6, 1.4), loss * 1.1)
    shift = float(np.exp(rng.uniform(*np.log(_SHIFTS)))) if setting.shifted else 1.0
    holding = float(rng.uniform(*_NEW_WORDS)) if setting.new_words else 0.0
    harm = TRIMMED * holding * min(_LOST_OF_NEW * float(np.exp(rng.normal(0.0, 0.5))), 0.1)
    at_the_margin = {"nature": place < 0, "boundary": place >= 0, "mixed": place % 2 == 1}[truth]
    there = np.where(at_the_margin, np.maximum(setting.margin - harm, 0.0), loss * shift)
    hard, spread = min(_HARD * scale, 0.4), np.maximum(discordance * shift, there)
    before = _Rates(hard=hard, lost=(discordance + loss) / 2, won=(discordance - loss) / 2, harm=harm * _SEEN)
    return before, _Rates(
        hard=min(hard * shift, 0.9), lost=(spread + there) / 2, won=(spread - there) / 2, harm=harm, holding=holding
    )


def _rows(rows: int, rates: _Rates, rng: np.random.Generator) -> tuple[np.ndarray, int]:
    """Draw the rows of one split on which candidates may differ, hard ones, then those with new words; and count the former."""
    hard = int(rng.binomial(rows, rates.hard))
    right = rng.random(hard) > _WRONG
    lost = _quantiles(rates.lost / rates.hard / (1 - _WRONG))
    won = _quantiles(rates.won / rates.hard / _WRONG)
    of_kind = {kind: rng.standard_normal(hard) for kind in dict.fromkeys(KINDS)}
    common = np.array([of_kind[kind] for kind in KINDS])
    states = np.sqrt(_ALIKE) * common + np.sqrt(1 - _ALIKE) * rng.standard_normal(common.shape)
    differences = np.where(right, -(states < lost[:, None]).astype(np.int8), states < won[:, None])
    new = _new_words(rows - hard, rates.harm / (1 - rates.hard), rng)
    return np.concatenate((differences, new), axis=1).astype(np.int8), hard


def _new_words(rows: int, harm: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Draw rows with new words: of the trimmed candidates, seven in eight of those that change are lost, half of them together."""
    worst = float(harm.max())
    count = int(rng.binomial(rows, min(4 * worst, 0.9))) if worst else 0
    together, alone = rng.random(count), rng.random((len(harm), count))
    change = np.where(rng.random((len(harm), count)) < 0.5, together, alone) < 1 / 3
    won = rng.random(count) < 1 / 8
    return np.where(change & (harm > 0)[:, None], np.where(won, 1, -1), 0)


def _quantiles(shares: np.ndarray) -> np.ndarray:
    normal = NormalDist()
    return np.array([normal.inv_cdf(min(max(float(share), 1e-9), 1 - 1e-9)) for share in shares])
