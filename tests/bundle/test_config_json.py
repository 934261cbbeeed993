"""`config.json` says what the bundle is to whoever reads a transformers folder, and nothing that could be executed."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from bundles import LABELS, write_tiny_bundle
from hostile import vouch

from parsimony.bundle import predict
from parsimony.bundle.config_json import CONFIG, config_text
from parsimony.errors import InfrastructureError
from parsimony.files import MANIFEST

TOKENIZER = {"model": {"type": "WordPiece", "vocab": {"[PAD]": 0, "rain": 7}}, "truncation": {"max_length": 64}}
BERT = {"architectures": ["BertForSequenceClassification"], "model_type": "bert", "hidden_size": 48}


def rewritten(folder: Path, change: Callable[[dict[str, Any]], object]) -> Path:
    """Change the config.json of a bundle, whose manifest vouches for the new one."""
    write_tiny_bundle(folder)
    config = json.loads((folder / CONFIG).read_text(encoding="utf-8"))
    config = change(config) or config
    (folder / CONFIG).write_text(config if isinstance(config, str) else json.dumps(config), encoding="utf-8")
    vouch(folder)
    return folder


def test_it_names_labels_problem_tokens_and_what_the_model_is() -> None:
    assert json.loads(config_text(BERT, json.dumps(TOKENIZER), ["no", "ja, Größe 3"])) == {
        **BERT,
        "max_position_embeddings": 64,
        "vocab_size": 8,
        "pad_token_id": 0,
        "problem_type": "single_label_classification",
        "id2label": {"0": "no", "1": "ja, Größe 3"},
        "label2id": {"no": 0, "ja, Größe 3": 1},
    }


@pytest.mark.parametrize(
    ("tokenizer", "number"),
    [
        (TOKENIZER, 0),
        ({"model": {"vocab": [["<s>", 0.0], ["<pad>", 0.0]]}}, 1),
        ({"model": {"vocab": {"a": 0}}, "added_tokens": [{"content": "[PAD]", "id": 5}]}, 5),
        ({**TOKENIZER, "padding": {"pad_id": 3}}, 3),
        ({"model": {"vocab": {"a": 0}}}, 0),
    ],
)
def test_the_padding_token_is_the_tokenizers(tokenizer: dict[str, Any], number: int) -> None:
    assert json.loads(config_text(BERT, json.dumps(tokenizer), LABELS))["pad_token_id"] == number


def test_what_the_model_says_of_its_positions_is_kept() -> None:
    config = json.loads(config_text({**BERT, "max_position_embeddings": 66}, json.dumps(TOKENIZER), LABELS))
    assert config["max_position_embeddings"] == 66


HOSTILE: dict[str, Callable[[dict[str, Any]], object]] = {
    "code": lambda config: config.update(auto_map={"AutoModel": "evil.Model"}),
    "a kernel": lambda config: config.update(_attn_implementation_internal="owner/kernel"),
    "other labels": lambda config: config.update(id2label={"0": "x", "1": "y", "2": "z"}),
    "labels in another order": lambda config: config.update(label2id={"greeting": 1, "weather": 0, "transfer": 2}),
    "no labels": lambda config: config.pop("id2label") and None,
    "a number that is text": lambda config: config.update(hidden_size="48"),
    "a truth value": lambda config: config.update(pad_token_id=True),
    "a path": lambda config: config.update(model_type="../elsewhere"),
    "a list of lists": lambda config: config.update(architectures=[["Bert"]]),
    "a key twice": lambda config: json.dumps(config)[:-1] + ', "model_type": "bert"}',
    "no object": lambda config: "[1]",
    "too deep": lambda config: "[" * 100_000,
    "no JSON": lambda config: "{",
}


@pytest.mark.parametrize("name", HOSTILE)
def test_one_that_tells_others_something_else_is_refused(name: str, tmp_path: Path) -> None:
    folder = rewritten(tmp_path / "b", HOSTILE[name])
    with pytest.raises(InfrastructureError, match=r"config\.json is not of this bundle"):
        predict.load(folder)


def test_one_that_the_manifest_does_not_vouch_for_is_refused(tmp_path: Path) -> None:
    write_tiny_bundle(tmp_path / "b")
    path = tmp_path / "b" / CONFIG
    path.write_text(path.read_text(encoding="utf-8").replace("greeting", "greetinG"), encoding="utf-8")
    with pytest.raises(InfrastructureError, match=r"config\.json has SHA-256"):
        predict.load(tmp_path / "b")


def test_a_bundle_of_format_1_has_none_and_predicts(tmp_path: Path) -> None:
    folder = tmp_path / "b"
    write_tiny_bundle(folder)
    expected = predict.load(folder).predict(["hello", "rain"])
    (folder / CONFIG).unlink()
    vouch(folder, format=1)
    assert json.loads((folder / MANIFEST).read_text(encoding="utf-8"))["format"] == 1
    assert predict.load(folder).predict(["hello", "rain"]) == expected
