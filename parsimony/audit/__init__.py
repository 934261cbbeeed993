"""Our own claims, tested: a receipt, the rule as a whole, the instrument."""
