"""Refuse graphs that point at other files, or hold what no bundle needs, before anything opens them. No library is needed."""

from __future__ import annotations

from pathlib import Path

from parsimony.bundle.graph_check import OUTSIDE, problems_of
from parsimony.errors import InfrastructureError


def refuse_external_data(model: bytes, path: Path) -> None:
    """Raise InfrastructureError when a graph, read from `path`, may not be opened (see `graph_check`)."""
    try:
        problems = problems_of(model)
    except ValueError as error:
        raise InfrastructureError(f"{path} is not an ONNX graph: {error}") from error
    if problems:
        raise InfrastructureError(f"{path} {OUTSIDE if OUTSIDE in problems else problems[0]}")


def holds_external_data(model: bytes) -> bool:
    """Say whether a tensor anywhere in this graph keeps its values in another file.

    Raises ValueError when the bytes are no ONNX message; ONNX Runtime's own format is none.
    """
    return OUTSIDE in problems_of(model)
