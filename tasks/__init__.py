"""The doing at the edges: Prefect tasks, and the only imports of MLflow and Great Expectations."""

from __future__ import annotations
