"""Tiny real encoders and a small data set that can be learned: bases made on the spot in a fraction of a second.

The weights are random, the tokenizers trained here; every architecture keeps the traits that trip tools up: BERT has
segments and a pooler, RoBERTa counts positions from its padding token, ModernBERT has rotary positions, local layers,
special tokens behind the pieces and a table with more rows than tokens. ELECTRA, a BERT whose tables are narrower than its
layers, is tried where that matters; so are MPNet, which counts positions from its padding token and adds a bias for each
distance and head, DeBERTa, which multiplies a table of distances, and XLM-RoBERTa, with a Unigram tokenizer.
"""

from __future__ import annotations

import csv
import functools
import gc
import random
import tempfile
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal

import pytest

from parsimony.candidates import ModelSpec
from parsimony.data.table import Table
from parsimony.training.checkpoint_store import Checkpoint, checkpoint_of
from parsimony.training.family import Material, TrainingSettings

Architecture = Literal["bert", "distilbert", "roberta", "modernbert", "electra", "mpnet", "deberta-v2", "xlm-roberta"]
ARCHITECTURES: tuple[Architecture, ...] = ("bert", "distilbert", "roberta", "modernbert")
Name = Literal["frozen", "reference", "student", "narrow", "linear", "static"]
LABELS = ("card", "meal", "travel", "weather")
HEADS, POSITIONS = 4, 96
DATA = "digest of the tables"
SETTINGS = TrainingSettings(epochs=4, student_epochs=2, learning_rate=1e-3, student_learning_rate=1e-3, batch_size=16)
_SESSION = tempfile.TemporaryDirectory(prefix="tinymodels-")
_EACH = 60
_HINTS = {
    "card": ("card", "bank", "payment", "money", "transfer", "account", "refund", "balance"),
    "meal": ("soup", "bread", "dinner", "kitchen", "recipe", "cheese", "breakfast", "salad"),
    "travel": ("train", "ticket", "airport", "hotel", "luggage", "flight", "passport", "station"),
    "weather": ("rain", "storm", "sunny", "cloud", "snow", "forecast", "wind", "umbrella"),
}
_OPENINGS = (
    "please tell me",
    "i want to know",
    "can you say",
    "what happens with",
    "my friend asks",
    "today",
    "why is",
)
_MIDDLES = ("about the", "near my", "with this", "for our", "and the", "without any")
_ENDINGS = ("again", "this week", "before noon", "right now", "at home", "for two people", "if possible", "tomorrow")
# Words that only the tokenizer was made from, so that trimming finds something to take out.
_ELSEWHERE = ("quarterly parliament debate", "violin orchestra rehearsal", "granite mountain climbing", "zebra jungle expedition",
              "football champions league", "galaxy telescope observation")  # fmt: skip


# How the plan of a run on a tiny base begins, beside `train.csv` and the base.
PLAN_HEAD = """
model = "tiny"
[data]
train = "train.csv"
text = "text"
label = "label"
test_share = 0.4
[bases]
names = ["base"]
"""


# A whole run in seconds, in which something passes.
SHORT_PLAN = f"""{PLAN_HEAD}[search]
families = ["linear", "encoder"]
[training]
epochs = 2
[gates]
margin = 0.3
slice_margin = 0.3
"""


def first_quick(architectures: Iterable[Architecture]) -> pytest.MarkDecorator:
    """Return the parameter `architecture`; what holds for the first one is tried for the others in the slow tests."""
    first, *others = architectures
    return pytest.mark.parametrize(
        "architecture", [first, *(pytest.param(other, marks=pytest.mark.slow) for other in others)]
    )


def tables(seed: int = 0) -> tuple[Table, Table, Table]:
    """Return 240 different texts of four classes, 60 each, cut into train (144), validation (48) and test (48) rows.

    A text holds two words that tell its class and, one time in four, one of another class.
    """
    rng = random.Random(seed)
    rows = [(text, label) for label in LABELS for text in sorted(_texts(label, rng))]
    rng.shuffle(rows)
    rows.sort(key=lambda row: LABELS.index(row[1]))
    parts = {"train": range(36), "validation": range(36, 48), "test": range(48, 60)}
    train, validation, test = (
        _table(name, [rows[c * _EACH + i] for i in part for c in range(4)]) for name, part in parts.items()
    )
    return train, validation, test


def _texts(label: str, rng: random.Random) -> set[str]:
    texts: set[str] = set()
    while len(texts) < _EACH:
        first, second = rng.sample(_HINTS[label], 2)
        stray = rng.choice(_HINTS[rng.choice(LABELS)]) if rng.random() < 0.25 else ""
        words = (rng.choice(_OPENINGS), first, rng.choice(_MIDDLES), second, stray, rng.choice(_ENDINGS))
        texts.add(" ".join(" ".join(words).split()))
    return texts


def _table(source: str, rows: list[tuple[str, str]]) -> Table:
    texts, labels = zip(*rows, strict=True)
    return Table(source=f"{source}.csv", texts=texts, labels=labels, rows=tuple(range(2, len(rows) + 2)))


def write_csv(path: Path, *parts: Table) -> Path:
    """Write the rows of these tables, one after the other, as a CSV file: `text`, `label`, the columns of slices."""
    with path.open("w", encoding="utf-8", newline="") as stream:
        writer = csv.writer(stream)
        writer.writerow(("text", "label", *(name for name, _ in parts[0].slices)))
        for part in parts:
            writer.writerows(zip(part.texts, part.labels, *(values for _, values in part.slices), strict=True))
    return path


def write_tiny_base(
    folder: Path, *, architecture: Architecture = "bert", layers: int = 3, hidden: int = 48, words: int = 0
) -> Path:
    """Write config.json, model.safetensors and tokenizer.json of an encoder with random weights, always the same ones.

    words: how many words of no text its tokenizer knows besides.
    """
    return write_base_of(
        _TOKENIZERS[architecture](words), folder, architecture=architecture, layers=layers, hidden=hidden
    )


def write_base_of(tokenizer: Any, folder: Path, *, architecture: Architecture, layers: int, hidden: int) -> Path:
    """Write an encoder with random weights, always the same ones, for this tokenizer."""
    import torch
    import transformers

    torch.set_num_threads(1)
    known: dict[str, int] = tokenizer.get_vocab(with_added_tokens=True)
    with torch.random.fork_rng():
        torch.manual_seed(7)
        encoder = _encoder(architecture, known, layers, hidden)
        for parameter in encoder.parameters():  # no zero biases and no equal norms, behind which mistakes would hide
            parameter.data += 0.05 * torch.randn_like(parameter)
        encoder.save_pretrained(folder, safe_serialization=True)
    transformers.utils.logging.set_verbosity_error()
    tokenizer.save(str(folder / "tokenizer.json"))
    return folder


def material(base: Path, spec: ModelSpec, start: Path | None = None) -> Material:
    """Return what a model spec is trained on: the tables above and settings that suit a tiny model."""
    train, validation, _ = tables()
    return Material(
        spec=spec,
        base=base,
        start=start,
        train=train,
        validation=validation,
        labels=LABELS,
        max_tokens=64,
        seed=0,
        settings=SETTINGS,
    )


def freeze() -> None:
    """Take all that is imported out of the garbage collector's hands: the Trainer calls it, which else takes a second."""
    gc.collect()
    gc.freeze()


@functools.cache
def base_of(architecture: Architecture) -> Path:
    """Return the tiny base of this architecture, made once a session."""
    return write_tiny_base(Path(_SESSION.name) / architecture, architecture=architecture)


@functools.cache
def checkpoint(architecture: Architecture, name: Name) -> Checkpoint:
    """Return the checkpoint of this architecture and name, trained once a session with what it starts from."""
    spec = spec_of(architecture, name)
    before: dict[Name, Name] = {
        "reference": "frozen",
        "student": "reference",
        "narrow": "reference",
        "static": "reference",
    }
    start = Path(checkpoint(architecture, before[name]).folder) if name in before else None
    freeze()
    return checkpoint_of(material(base_of(architecture), spec, start), DATA, Path(_SESSION.name) / "checkpoints")


def spec_of(architecture: Architecture, name: Name) -> ModelSpec:
    """Return the model spec of this name; its base is named by the architecture, wherever it lies."""
    base = f"package:tiny_{architecture}"
    specs = {
        "frozen": ModelSpec(family="encoder", base=base, shape=("frozen",)),
        "reference": ModelSpec(family="encoder", base=base),
        "student": ModelSpec(family="student", base=base, shape=("L2",)),
        "narrow": ModelSpec(family="student", base=base, shape=("L2", "A2", "F24", "E16")),
        "linear": ModelSpec(family="linear", base=base),
        "static": ModelSpec(family="static", base=base, shape=("E32",)),
    }
    return specs[name]


def relabelled(table: Table, labels: tuple[str, ...]) -> Table:
    """Return the table with other labels, dealt out in turn."""
    return replace(table, labels=tuple(labels[i % len(labels)] for i in range(len(table))))


def _encoder(architecture: Architecture, known: dict[str, int], layers: int, hidden: int) -> Any:
    import transformers as t

    if architecture == "distilbert":
        sizes = {"dim": hidden, "n_layers": layers, "n_heads": HEADS, "hidden_dim": 2 * hidden}
        return t.DistilBertModel(t.DistilBertConfig(vocab_size=len(known), max_position_embeddings=POSITIONS, **sizes))
    sizes = {
        "hidden_size": hidden,
        "num_hidden_layers": layers,
        "num_attention_heads": HEADS,
        "intermediate_size": 2 * hidden,
    }
    if architecture == "bert":
        return t.BertModel(t.BertConfig(vocab_size=len(known), max_position_embeddings=POSITIONS, **sizes))
    if architecture == "electra":
        narrow = {"embedding_size": hidden // 2, "max_position_embeddings": POSITIONS}
        return t.ElectraModel(t.ElectraConfig(vocab_size=len(known), **narrow, **sizes))
    if architecture == "deberta-v2":
        return _deberta(known, sizes)
    if architecture == "mpnet":
        sizes |= {"max_position_embeddings": POSITIONS + 2, "pad_token_id": 1}
        return t.MPNetModel(t.MPNetConfig(vocab_size=len(known), **sizes), add_pooling_layer=False)
    if architecture in {"roberta", "xlm-roberta"}:
        model, kind = (
            (t.RobertaModel, t.RobertaConfig) if architecture == "roberta" else (t.XLMRobertaModel, t.XLMRobertaConfig)
        )
        special = {"bos_token_id": 0, "pad_token_id": 1, "eos_token_id": 2, "type_vocab_size": 1}
        return model(kind(vocab_size=len(known), max_position_embeddings=POSITIONS + 2, **special, **sizes))
    return _modernbert(known, sizes)


def _deberta(known: dict[str, int], sizes: dict[str, int]) -> Any:
    """Return a DeBERTa of the third version: distances in a table that layers multiply with their own matrices."""
    import transformers as t

    config = t.DebertaV2Config(
        vocab_size=len(known),
        max_position_embeddings=POSITIONS,
        relative_attention=True,
        position_buckets=POSITIONS // 2,
        norm_rel_ebd="layer_norm",
        share_att_key=True,
        pos_att_type=["p2c", "c2p"],
        position_biased_input=False,
        type_vocab_size=0,
        pad_token_id=0,
        **sizes,
    )
    return t.DebertaV2Model(config)


def _modernbert(known: dict[str, int], sizes: dict[str, int]) -> Any:
    import transformers as t

    names = {
        "pad_token_id": "[PAD]",
        "cls_token_id": "[CLS]",
        "sep_token_id": "[SEP]",
        "bos_token_id": "[CLS]",
        "eos_token_id": "[SEP]",
    }
    special = {name: known[token] for name, token in names.items()}
    config = t.ModernBertConfig(
        vocab_size=-(-len(known) // 64) * 64,
        max_position_embeddings=POSITIONS,
        local_attention=8,
        global_attn_every_n_layers=2,
        **special,
        **sizes,
    )
    config.reference_compile = False
    return t.ModernBertModel(config)


def _corpus(words: int = 0) -> list[str]:
    rng = random.Random(5)
    return [
        *("".join(rng.choices("abcdefghijklmnopqrstuvwxyz", k=rng.randint(4, 9))) for _ in range(words)),
        *(text for table in tables(seed=99) for text in table.texts[:32]),
        *(f"the {words} of {words}" for words in _ELSEWHERE * 9),
    ]


def _wordpiece(words: int, special: Sequence[str] = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]")) -> Any:
    """Return BERT's kind of tokenizer, special tokens first; every second word is cut in two pieces.

    Its vocabulary is written down rather than trained: training it gives other numbers each time.
    """
    from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, processors

    known = sorted({word for text in _corpus(words) for word in text.split()})
    pieces = {piece for word in known[1::2] for piece in (word[: len(word) // 2], f"##{word[len(word) // 2 :]}")}
    letters = [prefix + letter for prefix in ("", "##") for letter in "abcdefghijklmnopqrstuvwxyz0123456789!?.,'"]
    tokens = dict.fromkeys([*special, *letters, *sorted({*known[::2], *pieces})])
    vocabulary = {token: number for number, token in enumerate(tokens)}
    tokenizer = Tokenizer(models.WordPiece(vocabulary, unk_token="[UNK]"))
    tokenizer.normalizer = normalizers.BertNormalizer(lowercase=True)
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    tokenizer.decoder = decoders.WordPiece()
    tokenizer.add_special_tokens(list(special))
    start, end = (special[0], special[2]) if special[0] == "<s>" else ("[CLS]", "[SEP]")
    tokenizer.post_processor = processors.BertProcessing((end, vocabulary[end]), (start, vocabulary[start]))
    return tokenizer


def _mpnet(words: int) -> Any:
    return _wordpiece(words, ("<s>", "<pad>", "</s>", "[UNK]", "<mask>"))


def _unigram(words: int, special: Sequence[str] = ("<s>", "<pad>", "</s>", "<unk>")) -> Any:
    """Return a SentencePiece tokenizer of the Unigram kind; every second word is cut in two pieces."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, processors

    known = sorted({word for text in _corpus(words) for word in text.split()})
    pieces = [f"▁{word}" for word in known[::2]]
    pieces += [piece for word in known[1::2] for piece in (f"▁{word[: len(word) // 2]}", word[len(word) // 2 :])]
    letters = ["▁", *"abcdefghijklmnopqrstuvwxyz0123456789!?.,'"]
    tokens = dict.fromkeys([*special, *pieces, *letters])
    scores = [(token, 0.0 if token in special else -9.0 if len(token) > 1 else -15.0) for token in tokens]
    tokenizer = Tokenizer(models.Unigram(scores, unk_id=3))
    tokenizer.pre_tokenizer, tokenizer.decoder = pre_tokenizers.Metaspace(), decoders.Metaspace()
    tokenizer.add_special_tokens([*special, "<mask>"])
    start, end = ("[CLS]", "[SEP]") if "[CLS]" in special else ("<s>", "</s>")
    ends = [(token, tokenizer.token_to_id(token)) for token in (start, end)]
    tokenizer.post_processor = processors.TemplateProcessing(single=f"{start} $A {end}", special_tokens=ends)
    return tokenizer


def _byte_pairs(words: int, architecture: Architecture) -> Any:
    """Train a byte-level tokenizer: RoBERTa's, special tokens first, or ModernBERT's, special tokens last."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, processors, trainers

    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    first = ["<s>", "<pad>", "</s>", "<unk>"] if architecture == "roberta" else []
    trainer = trainers.BpeTrainer(
        vocab_size=440 + words,
        special_tokens=first,
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator(_corpus(words), trainer)
    if architecture == "roberta":
        tokenizer.add_special_tokens(["<mask>"])
        tokenizer.post_processor = processors.RobertaProcessing(("</s>", 2), ("<s>", 0), add_prefix_space=False)
        return tokenizer
    tokenizer.add_special_tokens(["[UNK]", "[CLS]", "[SEP]", "[PAD]", "[MASK]"])
    ends = [(token, tokenizer.token_to_id(token)) for token in ("[CLS]", "[SEP]")]
    tokenizer.post_processor = processors.TemplateProcessing(single="[CLS] $A [SEP]", special_tokens=ends)
    return tokenizer


_TOKENIZERS: dict[Architecture, Callable[[int], Any]] = {
    "bert": _wordpiece,
    "distilbert": _wordpiece,
    "electra": _wordpiece,
    "mpnet": _mpnet,
    "roberta": functools.partial(_byte_pairs, architecture="roberta"),
    "modernbert": functools.partial(_byte_pairs, architecture="modernbert"),
    "xlm-roberta": _unigram,
    "deberta-v2": functools.partial(_unigram, special=("[PAD]", "[CLS]", "[SEP]", "[UNK]")),
}
