"""`python -m tests.storm OUT.md [--share 0.1] [--seed N] [--only SUITE]`: make the trials and write the page."""

from __future__ import annotations

import sys
from pathlib import Path

for folder in ("tests/tasks", "tests/flows", "tests/data", "tests"):  # where pytest finds what tests share
    sys.path.insert(0, str(Path(__file__).parents[2] / folder))

from tests.storm.command import main  # noqa: E402

if __name__ == "__main__":
    sys.exit(main())
