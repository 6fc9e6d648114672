"""The command line, in this process and as a command."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

import symgrad as sg
from symgrad.cli import main
from symgrad_runtime import cache, cache_folder


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("SYMGRAD_CACHE_DIR", str(tmp_path))
    monkeypatch.setenv("SYMGRAD_CACHE_SIZE", "3M")
    for i, (name, size) in enumerate([("small", 10), ("large", 50_000), ("middle", 5_000)]):
        key = f"{i}" * 64
        cache.store(key, cache.Entry({"name": name}, {"code": b"x" * size}))
        path = cache.path_of(key)
        assert path is not None
        os.utime(path, (time.time() - (10 - i) * 86_400,) * 2)
    return tmp_path


def names(printed: str) -> list[str]:
    return [line.split()[0] for line in printed.splitlines()[1:]]


def test_summary(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["cache"]) == 0
    said = dict(line.split(":") for line in capsys.readouterr().out.splitlines())
    assert {k: v.strip() for k, v in said.items()} == {
        "folder": str(folder),
        "entries": "3",
        "size": "54.3 KiB",
        "limit": "3.0 MiB",
    }


ORDERS = {
    "name": ["large", "middle", "small"],
    "size": ["large", "middle", "small"],
    "used": ["middle", "large", "small"],
}


@pytest.mark.parametrize("order", ORDERS)
def test_list(folder: Path, capsys: pytest.CaptureFixture[str], order: str) -> None:
    assert main(["cache", "list", "--sort", order]) == 0
    out = capsys.readouterr().out
    assert names(out) == ORDERS[order]
    assert "49.0 KiB" in out
    assert "9 d ago" in out


def test_list_shows_what_it_cannot_read(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for path in folder.rglob("*.bin"):
        path.write_bytes(b"nonsense")
    assert main(["cache", "list"]) == 0
    assert names(capsys.readouterr().out) == ["?"] * 3


def test_names_of_functions_are_listed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("SYMGRAD_CACHE_DIR", str(tmp_path))
    x = sg.vector("x", size=3)
    sg.function([x], x * 5, name="fivefold", backend="llvm")
    assert main(["cache", "list"]) == 0
    assert "fivefold" in names(capsys.readouterr().out)


def test_clear(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["cache", "clear", "--older-than", "9.5d"]) == 0
    assert capsys.readouterr().out.startswith("removed 1 entry, ")
    assert main(["cache", "list"]) == 0
    assert names(capsys.readouterr().out) == ["middle", "large"]
    assert main(["cache", "clear"]) == 0
    assert main(["cache", "list"]) == 0
    assert "removed 2 entries" in capsys.readouterr().out
    assert not list(folder.rglob("*.bin"))


def test_what_others_keep_in_the_folder_is_theirs(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Found in review: weights in `my/w.bin` were an entry, and removed."""
    others = [folder / "my" / "w.bin", folder / "00" / "w.bin", folder / "zz" / ("0" * 64 + ".bin")]
    for path in others:
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(b"weights" * 1_000_000)
        os.utime(path, (0, 0))
    (folder / ".ledger").unlink(missing_ok=True)
    cache.store("f" * 64, cache.Entry({"name": "new"}, {"code": b"x"}))  # looks at what is there
    assert main(["cache"]) == 0
    assert "entries: 4\n" in capsys.readouterr().out
    assert main(["cache", "clear"]) == 0
    assert "removed 4 entries" in capsys.readouterr().out
    assert all(path.exists() for path in others)


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="no full device")
def test_output_that_cannot_be_written(folder: Path) -> None:
    with open("/dev/full", "w") as full:
        command = [sys.executable, "-m", "symgrad", "cache", "list"]
        found = subprocess.run(command, stdout=full, stderr=subprocess.PIPE, text=True, check=False)
    assert found.returncode == 1
    assert found.stderr.startswith("symgrad: ")
    assert "Traceback" not in found.stderr


def test_clear_takes_what_a_changed_clock_left_in_the_future(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for path in folder.rglob("*.bin"):
        os.utime(path, (time.time() + 86_400,) * 2)
    assert main(["cache", "clear", "--older-than", "1s"]) == 0
    assert "removed 0 entries" in capsys.readouterr().out
    assert main(["cache", "clear"]) == 0
    assert "removed 3 entries" in capsys.readouterr().out


def test_names_are_listed_in_any_encoding(folder: Path) -> None:
    cache.store("a" * 64, cache.Entry({"name": "größe"}, {"code": b"x"}))
    environment = {**os.environ, "PYTHONIOENCODING": "ascii"}
    command = [sys.executable, "-m", "symgrad", "cache", "list"]
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=environment)
    assert done.returncode == 0, done.stderr
    assert "gr\\xf6\\xdfe" in done.stdout


def test_nobody_listens(folder: Path) -> None:
    """Standard output that is closed, and a reader who has gone."""
    cache.store("a" * 64, cache.Entry({"name": "f"}, {"code": b"x"}))
    listing = f"{sys.executable} -m symgrad cache list"
    for command in (f"{listing} >&-", f"{listing} | true"):
        done = subprocess.run(command, shell=True, capture_output=True, text=True, check=False)
        assert done.returncode == 0
        assert done.stderr == ""


def test_folders(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(sys, "platform", "linux")
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("SYMGRAD_CACHE_DIR", "~/compiled")
    assert cache_folder.directory() == tmp_path / "compiled"
    monkeypatch.delenv("SYMGRAD_CACHE_DIR")
    for given, folder in (
        ("/var/x", Path("/var/x")),
        ("relative", tmp_path / ".cache"),
        ("", tmp_path / ".cache"),
    ):
        monkeypatch.setenv("XDG_CACHE_HOME", given)
        assert cache_folder.directory() == folder / "symgrad"


def test_no_cache(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setenv("SYMGRAD_CACHE_DIR", "")
    for command in ([], ["list"], ["clear"]):
        assert main(["cache", *command]) == 0
    assert "there is no cache" in capsys.readouterr().out


WRONG = {
    "clear --older-than soon": (1, "7d"),
    "sort": (2, "invalid choice"),
    "list --sort colour": (2, "invalid choice"),
}


@pytest.mark.parametrize("arguments", WRONG)
def test_wrong_usage(folder: Path, arguments: str) -> None:
    """As a command: `python -m symgrad`."""
    status, says = WRONG[arguments]
    done = subprocess.run(
        [sys.executable, "-m", "symgrad", "cache", *arguments.split()],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == status
    assert says in done.stderr
    assert "Traceback" not in done.stderr


def test_version(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as done:
        main(["--version"])
    assert done.value.code == 0
    assert capsys.readouterr().out == f"symgrad {sg.__version__}\n"
