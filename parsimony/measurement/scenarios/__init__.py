"""Other ways to use a bundle: fixed lengths, batches, random arrivals."""
