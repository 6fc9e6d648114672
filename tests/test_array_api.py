"""docs/array_api.md: what there is of the array API standard 2023.12, held against symgrad and NumPy.

The tables say what is absent, what is different, and why; whatever they do not name is supported. The tests
check that: what is absent does not exist, what is supported exists, takes the standard's parameters, and
gives NumPy's values, dtypes and errors. After a change, correct the tables and run pytest with --update-
golden.
"""

from __future__ import annotations

import inspect
import operator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import symgrad as sg
from symgrad.ops.kinds import Elementwise
from tests.array_api_behaviour import ARRAYS, BEHAVIOUR, ERRORS
from tests.array_api_standard import STANDARD
from tests.golden_text import Golden

PAGE = Path(__file__).parent.parent / "docs" / "array_api.md"

# ---- what is absent or different, and why -----------------------------------------------------------

DATA_DEPENDENT = "the size of the result depends on values; sizes are known when the graph is built"
NO_MEMORY = "a symbolic tensor has no memory; `t.eval(...)` gives a NumPy array, which has it"

#: Reason -> names.
ABSENT_BY_REASON: dict[str, str] = {
    DATA_DEPENDENT: "nonzero unique_all unique_counts unique_inverse unique_values",
    NO_MEMORY: "from_dlpack x.__dlpack__ x.__dlpack_device__",
    "tensors are immutable: `x.at[key].set(value)` makes another one": "x.__setitem__",
}

BITWISE = ("and", "or", "xor", "lshift", "rshift")

#: Name -> what differs, and why.
DIFFERENT: dict[str, str] = {
    "mean": "integers give float64, as in NumPy (the standard leaves them out)",
    "take": "without `axis`, x is flattened, as in NumPy (the standard asks for one unless x is 1-d)",
    "squeeze": "`axis` may be left out, as in NumPy: then all axes whose size is a literal 1",
    "empty": "zeros: a program has no values that nobody chose",
    "empty_like": "zeros: a program has no values that nobody chose",
    "x.__bool__": "TypeError: a symbolic tensor has no value",
    "x.__float__": "TypeError: a symbolic tensor has no value",
    "x.__int__": "TypeError: a symbolic tensor has no value",
    "x.__index__": "TypeError: a symbolic tensor has no value",
    "x.__complex__": "TypeError: a symbolic tensor has no value",
    "x.__getitem__": "boolean masks must be known when the graph is built, since the size of the result "
    "would depend on values; integer arrays are taken, as in NumPy. A slice of an axis of symbolic size has "
    "the size that its bounds say, `x[:3]` has 3 elements: it is not cut off at the end but raises "
    "IndexError where there are fewer; `x[:symgrad.dims.minimum(n, 3)]` is cut off. Bounds may be sizes: -k "
    "counts from the end, n-k from the front; a call in which the sign is another one and NumPy's result "
    "too, such as `x[:-k]` for k = 0, raises InputError",
    **{
        f"x.__i{name}__": "`x` is bound to a new tensor, as for all immutable objects"
        for name in [*("add", "sub", "mul", "truediv", "floordiv", "pow", "mod", "matmul"), *BITWISE]
    },
    "x.size": "an int, or a symbolic size",
    "x.shape": "a tuple of ints and symbolic sizes",
    "x.T": "any number of dimensions, all reversed, as in NumPy (the standard: 2)",
}

#: Parameters of the standard that a function does not take.
WITHOUT: dict[str, tuple[str, ...]] = {}

NOTES = """\
Ints and floats mix, as in NumPy 2, where the standard leaves that open: int64 with float32 gives
float64. Python numbers are weak. Symbolic sizes are not 1 and equal only to themselves, so that
they never stretch in broadcasting; see `sg.assume_equal`. Functions that the standard defines for
arrays take numbers, lists and NumPy arrays as well; parameters that it makes positional-only or
keyword-only can be given either way. An axis that does not exist is an `AxisError`, which is a
`ShapeError`, a `ValueError` and an `IndexError`. The only device is "cpu"."""

# ---- reading the tables -----------------------------------------------------------------------------

ROWS = {
    line.split("(")[0]: (section, line)
    for section, text in STANDARD.items()
    for line in map(str.strip, text.split("\n"))
    if line
}
ABSENT = {name: reason for reason, names in ABSENT_BY_REASON.items() for name in names.split()}
PRESENT = [name for name in ROWS if name not in ABSENT]
NOTHING = object()


def found(name: str) -> Any:
    """What symgrad has under a name of the standard; NOTHING if it has not."""
    place, _, last = name.rpartition(".")
    if ROWS[name][0] == "Array object: in-place operators":  # Python falls back on the plain operator
        last = last.replace("__i", "__", 1)
    holder = sg.Tensor if place == "x" else getattr(sg, place, NOTHING) if place else sg
    return getattr(holder, last, NOTHING)


def missing(name: str) -> tuple[str, ...]:
    """The parameters of the standard that ours does not take in the standard's way."""
    ours = found(name)
    signature = ROWS[name][1].removeprefix("x.")
    if "(" not in signature:
        return ()
    scope: dict[str, Any] = {}
    exec(f"def f{signature[signature.index('(') :]}: ...", scope)
    wanted = inspect.signature(scope["f"]).parameters.values()
    if isinstance(ours, Elementwise):
        count = len([p for p in wanted if p.default is p.empty])
        return () if len(ours.operands) == count else ("operands",)
    have = inspect.signature(ours).parameters
    places = [p for p in have.values() if p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD)]
    takes_any = {p.kind for p in have.values()}
    lacking = []
    for position, p in enumerate(wanted):
        if p.kind == p.VAR_POSITIONAL:
            fits = p.kind in takes_any
        elif p.kind == p.POSITIONAL_ONLY:
            fits = position < len(places) or p.VAR_POSITIONAL in takes_any
        else:
            fits = p.name in have and have[p.name].kind != p.POSITIONAL_ONLY
        if not fits:
            lacking.append(p.name)
    return tuple(lacking)


def status(name: str) -> str:
    if name in ABSENT:
        return f"absent: {ABSENT[name]}"
    lacking = WITHOUT.get(name, ())
    reasons = [f"no `{'`, `'.join(lacking)}`"] if lacking else []
    reasons += [DIFFERENT[name]] if name in DIFFERENT else []
    return f"differently: {'; '.join(reasons)}" if reasons else "supported"


def page() -> str:
    counts = {k: sum(status(n).startswith(k) for n in ROWS) for k in ("supported", "differently", "absent")}
    lines = [
        "# The array API standard",
        "",
        "What symgrad has of the Python array API standard 2023.12. `tests/test_array_api.py` writes this",
        "page and checks it: against the signatures of symgrad, and against what NumPy 2 computes.",
        "",
        f"Of {len(ROWS)} names, {counts['supported']} are supported, {counts['differently']} are so with the "
        f"differences stated, {counts['absent']} are absent.",
        "",
        NOTES,
    ]
    for section in STANDARD:
        lines += ["", f"## {section}", "", "| standard | symgrad |", "|---|---|"]
        grouped: dict[str, list[str]] = {}
        for name, (where, signature) in ROWS.items():
            if where == section:
                grouped.setdefault(status(name), []).append(signature.replace("(self, /)", "()"))
        alone = any("(" in s for s in STANDARD[section].split("\n")) and not section.startswith(
            "Array object"
        )
        for text, signatures in grouped.items():
            rows = [[s] for s in signatures] if alone and not text.startswith("absent") else [signatures]
            short = [[s.split("(")[0] for s in row] if len(row) > 1 else row for row in rows]
            lines += [f"| {', '.join(f'`{s}`' for s in row)} | {text} |" for row in short]
    return "\n".join(lines) + "\n"


# ---- the page and the names -------------------------------------------------------------------------


def test_the_page_is_current(golden: Golden) -> None:
    golden(PAGE, page())


def test_the_tables_name_the_standard() -> None:
    for name in (*ABSENT, *DIFFERENT, *WITHOUT):
        assert name in ROWS, f"{name} is not in the standard"
    both = ABSENT.keys() & (DIFFERENT.keys() | WITHOUT.keys())
    assert not both, f"absent and different at once: {both}"


@pytest.mark.parametrize("name", ROWS)
def test_what_is_there(name: str) -> None:
    there = found(name) is not NOTHING and name != "x.__setitem__"  # which only says what to write instead
    if name in ABSENT:
        assert not there, (
            f"{name} exists now: take it out of ABSENT_BY_REASON in {__name__}, and update the page"
        )
        return
    assert there, f"{name} is missing, but {__name__} does not list it in ABSENT_BY_REASON"
    lacking = missing(name)
    assert lacking == WITHOUT.get(name, ()), (
        f"{name} lacks the parameters {lacking} of {ROWS[name][1]}: correct it, or WITHOUT in {__name__}"
    )


# ---- behaviour --------------------------------------------------------------------------------------

SYMBOLS = {name: sg.tensor(name, a.shape, a.dtype) for name, a in ARRAYS.items()}
OURS: dict[str, Any] = {"xp": sg, "operator": operator, **SYMBOLS}
THEIRS: dict[str, Any] = {"xp": np, "operator": operator, **ARRAYS}


def flat(result: Any) -> list[Any]:
    return list(result) if isinstance(result, (list, tuple)) else [result]


def described(value: Any) -> Any:
    """What can be compared of a value that is no tensor: dtypes by name."""
    if isinstance(value, sg.DType):
        return value.name
    if isinstance(value, np.dtype) or (isinstance(value, type) and issubclass(value, np.generic)):
        return np.dtype(value).name
    return {k: described(v) for k, v in value.items()} if isinstance(value, dict) else value


#: Functions that NumPy had otherwise, or not, before 2.1.
SINCE_2_1 = {"ceil", "clip", "floor", "trunc", "unstack", "x.__array_namespace__"}
OLD = np.lib.NumpyVersion(np.__version__) < "2.1.0"


@pytest.mark.parametrize("name", PRESENT)
def test_behaves_as_numpy(name: str) -> None:
    """Values, dtypes and shapes, of all expressions in one program."""
    if OLD and name in SINCE_2_1:
        pytest.skip("NumPy does otherwise before 2.1")
    assert BEHAVIOUR.get(name) or ERRORS.get(name), f"{name} needs a row in tests/array_api_behaviour.py"
    texts = [e.format(f"xp.{name}") for e in BEHAVIOUR.get(name, [])]
    pairs = [(text, *pair) for text in texts for pair in both(text)]
    tensors = [ours for _, ours, _ in pairs if isinstance(ours, sg.Tensor)]
    f = sg.function(list(SYMBOLS.values()), tensors, backend="numpy", on_unused_input="ignore")
    values = iter(f(*ARRAYS.values()))
    for text, ours, theirs in pairs:
        if not isinstance(ours, sg.Tensor):
            a, b = described(ours), described(theirs)
            assert a == b or (a != a and b != b), f"{text}: {a}, in NumPy {b}"
            continue
        expected = np.asarray(theirs)
        assert ours.dtype.name == expected.dtype.name, f"{text}: {ours.dtype}, in NumPy {expected.dtype}"
        assert ours.shape == expected.shape, f"{text}: shape {ours.shape}, in NumPy {expected.shape}"
        rtol = 1e-5 if expected.dtype in (np.float32, np.complex64) else 1e-12
        np.testing.assert_allclose(np.asarray(next(values)), expected, rtol=rtol, atol=1e-14, err_msg=text)


def both(text: str) -> list[tuple[Any, Any]]:
    """The values of an expression, ours and NumPy's; none where NumPy is older than a function."""
    try:
        with np.errstate(all="ignore"):
            theirs = flat(eval(text, dict(THEIRS)))
    except AttributeError:
        return []
    return list(zip(flat(eval(text, dict(OURS))), theirs, strict=True))


@pytest.mark.parametrize(("name", "text"), [(n, t) for n in PRESENT for t in ERRORS.get(n, [])])
def test_raises_as_numpy(name: str, text: str) -> None:
    if OLD and name in SINCE_2_1:
        pytest.skip("NumPy does otherwise before 2.1")
    text = text.format(f"xp.{name}")
    kinds = (TypeError, ValueError, IndexError, ZeroDivisionError)
    with pytest.raises(kinds):
        eval(text, dict(THEIRS))
    with pytest.raises(kinds):
        eval(text, dict(OURS))
