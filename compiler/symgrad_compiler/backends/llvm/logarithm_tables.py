"""Logarithms by tables in registers: log(x) = k ln(2) - log(c) + log(1 + r) with r = m c - 1, where m is x
over 2^k in [3/4, 3/2) and c, of few digits, is 1 / m for one of 16 intervals. No division; 0, infinities, NaN
and subnormals come right without being asked for.

Around 1 both k and log(c) are 0, and r is x - 1. k ln(2) - log(c) is a sum of a number of at most 52 digits,
which is exact, and a small rest.
"""

from __future__ import annotations

from symgrad.ops import fits
from symgrad.records import record
from symgrad_compiler.backends.llvm.ir import Value
from symgrad_compiler.backends.llvm.pieces import like, two_sum
from symgrad_compiler.backends.llvm.registers import exponent, lookup, mantissa, scalef
from symgrad_compiler.backends.llvm.scalars import Code

#: c, for the intervals of 1/16 from 1 and of 1/32 from 3/4 on
_INVERSES = (
    1.0, 0.9375, 0.875, 0.828125, 0.78125, 0.75, 0.71875, 0.6875, 1.3125, 1.25, 1.203125, 1.15625, 1.125,
    1.078125, 1.046875, 1.0,
)  # fmt: skip
#: -log(c): to 2^-41, and the rest
_LOGS = (
    0.0, 0.06453852113736502, 0.13353139262471814, 0.1885911698077507, 0.2468600779316148,
    0.28768207245184385, 0.33024168687052224, 0.37469344944156546, -0.2719337154835557,
    -0.22314355131402408, -0.1849223384938341, -0.14518200984457508, -0.11778303565643,
    -0.07522342123775161, -0.0458095360313564, 0.0,
)  # fmt: skip
_LOGS_LOW = (
    0.0, 2.0614806739842207e-13, -1.9551393909415374e-13, -2.0068024386521625e-13, -8.899851356560444e-14,
    -6.292357389008195e-14, 5.4612144489920215e-14, -1.5476901394397567e-13, -8.604306772808733e-14,
    -1.856757095979601e-13, -1.7788850778198106e-13, 7.718001336828099e-14, 4.654729747598445e-14,
    1.6408301585598662e-13, 6.219834199475792e-14, 0.0,
)  # fmt: skip
#: The same over log(2) and over log(10)
_LOG2S = (
    0.0, 0.0931094043912708, 0.1926450779424158, 0.2720795454370091, 0.3561438102251486, 0.4150374992786965,
    0.47643804394283507, 0.5405683813628457, -0.3923174227788877, -0.3219280948874257, -0.2667865406947385,
    -0.20945336562908778, -0.16992500144215228, -0.1085244567780137, -0.06608919045766015, 0.0,
)  # fmt: skip
_LOG2S_LOW = (
    0.0, 2.1067041511468125e-13, -1.9917399279874596e-14, -2.0825307466611057e-13, 1.266771905137232e-13,
    1.4733181985781966e-13, 1.520621696507556e-13, -1.4294083388465032e-13, 1.2741442057794507e-13,
    6.33385952568616e-14, -1.6285823316452491e-13, 1.3800246976244608e-13, -1.600837111708248e-13,
    -1.5535336137788884e-13, -1.1228105090517402e-13, 0.0,
)  # fmt: skip
_LOG10S = (
    0.0, 0.028028723600073135, 0.05799194697783605, 0.081904104383284, 0.10720996964801088,
    0.12493873660832833, 0.14342214230237005, 0.16272729749789505, -0.11809931207790214,
    -0.09691001300825519, -0.08031075118879016, -0.06305174574708872, -0.051152522447409865,
    -0.032669116753368144, -0.0198948287170424, 0.0,
)  # fmt: skip
_LOG10S_LOW = (
    0.0, 1.704033157336213e-13, -1.492958626654861e-13, -1.8586757982890465e-13, -1.4251675130753334e-13,
    -2.8373705641129622e-14, -5.695092715108574e-14, -1.95311387622508e-13, -9.234612513604464e-14,
    1.9877702137475092e-13, 1.954635437690411e-13, -3.0414152859579186e-16, 2.857603188831182e-14,
    -1.1896216442983238e-18, 1.0313810063147965e-13, 0.0,
)  # fmt: skip

#: (log(1 + r) - r) / r^2 for -1/32 <= r <= 1/16
_LOG = (
    -0.49999999999999994, 0.33333333333340287, -0.2500000000009317, 0.1999999995328674,
    -0.16666665870721806, 0.1428579138027727, -0.12501839998216407, 0.11081912861679763, -0.088437987998088,
)  # fmt: skip
_LOG_SINGLE = (
    -0.49999999812357077, 0.33333335909989725, -0.25001214127388105, 0.20005143422836122,
    -0.15626156487649875,
)  # fmt: skip
#: (log(1 + r) - r + r^2/2) / r^3
_LOG_CUBIC = (
    0.3333333333333333, -0.25000000000006367, 0.20000000000085377, -0.16666666623882906,
    0.14285713556435542, -0.12500070605404237, 0.11112796808946702, -0.09973268871285426, 0.080317871749449,
)  # fmt: skip


@record
class Logarithm:
    """log(x) = high + log(1 + r) + low."""

    high: Value
    low: Value
    r: Value
    m: Value
    c: Value

    def polynomial(self, b: Code, single: bool) -> Value:
        """(log(1 + r) - r) / r^2"""
        return b.polynomial(self.r, _LOG_SINGLE if single else _LOG)

    def sum(self, b: Code, single: bool) -> Value:
        """log(x); |high| is 0 or larger than |r|."""
        square = b.multiply(self.r, self.r)
        near = b.fma(square, self.polynomial(b, single), self.low)
        total = b.add(self.high, self.r)
        if not single:
            near = b.add(near, _lost(b, self.high, self.r, total))
        return b.add(total, near)


def _lost(b: Code, x: Value, y: Value, total: Value) -> Value:
    """What rounding lost of total = x + y, where x is 0 or larger than y; some number where x is infinite."""
    lost = b.add(b.subtract(x, total), y)
    return b.select(b.less(lost, like(x, 1)), lost, like(x, 1))


def split(b: Code, x: Value) -> tuple[Value, Value]:
    """x = m 2^k: (m, k as a float)."""
    m = mantissa(b, x)
    return m, b.subtract(exponent(b, x), exponent(b, m))


def reduce(b: Code, m: Value, k: Value, base: str = "e", lost: Value | None = None) -> Logarithm:
    """The parts of the logarithm of m 2^k + lost 2^k to a base."""
    high, low, two = _BASES[base]
    index = b.shift_right(b.bits(m, "u64"), 48)
    c = lookup(b, index, _INVERSES, "f64")
    r = b.fma(m, c, like(m, -1))
    r = r if lost is None else b.fma(lost, c, r)
    first = b.fma(k, like(m, two[0]), lookup(b, index, high, "f64"))
    rest = lookup(b, index, low, "f64")
    rest = b.fma(k, like(m, two[1]), rest) if two[1] else rest
    return Logarithm(first, rest, r, m, c)


#: The logarithms of 1 / c to a base, and that of 2 as two numbers of one sign, which infinity may multiply.
_BASES = {
    "e": (_LOGS, _LOGS_LOW, fits.LN2),
    "2": (_LOG2S, _LOG2S_LOW, (1.0, 0.0)),
    "10": (_LOG10S, _LOG10S_LOW, (0.3010299955494702, 1.1451100898021838e-10)),
}


def log_by_table(b: Code, x: Value, single: bool) -> Value:
    """log(x)"""
    return reduce(b, *split(b, x)).sum(b, single)


def log1p_by_table(b: Code, x: Value, single: bool) -> Value:
    """log of u = 1 + x; what rounding that sum lost goes into r."""
    u, lost = two_sum(b, like(x, 1), x)
    m, k = split(b, u)
    lost = scalef(b, lost, b.negative(k))
    # u may be 0 or infinite
    lost = b.select(b.less(b.call("absolute", lost), like(x, 1)), lost, like(x, 0))
    return b.call("copysign", reduce(b, m, k, lost=lost).sum(b, single), x)


def log_to_base_by_table(b: Code, x: Value, inverse: tuple[float, float], base: str) -> Value:
    """log(x) / log(base), from 1 / log(base) as two numbers."""
    parts = reduce(b, *split(b, x), base)
    factor = like(x, inverse[0])
    square = b.multiply(parts.r, parts.r)
    high = b.multiply(parts.r, factor)
    low = b.fma(parts.r, like(x, inverse[1]), b.fma(parts.r, factor, b.negative(high)))
    low = b.fma(b.multiply(square, parts.polynomial(b, False)), factor, b.add(low, parts.low))
    total = b.add(parts.high, high)
    return b.add(total, b.add(low, _lost(b, parts.high, high, total)))


def log_pair_by_table(b: Code, x: Value) -> tuple[Value, Value]:
    """log(x) for positive finite x as a sum of two floats, to about 2^-65."""
    parts = reduce(b, *split(b, x))
    product = b.multiply(parts.m, parts.c)
    r_low = b.fma(parts.m, parts.c, b.negative(product))
    r = b.subtract(product, like(x, 1))
    square = b.multiply(r, r)
    square_low = b.fma(b.add(r, r), r_low, b.fma(r, r, b.negative(square)))
    cubic = b.multiply(b.multiply(square, r), b.polynomial(r, _LOG_CUBIC))
    half = like(x, -0.5)
    high, lost = two_sum(b, parts.high, r)
    high, again = two_sum(b, high, b.multiply(square, half))
    rest = b.add(b.add(lost, again), b.add(b.fma(square_low, half, r_low), parts.low))
    rest = b.add(rest, cubic)
    total = b.add(high, rest)
    return total, b.add(b.subtract(high, total), rest)
