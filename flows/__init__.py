"""The order of the work: one flow a file, the plan, the command line."""

from __future__ import annotations
