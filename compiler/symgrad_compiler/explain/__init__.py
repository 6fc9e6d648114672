"""What passes do to a graph, told to people.

align        which tensors after a pass are which tensors before it
difference   the lines that changed, under names that do not shift
explanation  pass by pass: counts, rules, time, difference
"""

from symgrad_compiler.explain.explanation import Explanation, PassRecord, explain_passes

__all__ = ["Explanation", "PassRecord", "explain_passes"]
