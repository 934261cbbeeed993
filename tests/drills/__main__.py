"""`python -m tests.drills OUT.md [WORD ...]`: start everything, let things go wrong, and write down what was said and how long it took."""

from __future__ import annotations

import sys
from pathlib import Path

for folder in ("tests/tasks", "tests/flows", "tests/data", "tests"):  # where pytest finds what tests share
    sys.path.insert(0, str(Path(__file__).parents[2] / folder))

from tests.drills.page import main  # noqa: E402

if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1]), sys.argv[2:]))
