"""The functions that users call: differentiate, compile, optimize, explain.

`symgrad/__init__.py` offers them as `symgrad.<name>`; importing this package also fills the registry, so
that every operator and method of `Tensor` works.
"""
