"""An alias that is moved or deleted by hand, and a champion whose version is deleted: until it is healed, and what both pages say."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from typing import Any

from tests.drills.stage import MODEL, Row, Stage, after


def drill(stage: Stage) -> Iterator[Row]:
    """Touch what nobody should touch; the watcher finds it."""
    client, champion = stage.client, stage.model().aliases["champion"]
    earlier = stage.model().aliases["previous"]

    def moved() -> None:
        client.set_registered_model_alias(MODEL, "champion", earlier)

    def gone() -> None:
        client.delete_registered_model_alias(MODEL, "champion")

    def deleted() -> None:
        client.delete_model_version(MODEL, champion)

    yield _healed(stage, "alias `champion` moved by hand", moved, champion)
    yield _healed(stage, "alias `champion` deleted", gone, champion)
    yield _healed(stage, "version of the champion deleted", deleted, earlier)


def _healed(stage: Stage, what: str, touch: Callable[[], None], wanted: str) -> Row:
    since = datetime.now(UTC).isoformat()
    touch()

    def healed() -> Any:
        told = [line for line in stage.told(since) if "follows the journal again" in line]
        return stage.model().aliases.get("champion") == wanted and told

    seconds, told = after(healed)
    return Row(what=what, shown=f"Prefect: {'; '.join(told)}. MLflow, tag `alarm`: {stage.model().tags.get('alarm')}", seconds=seconds)  # fmt: skip
