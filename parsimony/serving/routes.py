"""Which path is what: one table of all endpoints."""

from __future__ import annotations

import importlib.metadata
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache

from parsimony.serving import metrics, openapi, page
from parsimony.serving.held import Held
from parsimony.serving.messages import Complaint, Reader, RefusedError, Reply, json_reply
from parsimony.serving.protocols import invocations, open_inference, text_embeddings
from parsimony.serving.served import Served

Show = Callable[[Held, Served], Reply]
_TEXT = b"text/plain; charset=utf-8"
_PAGE = b"text/html; charset=utf-8"


def complain(refused: RefusedError) -> dict[str, object]:
    """Return a refusal where no convention has words of its own."""
    return {"error": refused.message}


@dataclass(frozen=True, slots=True, kw_only=True)
class Route:
    """An endpoint: it shows something, or reads a question. `is_open`: without the token, too (probes, the page)."""

    method: str = "GET"
    show: Show | None = None
    read: Reader | None = None
    complain: Complaint = complain
    is_open: bool = False


@lru_cache(maxsize=1)
def version() -> str:
    """Return the version of Parsimony that is installed."""
    return importlib.metadata.version("parsimony")


# --- what is shown --------------------------------------------------------------------------------


def _live(_: Held, __: Served) -> Reply:
    return json_reply({"live": True})


def _ready(held: Held, served: Served) -> Reply:
    about = {"ready": True, "name": served.name, "version": served.version, "digest": served.digest}
    return json_reply({**about, "refused": held.refused or None, "note": served.note or None})


def _model_ready(_: Held, served: Served) -> Reply:
    return json_reply({"name": served.name, "ready": True})


def _metrics(held: Held, served: Served) -> Reply:
    settings = held.settings
    state = metrics.State(
        model=served.name,
        version=served.version,
        digest=served.digest,
        waiting_texts=held.waiting_texts,
        is_refused=bool(held.refused),
        followed_s=held.followed_s(),
    )
    counts = held.counts.with_others(settings.scratch)
    return Reply(body=metrics.text(counts, state), content_type=metrics.CONTENT_TYPE)


def _page(held: Held, served: Served) -> Reply:
    return Reply(body=page.html(served, has_token=bool(held.settings.token)), content_type=_PAGE, headers=page.HEADERS)


def _openapi(held: Held, served: Served) -> Reply:
    return json_reply(openapi.document(served, held.settings, version()))


_SHOWN: dict[str, Route] = {
    "/": Route(show=_page, is_open=True),
    "/openapi.json": Route(show=_openapi),
    "/metrics": Route(show=_metrics),
    "/health": Route(show=lambda *_: Reply(content_type=_TEXT), is_open=True, complain=text_embeddings.complain),
    "/info": Route(
        show=lambda held, served: json_reply(text_embeddings.info(served, held.settings.limits, version())),
        complain=text_embeddings.complain,
    ),
    "/ping": Route(show=lambda *_: Reply(body=b"\n", content_type=_TEXT), is_open=True, complain=invocations.complain),
    "/version": Route(
        show=lambda *_: Reply(body=version().encode(), content_type=_TEXT), complain=invocations.complain
    ),
    "/v2": Route(
        show=lambda *_: json_reply(open_inference.server_metadata(version())), complain=open_inference.complain
    ),
    "/v2/health/live": Route(show=_live, is_open=True, complain=open_inference.complain),
    "/v2/health/ready": Route(show=_ready, is_open=True, complain=open_inference.complain),
}
_ASKED: dict[str, Route] = {
    "/predict": Route(method="POST", read=text_embeddings.read, complain=text_embeddings.complain),
    "/invocations": Route(method="POST", read=invocations.read, complain=invocations.complain),
}
# Below /v2/models/NAME and /v2/models/NAME/versions/VERSION.
_OF_A_MODEL: dict[str, Route] = {
    "": Route(
        show=lambda _, served: json_reply(open_inference.model_metadata(served)), complain=open_inference.complain
    ),
    "ready": Route(show=_model_ready, complain=open_inference.complain),
    "infer": Route(method="POST", read=open_inference.read, complain=open_inference.complain),
}
FIXED: dict[str, Route] = {**_SHOWN, **_ASKED}
UNKNOWN = Route()
_MODELS = "/v2/models/"


def of(path: str, served: Served) -> tuple[Route | None, str]:
    """Return the route of a path, and its name as it is counted: without names that anybody can invent."""
    if (fixed := FIXED.get(path)) is not None:
        return fixed, path
    if path.startswith(_MODELS):
        name, *rest = path.removeprefix(_MODELS).split("/")
        if name == served.name:
            if rest[:1] == ["versions"] and rest[1:2] == [served.version]:
                rest = rest[2:]
            if len(rest) <= 1 and (of_a_model := _OF_A_MODEL.get("".join(rest))) is not None:
                return of_a_model, "/v2/models" + "".join(f"/{part}" for part in rest)
    return None, "other"
