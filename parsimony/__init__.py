"""Find the smallest model that keeps the quality, build it, measure it, judge it."""
