"""What other libraries log carries no secret, whichever handler shows it."""

from __future__ import annotations

import io
import logging
import uuid
from collections.abc import Iterator

import pytest
from test_secrets import CANARIES, FORMS, HARMLESS

from parsimony.tasks.registry.log_masking import mask_logs

LOGGERS = ("mlflow", "urllib3.connectionpool", "sqlalchemy.engine.Engine", "prefect.flow_runs", "prefect", "httpx")


@pytest.fixture
def shown(monkeypatch: pytest.MonkeyPatch) -> Iterator[io.StringIO]:
    """Return what a handler of the root shows, which knows nothing of masks."""
    before, root, stream = logging.getLogRecordFactory(), logging.getLogger(), io.StringIO()
    handler = logging.StreamHandler(stream)
    handler.setFormatter(logging.Formatter("%(name)s %(message)s"))
    root.addHandler(handler)
    for name in LOGGERS:  # in this process MLflow and Alembic may have kept them from the root
        below: logging.Logger | None = logging.getLogger(name)
        while below is not None:
            monkeypatch.setattr(below, "propagate", True)
            monkeypatch.setattr(below, "disabled", False)
            below = below.parent
    mask_logs()
    yield stream
    root.removeHandler(handler)
    logging.setLogRecordFactory(before)


@pytest.mark.slow
@pytest.mark.parametrize("name", LOGGERS)
def test_no_secret_of_any_form_is_logged_by_any_library(name: str, shown: io.StringIO) -> None:
    log = logging.getLogger(name)
    for number, form in enumerate(FORMS):
        canary = CANARIES[number % len(CANARIES)]
        said = form.replace("%s", canary).replace("%%", "%")
        log.error(said)
        log.error("refused %s after %d tries", said, 3)
        log.error("refused %(where)s after %(tries)d tries", {"where": said, "tries": 3})
        log.error("refused %s", ValueError(said))
        try:
            raise ConnectionError(said)
        except ConnectionError:
            log.exception("it failed")
        text = shown.getvalue()
        assert canary not in text, form
        assert text.count("after 3 tries") == 2
        assert "Traceback (most recent call last)" in text
        shown.seek(0)
        shown.truncate()


@pytest.mark.parametrize("text", HARMLESS)
def test_what_holds_no_secret_is_logged_as_it_is(text: str, shown: io.StringIO) -> None:
    logging.getLogger("mlflow").error("it says %s %d%%", text, 7)
    assert shown.getvalue() == f"mlflow it says {text} 7%\n"


def test_a_formatter_finds_the_arguments_that_it_unpacks(shown: io.StringIO) -> None:
    """As uvicorn's does for a line of access: the address in one of them is masked, the others stay what they are."""
    caught: list[logging.LogRecord] = []
    log = logging.getLogger("uvicorn.access")
    log.addFilter(caught.append)  # type: ignore[arg-type]
    log.error('%s - "%s %s HTTP/%s" %d', "127.0.0.1:1", "GET", "/x?token=c4nary-of-mine", "1.1", 200)
    assert caught[0].args == ("127.0.0.1:1", "GET", "/x?token=***", "1.1", 200)
    log.filters.clear()


def test_a_line_that_cannot_be_put_together_is_shown_without_its_secret(shown: io.StringIO) -> None:
    logging.getLogger("mlflow").error("%s and %s", "http://u:c4nary-of-mine@h/x")
    assert "c4nary" not in shown.getvalue() and "http://h/x" in shown.getvalue()


def test_it_is_installed_once(shown: io.StringIO) -> None:
    factory = logging.getLogRecordFactory()
    mask_logs()
    assert logging.getLogRecordFactory() is factory


def test_what_urllib3_really_says_of_a_server_that_does_not_respond_has_no_token(shown: io.StringIO) -> None:
    """The warning of a retry names the path, in which a token may stand."""
    import urllib3

    with pytest.raises(urllib3.exceptions.MaxRetryError):
        urllib3.PoolManager().request("GET", "http://127.0.0.1:9/token/c4nary-of-mine/x", retries=1)
    assert "Retrying" in shown.getvalue()
    assert "c4nary" not in shown.getvalue()


@pytest.mark.slow
def test_what_sqlalchemy_really_says_of_its_statements_has_no_password(shown: io.StringIO) -> None:
    import sqlalchemy

    logging.getLogger("sqlalchemy.engine").setLevel(logging.INFO)
    with sqlalchemy.create_engine("sqlite://").connect() as connection:
        connection.execute(sqlalchemy.text("SELECT :uri"), {"uri": "postgresql://u:c4nary-of-mine@h/d"})
    logging.getLogger("sqlalchemy.engine").setLevel(logging.NOTSET)
    assert "SELECT ?" in shown.getvalue() and "//h/d" in shown.getvalue()
    assert "c4nary" not in shown.getvalue()


@pytest.mark.slow
def test_what_prefects_log_is_sent_has_no_password(shown: io.StringIO) -> None:
    from prefect.logging.handlers import APILogHandler

    caught: list[logging.LogRecord] = []
    log = logging.getLogger("prefect.flow_runs.masked")
    log.addFilter(caught.append)  # type: ignore[arg-type]
    run = {"flow_run_id": str(uuid.uuid4()), "flow_run_name": "r", "flow_name": "f"}
    try:
        raise ConnectionError("http://u:c4nary-of-mine@h/x")
    except ConnectionError:
        log.exception("MLflow at %s is away", "http://u:c4nary-of-mine@h/x", extra=run)
    handler = APILogHandler()
    handler.setFormatter(logging.Formatter())
    sent = str(handler.prepare(caught[0]))
    assert "MLflow at http://h/x is away" in sent and "Traceback" in sent
    assert "c4nary" not in sent
