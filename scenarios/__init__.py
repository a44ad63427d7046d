"""The conformance suite: the risk map (data) and the pytest scenarios over it."""
