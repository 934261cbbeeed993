"""Does a base's tokenizer.json load, and has every token that it can give a row in the model's table?"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from tokenizers import Tokenizer

from parsimony.errors import PlanError
from parsimony.training.base_architecture import first_position
from parsimony.training.base_files import TOKENIZER, first_line

_PADDING = ("[PAD]", "<pad>", "<|padding|>", "<|endoftext|>")
_SAMPLE = ("a word, and another", "日本語 🙂 é", "x" * 300)


def require_tokenizer(folder: Path, config: Mapping[str, object], rows: int) -> None:
    """Raise PlanError, without the base's name, unless a base's tokenizer reads texts as tokens that the model knows.

    rows: how many tokens have a row in the token table.
    """
    tokenizer = _loaded(folder / TOKENIZER)
    known = tokenizer.get_vocab(with_added_tokens=True)
    if not known:
        raise PlanError(f"{TOKENIZER} knows no token at all; download it again")
    token, highest = max(known.items(), key=lambda item: item[1])
    if highest >= rows:
        count = sum(number >= rows for number in known.values())
        raise PlanError(
            f"{TOKENIZER} gives numbers up to {highest:,} ({token!r}), and the table has {rows:,} rows: {count:,} tokens were "
            "added without a row; call model.resize_token_embeddings(len(tokenizer)) and save both, or take the tokenizer "
            "without them"
        )
    _require_padding(config, known)


def _loaded(path: Path) -> Tokenizer:
    """Return a tokenizer that was seen to read texts; the library's panics derive from BaseException alone."""
    try:
        tokenizer = Tokenizer.from_str(path.read_text(encoding="utf-8"))
        tokenizer.no_padding()
        tokenizer.no_truncation()
        lengths = [len(tokenizer.encode(text).ids) for text in _SAMPLE]
    except (KeyboardInterrupt, SystemExit, GeneratorExit, MemoryError, OSError):
        raise
    except BaseException as error:
        raise PlanError(
            f"{path.name} cannot be read ({first_line(error)}); download it again, or make it with "
            "AutoTokenizer.from_pretrained(...).save_pretrained(...)"
        ) from error
    if min(lengths) == 0:
        raise PlanError(f"{path.name} makes no tokens of a text; download it again")
    return tokenizer


def _require_padding(config: Mapping[str, object], known: Mapping[str, int]) -> None:
    """Require the padding token where the model counts positions from it."""
    if not (first := first_position(config)):
        return
    named = {known[name] for name in _PADDING if name in known}
    if first - 1 not in named:
        there = (
            ", ".join(f"{name!r} is {known[name]}" for name in _PADDING if name in known) or "it has no padding token"
        )
        raise PlanError(
            f"a {config['model_type']} counts positions from its padding token: config.json says that it is {first - 1}, but in "
            f"{TOKENIZER} {there}; take both from one place"
        )
