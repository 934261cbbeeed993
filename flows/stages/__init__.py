"""The stages of the flow, in its order: data, train, search, judge."""
