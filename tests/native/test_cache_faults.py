"""Whatever happens to the cache on disk: results are right, nothing crashes, and what is damaged is named."""

from __future__ import annotations

import hashlib
import json
import os
import signal
import subprocess
import sys
import time
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import symgrad as sg
from symgrad_runtime import cache, cache_folder

KEY = "ab" * 32
ENTRY = cache.Entry({"name": "f", "numbers": [1, 2, 3]}, {"code": bytes(range(256)) * 40, "more": b"x" * 700})
A, ADDED = np.linspace(-1, 1, 11), np.arange(11.0)


def make(factor: float = 2.0) -> Any:
    x = sg.vector("x", size=11)
    return sg.function([x], sg.tanh(x * factor) + sg.constant(ADDED), backend="llvm")


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    make(3.0)  # with the first function, the entry is compiled: not to be counted here
    monkeypatch.setenv("SYMGRAD_CACHE_DIR", str(tmp_path))
    return tmp_path


@pytest.fixture
def stored(folder: Path) -> Path:
    cache.store(KEY, ENTRY)
    path = cache.path_of(KEY)
    assert path is not None
    return path


def refused(path: Path, content: bytes) -> str | None:
    """Why a content is refused; None if it is not."""
    path.write_bytes(content)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        found = cache.load(KEY)
    if found is not None:
        return None
    (warning,) = caught
    assert warning.category is cache.CacheWarning
    assert path.name in str(warning.message)
    return str(warning.message)


def test_truncated_anywhere(stored: Path) -> None:
    content = stored.read_bytes()
    for length in [*range(300), *range(0, len(content), 1024), *range(len(content) - 50, len(content))]:
        assert refused(stored, content[:length]), f"the first {length} bytes"
    assert refused(stored, content) is None


def test_every_flipped_bit_is_seen(stored: Path) -> None:
    content = stored.read_bytes()
    body = range(400, len(content), 37)
    places = [(i, bit) for i in range(400) for bit in range(8)] + [(i, i % 8) for i in body]
    for i, bit in places:
        flipped = bytearray(content)
        flipped[i] ^= 1 << bit
        assert refused(stored, bytes(flipped)), f"bit {bit} of byte {i}"


def sealed(content: bytes, header: bytes, blobs: bytes) -> bytes:
    """An entry with another header, and a digest that is right."""
    start = content.index(b"\n") + 1
    body = content[start + 32 : start + 96] + len(header).to_bytes(8, "little") + header + blobs
    return content[:start] + hashlib.sha256(body).digest() + body


HEADERS: dict[str, Any] = {
    "no JSON": b"{",
    "no UTF-8": b'{"blobs": [["\xff\xfe", 1]]}',
    "deep": b"[" * 100_000,
    "a list": [],
    "a number": 7,
    "no blobs": {},
    "blobs are a number": {"blobs": 3},
    "a blob without size": {"blobs": [["code"]]},
    "a negative size": {"blobs": [["code", -1]]},
    "a size that is a text": {"blobs": [["code", "10"]]},
    "a name that is a list": {"blobs": [[["code"], 10]]},
    "too short": {"blobs": [["code", 9]]},
    "too long": {"blobs": [["code", 11]]},
    "far too long": {"blobs": [["code", 2**70]]},
}


@pytest.mark.parametrize("case", HEADERS)
def test_a_wrong_header_under_a_right_digest(stored: Path, case: str) -> None:
    header = HEADERS[case]
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    assert "header" in str(refused(stored, sealed(stored.read_bytes(), text, b"0123456789")))


def only_entry(folder: Path) -> Path:
    (found,) = folder.rglob("*.bin")
    return found


def change_header(path: Path, change: Callable[[dict[str, Any]], object]) -> None:
    content = path.read_bytes()
    start = content.index(b"\n") + 1 + 32 + 64
    length = int.from_bytes(content[start : start + 8], "little")
    header = json.loads(content[start + 8 : start + 8 + length])
    change(header)
    path.write_bytes(sealed(content, json.dumps(header).encode(), content[start + 8 + length :]))


CHANGES: dict[str, Callable[[dict[str, Any]], object]] = {
    "shape gone": lambda h: h.pop("shape"),
    "shape of another version": lambda h: h["shape"].update(threads=2),
    "a count gone": lambda h: h["shape"].pop("words"),
    "more inputs": lambda h: h["shape"].update(inputs=2),
    "more constants": lambda h: h["shape"].update(static=17),
    "an offset beyond the frame": lambda h: h["shape"].update(error_at=10**9),
    "a count that is a text": lambda h: h["shape"].update(words="7"),
    "states that the graph does not have": lambda h: h.update(states=[0]),
    "a constant of another shape": lambda h: h["constants"][0].__setitem__(1, [2]),
    "a constant of no dtype": lambda h: h["constants"][0].__setitem__(0, "float65"),
    "an unknown kind of product": lambda h: h.update(products=["f16"]),
}


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES)
def test_the_header_of_a_program_is_checked(folder: Path, change: Callable[[dict[str, Any]], object]) -> None:
    make()
    path = only_entry(folder)
    change_header(path, lambda h: None)
    make()  # as it was: taken
    change_header(path, change)
    with pytest.warns(cache.CacheWarning, match=f"{path.name}.* header"):
        f = make()
    np.testing.assert_allclose(f(A), np.tanh(A * 2) + ADDED, rtol=1e-12)
    make()  # it was replaced


def is_root() -> bool:
    return os.geteuid() == 0


def test_a_link_in_the_place_of_an_entry(folder: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    make()
    path = only_entry(folder)
    elsewhere = tmp_path_factory.mktemp("elsewhere") / "file"
    path.rename(elsewhere)
    path.symlink_to(elsewhere)
    before = elsewhere.read_bytes()
    with pytest.warns(cache.CacheWarning, match=f"{path.name}.* link"):
        f = make()
    np.testing.assert_allclose(f(A), np.tanh(A * 2) + ADDED, rtol=1e-12)
    assert not path.is_symlink(), "replaced"
    assert elsewhere.read_bytes() == before, "what it pointed to is left alone"


@pytest.mark.parametrize("kind", ["folder", "pipe"])
def test_something_else_in_the_place_of_an_entry(folder: Path, kind: str) -> None:
    make()
    path = only_entry(folder)
    path.unlink()
    path.mkdir() if kind == "folder" else os.mkfifo(path)
    with pytest.warns(cache.CacheWarning, match=f"{path.name}.* no file"):
        f = make()
    np.testing.assert_allclose(f(A), np.tanh(A * 2) + ADDED, rtol=1e-12)
    assert not list(folder.rglob(".new-*"))


@pytest.mark.skipif(not is_root(), reason="only root can give files away")
def test_an_entry_of_somebody_else(folder: Path) -> None:
    make()
    path = only_entry(folder)
    os.chown(path, 12345, -1)
    with pytest.warns(cache.CacheWarning, match=f"{path.name}.* somebody else"):
        f = make()
    np.testing.assert_allclose(f(A), np.tanh(A * 2) + ADDED, rtol=1e-12)
    assert path.stat().st_uid == os.geteuid()


# ---- processes ------------------------------------------------------------------------------------------

SCRIPT = """
import os, sys, time
{before}
import numpy as np, symgrad as sg
x = sg.vector("x", size="n")
f = sg.function([x], sg.tanh(x * 2.0) + sg.constant([1.0]), backend="llvm")
print(f(np.zeros(3)))
"""
RIGHT = "[1. 1. 1.]"


def start(folder: Path, before: str = "", **options: Any) -> subprocess.Popen[str]:
    env = {**os.environ, "SYMGRAD_CACHE_DIR": str(folder), "PYTHONWARNINGS": "error::UserWarning"}
    return subprocess.Popen(
        [sys.executable, "-c", SCRIPT.format(before=before)],
        env=env,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        **options,
    )


def finish(process: subprocess.Popen[str]) -> str:
    out, error = process.communicate(timeout=120)
    assert process.returncode == 0, error
    return out.strip()


@pytest.mark.slow
def test_processes_that_compile_the_same_program_at_once(tmp_path: Path) -> None:
    gate, folder = tmp_path / "gate", tmp_path / "cache"
    wait = f"import symgrad.api.compile\nwhile not os.path.exists({str(gate)!r}): time.sleep(0.001)"
    processes = [start(folder, wait) for _ in range(4)]
    time.sleep(1.0)
    gate.touch()
    assert [finish(p) for p in processes] == [RIGHT] * 4
    assert len(list(folder.rglob("*.bin"))) == 2, "the program and the entry"
    assert not list(folder.rglob(".new-*"))
    assert finish(start(folder)) == RIGHT


#: Where a process is killed while it writes: what it does instead of going on.
KILLED = {
    "before a byte is written": "cache.os.fdopen = lambda *_: stop()",
    "half-way": """
class Half:
    def __init__(self, file): self.file = file
    def __enter__(self): return self
    def __exit__(self, *_): pass
    def write(self, content): self.file.write(content[:len(content) // 2]); self.file.flush(); stop()
fdopen = os.fdopen
cache.os.fdopen = lambda *a: Half(fdopen(*a))""",
    "before it is renamed": "cache.os.replace = lambda *_: stop()",
}


@pytest.mark.slow
@pytest.mark.parametrize("stage", KILLED)
def test_a_process_that_is_killed_while_it_writes(tmp_path: Path, stage: str) -> None:
    patch = f"""
from symgrad_runtime import cache
def stop(): print("now", flush=True); time.sleep(60)
{KILLED[stage]}"""
    finish(start(tmp_path, "os.environ['SYMGRAD_CACHE_SIZE'] = '0'"))
    process = start(
        tmp_path,
        patch.replace(
            "cache.os.", "cache.os = type(os)('os'); cache.os.__dict__.update(os.__dict__); cache.os."
        ),
    )
    assert process.stdout is not None
    assert process.stdout.readline().strip() == "now"
    process.send_signal(signal.SIGKILL)
    process.communicate()
    assert not list(tmp_path.rglob("*.bin"))
    (left,) = tmp_path.rglob(".new-*")
    assert finish(start(tmp_path)) == RIGHT
    assert left.exists(), "it may be in use: it is young"
    os.utime(left, (time.time() - 7200,) * 2)
    (tmp_path / ".ledger").unlink()
    assert (
        finish(start(tmp_path, "os.environ['SYMGRAD_CPU'] = 'x86-64'" if sys.platform == "linux" else ""))
        == RIGHT
    )
    assert not left.exists(), "the next look at the folder removes it"


@pytest.mark.slow
@pytest.mark.parametrize("room", [0, 1, 100, 2000])
def test_a_full_disk(tmp_path: Path, room: int) -> None:
    """No file may grow beyond so many bytes, as on a disk without room for more."""
    full = f"import resource\nresource.setrlimit(resource.RLIMIT_FSIZE, ({room}, resource.RLIM_INFINITY))"
    assert finish(start(tmp_path, full)) == RIGHT
    assert not list(tmp_path.rglob("*.bin"))
    assert not list(tmp_path.rglob(".new-*"))


@pytest.mark.skipif(not is_root(), reason="without root, test_cache.py has this for a whole program")
def test_a_read_only_folder(folder: Path) -> None:
    """Root may write everywhere: so as somebody else."""
    for path in (folder, *folder.parents[:3]):
        path.chmod(0o755)
    os.seteuid(65534)
    try:
        cache.store(KEY, ENTRY)
        assert cache.load(KEY) is None
    finally:
        os.seteuid(0)
    assert not list(folder.iterdir())


# ---- the folder's size ----------------------------------------------------------------------------------


def key(number: int) -> str:
    return hashlib.sha256(str(number).encode()).hexdigest()


def test_the_least_recently_used_entries_go_first(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SYMGRAD_CACHE_DIR", str(tmp_path))
    monkeypatch.setenv("SYMGRAD_CACHE_SIZE", "1M")
    entry = cache.Entry({"name": "f"}, {"code": b"x" * 40_000})
    start_time = time.time() - 100_000
    for i in range(100):
        cache.store(key(i), entry)
        path = cache.path_of(key(i))
        assert path is not None
        os.utime(path, (start_time + i,) * 2)
        assert cache.load(key(0)) is not None, f"the first is always in use, also after {i} more"
        assert sum(e.size for e in cache_folder.entries()) < 2**20 + 64 * 1024
    left = [i for i in range(100) if cache.load(key(i)) is not None]
    assert left == [0, *range(100 - len(left) + 1, 100)]
    assert 15 < len(left) < 27


def test_the_folder_is_not_looked_at_on_every_write(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SYMGRAD_CACHE_DIR", str(tmp_path))
    looks: list[int] = []
    sweep = cache_folder._sweep
    monkeypatch.setattr(cache_folder, "_sweep", lambda *a: (looks.append(1), sweep(*a)))
    for i in range(200):
        cache.store(key(i), ENTRY)
    assert len(looks) == 1
    monkeypatch.setenv("SYMGRAD_CACHE_SIZE", "1M")
    for i in range(200):
        cache.store(key(i), ENTRY)
    assert 5 < len(looks) < 25, "each look leaves room for at least a tenth of the limit"
    assert len(cache_folder.entries()) * 11_000 < 2**20


def test_a_limit_of_nothing_keeps_nothing(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SYMGRAD_CACHE_SIZE", "0")
    np.testing.assert_allclose(make()(A), np.tanh(A * 2) + ADDED, rtol=1e-12)
    assert not list(folder.rglob("*"))


@pytest.mark.parametrize("text", ["abc", "-1", "12X", "1e9", "M", "1 2", "9" * 400, "8388608T"])
def test_a_limit_that_is_none(folder: Path, monkeypatch: pytest.MonkeyPatch, text: str) -> None:
    monkeypatch.setenv("SYMGRAD_CACHE_SIZE", text)
    with pytest.raises(sg.InputError, match=r"SYMGRAD_CACHE_SIZE(.|\n)*512M"):
        make()


def test_use_is_noted_once_an_hour(stored: Path) -> None:
    now = time.time()
    for age, expected in ((7200.0, 0.0), (1800.0, 1800.0)):
        os.utime(stored, (now - age,) * 2)
        assert cache.load(KEY) is not None
        assert now - stored.stat().st_mtime == pytest.approx(expected, abs=60)
