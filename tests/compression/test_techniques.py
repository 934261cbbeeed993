"""What each technique does to real graphs of four architectures, and what it refuses, with the reason."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import TensorProto, helper, numpy_helper
from tinymodels import (
    ARCHITECTURES,
    Architecture,
    base_of,
    checkpoint,
    first_quick,
    material,
    relabelled,
    spec_of,
    tables,
)
from tokenizers import Tokenizer

from parsimony.bundle.runtime_version import least_version
from parsimony.compression.build import draft_of
from parsimony.compression.technique import DoesNotApplyError, Draft
from parsimony.compression.techniques import TECHNIQUES
from parsimony.compression.techniques.trim import AMOUNTS, apply
from parsimony.data.table import Texts
from parsimony.graphs import int4, rewrite
from parsimony.runtimes import cpu
from parsimony.training.families import linear
from parsimony.training.vocabulary import named_ids, token_ids

pytestmark = pytest.mark.slow

# Other x86 processors add two products of 8 bits in 16, which saturate: this graph is off by 1.3 there, not by 0.2.
ADDS_IN_32_BITS = bool({"avx_vnni", "avx512_vnni", "amx_int8", "asimddp", "i8mm"} & set(cpu.isa()))
FUSED: tuple[Architecture, ...] = ("bert", "distilbert", "roberta")
LAYERS = 3
TRAIN, VALIDATION, _ = tables()
TEXTS = Texts.of(TRAIN.texts)
every_architecture = first_quick(ARCHITECTURES)
fused_architecture = first_quick(FUSED)
_drafts: dict[str, Draft] = {}


def draft(architecture: Architecture, *chain: str, name: str = "reference") -> Draft:
    """Return the draft of a checkpoint after these techniques; each is made once."""
    key = f"{architecture} {name} {chain}"
    if key not in _drafts:
        start = draft_of(Path(checkpoint(architecture, name).folder), TEXTS)
        made = start
        for technique in chain:
            made = TECHNIQUES[technique].apply(made)
        _drafts[key] = made
    return _drafts[key]


def logits_of(of: Draft, texts: tuple[str, ...] = VALIDATION.texts) -> np.ndarray:
    return rewrite.run(of.graph, token_ids(of.tokenizer, texts))


def agreement(one: Draft, other: Draft) -> float:
    return float((logits_of(one).argmax(1) == logits_of(other).argmax(1)).mean())


def test_the_registry_knows_every_technique_by_its_name() -> None:
    assert {name: technique.name for name, technique in TECHNIQUES.items()} == {
        n: n for n in ("trim", "trim2k", "trim8k", "trim32k", "fusion", "int8", "mixed", "int4")
    }


@pytest.mark.parametrize("name", sorted(TECHNIQUES.keys() - AMOUNTS.keys()))
def test_a_technique_leaves_the_draft_that_it_is_given_as_it_was(name: str) -> None:
    start = draft("bert")
    before = start.graph.SerializeToString(deterministic=True)
    after = TECHNIQUES[name].apply(start)
    assert start.graph.SerializeToString(deterministic=True) == before
    assert after.graph.SerializeToString(deterministic=True) != before


# --- trim -----------------------------------------------------------------------------------------


@every_architecture
@pytest.mark.parametrize("name", ["reference", "linear"])
def test_trimming_keeps_every_logit_of_a_training_text(architecture: Architecture, name: str) -> None:
    before, after = draft(architecture, name=name), draft(architecture, "trim", name=name)
    np.testing.assert_array_equal(logits_of(after, TRAIN.texts), logits_of(before, TRAIN.texts))


@every_architecture
def test_trimming_takes_rows_and_tokens_out(architecture: Architecture) -> None:
    before, after = draft(architecture), draft(architecture, "trim")
    [name] = {n.input[0] for n in rewrite.lookup_of(before.graph, "input_ids")}
    (rows, hidden), (kept, same) = (rewrite.initializers(d.graph)[name].dims for d in (before, after))
    assert kept < rows
    assert (same, hidden) == (48, 48)
    assert len(after.tokenizer) < len(before.tokenizer)
    used = {token for ids in token_ids(after.tokenizer, TRAIN.texts) for token in ids}
    assert kept == len(used) + 1  # and one row for all that only spells what training did not hold


@every_architecture
def test_tokens_that_training_never_held_share_one_row(architecture: Architecture) -> None:
    after = draft(architecture, "trim")
    loaded = Tokenizer.from_str(after.tokenizer)
    first = 1 + max(max(ids) for ids in token_ids(after.tokenizer, TRAIN.texts))
    strange = range(first, loaded.get_vocab_size())
    assert len(strange) > 1
    logits = rewrite.run(after.graph, [[5, i, 7] for i in strange])
    np.testing.assert_array_equal(logits, np.repeat(logits[:1], len(logits), axis=0))


@every_architecture
def test_tokens_that_training_never_held_can_keep_rows_of_their_own(architecture: Architecture) -> None:
    start = draft(architecture)
    names = {v: k for k, v in Tokenizer.from_str(start.tokenizer).get_vocab().items()}
    used = {token for ids in token_ids(start.tokenizer, TRAIN.texts) for token in ids}
    strange = tuple(sorted(names.keys() - used - named_ids(start.tokenizer)))[-5:]
    ranked = replace(start, likeliest=strange, near=dict.fromkeys(strange[:1], min(used)))
    after = apply(ranked, more=3)
    renamed = Tokenizer.from_str(after.tokenizer).get_vocab()
    own = [[5, renamed[names[token]], 7] for token in strange[:3]]
    whole = [[Tokenizer.from_str(start.tokenizer).token_to_id(_name(after, i)) for i in row] for row in own]
    np.testing.assert_array_equal(rewrite.run(after.graph, own), rewrite.run(start.graph, whole))
    np.testing.assert_array_equal(logits_of(after, TRAIN.texts), logits_of(start, TRAIN.texts))
    [name] = {n.input[0] for n in rewrite.lookup_of(start.graph, "input_ids")}
    rows = [rewrite.initializers(d.graph)[name].dims[0] for d in (draft(architecture, "trim"), after)]
    assert rows[1] - rows[0] == 3


def _name(of: Draft, token: int) -> str:
    name = Tokenizer.from_str(of.tokenizer).id_to_token(token)
    assert name is not None
    return name


def test_more_rows_than_there_are_tokens_are_refused() -> None:
    with pytest.raises(DoesNotApplyError, match="only 2 tokens occur in no text, expected 2048"):
        TECHNIQUES["trim2k"].apply(replace(draft("bert"), likeliest=(7, 8)))


@every_architecture
def test_a_token_near_to_a_used_one_is_read_as_that_one(architecture: Architecture) -> None:
    start = draft(architecture)
    unknown = {v: k for k, v in Tokenizer.from_str(start.tokenizer).get_vocab().items()}
    used = sorted({token for ids in token_ids(start.tokenizer, TRAIN.texts) for token in ids})
    strange = sorted(unknown.keys() - set(used) - named_ids(start.tokenizer))[-3:]  # a special token is near to none
    known = used[-3:]
    after = TECHNIQUES["trim"].apply(replace(start, near=dict(zip(strange, known, strict=True))))
    plain = TECHNIQUES["trim"].apply(start)
    renamed = Tokenizer.from_str(after.tokenizer).get_vocab()
    for one, other in zip(strange, known, strict=True):
        rows = [[5, renamed[unknown[token]], 7] for token in (one, other)]
        np.testing.assert_array_equal(*rewrite.run(after.graph, rows))
    np.testing.assert_array_equal(logits_of(after, TRAIN.texts), logits_of(plain, TRAIN.texts))
    assert set(rewrite.bytes_per_type(after.graph)) == set(rewrite.bytes_per_type(plain.graph))


@every_architecture
def test_a_text_with_words_that_training_never_saw_still_gets_a_prediction(architecture: Architecture) -> None:
    texts = ("quarterly parliament debate", "zebra jungle!", "ñandú 飯", "")
    assert np.isfinite(logits_of(draft(architecture, "trim"), texts)).all()


def test_trimming_twice_is_refused() -> None:
    with pytest.raises(DoesNotApplyError, match="no table of the graph is looked up by token"):
        TECHNIQUES["trim"].apply(draft("bert", "trim"))


def test_a_graph_that_looks_no_token_up_cannot_be_trimmed() -> None:
    start = draft("bert")
    model = onnx.ModelProto.FromString(start.graph.SerializeToString())
    for node in rewrite.lookup_of(model, "input_ids"):
        node.input[0] = "computed"
    with pytest.raises(DoesNotApplyError, match="no table of the graph is looked up by token"):
        TECHNIQUES["trim"].apply(replace(start, graph=model))


def test_a_tokenizer_that_cannot_be_trimmed_is_refused_with_its_kind() -> None:
    start = draft("bert")
    other = start.tokenizer.replace('"type":"WordPiece"', '"type":"WordLevel"').replace(
        '"continuing_subword_prefix":"##",', ""
    )
    with pytest.raises(DoesNotApplyError, match="its tokenizer is a WordLevel, not WordPiece, Unigram or BPE"):
        TECHNIQUES["trim"].apply(replace(start, tokenizer=other))


def test_a_graph_that_looks_for_a_token_whose_number_would_change_is_not_trimmed() -> None:
    start = draft("bert")
    last = max(max(ids) for ids in token_ids(start.tokenizer, TRAIN.texts))
    for token, refused in ((0, False), (last, True)):
        model = onnx.ModelProto.FromString(start.graph.SerializeToString())
        model.graph.initializer.append(numpy_helper.from_array(np.array(token), "padding"))
        model.graph.node.append(helper.make_node("Equal", ["input_ids", "padding"], ["is_padding"]))
        assert rewrite.compared_with(model, "input_ids") == (token,)
        if refused:
            with pytest.raises(DoesNotApplyError, match=f"looks for token {last}, which would get another number"):
                TECHNIQUES["trim"].apply(replace(start, graph=model))
        else:
            TECHNIQUES["trim"].apply(replace(start, graph=model))


def test_positions_that_are_counted_from_a_padding_token_whose_number_would_change_are_not_trimmed() -> None:
    start = draft("roberta")
    model = onnx.ModelProto.FromString(start.graph.SerializeToString())
    assert rewrite.compared_with(model, "input_ids") == (1,)
    [node] = [n for n in model.graph.node if n.op_type == "Equal" and "input_ids" in n.input]
    last = max(max(ids) for ids in token_ids(start.tokenizer, TRAIN.texts))
    model.graph.initializer.append(numpy_helper.from_array(np.array(last), "padding"))
    node.input[:] = ["input_ids", "padding"]
    with pytest.raises(DoesNotApplyError, match=f"the graph looks for token {last}, which would get another number"):
        TECHNIQUES["trim"].apply(replace(start, graph=model))


# --- fusion ---------------------------------------------------------------------------------------


@fused_architecture
def test_fusion_finds_the_attention_of_every_layer(architecture: Architecture) -> None:
    operators = rewrite.operators(draft(architecture, "fusion").graph)
    assert (operators["Attention"], operators["BiasGelu"], operators["LayerNormalization"]) == (
        LAYERS,
        LAYERS,
        2 * LAYERS + 1,
    )
    assert not {"Softmax", "SkipLayerNormalization"} & set(operators)


@fused_architecture
def test_fusion_keeps_the_logits(architecture: Architecture) -> None:
    before, after = draft(architecture), draft(architecture, "fusion")
    np.testing.assert_allclose(logits_of(after), logits_of(before), atol=1e-4)


def test_an_architecture_without_a_pattern_is_refused_by_fusion() -> None:
    with pytest.raises(DoesNotApplyError, match="the optimiser found no attention in this modernbert graph"):
        draft("modernbert", "fusion")


def test_a_graph_without_attention_is_refused_by_fusion() -> None:
    with pytest.raises(DoesNotApplyError, match="the optimiser found no attention in this bag graph"):
        draft("bert", "fusion", name="linear")
    bag = replace(draft("bert", name="linear"), architecture="bert", heads=4, hidden=48)
    with pytest.raises(DoesNotApplyError, match="the optimiser found no attention in this bert graph"):
        TECHNIQUES["fusion"].apply(bag)


# --- int8 and int4 --------------------------------------------------------------------------------


def _chain(architecture: Architecture, last: str) -> tuple[str, ...]:
    return ("trim", "fusion", last) if architecture in FUSED else ("trim", last)


@every_architecture
@pytest.mark.parametrize("name", ["int8", "mixed", "int4"])
def test_quantisation_leaves_no_matrix_in_fp32(architecture: Architecture, name: str) -> None:
    before, after = draft(architecture, "trim"), draft(architecture, *_chain(architecture, name))
    assert rewrite.float_weights(before.graph)
    assert rewrite.float_weights(after.graph) == ()
    matrices = [t for t in after.graph.graph.initializer if t.data_type == TensorProto.FLOAT and len(t.dims) > 1]
    assert all("scale" in t.name or np.prod(t.dims) == max(t.dims) for t in matrices), [t.name for t in matrices]


@every_architecture
@pytest.mark.parametrize("name", ["int8", "mixed", "int4"])
def test_quantised_graphs_predict_nearly_alike(architecture: Architecture, name: str) -> None:
    quantised = draft(architecture, *_chain(architecture, name))
    assert np.isfinite(logits_of(quantised)).all()
    assert agreement(quantised, draft(architecture)) >= {"int8": 0.95, "mixed": 0.8, "int4": 0.8}[name]


@every_architecture
def test_int8_is_a_quarter_of_fp32_and_int4_less(architecture: Architecture) -> None:
    full, eight, mixed, four = (
        sum(rewrite.bytes_per_type(draft(architecture, *chain).graph).values())
        for chain in ((), ("int8",), ("mixed",), ("int4",))
    )
    assert 0.24 < eight / full < 0.32
    assert four / full < 0.21
    assert four < mixed < eight


@every_architecture
def test_int8_weights_are_signed_and_scaled_per_channel(architecture: Architecture) -> None:
    constants = rewrite.initializers(draft(architecture, "int8").graph)
    products = [n for n in draft(architecture, "int8").graph.graph.node if n.op_type == "MatMulInteger"]
    weights = [constants[node.input[1]] for node in products if node.input[1] in constants]
    assert len(weights) == 1 + LAYERS * (4 if architecture == "modernbert" else 6)
    assert {weight.data_type for weight in weights} == {TensorProto.INT8}
    for weight in weights:
        scale = constants[weight.name.replace("_quantized", "_scale")]
        assert list(scale.dims) == [weight.dims[1]]


@every_architecture
def test_what_is_stored_in_4_bits_is_nothing_but_8_bit_products_and_fp32_tables_once_it_is_loaded(
    architecture: Architecture, tmp_path: Path
) -> None:
    chain = _chain(architecture, "int4")
    four, eight = draft(architecture, *chain), draft(architecture, *chain[:-1], "int8")
    loaded, plain = (rewrite.operators(_loaded(of, tmp_path)) for of in (four, eight))
    for kind in ("DynamicQuantizeMatMul", "MatMulIntegerToFloat", "QAttention", "MatMulInteger"):
        assert loaded.get(kind) == plain.get(kind)
    assert not {"MatMul", "Attention", "QuantizeLinear", "Transpose"} & set(loaded) - set(plain)
    assert loaded["Cast"] <= plain["Cast"]


def _loaded(of: Draft, folder: Path) -> onnx.ModelProto:
    """Return the graph that ONNX Runtime makes of a draft when it starts."""
    options = onnxruntime.SessionOptions()
    options.optimized_model_filepath = str(folder / "loaded.onnx")
    options.log_severity_level = 3
    onnxruntime.InferenceSession(of.graph.SerializeToString(), options, providers=["CPUExecutionProvider"])
    return onnx.load(folder / "loaded.onnx")


@every_architecture
def test_mixed_stores_tables_in_4_bits_and_matrices_in_8(architecture: Architecture) -> None:
    chain = _chain(architecture, "mixed")
    mixed, four = (
        {tensor.name: tensor for tensor in draft(architecture, *with_last).graph.graph.initializer}
        for with_last in (chain, (*chain[:-1], "int4"))
    )
    packed = [{name.removesuffix(".4bit") for name in graph if name.endswith(".4bit")} for graph in (mixed, four)]
    assert packed[0] and packed[0] < packed[1]
    matrices = [{t.data_type for t in graph.values() if len(t.dims) > 1} for graph in (mixed, four)]
    assert TensorProto.INT8 in matrices[0] and TensorProto.INT8 not in matrices[1]


@every_architecture
@pytest.mark.parametrize("name", ["mixed", "int4"])
def test_4_bit_graphs_ask_for_no_newer_runtime_than_their_fp32_ones(architecture: Architecture, name: str) -> None:
    """ONNX's own 4-bit numbers would ask for opset 21 and ONNX Runtime 1.23; bytes and shifts are read from 1.17 on."""
    before, after = draft(architecture, *_chain(architecture, name)[:-1]).graph, draft(architecture, name).graph
    assert least_version(before.SerializeToString()) == least_version(after.SerializeToString()) == "1.17"
    assert not {TensorProto.INT4, TensorProto.UINT4} & {tensor.data_type for tensor in after.graph.initializer}


@pytest.mark.parametrize(("rows", "width"), [(2, 16), (3, 16), (5, 77), (4, 77), (7, 128), (1, 64), (6, 7)])
def test_what_is_packed_comes_out_as_it_went_in(rows: int, width: int) -> None:
    """Odd numbers of rows leave half a byte over; a width that no block divides is one block."""
    table = np.random.default_rng(rows * width).normal(size=(rows, width)).astype(np.float32) * 10.0 ** -(rows % 4)
    nodes = [helper.make_node("Gather", ["table", "input_ids"], ["rows"])]
    nodes.append(helper.make_node("ReduceSum", ["rows", "axis"], ["logits"], keepdims=0))
    inputs = [helper.make_tensor_value_info("input_ids", TensorProto.INT64, ["batch", "tokens"])]
    outputs = [helper.make_tensor_value_info("logits", TensorProto.FLOAT, ["batch", width])]
    constants = [numpy_helper.from_array(table, "table"), numpy_helper.from_array(np.array([1]), "axis")]
    made = helper.make_graph(nodes, "table", inputs, outputs, constants)
    model = helper.make_model(made, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)
    int4.store_tables(model, ["table"])
    np.testing.assert_array_equal(rewrite.run(model, [[row] for row in range(rows)]), int4.pack(table).weights)
    size = sum(len(tensor.raw_data) for tensor in model.graph.initializer if "table" in tensor.name)
    assert size - 16 * (rows % 2) == int4.packed_bytes(rows, width)


def test_a_weight_that_two_layers_share_is_quantised_once_and_for_both() -> None:
    """Exporters write a shared matrix once and hand out copies; behind a copy the product would stay in fp32."""
    constants = {name: np.random.default_rng(0).normal(size=(80, 80)).astype(np.float32) for name in ("table", "w")}
    nodes = [
        helper.make_node("Gather", ["table", "input_ids"], ["x"]),
        helper.make_node("MatMul", ["x", "w"], ["y"], name="first"),
        helper.make_node("Identity", ["w"], ["copy"]),
        helper.make_node("MatMul", ["y", "copy"], ["logits"], name="second"),
    ]
    inputs = [helper.make_tensor_value_info("input_ids", TensorProto.INT64, ["batch", "tokens"])]
    outputs = [helper.make_tensor_value_info("logits", TensorProto.FLOAT, ["batch", "tokens", 80])]
    weights = [numpy_helper.from_array(value, name) for name, value in constants.items()]
    made = helper.make_graph(nodes, "shared", inputs, outputs, weights)
    model = helper.make_model(made, opset_imports=[helper.make_opsetid("", 18)], ir_version=10)
    shared = replace(draft("bert"), graph=model)
    products = [rewrite.operators(TECHNIQUES["int8"].apply(shared).graph)]
    rewrite.fold_copies(model)
    products.append(rewrite.operators(TECHNIQUES["int8"].apply(shared).graph))
    assert [(counts.get("MatMulInteger"), counts.get("MatMul")) for counts in products] == [(1, 1), (2, None)]


@pytest.mark.parametrize("classes", [2, 3, 4, 5, 33])
@pytest.mark.parametrize("name", ["int8", "mixed", "int4"])
def test_few_classes_and_odd_numbers_of_them_are_quantised_too(classes: int, name: str, tmp_path: Path) -> None:
    labels = tuple(f"class {i}" for i in range(classes))
    given = material(base_of("bert"), spec_of("bert", "linear"))
    parts = {"train": relabelled(TRAIN, labels), "validation": relabelled(VALIDATION, labels)}
    linear.train(replace(given, labels=labels, **parts), tmp_path)
    before = draft_of(tmp_path, TEXTS)
    after = TECHNIQUES[name].apply(before)
    assert rewrite.float_weights(after.graph) == ()
    assert logits_of(after).shape == (len(VALIDATION), classes)
    # 4 bits keep one number in 15 of a block; these classes are dealt out at random and lie close together.
    np.testing.assert_allclose(
        logits_of(after), logits_of(before), atol={"int8": 0.05, "mixed": 0.3, "int4": 0.3}[name]
    )


@pytest.mark.parametrize("name", ["int8", "mixed", "int4"])
def test_a_head_for_two_classes_is_quantised_too(name: str) -> None:
    start = draft("bert")
    model = onnx.ModelProto.FromString(start.graph.SerializeToString())
    for constant in ("head.weight", "head.bias"):
        value = numpy_helper.to_array(rewrite.initializers(model)[constant])
        rewrite.replace_constant(model, constant, value[..., :2])
    model.graph.output[0].type.tensor_type.shape.dim[1].dim_value = 2
    quantised = TECHNIQUES[name].apply(replace(start, graph=model))
    four = logits_of(draft("bert", name))
    np.testing.assert_allclose(logits_of(quantised), four[:, :2], atol=1e-5)
    limits = {"int8": 0.3 if ADDS_IN_32_BITS else 1.5, "mixed": 1.5, "int4": 1.5}
    np.testing.assert_allclose(logits_of(quantised), logits_of(start)[:, :2], atol=limits[name])
    assert "head.weight" not in rewrite.initializers(quantised.graph)
