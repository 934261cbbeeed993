"""What kind of model a configuration describes, and how many tokens it reads: only encoders of text are used."""

from __future__ import annotations

import importlib.util
from collections.abc import Mapping
from pathlib import Path

from parsimony.errors import PlanError

ENCODERS = frozenset(
    {
        "albert", "bert", "big_bird", "camembert", "convbert", "data2vec-text", "deberta", "deberta-v2", "distilbert",
        "electra", "ernie", "esm", "eurobert", "flaubert", "fnet", "funnel", "ibert", "layoutlm", "longformer",
        "luke", "megatron-bert", "mobilebert", "modernbert", "mpnet", "mra", "nezha", "nystromformer", "qdqbert",
        "reformer", "rembert", "roberta", "roberta-prelayernorm", "roc_bert", "roformer", "squeezebert", "xlm",
        "xlm-roberta", "xlm-roberta-xl", "xlnet", "xmod", "yoso",
    }
)  # fmt: skip
_ENCODER_DECODERS = frozenset(
    {
        "bart", "bigbird_pegasus", "blenderbot", "blenderbot-small", "encoder-decoder", "fsmt", "led", "longt5",
        "m2m_100", "marian", "mbart", "mt5", "mvp", "nllb-moe", "pegasus", "pegasus_x", "plbart", "prophetnet",
        "switch_transformers", "t5", "t5gemma", "umt5", "whisper", "xlm-prophetnet",
    }
)  # fmt: skip
_DECODERS = frozenset(
    {
        "biogpt", "bloom", "code_llama", "codegen", "cohere", "ctrl", "falcon", "gemma", "gemma2", "gemma3_text",
        "gpt-sw3", "gpt2", "gpt_bigcode", "gpt_neo", "gpt_neox", "gpt_oss", "gptj", "granite", "llama", "mamba",
        "mistral", "mixtral", "modernbert-decoder", "mpt", "olmo", "olmo2", "openai-gpt", "opt", "phi", "phi3",
        "qwen2", "qwen3", "smollm3", "stablelm", "starcoder2", "transfo-xl", "xglm",
    }
)  # fmt: skip
_DECODING = ("ForCausalLM", "LMHeadModel")
# These count positions from behind the padding token, which is in the table of positions too.
_COUNTED = frozenset(
    {
        "camembert", "data2vec-text", "esm", "ibert", "longformer", "luke", "mpnet", "roberta",
        "roberta-prelayernorm", "xlm-roberta", "xlm-roberta-xl", "xmod",
    }
)  # fmt: skip
LEAST_POSITIONS = 8
_INSTEAD = "take an encoder, such as a BERT, a RoBERTa, a DeBERTa or a ModernBERT"


def require_encoder(config: Mapping[str, object]) -> None:
    """Raise PlanError, without the base's name, unless a configuration describes an encoder of text."""
    kind = str(config["model_type"])
    if kind in _ENCODER_DECODERS or config.get("is_encoder_decoder") is True:
        raise PlanError(f"a {kind} is an encoder with a decoder; {_INSTEAD}")
    if kind in _DECODERS or config.get("is_decoder") is True or (kind not in ENCODERS and _is_made_to_decode(config)):
        raise PlanError(f"a {kind} is a decoder: its tokens see only what precedes them; {_INSTEAD}")
    if kind not in ENCODERS and not _is_known(kind):
        raise PlanError(
            f"the transformers that is installed knows no model_type {kind!r}; is it written as its authors do, and does "
            f"it come without code of its own? {_INSTEAD}"
        )


def _is_made_to_decode(config: Mapping[str, object]) -> bool:
    names = config.get("architectures")
    return isinstance(names, list) and any(str(name).endswith(_DECODING) for name in names)


def _is_known(kind: str) -> bool:
    """Say whether transformers lists this model_type; its lists are read as text, because importing it takes seconds."""
    package = importlib.util.find_spec("transformers")
    if package is None or not package.submodule_search_locations:
        return True  # whatever needs it will say that it is not installed
    lists = Path(next(iter(package.submodule_search_locations))) / "models" / "auto"
    return any(f'"{kind}"' in path.read_text(encoding="utf-8") for path in lists.glob("*.py"))


def positions_of(config: Mapping[str, object]) -> int | None:
    """Return how many tokens a model reads, None where nothing limits them, as in XLNet.

    Raises PlanError, without the base's name, when there are hardly any.
    """
    limit = config.get("max_position_embeddings")
    if isinstance(limit, bool) or not isinstance(limit, int) or limit == -1:
        return None
    positions = limit - first_position(config)
    if positions < LEAST_POSITIONS:
        raise PlanError(
            f"its config.json leaves {max(positions, 0)} positions for tokens (max_position_embeddings = {limit}), expected at "
            f"least {LEAST_POSITIONS}; put the number of the model's own table there, or take another base"
        )
    return positions


def first_position(config: Mapping[str, object]) -> int:
    """Return the row of the table of positions that the first token reads; RoBERTa's kind counts from the padding token."""
    if config["model_type"] not in _COUNTED:
        return 0
    padding = config.get("pad_token_id", 1)
    if isinstance(padding, bool) or not isinstance(padding, int) or padding < 0:
        raise PlanError(
            f"a {config['model_type']} counts positions from its padding token, and config.json says that pad_token_id is "
            f"{padding!r}; put the id of its padding token there (1 in RoBERTa)"
        )
    return padding + 1
