"""The browser of this machine, in which pages are looked at, and what a person does in it."""

from __future__ import annotations

import contextlib
import re
import shutil
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from playwright.sync_api import Page

_FOLLOWS = re.compile(r"/deployments/deployment/[^/]+$")
_HEARS_MS = 60_000.0


def browser() -> str:
    """Return the path of Chromium, or of Chrome."""
    names = ("chromium", "chromium-browser", "google-chrome")
    return next(path for name in names if (path := shutil.which(name)))


def submit(page: Page) -> None:
    """Press the button below a form until the page of the deployment follows: a form that is being put together does not hear."""
    from playwright.sync_api import TimeoutError as NothingFollows

    for _ in range(5):
        page.get_by_role("button", name="Submit").click()
        with contextlib.suppress(NothingFollows):
            return page.wait_for_url(_FOLLOWS, timeout=_HEARS_MS)
    raise AssertionError(f"no page followed the form: {page.inner_text('body')[:2000]}")
