"""Admission, tokens, counting, swaps and samples, in the application without a socket."""

from __future__ import annotations

import asyncio
import json
import re
import stat
from pathlib import Path

import pytest
from bundles import LABELS, WORDS, write_tiny_bundle
from serving_clients import Limits, Response, application, ask, asked

from parsimony.bundle import trial
from parsimony.errors import InfrastructureError, PlanError
from parsimony.flows.cli import main as cli
from parsimony.reporting import style
from parsimony.serving import champion_file, following, page, served
from parsimony.serving.champion_file import Named
from parsimony.serving.held import Held
from parsimony.serving.settings import Sample, Settings

OTHER = ("salutation", "climate", "payment")


def test_the_queue_is_bounded_and_empties(tmp_path: Path) -> None:
    app = application(tmp_path / "tiny", limits=Limits(texts=4, waiting_texts=8))

    async def rush() -> list[Response]:
        return list(
            await asyncio.gather(*(asked(app, "POST", "/invocations", {"inputs": ["hello"] * 2}) for _ in range(10)))
        )

    responses = asyncio.run(rush())
    assert sorted(response.status for response in responses) == [200] * 4 + [429] * 6
    refused = next(response for response in responses if response.status == 429)
    assert (refused.headers["retry-after"], refused.json["error_code"]) == ("1", "REQUEST_LIMIT_EXCEEDED")
    assert app.held.waiting_texts == app.held.open_requests == 0
    assert ask(app, "POST", "/predict", {"inputs": "hello"}).status == 200


def test_a_body_that_does_not_come_is_given_up(tmp_path: Path) -> None:
    app = application(tmp_path / "tiny", limits=Limits(timeout_s=0.05))
    sent = []

    async def receive() -> dict[str, object]:
        await asyncio.sleep(30)
        return {}

    async def send(message: dict[str, object]) -> None:
        sent.append(message)

    asyncio.run(app({"type": "http", "method": "POST", "path": "/predict", "headers": []}, receive, send))  # type: ignore[arg-type]
    assert sent[0]["status"] == 408


def test_only_who_has_the_token_is_answered(tmp_path: Path) -> None:
    app = application(tmp_path / "tiny", token="a secret")
    body = {"inputs": "hello"}
    assert ask(app, "POST", "/predict", body, {"authorization": "Bearer a secret"}).status == 200
    for wrong in (
        {},
        {"authorization": "Bearer a secre"},
        {"authorization": "Basic a secret"},
        {"authorization": "Bearer"},
    ):
        refused = ask(app, "POST", "/predict", body, wrong)
        assert (refused.status, refused.headers["www-authenticate"]) == (401, "Bearer")
    assert ask(app, "GET", "/metrics").status == 401
    assert [ask(app, "GET", path).status for path in ("/ping", "/health", "/v2/health/ready", "/")] == [200] * 4
    assert "a secret" not in repr(app.held.settings)


def test_what_was_answered_is_counted(tmp_path: Path) -> None:
    app = application(tmp_path / "tiny")
    for text in ("hello", "hello", "rain"):
        ask(app, "POST", "/predict", {"inputs": text})
    ask(app, "GET", "/anything-at-all")
    said = ask(app, "GET", "/metrics").body.decode()
    values = dict(re.findall(r"^([a-z_]+(?:\{[^}]*\})?) ([\d.]+)$", said, re.MULTILINE))
    assert values['parsimony_predictions_total{label="greeting"}'] == "2"
    assert values['parsimony_requests_total{endpoint="/predict",status="200"}'] == "3"
    assert values['parsimony_requests_total{endpoint="other",status="404"}'] == "1"
    assert values["parsimony_request_seconds_count"] == values['parsimony_request_seconds_bucket{le="+Inf"}'] == "4"
    assert f'digest="{app.held.served.digest}"' in said


def test_processes_add_up_what_they_count(tmp_path: Path) -> None:
    one = application(tmp_path / "tiny", scratch=tmp_path)
    ask(one, "POST", "/predict", {"inputs": "hello"})
    (tmp_path / "1.json").write_text(json.dumps({**one.held.counts._plain(), "swaps": 2}))
    total = one.held.counts.with_others(tmp_path)
    assert (total.predictions["greeting"], total.swaps, sum(total.durations)) == (2, 2, 2)


def test_lines_are_json_and_hold_no_text(tmp_path: Path) -> None:
    app = application(tmp_path / "tiny")
    ask(app, "POST", "/predict", {"inputs": "hello Mrs Example"})
    lines = b"\n".join(app.held.lines.waiting)
    assert json.loads(app.held.lines.waiting[-1])["status"] == 200
    assert b"Example" not in lines and b"greeting" not in lines


def test_a_sample_is_kept_only_where_it_is_asked_for_and_never_more_than_allowed(tmp_path: Path) -> None:
    kept = tmp_path / "sample.jsonl"
    for _ in range(2):  # what the file holds already counts
        app = application(tmp_path / "tiny", sample=Sample(path=kept, most=3, share=1.0))
        ask(app, "POST", "/invocations", {"inputs": ["hello", "rain"]})
        assert app.held.sample is not None
        app.held.sample.write()
    rows = [json.loads(line) for line in kept.read_text().splitlines()]
    assert [(row["text"], row["label"]) for row in rows] == [
        ("hello", "greeting"),
        ("rain", "weather"),
        ("hello", "greeting"),
    ]
    assert stat.S_IMODE(kept.stat().st_mode) == 0o600


# --- following production -------------------------------------------------------------------------


def _named(folder: Path, version: str, labels: tuple[str, ...] = LABELS) -> Named:
    built = write_tiny_bundle(folder, labels=labels, name=version)
    trial.trust(folder)
    return Named(model="tiny", version=version, digest=built.digest, folder=built.folder)


@pytest.fixture
def watch(tmp_path: Path) -> following.Watch:
    source = tmp_path / "home" / "serving" / "tiny.json"
    champion_file.write(source, _named(tmp_path / "one", "1"))
    settings = Settings(name="tiny", source=source)
    held = Held(settings=settings, served=served.load(settings))
    return following.Watch(held=held, call=lambda step: step())


def test_the_bundle_that_is_named_takes_the_place_of_the_old_one(watch: following.Watch, tmp_path: Path) -> None:
    watch.look()
    assert (watch.held.served.version, watch.held.counts.swaps) == ("1", 0)
    champion_file.write(watch.held.settings.source, _named(tmp_path / "two", "2", OTHER))
    watch.look()
    assert (watch.held.served.version, watch.held.served.labels, watch.held.counts.swaps) == ("2", OTHER, 1)


@pytest.mark.parametrize("harm", ["changed", "another", "gone", "unreadable"])
def test_a_bundle_that_does_not_verify_is_refused_and_the_old_one_goes_on(
    watch: following.Watch, tmp_path: Path, harm: str
) -> None:
    named = _named(tmp_path / "two", "2", OTHER)
    champion_file.write(watch.held.settings.source, named)
    if harm == "changed":
        (tmp_path / "two" / "labels.json").write_text('["a", "b", "c"]')
    elif harm == "another":
        champion_file.write(watch.held.settings.source, Named(**{**_fields(named), "digest": "0" * 64}))
    elif harm == "gone":
        (tmp_path / "two").rename(tmp_path / "away")
    else:
        watch.held.settings.source.write_text("{")
    for _ in range(3):
        watch.look()
    assert (watch.held.served.version, watch.held.counts.refused_bundles) == ("1", 1)
    assert watch.held.refused
    champion_file.write(watch.held.settings.source, _named(tmp_path / "three", "3"))
    watch.look()
    assert (watch.held.served.version, watch.held.refused) == ("3", "")


def test_a_copy_that_was_mended_is_taken_although_the_same_bundle_is_named(
    watch: following.Watch, tmp_path: Path
) -> None:
    champion_file.write(watch.held.settings.source, _named(tmp_path / "two", "2", OTHER))
    (tmp_path / "two").rename(tmp_path / "away")
    watch.look()
    assert watch.held.served.version == "1" and watch.held.refused
    (tmp_path / "away").rename(tmp_path / "two")
    watch.look()
    assert watch.held.served.version == "1"  # looked at again after ten seconds only
    watch.again_at = 0.0
    watch.look()
    assert (watch.held.served.version, watch.held.refused) == ("2", "")


def _fields(named: Named) -> dict[str, str]:
    return {name: getattr(named, name) for name in ("model", "version", "digest", "folder", "note")}


def test_without_the_file_the_last_verified_copy_goes_on(watch: following.Watch) -> None:
    watch.held.settings.source.unlink()
    watch.look()
    assert (watch.held.served.version, watch.held.refused) == ("1", "")


def test_a_request_that_has_begun_keeps_its_bundle(tmp_path: Path) -> None:
    app = application(tmp_path / "tiny")
    settings = app.held.settings
    other = served.load_named(_named(tmp_path / "other", "2", OTHER), settings)

    async def swap() -> Response:
        asking = asyncio.create_task(asked(app, "POST", "/invocations", {"inputs": list(WORDS)}))
        while app.held.waiting_texts == 0:
            await asyncio.sleep(0)
        app.held.served = other
        return await asking

    response = asyncio.run(swap())
    assert response.json["predictions"] == [LABELS[number] for number in WORDS.values()]
    assert response.headers["x-parsimony-version"] != "2"
    assert ask(app, "POST", "/invocations", {"inputs": ["hello"]}).json == {"predictions": ["salutation"]}


# --- the page, and what cannot be served ----------------------------------------------------------


def test_the_page_has_the_look_of_the_report_and_fetches_nothing_from_elsewhere(tmp_path: Path) -> None:
    assert style.CSS.lstrip().startswith(page.PALETTE)
    response = ask(application(tmp_path / "tiny"), "GET", "/")
    assert response.headers["content-type"].startswith("text/html")
    assert not re.search(rb"https?://", response.body)
    assert "default-src 'none'" in response.headers["content-security-policy"]


def test_what_cannot_be_served_is_said_before_anything_listens(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write_tiny_bundle(tmp_path / "tiny")
    (tmp_path / "tiny" / "labels.json").write_text("[]")
    assert cli.main(["serve", str(tmp_path / "tiny"), "--port", "0"]) == InfrastructureError.exit_code
    assert cli.main(["serve", str(tmp_path)]) == PlanError.exit_code
    assert cli.main(["serve", str(tmp_path / "tiny"), "--texts", "0"]) == PlanError.exit_code
    assert [line.split(":")[0] for line in capsys.readouterr().err.splitlines()] == ["parsimony"] * 3
