"""No file of a base chooses code to run or a place to read from; what may be read is what is counted."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from tinymodels import base_of

from parsimony.errors import PlanError
from parsimony.training import base_config, bases

CODE = "which asks to run code or to read from elsewhere; that is never done: use a base that needs it not, or take the key out"
EVIL = "someone/kernel"


pytestmark = pytest.mark.slow  # bases are made and loaded, and torch takes seconds


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return Path(shutil.copytree(base_of("bert"), tmp_path / "base"))


def write(folder: Path, name: str, document: object) -> None:
    """Write a file of settings; config.json keeps what it says besides."""
    path = folder / name
    path.parent.mkdir(exist_ok=True)
    before = json.loads(path.read_text(encoding="utf-8")) if name == bases.CONFIG else {}
    path.write_text(json.dumps({**before, **document} if isinstance(document, dict) else document), encoding="utf-8")


def refusal(folder: Path) -> str:
    with pytest.raises(PlanError) as caught:
        bases.resolve(str(folder))
    message = str(caught.value)
    assert "\n" not in message
    return message.removeprefix(f"base '{folder}': ")


@pytest.mark.parametrize(
    "document",
    [
        {"_attn_implementation_internal": EVIL},
        {"_attn_implementation": EVIL},
        {"attn_implementation": {"": EVIL}},
        {"attn-Implementation": EVIL},
        {"_experts_implementation_internal": EVIL},
        {"auto_map": {"AutoModel": "modeling.Evil"}},
        {"custom_pipelines": {"text-classification": {"impl": "evil.Pipeline"}}},
        {"custom_code": True},
        {"trust_remote_code": True},
        {"transformers_weights": "../../else.safetensors"},
        {"transformers_weights": "other.safetensors"},
        {"base_model_name_or_path": EVIL},
        {"peft_type": "LORA"},
        {"configuration_files": ["config.5.0.0.json"]},
        {"attribute_map": {"note": "_attn_implementation_internal"}, "note": EVIL},
        {"extra_files": ["/elsewhere/head.safetensors"]},
        {"fusion_config": {"patch_embeddings": True}},
        {"use_kernels": True},
        {"kernel_config": {"RMSNorm": EVIL}},
        {"backbone": EVIL, "use_pretrained_backbone": True},
    ],
    ids=lambda document: next(iter(document)),
)
@pytest.mark.parametrize("depth", ["on top", "below", "in a list"])
def test_a_configuration_that_chooses_code_or_weights_is_refused_in_any_depth(
    folder: Path, document: dict[str, object], depth: str
) -> None:
    below = {"on top": document, "below": {"text_config": document}, "in a list": {"parts": [[document]]}}
    write(folder, bases.CONFIG, below[depth])
    key = next(iter(document))
    path = {"on top": key, "below": f"text_config.{key}", "in a list": f"parts.{key}"}[depth]
    assert refusal(folder) == f"config.json names '{path}', {CODE} of config.json"


@pytest.mark.parametrize("key", ["quantization_config", "_quantization_config", "compression_config"])
def test_weights_that_another_package_must_decode_are_refused(folder: Path, key: str) -> None:
    write(folder, bases.CONFIG, {"text_config": {key: {"quant_method": "awq"}}})
    assert refusal(folder) == (
        f"config.json names 'text_config.{key}': its weights are quantised, which other packages undo, and cannot be trained; "
        "take the model that it was quantised from"
    )


@pytest.mark.parametrize(
    ("name", "document", "key"),
    [
        ("tokenizer_config.json", {"auto_map": {"AutoTokenizer": ["tokenisation.Evil", None]}}, "auto_map"),
        ("generation_config.json", {"custom_generate": EVIL}, "custom_generate"),
        ("processor_config.json", {"auto_map": {}}, "auto_map"),
        (
            "sentence_bert_config.json",
            {"model_args": {"trust_remote_code": True}},
            "model_args.trust_remote_code",
        ),
        (
            "config_sentence_transformers.json",
            {"model_kwargs": {"attn_implementation": EVIL}},
            "model_kwargs.attn_implementation",
        ),
    ],
)
def test_no_other_file_of_settings_chooses_code_either(
    folder: Path, name: str, document: dict[str, object], key: str
) -> None:
    write(folder, name, document)
    assert refusal(folder) == f"{name} names '{key}', {CODE} of {name}"


@pytest.mark.parametrize(
    "place",
    [
        "/etc/weights",
        "../else",
        "a/../../else",
        "..",
        "https://host/weights",
        "file:///weights",
        "C:\\weights",
        "\\\\host\\share",
        "~/weights",
        "hf://a/b",
    ],
)
def test_a_configuration_that_names_a_place_outside_its_folder_is_refused(folder: Path, place: str) -> None:
    write(folder, bases.CONFIG, {"parts": [{"weights": [place]}]})
    assert refusal(folder) == (
        f"config.json says 'parts.weights' is {place!r}, a place outside its folder; nothing is read from there: "
        "put what is needed into the folder, or take the key out of config.json"
    )


@pytest.mark.parametrize(
    "document",
    [
        {"_name_or_path": "/home/someone/bert"},
        {"id2label": {"0": "/r/news", "1": "n/a"}, "label2id": {"/r/news": 0, "n/a": 1}},
        {"task_specific_params": {"summarization": {"prefix": "~ https://host"}}},
        {"conv_kernel_size": 9, "adapter_layer_norm": False, "transformers_version": "4.9.0..dev"},
        {"label2id": {"auto_map": 0, "peft": 1}, "id2label": {"0": "auto_map", "1": "peft"}},
        {"finetuning_task": "glue/sst2", "sentence_transformers": {"version": "5.1.0"}},
    ],
    ids=lambda document: next(iter(document)),
)
def test_notes_and_names_for_people_are_no_places(folder: Path, document: dict[str, object]) -> None:
    write(folder, bases.CONFIG, document)
    assert bases.resolve(str(folder)) == folder


def test_what_a_tokenizer_was_once_read_from_is_a_note(folder: Path) -> None:
    write(folder, "tokenizer_config.json", {"tokenizer_file": "/else/where/tokenizer.json", "name_or_path": "/else/x"})
    assert bases.resolve(str(folder)) == folder


def test_weights_that_transformers_would_take_instead_are_refused(folder: Path) -> None:
    (folder / "shard-00001-model-00001-of-00001.safetensors").touch()
    assert refusal(folder) == (
        "shard-00001-model-00001-of-00001.safetensors is part of a distributed checkpoint; save the model as one "
        "model.safetensors"
    )


@pytest.mark.parametrize("name", ["tokenizer_config.json", "sentence_bert_config.json"])
@pytest.mark.parametrize("text", ["{", "[" * 100_000, "\ud800"])
def test_settings_that_are_no_json_are_named(folder: Path, name: str, text: str) -> None:
    (folder / name).write_bytes(text.encode("utf-8", "surrogatepass"))
    assert refusal(folder).startswith(f"{folder / name} is no JSON: ")


def test_a_key_that_lies_over_something_of_transformers_own_is_refused(folder: Path) -> None:
    write(folder, bases.CONFIG, {"to_dict": "nothing"})
    with pytest.raises(PlanError, match="config.json sets 'to_dict', which is transformers' own; take it out of"):
        base_config.config_of(folder)


def test_every_table_of_transformers_configuration_that_a_file_could_replace_is_refused(folder: Path) -> None:
    """What transformers adds to its class in later releases is refused as well, without a word of it here."""
    from transformers import BertConfig

    tables = [name for name in dir(BertConfig) if isinstance(getattr(BertConfig, name), dict | tuple)]
    assert {"attribute_map", "extra_files"} <= set(tables)
    for name in tables:
        if not name.startswith("__"):
            shutil.copy(base_of("bert") / bases.CONFIG, folder / bases.CONFIG)
            write(folder, bases.CONFIG, {name: {}})
            with pytest.raises(PlanError):
                base_config.config_of(folder)


OPENED = """
import sys
from pathlib import Path
folder, opened, asked = Path(sys.argv[1]), set(), []
def hook(event, arguments):
    if event == "open" and isinstance(arguments[0], (str, bytes)) and str(arguments[0]).startswith(str(folder)):
        opened.add(Path(str(arguments[0])).name)
    if event in ("socket.connect", "socket.getaddrinfo", "socket.gethostbyname"):
        asked.append(arguments[-1])
sys.addaudithook(hook)
from parsimony.search.size_prediction import shape_of
from parsimony.data.table import Texts
from parsimony.training import base_files, classifier
made = classifier.load_base(folder, classes=2, max_tokens=16)
shape_of(folder, Texts.of(("today the rain",)), 16)
from parsimony.training import export
export.export(made)
print(asked, sorted(opened - {path.name for path in base_files.read_files(folder)}), "config.json" in opened)
"""


@pytest.mark.slow
def test_loading_reads_only_what_the_digest_counts_and_asks_nobody(folder: Path) -> None:
    for name in ("generation_config.json", "tokenizer_config.json", "special_tokens_map.json", "added_tokens.json"):
        write(folder, name, {})
    environment = {name: value for name, value in os.environ.items() if name != "HF_HUB_OFFLINE"}
    done = subprocess.run(
        [sys.executable, "-c", OPENED, str(folder)], env=environment, capture_output=True, text=True, check=True
    )
    assert done.stdout.splitlines()[-1] == "[] [] True"
    assert "Loading weights" not in done.stderr


def test_the_digest_counts_every_file_that_may_be_read_and_no_other(folder: Path) -> None:
    counted = (
        bases.CONFIG, bases.WEIGHTS, bases.TOKENIZER, "added_tokens.json", "special_tokens_map.json", "vocab.txt",
        "generation_config.json", "sentence_bert_config.json", "spiece.model", "chat_template.jinja",
    )  # fmt: skip
    others = ("README.md", "pytorch_model.bin", "onnx/config.json", "model.fp16.safetensors")
    for name in (*counted, *others):
        (folder / name).parent.mkdir(exist_ok=True)
        if not (folder / name).exists():
            (folder / name).write_text("{}", encoding="utf-8")
    digest = bases.digest(folder)
    for name in (*counted, *others):
        before = (folder / name).read_bytes()
        (folder / name).write_bytes(before + b" ")
        assert (bases.digest(folder) != digest) is (name in counted), name
        (folder / name).write_bytes(before)
    (folder / "vocab.txt").rename(folder / "merges.txt")
    assert bases.digest(folder) != digest
