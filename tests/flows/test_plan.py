"""The plan as a model: its form in Prefect, its keys, values that never change. tests/test_docs.py binds its page."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from parsimony.flows.plan import RENAMED, SECTIONS, Plan

DATA = {"train": "train.csv", "text": "text", "label": "label"}


@pytest.mark.parametrize("old", RENAMED)
def test_the_form_of_prefect_names_the_new_key_too(old: str) -> None:
    from prefect.exceptions import ParameterTypeError

    from parsimony.flows.promote_smallest import promote_smallest

    section, _, name = old.partition(".")
    document = {"model": "m", "data": DATA}
    assert promote_smallest.validate_parameters({"plan": document}) == {"plan": Plan.model_validate(document)}
    changed = {**document, section: {**(DATA if section == "data" else {}), name: 0.2}}
    with pytest.raises(ParameterTypeError, match=re.escape(f"{old} is called {RENAMED[old]} now")):
        promote_smallest.validate_parameters({"plan": changed})


def test_a_key_that_was_renamed_is_there_under_its_new_name_only() -> None:
    keys = {f"{name}.{key}" for name, section in SECTIONS.items() for key in section.model_fields}
    assert set(RENAMED.values()) <= keys
    assert not keys & set(RENAMED)


def test_a_plan_never_changes() -> None:
    plan = Plan.model_validate({"model": "m", "data": DATA})
    with pytest.raises(Exception, match="frozen"):
        plan.gates.margin = 0.5  # type: ignore[misc]


def test_fields_of_the_form_are_numbered_in_the_order_of_the_class() -> None:
    schema = Plan.model_json_schema()
    for section in (schema, *schema["$defs"].values()):
        assert [field["position"] for field in section["properties"].values()] == list(
            range(len(section["properties"]))
        )


def test_every_key_of_the_plan_is_explained() -> None:
    for section in SECTIONS.values():
        assert all(field.description for field in section.model_fields.values())


def test_what_has_a_default_is_folded_until_it_is_chosen() -> None:
    """Prefect's form folds what may be null; a table that was left folded has its defaults."""
    schema = Plan.model_json_schema()
    assert list(schema["properties"])[:2] == schema["required"] == ["model", "data"]
    assert list(schema["$defs"]["Data"]["properties"])[:3] == schema["$defs"]["Data"]["required"]
    folded = {name: field for name, field in schema["properties"].items() if name not in schema["required"]}
    assert all(field["anyOf"][1] == {"type": "null"} and field["default"] is None for field in folded.values())
    left = dict.fromkeys(folded)
    assert Plan.model_validate({"model": "m", "data": DATA, **left}) == Plan.model_validate(
        {"model": "m", "data": DATA}
    )


def test_the_form_has_no_brackets_that_a_browser_would_eat_and_never_changes_by_accident() -> None:
    import form

    shown = form.shown()
    assert not re.findall(r'"(?:title|description)": "[^"]*[<>\[\]{}]', json.dumps(shown))
    frozen = Path(__file__).with_name("form.json")
    assert shown == json.loads(frozen.read_text(encoding="utf-8")), (
        "the form has changed: when it should, write it anew with python tests/flows/form.py"
    )
