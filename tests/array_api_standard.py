"""The Python array API standard, version 2023.12, as data: every function, with its parameters."""

from __future__ import annotations

#: Section -> signatures, one a line, as the standard prints them (annotations left out).
STANDARD: dict[str, str] = {
    "Constants": """
        e
        inf
        nan
        newaxis
        pi
    """,
    "Creation functions": """
        arange(start, /, stop=None, step=1, *, dtype=None, device=None)
        asarray(obj, /, *, dtype=None, device=None, copy=None)
        empty(shape, *, dtype=None, device=None)
        empty_like(x, /, *, dtype=None, device=None)
        eye(n_rows, n_cols=None, /, *, k=0, dtype=None, device=None)
        from_dlpack(x, /, *, device=None, copy=None)
        full(shape, fill_value, *, dtype=None, device=None)
        full_like(x, /, fill_value, *, dtype=None, device=None)
        linspace(start, stop, /, num, *, dtype=None, device=None, endpoint=True)
        meshgrid(*arrays, indexing='xy')
        ones(shape, *, dtype=None, device=None)
        ones_like(x, /, *, dtype=None, device=None)
        tril(x, /, *, k=0)
        triu(x, /, *, k=0)
        zeros(shape, *, dtype=None, device=None)
        zeros_like(x, /, *, dtype=None, device=None)
    """,
    "Data type functions": """
        astype(x, dtype, /, *, copy=True, device=None)
        can_cast(from_, to, /)
        finfo(type, /)
        iinfo(type, /)
        isdtype(dtype, kind)
        result_type(*arrays_and_dtypes)
    """,
    "Data types": """
        bool
        int8
        int16
        int32
        int64
        uint8
        uint16
        uint32
        uint64
        float32
        float64
        complex64
        complex128
    """,
    "Elementwise functions": """
        abs(x, /)
        acos(x, /)
        acosh(x, /)
        add(x1, x2, /)
        asin(x, /)
        asinh(x, /)
        atan(x, /)
        atan2(x1, x2, /)
        atanh(x, /)
        bitwise_and(x1, x2, /)
        bitwise_left_shift(x1, x2, /)
        bitwise_invert(x, /)
        bitwise_or(x1, x2, /)
        bitwise_right_shift(x1, x2, /)
        bitwise_xor(x1, x2, /)
        ceil(x, /)
        clip(x, /, min=None, max=None)
        conj(x, /)
        copysign(x1, x2, /)
        cos(x, /)
        cosh(x, /)
        divide(x1, x2, /)
        equal(x1, x2, /)
        exp(x, /)
        expm1(x, /)
        floor(x, /)
        floor_divide(x1, x2, /)
        greater(x1, x2, /)
        greater_equal(x1, x2, /)
        hypot(x1, x2, /)
        imag(x, /)
        isfinite(x, /)
        isinf(x, /)
        isnan(x, /)
        less(x1, x2, /)
        less_equal(x1, x2, /)
        log(x, /)
        log1p(x, /)
        log2(x, /)
        log10(x, /)
        logaddexp(x1, x2, /)
        logical_and(x1, x2, /)
        logical_not(x, /)
        logical_or(x1, x2, /)
        logical_xor(x1, x2, /)
        maximum(x1, x2, /)
        minimum(x1, x2, /)
        multiply(x1, x2, /)
        negative(x, /)
        not_equal(x1, x2, /)
        positive(x, /)
        pow(x1, x2, /)
        real(x, /)
        remainder(x1, x2, /)
        round(x, /)
        sign(x, /)
        signbit(x, /)
        sin(x, /)
        sinh(x, /)
        square(x, /)
        sqrt(x, /)
        subtract(x1, x2, /)
        tan(x, /)
        tanh(x, /)
        trunc(x, /)
    """,
    "Indexing functions": """
        take(x, indices, /, *, axis=None)
    """,
    "Inspection": """
        __array_namespace_info__()
    """,
    "Linear algebra functions": """
        matmul(x1, x2, /)
        matrix_transpose(x, /)
        tensordot(x1, x2, /, *, axes=2)
        vecdot(x1, x2, /, *, axis=-1)
    """,
    "Manipulation functions": """
        broadcast_arrays(*arrays)
        broadcast_to(x, /, shape)
        concat(arrays, /, *, axis=0)
        expand_dims(x, /, *, axis=0)
        flip(x, /, *, axis=None)
        moveaxis(x, source, destination, /)
        permute_dims(x, /, axes)
        repeat(x, repeats, /, *, axis=None)
        reshape(x, /, shape, *, copy=None)
        roll(x, /, shift, *, axis=None)
        squeeze(x, /, axis)
        stack(arrays, /, *, axis=0)
        tile(x, repetitions, /)
        unstack(x, /, *, axis=0)
    """,
    "Searching functions": """
        argmax(x, /, *, axis=None, keepdims=False)
        argmin(x, /, *, axis=None, keepdims=False)
        nonzero(x, /)
        searchsorted(x1, x2, /, *, side='left', sorter=None)
        where(condition, x1, x2, /)
    """,
    "Set functions": """
        unique_all(x, /)
        unique_counts(x, /)
        unique_inverse(x, /)
        unique_values(x, /)
    """,
    "Sorting functions": """
        argsort(x, /, *, axis=-1, descending=False, stable=True)
        sort(x, /, *, axis=-1, descending=False, stable=True)
    """,
    "Statistical functions": """
        cumulative_sum(x, /, *, axis=None, dtype=None, include_initial=False)
        max(x, /, *, axis=None, keepdims=False)
        mean(x, /, *, axis=None, keepdims=False)
        min(x, /, *, axis=None, keepdims=False)
        prod(x, /, *, axis=None, dtype=None, keepdims=False)
        std(x, /, *, axis=None, correction=0.0, keepdims=False)
        sum(x, /, *, axis=None, dtype=None, keepdims=False)
        var(x, /, *, axis=None, correction=0.0, keepdims=False)
    """,
    "Utility functions": """
        all(x, /, *, axis=None, keepdims=False)
        any(x, /, *, axis=None, keepdims=False)
    """,
    "Extension: linalg": """
        linalg.cholesky(x, /, *, upper=False)
        linalg.cross(x1, x2, /, *, axis=-1)
        linalg.det(x, /)
        linalg.diagonal(x, /, *, offset=0)
        linalg.eigh(x, /)
        linalg.eigvalsh(x, /)
        linalg.inv(x, /)
        linalg.matmul(x1, x2, /)
        linalg.matrix_norm(x, /, *, keepdims=False, ord='fro')
        linalg.matrix_power(x, n, /)
        linalg.matrix_rank(x, /, *, rtol=None)
        linalg.matrix_transpose(x, /)
        linalg.outer(x1, x2, /)
        linalg.pinv(x, /, *, rtol=None)
        linalg.qr(x, /, *, mode='reduced')
        linalg.slogdet(x, /)
        linalg.solve(x1, x2, /)
        linalg.svd(x, /, *, full_matrices=True)
        linalg.svdvals(x, /)
        linalg.tensordot(x1, x2, /, *, axes=2)
        linalg.trace(x, /, *, offset=0, dtype=None)
        linalg.vecdot(x1, x2, /, *, axis=-1)
        linalg.vector_norm(x, /, *, axis=None, keepdims=False, ord=2)
    """,
    "Extension: fft": """
        fft.fft(x, /, *, n=None, axis=-1, norm='backward')
        fft.ifft(x, /, *, n=None, axis=-1, norm='backward')
        fft.fftn(x, /, *, s=None, axes=None, norm='backward')
        fft.ifftn(x, /, *, s=None, axes=None, norm='backward')
        fft.rfft(x, /, *, n=None, axis=-1, norm='backward')
        fft.irfft(x, /, *, n=None, axis=-1, norm='backward')
        fft.rfftn(x, /, *, s=None, axes=None, norm='backward')
        fft.irfftn(x, /, *, s=None, axes=None, norm='backward')
        fft.hfft(x, /, *, n=None, axis=-1, norm='backward')
        fft.ihfft(x, /, *, n=None, axis=-1, norm='backward')
        fft.fftfreq(n, /, *, d=1.0, device=None)
        fft.rfftfreq(n, /, *, d=1.0, device=None)
        fft.fftshift(x, /, *, axes=None)
        fft.ifftshift(x, /, *, axes=None)
    """,
    "Array object: attributes": """
        x.dtype
        x.device
        x.mT
        x.ndim
        x.shape
        x.size
        x.T
    """,
    "Array object: operators and methods": """
        x.__abs__(self, /)
        x.__add__(self, other, /)
        x.__and__(self, other, /)
        x.__array_namespace__(self, /, *, api_version=None)
        x.__bool__(self, /)
        x.__complex__(self, /)
        x.__dlpack__(self, /, *, stream=None, max_version=None, dl_device=None, copy=None)
        x.__dlpack_device__(self, /)
        x.__eq__(self, other, /)
        x.__float__(self, /)
        x.__floordiv__(self, other, /)
        x.__ge__(self, other, /)
        x.__getitem__(self, key, /)
        x.__gt__(self, other, /)
        x.__index__(self, /)
        x.__int__(self, /)
        x.__invert__(self, /)
        x.__le__(self, other, /)
        x.__lshift__(self, other, /)
        x.__lt__(self, other, /)
        x.__matmul__(self, other, /)
        x.__mod__(self, other, /)
        x.__mul__(self, other, /)
        x.__ne__(self, other, /)
        x.__neg__(self, /)
        x.__or__(self, other, /)
        x.__pos__(self, /)
        x.__pow__(self, other, /)
        x.__rshift__(self, other, /)
        x.__setitem__(self, key, value, /)
        x.__sub__(self, other, /)
        x.__truediv__(self, other, /)
        x.__xor__(self, other, /)
        x.to_device(self, device, /, *, stream=None)
    """,
    "Array object: reflected operators": """
        x.__radd__(self, other, /)
        x.__rsub__(self, other, /)
        x.__rmul__(self, other, /)
        x.__rtruediv__(self, other, /)
        x.__rfloordiv__(self, other, /)
        x.__rpow__(self, other, /)
        x.__rmod__(self, other, /)
        x.__rmatmul__(self, other, /)
        x.__rand__(self, other, /)
        x.__ror__(self, other, /)
        x.__rxor__(self, other, /)
        x.__rlshift__(self, other, /)
        x.__rrshift__(self, other, /)
    """,
    "Array object: in-place operators": """
        x.__iadd__(self, other, /)
        x.__isub__(self, other, /)
        x.__imul__(self, other, /)
        x.__itruediv__(self, other, /)
        x.__ifloordiv__(self, other, /)
        x.__ipow__(self, other, /)
        x.__imod__(self, other, /)
        x.__imatmul__(self, other, /)
        x.__iand__(self, other, /)
        x.__ior__(self, other, /)
        x.__ixor__(self, other, /)
        x.__ilshift__(self, other, /)
        x.__irshift__(self, other, /)
    """,
}
