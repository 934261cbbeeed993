"""A text classifier on any encoder of transformers: the mean of the token states, then one linear layer.

The same head for every architecture (no architecture-specific pooler to export, prune or carry), and
the shape in which a base is probed: frozen features are the mean of the token states too. A sentence encoder whose
folder says so takes the first token's state instead.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from parsimony.errors import PlanError
from parsimony.training import factorised_embedding
from parsimony.training.base_config import config_of
from parsimony.training.base_files import CONFIG, first_line
from parsimony.training.layer_parts import drop_spare_heads, layers_of, whole_heads
from parsimony.training.sentence_encoder import Pooling, described, tokenizer_of
from parsimony.training.vocabulary import Trimmed

if TYPE_CHECKING:
    import torch
    import transformers


HEAD, TOKENIZER = "head.npz", "tokenizer.json"
_FEATURE_BATCH = 64


@dataclass(frozen=True, slots=True, kw_only=True)
class Classifier:
    """An encoder of transformers, a linear head and the tokenizer that feeds them.

    `head` maps [batch, hidden] to [batch, classes]; `tokenizer` is the text of tokenizer.json; `pooling` says which state
    stands for a text: the mean of all, or the first token's.
    """

    encoder: torch.nn.Module
    head: torch.nn.Linear
    tokenizer: str
    pooling: Pooling = "mean"


def load_base(folder: Path, *, classes: int, max_tokens: int) -> Classifier:
    """Load a base with a head of zeros.

    Raises PlanError when its weights are incomplete, it is no stack of layers or transformers cannot make it.
    """
    import torch

    try:
        encoder = _load_encoder(folder)
        layers_of(encoder)
    except (PlanError, ImportError, OSError, MemoryError):
        raise
    except Exception as error:  # a configuration can make transformers raise anything
        raise PlanError(f"{folder} cannot be used: {first_line(error)}") from error
    longest = max_tokens if (limit := position_limit(encoder)) is None else min(max_tokens, limit)
    tokenizer = tokenizer_of(folder, max_tokens=longest)
    head = torch.nn.Linear(encoder.config.hidden_size, classes)
    torch.nn.init.zeros_(head.weight)
    torch.nn.init.zeros_(head.bias)
    return Classifier(encoder=encoder, head=head, tokenizer=tokenizer, pooling=described(folder).pooling)


def _load_encoder(folder: Path) -> torch.nn.Module:
    import torch
    from transformers import AutoModel
    from transformers.utils import logging as transformers_logging

    transformers_logging.set_verbosity_error()
    transformers_logging.disable_progress_bar()
    config = config_of(folder)
    encoder: torch.nn.Module
    encoder, loading = AutoModel.from_pretrained(
        folder,
        config=config,
        use_safetensors=True,
        trust_remote_code=False,
        local_files_only=True,
        dtype=torch.float32,
        output_loading_info=True,
        ignore_mismatched_sizes=True,  # they are reported, and refused below
        **options_of(config),
    )
    if others := sorted(key if isinstance(key, str) else key[0] for key in loading["mismatched_keys"]):
        raise PlanError(
            f"{folder} holds {others[0]} in another shape than {CONFIG} describes; the two are of different models: take "
            "both from one place"
        )
    if missing := sorted(loading["missing_keys"]):
        raise PlanError(
            f"{folder} holds no weights for {missing[0]} and {len(missing) - 1} others of a {type(encoder).__name__}; "
            "they would be random: use a complete base"
        )
    return encoder.eval()


def options_of(config: transformers.PreTrainedConfig) -> dict[str, object]:
    """Return what transformers must be told to make an encoder of this configuration: attention that fuses, and no pooler."""
    pooler = {"add_pooling_layer": False} if _has_pooler(config) else {}
    return {"attn_implementation": "eager", **pooler}


def token_table(folder: Path) -> np.ndarray:
    """Return a base's token table, float32 [vocabulary, embedding width]."""
    table: np.ndarray = factorised_embedding.table_of(_load_encoder(folder)).weight.detach().numpy()
    return table


def _has_pooler(config: transformers.PreTrainedConfig) -> bool:
    """Say whether this architecture's plain model takes `add_pooling_layer`."""
    import inspect

    from transformers.models.auto.modeling_auto import MODEL_MAPPING

    if type(config) not in MODEL_MAPPING:
        raise PlanError(f"{config.name_or_path} is a {config.model_type}, for which transformers has no encoder")
    return "add_pooling_layer" in inspect.signature(MODEL_MAPPING[type(config)].__init__).parameters


def position_limit(encoder: torch.nn.Module) -> int | None:
    """Return how many tokens the encoder can read, None for any number (XLNet says -1).

    RoBERTa counts positions from behind its padding token.
    """
    limit = int(getattr(encoder.config, "max_position_embeddings", None) or -1)
    padding = padding_position(encoder)
    if limit < 0:
        return None
    return limit if padding is None else limit - padding - 1


def padding_position(encoder: torch.nn.Module) -> int | None:
    """Return the token id that positions are counted from, or None when they are counted from the first token."""
    for name, module in encoder.named_modules():
        if name.endswith("position_embeddings") and getattr(module, "padding_idx", None) is not None:
            return int(module.padding_idx)
    return None


def save(classifier: Classifier, folder: Path) -> None:
    """Write encoder (safetensors and config), head and tokenizer into a folder."""
    import contextlib
    import io

    encoder = classifier.encoder
    with contextlib.redirect_stdout(io.StringIO()):
        encoder.save_pretrained(folder, state_dict=whole_heads(encoder, factorised_embedding.whole_state(encoder)))
    factorised_embedding.write(classifier.encoder, folder)
    weight, bias = (p.detach().float().numpy() for p in (classifier.head.weight, classifier.head.bias))
    np.savez(folder / HEAD, weight=weight, bias=bias, pooling=np.array(classifier.pooling))
    (folder / TOKENIZER).write_text(classifier.tokenizer, encoding="utf-8")


def load(folder: Path) -> Classifier:
    """Read what `save` wrote."""
    import torch

    with np.load(folder / HEAD, allow_pickle=False) as arrays:
        weight, bias, pooling = arrays["weight"], arrays["bias"], _pooling(str(arrays["pooling"]))
    head = torch.nn.Linear(weight.shape[1], weight.shape[0])
    head.weight.data, head.bias.data = torch.from_numpy(weight), torch.from_numpy(bias)
    encoder = _load_encoder(folder)
    drop_spare_heads(encoder)
    factorised_embedding.read(encoder, folder)
    tokenizer = (folder / TOKENIZER).read_text(encoding="utf-8")
    return Classifier(encoder=encoder, head=head.eval(), tokenizer=tokenizer, pooling=pooling)


def _pooling(name: str) -> Pooling:
    return "cls" if name == "cls" else "mean"


def pooled_state(
    encoder: torch.nn.Module, input_ids: torch.Tensor, attention_mask: torch.Tensor, pooling: Pooling
) -> torch.Tensor:
    """Return the state that stands for each text, [batch, hidden]: the mean, or the first token's."""
    if pooling == "mean":
        return mean_state(encoder, input_ids, attention_mask)
    states: torch.Tensor = encoder(input_ids=input_ids, attention_mask=attention_mask).last_hidden_state
    return states[:, 0]


def mean_state(encoder: torch.nn.Module, input_ids: torch.Tensor, attention_mask: torch.Tensor) -> torch.Tensor:
    """Return the mean of the last states over the real tokens, [batch, hidden]."""
    states = encoder(input_ids=input_ids, attention_mask=attention_mask).last_hidden_state
    mask = attention_mask.unsqueeze(-1).to(states.dtype)
    total: torch.Tensor = (states * mask).sum(1)
    return total / mask.sum(1)


def pad(rows: Sequence[Sequence[int]], pad_id: int = 0) -> tuple[torch.Tensor, torch.Tensor]:
    """Return int64 ids and mask, [batch, longest], padded on the right."""
    import torch

    width = max(map(len, rows))
    ids = torch.full((len(rows), width), pad_id, dtype=torch.int64)
    mask = torch.zeros((len(rows), width), dtype=torch.int64)
    for i, row in enumerate(rows):
        ids[i, : len(row)] = torch.tensor(row)
        mask[i, : len(row)] = 1
    return ids, mask


def features(classifier: Classifier, rows: Sequence[Sequence[int]]) -> np.ndarray:
    """Return the frozen features of tokenised texts, float32 [texts, hidden], batched by length."""
    import torch

    order = sorted(range(len(rows)), key=lambda i: len(rows[i]))
    result = np.empty((len(rows), classifier.encoder.config.hidden_size), dtype=np.float32)
    device = next(classifier.encoder.parameters()).device
    with torch.inference_mode():
        for start in range(0, len(order), _FEATURE_BATCH):
            chosen = order[start : start + _FEATURE_BATCH]
            ids, mask = pad([rows[i] for i in chosen])
            states = pooled_state(classifier.encoder, ids.to(device), mask.to(device), classifier.pooling)
            result[chosen] = states.float().cpu().numpy()
    return result


def all_logits(classifier: Classifier, rows: Sequence[Sequence[int]]) -> np.ndarray:
    """Return the logits of tokenised texts, float32 [texts, classes]."""
    weight, bias = (p.detach().float().cpu().numpy() for p in (classifier.head.weight, classifier.head.bias))
    result: np.ndarray = features(classifier, rows) @ weight.T + bias
    return result


def narrow(classifier: Classifier, trimmed: Trimmed) -> None:
    """Keep only the embedding rows of the tokens kept; the classifier's encoder is changed in place."""
    import torch

    rows = factorised_embedding.table_of(classifier.encoder).weight.data
    factorised_embedding.put_table(classifier.encoder, rows[torch.tensor(trimmed.kept)])


def widen(classifier: Classifier, kept: Sequence[int], original: torch.Tensor) -> None:
    """Put trained rows back into the full embedding table, [vocabulary, width]; the inverse of `narrow`."""
    import torch

    full = original.clone()
    full[torch.tensor(list(kept))] = factorised_embedding.table_of(classifier.encoder).weight.data
    factorised_embedding.put_table(classifier.encoder, full)


def cut_positions(classifier: Classifier) -> None:
    """Leave only the positions that the tokenizer's cut can reach; the classifier's encoder is changed in place.

    An encoder without a table of positions (ModernBERT rotates) stays as it is.
    """
    import json

    import torch

    truncation = json.loads(classifier.tokenizer).get("truncation")
    for name, module in classifier.encoder.named_modules():
        if truncation is None or not (name.endswith("position_embeddings") and isinstance(module, torch.nn.Embedding)):
            continue
        first = 0 if module.padding_idx is None else module.padding_idx + 1
        rows = min(first + truncation["max_length"], module.num_embeddings)
        module.weight = torch.nn.Parameter(module.weight.data[:rows].clone())
        module.num_embeddings = classifier.encoder.config.max_position_embeddings = rows


def keep_layers(classifier: Classifier, chosen: Sequence[int]) -> None:
    """Keep the layers at these positions; the classifier's encoder is changed in place.

    A layer whose kind depends on its place (ModernBERT: every third one sees the whole text) becomes what its new
    place asks for, because that is what the saved configuration will say. Raises ValueError when its weights do not
    fit there.
    """
    from transformers import AutoModel

    name, layers = layers_of(classifier.encoder)
    config = classifier.encoder.config
    config.num_hidden_layers = len(chosen)
    if getattr(config, "layer_types", None):
        config.layer_types = [config.layer_types[i] for i in chosen]
    _, kept = layers_of(AutoModel.from_config(config))
    for place, position in enumerate(chosen):
        try:
            kept[place].load_state_dict(layers[position].state_dict())
        except RuntimeError as error:
            raise ValueError(f"layer {position} of a {config.model_type} does not fit place {place}") from error
    parent, _, attribute = name.rpartition(".")
    owner = classifier.encoder.get_submodule(parent) if parent else classifier.encoder
    setattr(owner, attribute, kept.eval())
