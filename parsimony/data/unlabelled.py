"""Texts without labels: which of them are used, so that none is a text of a split, a copy of another, or no text."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Sequence

from parsimony.data.normalise import CONTROL, VISIBLE, clean
from parsimony.errors import Finding
from parsimony.files import digest_bytes

# For each labelled text of train: students see every text the less often, the more there are.
_MOST_FOR_ONE = 3


def usable(
    source: str, texts: Sequence[str], splits: Sequence[Collection[str]], seed: int, key: Callable[[str], str]
) -> tuple[tuple[str, ...], Finding]:
    """Return the texts to use, in their old order, and a note of how many are used, with the reasons for the others.

    splits: the texts of train, validation and test. Texts whose `key` is that of a text of any split are left out: they are known,
    or must not be. Of more than three times the texts of train, as many are kept, drawn by the seed.
    """
    taken = {key(text) for part in splits for text in part}
    damaged = copies = known = 0
    kept: dict[str, str] = {}
    for text in map(clean, texts):
        if not re.search(VISIBLE, text) or re.search(CONTROL, text):
            damaged += 1
        elif (same := key(text)) in taken:
            known += 1
        elif same in kept:
            copies += 1
        else:
            kept[same] = text
    most = _MOST_FOR_ONE * len(splits[0])
    drawn = sorted(kept.values(), key=lambda text: digest_bytes(f"{seed}\n{text}".encode()))[:most]
    chosen = set(drawn)
    used = tuple(text for text in kept.values() if text in chosen)
    reasons = {
        "blank or with control characters": damaged,
        "copies of others": copies,
        "in train, validation or test": known,
        f"beyond {_MOST_FOR_ONE} for each text of train": len(kept) - len(used),
    }
    others = "".join(f", {count} {reason}" for reason, count in reasons.items() if count)
    reason = f"{len(used)} of {len(texts)} texts without labels are used{others}"
    return used, Finding(
        severity="note", check="texts without labels", source=source, row=None, column="text", reason=reason
    )
