"""`make demo`: the whole thing on a real cluster, up to a spoken answer to a spoken question."""
