"""What neural networks are made of, as the namespace `symgrad.nn`; all of it is in `symgrad` as well.

convolutions    conv1d, conv2d, conv3d, conv_transpose1d, conv_transpose2d, conv_transpose3d
pooling         max_pool1d, max_pool2d, max_pool3d, avg_pool1d, avg_pool2d, avg_pool3d
activations     relu, leaky_relu, elu, gelu, silu, hard_tanh, sigmoid, log_sigmoid, softplus, tanh
probabilities   softmax, log_softmax, logsumexp, one_hot
"""

from __future__ import annotations

from symgrad.ops.convolve import (
    conv1d,
    conv2d,
    conv3d,
    conv_transpose1d,
    conv_transpose2d,
    conv_transpose3d,
)
from symgrad.ops.indexing import one_hot
from symgrad.ops.pooling import avg_pool1d, avg_pool2d, avg_pool3d, max_pool1d, max_pool2d, max_pool3d
from symgrad.ops.select import relu
from symgrad.ops.softmax import log_softmax, logsumexp, softmax
from symgrad.ops.special import elu, gelu, hard_tanh, leaky_relu, silu
from symgrad.ops.transcendental import log_sigmoid, sigmoid, softplus, tanh

__all__ = [
    "avg_pool1d",
    "avg_pool2d",
    "avg_pool3d",
    "conv1d",
    "conv2d",
    "conv3d",
    "conv_transpose1d",
    "conv_transpose2d",
    "conv_transpose3d",
    "elu",
    "gelu",
    "hard_tanh",
    "leaky_relu",
    "log_sigmoid",
    "log_softmax",
    "logsumexp",
    "max_pool1d",
    "max_pool2d",
    "max_pool3d",
    "one_hot",
    "relu",
    "sigmoid",
    "silu",
    "softmax",
    "softplus",
    "tanh",
]
