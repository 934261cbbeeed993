"""Trials by the hundred of what must never go wrong: kills, lost calls, races, tampering, hostile files; `make storm` runs them all."""
