"""Canary secrets in addresses of every form never come through."""

from __future__ import annotations

import random
import string
from pathlib import Path
from urllib.parse import quote

import pytest

from parsimony.flows.cli.main import main
from parsimony.tasks.registry.refusals import explain, one_line
from parsimony.tasks.registry.secrets import MASK, shown_address, without_secrets
from parsimony.tasks.registry.tracking import Registry

# %s is the secret, as it stands.
FORMS = (
    "http://user:%s@host:5000/x failed", "http://user:p@%s@host/x", "http://user:p/%s@host", "http://user:%s/w@host", "http://user:%s@p@host",
    "http://u:a?%s@host/x", "http://u:a#%s@host/x", "https://%s@github.com/x", "redis://:%s@host", "ftp://u:%s@[::1]:21/",
    "postgresql://u:%s@h/db", "postgresql+psycopg2://u:%s@h/db?sslmode=require", "postgresql://h/db?user=x&password=%s", "mysql://u:%s@h1,b:%s@h2/db",
    "postgresql://h/db?pass%%77ord=%s", "postgresql://h/db?sslpassword=%s", "host=h user=u password=%s dbname=d", "host=h password='%s' user=u",
    "Server=h;UID=a;PWD=%s;", "Server=h;Pwd={%s};", "s3://AKIAIOSFODNN7EXAMPLE:%s/ab@bucket/key", "https://b.s3.amazonaws.com/k?X-Amz-Signature=%s",
    "https://b/k?X-Amz-Credential=%s%%2F2026&X-Amz-Security-Token=%s", "AccountName=a;AccountKey=%s;Endpoint=e", "https://h/c?sv=1&sig=%s",
    "https://h/api?token=%s&x=1", "https://h/?access_token=%s", "https://h/#access_token=%s", "https://h/?api-key=%s", "https://h/?apikey=%s",
    "https://h/token/%s/api", "https://hooks.slack.com/services/T00/B00/%s1", "https://h/?next=http%%3A%%2F%%2Fu%%3A%s%%40host", "Authorization: Bearer %s",
    '{"password": "%s"}', "{'api_key': '%s'}", "AWS_SECRET_ACCESS_KEY=%s", "token='%s'", "Bearer %s", "hf_%sabcdef", "ghp_%sabcdef", "--password %s", "password: %s",
)  # fmt: skip
HARMLESS = (
    "MLflow at sqlite:////home/me@work/mlflow.db: no such table: runs", "models:/m@champion", "hf:owner/name@0a1b2c3d", "max_tokens=64", "{'text': 'hello'}",
    "train.csv, row 3, column label: found 'x', expected text=a", "https://mlflow.org/docs/latest", "parsimony run plan.toml --set data.train=/a/b", "found 3 tokens: a b c",
    "http://127.0.0.1:4200/api/health", "version 3 of m holds bundle 0123456789ab…, expected ba9876543210…",
)  # fmt: skip
CANARIES = tuple(
    "".join(random.Random(seed).choices(string.ascii_letters + string.digits, k=8 + seed)) for seed in range(20)
)


@pytest.mark.parametrize("form", FORMS)
def test_no_secret_comes_through_in_any_form(form: str) -> None:
    for canary in CANARIES:
        shown = without_secrets(f"it failed: {form.replace('%s', canary).replace('%%', '%')} (again)")
        assert canary not in shown, form
        assert shown.startswith("it failed: ")


@pytest.mark.parametrize("form", [form for form in FORMS if "//" in form])
def test_what_is_known_to_be_an_address_is_masked_wherever_it_comes_back(form: str) -> None:
    """A library decodes a password, or names a path without its server."""
    for canary in CANARIES:
        secret = f"{canary}+ü@"
        address = form.replace("%s", quote(secret, safe="")).replace("%%", "%").split(" ")[0]
        shown = without_secrets(f"refused {address}; tried {secret!r}", address)
        assert quote(secret, safe="") not in shown
        assert canary not in without_secrets(shown_address(address), address)


@pytest.mark.parametrize("text", HARMLESS)
def test_what_holds_no_secret_is_left_as_it_is(text: str) -> None:
    assert without_secrets(text) == text


@pytest.mark.parametrize("path", ["/s3cr3t-0f-mine/api", "/a/b/c/d0123456789"])
def test_a_servers_address_is_shown_without_its_path(path: str) -> None:
    address = f"https://user:pw@mlflow.example:5000{path}"
    error = ConnectionError(f"Max retries exceeded with url: {path}/api/2.0/mlflow")
    assert shown_address(address) == "https://mlflow.example:5000"
    assert path.split("/")[-2 if path.endswith("api") else -1] not in explain(address, error)


def test_secrets_of_the_environment_are_masked_too(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_PASSWORD", "c4nary of mine")
    monkeypatch.setenv("PREFECT_API_URL", "https://prefect.example/api?key=other-c4nary&token=third-c4nary")
    assert one_line(ValueError("c4nary of mine, third-c4nary")) == f"{MASK}, {MASK}"


@pytest.mark.parametrize("canary", CANARIES[:3])
@pytest.mark.parametrize("form", ["postgres://u:%s@h/db", "ftp://u:p/%s@h", "mlflow.example?token=%s"])
def test_an_address_that_is_refused_is_not_repeated_with_its_secret(
    form: str, canary: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    address = form.replace("%s", canary)
    with pytest.raises(ValueError, match="is neither a server nor a database") as caught:
        Registry(tracking_uri=address)
    assert canary not in str(caught.value)
    monkeypatch.setenv("PARSIMONY_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("MLFLOW_TRACKING_URI", address)
    assert main(["history", "m"]) == 4
    said = capsys.readouterr().err + (tmp_path / "home" / "error.txt").read_text(encoding="utf-8")
    assert "is neither a server nor a database" in said
    assert canary not in said
