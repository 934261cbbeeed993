"""Which candidate wins and why each other one does not. Arithmetic only."""
