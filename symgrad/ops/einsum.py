"""einsum: products of any number of tensors, their axes named by letters, in terms of simpler ops.

    spec     = terms [-> term]         terms = term, term, ...       term = letters with at most one "..."

A letter repeated in one term takes the diagonal. Operands are multiplied pair by pair, the cheapest pair first,
each pair a matrix product or an elementwise one. So derivatives, vmap and native code follow from those.
"""

from __future__ import annotations

import itertools
import math
import re
import string
from collections import Counter
from collections.abc import Sequence
from types import EllipsisType
from typing import Any

from symgrad import dims
from symgrad.dims import Dim
from symgrad.errors import ShapeError
from symgrad.ir import origin
from symgrad.ir.tensor import Tensor
from symgrad.ops.align import align_tensors
from symgrad.ops.cast import astype
from symgrad.ops.compare import not_equal
from symgrad.ops.contract import Label, contract_pair, summed
from symgrad.ops.create import arange, size_tensor
from symgrad.ops.indexing import take
from symgrad.ops.shape import broadcast_to, permute_dims, reshape
from symgrad.types import BOOL, INT64, as_int

#: What a symbolic size counts for when pairs are compared.
TYPICAL = 100

Term = tuple[Label, ...]


def einsum(subscripts: Any, *operands: Any) -> Tensor:
    """Sums of products in Einstein's notation, as `numpy.einsum`.

    Args:
        subscripts: e.g. "ij,jk->ik". Letters that are not in the output are summed over. Without "->", the output
            has the letters that occur once, in alphabetical order. "..." stands for further axes, which broadcast.
            Or else operands and lists of ints in turn: `einsum(a, [0, 1], b, [1, 2], [0, 2])`.
        operands: tensors, arrays, numbers; of booleans, products are "and" and sums are "or".

    Raises:
        ShapeError: the subscripts are not well formed, or do not fit the operands.

    >>> from symgrad.ops.create import tensor
    >>> x, w = tensor("x", ("n", 3, 4)), tensor("w", (4, 5))
    >>> einsum("nij,jk->nik", x, w), einsum("nii->n", tensor("a", ("n", 3, 3)))
    (<reshape: f64[n,3,5]>, <sum: f64[n]>)
    """
    if not isinstance(subscripts, str):
        subscripts, operands = _from_lists((subscripts, *operands))
    tensors = align_tensors(operands) if operands else []
    terms, output = _parse(subscripts, [t.ndim for t in tensors])
    if tensors[0].dtype is BOOL:
        return not_equal(_evaluate([astype(t, INT64) for t in tensors], terms, output), 0)
    return _evaluate(tensors, terms, output)


def _evaluate(tensors: Sequence[Tensor], terms: Sequence[Term], output: Term) -> Tensor:
    pairs = _aligned([_without_repeats(t, term) for t, term in zip(tensors, terms, strict=True)])
    while len(pairs) > 1:
        i, j = _cheapest(pairs, output)
        (x, xs), (y, ys) = pairs[i], pairs[j]
        pairs = [pair for k, pair in enumerate(pairs) if k not in (i, j)]
        kept = {*output, *itertools.chain.from_iterable(names for _, names in pairs)}
        pairs.insert(i, contract_pair(x, xs, y, ys, kept))
    tensor, names = summed(*pairs[0], output)
    return permute_dims(tensor, tuple(names.index(n) for n in output))


# ---- subscripts -------------------------------------------------------------------------------------


def _parse(subscripts: str, ranks: Sequence[int]) -> tuple[list[Term], Term]:
    """The names of the axes of each operand, and of the result. Axes under "..." are called -1, -2, ... from the
    last."""
    text = re.sub(r"\s", "", subscripts)
    left, arrow, right = text.partition("->")
    written = left.split(",")
    if len(written) != len(ranks):
        raise _bad(f"{len(written)} terms for {len(ranks)} operands", subscripts)
    terms = [_term(t, rank, subscripts) for t, rank in zip(written, ranks, strict=True)]
    dots = _ellipsis(max((-n for term in terms for n in term if isinstance(n, int)), default=0))
    if not arrow:
        count = Counter(n for term in terms for n in term if isinstance(n, str))
        return terms, (*dots, *sorted(n for n, k in count.items() if k == 1))
    if dots and "..." not in right:
        raise _bad('"..." in the operands and not in the output', subscripts)
    output = _term(right, len(right.replace("...", "")) + len(dots), subscripts)
    known = {n for term in terms for n in term}
    for name in output:
        if name not in known:
            raise _bad(f"the output's {name!r} is in no operand", subscripts)
        if output.count(name) > 1:
            raise _bad(f"{name!r} is repeated in the output", subscripts)
    return terms, output


def _term(text: str, rank: int, subscripts: str) -> Term:
    """The names of one operand's axes."""
    match = re.fullmatch(r"([A-Za-z]*)(\.\.\.)?([A-Za-z]*)", text)
    if match is None:
        raise _bad(f'a term has letters and at most one "...", not {text!r:.40}', subscripts)
    before, dots, behind = match.groups()
    hidden = rank - len(before) - len(behind)
    if hidden < 0 or (hidden and not dots):
        raise _bad(f"the term {text!r:.40} does not fit {rank} dimensions", subscripts)
    return (*before, *_ellipsis(hidden), *behind)


def _ellipsis(count: int) -> tuple[int, ...]:
    return tuple(range(-count, 0))


def _from_lists(given: Sequence[Any]) -> tuple[str, tuple[Any, ...]]:
    """Operands and lists of ints, and perhaps a list for the output, as a text and operands."""
    operands, lists = given[0 : len(given) // 2 * 2 : 2], given[1::2]
    terms = [_letters(numbers) for numbers in lists]
    result = f"->{_letters(given[-1])}" if len(given) % 2 else ""
    return ",".join(terms) + result, tuple(operands)


def _letters(numbers: Any) -> str:
    letters = string.ascii_uppercase + string.ascii_lowercase
    if not isinstance(numbers, (list, tuple)):
        raise ShapeError(
            f"einsum takes a text first, or operands and lists of ints in turn, not {numbers!r:.40}"
        )
    text = ""
    for number in numbers:
        axis = as_int(number)
        if isinstance(number, EllipsisType):
            text += "..."
        elif axis is not None and 0 <= axis < len(letters):
            text += letters[axis]
        else:
            raise ShapeError(
                f"einsum: an axis is an int from 0 to {len(letters) - 1} or ..., not {number!r:.40}"
            )
    return text


def _bad(reason: str, subscripts: str) -> ShapeError:
    return ShapeError(
        f"einsum: {reason}",
        facts=[("subscripts", f"{subscripts!r:.120}")],
        at=origin.locate(origin.current()),
        hint='for example "ij,jk->ik"',
    )


# ---- operands ---------------------------------------------------------------------------------------


def _without_repeats(x: Tensor, names: Term) -> tuple[Tensor, Term]:
    """x with the diagonal of each pair of axes of one name."""
    while len(set(names)) < len(names):
        j = next(k for k, n in enumerate(names) if n in names[:k])
        i = names.index(names[j])
        if not dims.equal(x.shape[i], x.shape[j]):
            raise ShapeError(
                f"einsum: axes of one name, {names[j]!r}, differ in size: {x.shape[i]} and {x.shape[j]}",
                facts=[("operand", x.type)],
                at=origin.locate(origin.current()),
            )
        x = _diagonal(x, i, j)
        names = (*[n for k, n in enumerate(names) if k not in (i, j)], names[j])
    return x, names


def _diagonal(x: Tensor, i: int, j: int) -> Tensor:
    """out[..., k] = x[..., k, ..., k, ...]: every (n + 1)-th element of the two axes in a row."""
    rest = [k for k in range(x.ndim) if k not in (i, j)]
    n = x.shape[i]
    flat = reshape(permute_dims(x, (*rest, i, j)), (*[x.shape[k] for k in rest], n * x.shape[j]))
    if isinstance(n, int):
        return flat[..., :: n + 1]
    return take(flat, arange(n) * size_tensor(n + 1), axis=flat.ndim - 1)


def _aligned(pairs: Sequence[tuple[Tensor, Term]]) -> list[tuple[Tensor, Term]]:
    """Axes of one name with one size. An axis of size 1 beside a longer one is left out: it broadcasts."""
    sizes: dict[Label, Dim] = {}
    for x, names in pairs:
        for name, size in zip(names, x.shape, strict=True):
            known = sizes.setdefault(name, size)
            if known == 1:
                sizes[name] = size
            elif size != 1 and not dims.equal(size, known):
                raise ShapeError(
                    f"einsum: the axes {name!r} have the sizes {known} and {size}",
                    facts=[(f"operand {k}", t.type) for k, (t, _) in enumerate(pairs)],
                    at=origin.locate(origin.current()),
                )
    aligned = []
    for x, names in pairs:
        kept = [(n, d) for n, d in zip(names, x.shape, strict=True) if not (d == 1 and sizes[n] != 1)]
        bare = reshape(x, tuple(d for _, d in kept))
        aligned.append((broadcast_to(bare, tuple(sizes[n] for n, _ in kept)), tuple(n for n, _ in kept)))
    return aligned


def _cheapest(pairs: Sequence[tuple[Tensor, Term]], output: Term) -> tuple[int, int]:
    """The pair to multiply next: the one with the fewest products; of equals the one whose result needs the least
    memory beyond that of its operands, then the first."""
    sizes = {
        n: d if isinstance(d, int) else TYPICAL
        for x, names in pairs
        for n, d in zip(names, x.shape, strict=True)
    }

    def cost(pair: tuple[int, int]) -> tuple[int, int, tuple[int, int]]:
        xs, ys = (set(pairs[k][1]) for k in pair)
        others = {
            *output,
            *itertools.chain.from_iterable(pairs[k][1] for k in range(len(pairs)) if k not in pair),
        }
        x, y, result, products = (
            math.prod(sizes[n] for n in names) for names in (xs, ys, (xs | ys) & others, xs | ys)
        )
        return products, result - x - y, pair

    return min(itertools.combinations(range(len(pairs)), 2), key=cost)
