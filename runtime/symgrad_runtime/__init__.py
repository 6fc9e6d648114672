"""Runs programs: arguments in, arrays out, state updated. Knows no ops and no compiler.

program   what a backend hands over: code, inputs, sizes, states
entry     the check of arguments and the binding of sizes
"""
