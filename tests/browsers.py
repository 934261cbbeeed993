"""The browser of this machine, in which pages are looked at."""

from __future__ import annotations

import shutil


def browser() -> str:
    """Return the path of Chromium, or of Chrome."""
    names = ("chromium", "chromium-browser", "google-chrome")
    return next(path for name in names if (path := shutil.which(name)))
