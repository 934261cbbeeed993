"""Drift and quality of a champion in use, from files as they come."""

from __future__ import annotations

import csv
import json
import random
from pathlib import Path

import pytest
from bundles import LABELS, WORDS, write_tiny_bundle

from parsimony.bundle import predict
from parsimony.data.reader import read_texts
from parsimony.errors import DataError
from parsimony.flows import monitoring
from parsimony.flows.cli.main import main
from parsimony.flows.monitoring import Labelled, Limits, Texts

pytestmark = pytest.mark.slow  # scikit-learn takes a second to load
KNOWN = sorted(WORDS)


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return Path(write_tiny_bundle(tmp_path_factory.mktemp("bundles") / "tiny").folder)


def texts(words: list[str], count: int, seed: int) -> list[str]:
    rng = random.Random(seed)
    return [
        " ".join(rng.choices([*words, *(f"filler{i}" for i in range(40))], k=8)) + f" {seed}-{i}" for i in range(count)
    ]


def write(path: Path, rows: list[str]) -> str:
    path.write_text("".join(json.dumps({"text": row}) + "\n" for row in rows), encoding="utf-8")
    return str(path)


def test_texts_of_the_same_kind_have_not_drifted(bundle: Path, tmp_path: Path) -> None:
    training, recent = (write(tmp_path / f"{seed}.jsonl", texts(KNOWN, 300, 7)) for seed in range(2))
    result = monitoring.drift(bundle, Texts(recent=recent, training=training), Limits())
    assert not result.has_drifted
    assert monitoring.drift_lines(result)[0].startswith("No drift is proven: ")


def test_texts_with_other_words_have_drifted_and_words_and_labels_are_named(bundle: Path, tmp_path: Path) -> None:
    training = write(tmp_path / "training.jsonl", texts([*KNOWN], 300, 1))
    recent = write(tmp_path / "recent.jsonl", texts([KNOWN[0], "parcel"], 300, 2))
    result = monitoring.drift(bundle, Texts(recent=recent, training=training), Limits())
    assert result.has_drifted
    assert "parcel" in {one.name for one in result.words}
    assert {one.name for one in result.labels} <= set(LABELS) and result.labels
    lines = monitoring.drift_lines(result)
    assert lines[0].startswith("The texts have drifted: ")
    assert any(line.startswith("word 'parcel': ") for line in lines)


def test_too_few_texts_are_refused_and_equal_ones_count_once(bundle: Path, tmp_path: Path) -> None:
    training = write(tmp_path / "training.jsonl", texts(KNOWN, 300, 1))
    recent = write(tmp_path / "recent.jsonl", ["hello"] * 300)
    with pytest.raises(DataError, match="found 1 different texts on one side, expected at least 40"):
        monitoring.drift(bundle, Texts(recent=recent, training=training), Limits())


@pytest.mark.parametrize("ending", ["csv", "jsonl", "parquet"])
def test_texts_without_labels_are_read_from_every_kind_of_file(ending: str, tmp_path: Path) -> None:
    rows, path = ["one text", 'with, "marks"', "the last\x85one"], tmp_path / f"recent.{ending}"
    if ending == "csv":
        with path.open("w", encoding="utf-8", newline="") as file:
            csv.writer(file).writerows([["text"], *([row] for row in rows)])
    elif ending == "jsonl":
        write(path, rows)
    else:
        import pyarrow
        import pyarrow.parquet

        pyarrow.parquet.write_table(pyarrow.table({"text": rows}), path)
    assert read_texts(str(path), "text") == ("one text", 'with, "marks"', "the last one")
    with pytest.raises(DataError, match="has no column 'body'.*set the column of texts"):
        read_texts(str(path), "body")


def labelled(path: Path, bundle: Path, wrong: int, rows: int = 200) -> Labelled:
    """Write rows of which so many do not have the label that the bundle predicts."""
    model, asked = predict.load(bundle), texts(KNOWN, rows, 3)
    said = model.predict(asked)
    other = {label: LABELS[(place + 1) % len(LABELS)] for place, label in enumerate(LABELS)}
    truth = [other[label] if place * wrong % rows < wrong else label for place, label in enumerate(said)]
    with path.open("w", encoding="utf-8", newline="") as file:
        csv.writer(file).writerows([["text", "label"], *zip(asked, truth, strict=True)])
    return Labelled(source=str(path))


def test_a_champion_that_is_as_often_right_as_promised_has_not_fallen(bundle: Path, tmp_path: Path) -> None:
    result = monitoring.quality(bundle, labelled(tmp_path / "new.csv", bundle, wrong=20), 0.9, 0.95)
    assert (result.right, result.rows, result.has_fallen) == (180, 200, False)
    assert monitoring.quality_line(result).startswith(
        "No fall is proven: 180 of 200 rows right (90 %); 90 % is promised"
    )


def test_a_champion_that_is_less_often_right_has_fallen(bundle: Path, tmp_path: Path) -> None:
    result = monitoring.quality(bundle, labelled(tmp_path / "new.csv", bundle, wrong=60), 0.9, 0.95)
    assert result.has_fallen
    assert monitoring.quality_line(result).startswith(
        "The quality has fallen: 140 of 200 rows right (70 %); 90 % was promised"
    )


def test_labels_that_the_champion_has_never_heard_of_are_the_wrong_column(bundle: Path, tmp_path: Path) -> None:
    path = tmp_path / "new.csv"
    path.write_text("text,label\nhello,alpha\nrain,beta\n", encoding="utf-8")
    with pytest.raises(DataError, match="found labels such as alpha, beta, expected the champion's, such as "):
        monitoring.quality(bundle, Labelled(source=str(path)), 0.9, 0.95)


def test_the_verbs_print_what_was_seen_and_their_status_says_it(
    bundle: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PARSIMONY_HOME", str(tmp_path))
    training = write(tmp_path / "training.jsonl", texts(KNOWN, 100, 1))
    recent = write(tmp_path / "recent.jsonl", texts(["parcel"], 100, 2))
    new = labelled(tmp_path / "new.csv", bundle, wrong=60).source
    assert main(["drift", str(bundle), recent, "--training", training]) == 1
    assert capsys.readouterr().out.startswith("The texts have drifted: ")
    assert main(["quality", str(bundle), new, "--promised", "0.7", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["right"] == 140
    assert main(["quality", str(bundle), new, "--promised", "0.95"]) == 1
    assert capsys.readouterr().out.startswith("The quality has fallen: ")


def test_a_limit_below_chance_is_refused_with_the_remedy(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit, match="2"):
        main(["drift", "m", "recent.csv", "--training", "training.csv", "--limit", "0.4"])
    assert "argument --limit: found '0.4', expected at least 0.5" in capsys.readouterr().err
