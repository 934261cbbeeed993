"""The OpenAPI document: what each endpoint takes and gives, with the limits of this server and the labels of this bundle's shapes."""

from __future__ import annotations

from typing import Any

from parsimony.serving.served import Served
from parsimony.serving.settings import Limits, Settings

Schema = dict[str, Any]
_TEXT: Schema = {"type": "string"}
_NUMBER: Schema = {"type": "number"}
_HEADERS: Schema = {
    f"X-Parsimony-{name}": {"schema": _TEXT, "description": about, "required": True}
    for name, about in (
        ("Model", "the model's name"),
        ("Version", "its version"),
        ("Digest", "SHA-256 of the bundle's manifest"),
    )
}
_REFUSALS = {
    400: "the body is not what this endpoint reads",
    401: "the token is missing or wrong",
    405: "another method is expected",
    408: "the body did not come in time",
    413: "too many bytes, texts, characters or tokens",
    415: "the body is no JSON",
    422: "a value is not what this endpoint reads",
    424: "the bundle gives no prediction for this text",
    429: "too many requests; try again after the seconds in Retry-After",
}


def document(served: Served, settings: Settings, version: str) -> Schema:
    """Return the whole document."""
    whole: Schema = {
        "openapi": "3.0.3",
        "info": {"title": f"{served.name}, served by Parsimony", "version": version},
        "paths": {**_asked_paths(settings.limits), **_model_paths(served, settings.limits), **_shown_paths()},
    }
    if settings.token:
        whole["components"] = {"securitySchemes": {"token": {"type": "http", "scheme": "bearer"}}}
        whole["security"] = [{"token": []}]
    return whole


def _asked_paths(limits: Limits) -> Schema:
    tei, mlflow = _object(error=_TEXT, error_type=_TEXT), _object(error_code=_TEXT, message=_TEXT)
    return {
        "/predict": _asked("text-embeddings-inference: predict", _predict(limits), _predicted(), tei),
        "/invocations": _asked("MLflow and SageMaker: predict", _invocations(limits), _labels(), mlflow),
    }


def _model_paths(served: Served, limits: Limits) -> Schema:
    model = f"/v2/models/{served.name}"
    infer = _asked("Open Inference Protocol: predict", _infer(limits), _inferred(), _object(error=_TEXT))
    about = _shown("Open Inference Protocol: the model", {"type": "object"})
    is_ready = _shown("Open Inference Protocol: is the model ready", _object(name=_TEXT, ready={"type": "boolean"}))
    paths = {"": about, "/ready": is_ready, "/infer": infer}
    return {
        f"{base}{end}": path for base in (model, f"{model}/versions/{served.version}") for end, path in paths.items()
    }


def _shown_paths() -> Schema:
    live, anything = _object(live={"type": "boolean"}), {"type": "object"}
    server = _object(name=_TEXT, version=_TEXT, extensions=_list(_TEXT))
    return {
        "/v2": _shown("Open Inference Protocol: the server", server),
        "/v2/health/live": _shown("Open Inference Protocol: does the server live", live, is_open=True),
        "/v2/health/ready": _shown("Open Inference Protocol: what it predicts with", anything, is_open=True),
        "/info": _shown("text-embeddings-inference: the model", anything),
        "/health": _shown("text-embeddings-inference: does the server live", None, is_open=True),
        "/ping": _shown("MLflow and SageMaker: does the server live", None, is_open=True),
        "/version": _shown("MLflow: the version of this program", None),
        "/metrics": _shown("Prometheus: what was counted", None),
        "/openapi.json": _shown("this document", anything),
        "/": _shown("a page to try the model", None, "text/html", is_open=True),
    }


# --- endpoints ------------------------------------------------------------------------------------


def _shown(about: str, schema: Schema | None, kind: str = "text/plain", *, is_open: bool = False) -> Schema:
    content = {kind: {"schema": _TEXT}} if schema is None else {"application/json": {"schema": schema}}
    responses = {"200": {"description": about, "headers": _HEADERS, "content": content}}
    for status in (401, 405):
        responses[str(status)] = _refusal(status, {"type": "object"})
    return {"get": {"summary": about, "responses": responses, **({"security": []} if is_open else {})}}


def _asked(about: str, schema: Schema, reply: Schema, complaint: Schema) -> Schema:
    responses = {
        "200": {
            "description": "the predictions",
            "headers": _HEADERS,
            "content": {"application/json": {"schema": reply}},
        }
    }
    responses |= {str(status): _refusal(status, complaint) for status in _REFUSALS}
    body = {"required": True, "content": {"application/json": {"schema": schema}}}
    return {"post": {"summary": about, "requestBody": body, "responses": responses}}


def _refusal(status: int, schema: Schema) -> Schema:
    content = {"application/json": {"schema": schema}}
    return {"description": _REFUSALS[status], "headers": _HEADERS, "content": content}


# --- shapes ---------------------------------------------------------------------------------------


def _object(**properties: Schema) -> Schema:
    return {"type": "object", "required": list(properties), "properties": properties}


def _list(items: Schema, least: int = 0, most: int | None = None) -> Schema:
    return {"type": "array", "items": items, "minItems": least, **({} if most is None else {"maxItems": most})}


def _one(items: Schema) -> Schema:
    return _list(items, 1, 1)


def _text(limits: Limits) -> Schema:
    return {"type": "string", "maxLength": limits.chars}


def _predict(limits: Limits) -> Schema:
    inputs = {"oneOf": [_TEXT, _one(_TEXT), _list(_one(_TEXT), 1, limits.texts)]}
    flag = {"type": "boolean", "nullable": True}
    direction = {"type": "string", "nullable": True, "enum": ["right", "Right", None]}
    schema = _object(inputs=inputs)
    more = {
        "raw_scores": flag,
        "truncate": {"type": "boolean", "enum": [True], "default": True},
        "truncation_direction": direction,
    }
    schema["properties"] = {**schema["properties"], **more}
    return schema


def _predicted() -> Schema:
    ranked = _list(_object(score=_NUMBER, label=_TEXT))
    return {"anyOf": [ranked, _list(ranked)]}


def _invocations(limits: Limits) -> Schema:
    text = _text(limits)
    row, most = _one(text), limits.texts
    record = {"type": "object", "minProperties": 1, "maxProperties": 1, "additionalProperties": text}
    split = {**_object(columns=_one({}), data=_list(row, 1, most)), "additionalProperties": False}
    split["properties"] = {**split["properties"], "index": {}}
    column = {"type": "object", "minProperties": 1, "maxProperties": 1, "additionalProperties": _list(text, 1, most)}
    listed = _list(text, 1, most)
    forms = {
        "dataframe_split": split,
        "dataframe_records": _list(record, 1, most),
        "inputs": {"anyOf": [listed, column]},
        "instances": {"anyOf": [listed, _list(record, 1, most)]},
    }
    none = {"type": "object", "maxProperties": 0, "nullable": True}
    return {
        "oneOf": [
            {**_object(**{name: form}), "additionalProperties": False, "properties": {name: form, "params": none}}
            for name, form in forms.items()
        ]
    }


def _labels() -> Schema:
    return _object(predictions=_list(_TEXT))


def _infer(limits: Limits) -> Schema:
    # How many texts there are must be what the shape says, which a schema cannot say of more than one.
    tensor = _object(
        name={"type": "string", "enum": ["text"]},
        shape=_one({"type": "integer", "enum": [1]}),
        datatype={"type": "string", "enum": ["BYTES"]},
        data=_one(_text(limits)),
    )
    wanted = _object(name={"type": "string", "enum": ["label", "share", "shares"]})
    schema = _object(inputs=_one(tensor))
    schema["properties"] = {
        **schema["properties"],
        "id": _TEXT,
        "outputs": _list(wanted),
        "parameters": {"type": "object"},
    }
    schema["description"] = "shown for one text; for n texts shape is [n] or [n, 1], and data holds n of them"
    return schema


def _inferred() -> Schema:
    tensor = _object(name=_TEXT, datatype=_TEXT, shape=_list({"type": "integer"}), data=_list({}))
    return _object(model_name=_TEXT, model_version=_TEXT, outputs=_list(tensor))
