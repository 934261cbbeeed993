"""Reading labelled texts exactly as written, and cutting them into train, validation and test."""

from __future__ import annotations
