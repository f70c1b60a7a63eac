"""The chart as its users get it: rendered, checked against Kubernetes' own schemas, installed, and its alerts rehearsed."""
