"""The plans that come with Parsimony."""
