"""Rules, the engine and the passes: before and after, and that exact rules keep every bit."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import symgrad as sg
from symgrad.ir.graph import Graph
from symgrad.types import FLOAT64, TensorType
from symgrad_compiler.passes.canonicalize import IDENTITIES
from symgrad_compiler.passes.complexes import RULES as COMPLEXES
from symgrad_compiler.passes.stabilize import ROWS
from symgrad_compiler.rewrite import rule, var
from symgrad_compiler.rewrite.engine import index, rewrite
from symgrad_compiler.rewrite.pattern import Application, Attribute, Number, Variable, instantiate

SPECIAL = np.array([0.0, -0.0, 1.0, -1.5, 1e300, -1e-300, np.inf, -np.inf, np.nan, 3.0])


def graph(build: Any, *names: str) -> Graph:
    xs = [sg.vector(n, size=10) for n in names]
    return sg.Graph(xs, build(*xs))


def ops(g: Graph) -> list[str]:
    return [n.op.name for n in g.nodes if n.op.name != "fill"]


BEFORE_AFTER = [
    ("softplus", lambda x: sg.log(1 + sg.exp(x)), ["softplus"]),
    ("softplus swapped", lambda x: sg.log(sg.exp(x) + 1), ["softplus"]),
    ("softplus log1p", lambda x: sg.log1p(sg.exp(x)), ["softplus"]),
    ("logsumexp", lambda x: sg.log(sg.sum(sg.exp(x))), ["logsumexp"]),
    ("logsumexp kept", lambda x: sg.log(sg.sum(sg.exp(x), keepdims=True)), ["logsumexp", "reshape"]),
    ("logaddexp", lambda x: sg.log(sg.exp(x) + sg.exp(2 * x)), ["multiply", "logaddexp"]),
    ("three terms", lambda x: sg.log(sg.exp(x) + sg.exp(-x) + 1), ["log_cosh", "add", "logaddexp"]),
    ("scaled terms", lambda x: sg.log(3 * sg.exp(x) + 2), ["add", "logaddexp"]),
    ("weighted sum", lambda x: sg.log(sg.sum(2 * sg.exp(x))), ["add", "logsumexp"]),
    ("log of a mean", lambda x: sg.log(sg.mean(sg.exp(x))), ["logsumexp", "subtract"]),
    ("log cosh", lambda x: sg.log(sg.cosh(x)), ["log_cosh"]),
    ("log2", lambda x: sg.log2(1 + sg.exp(x)), ["softplus", "multiply"]),
    ("log softmax", lambda x: sg.log(sg.softmax(x)), ["log_softmax"]),
    ("log naive softmax", lambda x: sg.log(sg.exp(x) / sg.sum(sg.exp(x))), ["log_softmax"]),
    (
        "log of one term",
        lambda x: sg.log(sg.exp(x[3]) / sg.sum(sg.exp(x))),
        ["slice", "reshape", "logsumexp", "subtract"],
    ),
    ("two terms", lambda x: sg.exp(x) / (sg.exp(x) + sg.exp(2 * x)), ["multiply", "subtract", "sigmoid"]),
    ("log softmax picked", lambda x: sg.log(sg.softmax(x)[3]), ["log_softmax", "slice", "reshape"]),
    ("log sigmoid", lambda x: sg.log(sg.sigmoid(x)), ["negative", "softplus", "negative"]),
    ("naive sigmoid", lambda x: 1 / (1 + sg.exp(-x)), ["sigmoid"]),
    ("log naive sigmoid", lambda x: sg.log(1 / (1 + sg.exp(-x))), ["negative", "softplus", "negative"]),
    ("other sigmoid", lambda x: sg.exp(x) / (1 + sg.exp(x)), ["sigmoid"]),
    ("one minus sigmoid", lambda x: 1 - sg.sigmoid(x), ["negative", "sigmoid"]),
    ("expm1", lambda x: sg.exp(x) - 1, ["expm1"]),
    ("erfc", lambda x: 1 - sg.erf(x), ["erfc"]),
    ("erfc on the left", lambda x: 1 + sg.erf(x), ["negative", "erfc"]),
    ("ndtr", lambda x: 1 - sg.special.ndtr(x), ["negative", "ndtr"]),
    ("log ndtr", lambda x: sg.log(sg.special.ndtr(x)), ["log_ndtr"]),
    ("log upper tail", lambda x: sg.log(1 - sg.special.ndtr(x)), ["negative", "log_ndtr"]),
    ("log ndtr by erfc", lambda x: sg.log(sg.erfc(-x / 2**0.5) / 2), ["log_ndtr"]),
    ("log ndtr by erf", lambda x: sg.log(0.5 * (1 + sg.erf(x / 2**0.5))), ["log_ndtr"]),
    ("log erfc", lambda x: sg.log(sg.erfc(x)), ["multiply", "log_ndtr", "add"]),
    ("x log x", lambda x: x * sg.log(x), ["xlogx"]),
    ("log x x", lambda x: sg.log(x) * x, ["xlogx"]),
    ("entropy", lambda x: -x * sg.log(x), ["xlogx", "negative"]),
    ("other entropy", lambda x: x * -sg.log(x), ["xlogx", "negative"]),
    ("logit", lambda x: sg.log(x / (1 - x)), ["logit"]),
    ("reshapes", lambda x: sg.reshape(sg.reshape(x, (2, 5)), (5, 2)), ["reshape"]),
    ("permutes", lambda x: sg.reshape(x, (2, 5)).T.T * 2, ["reshape", "multiply"]),
    ("common", lambda x: sg.sin(x) * 2 + 2 * sg.sin(x), ["sin", "multiply", "add"]),
    ("hoisted", lambda x: sg.exp(sg.broadcast_to(x, (3, 10))) * 2, ["exp", "multiply", "broadcast"]),
    ("twice negative", lambda x: sg.negative(-x) * 1, []),
    ("constants", lambda x: x * (sg.constant(2.0) * 3 + 1), ["multiply"]),
]


@pytest.mark.parametrize(
    ("build", "expected"), [c[1:] for c in BEFORE_AFTER], ids=[c[0] for c in BEFORE_AFTER]
)
def test_before_and_after(build: Any, expected: list[str]) -> None:
    assert ops(sg.optimize(graph(build, "x"))) == expected


def _bits(a: Any) -> Any:
    a = np.asarray(a)
    return np.where(np.isnan(a), np.nan, a).tobytes() if a.dtype.kind == "f" else a.tobytes()


def _names(pattern: Any) -> set[str]:
    if isinstance(pattern, Variable):
        return {pattern.name}
    return set() if isinstance(pattern, (Number, Attribute)) else set().union(*map(_names, pattern.operands))


@pytest.mark.parametrize("r", [r for r in IDENTITIES if r not in COMPLEXES], ids=lambda r: f"{r.name}")
def test_identities_are_exact(r: Any) -> None:
    left = np.repeat(SPECIAL, len(SPECIAL))
    right = np.tile(SPECIAL, len(SPECIAL))
    bound: dict[str, Any] = {}
    arguments: dict[Any, Any] = {}
    for name, value in (("x", left), ("y", right), ("c", left > right)):
        if name in _names(r.pattern):
            bound[name] = sg.tensor(name, value.shape, value.dtype)
            arguments[bound[name]] = value
    like = (
        TensorType(FLOAT64, left.shape)
        if "c" not in bound or "x" in bound
        else next(iter(bound.values())).type
    )
    before, after = instantiate(r.pattern, bound, like), instantiate(r.replacement, bound, like)
    f = sg.function(list(bound.values()), [before, after], passes=(), on_unused_input="ignore")
    old, new = f(*arguments.values())
    assert _bits(old) == _bits(new)


@pytest.mark.parametrize("r", ROWS, ids=lambda r: r.name)
def test_stabilising_rows_agree_where_the_naive_form_is_good(r: Any) -> None:
    bound: dict[str, Any] = {n: sg.vector(n, size=4) for n in sorted(_names(r.pattern))}
    if r.name == "log_softmax_term":
        bound["x"] = sg.scalar("x")
    inputs = list(bound.values())
    bound["axes"] = (0,)
    like = TensorType(FLOAT64, (4,))
    before, after = instantiate(r.pattern, bound, like), instantiate(r.replacement, bound, like)
    f = sg.function(inputs, [before, after], passes=())
    point = np.array([0.3, -0.7, 1.1, 0.9]) * (-1 if r.name == "log1mexp" else 1)
    old, new = f(*[(point if t.ndim else 0.3) * (i + 1) for i, t in enumerate(inputs)])
    np.testing.assert_allclose(old, new, rtol=1e-13, atol=1e-15)


def test_a_barrier_is_not_looked_behind() -> None:
    x = sg.vector("x", size=10)
    e = sg.exp(x)
    g = sg.Graph([x], sg.log(1 + e))
    table = index(ROWS)
    assert rewrite(g.nodes, table, barriers=[e])[g.outputs[0]].node.op.name == "log1p"
    assert rewrite(g.nodes, table)[g.outputs[0]].node.op.name == "softplus"


def test_a_users_rule_and_pass() -> None:
    x = var("x")
    mine = rule(sg.sin(x) * sg.sin(x) + sg.cos(x) * sg.cos(x), x * 0 + 1, kind="fast", name="pythagoras")

    def pythagoras(g: Graph) -> Graph:
        return g.with_results([rewrite(g.nodes, index([mine])).get(t, t) for t in g.outputs], g.updates)

    t = sg.scalar("t")
    g = sg.Graph([t], sg.sin(t) * sg.sin(t) + sg.cos(t) * sg.cos(t))
    assert ops(sg.optimize(g, (pythagoras, *sg.passes.default))) == ["multiply", "add"]
    assert "pythagoras" in sg.why(pythagoras(g).outputs[0])


def test_rules_that_never_end_are_an_error() -> None:
    x, y = var("x"), var("y")
    loop = rule(x + y, y + x)
    a, b = sg.scalar("a"), sg.scalar("b")
    with pytest.raises(sg.CompileError, match="do not come to an end"):
        rewrite(sg.Graph([a, b], a + b).nodes, index([loop]))


@pytest.mark.parametrize(
    "f",
    [
        lambda z: sg.sqrt(z * z),
        lambda z: sg.log(sg.exp(z)),
        lambda z: sg.log(sg.sum(sg.exp(z))),
        lambda z: z * sg.log(z),
        lambda z: sg.exp(z) / sg.sum(sg.exp(z)),
    ],
)
def test_stable_forms_are_for_real_numbers(f: Any) -> None:
    z = sg.vector("z", size=2, dtype="complex128")
    point = np.array([0.5 + 4j, -1 - 5j])  # beyond pi, so that log(exp(z)) is not z
    plain = sg.function([z], f(z), passes=(), backend="numpy")(point)
    tuned = sg.function([z], f(z), backend="numpy")(point)
    np.testing.assert_allclose(tuned, plain, rtol=1e-14)


def test_merged_nodes_keep_all_origins() -> None:
    x = sg.scalar("x")
    first = sg.sin(x)
    second = sg.sin(x)
    g = sg.passes.merge(sg.Graph([x], first + second))
    sine = next(n for n in g.nodes if n.op.name == "sin")
    assert len({o.line for o in sine.origins}) == 2


def test_passes_leave_graphs_valid_and_explainable() -> None:
    x, w = sg.matrix("x", shape=("n", 3)), sg.matrix("w", shape=(3, 2))
    cost = sg.mean(sg.log(1 + sg.exp(x @ w)))
    g = sg.Graph([x, w], [cost, sg.grad(cost, w)])
    for step in sg.passes.default:
        g = step(g)
        g.verify()
    text = sg.explain(sg.Graph([x, w], cost))
    assert "stabilize" in text
    assert "+" in text


def test_the_default_pipeline_can_be_filtered() -> None:
    x = sg.scalar("x")
    kept = tuple(p for p in sg.passes.default if p is not sg.passes.stabilize)
    f = sg.function([x], sg.log(1 + sg.exp(x)), passes=kept)
    assert f(1000.0) == np.inf
    assert sg.function([x], sg.log(1 + sg.exp(x)))(1000.0) == 1000.0


def test_optimised_and_plain_agree_on_an_mlp() -> None:
    rng = np.random.default_rng(0)
    x, w = sg.matrix("x", shape=("n", 3)), sg.matrix("w", shape=(3, 4))
    cost = sg.mean(
        sg.sum(-sg.log(sg.exp(x @ w) / sg.sum(sg.exp(x @ w), axis=1, keepdims=True))[:, 1:2], axis=1)
    )
    g = sg.grad(cost, w)
    args = rng.normal(size=(5, 3)), rng.normal(size=(3, 4))
    plain = sg.function([x, w], [cost, g], passes=())
    tuned = sg.function([x, w], [cost, g], validate=True)
    for old, new in zip(plain(*args), tuned(*args), strict=True):
        np.testing.assert_allclose(old, new, rtol=1e-12)


def test_joins_that_become_as_many_other_parts() -> None:
    """Three parts, of which one is a join and two become one: again three, but others."""
    x, y = sg.vector("x", size=2), sg.vector("y", size=2)
    joined = sg.concat([x, y])
    graph = sg.optimize(sg.Graph([x, y], [joined, sg.concat([joined, sg.ones(2), sg.ones(1)])]))
    assert [t.shape for t in graph.outputs[1].node.inputs] == [(2,), (2,), (3,)]


def test_every_row_is_an_application() -> None:
    assert all(isinstance(r.pattern, Application) for r in [*IDENTITIES, *ROWS] if r not in COMPLEXES)


@pytest.mark.parametrize("count", [100, 1500])
def test_long_products_are_taken_apart_factor_by_factor(count: int) -> None:
    """Found in review: a likelihood of more than 64 factors was taken for rules without an end."""
    x, mean = sg.vector("x", size=count), sg.scalar("mean")
    y: sg.Tensor = mean
    for i in range(count):
        y = y * sg.exp(-((x[i] - mean) ** 2) / 2) if i % 2 else y / sg.exp((x[i] - mean) ** 2 / 2)
    f = sg.function([x, mean], [sg.log(y), sg.grad(sg.log(y), mean)], backend="numpy", validate=False)
    a = np.arange(count) * 0.5
    value, slope = f(a, 0.75)
    assert value == pytest.approx(np.log(0.75) - ((a - 0.75) ** 2).sum() / 2, rel=1e-12)
    assert slope == pytest.approx(1 / 0.75 + (a - 0.75).sum(), rel=1e-12)


@pytest.mark.parametrize("count", [100, 400])
def test_many_writes_behind_each_other(count: int) -> None:
    v = sg.vector("v", size=count)
    added, chain = v, v
    for i in range(count):
        added = added.at[i].add(1.0)
    for i in range(1, count):
        chain = chain.at[i].set(chain[i - 1] * 0.5)
    f = sg.function([v], [added, chain, sg.grad(sg.sum(chain), v)], backend="numpy", validate=False)
    found = f(np.arange(1.0, count + 1))
    np.testing.assert_array_equal(found[0], np.arange(2.0, count + 2))
    np.testing.assert_allclose(found[1], 0.5 ** np.arange(count))
    np.testing.assert_allclose(found[2], [2 - 0.5 ** (count - 1), *[0.0] * (count - 1)])
