"""Every rule has a file in `rules/`: graphs before and after it, in the text form, and both give the same
numbers.

A file `<rule>.sg` begins with comments, and holds pairs of graphs `before`, `after`, `before_2`, `after_2`
... Write the graphs before; `pytest tests/compiler/test_rules.py --update-golden` writes those after, and the
first line of the comments.

The graphs are compared with other dtypes in the place of f64 too, wherever the text still parses and the rule
still applies, with sizes of 0, 1 and more, on random and on special numbers.
"""

from __future__ import annotations

import re
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import symgrad as sg
from symgrad.dims import evaluate, symbols
from symgrad.errors import SymgradError
from symgrad.ir.graph import Graph
from symgrad.ir.origin import UNKNOWN, scope
from symgrad_compiler.passes import Rewriting, rules_of
from symgrad_compiler.rewrite import Rule
from symgrad_compiler.rewrite.engine import recording
from symgrad_compiler.validate.interpret import is_of_matrices
from tests.golden_text import Golden

FOLDER = Path(__file__).parent / "rules"
#: Every rule by its name; those of one function, for several ops, are one.
RULES: dict[str, list[Rule]] = {}
for _step in (*sg.passes.default, sg.passes.fast):
    for _rule in rules_of(_step):
        RULES.setdefault(_rule.name, []).append(_rule)

SPECIAL = np.array([0.0, -0.0, 1.0, -1.0, 0.5, -1.5, 3.0, np.inf, -np.inf, np.nan])
EXTREME = np.array([1e300, -1e300, 1e-300, 5e-324, -5e-324, 1.7976931348623157e308, 2.2250738585072014e-308])
TYPES = ("f32", "i64", "i8", "u8", "u64", "bool", "c128")
SIZES: tuple[dict[str, int], ...] = (
    {"n": 3, "m": 4, "k": 5},
    {"n": 1, "m": 1, "k": 1},
    {"n": 0, "m": 2, "k": 0},
)


def head(name: str) -> str:
    rule = RULES[name][0]
    return f"# {rule.kind}: {rule.maths}"


def texts(name: str) -> tuple[list[str], list[str]]:
    """The comments of a file, and the graphs before the rule."""
    path = FOLDER / f"{name}.sg"
    if not path.exists():
        pytest.fail(f"the rule {name} has no file {path}: write a graph there, called before, and update")
    parts = re.split(r"^(?=graph (?:before|after))", path.read_text(encoding="utf-8"), flags=re.M)
    return parts[0].splitlines(), [p for p in parts[1:] if p.startswith("graph before")]


def apply_rule(name: str, graph: Graph) -> tuple[Graph, int]:
    """The graph after the rule alone, and how often it was applied."""
    with recording() as counts, scope((UNKNOWN,)):
        result = Rewriting(name, RULES[name])(graph)
    return result, sum(counts.values())


def plain(graph: Graph) -> str:
    """The text of a graph without origins."""
    return "\n".join(line.split("  @")[0].rstrip() for line in sg.emit(graph).split("\n"))


def test_names_are_unique() -> None:
    for name, rules in RULES.items():
        assert len({getattr(r, "function", r) for r in rules}) == 1, f"two rules are called {name}"


def test_no_file_is_left_over() -> None:
    assert {p.stem for p in FOLDER.glob("*.sg")} <= set(RULES)


@pytest.mark.parametrize("name", RULES)
def test_before_and_after(name: str, golden: Golden) -> None:
    comments, befores = texts(name)
    assert befores, f"{name}.sg has no graph called before"
    lines = [head(name), *comments[1:]] if comments else [head(name)]
    parts = ["\n".join(lines).rstrip()]
    for text in befores:
        before = sg.parse(text)
        after, count = apply_rule(name, before)
        assert count, f"the rule {name} does not apply to\n{text}"
        again, more = apply_rule(name, after)
        assert not more, f"the rule {name} applies to what it made\n{plain(after)}\n{plain(again)}"
        assert after.outputs[0].type == before.outputs[0].type
        object.__setattr__(after, "name", before.name.replace("before", "after"))
        parts += [plain(before).rstrip(), plain(after).rstrip()]
    golden(FOLDER / f"{name}.sg", "\n\n".join(parts) + "\n")


#: Rules that have their turn before differentiation, where `maximum(x, 0)` is not yet `relu(x)`.
SHADOWED = {"softplus_maximum", "binary_cross_entropy_maximum"}


@pytest.mark.parametrize("name", sorted(set(RULES) - SHADOWED))
def test_every_rule_has_its_turn(name: str) -> None:
    """No other rule takes away what a rule waits for: the whole pipeline applies it to its own first
    graph."""
    is_fast = RULES[name][0].kind == "fast"
    with recording() as counts:
        sg.optimize(sg.parse(texts(name)[1][0]), [*sg.passes.default, *[sg.passes.fast] * is_fast])
    assert name in {rule.name for rule in counts}, f"only {sorted({r.name for r in counts})} are applied"


# ---- the same numbers -------------------------------------------------------------------------------


def variants(text: str) -> Iterator[tuple[str, Graph]]:
    """The graph, and the same in other dtypes where that is a graph."""
    yield "f64", sg.parse(text)
    for dtype in TYPES:
        changed = re.sub(r"\bf64\b", dtype, text)
        if dtype[0] in "iu":
            changed = re.sub(r"(?<![\w.])(-?\d+)\.0(?!\d)", r"\1", changed)
        if changed == text:
            return
        try:
            yield dtype, sg.parse(changed)
        except SymgradError:
            continue


def arguments(graph: Graph, sizes: dict[str, int], pool: Any, rng: Any) -> list[Any]:
    values = []
    for tensor in graph.inputs:
        shape = tuple(evaluate(d, sizes) for d in tensor.shape)
        dtype = tensor.dtype.numpy
        if tensor.dtype.kind == "bool":
            values.append(rng.random(shape) < 0.5)
        elif tensor.dtype.kind in ("int", "uint"):
            is_index = tensor.dtype.itemsize == 8 and any(
                n.op.name == "one_hot" or ("indices*" in n.op.operands or "index" in n.op.operands)
                for n in graph.consumers(tensor)
            )
            info = np.iinfo(dtype)
            low, high = (0, 2) if is_index else (info.min, info.max)
            values.append(rng.integers(low, high, shape, dtype, endpoint=True))
        elif pool is None:
            values.append(rng.uniform(0.1, 0.9, shape).astype(dtype))
        else:
            with np.errstate(all="ignore"):
                values.append(rng.choice(pool, shape).astype(dtype))
    return values


def run(function: Any, values: list[Any]) -> Any:
    with np.errstate(all="ignore"):
        return np.asarray(function(*values))


def bits(a: Any) -> bytes:
    a = np.asarray(a)
    if a.dtype.kind == "c":
        a = a.view(a.real.dtype)
    return np.where(np.isnan(a), np.nan, a).tobytes() if a.dtype.kind == "f" else a.tobytes()


def check(name: str, kind: str, old: Any, new: Any, is_special: bool, dtype: str, values: list[Any]) -> None:
    """Whether two results agree as the class of a rule promises."""
    assert old.dtype == new.dtype
    assert old.shape == new.shape
    if kind == "fast" and is_special:
        return
    said = f"{dtype} {values}\nbefore {old}\nafter  {new}"
    if kind == "exact" or old.dtype.kind in "biu":
        assert bits(old) == bits(new), said
        return
    eps = np.finfo(old.dtype).eps
    if not is_special:
        np.testing.assert_allclose(new, old, rtol=200 * eps, atol=200 * eps, err_msg=said)
        return
    assert not (np.isnan(new) & ~np.isnan(old)).any(), said
    if kind == "rounding":
        finite = np.isfinite(old)
        np.testing.assert_allclose(new[finite], old[finite], rtol=200 * eps, atol=200 * eps, err_msg=said)


@pytest.mark.seen
@pytest.mark.parametrize("name", RULES)
def test_before_and_after_agree(name: str) -> None:
    rng = np.random.default_rng(zlib.crc32(name.encode()))
    ran = 0
    for text in texts(name)[1]:
        for dtype, before in variants(text):
            after, count = apply_rule(name, before)
            if not count:
                assert dtype != "f64"
                continue
            names = {s for t in before.inputs for d in t.shape for s in symbols(d)}
            for backend in ("numpy", "llvm") if dtype == "f64" else ("numpy",):
                f, g = (
                    sg.function(
                        before.inputs, h.outputs[0], passes=(), backend=backend, on_unused_input="ignore"
                    )
                    for h in (before, after)
                )
                for sizes in SIZES if names else SIZES[:1]:
                    ran += agree(name, f, g, before, sizes, dtype, rng)
    assert ran


def agree(name: str, f: Any, g: Any, before: Graph, sizes: dict[str, int], dtype: str, rng: Any) -> int:
    """Compare two functions at several points; returns how many were not an error."""
    ran = 0
    kind = RULES[name][0].kind
    factors = any(is_of_matrices(n) for n in before.nodes)  # what an infinity makes there depends on the way
    pools = [None] if factors else [None, SPECIAL] + [np.concatenate([SPECIAL, EXTREME])] * (kind == "exact")
    for pool in (*pools, *pools):
        values = arguments(before, sizes, pool, rng)
        try:
            old = run(f, values)
        except (SymgradError, ValueError, IndexError):
            with pytest.raises((SymgradError, ValueError, IndexError)):
                run(g, values)
            continue
        check(name, kind, old, run(g, values), pool is not None, dtype, values)
        ran += 1
    return ran


@pytest.mark.parametrize("name", RULES)
def test_no_rule_looks_behind_a_barrier(name: str) -> None:
    """Behind barriers everywhere, a rule sees its root alone: what it makes then is right too, and it drops
    none."""
    for text in texts(name)[1]:
        before = sg.parse(text)
        for rule in RULES[name]:
            for node in before.nodes:
                if rule.key not in (node.op, type(node.op)) or not rule.plausible(node):
                    continue
                hidden = set(node.inputs)
                made = rule.apply(node.outputs[0], hidden)
                if made is None:
                    continue
                reached = {t for n in Graph(before.inputs, made).nodes for t in (*n.inputs, *n.outputs)} | {
                    made
                }
                behind = {t for h in hidden for t in h.node.inputs} - hidden - set(before.inputs)
                literal = {t for t in reached if not t.node.inputs}
                assert not (reached & behind) - literal, f"{name} looks behind a barrier in\n{text}"
