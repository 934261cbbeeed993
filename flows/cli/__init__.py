"""The command line: one file a verb, each with `add`, which declares its arguments, and the function that does it."""

from __future__ import annotations
