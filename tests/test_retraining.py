"""Two runs in a row on changed data: what the second one says of the champion, and that its audit agrees."""

from __future__ import annotations

import contextlib
import io
import json
from pathlib import Path
from typing import Any

import pytest
from tinymodels import LABELS, tables, write_csv, write_tiny_base

from parsimony.audit.receipt import audit
from parsimony.data.slicing import joined
from parsimony.data.table import Table
from parsimony.flows.cli.main import main
from parsimony.tasks.registry.tracking import Registry, connected

pytestmark = [pytest.mark.flow, pytest.mark.slow, pytest.mark.long]

PLAN = """
model = "again"
[data]
train = "train.csv"
test = "test.csv"
text = "text"
label = "label"
[bases]
names = ["base"]
[search]
families = ["linear"]
[training]
epochs = 1
[gates]
margin = 0.6
slice_margin = 1.0
champion_margin = 1.0
underpowered = true
[[targets]]
name = "here"
"""
NEW = LABELS[-1]


def of_labels(table: Table, labels: tuple[str, ...]) -> Table:
    return table.take(tuple(i for i, label in enumerate(table.labels) if label in labels))


@pytest.fixture(scope="module")
def work(tmp_path_factory: pytest.TempPathFactory, prefect_backend: None) -> Path:
    folder = tmp_path_factory.mktemp("retraining")
    write_tiny_base(folder / "base")
    (folder / "plan.toml").write_text(PLAN, encoding="utf-8")
    return folder


def run(work: Path) -> dict[str, Any]:
    with pytest.MonkeyPatch.context() as patch, contextlib.redirect_stdout(io.StringIO()) as out:
        patch.setenv("PARSIMONY_HOME", str(work / "home"))
        patch.delenv("MLFLOW_TRACKING_URI", raising=False)
        main(["run", str(work / "plan.toml"), "--json"])
    return json.loads(out.getvalue().splitlines()[-1])  # type: ignore[no-any-return]


@pytest.fixture(scope="module")
def first(work: Path) -> dict[str, Any]:
    """Promote on three labels."""
    train, validation, test = (of_labels(part, LABELS[:-1]) for part in tables())
    write_csv(work / "train.csv", joined((train, validation), "train"))
    write_csv(work / "test.csv", test)
    return run(work)


@pytest.fixture(scope="module")
def second(work: Path, first: dict[str, Any]) -> dict[str, Any]:
    """Go on with a fourth label, and with a test file of which nine rows were trained on before; the first label is gone."""
    train, validation, test = (of_labels(part, LABELS[1:]) for part in tables())
    known = [i for i, label in enumerate(train.labels) if label != NEW]
    write_csv(
        work / "train.csv",
        joined((train.take(tuple(i for i in range(len(train)) if i not in known[:9])), validation), "t"),
    )
    write_csv(work / "test.csv", joined((test, train.take(tuple(known[:9]))), "test"))
    return run(work)


def test_the_second_run_compares_with_the_champion_where_it_can_be_judged(
    first: dict[str, Any], second: dict[str, Any]
) -> None:
    assert (first["outcome"], first["change"], first["champion_before"]) == ("promoted", None, None)
    assert second["outcome"] == "promoted"
    [champion] = [c for c in second["candidates"] if c["is_champion"]]
    rows = {"rows": 24, "of_new_labels": 12, "trained_on": 9}
    assert second["change"]["coverage"] == {
        "version": "1", "new_labels": [NEW], "gone_labels": [LABELS[0]], **rows,
    }  # fmt: skip
    assert second["change"]["n"] == champion["certified"]["n"] == 24
    assert second["champion_before"]["version"] == "1"
    assert second["champion_before"]["accuracy"] == pytest.approx(second["change"]["champion_accuracy"])
    assert (champion["verdict"], second["reason"].startswith("the champion no longer passes: labels: ")) == (
        "fail",
        True,
    )
    [winner] = [c for c in second["candidates"] if c["candidate"] == second["winner"]["candidate"]]
    gates = {gate["gate"]: gate["verdict"] for gate in winner["gates"]}
    assert gates["champion"] == "pass" and "labels" not in gates


def test_the_audit_finds_the_same_and_notices_a_changed_row_file(second: dict[str, Any], work: Path) -> None:
    folder = work / "home" / "runs" / second["run_id"]
    kept = (work / "home" / "bundles", work / "home" / "champions")
    assert audit(folder, kept) == ()
    assert (folder / "champion" / "training-rows.npy").is_file()
    (folder / "champion" / "training-rows.npy").rename(folder / "aside")
    assert any(line.startswith("change.n") for line in audit(folder, kept))
    (folder / "aside").rename(folder / "champion" / "training-rows.npy")


def test_page_card_and_tags_say_what_changed_and_what_could_not_be_compared(second: dict[str, Any], work: Path) -> None:
    folder = work / "home" / "runs" / second["run_id"]
    registry = Registry(tracking_uri=f"sqlite:///{work / 'home' / 'mlflow' / 'mlflow.db'}")
    with connected(registry) as client:
        version = client.get_model_version("again", second["winner"]["version"])
    for text in ((folder / "report.html").read_text(), (folder / "report.md").read_text(), str(version.description)):
        assert "On the same 24 test rows, accuracy is" in text
        assert "12 test rows of labels that the champion, version 1 does not know" in text
        assert "9 test rows that the champion, version 1 was trained or chosen on" in text
        assert "knew of labels that today's data does not have" in text.replace("&#x27;", "'")
    assert version.tags["champion_before"] == "1"
    assert float(version.tags["against_champion"]) == pytest.approx(second["change"]["difference"], abs=1e-4)
