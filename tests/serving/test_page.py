"""The page at `/`, in a real browser: a person types a text and sees its label, the shares and the milliseconds."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from browsers import opened
from bundles import LABELS, write_tiny_bundle
from serving_clients import started

if TYPE_CHECKING:
    from playwright.sync_api import Request

pytestmark = [pytest.mark.browser, pytest.mark.slow]


def test_a_person_types_a_text_and_sees_label_shares_and_time(tmp_path: Path) -> None:
    write_tiny_bundle(tmp_path / "tiny")
    asked: list[Request] = []
    errors: list[str] = []
    with started(tmp_path / "log", str(tmp_path / "tiny")) as server, opened(height=740, wait_s=120) as page:
        address = f"http://127.0.0.1:{server.port}/"
        page.on("request", lambda request: asked.append(request))  # Playwright takes no method of a list
        page.on("pageerror", lambda error: errors.append(str(error)))
        page.goto(address)
        for width in (400, 1280):
            page.set_viewport_size({"width": width, "height": 740})
            page.fill("#text", "rain rain")
            page.wait_for_selector("#shares li")
            assert page.inner_text("#said") == LABELS[1]
            assert page.locator("#shares li").count() == len(LABELS)
            assert re.match(r"\d+\.\d\d ms in the server, \d+\.\d ms with the way", page.inner_text("#time"))
            assert page.evaluate("document.documentElement.scrollWidth") == width
            page.fill("#text", " ")
            page.wait_for_selector("#shares li", state="detached")
    assert errors == [] and all(request.url.startswith(address) for request in asked)
