"""The cache on disk: what is loaded, what is not, and that a damaged entry is made again."""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import symgrad as sg
from symgrad.ops.kinds import elementwise
from symgrad.registry import language, ops
from symgrad_compiler.backends.llvm import compile as native
from symgrad_runtime import cache


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    make(3.0)  # with the first function, the entry is compiled: not to be counted here
    monkeypatch.setenv("SYMGRAD_CACHE_DIR", str(tmp_path))
    return tmp_path


@pytest.fixture
def compiled(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Grows by one with each compilation to object code."""
    counted: list[int] = []
    compile_objects = native.compile_objects

    def count(*args: Any) -> list[bytes]:
        counted.append(1)
        return compile_objects(*args)

    monkeypatch.setattr(native, "compile_objects", count)
    return counted


def make(factor: float = 2.0) -> Any:
    x = sg.vector("x", size="n")
    return sg.function([x], sg.tanh(x * factor) + sg.constant([1.0]), backend="llvm")


def expected(a: np.ndarray, factor: float = 2.0) -> np.ndarray:
    return np.asarray(np.tanh(a * factor) + 1)


A = np.linspace(-1, 1, 11)


def only_entry(folder: Path) -> Path:
    (found,) = folder.rglob("*.bin")
    return found


def test_a_second_compilation_comes_from_disk(folder: Path, compiled: list[int]) -> None:
    make()
    make()
    assert len(compiled) == 1
    np.testing.assert_allclose(make()(A), expected(A), rtol=1e-12)
    assert len(compiled) == 1


def test_names_and_lines_do_not_matter_but_the_program_does(folder: Path, compiled: list[int]) -> None:
    make()
    y = sg.vector("other_name", size="rows")
    sg.function([y], sg.tanh(y * 2.0) + sg.constant([1.0]), name="f", backend="llvm")
    assert len(compiled) == 2, "the size has another name, which is part of the program"
    z = sg.vector("z", size="n")
    sg.function([z], sg.tanh(z * 2.0) + sg.constant([1.0]), name="g", backend="llvm")
    assert len(compiled) == 2
    make(3.0)
    assert len(compiled) == 3


def test_errors_name_the_present_line_after_a_warm_start(folder: Path) -> None:
    def lookup(name: str) -> Any:
        x, i = sg.vector("x", size=3), sg.scalar("i", dtype="int64")
        return sg.function([x, i], sg.take(x, i).named(name), backend="llvm")

    lookup("first")
    with pytest.raises(IndexError, match=r"out of bounds(.|\n)*second: f64 = take"):
        lookup("second")(np.zeros(3), 7)


def rewrite(change: Callable[[bytes], bytes]) -> Callable[[Path], None]:
    def apply(path: Path) -> None:
        path.write_bytes(change(path.read_bytes()))

    return apply


def flipped(content: bytes) -> bytes:
    middle = len(content) // 2
    return content[:middle] + bytes([content[middle] ^ 0x40]) + content[middle + 1 :]


def with_digest(change: Callable[[bytes], bytes]) -> Callable[[bytes], bytes]:
    """A change of the body under a digest that fits."""

    def apply(content: bytes) -> bytes:
        start = content.index(b"\n") + 1
        body = change(content[start + 32 :])
        return content[:start] + hashlib.sha256(body).digest() + body

    return apply


DAMAGES = {
    "empty": rewrite(lambda c: b""),
    "one byte": rewrite(lambda c: c[:1]),
    "head only": rewrite(lambda c: c[:60]),
    "truncated": rewrite(lambda c: c[: len(c) // 2]),
    "last byte missing": rewrite(lambda c: c[:-1]),
    "longer": rewrite(lambda c: c + b"x"),
    "bit flipped": rewrite(flipped),
    "digest flipped": rewrite(lambda c: c[:20] + bytes([c[20] ^ 1]) + c[21:]),
    "another format": rewrite(lambda c: b"symgrad cache 0\n" + c[16:]),
    "an object file": rewrite(lambda c: b"\x7fELF" + c),
    "another key": rewrite(with_digest(lambda b: b"0" * 64 + b[64:])),
    "others may write": lambda path: path.chmod(0o666),
}


@pytest.mark.parametrize("damage", DAMAGES.values(), ids=DAMAGES)
def test_a_damaged_entry_is_named_and_made_again(
    folder: Path, compiled: list[int], damage: Callable[[Path], None]
) -> None:
    make()
    path = only_entry(folder)
    damage(path)
    with pytest.warns(cache.CacheWarning, match=path.name) as warned:
        f = make()
    assert [w.filename for w in warned] == [__file__], "the user's line, not one of symgrad's"
    assert len(compiled) == 2
    np.testing.assert_allclose(f(A), expected(A), rtol=1e-12)
    make()
    assert len(compiled) == 2, "it was replaced by a sound one"


def test_an_entry_under_a_foreign_name_is_not_loaded(folder: Path, compiled: list[int]) -> None:
    make(2.0)
    first = only_entry(folder)
    make(3.0)
    second = next(p for p in folder.rglob("*.bin") if p != first)
    second.write_bytes(first.read_bytes())
    with pytest.warns(cache.CacheWarning, match="another program"):
        f = make(3.0)
    np.testing.assert_allclose(f(A), expected(A, 3.0), rtol=1e-12)


def test_half_written_files_are_not_seen(
    folder: Path, compiled: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    def die(*_: Any) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(os, "replace", die)
    with pytest.raises(KeyboardInterrupt):
        make()
    monkeypatch.undo()
    assert not list(folder.rglob("*.bin"))
    assert not list(folder.rglob(".new-*")), "the temporary file is removed"


def test_leftovers_of_a_killed_process_do_no_harm(folder: Path, compiled: list[int]) -> None:
    make()
    path = only_entry(folder)
    content = path.read_bytes()
    path.unlink()
    (path.parent / ".new-abc").write_bytes(content[:100])
    np.testing.assert_allclose(make()(A), expected(A), rtol=1e-12)
    assert len(compiled) == 2


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="root may write everywhere")
def test_a_read_only_folder_is_no_error(folder: Path) -> None:
    folder.chmod(0o500)
    np.testing.assert_allclose(make()(A), expected(A), rtol=1e-12)
    folder.chmod(0o700)


def test_a_file_in_the_place_of_the_folder_is_no_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    place = tmp_path / "file"
    place.write_text("")
    monkeypatch.setenv("SYMGRAD_CACHE_DIR", str(place))
    np.testing.assert_allclose(make()(A), expected(A), rtol=1e-12)


def test_an_empty_variable_switches_it_off(monkeypatch: pytest.MonkeyPatch, compiled: list[int]) -> None:
    monkeypatch.setenv("SYMGRAD_CACHE_DIR", "")
    make()
    make()
    assert len(compiled) == 2


def test_entries_belong_to_their_owner_alone(folder: Path) -> None:
    make()
    assert only_entry(folder).stat().st_mode & 0o077 == 0


@pytest.fixture(scope="module")
def twice() -> Iterator[Any]:
    """An op that a user declared."""
    yield elementwise(
        "test_twice(x)",
        "2 x",
        d_x=2,
        numpy="numpy.multiply({x}, 2, out={out})",
        scalar=lambda b, x: b.add(x, x),
    )
    del ops["test_twice"], language["test_twice"]


def test_ops_of_the_user_are_not_kept(folder: Path, twice: Any) -> None:
    x = sg.vector("x", size=3)
    f = sg.function([x], twice(x), backend="llvm")
    assert f([1.0, 2.0, 3.0]).tolist() == [2.0, 4.0, 6.0]
    assert not list(folder.rglob("*.bin"))


def test_passes_of_the_user_are_not_kept(folder: Path) -> None:
    x = sg.vector("x", size=3)
    sg.function([x], x + 1, passes=[lambda g: g], backend="llvm")
    assert not list(folder.rglob("*.bin"))


SCRIPT = """
import numpy as np, symgrad as sg
from symgrad_compiler.backends.llvm import compile as native
def refuse(*_): raise SystemExit("compiled")
native.compile_objects = refuse
x = sg.vector("x", size="n")
f = sg.function([x], sg.tanh(x * 2.0) + sg.constant([1.0]), backend="llvm")
print(f(np.zeros(3)))
"""


def test_a_new_process_starts_warm(folder: Path) -> None:
    """Everything is there, the entry code too: nothing is compiled."""
    once = SCRIPT.replace("native.compile_objects = refuse\n", "")
    env = {**os.environ, "SYMGRAD_CACHE_DIR": str(folder)}
    for script in (once, SCRIPT):
        done = subprocess.run(
            [sys.executable, "-c", script], env=env, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stderr
        assert done.stdout.strip() == "[1. 1. 1.]"


def test_plans_depend_on_the_graph_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    """Numbers that other graphs hold change nothing: code from the cache names its steps by their number."""
    kept: list[sg.Graph] = []
    derive = sg.Graph.with_results

    def keep(graph: sg.Graph, *args: Any) -> sg.Graph:
        kept.append(derive(graph, *args))
        return kept[-1]

    x, labels = sg.matrix("x", ("n", "k")), sg.vector("labels", size="n", dtype="int64")
    loss = -sg.mean(sg.take_along_axis(sg.log_softmax(x, axis=1), labels[:, None], axis=1))
    gradient = sg.grad(loss, x)
    first = sg.function([x, labels], gradient).plan()
    monkeypatch.setattr(sg.Graph, "with_results", keep)
    plans = {sg.function([x, labels], gradient).plan() for _ in range(3)}
    assert plans == {first}
