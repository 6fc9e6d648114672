"""Watching and extending the optimizer: `explain`, `why`, pipelines as values, and what users do wrong."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import symgrad as sg
from symgrad.ir.graph import Graph
from symgrad.ir.origin import Origin, scope
from symgrad_compiler.explain.align import align, carry_names
from symgrad_compiler.rewrite.engine import recording

x, y = sg.rewrite.var("x"), sg.rewrite.var("y")
double_angle = sg.rewrite.rule(sg.sin(x) * sg.cos(x), sg.sin(2 * x) / 2, "rounding", "double_angle")
double_angles = sg.passes.Rewriting("double_angles", [double_angle])


def graph() -> Graph:
    a = sg.vector("a", size=3)
    return Graph([a], (sg.sin(a) * sg.cos(a)).named("r"))


def step_graph() -> Graph:
    a, t = sg.matrix("a", shape=("n", 3)), sg.matrix("t", shape=("n", 2))
    w = sg.shared(np.ones((3, 2)), "w")
    z = (a @ w).named("z")
    loss = sg.mean(sg.log(1 + sg.exp(z)) - t * z).named("loss")
    return Graph([a, t], loss, {w: w - 0.1 * sg.grad(loss, w)})


# ---- explain ------------------------------------------------------------------------------------------


def test_records_hold_counts_rules_and_graphs() -> None:
    g = graph()
    told = sg.explain(g, (*sg.passes.default, double_angles))
    assert [p.name for p in told.passes] == [*sg.passes.default.names, "double_angles"]
    last = told.passes[-1]
    assert last.rules == {double_angle: 1}
    assert (last.before, last.after) == (3, len(last.graph.nodes))
    assert last.ops == {"cos": -1, "divide": 1, "fill": 2}
    assert last.graph.same(sg.optimize(g, (*sg.passes.default, double_angles)))
    for before, after in zip(told.passes, told.passes[1:], strict=False):
        assert after.before == before.after
        counted = sum(after.ops.values())
        assert counted == after.after - after.before
    assert "rounding  sin(x) * cos(x) = sin(2 * x) / 2" in told
    assert "1 × double_angle" in str(told)
    assert repr(told) == str(told)


def test_recordings_may_be_nested() -> None:
    with recording() as outer:
        with recording() as inner:
            sg.optimize(graph(), [double_angles])
        sg.optimize(graph(), [double_angles])
    assert (inner[double_angle], outer[double_angle]) == (1, 2)


def test_a_pass_that_changes_nothing_says_so() -> None:
    (told,) = sg.explain(graph(), [sg.passes.eliminate]).passes
    assert told.text(times=False) == "eliminate: 3 -> 3 nodes"
    assert told.difference == ()


def test_differences_show_what_changed_and_no_renumbering() -> None:
    # Ten sums in a row; in the first, two equal terms become one. No line of the other nine changes.
    a = sg.vector("a", size=3)
    total = sg.sin(a) + sg.sin(a)
    for _ in range(10):
        total = sg.tanh(total + a)
    (told,) = sg.explain(Graph([a], total), [sg.passes.merge]).passes
    assert [line[0] for line in told.difference] == ["-", "-", "+"]
    assert "same as sin" in told.difference[0]
    assert told.merged == 1
    old, new = told.difference[1:]
    assert old.replace("sin_1", "sin")[1:] == new[1:]


def test_what_replaces_a_tensor_keeps_its_name() -> None:
    told = sg.explain(step_graph())
    changed = [line for p in told.passes for line in p.difference]
    assert any(re.match(r"\+ .*softplus\(z\).*# by rule \w+", line) for line in changed)
    assert not any("return" in line or "update" in line for line in changed)
    assert all(line[:2] in ("- ", "+ ", "  ") for line in changed)


def test_what_is_made_anew_on_other_operands_is_not_shown() -> None:
    a, w = sg.vector("a", size="n"), sg.scalar("w")
    t = a
    for i in range(4):
        t = sg.tanh(t * w + a) if i % 3 else sg.log(1 + sg.exp(t)) * 0.5
    told = sg.explain(Graph([a, w], sg.sum(t)), [sg.passes.stabilize])
    heads = [line.split(":")[0] for line in told.passes[0].difference]
    assert heads == ["- exp", "- add", "- log", "+ log", "- exp_1", "- add_3", "- log_1", "+ log_1"]


def test_every_line_that_stays_is_the_same_before_and_after() -> None:
    """Applying the difference to the lines of the graph before gives the lines of the graph after."""
    graphs = [step_graph(), graph()]
    for g in graphs:
        told = sg.explain(g, (*sg.passes.default, double_angles), full=True)
        names, before = g.names, g
        for record in told.passes:
            if record.graph is before:
                continue
            after = record.graph
            new = carry_names(names, after, align(before, after))
            lines = {f"{new[t]}: {t.type}" for n in after.nodes for t in n.outputs if t not in after.literals}
            was = {
                f"{names[t]}: {t.type}" for n in before.nodes for t in n.outputs if t not in before.literals
            }
            heads = [(line[0], line[2:].split(" = ")[0]) for line in record.difference]
            gone = {h for sign, h in heads if sign == "-"}
            come = {h for sign, h in heads if sign == "+"}
            assert (was - gone) | come == lines
            names, before = new, after


def test_long_differences_are_cut_unless_all_is_wanted() -> None:
    a = sg.vector("a", size=3)
    total = a
    for _ in range(60):
        total = sg.sin(total) * sg.cos(total)
    g = Graph([a], total)
    short, full = sg.explain(g, [double_angles]), sg.explain(g, [double_angles], full=True)
    hidden = re.search(r"… (\d+) more lines", str(short))
    assert hidden is not None
    assert len(str(full).splitlines()) == len(str(short).splitlines()) + int(hidden[1]) - 1
    assert "more lines" not in full


def test_a_function_is_explained_with_its_own_passes() -> None:
    a = sg.vector("a", size=3)
    f = sg.function([a], sg.sin(a) * sg.cos(a), passes=[double_angles])
    told = sg.explain(f)
    assert [p.name for p in told.passes] == ["double_angles"]
    assert told.passes[-1].graph.stats() == f.optimized.stats()
    assert [p.name for p in sg.explain(f, [sg.passes.merge]).passes] == ["merge"]


def test_custom_derivatives_are_released_first() -> None:
    a = sg.vector("a", size=3)
    f = sg.function([a], sg.checkpoint(lambda t: sg.exp(t) * t)(a), passes=[sg.passes.merge])
    assert [p.name for p in sg.explain(f).passes] == ["release", "merge"]


def test_ops_that_call_back_are_named() -> None:
    a = sg.matrix("a", shape=("n", "n"))
    made = sg.linalg.svdvals(a)
    f = sg.function([a], made, backend="llvm")
    (note,) = [line for line in sg.explain(f).notes if "calls back" in line]
    assert "made = svdvals(...)" in note
    assert "test_watching.py" in note
    assert not any("calls back" in line for line in sg.explain(sg.function([a], sg.sin(a))).notes)


def test_a_long_chain_is_explained() -> None:
    a = sg.scalar("a")
    t = a
    for _ in range(20_000):
        t = sg.sin(t) * 1.0
    told = sg.explain(Graph([a], t), [sg.passes.canonicalize])
    assert told.passes[0].after == 20_000
    assert len(str(told).splitlines()) < 60


# ---- why ----------------------------------------------------------------------------------------------


def test_why_tells_the_chain_with_class_and_maths() -> None:
    with scope((Origin("model.py", 7),)):
        a = sg.vector("a", size=3)
        cost = sg.sum(sg.log(sg.cosh(a)))
    f = sg.function([a], sg.grad(cost, a))
    for tensor in (sg.grad(cost, a), f.optimized.outputs[0], sg.parse(str(f.optimized)).outputs[0]):
        lines = sg.why(tensor).split("\n")
        assert lines[1] == "  model.py:7"
        rule = "  > rule log_cosh  stable: log(cosh(x)) = log_cosh(x)"
        assert re.sub(" +", " ", lines[2]) == re.sub(" +", " ", rule)
        assert all(line.startswith("  > ") for line in lines[2:])
        assert any("the derivative of" in line for line in lines)


def test_why_shows_the_users_line_and_all_that_was_merged() -> None:
    a = sg.vector("a", size=3)
    first = sg.sin(a)
    second = sg.sin(a)
    (sine, _) = sg.passes.merge(Graph([a], first + second)).nodes
    assert "first = sg.sin(a)" in sg.why(sine.output)
    assert "second = sg.sin(a)" in sg.why(sine.output)


def test_why_of_folded_constants_leaves_and_users_rules() -> None:
    a, s = sg.vector("a", size=3), sg.shared(1.0, "s")
    folded = sg.passes.fold_constants(Graph([a], a + (sg.constant(2.0) + 3.0)))
    constant = next(t for n in folded.nodes for t in n.inputs if t is not a)
    assert "> pass fold_constants  Compute constant subexpressions." in sg.why(constant)
    assert sg.why(a).startswith("a: f64[3] is an input")
    assert sg.why(s).startswith("s: f64 is shared state")
    made = sg.optimize(graph(), [double_angles])
    assert "> rule double_angle  rounding: sin(x) * cos(x) = sin(2 * x) / 2" in sg.why(made.outputs[0])
    with pytest.raises(sg.GraphError, match="why takes a tensor"):
        sg.why("a")  # type: ignore[arg-type]


# ---- the pipeline -------------------------------------------------------------------------------------


def test_the_pipeline_prints_a_line_for_each_pass() -> None:
    lines = str(sg.passes.default).split("\n")
    assert len(lines) == len(sg.passes.default)
    for line, step in zip(lines, sg.passes.default, strict=True):
        number, name, said = line.split(maxsplit=2)
        assert int(number) > 0
        assert (name, bool(said)) == (step.__name__, True)  # type: ignore[attr-defined]
    assert re.search(r"double_angles +Apply 1 rule", str(sg.passes.default.after("simplify", double_angles)))


def test_pipelines_are_changed_by_name_or_by_pass() -> None:
    p = sg.passes.Pipeline([sg.passes.merge, sg.passes.canonicalize, sg.passes.merge])
    mine = double_angles
    assert p.without("merge").names == ("canonicalize",)
    assert p.without(sg.passes.merge, "canonicalize") == ()
    assert p.before("merge", mine).names == ("double_angles", "merge", "canonicalize", "merge")
    assert p.after("merge", mine).names == ("merge", "canonicalize", "merge", "double_angles")
    assert p.replace(sg.passes.canonicalize, mine, mine).names == (
        "merge",
        "double_angles",
        "double_angles",
        "merge",
    )
    with pytest.raises(sg.CompileError, match="no pass 'stabilise'"):
        p.without("stabilise")


# ---- faults of users' passes and rules ----------------------------------------------------------------


def outputs_summed(g: Graph) -> Graph:
    return g.with_results([sg.sum(g.outputs[0])], g.updates)


def one_input_less(g: Graph) -> Graph:
    return Graph(g.inputs[:1], {"r": sg.sin(g.inputs[0])}, g.updates)


def result_of_other_name(g: Graph) -> Graph:
    return Graph(g.inputs, {"other": g.outputs[0]}, g.updates)


def without_updates(g: Graph) -> Graph:
    return g.with_results(g.outputs, {})


def updates_added(g: Graph) -> Graph:
    s = sg.shared(np.ones(3), "fresh")
    return Graph(g.inputs, {"r": g.outputs[0]}, {**g.updates, s: s + 1})


FAULTY_PASSES: list[tuple[Any, str]] = [
    (lambda g: None, "returned NoneType"),
    (outputs_summed, "changed the type of the output r"),
    (one_input_less, "changed the inputs"),
    (result_of_other_name, "changed the outputs"),
    (without_updates, "changed the updates"),
    (updates_added, "changed the updates"),
    ("merge", "not 'merge'(.|\n)*sg.passes.merge"),
    (double_angle, "not a PatternRule(.|\n)*Rewriting"),
]


@pytest.mark.parametrize(("step", "phrase"), FAULTY_PASSES)
@pytest.mark.parametrize("run", [sg.optimize, sg.explain])
def test_faulty_passes_are_found(step: Any, phrase: str, run: Callable[..., Any]) -> None:
    a, b, s = sg.vector("a", size=3), sg.vector("b", size=3), sg.shared(np.ones(3), "s")
    g = Graph([a, b], {"r": a * b}, {s: s + a})
    with pytest.raises(sg.CompileError, match=phrase):
        run(g, [step])
    with pytest.raises(sg.CompileError, match=phrase):
        sg.function([a, b], {"r": a * b}, updates={s: s + a}, passes=[step])


def test_a_pass_alone_is_no_pipeline() -> None:
    for passes in (sg.passes.merge, "merge", 3):
        with pytest.raises(sg.CompileError, match="sequence of functions"):
            sg.optimize(graph(), passes)  # type: ignore[arg-type]
        with pytest.raises(sg.CompileError, match="sequence of functions"):
            sg.passes.Pipeline(passes)  # type: ignore[arg-type]
    with pytest.raises(sg.CompileError, match="a pass is a function Graph -> Graph, not a NoneType"):
        sg.passes.default.replace("merge", None)  # type: ignore[arg-type]


def test_an_error_inside_a_pass_names_the_pass() -> None:
    def divides(g: Graph) -> Graph:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError) as caught:
        sg.optimize(graph(), [divides])
    assert caught.value.__notes__ == ["in the pass divides"]


def test_an_update_without_effect_may_go() -> None:
    a, s = sg.vector("a", size=3), sg.shared(np.ones(3), "s")
    assert not sg.optimize(Graph([a], a * 2, {s: s}), [sg.passes.eliminate]).updates


a3 = sg.vector("a", size=3)
FAULTY_RULES: list[tuple[Callable[[], Any], str]] = [
    (lambda: sg.rewrite.rule(sg.sin(x), sg.cos(y)), "the replacement has y"),
    (lambda: sg.rewrite.rule(sg.sin(x), sg.sum(x, axis=sg.rewrite.attribute("A"))), "the replacement has A"),
    (lambda: sg.rewrite.rule(sg.sin(a3), a3), "variables, not of tensors"),
    (lambda: sg.rewrite.rule(x, x * 1), "root of a pattern must be an op"),
    (lambda: sg.rewrite.rule(sg.sin(x), x, "quick"), "not 'quick'"),
    (lambda: sg.rewrite.rule(sg.sin(x), x, name=3), "name must be a string"),  # type: ignore[arg-type]
    (lambda: sg.rewrite.rule(sg.sin(x), x, dtypes=("flot",)), "dtypes is a tuple of kinds among bool"),
    (lambda: sg.rewrite.function_rule(sg.sum), '"sum", by name'),
    (lambda: sg.rewrite.function_rule("summ"), "summ is no op"),
    (sg.rewrite.function_rule, "needs the op at its root"),
    (lambda: sg.rewrite.function_rule("sin")(lambda t: t), "must take two arguments"),
    (lambda: sg.passes.Rewriting("mine", [3]), "takes rules, not a int"),  # type: ignore[list-item]
]


@pytest.mark.parametrize(("make", "phrase"), FAULTY_RULES)
def test_faulty_rules_are_found_when_they_are_made(make: Callable[[], Any], phrase: str) -> None:
    with pytest.raises(sg.CompileError, match=phrase):
        make()


def test_patterns_say_what_they_cannot_say() -> None:
    with pytest.raises(AttributeError, match="function_rule"):
        x.swapaxes(0, 1)
    with pytest.raises(sg.DTypeError, match="takes no patterns"):
        x @ y
    with pytest.raises(TypeError, match="attribute"):
        sg.sum(x, axis=0)


def shorter(tensor: Any, barriers: Any) -> Any:
    """sin(x) = 3"""
    return sg.sum(tensor.node.inputs[0])


def number(tensor: Any, barriers: Any) -> Any:
    """sin(x) = 3"""
    return 3


@pytest.mark.parametrize(
    ("rules", "phrase"),
    [
        ([sg.rewrite.rule(sg.sin(x), x > 0)], r"sin\(x\) = greater\(x, 0\)(.|\n)*bool\[3\]"),
        (sg.rewrite.function_rule("sin")(shorter), "another type"),
        (sg.rewrite.function_rule("sin")(number), "replacement: int"),
        ([sg.rewrite.rule(sg.sin(x), sg.sin(x + 1))], r"do not come to an end(.|\n)*sin\(x \+ 1\)"),
    ],
)
def test_faulty_rules_are_found_at_work(rules: Any, phrase: str) -> None:
    with pytest.raises(sg.CompileError, match=phrase) as caught:
        sg.optimize(graph(), [sg.passes.Rewriting("mine", rules)])
    assert "test_watching.py" in str(caught.value)
    assert caught.value.__notes__ == ["in the pass mine"]


def test_rules_as_functions_by_name_and_lists_of_rules() -> None:
    @sg.rewrite.function_rule("sum", "prod", kind="exact")
    def of_one(tensor: Any, barriers: Any) -> Any:
        """The sum, or product, of one element is that element."""
        (operand,) = tensor.node.inputs
        return sg.reshape(operand, tensor.shape) if operand.size == 1 else None

    assert [r.maths for r in of_one] == ["The sum, or product, of one element is that element"] * 2
    step = sg.passes.Rewriting("ones", [of_one, double_angle])
    assert len(step.rules) == 3
    a = sg.vector("a", size=1)
    made = sg.optimize(Graph([a], sg.sum(a) + sg.prod(a)), [step])
    assert made.stats()["ops"] == {"add": 1, "reshape": 2}
