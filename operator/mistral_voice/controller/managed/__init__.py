"""The operator's side of managed mode: plans, pools and namespaces as facts of a visit, and the status of plans."""
