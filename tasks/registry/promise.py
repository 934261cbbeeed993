"""What was promised of the champion when it was promoted: its accuracy on the test split."""

from __future__ import annotations

from parsimony.errors import InfrastructureError
from parsimony.tasks.registry.journal import in_production, look, version_of
from parsimony.tasks.registry.tracking import Registry, connected


def certified_accuracy(registry: Registry, model: str) -> float:
    """Return the champion's accuracy on the test split that certified it.

    Raises InfrastructureError when there is no champion, or MLflow does not hold the figure any more.
    """
    with connected(registry) as client:
        current = in_production(client, look(client, model))
        if current is None:
            raise InfrastructureError(f"{model} has no champion; run a plan with model = {model!r} first")
        version = version_of(client, model, current.version)
        metrics = client.get_run(version.run_id).data.metrics if version is not None and version.run_id else {}
    if "test_accuracy" not in metrics:
        raise InfrastructureError(
            f"MLflow holds no test_accuracy of version {current.version} of {model}; say with --promised what it is held to"
        )
    return float(metrics["test_accuracy"])
