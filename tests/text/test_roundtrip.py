"""What is printed parses back to the same graph, bit for bit, and prints the same again."""

from __future__ import annotations

import copy
import math
import pickle
import subprocess
import sys
import time
from typing import Any

import numpy
import pytest
from hypothesis import given, settings

import symgrad as sg
from symgrad import registry
from symgrad.ir import origin
from symgrad.ir.op import SharedState
from symgrad.ir.origin import UNKNOWN, Origin, Step
from symgrad.ir.tensor import Tensor, apply, create
from symgrad.ir.values import ArrayData, Scalar
from symgrad.types import DTYPES, TensorType
from tests.golden_text import Golden
from tests.graphs import graphs


def round_trip(graph: sg.Graph) -> str:
    text = sg.emit(graph)
    back = sg.parse(text)
    assert back.same(graph), text
    assert sg.emit(back) == text
    assert [t.name for t in back.outputs] == [graph.names[t] for t in graph.outputs] or graph.literals
    back.verify()
    return text


def x(*shape: Any, dtype: str = "float64", name: str = "x") -> Tensor:
    return sg.tensor(name, shape, dtype)


@settings(max_examples=300)
@given(graphs())
def test_random_graphs(graph: sg.Graph) -> None:
    round_trip(graph)


N = sg.size("n")
TABLE: dict[str, Any] = {
    "reduce": lambda a, i: [sg.sum(a), sg.max(a, 0), sg.min(a, 1), sg.prod(a), sg.argmax(a, 0)],
    "softmax": lambda a, i: [sg.softmax(a, 1), sg.log_softmax(a, 0), sg.logsumexp(a)],
    "shape": lambda a, i: [a.T, a.reshape(3 * N), a[None], sg.broadcast_to(a, (2, "n", 3)), sg.arange(N)],
    "index": lambda a, i: [a[1:, ::-1], a[::2], sg.take(a, i, 0), sg.one_hot(i, 5)],
    "join": lambda a, i: [sg.concat([a, a, a], 0), sg.stack([a, a]), *sg.split(a, sizes=[1, 2], axis=1)],
    "gradients": lambda a, i: [
        sg.grad(sg.sum(sg.tanh(a[:, 1:] @ a[:, :2].T) ** 2), a),
        sg.grad(sg.sum(sg.take(a, i, 0)), a),
        sg.grad(sg.sum(sg.where(a > 0, sg.log(a), 0.0)), a),
    ],
    "literals": lambda a, i: [a * 2.0, 1 / a, sg.where(a > 0, a, math.inf), sg.maximum(a, -0.0), i + 3],
    "all literals": lambda a, i: [apply(registry.ops["add"], _fill(2.0), _fill(3.0)), a],
    "literals compared": lambda a, i: [apply(registry.ops["equal"], _fill(2.0), _fill(3.0)), a],
    "literal out": lambda a, i: [_fill(2.0), a * _fill(7.0)],
    "sizes": lambda a, i: [a.size * 2.0 + sg.sum(a), sg.arange(N * N // 7 + 1), sg.mean(a)],
    "no elements": lambda a, i: [a[:0], sg.constant(numpy.zeros((0, 3))) + a[0]],
    "types": lambda a, i: [sg.astype(a, d) for d in ("float32", "int8", "bool", "complex64")],
    "complex": lambda a, i: [sg.complex(a, 2.0), sg.conj(a * 1j), sg.real(a * (1 + 2j)), sg.angle(1j * a)],
    "gradients through complex numbers": lambda a, i: [
        sg.grad(sg.sum(sg.abs(sg.exp(1j * a) @ (a.T + 2j))), a),
        sg.grad(sg.sum(sg.abs(sg.fft.rfftn(a, axes=(1, 0), norm="ortho"))), a),
    ],
    "transforms": lambda a, i: [
        sg.fft.fft(a),
        sg.fft.ifft2(a * 1j, norm="forward"),
        sg.fft.irfft(sg.fft.rfft(a, axis=0), n=N, axis=0),
        sg.fft.fft(a, n=7),
    ],
    "strong": lambda a, i: [sg.matmul(a.T, a), sg.dot(a[:, 0], a[:, 1])],
    "one fill, two uses": lambda a, i: [a * (c := _fill(2.0, a.shape)), a + c],
    "one fill, two kinds": lambda a, i: [a * (c := _fill(2.0, a.shape)), sg.sum(c)],
}


def _fill(value: float, shape: Any = ()) -> Tensor:
    return apply(registry.ops["fill"](Scalar.of(value, DTYPES["float64"]), shape))


@pytest.mark.parametrize("build", TABLE.values(), ids=TABLE.keys())
def test_table(build: Any) -> None:
    a, i = x("n", 3), x("k", dtype="int64", name="i")
    round_trip(sg.Graph([a, i], build(a, i)))


def test_every_elementwise_op() -> None:
    assert sg.Tensor, "loads the language"
    for made in [o for o in registry.ops.values() if hasattr(o, "conditions")]:
        _check_elementwise(made)


def _check_elementwise(made: Any) -> None:
    kind = {"bool": "bool", "int": "int32", "uint": "uint8", "float": "float32", "complex": "complex64"}
    for accepted in made.accepts:
        inputs = [
            x("n", dtype="bool" if i < made.conditions else kind[accepted], name=name)
            for i, name in enumerate(made.operands)
        ]
        for value in (*inputs, 1):
            operands = [value if i == len(inputs) - 1 else t for i, t in enumerate(inputs)]
            try:
                result = made(*operands)
            except sg.SymgradError:
                continue
            round_trip(sg.Graph(inputs, result))


def bits(dtype: str, pattern: int) -> Any:
    size = numpy.dtype(dtype).itemsize
    return numpy.array(pattern, f"uint{8 * size}").view(dtype)[()]


F64 = [
    0.0,
    -0.0,
    0.1,
    1e22,
    5e-324,
    1.7976931348623157e308,
    math.inf,
    -math.inf,
    math.nan,
    123456789012345680.0,
]
SPECIAL = [
    *[numpy.float64(v) for v in F64],
    bits("float64", 0x7FF8000000000001),
    bits("float64", 0xFFF8000000000000),
    bits("float64", 0x7FF0000000000001),
    *[numpy.float32(v) for v in (0.1, -0.0, 1e-45, 3.4028235e38, 16777217, 1e10, math.inf, math.nan)],
    bits("float32", 0x7FC00001),
    bits("float32", 0xFFC00000),
    bits("float32", 0x7F800001),
    numpy.complex128(complex(-0.0, math.nan)),
    numpy.complex64(complex(math.inf, -0.1)),
    numpy.array([bits("float64", 0xFFF8000000000000), -0.0]).view("complex128")[0],
    numpy.int8(-128),
    numpy.uint64(2**64 - 1),
    numpy.int64(-(2**63)),
    numpy.bool_(True),
]


@pytest.mark.parametrize("value", SPECIAL, ids=repr)
def test_numbers_keep_their_bits(value: Any) -> None:
    dtype = DTYPES[value.dtype.name]
    array = numpy.array([value, value])
    small, named = registry.ops["constant"](ArrayData(array)), sg.shared(array, "w")
    literal = apply(registry.ops["fill"](Scalar(dtype, value.tobytes()), (2,)))
    a = x(2, dtype=dtype.name)
    text = round_trip(sg.Graph([a], [apply(small), named, sg.equal(a, literal)]))
    assert "fill" not in text, "the literal stands where it is used"
    assert sg.parse(text).states[0].state.array.tobytes() == array.tobytes()


@pytest.mark.parametrize("shape", [(), (1,), (0,), (0, 3), (2, 0), (32,), (33,), (4, 100), (1,) * 64])
@pytest.mark.parametrize("dtype", DTYPES)
def test_arrays(shape: tuple[int, ...], dtype: str) -> None:
    size = math.prod(shape)
    array = numpy.arange(size).astype(dtype).reshape(shape)
    outputs = [sg.shared(array), apply(registry.ops["constant"](ArrayData(array)))]
    text = round_trip(sg.Graph([], outputs))
    assert text.count("base64") == (size > 32), "equal arrays are kept once"
    assert max(map(len, text.splitlines())) <= 1100


STEP = Step("vjp", "tanh(z).x")
ORIGINS = [
    (UNKNOWN,),
    (Origin("a.py", 1),),
    (Origin("/far/away/a b.py", 1), Origin("möbel.py", 2, (STEP, STEP))),
    (Origin("", 0, (STEP,)), UNKNOWN, Origin("", 7)),
    (Origin('q"|@#\n\\.py', 3, (Step("odd kind", "a > b | c"), Step("rule", " lead"), Step("rule", ""))),),
    (Origin("\udc80.py", 3), Origin("<stdin>", 1), Origin("C:\\x.py", 9), Origin("<doctest a[0]>", 1)),
    (Origin("x.py", 1, (Step("rule", "x # y"), Step("pass", "größer 'q' (a, b)"))),),
    (Origin("-1:2", 4, (Step("a", "b:3"), Step("a", "d > e"))),),
]


@pytest.mark.parametrize("origins", ORIGINS, ids=repr)
def test_origins(origins: tuple[Origin, ...]) -> None:
    a = x()
    (y,) = create(registry.ops["tanh"], (a,), (a.type,), origins)
    back = sg.parse(round_trip(sg.Graph([a], y)))
    assert back.outputs[0].node.origins == origins


SIZES = [
    N**2,
    2 * N + 1,
    N * sg.size("m") - 3,
    -(-N // 4),
    (N // 2) * (N // 3) ** 2,
    (N * N + 1) // (sg.size("m") + 1),
    5 // (N + 1),
    N**60 * N**40,
]


@pytest.mark.parametrize("size", SIZES, ids=str)
def test_sizes(size: Any) -> None:
    a = x("n", "m")
    text = round_trip(sg.Graph([a], [sg.arange(size), apply(registry.ops["size_of"](size))]))
    assert sg.parse(text).outputs[0].shape == (size,)


def test_names_that_nobody_gave() -> None:
    a = x(3, name="fill")
    long = "v" * 255
    outputs = {"fill": a * 2.0, "y": (a * 3.0).named(long), "z": (a * 4.0).named(long), "return_": sg.ones(3)}
    round_trip(sg.Graph({"fill": a}, outputs))
    round_trip(sg.Graph([a], [a, a, a * 2.0], name="inputs_out"))
    round_trip(sg.Graph([a], []))
    many = [x("n", name=f"long_input_name_{i}") for i in range(20)]
    assert "\n  long_input_name_3: f64[n],\n" in round_trip(sg.Graph(many, many))


def test_several_outputs_and_duplicate_output_names() -> None:
    a = x(5)
    first, second = sg.split(a, sizes=[2, 3])
    graph = sg.Graph([a], [first, first])
    round_trip(graph)
    round_trip(graph.with_results([first, second[:2]], {}))
    both = sg.emit(sg.Graph([a], [first, second]))
    assert "split_0: f64[2], split_1: f64[3] = split(x, axis=0, sizes=(2, 3))" in both


def test_pickle_and_copy() -> None:
    a, w = x("n"), sg.shared(numpy.arange(50.0), "w")
    graph = sg.Graph([a], sg.sum(a) * w, {w: w + 1.0})
    for back in (pickle.loads(pickle.dumps(graph)), copy.deepcopy(graph), copy.copy(graph)):
        assert back.same(graph)
    assert copy.deepcopy(graph).states[0].state is not w.state
    code = "import pickle, sys; print(len(pickle.load(sys.stdin.buffer).nodes))"
    done = subprocess.run(
        [sys.executable, "-c", code], input=pickle.dumps(graph), capture_output=True, check=True
    )
    assert int(done.stdout) == len(graph.nodes)


def test_golden(golden: Golden) -> None:
    with origin.scope((Origin("model.py", 12),)):
        a, b = x("n", 4), x(3, name="b")
        w = sg.shared(numpy.arange(12.0).reshape(4, 3) / 8, "w")
        z = ((a @ w).named("h") + b).named("z")
        loss = sg.sum(sg.tanh(z).named("y") ** 2).named("loss")
    with origin.scope((Origin("model.py", 15),)):
        d_w, d_b = sg.grad(loss, [w, b])
        new = (w - 0.1 * d_w).named("w_new")
    graph = sg.Graph([a, b], {"loss": loss, "d_b": d_b}, {w: new}, name="mlp")
    golden("text/mlp.sg", round_trip(graph))


def test_long_graphs_take_linear_time() -> None:
    def seconds(count: int) -> float:
        a = y = x("n")
        for i in range(count):
            y = sg.tanh(y) * 2.0 if i % 2 else y + a
        graph = sg.Graph([a], y)
        start = time.perf_counter()
        text = sg.emit(graph)
        back = sg.parse(text)
        taken = time.perf_counter() - start
        assert len(back.nodes) == len(graph.nodes)
        assert count > 5000 or back.same(graph)
        return taken

    small = min(seconds(3000) for _ in range(3))
    large = seconds(30_000)
    assert large < 40 * small + 0.2


def test_a_state_keeps_the_newest_value() -> None:
    w = sg.shared([1.0, 2.0], "w")
    w.set([3.0, 4.0])
    graph = sg.Graph([], w)
    assert "[3.0, 4.0]" in round_trip(graph)
    assert isinstance(graph.states[0].node.op, SharedState)
    assert TensorType(DTYPES["float64"], (2,)) == sg.parse(sg.emit(graph)).outputs[0].type


def test_pictures() -> None:
    a, w = x("n"), sg.shared([1.0], "w")
    y = (a * 2.0 + sg.sum(w)).named("y")
    graph = sg.Graph([a], y, {w: w * 2.0})
    dot = graph.to_dot()
    assert '"y" [label="y = add\\nf64[n]", shape=ellipse, peripheries=2];' in dot
    assert dot.count("{") == dot.count("}") == 1
    converted = graph.to_networkx()
    assert set(converted.nodes) == set(graph.names.values())
    assert converted.nodes["y"] == {"op": "add", "type": "f64[n]"}
    assert all("operand" in data for _, _, data in converted.edges(data=True))
