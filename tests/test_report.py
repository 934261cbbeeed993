"""The report tells the whole decision, stands alone, and shows every text as text."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Callable
from dataclasses import replace
from functools import cache
from html.parser import HTMLParser
from pathlib import Path

import decisions
import numpy as np
import pytest

from parsimony import speed
from parsimony import wording as say
from parsimony.bundle import write_bundle
from parsimony.plots import latency, size_against_quality
from parsimony.readings import nearest_miss, reference_quality, short_names
from parsimony.receipt import receipt
from parsimony.records import Decision, Disturbance, GateResult, Measurement, Quantile
from parsimony.report import html, markdown, sentence, table, version_card
from parsimony.report_grids import Grid, cost, data, machines, measurements, promises, slices
from parsimony.report_markdown import escape

EVERY: dict[str, Callable[[], Decision]] = {
    "promoted": decisions.decision,
    "kept": decisions.kept,
    "none": decisions.nothing_passed,
    "bare": decisions.bare,
    "macro F1": lambda: decisions.with_metric("macro_f1"),
    "several targets": decisions.several_targets,
    "60 candidates": lambda: decisions.many(60),
    "hostile": decisions.hostile,
}
TAGS = (
    "html head meta title style body main header p span b h1 h2 h3 dl div dt dd figure figcaption svg g path defs use"
    " text table thead tbody tr th td small br wbr ul li section details summary pre tspan"
)
ATTRIBUTES = (
    "lang charset http-equiv content name class style role tabindex aria-label scope viewBox viewbox stroke-linejoin"
    " stroke-linecap id d href x y transform"
)


class Page(HTMLParser):
    """What a browser would see: tags, attributes and text."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.tags: set[str] = set()
        self.attributes: list[tuple[str, str]] = []
        self.text = ""
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        self.attributes += [(name, value or "") for name, value in attrs]

    def handle_data(self, data: str) -> None:
        self.text += data


@cache
def _page(decision: Decision) -> str:
    return html(decision, receipt(decision, version="7" if decision.winner else None))


# --- the sentence ---------------------------------------------------------------------------------


def test_the_sentence_of_a_promotion_says_who_won_by_which_numbers() -> None:
    assert sentence(decisions.decision()) == (
        "student.layers-2+trim+fusion+int4 goes into production: 3.74 MB, 24.3× smaller than the reference (91.0 MB), "
        "accuracy 0.9172 against 0.9192, with 95 % confidence at most 0.0066 lower (0.0100 allowed). The smallest of 6 "
        "candidates that pass every gate on every target."
    )


def test_the_sentence_of_a_kept_champion_says_that_it_stays() -> None:
    text = sentence(decisions.kept())
    assert text.startswith("student.layers-2+trim+fusion+int4 stays in production: 3.74 MB, 24.3× smaller")
    assert text.endswith("(0.0100 allowed). No candidate that passes is smaller.")


def test_the_sentence_without_a_winner_names_the_nearest_miss() -> None:
    assert sentence(decisions.nothing_passed()) == (
        "Nothing passed. The nearest miss is linear.char-ngrams (1.86 MB): non-inferiority missed by 0.0025, lower bound "
        "-0.0125, asked at least -0.0100; about 7150 rows would settle it. No candidate passes every gate."
    )


def test_the_sentence_without_any_gate_says_that_nothing_came_near() -> None:
    assert sentence(decisions.bare()) == (
        "Nothing passed, and no candidate came far enough to be called a near miss. The budget was spent before anything "
        "was built."
    )


def test_a_winning_reference_is_not_compared_with_itself() -> None:
    decision = replace(decisions.decision(), winner=decisions.REFERENCE, reason="")
    assert sentence(decision) == "encoder goes into production: 91.0 MB, the reference itself, accuracy 0.9192."


def test_a_gate_that_saw_nothing_is_no_near_miss() -> None:
    before = decisions.nothing_passed()
    rungs = tuple(replace(j, gates=tuple(replace(g, seen=None) for g in j.gates)) for j in before.judged)
    assert nearest_miss(replace(before, judged=rungs)) is None


def test_the_reference_level_follows_from_any_certificate() -> None:
    before = decisions.decision()
    rungs = tuple(replace(j, certificate=None) if j.is_reference else j for j in before.judged)
    found = reference_quality(replace(before, judged=rungs))
    assert found == pytest.approx(2831 / 3080)


def test_names_keep_their_base_where_two_bases_would_look_alike() -> None:
    one, two = "student(a)+int8", "student(b)+int8"
    before = decisions.decision()
    pair = (replace(before.judged[0], candidate=one), replace(before.judged[0], candidate=two))
    names = short_names(replace(before, outcome="none", winner=None, judged=pair))
    assert names == {one: one, two: two}


# --- speed ----------------------------------------------------------------------------------------


def _remeasured(**changes: object) -> Decision:
    """Return the promoting decision with other measurements."""
    before = decisions.decision()
    rungs = tuple(replace(j, measurements=tuple(replace(m, **changes) for m in j.measurements)) for j in before.judged)
    return replace(before, judged=rungs)


def test_the_table_of_speed_says_who_is_faster_than_the_base_line_and_how_near_to_the_roof() -> None:
    [grid] = measurements(decisions.decision())
    assert grid.title == "Speed on target here"
    rows = {row[0]: row[1:] for row in grid.rows}
    assert rows["student.layers-2+trim+fusion+int4"] == (
        "0.710", "1.56 ms", "0.17× (0.17 to 0.18)", "faster than encoder", "14.1 %", "1.2%", "4,000",
    )  # fmt: skip
    assert rows["linear.char-ngrams"][4] == "–"
    assert rows["encoder"][2:4] == ("1.00× (0.98 to 1.01)", "the base line, by its twin")
    assert grid.note == (
        "The base line's twin, a second process with the same bundle, sets a noise floor of 2.1%: nothing nearer is "
        "called a difference. No efficiency: the graph multiplies no matrices."
    )


@pytest.mark.parametrize(
    ("value", "words"),
    [(3.304, "3.30× (3.30 to 3.30)"), (0.1, "0.10× (0.10 to 0.10)"), (0.00346, "0.0035× (0.0035 to 0.0035)")],
)
def test_a_ratio_keeps_two_digits_however_small_it_is(value: float, words: str) -> None:
    found = replace(decisions.ratio(1.0, stable=True), value=value, low=value, high=value)
    assert speed.ratio(found) == words


def test_what_was_not_compared_is_a_dash_and_what_is_unsteady_says_so() -> None:
    [grid] = measurements(_remeasured(ratio=None, efficiency=None, roofs=None, disturbance=None, stable=False))
    assert {row[3:6] for row in grid.rows} == {("–", "", "–")}
    assert all(row[6].endswith(", unstable") for row in grid.rows)
    assert grid.note == ""


@pytest.mark.parametrize("samples", [50, 367])
def test_a_p99_of_too_few_samples_is_printed_nowhere(samples: int) -> None:
    few = _remeasured(samples=samples)
    winner = few.of(decisions.WINNER)
    wrong = say.bare_milliseconds(winner.measurements[0].p99.value_ms)
    for text in (html(few, {}), markdown(few), version_card(few)):
        assert "too few samples" in text
        assert wrong not in text
    enough = _remeasured(samples=368)
    for text in (html(enough, {}), markdown(enough), version_card(enough)):
        assert "too few samples" not in text
        assert wrong in text
    drawn, undrawn = latency(enough), latency(few)
    assert drawn.count("<path") > undrawn.count("<path")


def test_the_speed_of_the_winner_is_told_against_the_base_line_and_the_roof() -> None:
    told = "p99 1.56 ms, 1 thread, target here; faster than encoder, 0.17×; 14.1 % of the roof"
    assert told in markdown(decisions.decision())


def test_the_machine_is_told_with_its_roofs_its_threads_and_what_disturbed() -> None:
    rows = dict(machines(decisions.decision())[0].rows)
    assert rows["roofs"] == (
        "int8 860 and fp32 220 thousand million operations a second, memory 29.0 GB a second (measured)"
    )
    assert rows["disturbed"] == (
        "stolen by other machines: 0.04 %; held back by the quota: 0 times; waited for busy cores: 0.3% of the time"
    )
    assert rows["threads"] == "1 within an operator, 1 between, asleep when idle; on core 1"
    assert rows["governor"] == "performance"


def test_what_a_machine_does_not_say_is_said_to_be_unknown() -> None:
    unread = replace(
        decisions.ENVIRONMENT, governor=None, intra_op_threads=None, inter_op_threads=None, spinning=None, affinity=None
    )
    found = _remeasured(environment=unread, disturbance=Disturbance(steal_share=None, throttled=None), roofs=None)
    rows = dict(machines(found)[0].rows)
    assert rows["disturbed"].count("cannot be read here") == 3
    assert (rows["governor"], rows["threads"], rows["roofs"]) == ("cannot be read here", "1 allowed", "–")


# --- the table ------------------------------------------------------------------------------------


def test_the_table_is_smallest_first_with_winner_and_reference_marked() -> None:
    rows = table(decisions.decision())
    assert rows[0] == ("candidate", "size", "× smaller", "search", "sealed diff ≥ bound", "p50 ms", "verdict")
    assert rows[1] == ("linear.words", "0.221 MB", "411×", "0.8887", "–", "–", "not certified")
    assert rows[3] == ("student.layers-1+trim+fusion+int4", "~2.21 MB", "–", "–", "–", "–", "not built")
    assert rows[5] == (
        "student.layers-2+trim+fusion+int4", "3.74 MB", "24.3×", "0.9160", "−0.0019 ≥ −0.0066", "0.710", "pass, winner",
    )  # fmt: skip
    assert rows[-1][0] == "encoder"
    assert rows[-1][-1] == "pass, reference"


def test_the_table_shows_the_metric_of_the_gates() -> None:
    assert table(decisions.with_metric("macro_f1"))[1][3] == "0.8874"


@pytest.mark.parametrize(
    ("size_bytes", "words"),
    [
        (None, "–"),
        (840, "0.840 kB"),
        (99_999, "100 kB"),
        (100_000, "0.100 MB"),
        (3_742_118, "3.74 MB"),
        (91_032_540, "91.0 MB"),
        (9_999_999, "10.0 MB"),
        (438_000_000, "438 MB"),
        (1_320_000_000, "1.32 GB"),
    ],
)
def test_sizes_have_three_digits_and_powers_of_ten(size_bytes: int | None, words: str) -> None:
    assert say.size(size_bytes) == words


@pytest.mark.parametrize(
    ("seconds", "words"), [(2.44, "2.4 s"), (59.6, "1 min 00 s"), (252, "4 min 12 s"), (3900, "1 h 05 min")]
)
def test_durations_are_said_in_two_units_at_most(seconds: float, words: str) -> None:
    assert say.duration(seconds) == words


def test_a_long_name_loses_its_middle() -> None:
    assert say.shorten("student.layers-2+trim+fusion+int4", 15) == "student…on+int4"


# --- the card -------------------------------------------------------------------------------------


def _with_winner(size_bytes: int, p50_ms: float, correct: int) -> Decision:
    before = decisions.decision()
    winner = before.of(decisions.WINNER)
    assert winner.bundle is not None
    changed = replace(
        winner,
        bundle=replace(winner.bundle, size_bytes=size_bytes),
        certificate=replace(decisions.certificate(2825, 41, 5), score=decisions.score(correct, 3080)),
        measurements=(decisions.measurement(p50_ms),),
    )
    return replace(before, judged=tuple(changed if j is winner else j for j in before.judged))


@pytest.mark.parametrize(
    ("size_bytes", "p50_ms", "correct", "line"),
    [
        (3_742_118, 0.71, 2825, "PASS 3.7MB acc .917 p50 0.71ms"),
        (48_200, 0.0123, 3080, "PASS 48kB acc 1.000 p50 0.012ms"),
        (438_000_000, 1234.0, 2825, "PASS 440MB acc .917 p50 1200ms"),
        (12_345_678_901, 12_345.0, 1, "PASS 12GB acc .000 p50 12s"),
        (999_999_999_999, 9_999.0, 3080, "PASS 1000GB acc 1.000"),
    ],
)
def test_the_first_line_of_the_card_fits_into_the_list_of_versions(
    size_bytes: int, p50_ms: float, correct: int, line: str
) -> None:
    found = version_card(_with_winner(size_bytes, p50_ms, correct)).splitlines()[0]
    assert found == line
    assert len(found) <= 32


def test_the_first_line_names_the_metric_and_leaves_out_what_was_not_measured() -> None:
    before = decisions.with_metric("macro_f1")
    rungs = tuple(replace(j, measurements=()) for j in before.judged)
    assert version_card(replace(before, judged=rungs)).splitlines()[0] == "PASS 3.7MB f1 .916"


def test_the_first_line_shows_the_slowest_target() -> None:
    assert version_card(decisions.several_targets()).splitlines()[0] == "PASS 3.7MB acc .917 p50 2.3ms"


def test_there_is_no_card_without_a_winner() -> None:
    with pytest.raises(ValueError, match="no winner, expected one: only a winner is registered"):
        version_card(decisions.nothing_passed())


def test_the_card_has_all_sections_and_the_evidence() -> None:
    card = version_card(decisions.decision())
    titles = ["Intended use", "Quality", "Size", "Latency", "How it was made", "Limits", "Use"]
    assert re.findall(r"^## (.*)$", card, re.MULTILINE) == titles
    assert "On 3,080 sealed rows: accuracy 0.9172, reference 0.9192." in card
    assert "with 95 % confidence at least −0.0066; −0.0100 was allowed" in card
    assert "p50 0.710 ms, p99 1.56 ms, 91.3 MB memory, on Example 9 CPU at 3.1 GHz, 1 of 2 cores" in card
    assert f"digest {'5e' * 32}." in card


def test_a_card_of_hostile_names_is_short_enough_to_be_stored() -> None:
    before = decisions.hostile()
    labels = tuple(f"{i}{'<' * 80}" for i in range(500))
    assert len(version_card(replace(before, dataset=replace(before.dataset, labels=labels)))) <= 5000


def _model(inputs: tuple[str, ...]) -> bytes:
    """Return a graph that answers label 1 for long texts: logits [4, length]."""
    import onnx
    from onnx import TensorProto, helper

    text = inputs == ("text",)
    kind, shape = (TensorProto.STRING, [1]) if text else (TensorProto.INT64, [1, None])
    length = [] if text else [
        helper.make_node("Shape", ["input_ids"], ["shape"]),
        helper.make_node("Gather", ["shape", "one"], ["length"]),
    ]  # fmt: skip
    constants = [
        helper.make_node("Constant", [], [name], value=helper.make_tensor(name, TensorProto.INT64, [1], [value]))
        for name, value in (("one", 1), ("four", 4), ("length" if text else "unused", 9))
    ]
    nodes = [
        *constants,
        *length,
        helper.make_node("Concat", ["four", "length"], ["pair"], axis=0),
        helper.make_node("Cast", ["pair"], ["floats"], to=TensorProto.FLOAT),
        helper.make_node("Unsqueeze", ["floats", "zero"], ["logits"]),
    ]
    zero = helper.make_tensor("zero", TensorProto.INT64, [1], [0])
    graph = helper.make_graph(
        nodes, "length", [helper.make_tensor_value_info(name, kind, shape) for name in inputs],
        [helper.make_tensor_value_info("logits", TensorProto.FLOAT, [1, 2])], [zero],
    )  # fmt: skip
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    onnx.checker.check_model(model)
    return bytes(model.SerializeToString())


def _tokenizer() -> str:
    from tokenizers import Tokenizer, models, pre_tokenizers

    tokenizer = Tokenizer(models.WordLevel({"[UNK]": 0}, unk_token="[UNK]"))
    tokenizer.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    return str(tokenizer.to_str())


@pytest.mark.parametrize("inputs", [("text",), ("input_ids",), ("input_ids", "attention_mask")])
def test_the_ten_lines_of_the_card_classify_with_a_bundle(
    inputs: tuple[str, ...], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    [code] = re.findall(r"```python\n(.*?)\n```", version_card(decisions.decision()), re.DOTALL)
    assert len(code.splitlines()) == 10
    tokenizer = None if inputs == ("text",) else _tokenizer()
    write_bundle(tmp_path / "b", model=_model(inputs), tokenizer=tokenizer, labels=["short", "long"], lineage={})
    monkeypatch.chdir(tmp_path / "b")
    names: dict[str, object] = {"np": np}
    exec(code, names)
    classify = names["classify"]
    assert callable(classify)
    assert classify("a b c d e f") == "long"
    if inputs != ("text",):
        assert (classify("a b"), classify("")) == ("short", "short")


# --- Markdown -------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", EVERY)
def test_every_markdown_table_has_cells_for_its_columns(name: str) -> None:
    width = 0
    for line in markdown(EVERY[name]()).splitlines():
        if not line.startswith("|"):
            width = 0
            continue
        cells = len(re.findall(r"(?<!\\)\|", line))
        width = width or cells
        assert cells == width, line


def test_markdown_has_every_candidate_and_every_reason() -> None:
    decision = decisions.decision()
    text = markdown(decision)
    for judged in decision.judged:
        assert escape(short_names(decision)[judged.candidate]) in text
        if judged.candidate != decision.winner:
            assert f" {judged.verdict}: {escape(judged.reason)}" in text


def test_markdown_shows_hostile_text_as_text() -> None:
    text = markdown(decisions.hostile())
    assert "<" not in text
    assert escape("[a](https://b) `c` *d*\n# e | f") == (r"\[a\](https:&#8203;//b) \`c\` \*d\* \# e \| f")


# --- the page -------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", [name for name in EVERY if name != "hostile"])
def test_the_page_has_no_address_and_no_script(name: str) -> None:
    page = _page(EVERY[name]()).lower()
    for word in ("http:", "https:", "//", "src=", "url(", "<script", "@import", "javascript", "xmlns", "<!doctype svg"):
        assert word not in page


def test_the_page_forbids_everything_but_its_own_styles() -> None:
    page = _page(decisions.decision())
    policy = "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'"
    assert f'<meta http-equiv="Content-Security-Policy" content="{policy}">' in page
    assert page.index("Content-Security-Policy") < page.index("<style>")


@pytest.mark.parametrize("name", EVERY)
def test_the_page_has_only_known_tags_and_attributes(name: str) -> None:
    page = Page(_page(EVERY[name]()))
    assert page.tags - set(TAGS.split()) == set()
    assert {attribute for attribute, _ in page.attributes} - set(ATTRIBUTES.split()) == set()
    assert [value for attribute, value in page.attributes if attribute == "href" and not value.startswith("#")] == []


def test_hostile_text_is_shown_as_text() -> None:
    page = Page(_page(decisions.hostile()))
    assert "<script>alert(1)</script>" in page.text
    assert not {"script", "img"} & page.tags


def test_control_characters_neither_break_the_file_nor_turn_its_text() -> None:
    for text in (_page(decisions.hostile()), markdown(decisions.hostile()), version_card(decisions.hostile())):
        assert re.findall("[\x00\x1b\u202e]", text) == []
        text.encode()


def test_no_id_appears_twice_in_the_page() -> None:
    ids = [value for name, value in Page(_page(decisions.several_targets())).attributes if name == "id"]
    assert len(ids) == len(set(ids)) > 0


@pytest.mark.parametrize("name", EVERY)
def test_the_page_has_its_sections_in_order(name: str) -> None:
    decision = EVERY[name]()
    why = "Why not the others" if decision.winner else "Why none of them"
    assert re.findall(r"<h2>(.*?)</h2>", _page(decision)) == [
        "Size against quality", "The ladder", why, "Latency", "Step by step", "What changed, slice by slice", "What was asked", "Data", "How fast", "Where it was measured", "Cost",
    ]  # fmt: skip


def test_the_page_has_every_candidate_with_its_reason_smallest_first() -> None:
    decision = decisions.many(60)
    rows = re.findall(r'<th scope="row"><span class="name">(.*?)</span>', _page(decision))
    assert [row.replace("<wbr>", "") for row in rows] == [row[0] for row in table(decision)[1:]]
    text = Page(_page(decision)).text
    assert all(judged.reason in text for judged in decision.judged)


def test_the_page_marks_winner_reference_and_champion() -> None:
    page = _page(decisions.kept())
    assert page.count('<tr class="winner">') == 1
    for word in ("winner", "reference", "champion"):
        assert page.count(f'<span class="badge {word}">{word}</span>') == 1
    assert '<span class="badge kept">kept</span>' in page


def test_the_page_carries_the_receipt() -> None:
    decision = decisions.decision()
    found = receipt(decision, version="7")
    text = Page(_page(decision)).text
    assert json.loads(text[text.index('{\n "outcome"') :]) == found


def test_what_is_missing_is_said() -> None:
    text = Page(_page(decisions.bare())).text
    for words in (
        "No candidate was built and scored.",
        "Nothing was measured.",
        "No row was quarantined.",
        "No target was asked for, so nothing could pass.",
        "unavailable: no counter",
    ):
        assert words in text


def test_quarantine_shows_the_first_rows_of_each_check() -> None:
    [quarantine] = [grid for grid in data(decisions.decision()) if grid.title == "Quarantined"]
    assert [row[0] for row in quarantine.rows] == ["conflicting_labels (6)", "", "", "", "", "empty_text (2)", ""]
    assert quarantine.rows[0][1:] == ("train.csv", "31", "category", "the same text has another label in row 842")


def test_the_slices_of_the_winner_are_told_by_column_the_worst_first() -> None:
    before = decisions.decision()
    winner = before.of(decisions.WINNER)
    gate = GateResult(gate="slices", verdict="pass", seen=0.1, limit=-0.1, reason="region 'us' is the worst")
    changed = replace(winner, gates=(*winner.gates, gate))
    decision = replace(before, judged=tuple(changed if j is winner else j for j in before.judged))
    columns = ("slice", "rows", "right before, wrong now", "wrong before, right now")
    name = "student.layers-2+trim+fusion+int4"
    assert slices(decision) == (
        Grid(
            title=f"{name}: label",
            columns=columns,
            rows=(("intent_76", "40", "28", "18"), ("intent_01", "40", "13", "17")),
        ),
        Grid(
            title=f"{name}: region",
            columns=columns,
            rows=(("us", "2,000", "28", "18"), ("eu", "1,080", "13", "17")),
            note="region 'us' is the worst.",
        ),
    )
    for text in (_page(decision), markdown(decision)):
        assert "intent" in text and "region" in text


def test_only_the_worst_slices_are_listed_and_the_others_counted() -> None:
    before = decisions.decision()
    winner = before.of(decisions.WINNER)
    assert winner.certificate is not None
    all_lost = tuple(replace(s, lost=i + 1, won=0) for i, s in enumerate(winner.certificate.slices[:20]))
    changed = replace(winner, certificate=replace(winner.certificate, slices=all_lost))
    [grid] = slices(replace(before, judged=tuple(changed if j is winner else j for j in before.judged)))
    assert [row[2] for row in grid.rows] == [str(lost) for lost in range(20, 8, -1)]
    assert grid.note == "8 others changed less."


def test_a_winner_that_answers_like_the_reference_changes_no_slice() -> None:
    decision = replace(decisions.decision(), winner=decisions.REFERENCE)
    assert [(grid.rows, grid.note) for grid in slices(decision)] == [
        ((), "It is right and wrong on the same rows as the reference.")
    ] * 2
    assert slices(decisions.bare()) == ()


def test_the_limits_of_slices_are_told() -> None:
    decision = decisions.decision()
    assert promises(decision)[0].rows[4:6] == (
        ("no slice proven to lose more than", "0.1"),
        ("no slice proven to lie below", "no floor"),
    )
    strict = replace(decision, gates=replace(decision.gates, slice_margin=1.0, slice_floor=0.5))
    assert [value for _, value in promises(strict)[0].rows[4:6]] == ["no limit", "0.5"]


def test_energy_and_carbon_say_where_they_come_from() -> None:
    total, _ = cost(decisions.decision())
    assert total.rows[1:] == (
        ("energy", "9.10 Wh", "estimated: 15 W for each busy core"),
        ("carbon", "3.20 g CO2e", "estimated: 350 g/kWh, set in the plan"),
    )


# --- the figures ----------------------------------------------------------------------------------


def _texts(svg: str) -> list[str]:
    return re.findall(r"<text[^>]*>([^<]*)</text>", svg)


def test_the_figures_are_the_same_every_time() -> None:
    first, second = ((size_against_quality(d), latency(d)) for d in (decisions.decision(), decisions.decision()))
    assert first == second


def test_the_figures_are_empty_when_there_is_nothing_to_draw() -> None:
    assert (size_against_quality(decisions.bare()), latency(decisions.bare())) == ("", "")


@pytest.mark.parametrize("name", EVERY)
def test_a_figure_is_one_svg_element_that_follows_the_colours_of_the_page(name: str) -> None:
    for svg in (size_against_quality(EVERY[name]()), latency(EVERY[name]())):
        if svg:
            assert svg.startswith("<svg ") and svg.endswith("</svg>") and svg.count("<svg") == 1
            assert set(re.findall(r"#[0-9a-f]{6}\b", svg)) <= {
                "#6f6f6f", "#7a7a7a", "#b0b0b0", "#ffffff", "#2b8a5e", "#cc4b3e", "#a9760f", "#4a7fc1",
            }  # fmt: skip


def test_the_size_figure_names_the_certified_candidates() -> None:
    words = " ".join(_texts(size_against_quality(decisions.decision())))
    assert "linear.char-ngrams" in words
    assert "student.layers-3" in words
    assert "linear.words" not in words


def test_sixty_candidates_are_named_once_each_or_by_number() -> None:
    words = [word for word in _texts(size_against_quality(decisions.many(60))) if re.fullmatch(r"#\d+", word)]
    assert len(words) == len(set(words)) > 10


def test_the_latency_figure_has_a_panel_and_a_limit_for_each_target() -> None:
    words = _texts(latency(decisions.several_targets()))
    assert [word for word in words if word.startswith("target ")] == ["target here", "target edge"]
    assert [word for word in words if "limit" in word] == ["p99 limit 20 ms", "p99 limit 50 ms"]
    assert words.count("student.layers-2+trim+fusion+int4") == 2
    assert words.count("unstable") == 1


def test_equal_numbers_are_drawn_too() -> None:
    before = decisions.decision()
    flat = Quantile(value_ms=1.0, low_ms=1.0, high_ms=1.0)
    seen: Measurement = replace(decisions.measurement(1.0), p50=flat, p90=flat, p99=flat)
    only = replace(before.of(decisions.REFERENCE), measurements=(seen,))
    decision = replace(before, outcome="none", winner=None, judged=(only,), targets=())
    assert "encoder" in _texts(size_against_quality(decision))
    assert "encoder" in _texts(latency(decision))


def test_importing_the_report_does_not_import_matplotlib() -> None:
    import subprocess
    import sys

    code = "import sys, parsimony.report, parsimony.receipt; sys.exit('matplotlib' in sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True, env={**os.environ, "PYTHONPATH": str(Path.cwd())})
