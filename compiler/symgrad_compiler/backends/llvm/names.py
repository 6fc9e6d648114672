"""The names of functions in compiled code: of a program, of the entry, and of the pool of large blocks."""

PROGRAM, LAYOUT = "program", "layout"
CALL, LAUNCH = "call", "launch"
TAKE, GIVE, TRIM, ARRAY = "buffer_take", "buffer_give", "buffer_trim", "buffer_array"
