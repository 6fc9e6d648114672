"""The folder of the cache: where it is, how large it may grow, what is in it, what leaves it first.

An entry's modification time is when it was last used, to the hour (`touch`). When the folder is larger than
its limit, the entries that were not used for longest are removed. To know when that is without looking at
every file, each write first adds to a ledger: a file with one byte for each 4 KiB that is there, as far as
known. Appending is atomic, so that processes need no lock; what the ledger says too much, since entries are
replaced, the next look corrects. Two processes that look at once remove the same entries.
"""

from __future__ import annotations

import contextlib
import os
import re
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from symgrad_runtime.quantities import bytes_from_environment

#: Where the cache is; empty for none.
VARIABLE = "SYMGRAD_CACHE_DIR"
#: How large it may grow.
LIMIT_VARIABLE = "SYMGRAD_CACHE_SIZE"
DEFAULT_LIMIT = 512 * 2**20
#: Files that are being written; what a killed process left is removed after an hour.
TEMPORARY = ".new-"
_SUBFOLDER, _ENTRY = re.compile("[0-9a-f]{2}"), re.compile(r"[0-9a-f]{64}\.bin")
_NEW = re.compile(re.escape(TEMPORARY) + ".*")
_STALE = _TOUCH_EVERY = 3600.0
_LEDGER = ".ledger"
_UNIT = 4 * 2**10
#: Shares of the limit: from where a look removes entries, and what it leaves. So looks are rare.
_HIGH, _KEPT = 0.9, 0.8


@dataclass(frozen=True)
class Found:
    """A file of the cache."""

    path: Path
    size: int
    used: float


def directory() -> Path | None:
    """The folder of the cache; None where there is none."""
    chosen = os.environ.get(VARIABLE)
    if chosen == "":
        return None
    if chosen is None:
        base = os.environ.get("XDG_CACHE_HOME", "")
        if sys.platform == "darwin":
            base = "~/Library/Caches"
        elif not os.path.isabs(base):  # the standard says to ignore others
            base = "~/.cache"
        chosen = f"{base}/symgrad"
    try:
        return Path(chosen).expanduser()
    except RuntimeError:  # no home
        return None


def limit() -> int:
    """How many bytes all entries may have together; 0 keeps nothing.

    Raises:
        InputError: SYMGRAD_CACHE_SIZE is no amount of memory.
    """
    return bytes_from_environment(LIMIT_VARIABLE, DEFAULT_LIMIT)


def touch(file: int, status: os.stat_result) -> None:
    """Note that an open entry is used; at most once an hour, since this writes."""
    if time.time() - status.st_mtime > _TOUCH_EVERY:
        with contextlib.suppress(OSError):  # a folder that cannot be written
            os.utime(file)


def announce(folder: Path, size: int, allowed: int) -> None:
    """Say that an entry will be written, and make room if there is too little.

    Before, not after: so the files of processes that are killed while they write are counted too.
    """
    ledger = folder / _LEDGER
    counted = 0
    with contextlib.suppress(FileNotFoundError):
        file = os.open(ledger, os.O_WRONLY | os.O_APPEND | os.O_NOFOLLOW | os.O_NONBLOCK)
        try:
            os.write(file, b"." * -(-size // _UNIT))
            counted = os.fstat(file).st_size * _UNIT
        finally:
            os.close(file)
    if counted == 0 or counted > allowed:
        _sweep(folder, size, allowed)


def _sweep(folder: Path, coming: int, allowed: int) -> None:
    """Look at all files; remove stale temporary ones and, above the limit, the least recently used."""
    now = time.time()
    for file in _files(folder, _NEW):
        if now - file.used > _STALE:
            _remove(file)
    entries = list(_files(folder, _ENTRY))
    total = sum(e.size for e in entries) + coming
    if total > _HIGH * allowed:
        for entry in sorted(entries, key=lambda e: e.used):
            if total <= _KEPT * allowed:
                break
            _remove(entry)
            total -= entry.size
    fresh = folder / f"{_LEDGER}-{os.getpid()}"
    fresh.write_bytes(b"." * max(1, -(-total // _UNIT)))
    os.replace(fresh, folder / _LEDGER)


def entries() -> list[Found]:
    """All entries, in no order."""
    folder = directory()
    return [] if folder is None else list(_files(folder, _ENTRY))


def clear(older_than: float = 0.0) -> tuple[int, int]:
    """Remove the entries that were not used for so many seconds, and all stale files: (how many, bytes)."""
    folder = directory()
    if folder is None:
        return 0, 0
    now = time.time()
    found = _files(folder, _ENTRY)  # some may be of the future, when clocks were changed
    removed = [f for f in found if max(0.0, now - f.used) >= older_than and _remove(f)]
    for file in _files(folder, _NEW):
        if now - file.used > _STALE:
            _remove(file)
    with contextlib.suppress(OSError):
        os.unlink(folder / _LEDGER)  # the next write looks again
    return len(removed), sum(f.size for f in removed)


def _remove(file: Found) -> bool:
    try:
        os.unlink(file.path)
    except OSError:  # another process was faster, or it is not ours to remove
        return False
    return True


def _files(folder: Path, name: re.Pattern[str]) -> Iterator[Found]:
    """The regular files with such names in the subfolders that entries are in. What others keep in the same
    folder is theirs."""
    for subfolder in _listed(folder):
        if not (_SUBFOLDER.fullmatch(subfolder.name) and subfolder.is_dir(follow_symlinks=False)):
            continue
        for file in _listed(subfolder.path):
            if not name.fullmatch(file.name):
                continue
            with contextlib.suppress(OSError):  # gone meanwhile
                if file.is_file(follow_symlinks=False):
                    status = file.stat(follow_symlinks=False)
                    yield Found(Path(file.path), status.st_size, status.st_mtime)


def _listed(folder: Path | str) -> list[os.DirEntry[str]]:
    try:
        with os.scandir(folder) as found:
            return list(found)
    except OSError:
        return []
