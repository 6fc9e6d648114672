"""What a product of matrices is asked to do, as an array of 8-byte words."""

from __future__ import annotations

from enum import IntEnum


class Request(IntEnum):
    """C = alpha A B, for each of a batch. Strides count elements, of any sign; rows of C have no gaps."""

    ROWS = 0  # of A and C
    COLUMNS = 1  # of B and C
    INNER = 2  # columns of A, rows of B
    A = 3
    A_ROW = 4
    A_COLUMN = 5
    B = 6
    B_ROW = 7
    B_COLUMN = 8
    C = 9
    C_ROW = 10
    ALPHA = 11  # a number of the kind of the elements
    ADDS = 12  # 1: C += alpha A B
    BATCH = 13
    A_BATCH = 14
    B_BATCH = 15
    C_BATCH = 16
    A_AHEAD = 17  # how far behind rows of A those lie that will be needed next, another product's; 0: unknown
    B_AHEAD = 18
    C_COLUMN = 19  # of products of few columns, which the function itself sets


WORDS = len(Request)


def name_of(kind: str) -> str:
    """The function that multiplies matrices of a kind of float: `void name(ptr pool, ptr request)`."""
    return f"product.{kind}"
