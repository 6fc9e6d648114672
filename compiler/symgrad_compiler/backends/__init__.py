"""Backends: Graph -> Program. `numpy` is the reference."""
