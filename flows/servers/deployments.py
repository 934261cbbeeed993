"""The deployments of `prefect.yaml`, with the work pool, its queues and the automations that they need, set up on a server.

What a person has changed on the server stays: a schedule that is there, whether it is switched on, and the plan of a deployment.
"""

from __future__ import annotations

import contextlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from parsimony import flows
from parsimony.errors import InfrastructureError, first_line
from parsimony.files.shipped import shipped

if TYPE_CHECKING:
    from uuid import UUID

    from prefect import Flow
    from prefect.client.orchestration import PrefectClient
    from prefect.client.schemas.actions import DeploymentScheduleCreate

    from parsimony.flows.plan import Plan

FILE, POOL = "prefect.yaml", "parsimony"
SEARCH, UPKEEP = "search", "upkeep"
# One search at a time, whatever started it; upkeep takes seconds and never waits for one.
QUEUES = {SEARCH: 1, UPKEEP: None}


@dataclass(frozen=True, slots=True, kw_only=True)
class Deployed:
    """What was set up: every deployment as `flow/deployment`, and the automations by name."""

    deployments: tuple[str, ...]
    automations: tuple[str, ...]


def file() -> Path:
    """Return `prefect.yaml`. Raises InfrastructureError when it is missing."""
    return shipped(FILE)


def _root() -> Path:
    """Return the folder in which `flows/` lies: the checkout, or the installed package."""
    return Path(flows.__file__).resolve().parents[1]


def listed() -> tuple[Mapping[str, Any], ...]:
    """Return the deployments as `prefect.yaml` holds them, with absolute paths."""
    import yaml

    return tuple(_placed(each) for each in yaml.safe_load(file().read_text(encoding="utf-8"))["deployments"])


def _placed(deployment: Mapping[str, Any]) -> Mapping[str, Any]:
    plan = deployment.get("parameters", {}).get("plan")
    if plan is None:
        return deployment
    data = {**plan["data"], "train": str(_root() / plan["data"]["train"])}
    return {**deployment, "parameters": {"plan": {**plan, "data": data}}}


async def deploy(folder: Path | None, plan: Plan | None = None) -> Deployed:
    """Set everything up on the server that Prefect's settings name, and return what there is.

    `folder` is where runs work, so that relative paths of a form start there; None lets each worker decide. `plan` is what the
    searches do; without it, they do what they did, and the demonstration at first. Raises InfrastructureError.
    """
    import httpx
    from prefect.client.orchestration import get_client
    from prefect.exceptions import PrefectHTTPStatusError

    from parsimony.flows.servers.automations import automations

    try:
        async with get_client() as client:
            await _pool(client)
            names = [await _deployment(client, each, folder, plan) for each in listed()]
            known = [await _automation(client, each) for each in automations()]
    except (httpx.HTTPError, PrefectHTTPStatusError, RuntimeError) as error:
        raise InfrastructureError(
            f"Prefect's server did not take the deployments: {first_line(error, 200)}; look whether PREFECT_API_URL names it, "
            "and PREFECT_API_AUTH_STRING where it asks for a password"
        ) from error
    return Deployed(deployments=tuple(names), automations=tuple(known))


async def _pool(client: PrefectClient) -> None:
    """Make the pool and its queues unless they are there; limits that a person has set stay."""
    from prefect.client.schemas.actions import WorkPoolCreate
    from prefect.exceptions import ObjectAlreadyExists, ObjectNotFound
    from prefect.workers.process import ProcessWorker

    template = ProcessWorker.get_default_base_job_template()
    pool = WorkPoolCreate(
        name=POOL, type="process", base_job_template=template, description="Runs flows as processes of a worker."
    )
    with contextlib.suppress(ObjectAlreadyExists):
        await client.create_work_pool(pool)
    for name, limit in QUEUES.items():
        try:
            await client.read_work_queue_by_name(name, work_pool_name=POOL)
        except ObjectNotFound:
            await client.create_work_queue(name, concurrency_limit=limit, work_pool_name=POOL)


async def _deployment(client: PrefectClient, wanted: Mapping[str, Any], folder: Path | None, plan: Plan | None) -> str:
    from prefect.exceptions import ObjectNotFound
    from prefect.flows import load_flow_from_entrypoint
    from prefect.utilities.callables import parameter_schema

    flow: Flow[..., Any] = load_flow_from_entrypoint(wanted["entrypoint"])
    name = f"{flow.name}/{wanted['name']}"
    parameters = wanted.get("parameters", {})
    schedules = _schedules(wanted.get("schedules", ()))
    try:
        present = await client.read_deployment_by_name(name)
    except ObjectNotFound:
        present = None
    if present is not None:
        parameters = present.parameters or parameters
        known = {schedule.slug: schedule for schedule in present.schedules}
        schedules = [_as_it_is(known[s.slug]) if s.slug in known else s for s in schedules]
    if plan is not None and "plan" in wanted.get("parameters", {}):
        parameters = {"plan": plan.model_dump(mode="json", exclude_unset=True)}
    step = "prefect.deployments.steps.set_working_directory"
    await client.create_deployment(
        await client.create_flow_from_name(flow.name),
        wanted["name"],
        schedules=schedules,
        parameters=parameters,
        description=wanted["description"],
        work_queue_name=wanted["work_pool"]["work_queue_name"],
        work_pool_name=wanted["work_pool"]["name"],
        tags=wanted["tags"],
        entrypoint=wanted["entrypoint"],
        parameter_openapi_schema=parameter_schema(flow).model_dump_for_openapi(),
        pull_steps=None if folder is None else [{step: {"directory": str(folder)}}],
        enforce_parameter_schema=wanted["enforce_parameter_schema"],
    )
    return name


def _schedules(wanted: Sequence[Mapping[str, Any]]) -> list[DeploymentScheduleCreate]:
    from prefect.client.schemas.actions import DeploymentScheduleCreate
    from prefect.client.schemas.schedules import construct_schedule

    return [
        DeploymentScheduleCreate(
            schedule=construct_schedule(**{k: each[k] for k in ("cron", "interval", "timezone") if k in each}),
            active=each["active"],
            slug=each["slug"],
        )
        for each in wanted
    ]


def _as_it_is(present: Any) -> DeploymentScheduleCreate:
    """Return a schedule of the server as it is, which a person may have changed or switched on."""
    from prefect.client.schemas.actions import DeploymentScheduleCreate

    return DeploymentScheduleCreate(
        schedule=present.schedule, active=present.active, slug=present.slug, parameters=present.parameters
    )


def target_deployment(pool: str) -> UUID:
    """Set up, in a target's pool, the deployment that measures there, and return its id; ObjectNotFound where there is no such pool."""
    from prefect.client.orchestration import get_client
    from prefect.utilities.callables import parameter_schema

    from parsimony.flows.measure_on_target import ENTRYPOINT, measure_on_target

    with get_client(sync_client=True) as client:
        client.read_work_pool(pool)
        return client.create_deployment(
            client.create_flow_from_name(measure_on_target.name),
            pool,
            description="Measures what a run asks for on the machine of this pool's worker; started by runs, not by hand.",
            work_pool_name=pool,
            tags=["parsimony"],
            entrypoint=ENTRYPOINT,
            parameter_openapi_schema=parameter_schema(measure_on_target).model_dump_for_openapi(),
            enforce_parameter_schema=True,
        )


async def _automation(client: PrefectClient, wanted: Any) -> str:
    """Make an automation unless one of its name is there, which a person may have changed."""
    if not await client.read_automations_by_name(wanted.name):
        await client.create_automation(wanted)
    return str(wanted.name)
