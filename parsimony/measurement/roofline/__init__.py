"""What a machine can do at most, and a bundle's share of it."""
