"""Tiny real encoders and a small data set that can be learned: bases made on the spot in a fraction of a second.

The weights are random, the tokenizers trained here; every architecture keeps the traits that trip tools up: BERT has
segments and a pooler, RoBERTa counts positions from its padding token, ModernBERT has rotary positions, local layers,
special tokens behind the pieces and a table with more rows than tokens.
"""

from __future__ import annotations

import csv
import random
from pathlib import Path
from typing import Any, Literal

from parsimony.records import Table

Architecture = Literal["bert", "distilbert", "roberta", "modernbert"]
ARCHITECTURES: tuple[Architecture, ...] = ("bert", "distilbert", "roberta", "modernbert")
LABELS = ("card", "meal", "travel", "weather")
HEADS, POSITIONS = 4, 96
_EACH = 60
_HINTS = {
    "card": ("card", "bank", "payment", "money", "transfer", "account", "refund", "balance"),
    "meal": ("soup", "bread", "dinner", "kitchen", "recipe", "cheese", "breakfast", "salad"),
    "travel": ("train", "ticket", "airport", "hotel", "luggage", "flight", "passport", "station"),
    "weather": ("rain", "storm", "sunny", "cloud", "snow", "forecast", "wind", "umbrella"),
}
_OPENINGS = ("please tell me", "i want to know", "can you say", "what happens with", "my friend asks", "today", "why is")
_MIDDLES = ("about the", "near my", "with this", "for our", "and the", "without any")
_ENDINGS = ("again", "this week", "before noon", "right now", "at home", "for two people", "if possible", "tomorrow")
# Words that only the tokenizer has seen, so that trimming finds something to take out.
_ELSEWHERE = ("quarterly parliament debate", "violin orchestra rehearsal", "granite mountain climbing", "zebra jungle expedition",
              "football champions league", "galaxy telescope observation")  # fmt: skip


def tables(seed: int = 0) -> tuple[Table, Table, Table]:
    """Return 240 different texts of four classes, 60 each, cut into train (144), search (48) and sealed (48) rows.

    A text holds two words that tell its class and, one time in four, one of another class.
    """
    chance = random.Random(seed)
    rows = [(text, label) for label in LABELS for text in sorted(_texts(label, chance))]
    chance.shuffle(rows)
    rows.sort(key=lambda row: LABELS.index(row[1]))
    parts = {"train": range(36), "search": range(36, 48), "sealed": range(48, 60)}
    train, search, sealed = (_table(name, [rows[c * _EACH + i] for i in part for c in range(4)]) for name, part in parts.items())
    return train, search, sealed


def _texts(label: str, chance: random.Random) -> set[str]:
    texts: set[str] = set()
    while len(texts) < _EACH:
        first, second = chance.sample(_HINTS[label], 2)
        stray = chance.choice(_HINTS[chance.choice(LABELS)]) if chance.random() < 0.25 else ""
        words = (chance.choice(_OPENINGS), first, chance.choice(_MIDDLES), second, stray, chance.choice(_ENDINGS))
        texts.add(" ".join(" ".join(words).split()))
    return texts


def _table(source: str, rows: list[tuple[str, str]]) -> Table:
    texts, labels = zip(*rows, strict=True)
    return Table(source=f"{source}.csv", texts=texts, labels=labels, rows=tuple(range(2, len(rows) + 2)))


def write_csv(path: Path, *parts: Table) -> Path:
    """Write the rows of these tables, one after the other, as a CSV file with the columns `text` and `label`."""
    with path.open("w", encoding="utf-8", newline="") as stream:
        writer = csv.writer(stream)
        writer.writerow(("text", "label"))
        for part in parts:
            writer.writerows(zip(part.texts, part.labels, strict=True))
    return path


def write_tiny_base(folder: Path, *, architecture: Architecture = "bert", layers: int = 3, hidden: int = 48) -> Path:
    """Write config.json, model.safetensors and tokenizer.json of an encoder with random weights, always the same ones."""
    import torch
    import transformers

    tokenizer = _wordpiece() if architecture in {"bert", "distilbert"} else _byte_pairs(architecture)
    known: dict[str, int] = tokenizer.get_vocab(with_added_tokens=True)
    with torch.random.fork_rng():
        torch.manual_seed(7)
        _encoder(architecture, known, layers, hidden).save_pretrained(folder, safe_serialization=True)
    transformers.utils.logging.set_verbosity_error()
    tokenizer.save(str(folder / "tokenizer.json"))
    return folder


def _encoder(architecture: Architecture, known: dict[str, int], layers: int, hidden: int) -> Any:
    import transformers as t

    if architecture == "distilbert":
        sizes = {"dim": hidden, "n_layers": layers, "n_heads": HEADS, "hidden_dim": 2 * hidden}
        return t.DistilBertModel(t.DistilBertConfig(vocab_size=len(known), max_position_embeddings=POSITIONS, **sizes))
    sizes = {"hidden_size": hidden, "num_hidden_layers": layers, "num_attention_heads": HEADS, "intermediate_size": 2 * hidden}
    if architecture == "bert":
        return t.BertModel(t.BertConfig(vocab_size=len(known), max_position_embeddings=POSITIONS, **sizes))
    if architecture == "roberta":
        special = {"bos_token_id": 0, "pad_token_id": 1, "eos_token_id": 2, "type_vocab_size": 1}
        return t.RobertaModel(
            t.RobertaConfig(vocab_size=len(known), max_position_embeddings=POSITIONS + 2, **special, **sizes)
        )
    names = {"pad_token_id": "[PAD]", "cls_token_id": "[CLS]", "sep_token_id": "[SEP]", "bos_token_id": "[CLS]", "eos_token_id": "[SEP]"}
    special = {name: known[token] for name, token in names.items()}
    rows = -(-len(known) // 64) * 64
    config = t.ModernBertConfig(
        vocab_size=rows, max_position_embeddings=POSITIONS, local_attention=8, global_attn_every_n_layers=2, **special, **sizes
    )
    config.reference_compile = False
    return t.ModernBertModel(config)


def _corpus() -> list[str]:
    return [*(text for table in tables(seed=99) for text in table.texts[:32]), *(f"the {words} of {words}" for words in _ELSEWHERE)]


def _wordpiece() -> Any:
    """Train BERT's kind of tokenizer: about 300 pieces, special tokens first."""
    from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers

    tokenizer = Tokenizer(models.WordPiece(unk_token="[UNK]"))
    tokenizer.normalizer = normalizers.BertNormalizer(lowercase=True)
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    tokenizer.decoder = decoders.WordPiece()
    special = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
    letters = [*"abcdefghijklmnopqrstuvwxyz0123456789!?.,'"]
    trainer = trainers.WordPieceTrainer(vocab_size=300, special_tokens=special, initial_alphabet=letters, show_progress=False)
    tokenizer.train_from_iterator(_corpus(), trainer)
    tokenizer.post_processor = processors.BertProcessing(("[SEP]", 3), ("[CLS]", 2))
    return tokenizer


def _byte_pairs(architecture: Architecture) -> Any:
    """Train a byte-level tokenizer: RoBERTa's, special tokens first, or ModernBERT's, special tokens last."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, processors, trainers

    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    first = ["<s>", "<pad>", "</s>", "<unk>"] if architecture == "roberta" else []
    trainer = trainers.BpeTrainer(
        vocab_size=360, special_tokens=first, initial_alphabet=pre_tokenizers.ByteLevel.alphabet(), show_progress=False
    )
    tokenizer.train_from_iterator(_corpus(), trainer)
    if architecture == "roberta":
        tokenizer.add_special_tokens(["<mask>"])
        tokenizer.post_processor = processors.RobertaProcessing(("</s>", 2), ("<s>", 0), add_prefix_space=False)
        return tokenizer
    tokenizer.add_special_tokens(["[UNK]", "[CLS]", "[SEP]", "[PAD]", "[MASK]"])
    ends = [(token, tokenizer.token_to_id(token)) for token in ("[CLS]", "[SEP]")]
    tokenizer.post_processor = processors.TemplateProcessing(single="[CLS] $A [SEP]", special_tokens=ends)
    return tokenizer
