"""A schedule makes runs: the versions of Prefect and SQLAlchemy that are installed get on with each other."""

from __future__ import annotations

import asyncio
import datetime

import pytest


@pytest.mark.flow
@pytest.mark.slow
def test_a_deployment_with_a_schedule_gets_runs(prefect_backend: None) -> None:
    """Prefect 3.8 with SQLAlchemy 2.1 made none, and said so in the server's log only."""
    from prefect.client.orchestration import get_client
    from prefect.client.schemas.actions import DeploymentScheduleCreate
    from prefect.client.schemas.schedules import IntervalSchedule
    from prefect.server.services.scheduler import schedule_deployments

    weekly = DeploymentScheduleCreate(schedule=IntervalSchedule(interval=datetime.timedelta(days=7)), active=True)

    async def runs() -> int:
        async with get_client() as client:
            flow = await client.create_flow_from_name("scheduled")
            await client.create_deployment(flow, "weekly", schedules=[weekly])
            await schedule_deployments()
            return len(await client.read_flow_runs())

    assert asyncio.run(runs()) >= 3
