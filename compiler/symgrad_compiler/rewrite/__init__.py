"""Rewriting: patterns in the language's own operators, rules as rows, and the engine that applies them.

    from symgrad_compiler.rewrite import rule, var

    x = var("x")
    rule(x * 1, x, kind="exact")

A rule says its kind: "exact" (the same bits, NaN and inf included), "rounding" (the same mathematics, other
rounding), "stable" (more accurate), "fast" (may change NaN and inf; only on demand).
"""

from symgrad_compiler.rewrite.engine import rewrite
from symgrad_compiler.rewrite.pattern import attribute, reshaped, spread, var
from symgrad_compiler.rewrite.rules import FunctionRule, Rule, function_rule, rule

__all__ = [
    "FunctionRule",
    "Rule",
    "attribute",
    "function_rule",
    "reshaped",
    "rewrite",
    "rule",
    "spread",
    "var",
]
