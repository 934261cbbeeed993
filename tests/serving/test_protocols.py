"""Each convention as its clients speak it, and what is malformed: 4xx and one line of JSON, never 5xx."""

from __future__ import annotations

import json
import random
import re
import struct
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from serving_clients import Limits, application, ask

from parsimony import load
from parsimony.serving import routes
from parsimony.serving.application import Application

TEXTS = ["send money", "hello", "rain"]
LABELS = ["transfer", "greeting", "weather"]
INFER = "/v2/models/tiny/infer"


@pytest.fixture(scope="module")
def app(tmp_path_factory: pytest.TempPathFactory) -> Application:
    return application(tmp_path_factory.mktemp("serving") / "tiny")


def tensor(texts: list[str], **changes: Any) -> dict[str, Any]:
    whole = {"name": "text", "shape": [len(texts)], "datatype": "BYTES", "data": texts}
    return {"inputs": [{**whole, **changes}]}


# --- the same predictions everywhere --------------------------------------------------------------


@pytest.mark.parametrize(
    "body",
    [
        {"dataframe_split": {"columns": ["text"], "data": [[text] for text in TEXTS]}},
        {"dataframe_split": {"columns": ["text"], "index": [0, 1, 2], "data": [[text] for text in TEXTS]}},
        {"dataframe_records": [{"text": text} for text in TEXTS]},
        {"inputs": TEXTS},
        {"inputs": {"text": TEXTS}},
        {"instances": TEXTS},
        {"instances": [{"text": text} for text in TEXTS], "params": {}},
    ],
    ids=lambda body: next(iter(body)),
)
def test_invocations_reads_every_spelling_of_a_column(app: Application, body: dict[str, Any]) -> None:
    response = ask(app, "POST", "/invocations", body)
    assert (response.status, response.json) == (200, {"predictions": LABELS})


def test_a_text_of_predict_gives_every_label_the_best_first(app: Application) -> None:
    expected = load(app.held.settings.source).probabilities("send money")
    ranked = ask(app, "POST", "/predict", {"inputs": "send money"}).json
    assert {each["label"]: pytest.approx(each["score"]) for each in ranked} == expected
    assert [each["score"] for each in ranked] == sorted(expected.values(), reverse=True)
    assert ask(app, "POST", "/predict", {"inputs": ["send money"]}).json == ranked


def test_a_batch_of_predict_gives_a_list_for_each_text(app: Application) -> None:
    batch = ask(app, "POST", "/predict", {"inputs": [[text] for text in TEXTS], "truncate": True}).json
    assert [ranked[0]["label"] for ranked in batch] == LABELS
    assert batch[1] == ask(app, "POST", "/predict", {"inputs": "hello"}).json


def test_raw_scores_are_the_logits(app: Application) -> None:
    ranked = ask(app, "POST", "/predict", {"inputs": "send money", "raw_scores": True}).json
    assert ranked[0] == {"score": 2.0, "label": "transfer"}


def test_a_text_that_would_be_cut_is_refused_where_truncate_is_off(app: Application) -> None:
    long = "hello " * 40
    assert ask(app, "POST", "/predict", {"inputs": long}).status == 200
    refused = ask(app, "POST", "/predict", {"inputs": long, "truncate": False})
    assert refused.status == 413
    assert refused.json["error_type"] == "Validation" and "32 tokens" in refused.json["error"]
    assert ask(app, "POST", "/predict", {"inputs": "hello", "truncate": False}).status == 200


def test_infer_gives_the_tensors_that_are_asked_for(app: Application) -> None:
    body = {"id": "7", **tensor(TEXTS), "outputs": [{"name": "label"}, {"name": "shares"}]}
    response = ask(app, "POST", INFER, body).json
    label, shares = response["outputs"]
    assert (response["id"], response["model_name"], response["model_version"]) == ("7", "tiny", app.held.served.version)
    assert label == {"name": "label", "datatype": "BYTES", "shape": [3], "data": LABELS}
    assert shares["shape"] == [3, 3] and sum(shares["data"]) == pytest.approx(3)
    every = ask(app, "POST", INFER, tensor(["hello"], shape=[1, 1], data=[["hello"]])).json
    assert [each["name"] for each in every["outputs"]] == ["label", "share", "shares"]
    assert "id" not in every


def test_infer_reads_the_binary_extension(app: Application) -> None:
    binary = b"".join(struct.pack("<I", len(text)) + text.encode() for text in TEXTS)
    asked = tensor(TEXTS, parameters={"binary_data_size": len(binary)})
    del asked["inputs"][0]["data"]
    header = json.dumps(asked).encode()
    headers = {"Inference-Header-Content-Length": str(len(header)), "content-type": "application/octet-stream"}
    assert ask(app, "POST", INFER, header + binary, headers).json["outputs"][0]["data"] == LABELS
    assert ask(app, "POST", INFER, header + binary[:-1], headers).status == 400
    assert ask(app, "POST", INFER, header + binary, {**headers, "Inference-Header-Content-Length": "1e9"}).status == 400


def test_the_version_in_the_path_is_the_one_that_is_served(app: Application) -> None:
    version = app.held.served.version
    assert ask(app, "POST", f"/v2/models/tiny/versions/{version}/infer", tensor(TEXTS)).status == 200
    assert ask(app, "GET", f"/v2/models/tiny/versions/{version}").json["versions"] == [version]
    for path in ("/v2/models/tiny/versions/0/infer", "/v2/models/other/infer", "/v2/models/tiny/nothing"):
        assert ask(app, "POST", path, tensor(TEXTS)).status == 404


def test_what_is_shown(app: Application) -> None:
    shown = {
        path: ask(app, "GET", path)
        for path in ("/v2", "/v2/models/tiny", "/v2/health/ready", "/info", "/health", "/ping")
    }
    assert {response.status for response in shown.values()} == {200}
    assert shown["/v2/models/tiny"].json["inputs"] == [{"name": "text", "datatype": "BYTES", "shape": [-1]}]
    assert shown["/info"].json["model_type"]["classifier"]["id2label"] == {
        "0": "greeting",
        "1": "weather",
        "2": "transfer",
    }
    assert shown["/v2/health/ready"].json["digest"] == app.held.served.digest
    assert ask(app, "GET", "/v2/models/tiny/ready").json == {"name": "tiny", "ready": True}


def test_every_response_names_the_version_and_the_digest(app: Application) -> None:
    for method, path in (
        ("GET", "/ping"),
        ("POST", "/predict"),
        ("GET", "/nothing"),
        ("GET", "/predict"),
        ("GET", "/"),
    ):
        headers = ask(app, method, path).headers
        bundle = app.held.served
        named = [headers[f"x-parsimony-{name}"] for name in ("model", "version", "digest")]
        assert named == [bundle.name, bundle.version, bundle.digest], path


# --- what is malformed ----------------------------------------------------------------------------

ODD: list[Any] = [
    None, True, 0, -1, 1.5, 2**63, "", "x", [], [[]], {}, [None], [1], [["a", "b"]], ["a", 1], {"text": 1}, [{"text": None}],
    {"columns": ["text"], "data": [["a", "b"]]}, {"columns": [], "data": []}, [[[["a"]]]], "\u202e\x00", ["a"] * 200,
]  # fmt: skip
KEYS = {
    "/predict": ("inputs", "raw_scores", "truncate", "truncation_direction"),
    "/invocations": ("dataframe_split", "dataframe_records", "inputs", "instances", "params"),
    INFER: ("inputs", "outputs", "id", "parameters"),
}
TENSOR = ("name", "shape", "datatype", "data", "parameters")


def _malformed(path: str, rng: random.Random) -> bytes:
    """Return a body that is JSON with odd values, or no JSON at all."""
    kind = rng.random()
    if kind < 0.2:
        return bytes(rng.randrange(256) for _ in range(rng.randrange(60)))
    body: dict[str, Any] = {key: rng.choice(ODD) for key in KEYS[path] if rng.random() < 0.5}
    if path == INFER and kind < 0.8:
        whole = tensor(["a"])["inputs"][0]
        body = {"inputs": [{**whole, **{key: rng.choice(ODD) for key in rng.sample(TENSOR, 2)}}]}
    text = json.dumps(body)
    return text[: rng.randrange(len(text) + 1)].encode() if kind > 0.9 else text.encode()


@pytest.mark.slow
@pytest.mark.parametrize("path", KEYS)
def test_hundreds_of_malformed_requests_are_refused_in_one_line(app: Application, path: str) -> None:
    rng, statuses = random.Random(7), list[int]()
    for _ in range(500):
        body = _malformed(path, rng)
        response = ask(app, "POST", path, body)
        statuses.append(response.status)
        assert response.status in (200, 400, 413, 422), body
        assert b"\n" not in response.body and isinstance(response.json, dict | list)
    assert statuses.count(200) < 100 and statuses.count(400) > 50


@pytest.mark.parametrize("path", KEYS)
@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"\xff\xfe",
        b"[" * 100_000,
        b'{"inputs": "\\ud800"}',
        b'{"inputs": NaN}',
        b'{"inputs": 1e999}',
        b"null",
        b'"a"',
        b"{}",
    ],
)
def test_what_is_no_question_is_refused(app: Application, path: str, body: bytes) -> None:
    assert ask(app, "POST", path, body).status in (400, 422)


def test_each_convention_refuses_in_its_own_words(app: Application) -> None:
    assert set(ask(app, "POST", "/predict", b"{}").json) == {"error", "error_type"}
    assert set(ask(app, "POST", "/invocations", b"{}").json) == {"error_code", "message"}
    assert set(ask(app, "POST", INFER, b"{}").json) == {"error"}


def test_another_method_and_another_format_are_refused(app: Application) -> None:
    refused = ask(app, "PUT", "/predict", {"inputs": "a"})
    assert (refused.status, refused.headers["allow"]) == (405, "POST")
    form = {"content-type": "application/x-www-form-urlencoded"}
    assert ask(app, "POST", "/predict", b"inputs=a", form).status == 415


def test_what_is_too_large_is_refused(tmp_path: Path) -> None:
    app = application(tmp_path / "tiny", limits=Limits(body_bytes=400, texts=3, chars=50, waiting_texts=3))
    assert ask(app, "POST", "/predict", {"inputs": "a" * 500}).status == 413
    assert ask(app, "POST", "/predict", {"inputs": "a" * 500}, {"content-length": "10"}).status == 413  # it lied
    assert ask(app, "POST", "/invocations", {"inputs": ["a"] * 4}).status == 413
    assert ask(app, "POST", "/invocations", {"inputs": ["a" * 51]}).status == 413
    assert ask(app, "POST", "/predict", {"inputs": "a" * 51}).status == 200  # truncate is that convention's default
    assert ask(app, "POST", "/invocations", {"inputs": ["a"] * 3}).status == 200


# --- the OpenAPI document -------------------------------------------------------------------------


def test_the_document_lists_what_there_is_and_holds_for_what_is_answered(app: Application) -> None:
    document = ask(app, "GET", "/openapi.json").json
    for path, operations in document["paths"].items():
        for method, operation in operations.items():
            response = ask(app, method.upper(), path)
            assert str(response.status) in operation["responses"], (path, response.status)
            assert response.status == 200 if method == "get" else response.status == 400
    asked = {"/predict": {"inputs": "a"}, "/invocations": {"inputs": ["a"]}, INFER: tensor(["a"])}
    for path, body in asked.items():
        operation = document["paths"][path]["post"]
        jsonschema.validate(body, operation["requestBody"]["content"]["application/json"]["schema"])
        schema = operation["responses"]["200"]["content"]["application/json"]["schema"]
        jsonschema.validate(ask(app, "POST", path, body).json, schema)


# --- the page that describes it -------------------------------------------------------------------

PAGE = Path(__file__).parents[2] / "docs" / "reference" / "http.md"


def _cells(heading: str) -> list[list[str]]:
    part = PAGE.read_text(encoding="utf-8").split(f"## {heading}\n")[1].split("\n## ")[0]
    lines = [line for line in part.splitlines() if line.startswith("| ") and "---" not in line][1:]
    return [[cell.strip().strip("`") for cell in line.strip("|").split("|")] for line in lines]


def test_the_reference_lists_every_endpoint_refusal_and_metric(app: Application) -> None:
    document, version = ask(app, "GET", "/openapi.json").json, app.held.served.version
    documented = {
        (method, path.replace("NAME", "tiny").replace("VERSION", version)) for method, path, *_ in _cells("Endpoints")
    }
    assert documented == {(m.upper(), path) for path, operations in document["paths"].items() for m in operations}
    statuses = {
        status
        for operations in document["paths"].values()
        for each in operations.values()
        for status in each["responses"]
    }
    assert {cells[0] for cells in _cells("Refusals")} == (statuses | {"404"}) - {"200"}
    counted = {
        line.split()[2] for line in ask(app, "GET", "/metrics").body.decode().splitlines() if line.startswith("# TYPE")
    }
    assert {cells[0] for cells in _cells("Metrics")} == counted | {"parsimony_followed_seconds"}
    opened = {cells[1] for cells in _cells("Endpoints") if "open without the token" in cells[3]}
    assert opened == {path for path, route in routes.FIXED.items() if route.is_open}


def test_the_example_of_the_reference_is_what_is_answered(app: Application) -> None:
    [said] = re.findall(r"```json\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL)
    ranked = ask(app, "POST", "/predict", {"inputs": "send money"}).json
    assert json.loads(said) == [{**each, "score": round(each["score"], 2)} for each in ranked]
