"""What is looked after between runs: what a machine needs, what killed runs left, what is no longer wanted."""
