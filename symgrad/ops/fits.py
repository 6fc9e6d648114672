"""Fits of the special functions: polynomials in double precision that both backends evaluate.

Each row says which quotient it fits, in which variable and where. Coefficients go from the constant upwards;
they are Chebyshev interpolants, computed with 50 digits, and within a unit of the rounding of their terms.
Half-infinite ranges are mapped to [-1, 1] by x -> 1 - 2 c / (x + c).
"""

from __future__ import annotations

from fractions import Fraction
from functools import cache
from itertools import zip_longest
from math import factorial, pi, prod

#: ln(2) as a number of 32 bits, whose products with exponents are exact, and the rest as two numbers.
LN2 = (0.6931471803691238, 1.9082149292705877e-10, 1.1612227229362532e-26)
#: 1/6 as two numbers.
SIXTH = (0.16666666666666666, 9.25185853854297e-18)
#: 1 / k! from k = 4 on: exp(r) - 1 - r - r^2/2 - r^3/6 = r^4 (...), to 1e-20 r for |r| <= ln(2)/2
EXP_TAIL = tuple(1 / factorial(k) for k in range(4, 17))
#: Where log(e^x + e^y) may be near 0, so that its terms cancel: larger operands from here to 0.
CANCELS_FROM = -1.5
#: Nearer to 0 the plain sum is taken, whose error is below 1e-295.
CANCELS_TO = -1e-280
#: Below, e^y adds nothing that matters there.
LEAST_EXPONENT = -700.0

#: erf(x) / x - 1 in x^2, for |x| <= 0.85
ERF = (
    0.12837916709551256, -0.3761263890318335, 0.11283791670932594, -0.026866170640255645,
    0.00522397757126982, -0.0008548323506677763, 0.00012055190337021296, -1.4921921653420798e-05,
    1.6399123262977372e-06, -1.5697115571004142e-07, 1.0675693706713948e-08,
)  # fmt: skip

#: (1 + 2 x) exp(x^2) erfc(x) in 1 - 8 / (x + 4), for x >= 0
ERFC = (
    1.2329951186255526, -0.13962111684056228, 0.015379652102619974, 0.06809705425466839,
    -0.10103906603631811, 0.09373283499911264, -0.06633036581186058, 0.037167515526338006,
    -0.01619773406293477, 0.005031970069102256, -0.0007577732435942576, -0.0001992571524726518,
    0.00015062142608651945, -2.4397731143023292e-05, -1.1221135665965907e-05, 5.70657829924074e-06,
    2.9173425573089733e-07, -8.210647933297337e-07, 7.771943241086912e-08, 1.0631817593818149e-07,
    -2.0725802488181963e-08, -1.2338731403798444e-08, 3.2323973445082033e-09, 9.297625263709659e-10,
    -2.764120233734578e-10,
)  # fmt: skip

#: log(gamma(2 + f)) / f, for -3/4 <= f <= 1/2
GAMMALN = (
    0.42278433509846713, 0.3224670334241132, -0.06735230105319803, 0.020580808427784605,
    -0.007385551028681512, 0.002890510330735603, -0.0011927539113632116, 0.0005096695250613079,
    -0.00022315476626183224, 9.94575037206372e-05, -4.492613417222439e-05, 2.050735916377729e-05,
    -9.440295643329289e-06, 4.373455647232756e-06, -2.035450933367171e-06, 9.634073192949235e-07,
    -4.5855335925043413e-07, 1.8327792622502426e-07, -9.423130042125474e-08, 1.0227175181175715e-07,
    -2.4687569244652835e-09, -3.150027782334188e-08, -3.9681207194105607e-08,
)  # fmt: skip

#: x (log(gamma(x)) - (x - 1/2) (log(x) - 1) - (log(2 pi) - 1) / 2) in 1/x^2, for x >= 5.5
STIRLING = (
    0.08333333333333333, -0.0027777777777648043, 0.0007936507853393013, -0.0005952360502696809,
    0.0008415009114331926, -0.0019006195721743896, 0.00575236174710752, -0.014943146527973733,
)  # fmt: skip

#: (exp(digamma(x)) - 1) / (x - x0), x0 its positive zero, in 1 - 3 / (x + 1/2), for x >= 1
DIGAMMA = (
    0.9824258711756046, 0.023562073932691628, -0.0073341466679901065, 0.0014757108855955469,
    -0.00011015284244352482, -2.5690899074543557e-05, 7.210170149767851e-06, -1.2241407713062541e-06,
    3.721472062795538e-07, -1.185656479302058e-08, -6.7045193500947735e-09, -3.826286270999567e-09,
    -1.6480288708127282e-09, -2.0196925676562236e-11, 1.389483362339682e-10, 1.1577702832831524e-10,
    5.0657644743414384e-11, 3.5941828435234266e-12, -1.0457997983132388e-11, -3.891336682472792e-12,
)  # fmt: skip

#: The positive zero of digamma, as a sum.
DIGAMMA_ZERO = (1.4616321449683622, 9.549995429965697e-17)

#: erfinv(x) / x in w = -log(1 - x^2), for w <= 5: a start for one step of Halley
ERFINV = (
    0.8862269242011682, 0.23201371276215604, 0.011549165116928104, -0.0023352705948701527,
    -0.00012653947431268868, 4.404880432626899e-05, 4.150663236592616e-06, -2.0082713391637707e-06,
    2.243043015262031e-07, -8.931925970244222e-09,
)  # fmt: skip

#: erfinv(x) in sqrt(w), for the others below 1
ERFINV_TAIL = (
    -0.13288833444049603, 1.3144469910936154, -0.5852866963593809, 0.45380490856899613, -0.2043407365867007,
    0.05959288043020344, -0.011679603622892092, 0.0015356744670416457, -0.0001303624051726752,
    6.471953004749413e-06, -1.429665022136679e-07,
)  # fmt: skip

#: (sin(pi f) - pi f) / f^3 in f^2, for |f| <= 1/4
SIN_PI = (
    -5.16771278004997, 2.550164039877345, -0.5992645293206478, 0.08214588659727676, -0.0073704303122948235,
    0.0004662879326147481, -2.1742067342478005e-05,
)  # fmt: skip

#: (cos(pi f) - 1) / f^2 in f^2
COS_PI = (
    -4.934802200544679, 4.058712126416765, -1.3352627688538095, 0.23533063028399223, -0.025806887964701878,
    0.001929493874894941, -0.00010370082971594627,
)  # fmt: skip


def _laplace(terms: int) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """1 / (1 + 2 u / (1 + 3 u / (1 + ... terms u))) as a quotient of two polynomials in u."""
    top, bottom = [1], [1]
    for k in range(terms, 1, -1):
        longer = [a + k * b for a, b in zip_longest([*top, 0], [0, *bottom], fillvalue=0)]
        top, bottom = longer, top
    return tuple(float(c) for c in bottom if c), tuple(float(c) for c in top if c)


#: a (ndtr'(a) / ndtr(-a) - a) in u = 1 / a^2, for a >= MILLS_FROM: Laplace's continued fraction of the normal
#: tail, without its first term (Abramowitz and Stegun, 26.2.14).
MILLS_TOP, MILLS_BOTTOM = _laplace(33)
MILLS_FROM = 5.0

# ---- derivatives that cancel beside a zero: expanded in the distance from it ------------------------------
#
# Zeros are sums of two numbers, so that x minus the first is exact beside it and the distance has all its digits.

#: The zero of 1 + log(x): 1 / e.
XLOGX_ZERO = (0.36787944117144233, -1.2428753672788363e-17)
#: The zero of the derivative of silu, of 1 + x + exp(x); and the exponential there.
SILU_ZERO = (-1.2784645427610737, -1.0946994183093437e-16)
SILU_EXP = 0.2784645427610738
#: Below minus this, x sigmoid(x) is 0; and so are x ndtr(x) and what approximates it.
SILU_END, GELU_END = 800.0, 40.0
#: The zero of the derivative of x ndtr(x), and that derivative over the distance d from it, in d, |d| <= NEAR.
NEAR = 0.76
GELU_ZERO = (-0.7517915246935645, 1.4956759177009883e-17)
GELU = (
    0.43149399231404695, 0.388284982990552, -0.018199676398671302, -0.11400823329722173,
    -0.01477152214823195, 0.01942167983819039, 0.00453922837885057, -0.0022395380681028954,
    -0.0007448268355760048, 0.0001863397465639864, 8.615945852705306e-05, -1.1214382340040209e-05,
    -7.74838194803713e-06, 4.3285357633165693e-07, 5.700819581115493e-07, -1.6253435527241198e-09,
    -3.517031063425978e-08, -1.3656900549658217e-09, 1.6617864499356693e-09, 1.1880764128925064e-10,
)  # fmt: skip
#: The same for x sigmoid(z), z = TANH_SCALE (x + TANH_CUBIC x^3); the scale is sqrt(8 / pi).
GELU_TANH_ZERO = (-0.7524614220710163, 3.635560509207687e-17)
GELU_TANH = (
    0.4304000910248585, 0.38751844613578895, -0.01578285352184857, -0.11394448308095893,
    -0.016619328343015025, 0.019682309459828955, 0.005261059253904847, -0.0024227318457623933,
    -0.0009274420088642454, 0.0002639276389604426, 0.00012425216282135402, -3.495615897508033e-05,
    -1.5950310500726284e-05, 5.918547177799388e-06, 2.431625252127981e-06, -9.896537682138047e-07,
    -4.269236796005113e-07, 1.411296618656744e-07, 6.969117510617247e-08, -1.6385978394430942e-08,
    -7.58780208352445e-09, 1.305825479231955e-09,
)  # fmt: skip
#: 1 / sqrt(2 pi)
NORMAL_SCALE = (0.3989422804014327, -2.49232720227773e-17)
TANH_SCALE = (1.5957691216057308, -9.96930880911092e-17)
TANH_CUBIC = (0.044715, 2.1960211427085595e-18)
#: The zeros of the derivative of sinc up to 4, and that derivative over the distance f from each, in f, |f| <= 1/8.
SINC_ZEROS = (
    ((1.4302966531242027, 2.5173451966260676e-17), (
        2.1440099730580826, -1.498996706994254, -2.129379002370901, 1.2445215389332644,
        0.696246722369639, -0.36511577212384416, -0.11723351756312157, 0.05646799255767868,
        0.012194635541438811, -0.005459003334757639, -0.0008642461137856349, 0.00036229364474307097,
    )),
    ((2.459024032956761, 1.8290102056584814e-16), (
        -1.2670060584670955, 0.5152475297053651, 1.804763635877242, -0.7055316111089648,
        -0.684184214170422, 0.2548983443595968, 0.12321704449825098, -0.044086071999033714,
        -0.013209129758468654, 0.004561609251706551, 0.0009465040006312063, -0.000316518807319201,
    )),
    ((3.47088972434702, -3.9889161264824234e-17), (
        0.9013436237128283, -0.25968662080798277, -1.3828928871432977, 0.39124072172566077,
        0.5963941565971891, -0.16533225918530517, -0.11749411645527247, 0.03189074627474134,
        0.013359195719613966, -0.003554795970654044, -0.000994861349722787, 0.00025988281418186826,
    )),
)  # fmt: skip

# ---- series ----------------------------------------------------------------------------------------------

#: pi to twice the digits of a float.
PI = Fraction(pi) + Fraction(1.2246467991473532e-16)
#: B_2, B_4, ...: Bernoulli's numbers.
BERNOULLI = tuple(
    Fraction(p, q)
    for p, q in ((1, 6), (-1, 30), (1, 42), (-1, 30), (5, 66), (-691, 2730), (7, 6), (-3617, 510))
)


def sinc_near(order: int) -> float:
    """Below this |pi x| the derivative of sinc is summed as a series, beyond by recurrence.

    With j = sin(u) / u, the derivatives of u j = sin(u) give u j^(n) = sin(u + n pi/2) - n j^(n-1): an error in
    j grows by n! / u^n, which is below 1 from here on.
    """
    return max(2.0, order / 2 + 1)


@cache
def sinc_series(order: int) -> tuple[float, ...]:
    """The coefficients, in x^2, of the derivative of sinc, or of that over x where the order is odd.

    sinc(x) = sum (-1)^m (pi x)^(2m) / (2m+1)!
    """
    found = []
    m = -(-order // 2)
    while True:
        power = 2 * m - order
        term = (-1) ** m * PI ** (2 * m) / ((2 * m + 1) * factorial(power))
        found.append(float(term))
        if abs(float(term)) * (sinc_near(order) / pi) ** power < 1e-18 * pi**order:
            return tuple(found)
        m += 1


def polygamma_shift(order: int) -> int:
    """How many terms of the series of polygamma are summed one by one, before the asymptotic rest."""
    return 10 + order // 2


@cache
def polygamma_rest(order: int) -> tuple[float, ...]:
    """With s = order + 1 and w = x + shift, the sum of 1/(x+i)^s from i = shift on is, by Euler and Maclaurin,

    w^-order (1/order + 1/(2 w) + sum_k B_2k (s)(s+1)...(s+2k-2) / (2k)! w^-2k); here are the factors of w^-2k.
    """
    return tuple(
        float(b * prod(range(order + 1, order + 2 * k)) / factorial(2 * k))
        for k, b in enumerate(BERNOULLI, 1)
    )


@cache
def cotangent_derivative(order: int) -> tuple[float, ...]:
    """(d/dt)^order cot(t) as a polynomial in c = cot(t): P_0 = c, P_(n+1) = -(1 + c^2) P_n'.

    Every other coefficient is 0: these are the rest, in c^2, of P or, where the order is even, of P / c.
    """
    found = [0, 1]
    for _ in range(order):
        slope = [k * a for k, a in enumerate(found)][1:]
        found = [-(a + b) for a, b in zip([*slope, 0, 0], [0, 0, *slope], strict=True)]
    return tuple(map(float, found[(order + 1) % 2 :: 2]))
