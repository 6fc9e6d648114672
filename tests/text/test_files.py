"""Graphs on disk: the sidecar file of big arrays, and all that can be wrong with it."""

from __future__ import annotations

import hashlib
import io
import os
from pathlib import Path
from typing import Any

import numpy
import pytest

import symgrad as sg


@pytest.fixture
def graph() -> sg.Graph:
    x, w = sg.vector("x", 100), sg.shared(numpy.linspace(0, 1, 100), "w")
    return sg.Graph([x], x * w + numpy.arange(100.0) + numpy.linspace(0, 1, 100))


def test_round_trip(graph: sg.Graph, tmp_path: Path) -> None:
    path = tmp_path / "model.sg"
    sg.save(graph, path)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["model.npz", "model.sg"]
    assert sg.load(str(path)).same(graph)
    with numpy.load(tmp_path / "model.npz", allow_pickle=False) as arrays:
        assert sorted(arrays) == ["d1", "d2"], "equal arrays are kept once"
    before = path.read_bytes(), (tmp_path / "model.npz").read_bytes()
    sg.save(sg.load(path), path)
    assert before == (path.read_bytes(), (tmp_path / "model.npz").read_bytes())
    with pytest.raises(sg.ParseError, match=r"symgrad\.load"):
        sg.parse(path.read_text("utf-8"))


def test_small_graphs_need_one_file(tmp_path: Path) -> None:
    x = sg.vector("x", 3)
    sg.save(sg.Graph([x], x * [1.0, 2.0, 3.0]), tmp_path / "a")
    assert [p.name for p in tmp_path.iterdir()] == ["a"]
    sg.load(tmp_path / "a").verify()


def fault(graph: sg.Graph, folder: Path, phrase: str) -> None:
    with pytest.raises(sg.SymgradError, match=phrase):
        sg.load(folder / "model.sg")


def test_missing(graph: sg.Graph, tmp_path: Path) -> None:
    sg.save(graph, tmp_path / "model.sg")
    (tmp_path / "model.npz").unlink()
    fault(graph, tmp_path, r"model\.npz .*cannot be read")


@pytest.mark.parametrize("damage", [lambda b: b[:-10], lambda b: b"", lambda b: b[:300] + b"!" + b[301:]])
def test_damaged(graph: sg.Graph, tmp_path: Path, damage: object) -> None:
    sg.save(graph, tmp_path / "model.sg")
    sidecar = tmp_path / "model.npz"
    sidecar.write_bytes(damage(sidecar.read_bytes()))  # type: ignore[operator]
    fault(graph, tmp_path, r"model\.npz is not the one")


def rewrite(folder: Path, content: bytes) -> None:
    """A sidecar with other content, and its digest in the text."""
    path = folder / "model.sg"
    old = hashlib.sha256((folder / "model.npz").read_bytes()).hexdigest()
    path.write_text(path.read_text("utf-8").replace(old, hashlib.sha256(content).hexdigest()), "utf-8")
    (folder / "model.npz").write_bytes(content)


def packed(compress: bool = False, **arrays: object) -> bytes:
    stream = io.BytesIO()
    (numpy.savez_compressed if compress else numpy.savez)(stream, **arrays)  # type: ignore[operator]
    return stream.getvalue()


CONTENTS = {
    "no archive": b"hello",
    "an array missing": packed(d1=numpy.zeros(100)),
    "another shape": packed(d1=numpy.zeros(99), d2=numpy.zeros(100)),
    "another dtype": packed(d1=numpy.zeros(100, "f4"), d2=numpy.zeros(100)),
    "objects": packed(d1=numpy.array([{}] * 100), d2=numpy.zeros(100)),
    "compressed": packed(True, d1=numpy.zeros(100), d2=numpy.zeros(100)),
}


@pytest.mark.parametrize("content", CONTENTS.values(), ids=CONTENTS.keys())
def test_other_contents(graph: sg.Graph, tmp_path: Path, content: bytes) -> None:
    sg.save(graph, tmp_path / "model.sg")
    rewrite(tmp_path, content)
    fault(graph, tmp_path, r"model\.npz does not hold the arrays")


@pytest.mark.parametrize(
    "name", ["../a.npz", "/etc/passwd", "..", ".", "", "a/b.npz", "a\\\\b.npz", "C:a.npz", "\\u0000"]
)
def test_names_that_leave_the_folder(graph: sg.Graph, tmp_path: Path, name: str) -> None:
    sg.save(graph, tmp_path / "model.sg")
    path = tmp_path / "model.sg"
    path.write_text(path.read_text("utf-8").replace('"model.npz"', f'"{name}"'), "utf-8")
    with pytest.raises(sg.ParseError, match="leaves the folder") as caught:
        sg.load(path)
    assert caught.value.line > 1


def test_links_that_leave_the_folder(graph: sg.Graph, tmp_path: Path) -> None:
    inside = tmp_path / "inside"
    inside.mkdir()
    sg.save(graph, inside / "model.sg")
    (inside / "model.npz").rename(tmp_path / "outside.npz")
    (inside / "model.npz").symlink_to(tmp_path / "outside.npz")
    with pytest.raises(sg.ParseError, match="not a file in the folder"):
        sg.load(inside / "model.sg")


def test_a_failed_save_keeps_the_old_files(
    graph: sg.Graph, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "model.sg"
    sg.save(graph, path)
    before = {p.name: p.read_bytes() for p in tmp_path.iterdir()}

    def broken(*_: object) -> None:
        raise OSError("disk full")

    monkeypatch.setattr("os.fsync", broken)
    x = sg.vector("x", 50)
    with pytest.raises(OSError, match="disk full"):
        sg.save(sg.Graph([x], x + numpy.arange(50.0)), path)
    assert {p.name: p.read_bytes() for p in tmp_path.iterdir()} == before


def test_names_that_do_not_end_in_sg_have_arrays_of_their_own(tmp_path: Path) -> None:
    """Found in review: `model.1` and `model.2` shared `model.npz`, and the first lost its weights."""
    x = sg.vector("x", 50)
    names = ["model.1", "model.2", "model", "model.sg", "model.txt"]
    graphs = {name: sg.Graph([x], x + numpy.arange(50.0) * k) for k, name in enumerate(names)}
    for name, graph in graphs.items():
        sg.save(graph, tmp_path / name)
    for name, graph in graphs.items():
        assert sg.load(tmp_path / name).same(graph)


def test_links_are_followed_and_devices_left_alone(graph: sg.Graph, tmp_path: Path) -> None:
    inside = tmp_path / "inside"
    inside.mkdir()
    real, link = inside / "real.sg", tmp_path / "link.sg"
    link.symlink_to(real)
    for _ in range(2):
        sg.save(graph, link)
        assert link.is_symlink()
        assert sorted(p.name for p in inside.iterdir()) == ["real.npz", "real.sg"]
    assert sg.load(link).same(graph)
    os.mkfifo(tmp_path / "pipe.sg")
    for path in (tmp_path / "pipe.sg", inside):
        with pytest.raises(sg.SymgradError, match="a graph is saved to a file"):
            sg.save(graph, path)
    assert (tmp_path / "pipe.sg").is_fifo()


@pytest.mark.parametrize("times", [1, 2])
def test_a_save_that_is_killed_between_its_files_loses_nothing(
    graph: sg.Graph, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, times: int
) -> None:
    """The new arrays are in place, the text is the old one: it finds the old arrays."""
    path = tmp_path / "model.sg"
    sg.save(graph, path)
    x = sg.vector("x", 50)
    for k in range(times):
        other = sg.Graph([x], x + (k + 1) * numpy.arange(50.0))
        replace = os.replace

        def killed(source: str, target: Path, replace: Any = replace) -> None:
            if target == path:
                os._exit(9)
            replace(source, target)

        child = os.fork()
        if not child:
            monkeypatch.setattr("os.replace", killed)
            sg.save(other, path)
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 9
        assert sg.load(path).same(graph)
    sg.save(other, path)
    assert sg.load(path).same(other)
    assert not [p for p in tmp_path.iterdir() if len(p.suffix) == 17], "the second name is gone"


def test_not_text(tmp_path: Path, graph: sg.Graph) -> None:
    (tmp_path / "model.sg").write_bytes(b"\xff\xfe\x00")
    fault(graph, tmp_path, "not text")
    with pytest.raises(sg.SymgradError, match="name of its arrays"):
        sg.save(graph, tmp_path / "model.npz")
