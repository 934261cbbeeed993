"""All of Great Expectations: what is expected of the data."""
