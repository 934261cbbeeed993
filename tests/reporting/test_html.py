"""The report as one page: it stands alone, shows every text as text, and has one line a candidate."""

from __future__ import annotations

import html as standard_html
import json
import re
from dataclasses import replace

import decisions
import pytest
from pages import EVERY, Page, page_of

from parsimony.reporting import formatting as say
from parsimony.reporting import markdown, version_card
from parsimony.reporting.facts import built, ladder
from parsimony.reporting.receipt import receipt
from parsimony.reporting.style import CSS

pytestmark = pytest.mark.slow

TAGS = (
    "html head meta title style body main header p span b h1 h2 h3 dl div dt dd figure figcaption svg g path defs use"
    " text table thead tbody tr th td small br wbr ul li section details summary pre tspan"
)
ATTRIBUTES = (
    "lang charset http-equiv content name class style role tabindex aria-label scope viewBox viewbox stroke-linejoin"
    " stroke-linecap id d href x y transform data-label"
)


@pytest.mark.parametrize("name", [name for name in EVERY if name != "hostile"])
def test_the_page_has_no_address_and_no_script(name: str) -> None:
    page = page_of(EVERY[name]()).lower()
    for word in ("http:", "https:", "//", "src=", "url(", "<script", "@import", "javascript", "xmlns", "<!doctype svg"):
        assert word not in page


def test_the_page_forbids_everything_but_its_own_styles() -> None:
    page = page_of(decisions.decision())
    policy = "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'"
    assert f'<meta http-equiv="Content-Security-Policy" content="{policy}">' in page
    assert page.index("Content-Security-Policy") < page.index("<style>")


@pytest.mark.parametrize("name", EVERY)
def test_the_page_has_only_known_tags_and_attributes(name: str) -> None:
    page = Page(page_of(EVERY[name]()))
    assert page.tags - set(TAGS.split()) == set()
    assert {attribute for attribute, _ in page.attributes} - set(ATTRIBUTES.split()) == set()
    assert [value for attribute, value in page.attributes if attribute == "href" and not value.startswith("#")] == []


def test_hostile_text_is_shown_as_text() -> None:
    page = Page(page_of(decisions.hostile()))
    assert "<script>alert(1)</script>" in page.text
    assert not {"script", "img"} & page.tags


def test_control_characters_neither_break_the_file_nor_turn_its_text() -> None:
    for text in (page_of(decisions.hostile()), markdown(decisions.hostile()), version_card(decisions.hostile())):
        assert re.findall("[\x00\x1b\u202e]", text) == []
        text.encode()


def test_no_id_appears_twice_in_thepage_of() -> None:
    ids = [value for name, value in Page(page_of(decisions.several_targets())).attributes if name == "id"]
    assert len(ids) == len(set(ids)) > 0


@pytest.mark.parametrize("name", EVERY)
def test_the_page_has_its_sections_in_order(name: str) -> None:
    decision = EVERY[name]()
    why = "Why not a smaller one" if decision.winner else "Why none of them"
    change = ["Against the champion before"] if name == "replaced" else []
    assert re.findall(r"<h2>(.*?)</h2>", page_of(decision)) == [
        *change, "Size against quality", "The ladder", why, "Latency", "Step by step", "What changed, slice by slice", "What was asked", "Data", "How fast", "Where it was measured", "Cost",
    ]  # fmt: skip


@pytest.mark.parametrize("name", EVERY)
def test_the_page_has_every_candidate_with_its_reason_smallest_first(name: str) -> None:
    decision = EVERY[name]()
    names = [standard_html.unescape(row) for row in _ladder_names(page_of(decision))]
    assert names == [say.printable(judged.candidate) for judged in built(decision)]
    text = Page(page_of(decision)).text
    assert all(say.printable(judged.candidate) in text for judged in decision.judged)
    assert all(say.printable(judged.reason) in text for judged in decision.judged)


def _ladder(page: str) -> str:
    """Return the part of the page between the ladder's title and the next one."""
    return page[page.index("<h2>The ladder</h2>") : page.index("<h2>Why ")]


def _ladder_names(page: str) -> list[str]:
    names = re.findall(r'<th scope="row"><span class="name">(.*?)</span>', _ladder(page), re.DOTALL)
    return [name.replace("<wbr>", "") for name in names]


@pytest.mark.parametrize("name", EVERY)
def test_the_ladder_has_one_row_a_candidate_with_a_cell_for_every_column(name: str) -> None:
    decision = EVERY[name]()
    part = _ladder(page_of(decision))
    head, *rows = re.findall(r"<tr.*?</tr>", part, re.DOTALL) or [""]
    assert len(rows) == len(built(decision))
    assert {len(re.findall(r"<t[dh][ >]", row)) for row in rows} <= {8}
    if rows:
        assert re.findall(r"<th[^>]*>(.*?)</th>", head) == [
            "#", "candidate", "size", "× smaller", "validation", "test difference", "p50 ms", "verdict",
        ]  # fmt: skip


def test_a_row_of_the_ladder_says_size_quality_speed_and_verdict_and_folds_its_reason() -> None:
    [row] = [row for row in re.findall(r"<tr.*?</tr>", _ladder(page_of(decisions.decision()))) if "winner" in row]
    cells = [Page(cell).text for cell in re.findall(r"<t[dh][ >].*?</t[dh]>", row)]
    assert cells == [
        "4", "student-L2+trim+int4winner", "3.74 MB", "24.3×", "0.9160", "−0.0019 ≥ −0.0066", "0.710",
        "pass",
    ]  # fmt: skip


def test_the_ladder_tells_every_reason_inside_a_fold() -> None:
    part = _ladder(page_of(decisions.nothing_passed()))
    open_text = Page(re.sub(r"</summary>.*?</details>", "</summary></details>", part)).text
    for judged in decisions.nothing_passed().judged:
        assert judged.reason not in open_text
        assert judged.reason in Page(part).text


def test_candidates_that_were_not_built_are_one_folded_line() -> None:
    for decision, words in (
        (decisions.many(60), "16 candidates were not built"),
        (decisions.decision(), "1 candidate was not built"),
        (decisions.bare(), "13 candidates were not built"),
    ):
        part = _ladder(page_of(decision))
        [fold] = re.findall(r'<details class="unbuilt">.*?</details>', part)
        assert re.findall(r"<summary>(.*?)</summary>", fold) == [words]
        absent = [judged for judged in ladder(decision) if judged.bundle is None]
        assert len(re.findall(r'<span class="name">', fold)) == len(absent)
        outside = Page(part.replace(fold, "")).text
        for judged in absent:
            assert judged.candidate in Page(fold).text
            assert judged.candidate not in outside
            assert judged.reason in Page(fold).text


def test_a_reason_that_several_unbuilt_candidates_share_is_said_once() -> None:
    [fold] = re.findall(r'<details class="unbuilt">.*?</details>', page_of(decisions.bare()))
    assert fold.count("the budget was spent before its turn") == 1
    assert '<span class="name">encoder</span><span class="badge reference">' in fold


def test_without_unbuilt_candidates_there_is_no_such_line() -> None:
    before = decisions.decision()
    decision = replace(before, judged=tuple(judged for judged in before.judged if judged.bundle is not None))
    assert "not built" not in Page(page_of(decision)).text


def test_numbers_in_the_figure_are_those_of_the_ladder() -> None:
    decision = decisions.many(60)
    words = re.findall(r">#(\d+)</text>", page_of(decision))
    places = re.findall(r'data-label="#">(\d+)</td>', _ladder(page_of(decision)))
    assert places == [str(number) for number in range(1, len(built(decision)) + 1)]
    assert set(words) < set(places)


def test_only_what_is_smaller_than_the_winner_has_its_reason_unfolded() -> None:
    page = page_of(decisions.decision())
    why = page[page.index("<h2>Why not a smaller one</h2>") : page.index("<h2>Latency</h2>")]
    names = re.findall(r'<span class="name">(.*?)</span>', why)
    assert names == ["linear-words", "linear-char-ngrams", "student-L1+trim+int8"]
    page = page_of(decisions.nothing_passed())
    why = page[page.index("<h2>Why none of them</h2>") : page.index("<h2>Latency</h2>")]
    assert len(re.findall(r'<span class="name">', why)) == len(built(decisions.nothing_passed()))


def test_paper_shows_what_is_folded_and_no_shadow_and_keeps_rows_and_figures_whole() -> None:
    style = CSS[CSS.index("@media print") :]
    for rule in (
        "details::details-content{display:block;content-visibility:visible",
        "*{box-shadow:none!important",
        "tr,figure,li,.figures div{break-inside:avoid}",
        ".scroll{overflow:visible}",
    ):
        assert rule in style


def test_the_page_marks_winner_reference_and_champion() -> None:
    page = page_of(decisions.kept())
    assert page.count('<tr class="winner">') == 1
    for word in ("winner", "reference", "champion"):
        assert page.count(f'<span class="badge {word}">{word}</span>') == 1
    assert '<span class="badge kept">kept</span>' in page


def test_the_page_carries_the_receipt() -> None:
    decision = decisions.decision()
    text = Page(page_of(decision)).text
    assert json.loads(text[text.index('{\n "format"') :]) == receipt(decision, version="7")


def test_what_is_missing_is_said() -> None:
    text = Page(page_of(decisions.bare())).text
    for words in (
        "No candidate was built and compared with the reference.",
        "No candidate was built, so none could be tested.",
        "Nothing was measured.",
        "No row was quarantined.",
        "No target was asked for, so nothing could pass.",
        "unavailable: no counter",
        "Nothing was tested on the test split.",
    ):
        assert words in text
