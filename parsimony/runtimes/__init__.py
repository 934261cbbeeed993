"""What executes a graph here, and on which processor."""
