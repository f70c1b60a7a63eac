"""The load of the gateway's benchmarks: many callers in a process of their own, cheap enough to share a machine with what they measure."""
