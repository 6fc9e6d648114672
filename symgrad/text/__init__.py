"""The text form: graphs printed, parsed, saved and loaded. The grammar is in docs/text.md.

`parse(emit(g)).same(g)` for every graph, and `emit(parse(t)) == t` for every text that `emit` made.
Imports the IR and below; ops are found by name in the registry, and read and written by the declared types
of their attributes, so that a new op has a text form at once.
"""

from symgrad.text.dot import to_dot
from symgrad.text.files import load, save
from symgrad.text.parser import parse
from symgrad.text.printer import emit

__all__ = ["emit", "load", "parse", "save", "to_dot"]
