"""Other people's voice agents, doing the gateway's work. They run in an environment of their own: see `tests.bench.gateway_peers`."""
