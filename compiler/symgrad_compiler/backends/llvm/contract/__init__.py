"""Products of matrices in native code, the same for every program: compiled once a machine and kind of float.

    product(pool, request)     C = alpha A B, or C += alpha A B, of any strides, batch by batch

A request is an array of words (`request.py`). Products are cut into panels of A and of B (`tiles.py` says
how large), panels are laid out so that they are read from first to last (`pack.py`), and a micro-kernel
keeps a tile of C in registers (`micro.py`); `product.py` has the loops around it and shares them among
threads. Products with a vector are bound by memory and have loops of their own (`vector.py`). `batch.py` has
the way in. Results depend on sizes and strides alone, never on the number of threads.
"""
