"""Loads the whole language, so that the registry behind the operators and methods of `Tensor` is full."""

# ruff: noqa: F401  (imported for what the modules register)

from __future__ import annotations

import sys
from typing import Any

import symgrad.api.compile
import symgrad.api.differentiate
import symgrad.api.optimize
import symgrad.ops
import symgrad.text
from symgrad.registry import provide


@provide("array_namespace")
def array_namespace(api_version: str | None = None) -> Any:
    """The module that offers the array API's functions on tensors: symgrad itself."""
    return sys.modules["symgrad"]
