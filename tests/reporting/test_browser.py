"""The report in a real browser: it renders, it loads nothing, and nothing in it is cut off."""

from __future__ import annotations

import html as standard_html
import re
import struct
import subprocess
from pathlib import Path

import decisions
import pytest
from browsers import browser
from pages import EVERY

from parsimony.decision.records import Decision
from parsimony.reporting import html
from parsimony.reporting.receipt import receipt

WIDTHS = (400, 768, 1024, 1280)
pytestmark = pytest.mark.browser

# Looks into each frame, first as it is, then with everything unfolded, and writes what reaches beyond the right edge.
MEASURE = """
addEventListener("load", () => {
  const lines = [];
  for (const frame of document.querySelectorAll("iframe")) {
    const page = frame.contentDocument, root = page.documentElement, width = frame.clientWidth;
    for (const state of ["folded", "unfolded"]) {
      page.querySelectorAll("details").forEach((fold) => { fold.open = state === "unfolded"; });
      lines.push(`${width} ${state} ${root.scrollWidth}`);
      for (const element of page.querySelectorAll("body *")) {
        const inside = element.closest(".scroll, svg, pre");
        if (inside && inside !== element) continue;
        if (element.getBoundingClientRect().right > width + 1) lines.push(`${width} ${state} cut ${element.tagName}`);
      }
    }
  }
  document.body.textContent = `[${lines.join("; ")}]`;
});
"""

# Counts the folds whose content can be read though nobody has opened them.
FOLDS = """
addEventListener("load", () => {
  const page = document.querySelector("iframe").contentDocument;
  const readable = (fold) => fold.querySelector("p, pre").checkVisibility({contentVisibilityAuto: true});
  const shown = [...page.querySelectorAll("details")].filter(readable).length;
  document.body.textContent = `[${shown} shown]`;
});
"""


def browse(folder: Path, *options: str, name: str = "report.html") -> subprocess.CompletedProcess[str]:
    """Open a page of a folder; standard output is what was asked for, standard error what the page logged."""
    command = (browser(), "--headless", "--no-sandbox", "--disable-gpu", "--hide-scrollbars", "--no-first-run")
    quiet = ("--disable-background-networking", "--disable-component-update", "--disable-sync", "--disable-extensions")
    own = (f"--user-data-dir={folder / 'profile'}", "--enable-logging=stderr", "--v=0")
    page = (folder / name).as_uri()
    return subprocess.run(
        (*command, *quiet, *own, *options, page), capture_output=True, text=True, timeout=120, check=True
    )


def written(folder: Path, decision: Decision) -> Path:
    (folder / "report.html").write_text(html(decision, receipt(decision, version=None)), encoding="utf-8")
    return folder


@pytest.mark.parametrize("name", ["promoted", "kept", "none"])
def test_a_browser_shows_decision_table_and_plots_and_the_page_logs_nothing(name: str, tmp_path: Path) -> None:
    decision = EVERY[name]()
    shown = browse(written(tmp_path, decision), "--dump-dom")
    assert not re.search(r"CONSOLE|Refused to|net::ERR", shown.stderr)
    text = re.sub(r"<[^>]+>", " ", shown.stdout.replace("<wbr>", ""))
    for judged in decision.judged:
        assert judged.candidate in text
    assert shown.stdout.count("<svg") >= 2
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


@pytest.mark.parametrize("name", ["promoted", "bare", "several targets", "60 candidates", "hostile"])
def test_the_page_is_never_wider_than_its_window_folded_or_not(name: str, tmp_path: Path) -> None:
    lines = _looked_at(tmp_path, html(EVERY[name](), receipt(EVERY[name](), version=None)), WIDTHS, MEASURE)
    assert lines == [f"{width} {state} {width}" for width in WIDTHS for state in ("folded", "unfolded")]


def _looked_at(folder: Path, page: str, widths: tuple[int, ...], script: str) -> list[str]:
    """Return the lines that a script writes about the page in frames of these widths."""
    frame = f'srcdoc="{standard_html.escape(page)}"></iframe>'
    frames = "".join(f'<iframe style="border:0;width:{width}px" {frame}' for width in widths)
    (folder / "frames.html").write_text(f"<!doctype html><body>{frames}<script>{script}</script>", encoding="utf-8")
    shown = browse(folder, "--dump-dom", "--window-size=1400,900", name="frames.html")
    [line] = re.findall(r"\[(.*?)\]", re.sub(r"<script>.*?</script>", "", shown.stdout, flags=re.DOTALL))
    return line.split("; ")


def test_paper_shows_the_reasons_that_a_screen_folds(tmp_path: Path) -> None:
    page = html(decisions.decision(), receipt(decisions.decision(), version=None))
    folds = page.count("<details")
    [screen] = _looked_at(tmp_path, page, (700,), FOLDS)
    [paper] = _looked_at(tmp_path, page.replace("@media print", "@media all"), (700,), FOLDS)
    assert (screen, paper) == ("0 shown", f"{folds - 1} shown")  # the receipt stays folded: it is pages of JSON


def test_hostile_text_stays_text(tmp_path: Path) -> None:
    shown = browse(written(tmp_path, decisions.hostile()), "--dump-dom")
    assert "<script" not in shown.stdout.lower()
    assert not re.search(r"CONSOLE|Refused to|net::ERR", shown.stderr)
