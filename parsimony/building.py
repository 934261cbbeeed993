"""From a trained trunk to a bundle: the techniques of a candidate in order, every claim checked."""

from __future__ import annotations

import importlib.metadata
from dataclasses import replace
from functools import lru_cache
from pathlib import Path

import numpy as np

from parsimony import graphs
from parsimony.bundle import describe, write_bundle
from parsimony.contracts import DoesNotApplyError, Draft, Technique
from parsimony.export import ParityError, compare
from parsimony.files import digest_file, digest_of, is_complete
from parsimony.neighbours import neighbours
from parsimony.records import BuiltBundle, Candidate
from parsimony.techniques import TECHNIQUES
from parsimony.trunks import draft_of
from parsimony.vocabulary import token_ids

_PARITY_TEXTS = 32


def key_of(candidate: Candidate, trunk_key: str, labels: tuple[str, ...]) -> str:
    """Return the digest of everything that the bundle depends on, 32 hexadecimal digits."""
    root = Path(__file__).parent
    files = (
        "building.py",
        "bundle.py",
        "export.py",
        "graphs.py",
        "neighbours.py",
        "packing.py",
        "quantising.py",
        "vocabulary.py",
        *(f"techniques/{name}.py" for name in candidate.after),
    )
    code = [digest_file(root / name) for name in files]
    libraries = [importlib.metadata.version(name) for name in ("onnx", "onnxruntime", "tokenizers")]
    return digest_of(trunk_key, candidate.after, labels, code, libraries)[:32]


def build(
    candidate: Candidate,
    trunk: Path,
    target: Path,
    *,
    base: Path,
    texts: tuple[str, ...],
    labels: tuple[str, ...],
    data_digest: str,
) -> BuiltBundle:
    """Write the candidate's bundle to `target`, or return the one that is there when it is complete.

    base: the folder of the pretrained model that the trunk was made from.

    Raises DoesNotApplyError with the reason when a technique cannot be used on this trunk, or when a graph that should
    only be rewritten answers differently, or when a quantised graph still holds fp32 weights or gives no numbers.
    """
    if is_complete(target):
        return describe(target)
    chain = tuple(TECHNIQUES[name] for name in candidate.after)
    draft, _ = _draft(str(trunk), base, texts, chain)
    model = graphs.with_short_names(draft.graph)
    lineage = {
        "candidate": candidate.id,
        "family": candidate.trunk.family,
        "base": candidate.trunk.base,
        "techniques": list(candidate.techniques),
        "data_digest": data_digest,
        "bytes_per_type": graphs.bytes_per_type(model),
    }
    return write_bundle(
        target, model=model.SerializeToString(), tokenizer=draft.tokenizer, labels=labels, lineage=lineage
    )


@lru_cache(maxsize=4)
def _draft(trunk: str, base: Path, texts: tuple[str, ...], chain: tuple[Technique, ...]) -> tuple[Draft, np.ndarray]:
    """Return a trunk after these techniques with its answers; candidates of one trunk share the first of them."""
    if not chain:
        draft = draft_of(Path(trunk), texts)
        draft = replace(draft, near=neighbours(base, draft.tokenizer, texts))
        return draft, _answers(draft)
    return _applied(chain[-1], *_draft(trunk, base, texts, chain[:-1]))


def _applied(technique: Technique, draft: Draft, expected: np.ndarray) -> tuple[Draft, np.ndarray]:
    """Apply one technique, hold it to what it claims, and return what it made with its answers.

    expected: the draft's logits, float32 [texts, classes].
    """
    after = technique.apply(draft)
    if technique.quantises and (left := graphs.float_weights(after.graph)):
        raise DoesNotApplyError(f"{technique.name} left {', '.join(left[:3])} in fp32")
    found = _answers(after)
    if not np.isfinite(found).all():
        raise DoesNotApplyError(f"{technique.name} made a graph whose answers are no numbers")
    if not technique.quantises:
        try:
            compare(expected, found)
        except ParityError as error:
            raise DoesNotApplyError(f"{technique.name}: {error}") from error
    return after, found


def _answers(draft: Draft) -> np.ndarray:
    """Return the logits of the first training texts, which every rewriting must leave as they are."""
    return graphs.run(draft.graph, token_ids(draft.tokenizer, draft.texts[:_PARITY_TEXTS]))
