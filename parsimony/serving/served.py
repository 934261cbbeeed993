"""The bundle that answers: loaded from bytes that were verified, tried out, warmed up, with all that every response says of it."""

from __future__ import annotations

import json
import math
import re
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from parsimony.bundle import predict, trial
from parsimony.bundle.folder import describe
from parsimony.bundle.predict import Model
from parsimony.errors import InfrastructureError
from parsimony.files import MANIFEST
from parsimony.serving import champion_file
from parsimony.serving.settings import Settings

_WARM_TEXTS = (
    "a text",
    "a text of about twenty words, as many as people write when they ask for something that they need",
    "",
)
_WARM_ROUNDS = 10
_SHORT = 12


@dataclass(frozen=True, slots=True, kw_only=True)
class Served:
    """A model in memory with its name, version and digest; `headers` name them in every response."""

    model: Model
    name: str
    version: str
    digest: str
    size_bytes: int
    note: str = ""
    headers: tuple[tuple[bytes, bytes], ...] = ()

    @property
    def labels(self) -> tuple[str, ...]:
        """The labels, in the order of the logits."""
        return self.model.labels

    @property
    def most_tokens(self) -> int | None:
        """How many tokens of a text the tokenizer keeps; None where there is no limit."""
        truncation = self.model.tokenizer.truncation if self.model.tokenizer is not None else None
        return int(truncation["max_length"]) if truncation else None

    def is_cut(self, text: str) -> bool:
        """Say whether the model reads only the beginning of this text."""
        if self.model.tokenizer is None or self.model.windows != "first":
            return False
        encode = self.model.tokenizer.encode
        return bool(predict.without_panic(lambda: encode(text)).overflowing)


def shares(logits: np.ndarray) -> list[float]:
    """Return the softmax probabilities of one text, in the order of the labels."""
    values: list[float] = predict.softmax(logits).tolist()
    return values


def load(settings: Settings) -> Served:
    """Return the bundle that a server is asked to serve; InfrastructureError when it is not to be used."""
    if settings.source.is_dir():
        return load_folder(settings.source, settings)
    named = champion_file.read(settings.source)
    return load_named(named, settings)


def load_named(named: champion_file.Named, settings: Settings) -> Served:
    """Return the champion's bundle, whose digest must be the one that the journal names."""
    folder = Path(named.folder)
    digest = describe(folder).digest
    if digest != named.digest:
        raise InfrastructureError(
            f"{folder} holds bundle {digest[:_SHORT]}…, the journal names {named.digest[:_SHORT]}…; it is not served"
        )
    return _loaded(folder, settings, named)


def load_folder(folder: Path, settings: Settings) -> Served:
    """Return the bundle in a folder; its version is the beginning of its digest."""
    if not (folder / MANIFEST).is_file():
        raise InfrastructureError(f"{folder} holds no bundle: there is no {MANIFEST} in it")
    digest = describe(folder).digest
    named = champion_file.Named(model=settings.name, version=digest[:_SHORT], digest=digest, folder=str(folder))
    return _loaded(folder, settings, named)


def _loaded(folder: Path, settings: Settings, named: champion_file.Named) -> Served:
    trial.require(folder)
    model = predict.load(folder, threads=settings.threads)
    _warm(model)
    built = describe(folder)
    if built.digest != named.digest:
        raise InfrastructureError(f"{folder} was changed while it was loaded; it is not served")
    return Served(
        model=model,
        name=named.model,
        version=named.version,
        digest=built.digest,
        size_bytes=built.size_bytes,
        note=named.note,
        headers=(
            (b"x-parsimony-model", named.model.encode()),
            (b"x-parsimony-version", named.version.encode()),
            (b"x-parsimony-digest", built.digest.encode()),
        ),
    )


def _warm(model: Model) -> None:
    """Predict a few times, so that the first request is as fast as the next; refuse what gives no numbers."""
    for _ in range(_WARM_ROUNDS):
        for text in _WARM_TEXTS:
            if not math.isfinite(float(predict.logits(model, text).max())):
                raise InfrastructureError("the bundle gives logits that are not finite; it is not served")


def name_of(folder: Path) -> str:
    """Return a name for the bundle in a folder: its model's candidate, else the folder's own name, as a name of models is written."""
    said = ""
    if (folder / MANIFEST).is_file():
        lineage = json.loads((folder / MANIFEST).read_text(encoding="utf-8")).get("lineage", {})
        said = str(lineage.get("model", "")) if isinstance(lineage, dict) else ""
    written = re.sub(r"[^a-z0-9._-]+", "-", (said or folder.resolve().name).lower()).strip("-._")
    return written[:64] or "model"
