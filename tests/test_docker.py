"""The files of docker/, held to the code and to the specifications of compose and Kubernetes; test_images.py builds and runs them."""

from __future__ import annotations

import configparser
import importlib.util
import json
import os
import re
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

import pytest
import yaml
from packaging.requirements import Requirement

from parsimony.flows.cli import main as cli

ROOT = Path(__file__).parents[1]
FOLDER = ROOT / "docker"
IMAGES = sorted(FOLDER.glob("*.Dockerfile"))
COMPOSE: dict[str, Any] = yaml.safe_load((FOLDER / "compose.yaml").read_text(encoding="utf-8"))
MANIFESTS: list[dict[str, Any]] = list(yaml.safe_load_all((FOLDER / "kubernetes.yaml").read_text(encoding="utf-8")))
OURS = {name: each for name, each in COMPOSE["services"].items() if str(each["image"]).startswith("parsimony-")}


PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
EXTRAS = {"serve": "serve", "worker": "servers", "train": "demo,servers"}


@pytest.mark.parametrize("path", IMAGES, ids=lambda path: path.stem)
def test_an_image_is_built_on_a_base_of_ones_choice_and_runs_as_nobody(path: Path) -> None:
    lines = path.read_text(encoding="utf-8").splitlines()
    assert [line for line in lines if line.startswith("FROM")] == ["FROM ${BASE} AS build", "FROM ${BASE}"]
    assert "ARG BASE=python:3.11-slim" in lines and "USER 65532:65532" in lines and "STOPSIGNAL SIGTERM" in lines
    home = "COPY --from=build --chown=65532:65532 /home/parsimony /home/parsimony"
    assert [line for line in lines if line.startswith("COPY")] == ["COPY . /src/", "COPY --from=build /app /app", home]
    assert not any(
        line.startswith("RUN") for line in lines[lines.index("FROM ${BASE}") :]
    )  # what a build mounts leaves no trace
    assert f'LABEL org.opencontainers.image.title="parsimony-{path.name.split(".")[0]}" \\' in lines


def test_a_build_takes_packages_from_where_this_machine_does(tmp_path: Path) -> None:
    files = {name: tmp_path / name for name in ("pip.conf", "constraints.txt", "ca.pem", "pypi/simple", "wheels")}
    for path in files.values():
        path.parent.mkdir(exist_ok=True)
        path.touch()
    files["pip.conf"].write_text(
        f"[global]\nconstraint = {files['constraints.txt']}\nextra-index-url = https://one.example/simple\n    file://{files['pypi/simple']}\n"
    )
    (tmp_path / "out").mkdir()
    own = {
        "PIP_CONFIG_FILE": str(files["pip.conf"]),
        "PIP_CERT": str(files["ca.pem"]),
        "PIP_FIND_LINKS": str(files["wheels"]),
    }
    script = (sys.executable, str(FOLDER / "pip_options.py"), str(tmp_path / "out"))
    others = {key: value for key, value in os.environ.items() if not key.startswith("PIP_")}
    said = subprocess.run(script, env=others | own, capture_output=True, text=True, check=True).stdout
    mounts = dict(option.removeprefix("--volume=").removesuffix(":ro").split(":") for option in said.split())
    written = configparser.ConfigParser()
    written.read(tmp_path / "out" / "pip.conf")
    told = written["global"]
    assert told["constraint"] == str(files["constraints.txt"]) and told["find-links"] == str(files["wheels"])
    assert told["extra-index-url"].split() == ["https://one.example/simple", f"file://{files['pypi/simple']}"]
    assert mounts[str(files["ca.pem"])] == told["cert"] == "/etc/ssl/certs/ca-certificates.crt"
    assert {str(files["constraints.txt"]), str(files["wheels"]), str(tmp_path / "pypi")} <= mounts.keys()
    assert mounts[str(tmp_path / "out" / "pip.conf")] == "/etc/pip.conf"


def test_a_build_sees_what_the_wheel_is_made_of_and_nothing_else() -> None:
    patterns = [line for line in (ROOT / ".dockerignore").read_text(encoding="utf-8").splitlines() if line[0] != "#"]
    folders = {name.split(".")[0] for name in PROJECT["tool"]["setuptools"]["packages"]}
    folders |= set(PROJECT["tool"]["setuptools"]["package-dir"].values())
    folders |= {name.split("/")[0] for names in PROJECT["tool"]["setuptools"]["data-files"].values() for name in names}
    files = {"pyproject.toml", "requirements.lock", "LICENSE", PROJECT["project"]["readme"]}
    assert patterns[0] == "*" and patterns[-1] == "**/__pycache__"
    assert set(patterns[1:-1]) == {f"!{name}" for name in folders | files}


def _needed(extras: str) -> set[str]:
    """Return the names of the packages that these extras of ours ask for."""
    names: set[str] = {Requirement(line).name for line in PROJECT["project"]["dependencies"]}
    for extra in extras.split(","):
        for line in PROJECT["project"]["optional-dependencies"][extra]:
            needed = Requirement(line)
            names |= _needed(",".join(needed.extras)) if needed.name == "parsimony" else {needed.name}
    return names


@pytest.mark.parametrize("path", IMAGES, ids=lambda path: path.stem)
def test_an_image_installs_this_wheel_in_the_versions_of_the_lock(path: Path) -> None:
    text, extras = path.read_text(encoding="utf-8"), EXTRAS[path.name.split(".")[0]]
    pinned = {line.split("==")[0].lower() for line in (ROOT / "requirements.lock").read_text().splitlines()}
    assert f'"$(echo /wheels/*.whl)[{extras}]"' in text and _needed(extras) | {"setuptools"} <= pinned
    assert (
        text.count("pip install") == text.count("-c /src/requirements.lock")
        and "://" not in text.split("HEALTHCHECK")[0]
    )
    assert ("torch" in _needed(extras)) == (path.name == "train.Dockerfile")


def test_the_image_that_serves_has_a_health_check_and_starts_a_server() -> None:
    text = (FOLDER / "serve.Dockerfile").read_text(encoding="utf-8")
    assert "/v2/health/ready" in text.split("HEALTHCHECK")[1]
    command = yaml.safe_load(re.findall(r"^CMD (\[.*\])$", text, re.MULTILINE)[0])
    assert cli.parser().parse_args(command).name == "/opt/ml/model" and "PARSIMONY_SERVE_HOST=0.0.0.0" in text


@pytest.mark.slow
@pytest.mark.parametrize("word", ["read_only", "read_onyl"])
def test_compose_knows_every_key_of_its_file_and_would_say_so_otherwise(word: str, tmp_path: Path) -> None:
    path = tmp_path / "compose.yaml"
    path.write_text((FOLDER / "compose.yaml").read_text(encoding="utf-8").replace("read_only", word), encoding="utf-8")
    command = (sys.executable, "-m", "check_jsonschema", "--builtin-schema", "vendor.compose-spec", path)
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert ("read_onyl" in done.stdout, done.returncode) == (word == "read_onyl", int(word == "read_onyl"))


@pytest.mark.slow
@pytest.mark.parametrize("manifest", MANIFESTS, ids=lambda manifest: manifest["kind"])
def test_kubernetes_knows_every_key_of_a_manifest_and_misses_none(manifest: dict[str, Any]) -> None:
    from kubernetes.client import models

    known = {
        "apps/v1/Deployment": models.V1Deployment,
        "v1/Service": models.V1Service,
        "autoscaling/v2/HorizontalPodAutoscaler": models.V2HorizontalPodAutoscaler,
    }[f"{manifest['apiVersion']}/{manifest['kind']}"]
    known.model_validate_json(json.dumps(manifest), strict=True, by_alias=True, by_name=False)
    misspelt = {**manifest, "spec": {**manifest["spec"], "selektor": {}}}
    with pytest.raises(ValueError, match="selektor"):
        known.model_validate_json(json.dumps(misspelt), strict=True, by_alias=True, by_name=False)


@pytest.mark.parametrize("name", OURS)
def test_our_services_are_read_only_without_rights_and_what_they_are_built_from_is_there(name: str) -> None:
    service = OURS[name]
    assert (service["read_only"], service["cap_drop"]) == (True, ["ALL"])
    if "build" in service:
        assert (ROOT / service["build"]["dockerfile"]).is_file()
    assert all(str(port).startswith("127.0.0.1:") for port in service.get("ports", ()))


def test_every_service_waits_for_one_that_is_there_and_has_a_health_check_where_that_is_asked() -> None:
    services = COMPOSE["services"]
    for each in services.values():
        for other, wanted in each.get("depends_on", {}).items():
            assert wanted["condition"] != "service_healthy" or "healthcheck" in services[other]
    assert all(volume.split(":")[0] in COMPOSE["volumes"] for s in OURS.values() for volume in s.get("volumes", ()))


def _commands() -> list[list[str]]:
    pods = [m["spec"]["template"]["spec"]["containers"] for m in MANIFESTS if m["kind"] == "Deployment"]
    return [COMPOSE["services"]["serve"]["command"], next(c["args"] for c in pods[0] if c["name"] == "serve")]


@pytest.mark.parametrize("command", _commands(), ids=["compose", "kubernetes"])
def test_servers_are_started_with_options_that_there_are(command: list[str]) -> None:
    chosen = cli.parser().parse_args(command)
    assert chosen.followed
    assert importlib.util.find_spec("parsimony.flows.follow") is not None


def test_a_pod_is_probed_where_the_server_answers_and_may_write_nowhere_but_its_home() -> None:
    deployment, service, scaler = MANIFESTS
    assert [m["kind"] for m in MANIFESTS] == ["Deployment", "Service", "HorizontalPodAutoscaler"]
    pod = deployment["spec"]["template"]["spec"]
    assert pod["securityContext"]["runAsNonRoot"]
    assert all(container["securityContext"]["readOnlyRootFilesystem"] for container in pod["containers"])
    serve = pod["containers"][0]
    probes = {kind: serve[f"{kind}Probe"]["httpGet"]["path"] for kind in ("startup", "readiness", "liveness")}
    assert probes == {"startup": "/v2/health/ready", "readiness": "/v2/health/ready", "liveness": "/v2/health/live"}
    labels = deployment["spec"]["template"]["metadata"]["labels"]
    assert service["spec"]["selector"] == deployment["spec"]["selector"]["matchLabels"] == labels
    assert scaler["spec"]["scaleTargetRef"]["name"] == deployment["metadata"]["name"]
    mounted = {mount["name"] for container in pod["containers"] for mount in container["volumeMounts"]}
    assert mounted == {volume["name"] for volume in pod["volumes"]}
