"""Special functions under SciPy's names: `sg.special.erfc` on tensors is what SciPy's is on arrays."""

from symgrad.ops.arithmetic import cbrt
from symgrad.ops.softmax import log_softmax, logsumexp, softmax
from symgrad.ops.special import (
    digamma,
    entr,
    erf,
    erfc,
    erfinv,
    gammaln,
    inverse_mills,
    log_ndtr,
    logit,
    ndtr,
    polygamma,
    sinc,
    xlog1py,
    xlogx,
    xlogy,
)
from symgrad.ops.transcendental import exp2, expm1, log1p, log_sigmoid, logaddexp, sigmoid, softplus

expit = sigmoid
log_expit = log_sigmoid
psi = digamma

__all__ = [
    "cbrt",
    "digamma",
    "entr",
    "erf",
    "erfc",
    "erfinv",
    "exp2",
    "expit",
    "expm1",
    "gammaln",
    "inverse_mills",
    "log1p",
    "log_expit",
    "log_ndtr",
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
