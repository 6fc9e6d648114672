"""Products of matrices in native code, the same for every program: compiled once a machine and kind of float.

    product(pool, request)     C = alpha A B, or C += alpha A B, of any strides, batch by batch

A request is an array of words (`request.py`). Products are cut into panels of A and of B (`tiles.py` says
how large), and a micro-kernel keeps a tile of C in registers (`micro.py`). Panels that are read often are
laid out so that they are read from first to last: by `pack.py`, or by the micro-kernel that reads them first;
others are read where they are. `pieces.py` has the loops over panels; `product.py` cuts C into pieces, which
threads share; small products do without all that (`direct.py`). Products with a vector are bound by memory
and have loops of their own (`vector.py`), as have those of few columns (`skinny.py`). `batch.py` has the way
in. Results depend on sizes and strides alone, never on the number of threads.
"""
