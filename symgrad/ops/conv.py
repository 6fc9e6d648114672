"""Convolutions: a family of three bilinear ops, each of which is the transposes of the others.

    conv           y[n,o,i] = sum over c, p of x[n,c,i*s+p*d-a] w[o,c,p]
    conv_input     the transpose towards x, from g, which is like y, and w
    conv_weights   the transpose towards w, from x and g

for any number of spatial axes; s are strides, d dilations, a the padding in front (see `conv_geometry`), and a sum
runs over the channels of the output's group. `index_form` writes an op out with its numbers. What the language calls
convolution is in `convolve`.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from typing import Any, ClassVar

from symgrad.dims import Dim, Shape, floordiv
from symgrad.errors import ShapeError
from symgrad.ir.tensor import Node, Tensor, apply
from symgrad.ops import conv_products
from symgrad.ops.conv_geometry import Geometry, same_shape
from symgrad.ops.create import zeros
from symgrad.ops.kinds import Linear, Tangents, declare, known_finite, total
from symgrad.ops.shape import permute_dims, reshape
from symgrad.records import record
from symgrad.types import TensorType

#: The letters of the axes of each tensor that are not spatial.
_LETTERS = {"x": "nc", "w": "oc", "g": "no"}


@record
class Convolution(Geometry, Linear):
    """What the three have in common.

    `strong` names the operands whose zeros are strong: a term with such a zero is 0, whatever the other factor is.
    Derivatives of masked values need it (see `kinds`).
    """

    strong: str = ""
    #: What the op makes: "x", "w" or "g".
    result: ClassVar[str]

    @property
    def selects(self) -> bool:  # type: ignore[override]
        """A stride may pass over elements of x; of a kernel, some may meet padding alone; a strong zero leaves
        the other factor unused."""
        plain = all(v == 1 for v in (*self.strides, *self.dilations)) and not any(map(any, self.padding))
        return bool(self.strong) or not plain

    def infer(self, *operands: TensorType) -> TensorType:
        if len(operands) != 2:
            raise ShapeError(f"{self.name} takes 2 operands, not {len(operands)}")
        if self.strong not in ("", *self.operands, "".join(self.operands)):
            raise ShapeError(f"{self.name}: strong names operands, {self.strong!r:.20} does not")
        self.check(*operands)
        given = {name: t.shape for name, t in zip(self.operands, operands, strict=True)}
        return operands[0].with_shape(self._result_shape(given))

    def _result_shape(self, given: dict[str, Shape]) -> Shape:
        raise NotImplementedError

    # ---- derivatives ----------------------------------------------------------------------------------

    def towards(self, result: str, spatial: Shape, strong: Collection[str]) -> Convolution:
        """The op of the family that makes `result`, of these spatial sizes, with strong zeros of these tensors."""
        made = FAMILY[result]
        named = "".join(o for o in made.operands if o in strong)
        shared = (self.channels, self.strides, self.padding, self.dilations, self.groups, named)
        return Conv(*shared) if made is Conv else made(*shared, spatial)

    def pull(
        self, node: Node, operand: int, cotangents: tuple[Tensor | None, ...], masked: bool
    ) -> Tensor | None:
        """What the operand is, made of the cotangent and the other operand; strong in what was strong and in a
        masked cotangent."""
        g = cotangents[0]
        if g is None:
            return None
        name, other = self.operands[operand], self.operands[1 - operand]
        kept = node.inputs[1 - operand]
        strong = {other} & set(self.strong)
        if name in self.strong or (masked and not known_finite(kept)):
            strong.add(self.result)
        op = self.towards(name, self.spatial(node.inputs[operand].shape, name), strong)
        given = {self.result: g, other: kept}
        return apply(op, *[given[o] for o in op.operands])

    def push(self, node: Node, tangents: Sequence[Tensor | None], masked: bool) -> Tangents | None:
        """The op of one tangent and the other operand, for both; strong in a masked tangent."""
        parts = []
        spatial = self.spatial(node.output.shape, self.result)
        for i, t in enumerate(tangents):
            if t is not None:
                strong = set(self.strong)
                if masked and not known_finite(node.inputs[1 - i]):
                    strong.add(self.operands[i])
                op = self.towards(self.result, spatial, strong)
                parts.append(apply(op, *[t if k == i else x for k, x in enumerate(node.inputs)]))
        return (total(parts),)

    # ---- batches --------------------------------------------------------------------------------------

    def batch(self, size: Dim, operands: Sequence[Tensor], batched: Sequence[bool]) -> tuple[Tensor, ...]:
        """One convolution: the batch joins an axis that only the batched operand has; if both have one, it is
        more groups."""
        if size == 0:
            one = [x.type.with_shape(x.shape[b:]) for x, b in zip(operands, batched, strict=True)]
            made = self.infer(*one)
            return (zeros((0, *made.shape), made.dtype),)
        if all(batched):
            pairs = zip(self.operands, operands, strict=True)
            given = [_joined(x, size, self._group_axis(name), 1) for name, x in pairs]
            found = apply(replace(self, groups=self.groups * size), *given)
            return (_apart(found, size, self._group_axis(self.result), 1),)
        i = 0 if batched[0] else 1
        name = self.operands[i]
        letter = next(a for a in _LETTERS[name] if a not in _LETTERS[self.operands[1 - i]])
        folded = _joined(operands[i], size, self.axis(letter, name), self._groups_of(letter, name))
        found = apply(self, *[folded if k == i else x for k, x in enumerate(operands)])
        axis, groups = self.axis(letter, self.result), self._groups_of(letter, self.result)
        return (_apart(found, size, axis, groups),)

    def _group_axis(self, tensor: str) -> int:
        """The axis along which a tensor is cut into groups."""
        return self.axis("c" if tensor == "x" else "o", tensor)

    def _groups_of(self, letter: str, tensor: str) -> Dim:
        """Into how many groups an axis is cut."""
        return self.groups if self.axis(letter, tensor) == self._group_axis(tensor) else 1


def _joined(x: Tensor, size: Dim, axis: int, groups: Dim) -> Tensor:
    """x without its leading axis, which joins `axis` of what is behind it, inside of the groups."""
    shape = x.shape[1:]
    inside = floordiv(shape[axis], groups)
    apart = reshape(x, (size, *shape[:axis], groups, inside, *shape[axis + 1 :]))
    moved = permute_dims(apart, (*range(1, axis + 2), 0, *range(axis + 2, apart.ndim)))
    return reshape(moved, (*shape[:axis], size * shape[axis], *shape[axis + 1 :]))


def _apart(x: Tensor, size: Dim, axis: int, groups: Dim) -> Tensor:
    """The reverse of `_joined`: the batch as leading axis again."""
    shape = x.shape
    whole = floordiv(shape[axis], size)
    inside = floordiv(whole, groups)
    apart = reshape(x, (*shape[:axis], groups, size, inside, *shape[axis + 1 :]))
    order = (axis + 1, *[i for i in range(apart.ndim) if i != axis + 1])
    return reshape(permute_dims(apart, order), (size, *shape[:axis], whole, *shape[axis + 1 :]))


# ---- the family -------------------------------------------------------------------------------------


@declare
@record
class Conv(Convolution):
    """The windows of x, each multiplied by the weights and added up: a cross-correlation, as in all of deep
    learning."""

    name: ClassVar[str] = "conv"
    checks_windows = True
    operands = ("x", "w")
    result = "g"
    numpy = (
        "numeric.conv({x}, {w}, {channels}, {strides}, {padding}, {dilations}, {groups}, {strong}, "
        "numeric.matmul)"
    )
    fails = True

    def _result_shape(self, given: dict[str, Shape]) -> Shape:
        return self.result_shape(given["x"], given["w"])

    def expand(self, x: Tensor, w: Tensor) -> Tensor:
        return conv_products.conv(self, self.strong, x, w)


@declare
@record
class ConvInput(Convolution):
    """The transpose of `conv` towards x, whose spatial sizes are `sizes`: every g times the weights, added up
    where windows overlap. Also called a transposed convolution."""

    sizes: Shape = ()
    name: ClassVar[str] = "conv_input"
    operands = ("g", "w")
    result = "x"
    numpy = (
        "numeric.conv_input({g}, {w}, {channels}, {strides}, {padding}, {dilations}, {groups}, {strong}, "
        "{sizes}, numeric.matmul)"
    )

    def _result_shape(self, given: dict[str, Shape]) -> Shape:
        g, w = given["g"], given["w"]
        x = self.shape("x", g[0], self.groups * w[self.axis("c", "w")], self.sizes)
        _check_transpose(self, x, w, g)
        return x

    def expand(self, g: Tensor, w: Tensor) -> Tensor:
        return conv_products.conv_input(self, self.strong, self.sizes, g, w)


@declare
@record
class ConvWeights(Convolution):
    """The transpose of `conv` towards w, whose spatial sizes are `sizes`: every window of x times its g, added
    up."""

    sizes: Shape = ()
    name: ClassVar[str] = "conv_weights"
    operands = ("x", "g")
    result = "w"
    numpy = (
        "numeric.conv_weights({x}, {g}, {channels}, {strides}, {padding}, {dilations}, {groups}, {strong}, "
        "{sizes}, numeric.matmul)"
    )
    fails = True

    def _result_shape(self, given: dict[str, Shape]) -> Shape:
        x, g = given["x"], given["g"]
        outputs, channels = g[self.axis("o", "g")], x[self.axis("c", "x")]
        w = self.shape("w", outputs, floordiv(channels, self.groups), self.sizes)
        _check_transpose(self, x, w, g)
        return w

    def expand(self, x: Tensor, g: Tensor) -> Tensor:
        return conv_products.conv_weights(self, self.strong, self.sizes, x, g)


def _check_transpose(op: Convolution, x: Shape, w: Shape, g: Shape) -> None:
    """Refuse a g that is not like the result of a convolution of x and w."""
    sizes = op.spatial(x, "x") if op.result == "x" else op.spatial(w, "w")
    if len(sizes) != op.rank:
        raise ShapeError(f"{op.name} needs a size for each spatial axis")
    wanted = op.result_shape(x, w)
    if not same_shape(wanted, g):
        raise ShapeError(
            f"{op.name}: g must have the shape of a convolution", facts=[("wanted", wanted), ("g", g)]
        )


FAMILY: Mapping[str, Any] = {"g": Conv, "x": ConvInput, "w": ConvWeights}


# ---- the index form ---------------------------------------------------------------------------------


def index_form(op: Convolution) -> str:
    """The op written out: what is added to which element, for all values of the letters. Where an index is outside
    of a tensor, there is nothing to add. (g, o) is element o of group g.

    >>> print(index_form(Conv("first", (2, 1), ((1, 1), (0, 0)), (1, 3))))
    y[n,o,i,j] += x[n,c,2*i+p-1,j+3*q] * w[o,c,p,q]
    >>> print(index_form(ConvWeights("last", (1,), ((2, 0),), (1,), 4, sizes=(5,))))
    w[p,c,(g,o)] += x[n,i+p-2,(g,c)] * y[n,i,(g,o)]
    """
    places, kernel = (_spatial(letters, op.rank) for letters in ("ijk", "pqr"))
    at = [
        _times(s, i) + "+" + _times(d, p) + (f"{-low:+d}" if low else "")
        for i, p, s, d, (low, _) in zip(places, kernel, op.strides, op.dilations, op.padding, strict=True)
    ]
    grouped = op.groups != 1
    c, o = ("(g,c)", "(g,o)") if grouped else ("c", "o")
    if op.channels == "first":
        form = {"x": ["n", c, *at], "w": [o, "c", *kernel], "g": ["n", o, *places]}
    else:
        form = {"x": ["n", *at, c], "w": [*kernel, "c", o], "g": ["n", *places, o]}
    first, second, out = (f"{'y' if t == 'g' else t}[{','.join(form[t])}]" for t in (*op.operands, op.result))
    return f"{out} += {first} * {second}"


def _spatial(letters: str, rank: int) -> list[str]:
    """A letter for each spatial axis; where there are more axes than letters, numbered ones."""
    return list(letters[:rank]) if rank <= len(letters) else [f"{letters[0]}{i}" for i in range(rank)]


def _times(factor: int, letter: str) -> str:
    return letter if factor == 1 else f"{factor}*{letter}"
