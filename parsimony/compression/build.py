"""From a checkpoint to a bundle: the techniques of a candidate in order, every claim checked."""

from __future__ import annotations

import importlib.metadata
import json
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import onnx

from parsimony.bundle.folder import Contents, Windows, describe, described, fill_bundle
from parsimony.candidates import BuiltBundle, Candidate
from parsimony.compression.nearest_tokens import likeliest, neighbours
from parsimony.compression.technique import DoesNotApplyError, Draft, Technique
from parsimony.compression.techniques import TECHNIQUES
from parsimony.data.table import Texts
from parsimony.files import code_digest, digest_of, new_folder, touch
from parsimony.graphs import rewrite
from parsimony.training.checkpoint import FACTS, MODEL, TOKENIZER
from parsimony.training.export import ParityError, compare
from parsimony.training.vocabulary import token_ids

# Every room whose code decides what a bundle holds.
ROOMS = ("bundle", "compression", "data", "graphs", "runtimes", "training")
_PARITY_TEXTS = 32


def key_of(candidate: Candidate, checkpoint_key: str, labels: tuple[str, ...], windows: Windows = "first") -> str:
    """Return the digest of everything that the bundle depends on, 32 hexadecimal digits."""
    libraries = [importlib.metadata.version(name) for name in ("onnx", "onnxruntime", "tokenizers")]
    return digest_of(checkpoint_key, candidate.techniques, labels, windows, code_digest(*ROOMS), libraries)[:32]


@dataclass(frozen=True, slots=True, kw_only=True)
class Sources:
    """What the bundles of one checkpoint are made from.

    `checkpoint` and `base` are folders: the trained model's, and that of the pretrained one it was made from; `texts` are
    the training texts; `windows` says how the bundle will read a text that is longer than the tokenizer keeps.
    """

    checkpoint: Path
    base: Path
    texts: Texts
    labels: tuple[str, ...]
    data_digest: str
    windows: Windows = "first"


def build(candidate: Candidate, sources: Sources, target: Path) -> BuiltBundle:
    """Write the candidate's bundle to `target`, or return the one that is there when it is complete.

    Raises DoesNotApplyError with the reason when a technique cannot be used on this checkpoint, or when a graph that should
    only be rewritten predicts differently, or when a quantised graph still holds fp32 weights or gives no numbers.
    """
    if (kept := described(target)) is not None:
        touch(target)
        return kept
    chain = tuple(TECHNIQUES[name] for name in candidate.techniques)
    draft, _ = _draft(sources.checkpoint, sources.base, sources.texts, chain)
    model = rewrite.with_short_names(draft.graph)
    lineage = {
        "candidate": candidate.id,
        "family": candidate.spec.family,
        "base": candidate.spec.base,
        "shape": list(candidate.spec.shape),
        "techniques": list(candidate.techniques),
        "data_digest": sources.data_digest,
        "bytes_per_type": rewrite.bytes_per_type(model),
    }
    contents = Contents(
        model=model.SerializeToString(),
        tokenizer=draft.tokenizer,
        labels=sources.labels,
        lineage=lineage,
        windows=sources.windows,
        config=_facts(sources.checkpoint)["config"],
    )
    with new_folder(target, present="kept") as work:
        fill_bundle(work, contents)
    return describe(target)


@lru_cache(maxsize=4)
def _draft(checkpoint: Path, base: Path, texts: Texts, chain: tuple[Technique, ...]) -> tuple[Draft, np.ndarray]:
    """Return a checkpoint after these techniques with its logits; candidates of one checkpoint share the first of them."""
    if not chain:
        draft = draft_of(checkpoint, texts)
        read = base, draft.tokenizer, texts
        draft = replace(draft, near=neighbours(*read), likeliest=likeliest(*read))
        return draft, _logits(draft)
    return applied(chain[-1], *_draft(checkpoint, base, texts, chain[:-1]))


def applied(technique: Technique, draft: Draft, expected: np.ndarray) -> tuple[Draft, np.ndarray]:
    """Apply one technique, hold it to what it claims, and return what it made with its logits.

    expected: the draft's logits, float32 [texts, classes].
    """
    after = technique.apply(draft)
    if technique.quantises and (left := rewrite.float_weights(after.graph)):
        raise DoesNotApplyError(f"{technique.name} left {', '.join(left[:3])} in fp32")
    logits = _logits(after)
    if not np.isfinite(logits).all():
        raise DoesNotApplyError(f"{technique.name} made a graph whose logits are no numbers")
    if not technique.quantises:
        try:
            compare(expected, logits)
        except ParityError as error:
            raise DoesNotApplyError(f"{technique.name}: {error}") from error
    return after, logits


def _logits(draft: Draft) -> np.ndarray:
    """Return the logits of the first training texts, which every rewriting must leave as they are."""
    return rewrite.run(draft.graph, token_ids(draft.tokenizer, draft.texts.texts[:_PARITY_TEXTS]))


def draft_of(folder: Path, texts: Texts) -> Draft:
    """Read a checkpoint as the draft that techniques start from."""
    facts = _facts(folder)
    return Draft(
        graph=onnx.load_model_from_string((folder / MODEL).read_bytes()),
        tokenizer=(folder / TOKENIZER).read_text(encoding="utf-8"),
        architecture=str(facts["architecture"]),
        heads=int(facts["heads"]),
        hidden=int(facts["hidden"]),
        texts=texts,
    )


def _facts(folder: Path) -> dict[str, Any]:
    facts: dict[str, Any] = json.loads((folder / FACTS).read_text(encoding="utf-8"))
    return facts
