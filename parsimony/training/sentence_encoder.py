"""What a folder of sentence-transformers says beside the model: how states are pooled, where texts are cut, their case.

`modules.json` lists the modules in their order, each in a folder of its own; the encoder lies in the folder itself or in
`0_Transformer`. https://sbert.net/docs/package_reference/sentence_transformer/modules.html
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from parsimony.errors import PlanError
from parsimony.training.base_files import TOKENIZER, read_object, refuse_pointer
from parsimony.training.vocabulary import serving_tokenizer

Pooling = Literal["mean", "cls"]
MODULES = "modules.json"
_ENCODER, _POOLING = "Transformer", "Pooling"
# They change the length of what is pooled, or nothing at all when predicting: a linear head does as well without them.
_NEEDLESS = {"Normalize", "Dropout"}
# They map what is pooled; the head that is trained here takes their place.
_REPLACED = {"Dense", "LayerNorm"}
_LEGACY = {
    "pooling_mode_cls_token": "cls",
    "pooling_mode_mean_tokens": "mean",
    "pooling_mode_max_tokens": "max",
    "pooling_mode_mean_sqrt_len_tokens": "mean_sqrt_len_tokens",
    "pooling_mode_weightedmean_tokens": "weightedmean",
    "pooling_mode_lasttoken": "lasttoken",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class SentenceEncoder:
    """How an encoder is used: which state stands for the text, the most tokens (None: no limit of its own), its case.

    `left_out` names the modules behind the pooling that are not used.
    """

    pooling: Pooling = "mean"
    max_tokens: int | None = None
    lowercases: bool = False
    left_out: tuple[str, ...] = ()


def encoder_folder(root: Path) -> Path:
    """Return the folder that holds the encoder: the one that `modules.json` names, else the folder itself."""
    if not (root / MODULES).is_file():
        return root
    return root / _path_of(_modules(root)[0])


def described(folder: Path) -> SentenceEncoder:
    """Return what is said of the encoder in this folder; without a `modules.json`, the mean of all states.

    Raises PlanError, without the base's name, for what cannot be done as it is said.
    """
    root = next((root for root in (folder, folder.parent) if _names(root, folder)), None)
    if root is None:
        return SentenceEncoder(**_limits(folder))
    modules = _modules(root)
    kinds = [_kind_of(module) for module in modules]
    pooled = next((module for module in modules if _kind_of(module) == _POOLING), None)
    unknown = [kind for kind in kinds[1:] if kind not in {_POOLING} | _NEEDLESS | _REPLACED]
    if unknown:
        raise PlanError(
            f"{MODULES} names a module {unknown[0]}, expected {_ENCODER}, {_POOLING} and at most "
            f"{', '.join(sorted(_NEEDLESS | _REPLACED))}; take another base, or only its encoder's folder"
        )
    return SentenceEncoder(
        pooling="mean" if pooled is None else _pooling(root / _path_of(pooled) / "config.json"),
        left_out=tuple(kind for kind in kinds[1:] if kind in _REPLACED),
        **_limits(folder),
    )


def tokenizer_of(folder: Path, *, max_tokens: int) -> str:
    """Return a base's tokenizer.json as a bundle carries it, cut and lowercased as its folder says."""
    said = described(folder)
    text = (folder / TOKENIZER).read_text(encoding="utf-8")
    longest = max_tokens if said.max_tokens is None else min(max_tokens, said.max_tokens)
    return serving_tokenizer(_lowercased(text) if said.lowercases else text, max_tokens=longest)


def _names(root: Path, folder: Path) -> bool:
    """Say whether a `modules.json` names this folder as that of its encoder."""
    return (root / MODULES).is_file() and (root / _path_of(_modules(root)[0])).resolve() == folder.resolve()


def _modules(root: Path) -> list[dict[str, Any]]:
    try:
        modules = json.loads((root / MODULES).read_text(encoding="utf-8"))
    except (ValueError, RecursionError) as error:
        raise PlanError(f"{root / MODULES} is no JSON; download it again") from error
    if not isinstance(modules, list) or not modules or not all(isinstance(module, dict) for module in modules):
        raise PlanError(f"{root / MODULES} lists no modules; download it again")
    if _kind_of(modules[0]) != _ENCODER:
        raise PlanError(
            f"{MODULES} begins with a module {_kind_of(modules[0])}, expected {_ENCODER}: only encoders of transformers are "
            "used; take another base"
        )
    return modules


def _kind_of(module: dict[str, Any]) -> str:
    """Return the class of a module; what is not sentence-transformers' own is code that comes with the model."""
    name = str(module.get("type", ""))
    own = name.startswith("sentence_transformers.")
    return name.rpartition(".")[2] if own else f"{name or '?'} (code of its own)"


def _path_of(module: dict[str, Any]) -> str:
    path = module.get("path", "")
    if not isinstance(path, str) or Path(path).is_absolute() or ".." in Path(path).parts:
        raise PlanError(f"{MODULES} names the folder {path!r}, expected one inside the model's; download it again")
    return path


def _pooling(path: Path) -> Pooling:
    """Return which state stands for a text; a folder whose modes are all off pools as sentence-transformers does: the mean."""
    if not path.is_file():
        raise PlanError(f"{MODULES} names {path.parent.name}, and {path} is missing; download the whole model")
    config = read_object(path)
    said = config.get("pooling_mode", [mode for key, mode in _LEGACY.items() if config.get(key) is True] or "mean")
    modes = [said] if isinstance(said, str) else said
    for mode in ("mean", "cls"):
        if modes == [mode]:
            return mode
    raise PlanError(
        f"{path} pools by {said}, expected mean or cls; write "
        '{"pooling_mode": "mean"} into it to start from the mean all the same, or take another base'
    )


def _limits(folder: Path) -> dict[str, Any]:
    """Return what the encoder's own settings say of length and case."""
    names = ("bert", "roberta", "distilbert", "camembert", "albert", "xlm-roberta", "xlnet")
    paths = (folder / f"sentence_{name}_config.json" for name in names)
    path = next((path for path in paths if path.is_file()), None)
    if path is None:
        return {}
    refuse_pointer(path)
    config = read_object(path)
    longest = config.get("max_seq_length")
    if longest is not None and (isinstance(longest, bool) or not isinstance(longest, int) or longest < 3):
        raise PlanError(
            f"{path.name} says that max_seq_length is {longest!r}, expected a number of at least 3, or null"
        )
    return {"max_tokens": longest, "lowercases": config.get("do_lower_case") is True}


def _lowercased(tokenizer: str) -> str:
    """Return a tokenizer.json that lowercases before anything else; the same where it does already."""
    document = json.loads(tokenizer)
    normalizer = document.get("normalizer")
    steps = normalizer["normalizers"] if normalizer and normalizer["type"] == "Sequence" else [normalizer]
    steps = [step for step in steps if step]
    if any(step["type"] == "Lowercase" or step.get("lowercase") is True for step in steps):
        return tokenizer
    document["normalizer"] = {"type": "Sequence", "normalizers": [{"type": "Lowercase"}, *steps]}
    return json.dumps(document, ensure_ascii=False)
