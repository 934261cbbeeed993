"""The browser of this machine, in which pages are looked at, and what a person does in it."""

from __future__ import annotations

import contextlib
import re
import shutil
from collections.abc import Iterator
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from playwright.sync_api import Page

_FOLLOWS = re.compile(r"/deployments/deployment/[^/]+$")
_HEARS_MS = 60_000.0


def browser() -> str:
    """Return the path of Chromium, or of Chrome."""
    names = ("chromium", "chromium-browser", "google-chrome")
    return next(path for name in names if (path := shutil.which(name)))


@contextlib.contextmanager
def opened(*, height: int = 800, wait_s: float, motion: Literal["reduce"] | None = None) -> Iterator[Page]:
    """Open an empty page, 1,280 pixels wide, in the block; `wait_s` is how long each look at it may wait."""
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=browser(), args=["--no-sandbox", "--disable-gpu"])
        page = chromium.new_page(viewport={"width": 1280, "height": height}, reduced_motion=motion)
        page.set_default_timeout(wait_s * 1000)
        yield page
        chromium.close()


def submit(page: Page) -> None:
    """Press the button below a form until the page of the deployment follows: a form that is being put together does not hear."""
    from playwright.sync_api import TimeoutError as NothingFollows

    for _ in range(5):
        page.get_by_role("button", name="Submit").click()
        with contextlib.suppress(NothingFollows):
            return page.wait_for_url(_FOLLOWS, timeout=_HEARS_MS)
    raise AssertionError(f"no page followed the form: {page.inner_text('body')[:2000]}")
