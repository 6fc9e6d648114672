"""The discrete Fourier transform, y_k = sum over j of x_j exp(-2 pi i j k / n), its inverse, and those of real numbers.

Four linear ops; everything else is made of them. Each has a `norm` that says where the factor 1 / n stands:

    norm        fft, rfft      ifft, irfft
    backward    1              1 / n
    ortho       1 / sqrt(n)    1 / sqrt(n)
    forward     1 / n          1

The adjoint of a transform is the transform in the other direction with the factor on the other side. Of real numbers
only half of the spectrum is kept, since the rest is its mirror image: y_(n-k) = conj(y_k). So where a cotangent comes
back from that half, what stands for two elements of the spectrum counts once, and the other way round twice:

    rfft     adjoint    irfft(g / w)           w_k = 1 where k = 0 or 2k = n, else 2
    irfft    adjoint    w rfft(g)
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any, ClassVar

from symgrad import dims
from symgrad.dims import Dim, Size
from symgrad.errors import DTypeError, GraphError, ShapeError
from symgrad.ir import origin
from symgrad.ir.choice import check_choice
from symgrad.ir.tensor import Tensor, apply
from symgrad.ops.cast import astype
from symgrad.ops.compare import logical_or
from symgrad.ops.complexes import conj
from symgrad.ops.create import arange, as_tensor, size_tensor, zeros
from symgrad.ops.join import concat
from symgrad.ops.kinds import BITS, Linear, declare
from symgrad.ops.reduce import spread
from symgrad.ops.select import where
from symgrad.ops.shape import check_axes, normalize_axes, shifted
from symgrad.ops.slices import cut
from symgrad.records import record
from symgrad.types import FLOAT64, DTypeLike, TensorType, as_dim, as_items, complex_dtype, real_dtype

#: Where the factor 1 / n stands, and where it stands in the adjoint.
NORMS = {"backward": "forward", "ortho": "ortho", "forward": "backward"}


class _Transform(Linear):
    """Along several axes, complex to complex."""

    axes: tuple[int, ...]
    norm: str

    def infer(self, x: TensorType) -> TensorType:
        check_axes(self.axes, x.ndim, self.name)
        _check(self.name, self.norm, x, "complex")
        return x

    def batched_op(self, size: Dim) -> _Transform:
        return replace(self, axes=shifted(self.axes))  # type: ignore[type-var]


@declare
@record
class Fft(_Transform):
    """The discrete Fourier transform over `axes`."""

    axes: tuple[int, ...]
    norm: str = "backward"
    name: ClassVar[str] = "fft"
    operands = ("x",)
    numpy = "fft.forward({x}, {axes}, {norm})"

    def transpose_x(self, g: Tensor, x: Tensor) -> Tensor:
        return apply(Ifft(self.axes, NORMS[self.norm]), g)


@declare
@record
class Ifft(_Transform):
    """The inverse of the discrete Fourier transform over `axes`."""

    axes: tuple[int, ...]
    norm: str = "backward"
    name: ClassVar[str] = "ifft"
    operands = ("x",)
    numpy = "fft.inverse({x}, {axes}, {norm})"

    def transpose_x(self, g: Tensor, x: Tensor) -> Tensor:
        return apply(Fft(self.axes, NORMS[self.norm]), g)


@declare
@record
class Rfft(Linear):
    """The first half, n // 2 + 1 elements, of the discrete Fourier transform of real numbers along `axis`."""

    axis: int
    norm: str = "backward"
    name: ClassVar[str] = "rfft"
    operands = ("x",)
    numpy = "fft.real_forward({x}, {axis}, {norm})"

    def infer(self, x: TensorType) -> TensorType:
        check_axes((self.axis,), x.ndim, self.name)
        _check(self.name, self.norm, x, "float")
        half = dims.floordiv(x.shape[self.axis], 2) + 1
        return _resized_type(x, self.axis, half).with_dtype(complex_dtype(x.dtype))

    def transpose_x(self, g: Tensor, x: Tensor) -> Tensor:
        n = x.shape[self.axis]
        return apply(Irfft(self.axis, n, NORMS[self.norm]), g / multiplicity(g, self.axis, n))

    def batched_op(self, size: Dim) -> Rfft:
        return replace(self, axis=self.axis + 1)


@declare
@record
class Irfft(Linear):
    """The inverse of `rfft` along `axis`: `size` real numbers from size // 2 + 1 elements of their spectrum. (The
    imaginary parts of the first, and for an even size of the last one, count for nothing.)"""

    axis: int
    size: Dim
    norm: str = "backward"
    name: ClassVar[str] = "irfft"
    operands = ("x",)
    numpy = "fft.real_inverse({x}, {axis}, {size}, {norm})"

    def infer(self, x: TensorType) -> TensorType:
        check_axes((self.axis,), x.ndim, self.name)
        _check(self.name, self.norm, x, "complex")
        if not dims.equal(x.shape[self.axis], dims.floordiv(self.size, 2) + 1):
            raise ShapeError(f"irfft to {self.size} elements needs {self.size} // 2 + 1", facts=[("x", x)])
        return _resized_type(x, self.axis, self.size).with_dtype(real_dtype(x.dtype))

    def transpose_x(self, g: Tensor, x: Tensor) -> Tensor:
        half = apply(Rfft(self.axis, NORMS[self.norm]), g)
        return half * multiplicity(half, self.axis, self.size)

    def batched_op(self, size: Dim) -> Irfft:
        return replace(self, axis=self.axis + 1)


def _check(name: str, norm: str, x: TensorType, kind: str) -> None:
    check_choice("norm", norm, NORMS, GraphError)
    if x.dtype.kind != kind:
        raise DTypeError(f"{name} needs {kind} numbers, not {x.dtype}")


def _resized_type(x: TensorType, axis: int, size: Dim) -> TensorType:
    return x.with_shape((*x.shape[:axis], size, *x.shape[axis + 1 :]))


def multiplicity(half: Tensor, axis: int, n: Dim) -> Tensor:
    """For each element of half a spectrum how many of the whole one it stands for: 1 or 2, in the shape of `half`."""
    k = arange(half.shape[axis])
    alone = logical_or(k == 0, 2 * k == (n if isinstance(n, int) else size_tensor(n)))
    count = astype(where(alone, 1, 2), real_dtype(half.dtype))
    return spread(count, half.shape, tuple(i for i in range(half.ndim) if i != axis))


# ---- the language -----------------------------------------------------------------------------------


def fft(x: Any, n: Any = None, axis: int = -1, norm: str | None = None) -> Tensor:
    """The discrete Fourier transform along an axis.

    Args:
        x: numbers; float32 and complex64 give complex64, all others complex128.
        n: the length, int or size: x is cut, or filled up with zeros behind; that of x unless given.
        axis: along which.
        norm: "backward" (the inverse divides by n; so if it is not given), "ortho" (both divide by sqrt(n)) or
            "forward" (this one divides by n).

    Raises:
        AxisError, ShapeError, GraphError: no such axis, length, norm.

    The adjoint is `ifft` without its factor: gradients are exact and differentiate again. As `numpy.fft.fft`, computed
    by SciPy's pocketfft. Of no elements, it is empty.

    >>> import symgrad as sg
    >>> sg.fft.fft([1.0, 2.0, 3.0, 4.0]).eval()
    array([10.+0.j, -2.+2.j, -2.+0.j, -2.-2.j])
    """
    return fftn(x, None if n is None else (n,), (axis,), norm)


def ifft(x: Any, n: Any = None, axis: int = -1, norm: str | None = None) -> Tensor:
    """The inverse of `fft` along an axis; arguments as there.

    >>> import symgrad as sg
    >>> sg.fft.ifft([10.0, -2 + 2j, -2, -2 - 2j]).eval()
    array([1.+0.j, 2.+0.j, 3.+0.j, 4.+0.j])
    """
    return ifftn(x, None if n is None else (n,), (axis,), norm)


def fft2(x: Any, s: Any = None, axes: Any = (-2, -1), norm: str | None = None) -> Tensor:
    """The discrete Fourier transform over two axes, as `fftn`."""
    return fftn(x, s, axes, norm)


def ifft2(x: Any, s: Any = None, axes: Any = (-2, -1), norm: str | None = None) -> Tensor:
    """The inverse of `fft2`."""
    return ifftn(x, s, axes, norm)


def fftn(x: Any, s: Any = None, axes: Any = None, norm: str | None = None) -> Tensor:
    """The discrete Fourier transform over several axes.

    Args:
        x, norm: as for `fft`.
        s: the lengths, one for each axis; -1 keeps that of x.
        axes: all axes unless given (with `s`, so many last ones).

    >>> import symgrad as sg
    >>> sg.fft.fftn([[1.0, 2.0], [3.0, 4.0]]).eval()
    array([[10.+0.j, -2.+0.j],
           [-4.+0.j,  0.+0.j]])
    """
    return _whole(Fft, x, s, axes, norm)


def ifftn(x: Any, s: Any = None, axes: Any = None, norm: str | None = None) -> Tensor:
    """The inverse of `fftn`."""
    return _whole(Ifft, x, s, axes, norm)


def _whole(op: type[Fft | Ifft], x: Any, s: Any, axes: Any, norm: str | None) -> Tensor:
    tensor = _complex(x)
    along, lengths = _axes_and_lengths(tensor, s, axes)
    for axis, n in zip(along, lengths, strict=True):
        tensor = _resized(tensor, axis, n)
    made = op(tuple(sorted(along)), _norm(norm))
    return apply(made, tensor) if along else tensor


def rfft(x: Any, n: Any = None, axis: int = -1, norm: str | None = None) -> Tensor:
    """The discrete Fourier transform of real numbers along an axis: the first n // 2 + 1 elements, which say all.

    Arguments as for `fft`; x is real.

    >>> import symgrad as sg
    >>> sg.fft.rfft([1.0, 2.0, 3.0, 4.0]).eval()
    array([10.+0.j, -2.+2.j, -2.+0.j])
    """
    return rfftn(x, None if n is None else (n,), (axis,), norm)


def irfft(x: Any, n: Any = None, axis: int = -1, norm: str | None = None) -> Tensor:
    """The inverse of `rfft` along an axis: n real numbers, 2 (m - 1) from m elements unless n is given.

    An odd n must be given, since m does not tell it. The imaginary parts of the first element, and for an even n of
    the last one, count for nothing.

    >>> import symgrad as sg
    >>> sg.fft.irfft([10.0, -2 + 2j, -2.0]).eval()
    array([1., 2., 3., 4.])
    """
    return irfftn(x, None if n is None else (n,), (axis,), norm)


def rfft2(x: Any, s: Any = None, axes: Any = (-2, -1), norm: str | None = None) -> Tensor:
    """The discrete Fourier transform of real numbers over two axes, as `rfftn`."""
    return rfftn(x, s, axes, norm)


def irfft2(x: Any, s: Any = None, axes: Any = (-2, -1), norm: str | None = None) -> Tensor:
    """The inverse of `rfft2`."""
    return irfftn(x, s, axes, norm)


def rfftn(x: Any, s: Any = None, axes: Any = None, norm: str | None = None) -> Tensor:
    """The discrete Fourier transform of real numbers over several axes, of which the last one is halved.

    Arguments as for `fftn`; x is real.
    """
    tensor = _real(x, "rfftn")
    along, lengths = _axes_and_lengths(tensor, s, axes)
    if not along:
        raise _no_axes("rfftn", tensor)
    for axis, n in zip(along, lengths, strict=True):
        tensor = _resized(tensor, axis, n)
    half = apply(Rfft(along[-1], _norm(norm)), tensor)
    rest = tuple(sorted(along[:-1]))
    return apply(Fft(rest, _norm(norm)), half) if rest else half


def irfftn(x: Any, s: Any = None, axes: Any = None, norm: str | None = None) -> Tensor:
    """The inverse of `rfftn`; `s` are the lengths of the result, 2 (m - 1) of the last axis unless given."""
    tensor = _complex(x)
    along, lengths = _axes_and_lengths(tensor, s, axes)
    if not along:
        raise _no_axes("irfftn", tensor)
    for axis, n in zip(along[:-1], lengths[:-1], strict=True):
        tensor = _resized(tensor, axis, n)
    rest, last = tuple(sorted(along[:-1])), along[-1]
    size = 2 * (tensor.shape[last] - 1) if lengths[-1] is None else lengths[-1]
    if isinstance(size, int) and size < 0:
        raise ShapeError("irfft of no elements needs the length n", facts=[("x", tensor.type)], at=_here())
    tensor = _resized(tensor, last, dims.floordiv(size, 2) + 1)
    whole = apply(Ifft(rest, _norm(norm)), tensor) if rest else tensor
    return apply(Irfft(last, size, _norm(norm)), whole)


def hfft(x: Any, n: Any = None, axis: int = -1, norm: str | None = None) -> Tensor:
    """The discrete Fourier transform, which is real, of n numbers with x_(n-k) = conj(x_k), from their first half.

    >>> import symgrad as sg
    >>> sg.fft.hfft([1.0, 1j, -1.0]).eval()
    array([0., 4., 0., 0.])
    """
    return irfft(conj(_complex(x)), n, axis, NORMS[_norm(norm)])


def ihfft(x: Any, n: Any = None, axis: int = -1, norm: str | None = None) -> Tensor:
    """The inverse of `hfft`: the first n // 2 + 1 elements."""
    return conj(rfft(x, n, axis, NORMS[_norm(norm)]))


# ---- frequencies and shifts -------------------------------------------------------------------------


def fftfreq(n: Any, d: float = 1.0, *, dtype: DTypeLike | None = None, device: str | None = None) -> Tensor:
    """The frequencies of `fft`, k / (n d): for k = 0, 1 ..., then those below 0.

    Args:
        n: the length, an int or a size.
        d: the time between samples.
        dtype: of floats; float64 unless given.
        device: "cpu".

    >>> import symgrad as sg
    >>> sg.fft.fftfreq(5, d=0.1).eval()
    array([ 0.,  2.,  4., -4., -2.])
    """
    count = as_dim(n)
    k = arange(count, device=device)
    first_half = _as_number(dims.floordiv(count + 1, 2))
    return _over(where(k < first_half, k, k - _as_number(count)), count, d, dtype)


def rfftfreq(n: Any, d: float = 1.0, *, dtype: DTypeLike | None = None, device: str | None = None) -> Tensor:
    """The frequencies of `rfft`, k / (n d) for k = 0 ... n // 2; arguments as for `fftfreq`.

    >>> import symgrad as sg
    >>> sg.fft.rfftfreq(4).eval()
    array([0.  , 0.25, 0.5 ])
    """
    count = as_dim(n)
    return _over(arange(dims.floordiv(count, 2) + 1, device=device), count, d, dtype)


def _over(k: Tensor, n: Dim, d: float, dtype: DTypeLike | None) -> Tensor:
    wanted = FLOAT64 if dtype is None else dtype
    return astype(k, wanted) / astype(as_tensor(_as_number(n) * d), wanted)


def _as_number(size: Dim) -> Any:
    return size if isinstance(size, int) else size_tensor(size)


def fftshift(x: Any, axes: Any = None) -> Tensor:
    """x moved cyclically by n // 2, so that frequency 0 is in the middle; over all axes unless given.

    >>> import symgrad as sg
    >>> sg.fft.fftshift(sg.fft.fftfreq(5, d=0.2)).eval()
    array([-2., -1.,  0.,  1.,  2.])
    """
    tensor = as_tensor(x)
    for axis in normalize_axes(axes, tensor.ndim):
        tensor = _rotated(tensor, dims.floordiv(tensor.shape[axis], 2), axis)
    return tensor


def ifftshift(x: Any, axes: Any = None) -> Tensor:
    """The inverse of `fftshift`."""
    tensor = as_tensor(x)
    for axis in normalize_axes(axes, tensor.ndim):
        n = tensor.shape[axis]
        tensor = _rotated(tensor, n - dims.floordiv(n, 2), axis)
    return tensor


def _rotated(x: Tensor, count: Dim, axis: int) -> Tensor:
    """The last `count` elements along an axis, then the others."""
    n = x.shape[axis]
    return concat([cut(x, axis, n - count, n), cut(x, axis, 0, n - count)], axis)


# ---- arguments --------------------------------------------------------------------------------------


def _complex(x: Any) -> Tensor:
    tensor = as_tensor(x)
    tensor = astype(tensor, FLOAT64) if tensor.dtype.kind in BITS else tensor
    return astype(tensor, complex_dtype(tensor.dtype))


def _real(x: Any, name: str) -> Tensor:
    tensor = as_tensor(x)
    if tensor.dtype.kind == "complex":
        raise DTypeError(
            f"{name} takes real numbers",
            facts=[("x", tensor.type)],
            at=_here(),
            hint="fft takes complex ones",
        )
    return astype(tensor, FLOAT64) if tensor.dtype.kind in BITS else tensor


def _norm(norm: str | None) -> str:
    if norm is None:
        return "backward"
    check_choice("norm", norm, NORMS, GraphError)
    return norm


def _axes_and_lengths(x: Tensor, s: Any, axes: Any) -> tuple[tuple[int, ...], list[Dim | None]]:
    """The axes in the order given, and the length that each is to have (None: its own)."""
    lengths = None if s is None else as_items(s)
    if axes is None and lengths is not None:
        axes = range(-len(lengths), 0)
    along = normalize_axes(None if axes is None else as_items(axes), x.ndim, keep_order=True)
    if lengths is not None and len(lengths) != len(along):
        raise ShapeError(
            f"there must be a length for each axis, not {len(lengths)} for {len(along)}",
            facts=[("x", x.type)],
            at=_here(),
        )
    if lengths is None:
        return along, [None] * len(along)
    return along, [None if n is None or (isinstance(n, int) and n == -1) else as_dim(n) for n in lengths]


def _resized(x: Tensor, axis: int, n: Dim | None) -> Tensor:
    """The first n elements along an axis; zeros behind where there are fewer. Where sizes are symbolic and either
    may be larger, there are zeros enough behind whatever they are."""
    have = x.shape[axis]
    if n is None or dims.equal(have, n):
        return x
    if not _is_at_most(n, have):
        missing = n - have if _is_at_most(have, n) else n
        shape = (*x.shape[:axis], missing, *x.shape[axis + 1 :])
        x = concat([x, zeros(shape, x.dtype)], axis)
    return cut(x, axis, 0, n)


def _is_at_most(a: Dim, b: Dim) -> bool:
    """Whether it is known that a <= b."""
    more = b - a
    return all(c >= 0 for _, c in more.terms) if isinstance(more, Size) else more >= 0


def _no_axes(name: str, x: Tensor) -> ShapeError:
    return ShapeError(f"{name} needs at least one axis", facts=[("x", x.type)], at=_here())


def _here() -> str | None:
    return origin.locate(origin.current())
