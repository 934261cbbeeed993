"""The report in a real browser: it renders, it loads nothing, and nothing in it is cut off."""

from __future__ import annotations

import re
import shutil
import struct
import subprocess
from pathlib import Path

import decisions
import pytest

from parsimony.receipt import receipt
from parsimony.records import Decision
from parsimony.report import html

BROWSERS = ("chromium", "chromium-browser", "google-chrome")
pytestmark = pytest.mark.browser


def browse(folder: Path, *options: str) -> subprocess.CompletedProcess[str]:
    """Open report.html of a folder; standard output is what was asked for, standard error what the page logged."""
    browser = next(found for name in BROWSERS if (found := shutil.which(name)))
    command = (browser, "--headless", "--no-sandbox", "--disable-gpu", "--hide-scrollbars", "--no-first-run")
    quiet = ("--disable-background-networking", "--disable-component-update", "--disable-sync", "--disable-extensions")
    own = (f"--user-data-dir={folder / 'profile'}", "--enable-logging=stderr", "--v=0")
    page = (folder / "report.html").as_uri()
    return subprocess.run(
        (*command, *quiet, *own, *options, page), capture_output=True, text=True, timeout=120, check=True
    )


def written(folder: Path, decision: Decision) -> Path:
    (folder / "report.html").write_text(html(decision, receipt(decision, version=None)), encoding="utf-8")
    return folder


@pytest.mark.parametrize("name", ["promoted", "kept", "none"])
def test_a_browser_shows_decision_table_and_plots_and_the_page_logs_nothing(name: str, tmp_path: Path) -> None:
    decision = {"promoted": decisions.decision, "kept": decisions.kept, "none": decisions.nothing_passed}[name]()
    seen = browse(written(tmp_path, decision), "--dump-dom")
    assert not re.search(r"CONSOLE|Refused to|net::ERR", seen.stderr)
    text = re.sub(r"<[^>]+>", " ", seen.stdout)
    for judged in decision.judged:
        assert judged.candidate.split("(")[0] in text
    assert seen.stdout.count("<svg") >= 2
    assert decision.gates.metric in text.lower()


@pytest.mark.parametrize("width", [400, 1280])
def test_the_page_paints_on_a_phone_and_on_a_screen(width: int, tmp_path: Path) -> None:
    folder = written(tmp_path, decisions.decision())
    picture = folder / "page.png"
    browse(folder, f"--screenshot={picture}", f"--window-size={width},900")
    data = picture.read_bytes()
    assert data[:8] == b"\x89PNG\r\n\x1a\n"
    assert struct.unpack(">II", data[16:24]) == (width, 900)
    assert len(data) > 20_000  # an empty page is a few hundred bytes


def test_hostile_text_stays_text(tmp_path: Path) -> None:
    seen = browse(written(tmp_path, decisions.hostile()), "--dump-dom")
    assert "<script" not in seen.stdout.lower()
    assert not re.search(r"CONSOLE|Refused to|net::ERR", seen.stderr)
