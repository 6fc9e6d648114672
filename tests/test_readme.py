"""The first program of the README prints what the page says, and tensors have the names that it promises."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

import symgrad as sg

PAGE = Path(__file__).parent.parent / "README.md"
FIRST = re.compile(r"```python\n(.*?)```\n\nprints.*?\n\n```\n(.*?)```\n", re.S)


def test_the_first_program(tmp_path: Path, request: pytest.FixtureRequest) -> None:
    page = PAGE.read_text(encoding="utf-8")
    found = FIRST.search(page)
    assert found is not None
    (tmp_path / "model.py").write_text(found[1], encoding="utf-8")
    command = [sys.executable, "model.py"]
    printed = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=True).stdout
    text = re.sub(r" > rule \w+", "", printed).rstrip() + "\n"
    if request.config.getoption("--update-golden"):
        PAGE.write_text(page[: found.start(2)] + text + page[found.end(2) :], encoding="utf-8")
    else:
        assert found[2] == text, "run pytest with --update-golden, and read the difference"


def test_counts() -> None:
    """Of ops and rules: those of the pages that are generated."""
    page = PAGE.read_text(encoding="utf-8")
    ops, functions = re.search(r"(\d+) ops, and (\d+) functions", _doc("ops")).groups()  # type: ignore[union-attr]
    assert f"{ops} ops and {functions} functions by the names" in page
    default, fast = (part.count("\n| `") for part in _doc("rules").split("## fast"))
    assert f"{default + fast} rules, each" in page
    assert f"{default} in the default pipeline (exact, rounding, stable), {fast} on demand (fast)" in page


def _doc(name: str) -> str:
    return (PAGE.parent / "docs" / f"{name}.md").read_text(encoding="utf-8")


def test_a_part_of_a_line_is_not_what_the_line_assigns() -> None:
    x = sg.vector("x", size="n")
    cost = sg.mean(sg.exp(x) * x)
    assert sg.Graph([x], cost).names[cost] == "cost"
    assert "cost" not in sg.Graph([x], sg.grad(cost, x)).names.values()


def test_a_call_over_several_lines_has_the_name_of_its_first() -> None:
    x = sg.matrix("x", shape=("n", 3))
    # fmt: off
    total = sg.sum(sg.exp(x),
                   axis=0)
    # fmt: on
    assert sg.Graph([x], [total, total * 2]).names[total] == "total"


def test_a_part_stays_one_when_passes_rebuild_it() -> None:
    x, y = sg.matrix("x", shape=("n", 3)), sg.matrix("y", shape=("n", 3))
    u = sg.permute_dims(x.T, (1, 0))  # only an optimised graph is without
    z = sg.exp(u) * y
    graph = sg.optimize(sg.Graph([x, y], sg.grad(sg.sum(z), x)))
    assert {"exp"} <= {*graph.names.values()}
    assert "z" not in graph.names.values()


def test_what_a_line_assigns_may_be_a_graph() -> None:
    x = sg.vector("x", size="n")
    w = sg.shared(0.0, "w")
    graph = sg.Graph([x], sg.exp(x))
    assert list(graph.names.values()) == ["x", "exp"]
    step = sg.function([x], x * w, updates={w: w - sg.sum(x)})
    assert not {"step"} & {*step.graph.names.values(), *step.optimized.names.values()}
    other = sg.Graph(
        [x],
        outputs=sg.exp(x),
        updates={w: w + sg.sum(x)},
    )
    assert not {"other", "outputs", "updates"} & {*other.names.values()}
