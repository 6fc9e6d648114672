"""The native backend: a plan as LLVM IR, written as text, compiled to object code.

ir        text of functions: typed values, loops, common subexpressions
maths     elementary functions on vectors
scalars   the builder that the ops' scalar code is written against
kernels   a kernel's loop nest: axes, lanes, reductions, quotients are its parts
steps     matrix products, checks, callbacks
module    a plan as a module; layout of frames
target    the machine; from text to object code to addresses
entry     the callable: arguments in, arrays out, without Python
compile   a graph as a native program
"""
