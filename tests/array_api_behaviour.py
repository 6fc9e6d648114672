"""What the functions of the array API standard do, as expressions that mean the same in symgrad and NumPy.

In an expression `xp` is the one or the other, and `{}` stands for the function. Functions that are planned
have rows already, which count as soon as the function exists.
"""

from __future__ import annotations

import numpy as np

from tests.array_api_standard import STANDARD

ARRAYS: dict[str, np.ndarray] = {
    "f64": np.array([[0.5, -1.5, 2.0], [3.0, 0.25, -0.75]]),
    "f32": np.array([[0.5, 1.5, 2.0], [3.0, 0.25, 0.75]], np.float32),
    "unit": np.array([[0.5, -0.25, 0.75], [0.125, 0.25, -0.5]]),
    "big": np.array([1.5, 2.0, 3.25]),
    "i8": np.array([[1, -2, 3], [4, 5, 100]], np.int8),
    "u8": np.array([[1, 2, 3], [4, 5, 200]], np.uint8),
    "i32": np.array([[7, -2, 3], [4, 5, 6]], np.int32),
    "i64": np.array([[1, 2, 3], [-4, 5, 6]]),
    "b": np.array([[True, False, True], [False, False, True]]),
    "c64": np.array([1 + 2j, 3 - 1j, 0.5j], np.complex64),
    "v": np.array([1.0, -2.0, 3.0]),
    "sorted_": np.array([0.0, 1.0, 2.0]),
    "w": np.array([2, 0, 1]),
    "odd": np.array([np.nan, np.inf, -np.inf, -0.0, 0.0, 1.5]),
    "empty": np.zeros((0, 3)),
    "one": np.ones((1, 3, 1)),
    "square": np.array([[4.0, 1.0, 0.5], [1.0, 3.0, 0.25], [0.5, 0.25, 2.0]]),
    "many": np.arange(24.0).reshape(2, 3, 4),
}

_FLOATS = ["{}(f64)", "{}(f32)"]
_INTS_TOO = [*_FLOATS, "{}(i64)"]
_NUMBERS = [
    "{}(f64, v)",
    "{}(f32, f32)",
    "{}(i8, i8)",
    "{}(i8, u8)",
    "{}(i32, i64)",
    "{}(f32, 2)",
    "{}(i8, 2)",
]
_MIXED = ["{}(i32, f32)", "{}(i64, 2.5)", "{}(f32, f64)", "{}(2, f32)"]
_BITS = ["{}(i8, i8)", "{}(b, b)", "{}(u8, 3)", "{}(i32, i64)"]
_SHIFTS = ["{}(i8, 1)", "{}(i32, i32 * 0 + 2)", "{}(u8, u8 * 0 + 3)"]
_COMPARE = ["{}(f64, v)", "{}(i8, u8)", "{}(f32, 0.5)", "{}(i32, 3)", "{}(odd, odd)"]
_LOGIC = ["{}(b, b)"]
_AXES = ["{}(f64, axis=0)", "{}(f64, axis=-1, keepdims=True)", "{}(many, axis=(0, -1))", "{}(f32)"]
_REDUCE = [*_AXES, "{}(many, axis=())", "{}(f64, axis=None, keepdims=True)"]

#: Name -> expressions of one value.
BEHAVIOUR: dict[str, list[str]] = {
    **{name: [f"xp.{name}"] for name in ("e", "inf", "nan", "pi", "newaxis")},
    "arange": ["{}(5)", "{}(2, 9, 3)", "{}(9, 0, -2)", "{}(0.5, 3)", "{}(3, dtype=xp.float32)", "{}(5, 2)"],
    "asarray": ["{}([[1, 2], [3, 4]])", "{}(1.5)", "{}(f32, dtype=xp.float64)", "{}(True)", "{}([1, 2.5])"],
    "empty": ["{}((2, 0))"],
    "empty_like": ["{}(empty)"],
    "eye": ["{}(3)", "{}(2, 3, k=-1)", "{}(3, dtype=xp.int8)", "{}(0)"],
    "full": ["{}((2, 3), 1.5)", "{}(3, 2)", "{}((), True)", "{}((2,), 1, dtype=xp.float32)"],
    "full_like": ["{}(i8, 3)", "{}(f32, 1.5)", "{}(i8, 1.5, dtype=xp.float64)"],
    "linspace": [
        "{}(0, 1, 5)",
        "{}(0.0, 1.0, 4, endpoint=False)",
        "{}(0, 2, 3, dtype=xp.float32)",
        "{}(1, 2, 1)",
    ],
    "meshgrid": ["{}(v, big)", "{}(v, w, indexing='ij')[0]", "{}(v, w, indexing='ij')[1]"],
    "ones": ["{}((2, 3))", "{}(3, dtype=xp.bool)"],
    "ones_like": ["{}(i8)", "{}(f32)", "{}(f32, dtype=xp.int64)"],
    "zeros": ["{}((2, 0))", "{}((), dtype=xp.uint8)"],
    "zeros_like": ["{}(u8)", "{}(b)"],
    "tril": ["{}(f64)", "{}(i8, k=1)", "{}(many, k=-1)", "{}(b)"],
    "triu": ["{}(f64)", "{}(i8, k=1)", "{}(many, k=-1)", "{}(b)"],
    "astype": ["{}(f64, xp.int32)", "{}(i8, xp.float32)", "{}(b, xp.float64)", "{}(f64, xp.bool)"],
    "can_cast": ["{}(xp.int8, xp.int16)", "{}(xp.float64, xp.float32)", "{}(xp.uint8, xp.int8)"],
    "finfo": [
        "{}(xp.float32).eps",
        "{}(xp.float64).max",
        "{}(xp.float32).bits",
        "{}(xp.float64).smallest_normal",
    ],
    "iinfo": ["{}(xp.int8).max", "{}(xp.uint64).max", "{}(xp.int64).min", "{}(xp.int32).bits"],
    "isdtype": ["{}(xp.int8, 'integral')", "{}(xp.bool, 'numeric')", "{}(xp.float32, (xp.float64, 'bool'))"],
    "result_type": ["{}(xp.int8, xp.uint8)", "{}(f32, xp.float64)", "{}(f32, 1.0)", "{}(i8, xp.int32)"],
    **{
        name: [f"xp.zeros(2, dtype=xp.{name})"]
        for name in map(str.strip, STANDARD["Data types"].split())
        if name
    },
    **{name: ["{}(unit)", "{}(f32 / 4)"] for name in ("acos", "asin", "atanh")},
    **{
        name: _INTS_TOO
        for name in ("asinh", "atan", "cos", "cosh", "exp", "expm1", "sin", "sinh", "tan", "tanh")
    },
    **{name: ["{}(big)", "{}(f32 + 1)"] for name in ("acosh", "log", "log1p", "log2", "log10", "sqrt")},
    **{name: ["{}(f64)", "{}(i8)", "{}(f32)"] for name in ("abs", "ceil", "floor", "trunc", "round", "sign")},
    **{name: ["{}(f64)", "{}(i8)", "{}(f32)"] for name in ("negative", "positive", "square")},
    **{name: [*_NUMBERS, *_MIXED] for name in ("add", "subtract", "multiply", "maximum", "minimum")},
    "divide": ["{}(f64, v)", "{}(f32, f32)", "{}(i64, i64)", "{}(f32, 2)", "{}(i32, f32)"],
    "pow": ["{}(f32, 2)", "{}(i64, 2)", "{}(big, v)"],
    "floor_divide": ["{}(i32, i64)", "{}(f64, v)", "{}(i8, 2)"],
    "remainder": ["{}(i32, i64)", "{}(f64, v)", "{}(i8, 3)"],
    **{name: ["{}(f64, v)", "{}(f32, f32)"] for name in ("atan2", "copysign", "hypot", "logaddexp")},
    **{name: _BITS for name in ("bitwise_and", "bitwise_or", "bitwise_xor")},
    "bitwise_invert": ["{}(i8)", "{}(b)", "{}(u8)"],
    **{name: _SHIFTS for name in ("bitwise_left_shift", "bitwise_right_shift")},
    "clip": ["{}(f64, 0, 1)", "{}(i8, min=0)", "{}(f32, max=1.0)"],
    **{name: ["{}(c64)"] for name in ("conj", "imag", "real")},
    **{name: _COMPARE for name in ("equal", "not_equal", "less", "less_equal", "greater", "greater_equal")},
    **{name: ["{}(odd)", "{}(i8)"] for name in ("isfinite", "isinf", "isnan")},
    **{name: _LOGIC for name in ("logical_and", "logical_or", "logical_xor")},
    "logical_not": ["{}(b)"],
    "signbit": ["{}(odd)"],
    "take": ["{}(f64, w, axis=1)", "{}(v, w, axis=0)", "{}(i8, w, axis=-1)"],
    "__array_namespace_info__": [
        "{}().default_device()",
        "{}().default_dtypes()",
        "{}().dtypes(kind='integral')",
    ],
    "matmul": ["{}(square, v)", "{}(f64, square)", "{}(f32, f32.T)", "{}(v, v)", "{}(i8, i32.mT)"],
    "matrix_transpose": ["{}(many)", "{}(i8)"],
    "tensordot": ["{}(f64, square, axes=1)", "{}(many, many, axes=((0, 2), (0, 2)))", "{}(f64, f64)"],
    "vecdot": ["{}(f64, v)", "{}(f32, f32)", "{}(many, many, axis=0)"],
    "broadcast_arrays": ["{}(f64, v)", "{}(i8, one[0, :, 0])"],
    "broadcast_to": ["{}(v, (2, 3))", "{}(i8, (2, 2, 3))"],
    "concat": ["{}([f64, f32])", "{}([i8, i32], axis=-1)", "{}([f64, v], axis=None)", "{}([b, i8])"],
    "expand_dims": ["{}(v, axis=0)", "{}(f64, axis=-1)", "{}(i8, axis=1)"],
    "flip": ["{}(f64)", "{}(many, axis=-1)", "{}(many, axis=(0, 2))"],
    "moveaxis": ["{}(many, 0, -1)", "{}(many, (0, 1), (1, 2))"],
    "permute_dims": ["{}(many, (2, 0, 1))", "{}(i8, (-1, 0))"],
    "repeat": ["{}(f64, 2)", "{}(i8, 2, axis=-1)", "{}(v, [0, 2, 1])"],
    "reshape": ["{}(f64, (3, 2))", "{}(many, (-1, 4))", "{}(empty, (3, 0))"],
    "roll": ["{}(f64, 2)", "{}(many, (1, -1), axis=(0, 2))", "{}(i8, -1, axis=1)"],
    "squeeze": ["{}(one, axis=0)", "{}(one, axis=(0, -1))"],
    "stack": ["{}([f64, f32], axis=1)", "{}([v, w], axis=-1)"],
    "tile": ["{}(f64, (2, 1))", "{}(v, (2, 2))", "{}(many, (2,))"],
    "unstack": ["{}(f64)", "{}(i8, axis=-1)"],
    **{
        name: ["{}(f64)", "{}(f64, axis=-1)", "{}(i8, axis=0, keepdims=True)"]
        for name in ("argmax", "argmin")
    },
    "searchsorted": ["{}(sorted_, v)", "{}(sorted_, v, side='right')"],
    "where": ["{}(b, f64, f32)", "{}(b, i8, i32)", "{}(b, f32, 0)", "{}(b, v, i64)"],
    **{name: ["{}(f64)", "{}(f64, axis=0)", "{}(i8, axis=-1)"] for name in ("argsort", "sort")},
    "cumulative_sum": [
        "{}(v)",
        "{}(f64, axis=0)",
        "{}(i8, axis=-1)",
        "{}(f64, axis=1, include_initial=True)",
    ],
    **{name: [*_REDUCE, "{}(i8)"] for name in ("max", "min")},
    "mean": [*_REDUCE, "{}(i8, axis=0)"],
    **{
        name: [
            *_REDUCE,
            "{}(i8)",
            "{}(u8, axis=0)",
            "{}(b)",
            "{}(empty, axis=0)",
            "{}(f32, dtype=xp.float64)",
        ]
        for name in ("sum", "prod")
    },
    **{name: [*_AXES, "{}(f64, axis=1, correction=1)"] for name in ("std", "var")},
    **{
        name: ["{}(b)", "{}(b, axis=0)", "{}(f64, axis=-1, keepdims=True)", "{}(empty)"]
        for name in ("all", "any")
    },
    "linalg.cholesky": ["{}(square)"],
    "linalg.cross": ["{}(v, big)"],
    "linalg.det": ["{}(square)"],
    "linalg.diagonal": ["{}(many, offset=1)", "{}(square)"],
    "linalg.eigh": ["{}(square)[0]"],
    "linalg.eigvalsh": ["{}(square)"],
    "linalg.inv": ["{}(square)"],
    "linalg.matmul": ["{}(square, v)"],
    "linalg.matrix_norm": ["{}(square)", "{}(many, keepdims=True)"],
    "linalg.matrix_power": ["{}(square, 3)"],
    "linalg.matrix_rank": ["{}(square)"],
    "linalg.matrix_transpose": ["{}(many)"],
    "linalg.outer": ["{}(v, big)"],
    "linalg.pinv": ["{}(square)"],
    "linalg.qr": ["xp.abs({}(square)[1])"],
    "linalg.slogdet": ["{}(square)[1]"],
    "linalg.solve": ["{}(square, square @ square)"],
    "linalg.svd": ["{}(square)[1]"],
    "linalg.svdvals": ["{}(square)"],
    "linalg.tensordot": ["{}(f64, square, axes=1)"],
    "linalg.trace": ["{}(square, offset=1)", "{}(many)"],
    "linalg.vecdot": ["{}(f64, v)"],
    "linalg.vector_norm": ["{}(f64)", "{}(f64, axis=1, ord=1)"],
    **{
        f"fft.{name}": ["{}(v)", "{}(many, axis=1)", "{}(f32, norm='ortho')", "{}(v, n=5)", "{}(f64, n=2)"]
        for name in ("fft", "ifft", "rfft", "irfft", "hfft", "ihfft")
    },
    **{f"fft.{name}": ["{}(many)"] for name in ("fftn", "ifftn", "rfftn", "irfftn", "fftshift", "ifftshift")},
    **{f"fft.{name}": ["{}(5)", "{}(4, d=0.5)"] for name in ("fftfreq", "rfftfreq")},
    "x.dtype": ["f32.dtype", "i8.dtype", "b.dtype"],
    "x.device": ["f32.device"],
    "x.mT": ["many.mT"],
    "x.ndim": ["many.ndim"],
    "x.shape": ["many.shape"],
    "x.size": ["many.size"],
    "x.T": ["f64.T", "many.T"],
    "x.__abs__": ["abs(f64)", "abs(i8)"],
    "x.__add__": ["f64 + v", "i8 + 1", "b + 1"],
    "x.__and__": ["i8 & i8", "b & b", "u8 & 3"],
    "x.__array_namespace__": ["f64.__array_namespace__(api_version='2023.12').sum(f64)"],
    "x.__eq__": ["i8 == 1", "f64 == f64"],
    "x.__floordiv__": ["i32 // i64", "f64 // v"],
    "x.__ge__": ["f64 >= 0"],
    "x.__getitem__": ["many[0]", "many[..., 1:, ::-1]", "f64[:, None, -1]", "v[w]", "many[1, 1:0]"],
    "x.__gt__": ["f64 > v"],
    "x.__invert__": ["~b", "~i8"],
    "x.__le__": ["i8 <= u8"],
    "x.__lshift__": ["i8 << 1"],
    "x.__lt__": ["f32 < 1"],
    "x.__matmul__": ["square @ v", "f64 @ square"],
    "x.__mod__": ["i32 % 3", "f64 % v"],
    "x.__mul__": ["f32 * 2.0", "i8 * i8"],
    "x.__ne__": ["f64 != v"],
    "x.__neg__": ["-f64", "-i8"],
    "x.__or__": ["b | b", "i8 | 4"],
    "x.__pos__": ["+f64"],
    "x.__pow__": ["f64**2", "i64**2"],
    "x.__rshift__": ["i8 >> 1"],
    "x.__sub__": ["f32 - f64"],
    "x.__truediv__": ["i64 / i64", "f32 / 2"],
    "x.__xor__": ["i8 ^ u8", "b ^ b"],
    "x.to_device": ["f64.to_device('cpu')"],
    **{
        f"x.__i{name}__": [f"operator.i{name}(f64 + 0, v)"]
        for name in ("add", "sub", "mul", "truediv", "floordiv", "mod")
    },
    **{
        f"x.__i{name}__": [f"operator.i{name}(i64 + 0, w + 1)"]
        for name in ("and", "or", "xor", "lshift", "rshift")
    },
    "x.__ipow__": ["operator.ipow(f64 + 0, 2)"],
    "x.__imatmul__": ["operator.imatmul(square + 0, square)"],
    "x.__radd__": ["1 + i8", "1.5 + f32"],
    "x.__rsub__": ["1 - f64"],
    "x.__rmul__": ["2 * f32"],
    "x.__rtruediv__": ["1 / f64", "1 / i64"],
    "x.__rfloordiv__": ["7 // i64"],
    "x.__rpow__": ["2.0 ** f64"],
    "x.__rmod__": ["7 % i64"],
    "x.__rmatmul__": ["[1.0, 2.0] @ f64"],
    "x.__rand__": ["3 & i8"],
    "x.__ror__": ["3 | i8"],
    "x.__rxor__": ["3 ^ i8"],
    "x.__rlshift__": ["3 << (i64 * 0 + 2)"],
    "x.__rrshift__": ["300 >> (i64 * 0 + 2)"],
}

#: Functions that the standard defines for complex numbers, of one operand and of two.
COMPLEX_UNARY = (
    "abs acos acosh asin asinh atan atanh conj cos cosh exp expm1 imag isfinite isinf isnan log log1p log2 "
    "log10 negative positive real round sign sin sinh square sqrt tan tanh sum prod cumulative_sum "
    "mean var std linalg.vector_norm fft.fft fft.ifft fft.irfft fft.hfft"
)
COMPLEX_BINARY = "add divide equal multiply not_equal pow subtract matmul vecdot linalg.outer"
for _name in COMPLEX_UNARY.split():
    BEHAVIOUR[_name] = [*BEHAVIOUR[_name], "{}(c64)"]
for _name in COMPLEX_BINARY.split():
    BEHAVIOUR[_name] = [*BEHAVIOUR[_name], "{}(c64, c64)"]

#: Expressions that raise, in symgrad when the graph is built.
ERRORS: dict[str, list[str]] = {
    "arange": ["{}(0, 1, 0)"],
    "eye": ["{}(-1)"],
    "tril": ["{}(v[0])"],
    "finfo": ["{}(xp.int8)"],
    "iinfo": ["{}(xp.float32)"],
    "isdtype": ["{}(xp.int8, 'integer')"],
    "result_type": ["{}()"],
    "add": ["{}(f64, big[:2])"],
    "bitwise_and": ["{}(f64, f64)"],
    "bitwise_invert": ["{}(f64)"],
    "bitwise_left_shift": ["{}(f64, 1)"],
    "matmul": ["{}(f64, f64)", "{}(f64, 2.0)"],
    "matrix_transpose": ["{}(v)"],
    "broadcast_arrays": ["{}(f64, big[:2])"],
    "broadcast_to": ["{}(f64, (3,))", "{}(v, (2, 2))"],
    "concat": ["{}([f64, many])", "{}([f64, f64], axis=2)", "{}([])"],
    "expand_dims": ["{}(v, axis=2)", "{}(v, axis=-3)"],
    "flip": ["{}(f64, axis=2)"],
    "moveaxis": ["{}(many, 3, 0)", "{}(many, (0, 1), (0, 0))"],
    "permute_dims": ["{}(many, (0, 1))", "{}(many, (0, 1, 1))"],
    "repeat": ["{}(v, [1, 2])", "{}(v, 1, axis=1)"],
    "reshape": ["{}(f64, (4, 2))", "{}(f64, (-1, -1))"],
    "roll": ["{}(f64, 1, axis=2)"],
    "squeeze": ["{}(one, axis=1)", "{}(one, axis=3)"],
    "stack": ["{}([f64, v])", "{}([v, v], axis=2)"],
    "unstack": ["{}(f64, axis=2)"],
    "argmax": ["{}(empty, axis=0)", "{}(f64, axis=2)"],
    "argmin": ["{}(empty, axis=0)"],
    "max": ["{}(empty, axis=0)", "{}(f64, axis=(0, 0))"],
    "min": ["{}(empty, axis=0)"],
    "sum": ["{}(f64, axis=2)", "{}(f64, axis=(0, -2))"],
    "take": ["{}(v, w, axis=1)"],
    "x.__getitem__": ["v[3]", "v[0, 0]", "many[..., ...]"],
    "x.__lshift__": ["f64 << 1"],
    "x.__and__": ["f64 & 1"],
    **{f"x.__{name}__": [f"{name}(f64)"] for name in ("bool", "float", "int", "complex")},
    "x.__index__": ["[1, 2, 3][v]"],
    "x.__array_namespace__": ["f64.__array_namespace__(api_version='1999.12')"],
}
