"""How the images, the weights and the result of a convolution meet: layouts, sizes, strides, padding.

Tensors are named by letters: "x" the images, "w" the weights, "g" what is like the result. So are axes: the batch
"n", the channels "c", the outputs "o".
"""

from __future__ import annotations

from symgrad import dims
from symgrad.dims import Dim, Shape, floordiv
from symgrad.errors import DTypeError, ShapeError
from symgrad.ops.kinds import REALS
from symgrad.ops.windows import window_count
from symgrad.records import record
from symgrad.types import TensorType, check_extent

#: Where channels are, and how weights lie then.
LAYOUTS = {
    "first": "x is (n, c, *spatial), w is (o, c/groups, *kernel)",
    "last": "x is (n, *spatial, c), w is (*kernel, c/groups, o)",
}


@record
class Geometry:
    """What all convolutions of a family share.

    Attributes:
        channels: "first": x is (n, c, *spatial), w is (o, c/groups, *kernel), the result is (n, o, *spatial);
            or "last": (n, *spatial, c), (*kernel, c/groups, o), (n, *spatial, o).
        strides: how far windows are apart, for each spatial axis.
        padding: zeros in front and behind, for each spatial axis; of a negative number, so many elements are
            left out. Where the padding meets a weight that is infinite or NaN, the result is left open: that
            factor 0 makes NaN, or there is no such term.
        dilations: how far the elements are apart that a kernel meets.
        groups: channels and outputs are cut into so many groups in a row; an output meets the channels of its
            own group.
    """

    channels: str
    strides: tuple[int, ...]
    padding: tuple[tuple[int, int], ...]
    dilations: tuple[int, ...]
    groups: Dim = 1

    @property
    def rank(self) -> int:
        """How many spatial axes there are."""
        return len(self.strides)

    def axis(self, letter: str, tensor: str) -> int:
        """The axis of a tensor that a letter names."""
        if tensor == "w":
            first, last = {"o": 0, "c": 1}, {"c": self.rank, "o": self.rank + 1}
            return (first if self.channels == "first" else last)[letter]
        if letter == "n":
            return 0
        return 1 if self.channels == "first" else self.rank + 1

    def spatial(self, shape: Shape, tensor: str) -> Shape:
        """The spatial sizes among those of a tensor."""
        if self.channels == "first":
            return shape[2:]
        return shape[:-2] if tensor == "w" else shape[1:-1]

    def shape(self, tensor: str, first: Dim, second: Dim, spatial: Shape) -> Shape:
        """The shape of a tensor: of x and g from batch and channels, of w from outputs and channels."""
        if self.channels == "first":
            return (first, second, *spatial)
        return (*spatial, second, first) if tensor == "w" else (first, *spatial, second)

    # ---- types ----------------------------------------------------------------------------------------

    def check(self, *operands: TensorType) -> None:
        """Refuse a geometry that means nothing, and operands that do not fit it by dtype and dimensions."""
        if self.channels not in LAYOUTS:
            raise ShapeError(f'channels are "first" or "last", not {self.channels!r:.20}')
        if not len(self.strides) == len(self.padding) == len(self.dilations) > 0:
            raise ShapeError("a convolution needs a stride, a padding and a dilation for each spatial axis")
        if any(v < 1 for v in (*self.strides, *self.dilations)):
            raise ShapeError("strides and dilations must be at least 1")
        if isinstance(self.groups, int) and self.groups < 1:
            raise ShapeError(f"the number of groups must be at least 1, not {self.groups}")
        if any(t.dtype is not operands[0].dtype or t.dtype.kind not in REALS for t in operands):
            raise DTypeError("a convolution needs two tensors of one real dtype")
        if any(t.ndim != self.rank + 2 for t in operands):
            raise ShapeError(
                f"a convolution over {self.rank} spatial axes needs tensors of {self.rank + 2} dimensions: "
                f"{LAYOUTS[self.channels]}"
            )

    def result_shape(self, x: Shape, w: Shape) -> Shape:
        """The shape of the result for images and weights."""
        c, inner, o = x[self.axis("c", "x")], w[self.axis("c", "w")], w[self.axis("o", "w")]
        if not dims.equal(c, self.groups * inner):
            raise ShapeError(f"the weights are for {self.groups * inner} channels, x has {c}")
        if not dims.equal(floordiv(o, self.groups) * self.groups, o):
            raise ShapeError(f"{self.groups} groups do not divide {o} outputs")
        found = self.shape("g", x[0], o, self.places(self.spatial(x, "x"), self.spatial(w, "w")))
        check_extent(found)
        return found

    def places(self, images: Shape, kernel: Shape) -> Shape:
        """How many windows of the size of the kernel there are along each spatial axis."""
        for d, (low, high) in zip(images, self.padding, strict=True):
            if isinstance(d, int) and max(-low, 0) + max(-high, 0) > d:
                raise ShapeError(
                    f"the padding {(low, high)} leaves out more than the {d} elements that there are"
                )
        given = zip(images, kernel, self.padding, self.strides, self.dilations, strict=True)
        return tuple(window_count(d + low + high, k, s, apart) for d, k, (low, high), s, apart in given)


def same_shape(found: Shape, wanted: Shape) -> bool:
    """Whether two shapes are provably equal."""
    return len(found) == len(wanted) and all(map(dims.equal, found, wanted))
