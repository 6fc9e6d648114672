"""The names of functions in compiled code: of a program, of the entry, of the pools of large blocks and of
threads."""

PROGRAM, LAYOUT = "program", "layout"
CALL, LAUNCH = "call", "launch"
TAKE, GIVE, TRIM, ARRAY = "buffer_take", "buffer_give", "buffer_trim", "buffer_array"
POOL_INIT = "pool_init"
