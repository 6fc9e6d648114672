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
    if api_version not in (None, "2021.12", "2022.12", "2023.12"):
        raise ValueError(f"the version {api_version!r} of the array API is not known; it is 2023.12 here")
    return sys.modules["symgrad"]
