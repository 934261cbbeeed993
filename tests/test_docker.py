"""The files of docker/, held to the code: what they copy is there, what they run is a command, nobody is root."""

from __future__ import annotations

import importlib.util
import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from parsimony.flows.cli import main as cli

ROOT = Path(__file__).parents[1]
FOLDER = ROOT / "docker"
IMAGES = sorted(FOLDER.glob("*.Dockerfile"))
COMPOSE: dict[str, Any] = yaml.safe_load((FOLDER / "compose.yaml").read_text(encoding="utf-8"))
MANIFESTS: list[dict[str, Any]] = list(yaml.safe_load_all((FOLDER / "kubernetes.yaml").read_text(encoding="utf-8")))
OURS = {name: each for name, each in COMPOSE["services"].items() if str(each["image"]).startswith("parsimony-")}


@pytest.mark.parametrize("path", IMAGES, ids=lambda path: path.stem)
def test_an_image_is_built_on_a_base_of_ones_choice_and_runs_as_nobody(path: Path) -> None:
    lines = path.read_text(encoding="utf-8").splitlines()
    assert [line for line in lines if line.startswith("FROM")] == ["FROM ${BASE} AS build", "FROM ${BASE}"]
    assert "ARG BASE=python:3.11-slim" in lines and "USER 65532:65532" in lines
    copied = [word for line in lines if line.startswith("COPY") and "--from" not in line for word in line.split()[1:-1]]
    assert copied and all((ROOT / name).exists() for name in copied)


def test_the_image_that_serves_has_a_health_check_and_starts_a_server() -> None:
    text = (FOLDER / "serve.Dockerfile").read_text(encoding="utf-8")
    assert "/v2/health/ready" in text.split("HEALTHCHECK")[1]
    command = yaml.safe_load(re.findall(r"^CMD (\[.*\])$", text, re.MULTILINE)[0])
    assert cli.parser().parse_args(command).name == "/opt/ml/model"
    assert "[serve]" in text and "torch" not in text.split("FROM")[1]


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
            assert wanted["condition"] == "service_started" or "healthcheck" in services[other]
    assert all(volume.split(":")[0] in COMPOSE["volumes"] for s in OURS.values() for volume in s.get("volumes", ()))


def _commands() -> list[list[str]]:
    pods = [m["spec"]["template"]["spec"]["containers"] for m in MANIFESTS if m["kind"] == "Deployment"]
    return [COMPOSE["services"]["serve"]["command"], next(c["args"] for c in pods[0] if c["name"] == "serve")]


@pytest.mark.parametrize("command", _commands(), ids=["compose", "kubernetes"])
def test_servers_are_started_with_options_that_there_are(command: list[str]) -> None:
    chosen = cli.parser().parse_args(command)
    assert chosen.followed and chosen.host == "0.0.0.0"
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
