"""Records: what a frozen dataclass is, made later."""

from __future__ import annotations

import copy
import dataclasses
import inspect
import subprocess
import sys
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, ClassVar

import pytest

from symgrad import records
from symgrad.records import _Fields, record

FORMS = [pytest.param(record, id="record"), pytest.param(dataclass(frozen=True), id="dataclass")]
forms = pytest.mark.parametrize("form", FORMS)


def is_waiting(cls: type) -> bool:
    return isinstance(vars(cls).get("__dataclass_fields__"), _Fields)


def point(form: Callable[[type], type]) -> Any:
    class Point:
        """A point."""

        kind: ClassVar[str] = "point"
        x: int
        y: int = 7
        tags: list[str] = field(default_factory=list)
        depth: int = field(default=0, kw_only=True)
        seen: list[int] = field(default_factory=list, init=False)

        def __post_init__(self) -> None:
            if self.x == 13:
                raise ValueError("13")

    return form(Point)


@forms
def test_as_a_frozen_dataclass(form: Any) -> None:
    cls = point(form)
    a, b = cls(1), cls(1, 7, [], depth=0)
    assert (a.x, a.y, a.tags, a.depth, a.seen) == (1, 7, [], 0, [])
    assert a == b
    assert a != cls(2)
    assert a.tags is not b.tags
    assert a != (1, 7)
    assert repr(a).endswith("Point(x=1, y=7, tags=[], depth=0, seen=[])")
    with pytest.raises(dataclasses.FrozenInstanceError):
        a.x = 3
    with pytest.raises(dataclasses.FrozenInstanceError):
        del a.x
    with pytest.raises(ValueError, match="13"):
        cls(13)
    assert [f.name for f in dataclasses.fields(cls)] == ["x", "y", "tags", "depth", "seen"]
    assert cls.__match_args__ == ("x", "y", "tags")
    assert cls.__doc__ == "A point."
    assert cls.kind == "point"
    assert list(inspect.signature(cls).parameters) == ["x", "y", "tags", "depth"]
    assert copy.copy(a) == a == copy.deepcopy(a)


@forms
@pytest.mark.parametrize(
    ("args", "keywords"),
    [((), {}), ((1, 2, [], 4), {}), ((1,), {"x": 1}), ((1,), {"seen": []}), ((1,), {"z": 1})],
)
def test_calls_that_do_not_fit(form: Any, args: Any, keywords: Any) -> None:
    with pytest.raises(TypeError):
        point(form)(*args, **keywords)


@forms
def test_hashes_are_those_of_the_fields(form: Any) -> None:
    @form
    class Pair:
        a: int
        b: str = "b"

    assert len({Pair(1), Pair(1, "b"), Pair(2)}) == 2  # type: ignore[call-arg]
    assert dataclasses.replace(Pair(1), b="c") == Pair(1, "c")  # type: ignore[call-arg, type-var]


@forms
@pytest.mark.parametrize("other", FORMS)
def test_what_is_derived_has_the_fields_of_both(form: Any, other: Any) -> None:
    @form
    class Base:
        a: int
        b: int = 2

    @other
    class Derived(Base):
        c: int = 3

    class Plain(Derived):
        pass

    assert Plain(1) == Plain(1, 2, 3) != Derived(1)  # type: ignore[call-arg]
    assert repr(Derived(1)).endswith("Derived(a=1, b=2, c=3)")  # type: ignore[call-arg]
    assert [f.name for f in dataclasses.fields(Plain)] == ["a", "b", "c"]  # type: ignore[arg-type]
    assert Base(5).a == 5  # type: ignore[call-arg]


def test_methods_are_written_when_they_are_needed() -> None:
    cls = point(record)
    assert is_waiting(cls)
    assert dataclasses.is_dataclass(cls)
    assert not is_waiting(cls)
    other = point(record)
    other(1)
    assert not is_waiting(other)
    assert other.__init__.__name__ == "__init__"


def test_an_initializer_of_its_own() -> None:
    @record
    class Own:
        a: int

        def __init__(self) -> None:
            object.__setattr__(self, "a", 4)

    assert Own() == Own()
    assert repr(Own()).endswith("Own(a=4)")


def test_threads_that_make_the_first_instance_together() -> None:
    for _ in range(50):
        cls = point(record)
        barrier, found = threading.Barrier(4), []

        def make(cls: Any = cls, barrier: Any = barrier, found: Any = found) -> None:
            barrier.wait()
            found.append(cls(1, depth=2))

        threads = [threading.Thread(target=make) for _ in range(4)]
        for t in threads:
            t.start()
        for t in threads:
            t.join()
        assert found == [cls(1, depth=2)] * 4


@pytest.mark.parametrize("stop", ["_process_class", "_initializer"])
def test_a_signal_that_comes_meanwhile(stop: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The next one who asks writes all of them."""
    cls = point(record)
    room: Any = dataclasses if stop == "_process_class" else records
    work = getattr(room, stop)

    def interrupted(*args: Any) -> Any:
        work(*args)
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(room, stop, interrupted)
        with pytest.raises(KeyboardInterrupt):
            cls(1)
    assert cls(1, depth=2).tags == []
    with pytest.raises(dataclasses.FrozenInstanceError):
        cls(1).x = 2


def test_a_program_writes_few_of_the_methods() -> None:
    """Importing every op leaves most of them waiting."""
    script = """
import symgrad as sg
from symgrad.ops.kinds import TensorOp
from symgrad.records import _Fields

def below(cls):
    return [c for s in cls.__subclasses__() for c in (s, *below(s))]

x = sg.vector("x")
sg.grad(sg.sum(sg.exp(x)), x)
forms = [vars(c).get("__dataclass_fields__") for c in below(TensorOp)]
print(sum(isinstance(f, _Fields) for f in forms), sum(isinstance(f, dict) for f in forms))
"""
    run = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    waiting, written = map(int, run.stdout.split())
    assert waiting > 5 * written > 0
