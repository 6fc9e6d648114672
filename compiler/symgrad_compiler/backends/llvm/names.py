"""The names of functions in compiled code: of a program, of the entry, of the pools of large blocks and of
threads."""

PROGRAM, LAYOUT = "program", "layout"
CALL, LAUNCH = "call", "launch"
TAKE, GIVE, TRIM, ARRAY = "buffer_take", "buffer_give", "buffer_trim", "buffer_array"
POOL_INIT = "pool_init"
#: The routines of LAPACK and BLAS in the table that the frame points to: each for float32, then for float64.
ROUTINES = ("potrf", "potri", "getrf", "trti2", "trsm", "trsv")
