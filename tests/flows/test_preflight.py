"""What a base can get wrong is one line with the remedy and status 2, before any data is read, within seconds."""

from __future__ import annotations

import json
import os
import re
import shutil
import struct
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tinymodels import base_of, write_tiny_base

from parsimony.errors import DataError, PlanError
from parsimony.flows.cli.main import main
from parsimony.flows.plan import Plan
from parsimony.flows.preflight import preflight
from parsimony.training.base_architecture import positions_of
from parsimony.training.base_checks import check

CONFIG, WEIGHTS, TOKENIZER = "config.json", "model.safetensors", "tokenizer.json"
LIMIT_S = 3.0
POINTER = "version https://git-lfs.github.com/spec/v1\noid sha256:" + "0" * 64 + "\nsize 90868376\n"


pytestmark = pytest.mark.slow  # bases are loaded, and torch takes seconds


@pytest.fixture(scope="module", autouse=True)
def warm() -> None:
    """Import what a good base needs once, as a process does: a refusal is timed, not an import of torch."""
    check(str(base_of("bert")), max_tokens=64, asked=True)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return Path(shutil.copytree(base_of("bert"), tmp_path / "base"))


def set_config(folder: Path, **keys: Any) -> None:
    config = json.loads((folder / CONFIG).read_text(encoding="utf-8"))
    config |= keys
    (folder / CONFIG).write_text(json.dumps({k: v for k, v in config.items() if v is not None}), encoding="utf-8")


def set_tokenizer(folder: Path, change: Callable[[dict[str, Any]], object]) -> None:
    document = json.loads((folder / TOKENIZER).read_text(encoding="utf-8"))
    change(document)
    (folder / TOKENIZER).write_text(json.dumps(document), encoding="utf-8")


def set_weights(folder: Path, change: Callable[[dict[str, np.ndarray]], object]) -> None:
    from safetensors.numpy import load_file, save_file

    tensors = load_file(folder / WEIGHTS)
    change(tensors)
    save_file(tensors, folder / WEIGHTS, metadata={"format": "pt"})


def set_header(folder: Path, change: Callable[[dict[str, Any]], object]) -> None:
    data = (folder / WEIGHTS).read_bytes()
    length = struct.unpack("<Q", data[:8])[0]
    header = json.loads(data[8 : 8 + length])
    change(header)
    text = json.dumps(header).encode()
    (folder / WEIGHTS).write_bytes(struct.pack("<Q", len(text)) + text + data[8 + length :])


def without(*parts: str) -> Callable[[dict[str, np.ndarray]], None]:
    """Return what takes the weights out whose names hold one of these parts."""

    def change(tensors: dict[str, np.ndarray]) -> None:
        for name in [name for name in tensors if any(part in name for part in parts)]:
            del tensors[name]

    return change


def write(name: str, content: str | bytes) -> Callable[[Path], object]:
    data = content.encode() if isinstance(content, str) else content
    return lambda folder: (folder / name).write_bytes(data)


def cut(share: float) -> Callable[[Path], object]:
    def change(folder: Path) -> None:
        data = (folder / WEIGHTS).read_bytes()
        (folder / WEIGHTS).write_bytes(data[: int(len(data) * share)])

    return change


def pickled(folder: Path) -> None:
    (folder / WEIGHTS).unlink()
    (folder / "pytorch_model.bin").write_bytes(b"\x80\x04.")


def renamed(before: str, after: str) -> Callable[[Path], object]:
    return lambda folder: (folder / before).rename(folder / after)


def sharded(folder: Path) -> None:
    """Spread the weights over two files, as transformers does with large models."""
    from safetensors.numpy import load_file, save_file

    tensors = load_file(folder / WEIGHTS)
    names = sorted(tensors)
    where = {name: f"model-0000{1 + (i % 2)}-of-00002.safetensors" for i, name in enumerate(names)}
    for shard in sorted(set(where.values())):
        save_file({n: tensors[n] for n in names if where[n] == shard}, folder / shard, metadata={"format": "pt"})
    (folder / WEIGHTS).unlink()
    index = {"metadata": {"total_size": 1}, "weight_map": where}
    (folder / f"{WEIGHTS}.index.json").write_text(json.dumps(index), encoding="utf-8")


def sharded_then(change: Callable[[Path], object]) -> Callable[[Path], object]:
    def both(folder: Path) -> None:
        sharded(folder)
        change(folder)

    return both


def set_index(folder: Path, change: Callable[[dict[str, Any]], object]) -> None:
    path = folder / f"{WEIGHTS}.index.json"
    index = json.loads(path.read_text(encoding="utf-8"))
    change(index)
    path.write_text(json.dumps(index), encoding="utf-8")


def pipe(name: str) -> Callable[[Path], object]:
    def change(folder: Path) -> None:
        (folder / name).unlink(missing_ok=True)
        os.mkfifo(folder / name)

    return change


def link(name: str, to: str) -> Callable[[Path], object]:
    def change(folder: Path) -> None:
        (folder / name).unlink(missing_ok=True)
        (folder / name).symlink_to(to)

    return change


def added_tokens(folder: Path) -> None:
    from tokenizers import Tokenizer

    tokenizer = Tokenizer.from_file(str(folder / TOKENIZER))
    tokenizer.add_tokens(["<customer>", "<order>"])
    tokenizer.save(str(folder / TOKENIZER))


def fill(name_part: str, value: float) -> Callable[[Path], object]:
    def change(tensors: dict[str, np.ndarray]) -> None:
        for name in tensors:
            if name_part in name:
                tensors[name] = np.full_like(tensors[name], value)

    return lambda folder: set_weights(folder, change)


def sentence_modules(*kinds: str, path: str = "", pooling: dict[str, Any] | None = None) -> Callable[[Path], object]:
    """Return what makes a folder of sentence-transformers of a base."""

    def change(folder: Path) -> None:
        modules = [{"idx": 0, "name": "0", "path": path, "type": "sentence_transformers.models.Transformer"}]
        modules += [
            {"idx": i, "name": str(i), "path": f"{i}_{kind.rpartition('.')[2]}", "type": kind}
            for i, kind in enumerate(kinds, start=1)
        ]
        (folder / "modules.json").write_text(json.dumps(modules), encoding="utf-8")
        if pooling is not None:
            (folder / "1_Pooling").mkdir()
            (folder / "1_Pooling" / CONFIG).write_text(json.dumps(pooling), encoding="utf-8")

    return change


POOLING, DENSE = "sentence_transformers.models.Pooling", "sentence_transformers.models.Dense"
# Each with what breaks a good base, and what the line must say: what was found and the remedy.
BROKEN: dict[str, tuple[Callable[[Path], object], str]] = {
    # the folder
    "nothing there": (lambda folder: shutil.rmtree(folder), r"no folder .*hf:owner/name@revision or package:<module>"),
    "an empty folder": (lambda folder: [path.unlink() for path in folder.iterdir()], r"lacks config\.json.*download"),
    "a file": (lambda folder: (shutil.rmtree(folder), folder.write_text("x")), r"is a file; expected .*a folder with"),
    "an adapter": (write("adapter_config.json", "{}"), r"adapter.*merge_and_unload"),
    "a pipe for weights": (pipe(WEIGHTS), r"model\.safetensors is a pipe.*take it away"),
    "a pipe beside them": (pipe("special_tokens_map.json"), r"special_tokens_map\.json is a pipe.*take it away"),
    "a link to nothing": (link(TOKENIZER, "nowhere.json"), r"tokenizer\.json is a link to nothing; copy the file"),
    "a link to itself": (link(WEIGHTS, WEIGHTS), r"model\.safetensors is a link to nothing; copy the file"),
    # the weights as files
    "a pointer for weights": (write(WEIGHTS, POINTER), r"Git LFS pointer of \d+ bytes.*git lfs pull"),
    "a pointer for a tokenizer": (write(TOKENIZER, POINTER), r"tokenizer\.json is a Git LFS pointer.*git lfs pull"),
    "no weights": (lambda folder: (folder / WEIGHTS).unlink(), r"lacks model\.safetensors.*download the whole"),
    "pickled weights": (pickled, r"pytorch_model\.bin.*pickled weights are not loaded.*AutoModel.*save_pretrained"),
    "TensorFlow's weights": (renamed(WEIGHTS, "tf_model.h5"), r"TensorFlow's weights \(tf_model\.h5\).*save the model"),
    "weights of another name": (renamed(WEIGHTS, "weights.safetensors"), r"it holds weights\.safetensors: rename it"),
    "weights cut short": (cut(0.6), r"cut short.*download it again"),
    "weights cut in the header": (cut(0.0005), r"cut short.*download it again"),
    "no byte of weights": (write(WEIGHTS, b""), r"has 0 bytes.*download it again"),
    "a page of HTML for weights": (write(WEIGHTS, "<!DOCTYPE html><html>" + " " * 999), r"no safetensors file.*download"),
    "a header that is no JSON": (write(WEIGHTS, struct.pack("<Q", 4) + b"{{{{"), r"header is no JSON; download it again"),
    "a header that is a list": (write(WEIGHTS, struct.pack("<Q", 2) + b"[]"), r"header is no JSON object; download"),
    "a header of nothing": (write(WEIGHTS, struct.pack("<Q", 2) + b"{}"), r"holds no tensors at all; download it again"),
    "weights behind the end": (
        lambda folder: set_header(folder, lambda h: h["embeddings.LayerNorm.bias"].update(data_offsets=[0, 1 << 40])),
        r"embeddings\.LayerNorm\.bias.*set aside.*download it again",
    ),
    "weights without a place": (
        lambda folder: set_header(folder, lambda h: h["embeddings.LayerNorm.bias"].pop("data_offsets")),
        r"does not say where embeddings\.LayerNorm\.bias lies; download",
    ),
    "more bytes than weights": (
        lambda folder: (folder / WEIGHTS).write_bytes((folder / WEIGHTS).read_bytes() + b"\0" * 64),
        r"longer than it says.*download it again",
    ),
    "a shard too few": (
        sharded_then(lambda folder: (folder / "model-00002-of-00002.safetensors").unlink()),
        r"names model-00002-of-00002\.safetensors, which is not in .*download all 2",
    ),
    "a shard of another model": (
        sharded_then(
            lambda folder: set_index(folder, lambda i: i["weight_map"].update(extra="model-00001-of-00002.safetensors"))
        ),
        r"says that model-00001-of-00002\.safetensors holds extra.*download all files again",
    ),
    "a shard outside": (
        sharded_then(lambda folder: set_index(folder, lambda i: i["weight_map"].update(extra="../x.safetensors"))),
        r"names '\.\./x\.safetensors', expected safetensors files in the same folder",
    ),
    "a pointer for a shard": (sharded_then(write("model-00001-of-00002.safetensors", POINTER)), r"git lfs pull"),
    "an index of nothing": (sharded_then(write(f"{WEIGHTS}.index.json", "{}")), r"no weight_map.*download it again"),
    # the weights as weights
    "a layer without a part": (
        lambda folder: set_weights(folder, without("layer.1.output.dense.weight")),
        r"no encoder\.layer\.1\.output\.dense\.weight.*would be random: download the whole model",
    ),
    "no table of tokens": (
        lambda folder: set_weights(folder, without("word_embeddings")),
        r"no table of tokens.*download the whole model",
    ),
    "only a head": (
        lambda folder: set_weights(folder, lambda w: (without("e")(w), w.update(classifier=np.zeros(3)))),
        r"no table of tokens among 1 tensors",
    ),
    "no norm behind the embeddings": (
        lambda folder: set_weights(folder, without("embeddings.LayerNorm")),
        r"no weights for embeddings\.LayerNorm.*would be random: use a complete base",
    ),
    "weights that are no numbers": (fill("layer.0.output.dense.weight", float("nan")), r"NaN.*download it again"),
    "weights in 8 bits": (
        lambda folder: set_weights(
            folder, lambda w: w.update({n: v.astype(np.int8) for n, v in w.items() if "dense.weight" in n})
        ),
        r"stored as I8.*take the model that it was quantised from",
    ),
    "a layer more": (lambda folder: set_config(folder, num_hidden_layers=2), r"num_hidden_layers is 2.*there are 3 layers"),
    "a layer less": (lambda folder: set_config(folder, num_hidden_layers=6), r"num_hidden_layers is 6.*there are 3 layers"),
    # the configuration
    "no configuration": (lambda folder: (folder / CONFIG).unlink(), r"lacks config\.json.*download the whole model"),
    "a configuration that is no JSON": (write(CONFIG, "{'a': 1}"), r"config\.json is no JSON.*download it again"),
    "a configuration in Latin-1": (write(CONFIG, b'{"model_type": "\xe9"}'), r"config\.json is no JSON.*download it again"),
    "a configuration that is a list": (write(CONFIG, "[]"), r"config\.json holds a list, expected a JSON object"),
    "a configuration without end": (write(CONFIG, "[" * 100_000), r"config\.json is no JSON.*download it again"),
    "no model_type": (lambda folder: set_config(folder, model_type=None), r"names no model_type, expected that of an enc"),
    "an unknown model_type": (lambda folder: set_config(folder, model_type="berd"), r"knows no model_type 'berd'.*take an"),
    "another vocab_size": (lambda folder: set_config(folder, vocab_size=99), r"vocab_size is 99, but .*take both from one"),
    "another hidden_size": (lambda folder: set_config(folder, hidden_size=64), r"hidden_size is 64, but .*48 wide"),
    "a hidden_size in words": (lambda folder: set_config(folder, hidden_size="wide"), r"hidden_size is 'wide', expected a whole"),
    "heads that do not divide": (lambda folder: set_config(folder, num_attention_heads=5), r"num_attention_heads is 5, exp"),
    "another feed-forward width": (lambda folder: set_config(folder, intermediate_size=77), r"intermediate\.dense\.\w+ in another shape than .*take both from"),
    "an unknown activation": (lambda folder: set_config(folder, hidden_act="gelo"), r"gelo"),
    "more positions than rows": (
        lambda folder: set_config(folder, max_position_embeddings=512), r"max_position_embeddings is 512, but .*96 rows"
    ),
    "hardly any positions": (lambda folder: set_config(folder, max_position_embeddings=4), r"leaves 4 positions.*at least 8"),
    "fewer positions than the plan asks for": (
        lambda folder: None, r"reads 96 tokens at most, and data\.max_tokens is 100; set data\.max_tokens to 96"
    ),
    "an encoder with a decoder": (lambda folder: set_config(folder, model_type="t5"), r"a t5 is an encoder with a decoder; take"),
    "BART": (lambda folder: set_config(folder, model_type="bart"), r"a bart is an encoder with a decoder; take an encoder"),
    "a decoder": (lambda folder: set_config(folder, model_type="gpt2"), r"a gpt2 is a decoder.*take an encoder"),
    "Llama": (lambda folder: set_config(folder, model_type="llama"), r"a llama is a decoder.*take an encoder"),
    "a decoder of the future": (
        lambda folder: set_config(folder, model_type="qwen9", architectures=["Qwen9ForCausalLM"]),
        r"a qwen9 is a decoder.*take an encoder",
    ),
    "a BERT that decodes": (lambda folder: set_config(folder, is_decoder=True), r"a bert is a decoder.*take an encoder"),
    "a quantised model": (
        lambda folder: set_config(folder, quantization_config={"quant_method": "gptq"}), r"quantised.*take the model that"
    ),
    # the tokenizer
    "no tokenizer": (lambda folder: (folder / TOKENIZER).unlink(), r"lacks tokenizer\.json.*download the whole model"),
    "only vocab.txt": (renamed(TOKENIZER, "vocab.txt"), r"slow tokenizer \(vocab\.txt\).*AutoTokenizer.*save_pretrained"),
    "only spiece.model": (renamed(TOKENIZER, "spiece.model"), r"slow tokenizer \(spiece\.model\).*sentencepiece"),
    "a tokenizer that is no JSON": (write(TOKENIZER, "{"), r"tokenizer\.json cannot be read.*download it again"),
    "a tokenizer of no kind": (write(TOKENIZER, "{}"), r"tokenizer\.json cannot be read.*download it again"),
    "a tokenizer of the future": (
        lambda folder: set_tokenizer(folder, lambda t: t["model"].update(type="Neural", vocab=1)), r"cannot be read.*download"
    ),
    "a tokenizer without tokens": (
        lambda folder: set_tokenizer(folder, lambda t: (t.update(added_tokens=[]), t["model"].update(vocab={}))),
        r"tokenizer\.json (knows no token|cannot be read).*download it again",
    ),
    "a tokenizer that cannot say unknown": (
        lambda folder: set_tokenizer(
            folder, lambda t: (t.update(added_tokens=[], post_processor=None), t["model"].update(vocab={"a": 0}))
        ),
        r"tokenizer\.json cannot be read \(.*(?i:unk).*download it again",
    ),
    "tokens without a row": (added_tokens, r"'<order>'.*2 tokens were added without a row.*resize_token_embeddings"),
    # a folder of sentence-transformers
    "modules that are no JSON": (write("modules.json", "["), r"modules\.json is no JSON; download it again"),
    "no modules": (write("modules.json", "[]"), r"modules\.json lists no modules; download it again"),
    "an encoder elsewhere": (sentence_modules(path="../other"), r"names the folder '\.\./other', expected one inside"),
    "an encoder that is not there": (sentence_modules(path="0_Transformer"), r"names the folder 0_Transformer, which is not"),
    "pooling that is not there": (sentence_modules(POOLING), r"1_Pooling.*is missing; download the whole model"),
    "the largest of each": (
        sentence_modules(POOLING, pooling={"pooling_mode_max_tokens": True, "pooling_mode_mean_tokens": False}),
        r"pools by \['max'\], expected mean or cls; write .*\"pooling_mode\": \"mean\"",
    ),
    "two states at once": (
        sentence_modules(POOLING, pooling={"pooling_mode": ["cls", "mean"]}), r"pools by \['cls', 'mean'\], expected mean or cls"
    ),
    "a module of words": (
        sentence_modules("sentence_transformers.models.CNN"), r"a module CNN, expected Transformer, Pooling.*take another"
    ),
    "a module with code": (sentence_modules("custom.Mixer"), r"custom\.Mixer \(code of its own\).*take another base"),
    "a limit in words": (
        write("sentence_bert_config.json", '{"max_seq_length": "long"}'), r"max_seq_length is 'long', expected a number"
    ),
}  # fmt: skip


def run(tmp_path: Path, base: str, capsys: pytest.CaptureFixture[str], max_tokens: int = 64) -> tuple[int, str, float]:
    """Run a plan whose data do not exist; return the status, the line on standard error and the seconds it took."""
    plan = tmp_path / "plan.toml"
    plan.write_text(
        'model = "m"\n[data]\ntrain = "nowhere.csv"\ntext = "text"\nlabel = "label"\n'
        f"max_tokens = {max_tokens}\n[bases]\nnames = [{json.dumps(base)}]\n",
        encoding="utf-8",
    )
    start = time.perf_counter()
    status = main(["run", str(plan)])
    took_s = time.perf_counter() - start
    return status, capsys.readouterr().err, took_s


@pytest.mark.parametrize("name", BROKEN)
def test_a_broken_base_is_refused_with_the_remedy_before_any_data_is_read(
    name: str, folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PARSIMONY_HOME", str(tmp_path / "home"))
    change, said = BROKEN[name]
    change(folder)
    status, line, took_s = run(tmp_path, str(folder), capsys, max_tokens=100 if "the plan asks" in name else 64)
    assert status == 2, line
    assert line.startswith(f"parsimony: base {str(folder)!r}") and line.count("\n") == 1, line
    assert re.search(said, line), line
    assert took_s < LIMIT_S


def test_a_whole_base_comes_as_far_as_the_data(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PARSIMONY_HOME", str(tmp_path / "home"))
    status, line, _ = run(tmp_path, str(folder), capsys)
    assert status == 3 and "nowhere.csv" in line


def test_a_hub_that_cannot_be_reached_is_said_before_any_data_is_read(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PARSIMONY_HOME", str(tmp_path / "home"))
    status, line, took_s = run(tmp_path, "hf:owner/name", capsys)
    assert status == 4
    assert "base 'hf:owner/name' could not be fetched from the hub" in line
    assert line.rstrip().endswith("without the network, give the folder of a copy")
    assert took_s < LIMIT_S


def test_a_hub_name_without_its_prefix_is_told_apart_from_a_folder(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PARSIMONY_HOME", str(tmp_path / "home"))
    status, line, _ = run(tmp_path, "BAAI/bge-small-en-v1.5", capsys)
    assert status == 2 and "hf:BAAI/bge-small-en-v1.5 if it lies on the hub" in line


# --- bases that are good --------------------------------------------------------------------------


def plan_of(folder: Path, **data: Any) -> Plan:
    return Plan.model_validate(
        {
            "model": "m",
            "data": {"train": "nowhere.csv", "text": "text", "label": "label", **data},
            "bases": {"names": [str(folder)]},
        }
    )


def accepted(folder: Path, **data: Any) -> None:
    """Require that a preflight finds nothing to refuse but the data, which do not exist."""
    with pytest.raises(DataError, match=r"nowhere\.csv"):
        preflight(plan_of(folder, **data))


@pytest.mark.slow
@pytest.mark.parametrize("architecture", ["bert", "roberta", "distilbert", "electra", "modernbert"])
def test_bases_of_every_kind_are_taken(architecture: Any, tmp_path: Path) -> None:
    accepted(write_tiny_base(tmp_path / "base", architecture=architecture))


SIZES = {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 4, "intermediate_size": 48}


def write_other_base(folder: Path, kind: str, *, sizes: dict[str, int] = SIZES, **keys: Any) -> Path:
    """Write a random base of a kind that `tinymodels` does not make."""
    import transformers as t

    counted = kind in {"XLMRoberta", "MPNet", "Camembert", "Longformer"}
    shutil.copytree(base_of("roberta" if counted else "bert"), folder)
    rows = json.loads((folder / CONFIG).read_text(encoding="utf-8"))["vocab_size"]
    config = getattr(t, f"{kind}Config")(vocab_size=rows, **{**sizes, **keys})
    getattr(t, f"{kind}Model")(config).save_pretrained(folder)
    return folder


OTHERS: dict[str, dict[str, Any]] = {
    "XLMRoberta": {"pad_token_id": 1, "max_position_embeddings": 66},
    "MPNet": {"pad_token_id": 1, "max_position_embeddings": 66},
    "Camembert": {"pad_token_id": 1, "max_position_embeddings": 66},
    "DebertaV2": {
        "relative_attention": True, "pos_att_type": ["p2c", "c2p"], "position_buckets": 8, "position_biased_input": False,
        "max_position_embeddings": 64, "share_att_key": True, "norm_rel_ebd": "layer_norm",
    },
}  # fmt: skip


@pytest.mark.slow
@pytest.mark.parametrize("kind", OTHERS)
def test_bases_of_other_kinds_are_taken(kind: str, tmp_path: Path) -> None:
    accepted(write_other_base(tmp_path / "base", kind, **OTHERS[kind]), max_tokens=64)


@pytest.mark.slow
def test_xlnet_whose_positions_have_no_end_is_taken_unless_it_cannot_be_exported(tmp_path: Path) -> None:
    keys = {"d_model": 32, "n_layer": 2, "n_head": 4, "d_inner": 48}
    folder = write_other_base(tmp_path / "base", "XLNet", sizes={}, **keys)
    with pytest.raises((DataError, PlanError)) as caught:
        preflight(plan_of(folder, max_tokens=4096))
    refused = r"base '.*': a xlnet cannot be exported to ONNX: .*; take another base\Z"
    assert re.search(r"nowhere\.csv", str(caught.value)) or re.match(refused, str(caught.value))


@pytest.mark.slow
def test_an_encoder_without_a_mask_is_refused_before_any_data_is_read(tmp_path: Path) -> None:
    folder = write_other_base(tmp_path / "base", "FNet", max_position_embeddings=64, tpu_short_seq_length=64)
    with pytest.raises(PlanError, match=r"base '.*': a fnet cannot be exported to ONNX: .*; take another base"):
        preflight(plan_of(folder, max_tokens=64))


@pytest.mark.parametrize(
    ("config", "positions"),
    [
        ({"model_type": "bert", "max_position_embeddings": 512}, 512),
        ({"model_type": "roberta", "max_position_embeddings": 514, "pad_token_id": 1}, 512),
        ({"model_type": "xlm-roberta", "max_position_embeddings": 514}, 512),
        ({"model_type": "longformer", "max_position_embeddings": 4098, "pad_token_id": 1}, 4096),
        ({"model_type": "roberta", "max_position_embeddings": 514, "pad_token_id": 3}, 510),
        ({"model_type": "xlnet", "max_position_embeddings": -1}, None),
        ({"model_type": "xlnet"}, None),
    ],
)
def test_how_many_tokens_a_base_reads(config: dict[str, Any], positions: int | None) -> None:
    assert positions_of(config) == positions


@pytest.mark.slow
@pytest.mark.parametrize("tokens", [64, 65])
def test_positions_are_counted_from_behind_the_padding_token(tokens: int, tmp_path: Path) -> None:
    """66 rows of positions are 64 tokens in RoBERTa's kind, as 514 are 512."""
    folder = write_other_base(tmp_path / "base", "XLMRoberta", **OTHERS["XLMRoberta"])
    if tokens == 64:
        accepted(folder, max_tokens=tokens)
    else:
        with pytest.raises(Exception, match=r"it reads 64 tokens at most, and data\.max_tokens is 65"):
            preflight(plan_of(folder, max_tokens=tokens))


def test_a_base_with_heads_of_a_task_is_taken_and_so_is_one_with_its_own_prefix(folder: Path) -> None:
    def as_a_task(tensors: dict[str, np.ndarray]) -> None:
        for name in list(tensors):
            tensors[f"bert.{name}"] = tensors.pop(name)
        tensors["cls.predictions.bias"] = np.zeros(5, dtype=np.float32)

    set_weights(folder, as_a_task)
    accepted(folder, max_tokens=64)


def test_weights_in_several_files_are_read(folder: Path) -> None:
    sharded(folder)
    accepted(folder, max_tokens=64)


def test_files_that_are_links_are_read_as_the_hub_keeps_them(folder: Path, tmp_path: Path) -> None:
    blobs = tmp_path / "blobs"
    folder.rename(blobs)
    folder.mkdir()
    for path in blobs.iterdir():
        (folder / path.name).symlink_to(path)
    accepted(folder, max_tokens=64)


def test_without_a_wish_of_the_plan_a_base_reads_what_it_can_and_this_is_said(folder: Path) -> None:
    """data.max_tokens is 128 where nobody set it; the base has 96 positions, its folder says 32 tokens."""
    assert check(str(folder), max_tokens=128, asked=False) == (
        f"base {str(folder)!r}: it reads 96 tokens of a text, not 128",
    )
    write("sentence_bert_config.json", '{"max_seq_length": 32, "do_lower_case": false}')(folder)
    sentence_modules(POOLING, DENSE, pooling={"pooling_mode": "cls"})(folder)
    assert check(str(folder), max_tokens=128, asked=False) == (
        f"base {str(folder)!r}: it reads 32 tokens of a text, not 128",
        f"base {str(folder)!r}: its module Dense is left out: a head is trained on what is pooled",
    )


def test_a_base_that_changes_is_looked_at_again(folder: Path) -> None:
    accepted(folder, max_tokens=64)
    fill("layer.0.output.dense.weight", float("nan"))(folder)
    with pytest.raises(Exception, match="NaN"):
        preflight(plan_of(folder, max_tokens=64))


# --- remedies that work ---------------------------------------------------------------------------


def as_pickled(folder: Path) -> None:
    import torch
    from safetensors.torch import load_file

    torch.save(load_file(folder / WEIGHTS), folder / "pytorch_model.bin")
    (folder / WEIGHTS).unlink()


def as_slow(folder: Path) -> None:
    vocabulary = json.loads((folder / TOKENIZER).read_text(encoding="utf-8"))["model"]["vocab"]
    (folder / "vocab.txt").write_text("\n".join(sorted(vocabulary, key=vocabulary.__getitem__)), encoding="utf-8")
    (folder / TOKENIZER).unlink()


@pytest.mark.slow
@pytest.mark.parametrize("change", [as_pickled, as_slow])
def test_the_command_that_a_refusal_names_mends_the_base(change: Callable[[Path], None], folder: Path) -> None:
    change(folder)
    with pytest.raises(PlanError) as caught:
        preflight(plan_of(folder, max_tokens=64))
    command = re.search(r'python -c "([^"]+)"', str(caught.value))
    assert command
    subprocess.run([sys.executable, "-c", command[1]], check=True, capture_output=True)
    accepted(folder, max_tokens=64)
