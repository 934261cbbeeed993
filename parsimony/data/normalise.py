"""When two texts count as the same text."""

from __future__ import annotations

import unicodedata


def normalise(text: str) -> str:
    """Return a text without differences of case, width, composition or white space, for comparing only.

    NFKC before and after case folding, because folding can undo the composition; two texts with
    equal results are duplicates of one another. The texts themselves are never replaced by it.
    """
    folded = unicodedata.normalize("NFKC", text).casefold()
    return " ".join(unicodedata.normalize("NFKC", folded).split())
