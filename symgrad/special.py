"""Special functions under SciPy's names: `sg.special.erfc` on tensors is what SciPy's is on arrays."""

from symgrad.ops.softmax import log_softmax, logsumexp, softmax
from symgrad.ops.special import (
    digamma,
    entr,
    erf,
    erfc,
    erfinv,
    gammaln,
    logit,
    ndtr,
    polygamma,
    sinc,
    xlog1py,
    xlogx,
    xlogy,
)
from symgrad.ops.transcendental import expm1, log1p, log_sigmoid, logaddexp, sigmoid, softplus

expit = sigmoid
log_expit = log_sigmoid
psi = digamma

__all__ = [
    "digamma",
    "entr",
    "erf",
    "erfc",
    "erfinv",
    "expit",
    "expm1",
    "gammaln",
    "log1p",
    "log_expit",
    "log_softmax",
    "logaddexp",
    "logit",
    "logsumexp",
    "ndtr",
    "polygamma",
    "psi",
    "sinc",
    "softmax",
    "softplus",
    "xlog1py",
    "xlogx",
    "xlogy",
]
