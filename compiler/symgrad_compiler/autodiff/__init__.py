"""Differentiation as graph construction. No numbers are touched; the result is a graph like any other."""
