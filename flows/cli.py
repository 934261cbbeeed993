"""The command line: the same verbs as the deployments."""

from __future__ import annotations

import argparse
import sys

if __name__ == "__main__":
    sys.exit(0)
