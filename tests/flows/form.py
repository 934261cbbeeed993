"""The forms of Prefect as they are; `python tests/flows/form.py` writes them down."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

FILE = Path(__file__).with_name("form.json")


def shown() -> dict[str, Any]:
    """Return the schema of every flow's form by the flow's name."""
    from prefect.utilities.callables import parameter_schema

    from parsimony.flows import operations, triggers
    from parsimony.flows.promote_smallest import promote_smallest
    from parsimony.flows.review import review

    upkeep = (operations.rollback, operations.reconcile, review, operations.clean)
    flows = (promote_smallest, triggers.new_data, triggers.drift, triggers.quality, *upkeep)
    return {flow.name: parameter_schema(flow).model_dump_for_openapi() for flow in flows}


if __name__ == "__main__":
    FILE.write_text(json.dumps(shown(), indent=1) + "\n", encoding="utf-8")
