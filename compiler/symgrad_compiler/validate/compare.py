"""Two results for the same arguments, compared by the class of what lies between them.

exact      the same bits; any NaN equals any NaN
rounding   within what rounding may do (`noise`); NaN and infinities where they were. Where arguments are so
           large or small that products leave the range of floats, only numbers are compared
stable     where the first is finite, as rounding; it may be finite where the first is not; no new NaN.
           Integers and booleans may differ: numbers that roundings made equal decide them otherwise
fast       ordinary arguments only, and only where both are finite
"""

from __future__ import annotations

from collections.abc import Callable

import numpy

from symgrad.records import record
from symgrad_compiler.validate.interpret import Array
from symgrad_compiler.validate.noise import ULPS, Estimate

KINDS = ("exact", "rounding", "stable", "fast")


@record
class Verdict:
    """Where two results disagree most: the place, both values, and how far apart they may be (None: not at
    all)."""

    place: tuple[int, ...]
    before: object
    after: object
    allowed: float | None


def agree(
    kind: str,
    before: Array,
    after: Array,
    estimate: Callable[[], Estimate],
    *,
    again: Callable[[], Estimate] | None = None,
    ordinary: bool = True,
    moderate: bool = True,
) -> Verdict | None:
    """None where `after` may stand for `before`; else where it may not.

    Args:
        kind: "exact", "rounding", "stable" or "fast".
        before, after: of one shape and dtype.
        estimate: makes the estimate of `before`, when it is needed.
        again: makes one of many more runs, which is asked before anything is said to be wrong: where
            rounding decides a comparison, a few runs may all decide alike.
        ordinary, moderate: what the arguments are, see `inputs.Arguments`.

    >>> import numpy
    >>> a, b = numpy.array([0.0, 1.0]), numpy.array([-0.0, 1.0])
    >>> agree("exact", a, b, estimate=None).place
    (0,)
    """
    same = same_bits(before, after)
    if same.all() or (kind == "fast" and not ordinary):
        return None
    if kind == "exact":
        return _verdict(~same, before, after, None)
    if (same | within_ulps(before, after)).all():  # whatever the estimate is
        return None
    verdict = _by(estimate(), kind, before, after, same, moderate)
    if verdict is not None and again is not None:
        verdict = _by(again(), kind, before, after, same, moderate)
    return verdict


def _by(
    known: Estimate, kind: str, before: Array, after: Array, same: Array, moderate: bool
) -> Verdict | None:
    """What an estimate says of results that differ, other than where they are the same."""
    if before.dtype.kind not in "fc":
        if kind == "stable":  # what decided it may not have been accurate: log(1 + exp(-40)) is 0, a tie
            return None
        return _verdict(~same & (known.spread == 0), before, after, None) if moderate else None
    with numpy.errstate(all="ignore"):
        distance = numpy.abs(before - after).astype(numpy.float64)
        close = same | (before == after) | (distance <= known.allowed) | numpy.isinf(known.spread)
    finite, still = numpy.isfinite(before), numpy.isfinite(after)
    # Which parts of an infinite complex product are NaN depends on how it is written.
    undefined = ~finite & ~still & (before.dtype.kind == "c")
    close |= undefined
    if kind == "fast":
        wrong = ~close & finite & still
    elif kind == "stable":
        new_nan = numpy.isnan(after) & ~numpy.isnan(before) & ~known.may_be_nan
        new_nan &= (moderate | numpy.isfinite(known.spread)) & ~undefined
        wrong = (~close & finite) | new_nan
    elif moderate:
        wrong = ~close
    else:
        leaves = ~finite | ~still | (before == 0) | (after == 0)
        wrong = ~close & ~leaves
    return _verdict(wrong, before, after, known.allowed)


def same_bits(a: Array, b: Array) -> Array:
    """Element by element: equal, zeros of one sign, or both NaN. Complex numbers by their parts."""
    if a.dtype.kind == "c":
        return numpy.asarray(same_bits(a.real, b.real) & same_bits(a.imag, b.imag))
    if a.dtype.kind != "f":
        return numpy.asarray(a == b)
    equal = (a == b) & (numpy.signbit(a) == numpy.signbit(b))
    return numpy.asarray(equal | (numpy.isnan(a) & numpy.isnan(b)))


def within_ulps(a: Array, b: Array) -> Array:
    """Element by element: finite floats no further apart than `Estimate.allowed` allows any two."""
    if a.dtype.kind not in "fc":
        return numpy.zeros(a.shape, bool)
    with numpy.errstate(all="ignore"):
        close = numpy.abs(a - b) <= ULPS * numpy.finfo(a.dtype).eps * numpy.abs(a)
    return numpy.asarray(close & numpy.isfinite(a) & numpy.isfinite(b))


def _verdict(wrong: Array, before: Array, after: Array, allowed: Array | None) -> Verdict | None:
    """The wrong element whose values are furthest apart."""
    if not wrong.any():
        return None
    with numpy.errstate(all="ignore"):
        distance = numpy.abs(before.astype(numpy.complex128) - after.astype(numpy.complex128))
    distance = numpy.where(numpy.isnan(distance), numpy.inf, distance)
    flat = int(numpy.argmax(numpy.where(wrong, distance, -1)))
    place = tuple(int(i) for i in numpy.unravel_index(flat, before.shape))
    return Verdict(place, before[place], after[place], None if allowed is None else float(allowed[place]))
