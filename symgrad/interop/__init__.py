"""Bridges to other packages, one module each, loaded on first need."""
