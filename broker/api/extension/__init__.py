"""The workers' door: the worker protocol of `docs/worker-protocol.md`, the seed's five calls included."""
