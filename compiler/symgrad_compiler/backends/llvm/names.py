"""The names of functions in compiled code: of a program, and of the entry."""

PROGRAM, LAYOUT = "program", "layout"
CALL, LAUNCH = "call", "launch"
