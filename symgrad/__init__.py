"""symgrad: a symbol-to-symbol differentiation compiler.

Build a static graph of symbolic tensors, add the graph of its gradient, read both as text, compile, call.

    import symgrad as sg

    x = sg.scalar("x")
    y = sg.tanh(x) ** 2
    dy = sg.grad(y, x)
    f = sg.function([x], [y, dy])

The public names load on first use (PEP 562): `import symgrad` by itself is fast and imports NumPy at most.
"""

from __future__ import annotations

import importlib
from typing import Any

__version__ = "0.1.0"

_MODULES: dict[str, str] = {
    "symgrad.errors": "SymgradError ShapeError DTypeError GraphError GradientError GradientTypeError "
    "GradientShapeError AxisError KeyShapeError IndexRangeError NameNotFoundError DisconnectedInputError "
    "ParseError CompileError InputError ExecutionError LinAlgError",
    "symgrad.dims": "size assume_equal Size",
    "symgrad.types": "dtype DType",
    "symgrad.ir.tensor": "Tensor",
    "symgrad.ir.graph": "Graph",
    "symgrad.text": "emit parse save load",
    "symgrad.ops.create": "tensor scalar vector matrix constant shared zeros ones full zeros_like "
    "ones_like full_like arange empty empty_like",
    "symgrad.ops.cast": "astype stop_gradient",
    "symgrad.ops.shape": "reshape permute_dims matrix_transpose moveaxis expand_dims squeeze broadcast_to",
    "symgrad.ops.compare": "equal not_equal less less_equal greater greater_equal isnan isfinite isinf "
    "signbit logical_and logical_or logical_xor logical_not",
    "symgrad.ops.select": "where maximum minimum relu clip",
    "symgrad.ops.arithmetic": "add subtract multiply divide negative reciprocal square sqrt abs sign "
    "floor floor_divide remainder log fabs bitwise_and bitwise_or bitwise_xor bitwise_invert "
    "bitwise_left_shift bitwise_right_shift positive rsqrt cbrt ceil trunc round nextafter copysign",
    "symgrad.ops.transcendental": "exp expm1 log1p sin cos tan sinh cosh tanh sech_squared sigmoid "
    "softplus logaddexp log_sigmoid exp2 log2 log10",
    "symgrad.ops.complexes": "real imag conj complex isreal iscomplex",
    "symgrad.ops.polar": "angle",
    "symgrad.ops.join": "concat stack unstack split array_split",
    "symgrad.ops.indexing": "take take_along_axis one_hot",
    "symgrad.ops.update": "put_along_axis segment_sum segment_prod segment_max segment_min bincount",
    "symgrad.ops.sort": "sort argsort topk searchsorted",
    "symgrad.ops.cumulative": "cumulative_sum cumulative_prod cumulative_max cumulative_min cumsum cumprod",
    "symgrad.ops.reduce": "sum prod max min argmax argmin",
    "symgrad.ops.truth": "any all count_nonzero",
    "symgrad.ops.softmax": "logsumexp softmax log_softmax",
    "symgrad.ops.statistics": "mean var std median quantile",
    "symgrad.ops.norms": "vector_norm matrix_norm norm",
    "symgrad.ops.contract": "matmul tensordot vecdot outer inner dot vdot kron",
    "symgrad.ops.einsum": "einsum",
    "symgrad.ops.windows": "sliding_windows",
    "symgrad.ops.convolve": "conv1d conv2d conv3d conv_transpose1d conv_transpose2d conv_transpose3d",
    "symgrad.ops.pooling": "max_pool1d max_pool2d max_pool3d avg_pool1d avg_pool2d avg_pool3d",
    "symgrad.ops.power": "pow float_power",
    "symgrad.ops.inverse": "asin acos atan asinh acosh atanh atan2 hypot",
    "symgrad.ops.special": "erf erfc erfinv ndtr log_ndtr inverse_mills gammaln digamma polygamma xlogy "
    "xlog1py logit sinc leaky_relu elu gelu silu hard_tanh",
    "symgrad.ops.rearrange": "swapaxes ravel atleast_1d atleast_2d broadcast_arrays broadcast_shapes flip "
    "roll tile repeat",
    "symgrad.ops.padding": "pad",
    "symgrad.ops.diagonals": "diagonal diag tril triu tri eye identity",
    "symgrad.ops.grids": "asarray linspace meshgrid",
    "symgrad.ops.dtypes": "bool int8 int16 int32 int64 uint8 uint16 uint32 uint64 float32 float64 complex64 "
    "complex128 pi e inf nan newaxis isdtype can_cast result_type finfo iinfo __array_namespace_info__ "
    "__array_api_version__",
    "symgrad.ops.assume": "assume",
    "symgrad.api.differentiate": "grad value_and_grad vjp pullback grad_table",
    "symgrad.api.jacobians": "jvp pushforward jacobian hessian hvp",
    "symgrad.api.trace": "trace",
    "symgrad.api.vmap": "vmap",
    "symgrad.api.custom": "custom_vjp custom_jvp checkpoint custom_root",
    "symgrad.api.compile": "function set_backend",
    "symgrad_runtime.threads": "set_num_threads get_num_threads",
    "symgrad.api.optimize": "optimize explain",
    "symgrad.api.history": "why",
    "symgrad.check": "check_grad",
}
_ALIASES = {
    "concatenate": "concat",
    "transpose": "permute_dims",
    "power": "pow",
    "conjugate": "conj",
    "true_divide": "divide",
    "absolute": "abs",
    "expit": "sigmoid",
    "amax": "max",
    "amin": "min",
    "arcsin": "asin",
    "arccos": "acos",
    "arctan": "atan",
    "arctan2": "atan2",
    "arcsinh": "asinh",
    "arccosh": "acosh",
    "arctanh": "atanh",
    "rint": "round",
    "around": "round",
    "mod": "remainder",
    "invert": "bitwise_invert",
    "bitwise_not": "bitwise_invert",
    "left_shift": "bitwise_left_shift",
    "right_shift": "bitwise_right_shift",
    "cummax": "cumulative_max",
    "cummin": "cumulative_min",
    "psi": "digamma",
    "log_expit": "log_sigmoid",
    "swish": "silu",
}
_WHERE = {name: module for module, names in _MODULES.items() for name in names.split()}
#: Namespaces, each a module of its own.
_NAMESPACES = {
    "fft": "symgrad.fft",
    "interop": "symgrad.interop",
    "linalg": "symgrad.linalg",
    "nn": "symgrad.nn",
    "passes": "symgrad_compiler.passes",
    "rewrite": "symgrad_compiler.rewrite",
    "special": "symgrad.special",
}

__all__ = [*_WHERE, *_ALIASES, *_NAMESPACES]  # noqa: PLE0604  (a computed list of names)


def __getattr__(name: str) -> Any:
    target = _ALIASES.get(name, name)
    if target in _WHERE:
        importlib.import_module("symgrad.api.language")
        value = getattr(importlib.import_module(_WHERE[target]), target)
    elif name in _NAMESPACES:
        importlib.import_module("symgrad.api.language")
        value = importlib.import_module(_NAMESPACES[name])
    else:
        raise AttributeError(f"module 'symgrad' has no attribute {name!r}")
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
