"""Tensors and the nodes that make them; the only place where nodes are created.

A `Tensor` is an SSA value: which output of which `Node`, of which type. The operators and methods are the
language's functions, looked up in the registry, since the room `ops` that defines them lies above.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Mapping, Sequence
from types import EllipsisType
from typing import Any, NoReturn

import numpy

from symgrad import registry
from symgrad.dims import Dim, Shape, product
from symgrad.errors import GraphError, ShapeError, SymgradError
from symgrad.ir import origin
from symgrad.ir.op import Input, Op, SharedState
from symgrad.ir.operators import REFLECTED, Operators
from symgrad.ir.origin import Origin
from symgrad.ir.values import State
from symgrad.types import DType, TensorType

_ids = itertools.count(1)


class Node:
    """An op applied to tensors. Ids grow with creation, so inputs have smaller ids than their users."""

    __slots__ = ("id", "inputs", "op", "origins", "outputs")

    id: int
    op: Op
    inputs: tuple[Tensor, ...]
    outputs: tuple[Tensor, ...]
    origins: tuple[Origin, ...]

    def __init__(self, op: Op, inputs: tuple[Tensor, ...], origins: tuple[Origin, ...]) -> None:
        self.id = next(_ids)
        self.op = op
        self.inputs = inputs
        self.origins = origins

    @property
    def output(self) -> Tensor:
        """The output of a node that has one."""
        return self.outputs[0]

    def __repr__(self) -> str:
        types = ", ".join(str(t.type) for t in self.outputs)
        return f"<{self.op.name} node {self.id} -> {types}>"


def _method(name: str) -> Callable[..., Any]:
    def call(self: Tensor, *args: Any, **kwargs: Any) -> Any:
        if "out" in kwargs:  # NumPy's functions hand it to methods of their name
            raise _no_value(self, "array", f"symgrad's functions: sg.{name}, not numpy.{name}")
        return registry.language[name](self, *args, **kwargs)

    call.__name__ = name
    call.__doc__ = f"`symgrad.{name}` of this tensor."
    return call


class Tensor(Operators):
    """A symbolic value in a graph.

    `==` and the other comparisons are elementwise and build graph; hashing and `is` are by identity.
    """

    __slots__ = ("__weakref__", "compiled", "derivative_of", "index", "is_part", "name", "node", "type")
    __hash__ = object.__hash__

    #: The tensor that this one is the gradient of, which gives it its printed name `d_x`.
    derivative_of: Tensor | None
    #: What `eval` has compiled for this tensor, kept for the next call.
    compiled: Any
    index: int
    #: Whether the user's line that makes it makes something else of it: no variable of that line is its name.
    is_part: bool
    name: str | None
    node: Node
    type: TensorType

    def __init__(self, type: TensorType, node: Node, index: int, name: str | None = None) -> None:
        self.type = type
        self.node = node
        self.index = index
        self.name = name
        self.derivative_of = None
        self.compiled = None
        self.is_part = False

    @property
    def dtype(self) -> DType:
        return self.type.dtype

    @property
    def shape(self) -> Shape:
        return self.type.shape

    @property
    def ndim(self) -> int:
        return len(self.type.shape)

    @property
    def size(self) -> Dim:
        """The number of elements."""
        return product(self.type.shape)

    @property
    def T(self) -> Tensor:
        """The transpose of a matrix (all axes reversed)."""
        result: Tensor = registry.language["permute_dims"](self, tuple(reversed(range(self.ndim))))
        return result

    @property
    def mT(self) -> Tensor:
        """The transpose of the last two axes."""
        result: Tensor = registry.language["matrix_transpose"](self)
        return result

    @property
    def at(self) -> Any:
        """`x.at[key].set(v)`, and `add`, `mul`, `max`, `min`: x with other values where the key selects."""
        return registry.language["at"](self)

    @property
    def real(self) -> Tensor:
        """The real part; of real numbers, the tensor itself."""
        result: Tensor = registry.language["real"](self)
        return result

    @property
    def imag(self) -> Tensor:
        """The imaginary part; of real numbers, zeros."""
        result: Tensor = registry.language["imag"](self)
        return result

    def stands_for(self, old: Tensor, replaced: Mapping[Tensor, Tensor] | None = None) -> None:
        """Take over what gives another tensor its printed name; `replaced` are the new forms of others."""
        forward = old.derivative_of
        self.name, self.is_part = old.name, old.is_part
        self.derivative_of = replaced.get(forward, forward) if replaced and forward is not None else forward

    def named(self, name: str) -> Tensor:
        """Name this tensor, for printing and for `Graph.find`; returns the tensor itself."""
        self.name = check_name(name)
        return self

    sum = _method("sum")
    mean = _method("mean")
    max = _method("max")
    min = _method("min")
    clip = _method("clip")
    round = _method("round")
    prod = _method("prod")
    argmax = _method("argmax")
    argmin = _method("argmin")
    sort = _method("sort")
    argsort = _method("argsort")
    take = _method("take")
    any = _method("any")
    all = _method("all")
    var = _method("var")
    std = _method("std")
    cumsum = _method("cumsum")
    cumprod = _method("cumprod")
    dot = _method("dot")
    squeeze = _method("squeeze")
    ravel = _method("ravel")
    flatten = _method("flatten")
    swapaxes = _method("swapaxes")
    repeat = _method("repeat")
    diagonal = _method("diagonal")
    conj = _method("conj")
    conjugate = _method("conj")
    trace = _method("trace")
    astype = _method("astype")
    eval = _method("eval")

    def copy(self) -> Tensor:
        """The tensor itself: it never changes."""
        return self

    def reshape(self, *shape: Any, copy: bool | None = None) -> Tensor:
        """`symgrad.reshape` of this tensor; the sizes in a tuple or one by one."""
        result: Tensor = registry.language["reshape"](self, _unwrapped(shape), copy=copy)
        return result

    def transpose(self, *axes: Any) -> Tensor:
        """`symgrad.permute_dims` of this tensor; the axes in a tuple, one by one, or none, which reverses."""
        order = _unwrapped(axes)
        result: Tensor = registry.language["permute_dims"](self, None if axes == () else order)
        return result

    @property
    def device(self) -> str:
        """Where the tensor will be computed (the array API's attribute): there is the processor."""
        return "cpu"

    def to_device(self, device: str, /, *, stream: Any = None) -> Tensor:
        """The tensor itself, for the only device there is."""
        if device != self.device or stream is not None:
            raise SymgradError(
                f"there is no device {device!r}", hint='the only one is "cpu", without streams'
            )
        return self

    def __getitem__(self, key: Any) -> Tensor:
        result: Tensor = registry.language["getitem"](self, key)
        return result

    def __setitem__(self, key: Any, value: Any) -> NoReturn:
        name = self.name or self.node.op.name
        raise TypeError(
            f"no item of {name}: {self.type} can be assigned: a tensor never changes\n"
            "  hint: y = x.at[key].set(value) is x with another value there; add, mul, max, min likewise"
        )

    def __iter__(self) -> Iterator[Tensor]:
        if not self.type.shape:
            raise TypeError("iteration over a 0-d tensor")
        length = self.type.shape[0]
        if not isinstance(length, int):
            raise TypeError(
                f"iteration over an axis of the symbolic size {length}\n"
                "  hint: write the computation on the whole tensor, or give the axis a fixed size"
            )
        return (self[i] for i in range(length))

    def __len__(self) -> int:
        if not self.type.shape:
            raise TypeError("len() of a 0-d tensor")
        length = self.type.shape[0]
        if not isinstance(length, int):
            raise TypeError(f"len() of a symbolic size; use .shape[0], which is {length}")
        return length

    def __bool__(self) -> NoReturn:
        raise _no_value(self, "truth value", "symgrad.where(condition, a, b) to choose inside the graph")

    def __float__(self) -> NoReturn:
        raise _no_value(self, "float", "t.eval({x: value, ...}) to compute it now")

    def __int__(self) -> NoReturn:
        raise _no_value(self, "int", "t.eval({x: value, ...}) to compute it now")

    __index__ = __complex__ = __int__

    def __array_ufunc__(self, function: Any, method: str, *operands: Any, **keywords: Any) -> Any:
        """NumPy's arrays and numbers leave operators to the tensor; NumPy's functions take no tensor."""
        name, turn = function.__name__, REFLECTED.get(function.__name__)
        is_operator = method == "__call__" and not keywords and not isinstance(operands[0], Tensor)
        if turn and is_operator:
            return getattr(self, turn)(operands[0])
        if name in registry.language:
            raise _no_value(self, "array", f"symgrad's functions: sg.{name}, not numpy.{name}")
        self.__array__()

    def __array__(self, *_args: Any, **_kwargs: Any) -> NoReturn:
        raise _no_value(
            self, "array", "symgrad's functions (sg.exp, not numpy.exp), or t.eval(...) for numbers"
        )

    def __contains__(self, item: object) -> NoReturn:
        raise _no_value(self, "membership test", "symgrad.equal(t, item)")

    def __array_namespace__(self, api_version: str | None = None) -> Any:
        return registry.language["array_namespace"](api_version)

    def __repr__(self) -> str:
        return f"<{self.name or self.node.op.name}: {self.type}>"

    def __copy__(self) -> Tensor:
        return self

    def __deepcopy__(self, memo: Any) -> Tensor:
        return self

    def __reduce__(self) -> NoReturn:
        raise TypeError(
            "a tensor cannot be pickled by itself\n  hint: put it into a symgrad.Graph, which can"
        )


_SEQUENCES = (tuple, list, range, numpy.ndarray)


def _unwrapped(items: tuple[Any, ...]) -> Any:
    """What was given as f((2, 3)), f([2, 3]) or f(2, 3)."""
    return items[0] if len(items) == 1 and (items[0] is None or isinstance(items[0], _SEQUENCES)) else items


class Shared(Tensor):
    """Persistent state of a program: a leaf with a value."""

    __slots__ = ()

    @property
    def state(self) -> State:
        op = self.node.op
        assert isinstance(op, SharedState)
        state: State = op.state
        return state

    def get(self) -> Any:
        """A copy of the current value."""
        return self.state.get()

    def set(self, value: Any) -> None:
        """Replace the value; shape and dtype are fixed. What is given is converted where nothing is lost, as
        the arguments of functions are.

        Raises:
            ShapeError: another shape.
            DTypeError: no numbers, or numbers that the dtype does not hold.
        """
        self.state.set(value)

    value = property(get, set, doc="The current value; reading copies.")

    def __copy__(self) -> NoReturn:
        """A copy would be another variable, which no graph reads."""
        name = self.name or "w"
        raise TypeError(
            f"shared state cannot be copied: {self!r}\n  hint: {name}.get() is a copy of its value, and "
            f"sg.shared({name}.get()) another variable"
        )

    def __deepcopy__(self, memo: Any) -> NoReturn:
        self.__copy__()


Index = int | slice | EllipsisType | None


def _no_value(tensor: Tensor, what: str, hint: str) -> TypeError:
    name = tensor.name or tensor.node.op.name
    return TypeError(
        f"the symbolic tensor {name}: {tensor.type} has no {what}: it holds no numbers\n  hint: use {hint}"
    )


def check_name(name: object) -> str:
    """`name` if it can name a tensor or a graph: an identifier that the text form has not reserved."""
    if isinstance(name, str) and len(name) > MAX_NAME:
        raise GraphError(f"a name has at most {MAX_NAME} letters, not {len(name)}: {name[:20]}...")
    if not isinstance(name, str) or not name.isidentifier():
        raise GraphError(
            f"a name must be an identifier, not {name!r:.80}", hint='for example "x" or "hidden_1"'
        )
    if name in RESERVED:
        raise GraphError(f"the name {name!r} is a word of the text form", hint=f'for example "{name}_"')
    return name


MAX_NAME = 255
RESERVED = frozenset(
    [
        "graph",
        "return",
        "update",
        "state",
        "data",
        "file",
        "nan",
        "inf",
        "infj",
        "nanj",
        "True",
        "False",
        "None",
        "floordiv",
        "min",
        "max",
    ]
)


# ---- creation ---------------------------------------------------------------------------------------


def apply(op: Op, *inputs: Tensor) -> Tensor:
    """The output of `op`, which has one, applied to `inputs`."""
    return apply_all(op, inputs)[0]


def apply_all(op: Op, inputs: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
    """All outputs of `op` applied to `inputs`. Errors name the operands and the user's line."""
    try:
        types = op.infer(*[t.type for t in inputs])
    except SymgradError as error:
        if error.at is None:
            error.at = origin.locate(origin.current())
        if not error.facts:
            error.facts = tuple((operand_label(op, i, t), t.type) for i, t in enumerate(inputs))
        raise
    return create(op, inputs, (types,) if isinstance(types, TensorType) else types, origin.current())


def operand_label(op: Op, index: int, tensor: Tensor) -> str:
    """What an error message calls an operand: the tensor's name if it has one, else the operand's."""
    return tensor.name or op.operand_name(index)


def create(
    op: Op, inputs: tuple[Tensor, ...], types: Sequence[TensorType], origins: tuple[Origin, ...]
) -> tuple[Tensor, ...]:
    """A node of known types (the caller has inferred them)."""
    node = Node(op, inputs, origins)
    for tensor in inputs:
        if tensor.node.origins is origins:
            tensor.is_part = True
    outputs = (
        (Tensor(types[0], node, 0),)
        if len(types) == 1
        else tuple([Tensor(t, node, i) for i, t in enumerate(types)])
    )
    node.outputs = outputs
    return outputs


def make_input(type: TensorType, name: str) -> Tensor:
    """A graph's input."""
    node = Node(INPUT, (), origin.current())
    node.outputs = (Tensor(type, node, 0, check_name(name)),)
    return node.outputs[0]


def make_shared(state: State, name: str | None) -> Shared:
    """A tensor that stands for `state`."""
    node = Node(SharedState(state), (), origin.current())
    shared = Shared(state.type, node, 0, None if name is None else check_name(name))
    node.outputs = (shared,)
    return shared


INPUT = Input()


def is_leaf(tensor: Tensor) -> bool:
    """Whether the tensor is an input or shared state, whose value comes from outside."""
    return isinstance(tensor.node.op, (Input, SharedState))


def require_rank(what: str, tensor: TensorType, rank: int) -> None:
    """ShapeError unless `tensor` has `rank` dimensions."""
    if tensor.ndim != rank:
        raise ShapeError(f"{what} needs {rank} dimensions", facts=[("got", tensor)])


def same_tensors(a: Sequence[Tensor], b: Sequence[Tensor]) -> bool:
    """Whether two sequences hold the very same tensors (`==` on tensors makes a tensor)."""
    return len(a) == len(b) and all(x is y for x, y in zip(a, b, strict=True))
