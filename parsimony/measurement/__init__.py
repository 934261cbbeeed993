"""What a bundle does on a machine: predictions, latency, memory, energy, and how far to trust them."""
