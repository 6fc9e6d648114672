"""Does a pass change what a graph computes? The graph before and after it, run on numbers and compared.

    interpret   a graph on arrays, node by node, by the ops' own NumPy forms
    noise       what rounding may do to a result: the same again with every node's result rounded at random
    inputs      ordinary and special arguments for a graph
    compare     two results, by the class of what was done: exact, rounding, stable, fast
    validator   all of this for one run of a pipeline, and the error that says what is wrong

Nothing here knows a backend: a graph evaluated here is what both backends are measured against.
"""

from symgrad_compiler.validate.compare import Verdict, agree
from symgrad_compiler.validate.inputs import Arguments, arguments
from symgrad_compiler.validate.interpret import Interpreter
from symgrad_compiler.validate.noise import Estimate, Estimates, estimate
from symgrad_compiler.validate.validator import Validator

__all__ = [
    "Arguments",
    "Estimate",
    "Estimates",
    "Interpreter",
    "Validator",
    "Verdict",
    "agree",
    "arguments",
    "estimate",
]
