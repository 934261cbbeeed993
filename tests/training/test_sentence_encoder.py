"""A folder of sentence-transformers is used as it says: which state stands for a text, where it is cut, its case."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from tinymodels import DATA, base_of, material, spec_of, tables
from tokenizers import Tokenizer

from parsimony.graphs import rewrite
from parsimony.training import bases
from parsimony.training.checkpoint_store import checkpoint_of
from parsimony.training.classifier import all_logits, features, load, load_base, save
from parsimony.training.export import check_parity, export
from parsimony.training.sentence_encoder import SentenceEncoder, described, encoder_folder, tokenizer_of
from parsimony.training.vocabulary import token_ids

pytestmark = pytest.mark.slow

TEXTS = (*tables()[0].texts[:8], "rain", "rain " * 80)
MODULE = "sentence_transformers.models."
CLS = {"word_embedding_dimension": 48, "pooling_mode_cls_token": True, "pooling_mode_mean_tokens": False}
MEAN = {"word_embedding_dimension": 48, "pooling_mode_cls_token": False, "pooling_mode_mean_tokens": True}


def write_folder(
    root: Path, pooling: dict[str, Any], *, inside: str = "", limits: dict[str, Any] | None = None
) -> Path:
    """Write a folder of sentence-transformers around the tiny BERT; return its root."""
    shutil.copytree(base_of("bert"), root / inside, dirs_exist_ok=True)
    parts = [(inside, "Transformer"), ("1_Pooling", "Pooling"), ("2_Normalize", "Normalize")]
    modules = [{"idx": i, "name": str(i), "path": path, "type": MODULE + kind} for i, (path, kind) in enumerate(parts)]
    (root / "modules.json").write_text(json.dumps(modules), encoding="utf-8")
    (root / "1_Pooling").mkdir()
    (root / "1_Pooling" / "config.json").write_text(json.dumps(pooling), encoding="utf-8")
    if limits is not None:
        (root / inside / "sentence_bert_config.json").write_text(json.dumps(limits), encoding="utf-8")
    return root


def states_of(folder: Path, row: list[int]) -> torch.Tensor:
    """Return the states of one text as transformers itself gives them, [tokens, hidden]."""
    from transformers import AutoModel

    with torch.inference_mode():
        encoder = AutoModel.from_pretrained(folder).eval()
        return encoder(input_ids=torch.tensor([row])).last_hidden_state[0]


@pytest.mark.parametrize("inside", ["", "0_Transformer"])
@pytest.mark.parametrize(("pooling", "mode"), [(CLS, "cls"), (MEAN, "mean"), ({"pooling_mode": "cls"}, "cls")])
def test_the_state_that_stands_for_a_text_is_the_one_that_the_folder_names(
    pooling: dict[str, Any], mode: str, inside: str, tmp_path: Path
) -> None:
    folder = bases.resolve(str(write_folder(tmp_path, pooling, inside=inside)))
    assert folder == tmp_path / inside
    made = load_base(folder, classes=2, max_tokens=64)
    rows = token_ids(made.tokenizer, TEXTS)
    states = [states_of(folder, row) for row in rows]
    expected = [each[0] if mode == "cls" else each.mean(0) for each in states]
    np.testing.assert_allclose(features(made, rows), torch.stack(expected).numpy(), rtol=0, atol=1e-5)


@pytest.mark.parametrize("pooling", [CLS, MEAN], ids=["cls", "mean"])
def test_sentence_transformers_itself_gives_the_same_states(pooling: dict[str, Any], tmp_path: Path) -> None:
    from sentence_transformers import SentenceTransformer

    root = write_folder(tmp_path, pooling, limits={"max_seq_length": 20, "do_lower_case": True})
    texts = [*TEXTS, "RAIN and Storm"]
    expected = SentenceTransformer(str(root), device="cpu", local_files_only=True).encode(texts)
    made = load_base(root, classes=2, max_tokens=64)
    states = features(made, token_ids(made.tokenizer, texts))
    np.testing.assert_allclose(states / np.linalg.norm(states, axis=1, keepdims=True), expected, rtol=0, atol=1e-5)


def test_the_graph_takes_the_same_state_and_so_does_what_is_saved(tmp_path: Path) -> None:
    made = load_base(write_folder(tmp_path / "base", CLS), classes=3, max_tokens=64)
    torch.nn.init.normal_(made.head.weight)
    rows = token_ids(made.tokenizer, TEXTS)
    graph = export(made)
    check_parity(graph, made, rows)
    assert "ReduceSum" not in {node.op_type for node in graph.graph.node if node.name.startswith("head.")}
    save(made, tmp_path)
    again = load(tmp_path)
    assert again.pooling == "cls"
    np.testing.assert_array_equal(all_logits(again, rows), all_logits(made, rows))
    assert np.abs(rewrite.run(graph, rows)).max() > 0.1


@pytest.mark.parametrize(("limit", "asked", "longest"), [(20, 64, 20), (64, 20, 20), (None, 64, 64)])
def test_a_text_is_cut_where_the_folder_says_or_earlier(
    limit: int | None, asked: int, longest: int, tmp_path: Path
) -> None:
    root = write_folder(tmp_path, MEAN, limits={"max_seq_length": limit, "do_lower_case": False})
    cut = [len(row) for row in token_ids(tokenizer_of(root, max_tokens=asked), TEXTS)]
    assert max(cut) == longest
    assert load_base(root, classes=2, max_tokens=asked).tokenizer == tokenizer_of(root, max_tokens=asked)


def test_a_folder_that_lowercases_reads_capitals_as_small_letters(tmp_path: Path) -> None:
    roberta = base_of("roberta")
    for name in ("plain", "lower"):
        shutil.copytree(roberta, tmp_path / name)
    limits = {"max_seq_length": 64, "do_lower_case": True}
    (tmp_path / "lower" / "sentence_roberta_config.json").write_text(json.dumps(limits), encoding="utf-8")
    plain, lower = (Tokenizer.from_str(tokenizer_of(tmp_path / name, max_tokens=64)) for name in ("plain", "lower"))
    assert (
        lower.encode("RAIN and Storm").ids == plain.encode("rain and storm").ids != plain.encode("RAIN and Storm").ids
    )
    assert lower.encode("<s>").ids == plain.encode("<s>").ids


def test_a_folder_without_modules_pools_as_ever(tmp_path: Path) -> None:
    folder = Path(shutil.copytree(base_of("bert"), tmp_path / "base"))
    assert described(folder) == SentenceEncoder() and encoder_folder(folder) == folder


def test_what_stands_above_is_not_of_another_folder(tmp_path: Path) -> None:
    """A `modules.json` one level up counts only where it names this folder as its encoder's."""
    write_folder(tmp_path, CLS, inside="0_Transformer")
    other = Path(shutil.copytree(base_of("bert"), tmp_path / "other"))
    assert described(other).pooling == "mean"
    assert described(tmp_path / "0_Transformer").pooling == "cls"


@pytest.mark.parametrize("inside", ["", "0_Transformer"])
def test_another_pooling_is_another_base(inside: str, tmp_path: Path) -> None:
    digests = []
    for name, pooling in (("cls", CLS), ("mean", MEAN), ("again", CLS)):
        root = write_folder(tmp_path / name, pooling, inside=inside, limits={"max_seq_length": 20})
        digests.append(bases.digest(bases.resolve(str(root))))
    assert digests[0] == digests[2] != digests[1]


def test_what_is_trained_from_a_base_keeps_its_pooling(tmp_path: Path) -> None:
    base = write_folder(tmp_path / "base", CLS)
    start: Path | None = None
    for name in ("frozen", "reference", "narrow"):
        spec = spec_of("bert", name)
        start = Path(checkpoint_of(material(base, spec, start), DATA, tmp_path / "checkpoints").folder)
        assert load(start / "weights").pooling == "cls"
