"""Measurements of symgrad, some beside its peers. `run.py` is the one that `make bench` runs."""
