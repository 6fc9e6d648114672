"""Validation catches rules that do other than they say, and says which, where and by how much."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import symgrad as sg
from symgrad.errors import CompileError
from symgrad.ir.graph import Graph
from symgrad.ir.tensor import Tensor, apply
from symgrad.ops.arithmetic import add, divide
from symgrad.ops.reduce import Sum
from symgrad.ops.transcendental import sech_squared
from symgrad_compiler.rewrite import rule, var
from symgrad_compiler.rewrite.rules import function_rule
from symgrad_compiler.validate import Estimate, Estimates, Interpreter, agree, estimate
from symgrad_compiler.validate.compare import same_bits
from symgrad_compiler.validate.inputs import arguments
from symgrad_compiler.validate.interpret import undefined
from symgrad_compiler.validate.noise import MANY, RUNS

x, y, z = var("x"), var("y"), var("z")


def refused(rules: Any, build: Callable[..., Any], *inputs: Tensor) -> CompileError:
    """The error of compiling what `build` makes of the inputs, with a pass of these rules."""
    step = sg.passes.Rewriting("suspect", rules)
    with pytest.raises(CompileError) as caught:
        sg.function(inputs, build(*inputs), passes=[step], validate=True)
    return caught.value


def facts(error: CompileError) -> dict[str, Any]:
    return dict(error.facts)


def test_a_lost_minus_zero() -> None:
    error = refused([rule(x + 0, x)], lambda v: (v + 0).named("y"), sg.vector("v"))
    assert error.what == "the pass suspect changes the value of y"
    assert facts(error)["class"] == "exact, so the same bits"
    assert facts(error)["rule"] == "add (exact): x + 0 = x"
    assert (facts(error)["before"], facts(error)["after"]) == ("np.float64(0.0)", "np.float64(-0.0)")
    assert "-0." in facts(error)["v"]
    assert error.at is not None
    assert "test_validate.py" in error.at
    assert "lambda v: (v + 0)" in error.at


def test_a_rounding_rule_that_says_exact() -> None:
    error = refused([rule((x + y) - y, x)], lambda v, w: (v + w) - w, sg.scalar("v"), sg.scalar("w"))
    assert facts(error)["rule"] == "subtract (exact): (x + y) - y = x"
    assert "class: exact, so the same bits" in str(error)


def test_sums_in_another_order_are_not_exact_but_rounding() -> None:
    def swapped(kind: str) -> list[Any]:
        return [rule((x - y) - z, x - (y + z), kind)]

    args = [sg.vector(n, size="n") for n in "abc"]
    error = refused(swapped("exact"), lambda a, b, c: (a - b) - c, *args)
    assert "the pass suspect changes" in error.what
    f = sg.function(
        args,
        (args[0] - args[1]) - args[2],
        passes=[sg.passes.Rewriting("s", swapped("rounding"))],
        validate=True,
    )
    assert f.optimized.outputs[0].node.inputs[0] is args[0]


@pytest.mark.parametrize("kind", ["rounding", "stable"])
def test_a_nan_that_was_not_there(kind: str) -> None:
    error = refused([rule(sg.tanh(x), sg.sinh(x) / sg.cosh(x), kind)], sg.tanh, sg.vector("v"))
    assert facts(error)["after"] == "np.float64(nan)"
    assert facts(error)["before"] in ("np.float64(1.0)", "np.float64(-1.0)")
    assert facts(error)["rule"] == f"tanh ({kind}): tanh(x) = sinh(x) / cosh(x)"
    assert ("no new NaN" in facts(error)["class"]) == (kind == "stable")


def test_digits_that_were_there() -> None:
    """A stable rule the wrong way round."""
    error = refused([rule(sg.expm1(x), sg.exp(x) - 1, "stable")], sg.expm1, sg.vector("v"))
    assert facts(error)["before"] == "np.float64(1e-20)"
    assert facts(error)["after"] == "np.float64(0.0)"


@pytest.mark.parametrize("kind", ["rounding", "stable", "fast"])
def test_a_wrong_derivative(kind: str) -> None:
    """The derivative of tanh, with a sign wrong: caught whatever the rule calls itself."""

    def build(v: Tensor) -> Tensor:
        return sg.grad(sg.sum(sg.tanh(v)), v)

    error = refused([rule(sech_squared(x), 1 + sg.square(sg.tanh(x)), kind)], build, sg.vector("v"))
    assert facts(error)["rule"].endswith("= 1 + square(tanh(x))")
    assert float(facts(error)["allowed difference"]) < 1e-12


def test_a_result_of_another_type() -> None:
    v = sg.vector("v", size=3)

    def shorten(graph: Graph) -> Graph:
        return graph.with_results([sg.sum(t) for t in graph.outputs], {})

    with pytest.raises(CompileError, match="the pass shorten changed the type of the output multiply"):
        sg.function([v], v * 2, passes=[shorten], validate=True)


def test_a_wrong_update() -> None:
    v, w = sg.vector("v", size=3), sg.shared(np.ones(3), name="w")

    def forget(graph: Graph) -> Graph:
        return graph.with_results(graph.outputs, {})

    with pytest.raises(CompileError, match="the pass forget changed the updates"):
        sg.function([v], sg.sum(v), updates={w: w + v}, passes=[forget], validate=True)


def test_a_graph_that_fails_only_afterwards() -> None:
    v = sg.vector("v", size=3)

    @function_rule(Sum)
    def out_of_bounds(tensor: Tensor, barriers: Any) -> Tensor | None:
        """sum(x) = x[9]."""
        return sg.take(tensor.node.inputs[0], sg.astype(v[0] * 0 + 9, "int64"))

    error = refused(out_of_bounds, sg.sum, v)
    assert error.what == "the graph that the pass suspect returned fails, and the one before did not"
    assert facts(error)["error"].startswith("IndexError")


def test_a_pass_says_its_class() -> None:
    v = sg.vector("v", size="n")

    def reciprocals(graph: Graph) -> Graph:
        [ratio] = graph.outputs
        a, b = ratio.node.inputs
        return graph.with_results([a * apply(divide, sg.ones_like(b), b)], {})

    with pytest.raises(CompileError, match="class: exact"):
        sg.function([v], v / (v + 3), passes=[reciprocals], validate=True)
    reciprocals.kind = "rounding"
    sg.function([v], v / (v + 3), passes=[reciprocals], validate=True)


def test_large_graphs_are_verified_only() -> None:
    v = sg.vector("v", size=2_000_000)

    def wrong(graph: Graph) -> Graph:
        return graph.with_results([t + 1 for t in graph.outputs], {})

    f = sg.function([v], v * 2, passes=[wrong], validate=True)
    assert f.optimized.outputs[0].node.op is add


def test_the_default_comes_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    v, step = sg.vector("v"), sg.passes.Rewriting("suspect", [rule(x + 0, x)])
    monkeypatch.setenv("SYMGRAD_VALIDATE", "0")
    sg.function([v], v + 0, passes=[step])
    monkeypatch.setenv("SYMGRAD_VALIDATE", "1")
    with pytest.raises(CompileError, match="suspect"):
        sg.function([v], v + 0, passes=[step])


# ---- its parts ----------------------------------------------------------------------------------------


def test_arguments_cover_every_special_value() -> None:
    v = sg.scalar("v")
    seen = [given.values[v][()] for given, _ in arguments(Graph([v], v * 2))]
    for value in (0.0, -0.0, np.inf, -np.inf, np.nan, 5e-324):
        assert any(same_bits(np.asarray(s), np.asarray(value)) for s in seen), value


def test_indices_stay_in_range() -> None:
    m, i = sg.matrix("m", shape=("n", 4)), sg.vector("i", size="k", dtype="int64")
    kinds = {given.kind for given, _ in arguments(Graph([m, i], sg.sum(m[i], axis=0)))}
    assert kinds >= {"ordinary", "positive", "special"}


def test_sizes_that_must_be_equal_or_large() -> None:
    a, b = sg.vector("a", size="n"), sg.vector("b", size="m")
    with sg.assume_equal(a.shape[0], b.shape[0]):
        total = a + b
    assert any(given.sizes["n"] == given.sizes["m"] for given, _ in arguments(Graph([a, b], total)))
    assert len(list(arguments(Graph([a], a[6])))) >= 5


def estimated(build: Callable[..., Any], *values: Any, runs: int = RUNS) -> Any:
    arrays = [np.asarray(v) for v in values]
    xs = [sg.tensor(f"x{i}", a.shape, a.dtype) for i, a in enumerate(arrays)]
    run = Interpreter(dict(zip(xs, arrays, strict=True)), {})
    return estimate(Graph(xs, build(*xs)), run, runs=runs)[0]


@pytest.mark.parametrize(
    ("build", "value", "digits_lost"),
    [
        (lambda v: v * 3, 0.7, 0),
        (lambda v: (1 + v) - 1, 1e-8, 8),
        (lambda v: (1 - sg.cos(v)) / v**2, 1e-4, 8),
        (lambda v: sg.exp(v * 1.1), 300.0, 2.5),
        (lambda v: sg.sum(sg.stack([v, 1e6, -1e6, v]) * 1.0), 0.3, 6.5),
    ],
)
def test_the_estimate_counts_lost_digits(build: Any, value: float, digits_lost: float) -> None:
    found = estimated(build, value)
    lost = np.log10(found.spread / np.abs(found.value) / np.finfo(float).eps)
    assert abs(lost - digits_lost) < 1.2


def test_exact_ops_are_not_disturbed() -> None:
    a = np.random.default_rng(0).normal(size=(3, 4))
    found = estimated(lambda v: sg.max(sg.where(v.T > 0, v.T, -v.T)[::-1], axis=0), a)
    assert (found.spread == 0).all()


def test_what_rounding_decides_is_open() -> None:
    assert estimated(lambda v: sg.floor(v * 0.1 * 10), 3.0).spread == 1
    assert estimated(lambda v: sg.floor(v * 0.1), 35.0).spread == 0
    assert np.isinf(estimated(lambda v: v * 0.1 * 3 > 0.3 * v, 1.0).spread)
    assert estimated(lambda v: sg.copysign(v, sg.log2(-v)), 1.0).spread == 2
    assert np.isinf(estimated(lambda v: sg.astype(v, "int8"), 300.0).spread)
    assert np.isinf(estimated(lambda v: v * 2.0, np.finfo(float).max / 2).spread)


def test_what_overflow_decides_is_open_to_stable_forms() -> None:
    a = np.array([800.0, 1.0])
    x = sg.vector("x", size=2)
    ratio = sg.exp(x) / sg.sum(sg.exp(x))
    graph, run = Graph([x], [sg.where(ratio > 0, 1.0, 2.0)]), Interpreter({x: a}, {})
    assert (estimate(graph, run)[0].spread == 0).all()
    assert (estimate(graph, run, stable=True)[0].spread[0] > 0).all()


def test_a_division_by_what_rounding_makes_0_may_be_infinite() -> None:
    """Found by the campaign: to stable forms as well, whatever order adds up 1e206, -1e206 and 1."""
    x = sg.vector("x", size=3)
    graph, run = Graph([x], [1 / sg.sum(x)]), Interpreter({x: np.array([1e206, -1e206, 1.0])}, {})
    for stable in (False, True):
        assert np.isinf(estimate(graph, run, runs=100, stable=stable)[0].spread).all()


def test_what_an_order_loses_where_others_cancel_is_open() -> None:
    """Found by the campaign: 2 - 2 - 1e-323 is 0 in another order, and a quotient of it NaN."""
    a, b = sg.vector("a", size=3), sg.vector("b", size=3)
    h = a @ b
    given = {a: np.array([1.0, 2.0, -2.5]), b: np.array([2.0, -1.0, 5e-324])}
    [known] = estimate(Graph([a, b], [h / h]), Interpreter(given, {}), runs=100)
    assert np.isinf(known.spread)
    assert known.may_be_nan


def test_a_product_whose_factors_overflow_and_vanish_apart_may_be_nan() -> None:
    """Found by the campaign: and no number is less than that."""
    x = sg.vector("x", size=4)
    run = Interpreter({x: np.array([3e206, 3e-207, 1e308, 3e-207])}, {})
    for stable in (False, True):
        [known] = estimate(Graph([x], [sg.prod(x)]), run, runs=100, stable=stable)
        assert np.isinf(known.spread)
        [counted] = estimate(Graph([x], [sg.sum(sg.astype(x < sg.prod(x), "int64"))]), run, stable=stable)
        assert np.isinf(counted.spread)


def test_the_softmax_of_nothing_is_no_nan() -> None:
    """Found by the campaign: exp(log_softmax) was NaN where all are -inf, and softmax is 0."""
    x = sg.vector("x", size=3)
    f = sg.function([x], sg.exp(sg.log_softmax(x, axis=0)), validate=True)
    np.testing.assert_array_equal(f(np.full(3, -np.inf)), np.zeros(3))


def test_the_classes() -> None:
    def verdict(kind: str, a: Any, b: Any, spread: float = 0.0, **kw: Any) -> bool:
        first, second = np.asarray(a), np.asarray(b)
        known = Estimate(first, np.full(first.shape, spread), np.zeros(first.shape, bool))
        return agree(kind, first, second, lambda: known, **kw) is None

    inf, nan = np.inf, np.nan
    assert verdict("exact", nan, nan)
    assert not verdict("exact", 0.0, -0.0)
    assert verdict("rounding", 0.0, -0.0)
    assert verdict("rounding", 1.0, 1.0 + 1e-15)
    assert not verdict("rounding", 1.0, 1.0 + 1e-12)
    assert verdict("rounding", 1.0, 1.0 + 1e-12, spread=1e-13)
    assert not verdict("rounding", inf, 1.0)
    assert verdict("rounding", inf, 1.0, moderate=False)
    assert verdict("stable", inf, 1.0)
    assert verdict("stable", nan, 1.0)
    assert not verdict("stable", inf, nan)
    assert not verdict("stable", 1.0, inf)
    assert not verdict("stable", 1.0, nan, spread=inf)
    assert verdict("fast", inf, nan)
    assert verdict("fast", 1.0, 2.0, ordinary=False)
    assert not verdict("fast", 1.0, 2.0)
    assert not verdict("rounding", 3, 4)
    assert verdict("rounding", 3, 4, spread=inf)
    assert not verdict("exact", complex(0, 0.0), complex(0, -0.0))
    for kind in ("rounding", "stable"):  # which parts of an infinite complex product are NaN is open
        assert verdict(kind, complex(inf, -inf), complex(nan, nan))
        assert not verdict(kind, complex(1, 1), complex(nan, 1))


# ---- what it has found ----------------------------------------------------------------------------------


def test_a_sum_over_one_element_begins_with_zero() -> None:
    """So it is no reshape, bit by bit: 0 + -0 is 0."""
    v = sg.tensor("v", (3, 1))
    f = sg.function([v], sg.sum(v, axis=1), passes=())
    assert not np.signbit(f(np.full((3, 1), -0.0))).any()
    assert sg.function([v], sg.sum(v, axis=1), validate=True).optimized.stats()["ops"] == {"reshape": 1}


def test_a_power_is_not_rounded_as_a_square_is() -> None:
    """Libraries' powers are off by up to a unit in the last place (on most machines, for some of these)."""
    v = sg.vector("v", size="n")
    a = np.random.default_rng(0).uniform(0.1, 3, 10_000)
    powers = np.power(a, np.full(a.shape, 2.0))
    np.testing.assert_array_max_ulp(powers, a * a, maxulp=4)
    assert sg.function([v], v**2, validate=True).optimized.stats()["ops"] == {"square": 1}


@pytest.mark.parametrize(
    "build",
    [
        lambda z: sg.log(sg.exp(z)),
        lambda z: sg.log(sg.sum(sg.exp(z))),
        lambda z: sg.log(1 + sg.exp(z)),
        lambda z: sg.log(sg.exp(z) / 3),
        lambda z: sg.log(sg.sum(2 * sg.exp(z), axis=0)),
    ],
)
def test_logarithms_of_complex_numbers_stay_as_they_are(build: Any) -> None:
    """log(exp z) is z only up to a multiple of 2 pi i; and there is no logsumexp of complex numbers."""
    z = sg.vector("z", dtype="complex128")
    value = np.array([3 + 4j, -1 - 7j, 0.5j])
    found, written = (sg.function([z], build(z), passes=p)(value) for p in (None, ()))
    np.testing.assert_allclose(found, written, rtol=1e-13)


def test_the_sign_of_nan_means_nothing() -> None:
    x = sg.vector("x", size=2)
    g = sg.Graph([x], [sg.copysign(x, sg.log(x)), sg.signbit(sg.log(x))])
    run = Interpreter({x: np.array([-1.0, 2.0])}, {})
    signed, bits = estimate(g, run)
    assert signed.allowed[0] >= 2  # 1 and -1 are 2 apart
    assert not np.isfinite(bits.spread[0])
    assert np.isfinite(signed.spread[1])
    assert bits.spread[1] == 0


@pytest.mark.parametrize(
    ("padding", "weight", "is_open"), [(1, np.inf, True), (1, 2.0, False), (0, np.inf, False)]
)
def test_padding_that_meets_an_infinite_weight_is_left_open(
    padding: int, weight: float, is_open: bool
) -> None:
    """Found by random graphs: NaN by a factor 0, or no term of the sum."""
    x, w = sg.tensor("x", (1, 1, 4)), sg.tensor("w", (1, 1, 3))
    graph = sg.Graph([x, w], [sg.conv1d(x, w, padding=padding), x + 1.0])
    values = {x: np.ones((1, 1, 4)), w: np.full((1, 1, 3), weight)}
    run = Interpreter(values, {})
    run(graph)
    assert undefined(graph, run.values) == [is_open, False]


def test_a_product_whose_positive_and_negative_terms_overflow_may_be_anything() -> None:
    """Found by random graphs: infinite by fused multiplications, NaN by others."""
    a, b = sg.tensor("a", (1, 2)), sg.tensor("b", (2, 1))
    largest = float(np.finfo(np.float64).max)
    for huge, is_open in ((largest, True), (1e200, True), (1e100, False)):
        run = Interpreter({a: np.array([[huge, -huge]]), b: np.array([[huge], [huge]])}, {})
        graph = Graph([a, b], [a @ b])
        known = estimate(graph, run)[0]
        assert bool(np.isfinite(known.spread).all()) != is_open
        found = agree("rounding", np.full((1, 1), -np.inf), np.full((1, 1), np.nan), lambda k=known: k)  # type: ignore[misc]
        assert (found is None) == is_open


def test_a_convolution_may_lose_what_is_small_or_overflow_by_the_order_of_its_terms() -> None:
    """Found by the campaign: 1e200 - 1e200 - 1 is -1 or 0, which over itself is 1 or NaN; and of terms whose
    positive ones overflow the sum may be infinite."""
    x, w = sg.tensor("x", (1, 1, 3)), sg.tensor("w", (1, 1, 3))
    y = sg.conv1d(x, w)
    graph = Graph([x, w], [y / y, y])
    cases: list[tuple[list[float], tuple[bool, bool]]] = [
        ([1e200, -1e200, -1.0], (True, False)),
        ([1.5, -1e200, -1.0], (False, False)),
        ([1.7e308, 1.7e308, -1.7e308], (True, True)),
    ]
    for terms, is_open in cases:
        run = Interpreter({x: np.array([[terms]]), w: np.ones((1, 1, 3))}, {})
        found = estimate(graph, run, runs=MANY)
        assert tuple(bool(e.may_be_nan.any() or np.isinf(e.spread).any()) for e in found) == is_open


@pytest.mark.parametrize("seed", range(20))
def test_what_few_runs_say_is_wrong_is_looked_at_again(seed: int) -> None:
    """Found by random graphs: a product is 0 or 2e-308 by the order of its terms; 5 runs may all say 0."""
    largest, tiny = np.finfo(np.float64).max, np.finfo(np.float64).tiny
    a, b = sg.tensor("a", (1, 3)), sg.tensor("b", (3, 1))
    graph = Graph([a, b], [sg.where(a @ b > 0, sg.log(a @ b), 0.0)])
    estimates = Estimates(
        Interpreter({a: np.array([[-largest, 1, -1]]), b: np.array([[-1], [tiny], [largest]])}, {}), seed
    )

    def found(before: Any, after: float) -> object:
        return agree(
            "rounding",
            np.asarray(before),
            np.full((1, 1), after),
            lambda: estimates(graph)[0],
            again=lambda: estimates(graph, MANY)[0],
        )

    assert found(np.zeros((1, 1)), np.log(tiny)) is None
    estimates = Estimates(Interpreter({a: np.array([[1.0, 2, 3]]), b: np.array([[2.0], [1], [1]])}, {}), seed)
    assert found(estimates(graph)[0].value, np.log(6.99)) is not None


@pytest.mark.parametrize("comparison", [sg.equal, sg.not_equal, sg.less, sg.greater_equal])
def test_whether_what_cancels_is_equal_is_left_open(comparison: Callable[..., Tensor]) -> None:
    """Found by random graphs: a difference that is 0 in one program, 1e-17 in another, 0 in no noisy run."""
    x = np.array([0.1, 0.7, 3.3])
    for build in (lambda v: v / 3 - v * (1 / 3.0), lambda v: (v + 1) - v - 1):
        assert np.isinf(estimated(lambda v, b=build: comparison(b(v), 0.0), x, runs=MANY).spread).all()
    assert (estimated(lambda v: comparison(v * 3.1, 0.3), x, runs=MANY).spread == 0).all()
    assert (estimated(lambda v: comparison(v, 0.1), x, runs=MANY).spread == 0).all()


def test_the_sign_of_nan_is_left_open() -> None:
    """Found by random graphs: x + (-y) = x - y, but for the sign of NaN."""
    v = sg.vector("v", size=2)
    graph = Graph([v], [sg.signbit(v), v * 2])
    for value, is_open in ((np.nan, True), (-1.0, False)):
        run = Interpreter({v: np.array([1.0, value])}, {})
        run(graph)
        assert undefined(graph, run.values) == [is_open, False]


@pytest.mark.parametrize("f", [sg.cumulative_max, sg.cumulative_min])
def test_the_sign_of_a_zero_that_is_the_largest_so_far_is_left_open(f: Callable[..., Tensor]) -> None:
    """Found by the campaign: of 0 and -0 either is the larger, in accumulations as in `maximum`."""
    x = np.array([-0.0, 0.0, -0.0])
    assert estimated(lambda v: sg.signbit(f(v)), x, runs=MANY).spread.all()
    assert not estimated(lambda v: sg.signbit(f(v)), x + 1, runs=MANY).spread.any()


def test_the_logarithm_of_a_sum_of_nearly_one_is_as_accurate_as_one() -> None:
    """Found by the campaign: log(1 + 2e-8) has eight digits on both backends, which are not the same."""
    far = estimated(lambda v: sg.log_softmax(sg.stack([v, 0 * v]))[0], 17.66)
    assert -3e-8 < far.value < -1e-8
    assert 2**-53 < far.spread < 2**-50
    assert estimated(lambda v: sg.logsumexp(sg.stack([v, 0 * v])), -17.66).spread > 2**-53
