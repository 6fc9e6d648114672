"""einsum against NumPy's, values and gradients, on specs made at random; and what it refuses."""

from __future__ import annotations

import random
from typing import Any

import numpy as np
import pytest

import symgrad as sg

SIZES = {"a": 2, "b": 3, "c": 4, "d": 1, "e": 2}


def random_case(seed: int) -> tuple[str, list[tuple[int, ...]]]:
    """A spec and the shapes of its operands."""
    rng = random.Random(seed)
    hidden = [rng.choice([1, 2, 3]) for _ in range(rng.choice([0, 0, 1, 2]))]
    terms, shapes = [], []
    for _ in range(rng.choice([1, 2, 2, 2, 3, 4])):
        letters = [rng.choice("abcde") for _ in range(rng.randint(0, 3))]
        sizes = [SIZES[n] for n in letters]
        if len(set(letters)) == len(letters):  # NumPy, too, lets a size of 1 broadcast
            sizes = [1 if rng.random() < 0.1 else d for d in sizes]
        dots = [1 if rng.random() < 0.2 else d for d in hidden[rng.randint(0, len(hidden)) :]]
        at = rng.randint(0, len(letters))
        if dots or (hidden and rng.random() < 0.3):
            terms.append("".join([*letters[:at], "...", *letters[at:]]))
            shapes.append((*sizes[:at], *dots, *sizes[at:]))
        else:
            terms.append("".join(letters))
            shapes.append(tuple(sizes))
    if rng.random() < 0.25:
        return ",".join(terms), shapes
    used = sorted({c for t in terms for c in t if c != "."})
    output = rng.sample(used, rng.randint(0, len(used)))
    if any("." in t for t in terms):
        output.insert(rng.randint(0, len(output)), "...")
    return f"{','.join(terms)}->{''.join(output)}", shapes


def check(seed: int) -> None:
    """The value, and the gradient along a direction: einsum is linear in each operand, so that is exact."""
    spec, shapes = random_case(seed)
    rng = np.random.default_rng(seed)
    arrays = [rng.normal(size=s) for s in shapes]
    xs = [sg.tensor(f"x{i}", s) for i, s in enumerate(shapes)]
    y = sg.einsum(spec, *xs)
    expected = np.einsum(spec, *arrays)
    weights = rng.normal(size=expected.shape)
    gradients = sg.grad(sg.sum(y * weights), xs)
    value, *found = sg.function(xs, [y, *gradients])(*arrays)
    np.testing.assert_allclose(value, expected, rtol=1e-12, atol=1e-12, err_msg=spec)
    for i, (gradient, array) in enumerate(zip(found, arrays, strict=True)):
        direction = rng.normal(size=array.shape)
        moved = np.einsum(spec, *[direction if k == i else a for k, a in enumerate(arrays)])
        assert np.shape(gradient) == array.shape
        np.testing.assert_allclose(
            (gradient * direction).sum(), (moved * weights).sum(), rtol=1e-11, atol=1e-11, err_msg=spec
        )


@pytest.mark.parametrize("part", range(10))
def test_random_specs(part: int) -> None:
    for seed in range(15 * part, 15 * (part + 1)):
        check(seed)


@pytest.mark.campaign
@pytest.mark.parametrize("part", range(50))
def test_many_random_specs(part: int) -> None:
    for seed in range(1000 + 10 * part, 1010 + 10 * part):
        check(seed)


def test_the_gradient_of_a_diagonal_is_on_the_diagonal() -> None:
    x = sg.tensor("x", ("n", "n"))
    gradient = sg.grad(sg.sum(sg.einsum("ii->i", x) ** 2), x)
    a = np.arange(9.0).reshape(3, 3)
    np.testing.assert_array_equal(gradient.eval({x: a}), np.diag(2 * np.diag(a)))


def test_empty_and_symbolic_sizes() -> None:
    x, y = sg.tensor("x", ("n", "k")), sg.tensor("y", ("k", 3))
    f = sg.function([x, y], sg.einsum("nk,kj->nj", x, y))
    np.testing.assert_array_equal(f(np.ones((2, 0)), np.ones((0, 3))), np.zeros((2, 3)))
    np.testing.assert_array_equal(f(np.ones((2, 5)), np.ones((5, 3))), np.full((2, 3), 5.0))
    assert sg.einsum("nn->n", sg.tensor("z", ("n", "n"))).eval({"z": np.ones((0, 0))}).shape == (0,)


def test_pairs_are_multiplied_where_it_is_cheap() -> None:
    """(a b) c costs 2 * 8 * 100, a (b c) costs 2 * 100 * 100."""
    a, b, c = sg.tensor("a", (2, 8)), sg.tensor("b", (8, 100)), sg.tensor("c", (100, 100))
    chain = sg.einsum("ij,jk,kl->il", a, b, c)
    products = [n for n in sg.Graph([a, b, c], [chain]).nodes if n.op.name == "matmul"]
    assert [n.output.shape for n in products] == [(2, 100), (2, 100)]


def test_integers_and_booleans_as_numpy() -> None:
    x = np.array([100, 100], np.int8)
    assert sg.einsum("i,i", x, x).eval() == np.einsum("i,i", x, x)
    b = np.array([[True, False], [False, False]])
    result = sg.einsum("ij,jk->ik", b, b).eval()
    assert result.dtype == bool
    np.testing.assert_array_equal(result, np.einsum("ij,jk->ik", b, b))


BAD: list[tuple[Any, tuple[Any, ...], str]] = [
    ("ij,jk->il", ((2, 2), (2, 2)), "'l' is in no operand"),
    ("ij->ii", ((2, 2),), "repeated in the output"),
    ("i1", ((2, 2),), "letters"),
    ("i..j", ((2, 2),), "letters"),
    ("i->i->i", ((2,),), "letters"),
    ("ij", ((2, 2, 2),), "does not fit 3 dimensions"),
    ("...ij->ij", ((2, 2, 2),), "not in the output"),
    ("ij,ij", ((2, 2),), "2 terms for 1 operands"),
    ("", (), "1 terms for 0 operands"),
    ("ii", ((1, 3),), "differ in size"),
    ("ij,jk", ((2, 3), (2, 3)), "'j' have the sizes 3 and 2"),
    ("ij,jk", (("n", "m"), ("k", "n")), "'j' have the sizes m and k"),
]


@pytest.mark.parametrize(("spec", "shapes", "message"), BAD, ids=str)
def test_errors(spec: str, shapes: tuple[Any, ...], message: str) -> None:
    with pytest.raises(sg.ShapeError, match=message):
        sg.einsum(spec, *[sg.tensor(f"x{i}", s) for i, s in enumerate(shapes)])


@pytest.mark.parametrize(
    "call",
    [
        lambda x: sg.tensordot(x, x, 3),
        lambda x: sg.tensordot(x, x, ((0,), (1,))),
        lambda x: sg.tensordot(x, x, ((0, 1), (0,))),
        lambda x: sg.tensordot(x, x, "ij"),
        lambda x: sg.vecdot(x, x, axis=2),
        lambda x: sg.vecdot(x, sg.tensor("y", (2, 4))),
        lambda x: sg.inner(x, sg.tensor("y", (2, 4))),
        lambda x: sg.vdot(x, sg.tensor("y", (2, 4))),
    ],
)
def test_contractions_refuse_what_does_not_fit(call: Any) -> None:
    with pytest.raises(sg.ShapeError):
        call(sg.tensor("x", (2, 3)))


def test_masked_rows_stay_masked() -> None:
    """What a where leaves out sends exact zeros through a contraction, past infinities."""
    x, w = sg.tensor("x", (3, 2)), sg.tensor("w", (2, 2))
    y = sg.log(sg.einsum("ij,jk->ik", x, w))
    cost = sg.sum(sg.where(sg.constant([[True], [False], [True]]), y, 0))
    a = np.array([[1.0, 2.0], [np.inf, 0.0], [0.5, 0.5]])
    d_x, d_w = (g.eval({x: a, w: np.ones((2, 2))}) for g in sg.grad(cost, [x, w]))
    assert np.isfinite(d_x).all()
    assert np.isfinite(d_w).all()
    np.testing.assert_array_equal(d_x[1], [0, 0])


def test_linalg_offers_them() -> None:
    for name in ("matmul", "matrix_transpose", "outer", "tensordot", "vecdot", "kron"):
        assert getattr(sg.linalg, name) is getattr(sg, name)


def test_axes_of_lists_may_be_ints_of_numpy() -> None:
    a = np.arange(6.0).reshape(2, 3)
    found = sg.einsum(a, [np.int64(0), np.int32(1)], [np.int64(1)])
    np.testing.assert_array_equal(found.eval(), a.sum(axis=0))
    with pytest.raises(sg.ShapeError, match="an axis is an int"):
        sg.einsum(a, [0, True])


@pytest.mark.parametrize("name", ["inner", "vdot", "tensordot", "vecdot", "dot"])
def test_products_of_booleans_tell_whether_one_term_holds(name: str) -> None:
    rng = np.random.default_rng(3)
    a, b = rng.random((2, 3, 4)) < 0.4, rng.random((4, 3)) < 0.4
    v, u = rng.random((2, 4)) < 0.5
    operands = {"inner": (a, b.T.copy()), "vdot": (v, u), "tensordot": (a, b, 1), "vecdot": (a, v)}.get(
        name, (a, b)
    )
    found = getattr(sg, name)(*operands)
    assert found.dtype.name == "bool"
    wanted = (a & v).any(axis=-1) if name == "vecdot" else getattr(np, name)(*operands)
    np.testing.assert_array_equal(found.eval(), wanted)
