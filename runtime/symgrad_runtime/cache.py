"""Compiled code on disk, under a key of all that it depends on.

An entry is one file: a magic line, the SHA-256 of the rest, the key, a JSON header, then blobs. It is written
to a temporary file and renamed, readable by its owner alone, and loaded only if every part of that holds: an
ordinary file of ours, right digest, right key, a header that fits what follows. Anything else is reported,
recompiled and replaced. Nothing is unpickled. `cache_folder.py` says what leaves the folder when it is full.
"""

from __future__ import annotations

import errno
import hashlib
import json
import os
import stat
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from symgrad.errors import warn
from symgrad_runtime.cache_folder import TEMPORARY, announce, directory, limit, touch

_MAGIC = b"symgrad cache 2\n"
_DIGEST = 32
_KEY = 64
_LENGTH = 8
_BODY = len(_MAGIC) + _DIGEST
_HEADER = _BODY + _KEY + _LENGTH
#: Without following a link, and without waiting for whoever would write to a pipe.
_READ = (
    os.O_RDONLY | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_CLOEXEC", 0)
)


class CacheWarning(UserWarning):
    """An entry of the cache on disk is damaged, or not ours; it is not used."""


@dataclass(frozen=True)
class Entry:
    """What is kept of one program: a header of plain JSON, and named bytes."""

    header: Mapping[str, Any]
    blobs: Mapping[str, bytes]


class _Fault(Exception):
    """Why a file is no entry to be used."""


def path_of(key: str) -> Path | None:
    """The file of a key."""
    folder = directory()
    return None if folder is None else folder / key[:2] / f"{key}.bin"


def load(key: str) -> Entry | None:
    """The entry of a key, if there is a sound one.

    Raises:
        InputError: SYMGRAD_CACHE_SIZE is no amount of memory.
    """
    limit()
    path = path_of(key)
    if path is None:
        return None
    try:
        return _parse(key, _content(path))
    except (FileNotFoundError, NotADirectoryError):
        return None
    except OSError as error:
        is_link = error.errno == errno.ELOOP
        refuse(key, "it is a link" if is_link else f"it cannot be read ({error.strerror})")
    except _Fault as fault:
        refuse(key, str(fault))
    return None


def _content(path: Path) -> bytes:
    with _opened(path) as (handle, status):
        if hasattr(os, "getuid") and (status.st_uid != os.getuid() or status.st_mode & 0o022):
            raise _Fault("it belongs to somebody else, or others may write it")
        touch(handle, status)
        with open(handle, "rb", closefd=False) as file:
            return file.read()


@contextmanager
def _opened(path: Path) -> Iterator[tuple[int, os.stat_result]]:
    handle = os.open(path, _READ)
    try:
        status = os.fstat(handle)
        if not stat.S_ISREG(status.st_mode):
            raise _Fault("it is no file")
        yield handle, status
    finally:
        os.close(handle)


def _parse(key: str, content: bytes) -> Entry:
    body = memoryview(content)[_BODY:]
    if not content.startswith(_MAGIC) or len(content) < _HEADER:
        raise _Fault("it is no whole entry")
    if hashlib.sha256(body).digest() != content[len(_MAGIC) : _BODY]:
        raise _Fault("its digest is wrong")
    if body[:_KEY] != key.encode():
        raise _Fault("it is the entry of another program")
    at = _HEADER + int.from_bytes(content[_HEADER - _LENGTH : _HEADER], "little")
    blobs: dict[str, bytes] = {}
    try:
        header = json.loads(content[_HEADER:at])
        for name, size in header.pop("blobs"):
            if type(size) is not int or size < 0:
                raise ValueError(f"{size!r} is no size")
            blobs[name] = content[at : at + size]
            at += size
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
        raise _Fault("its header cannot be read") from error
    if at != len(content):
        raise _Fault("its header does not fit its length")
    return Entry(header, blobs)


def refuse(key: str, why: str) -> None:
    """Warn that the entry of a key is not used."""
    warn(f"the cache entry {path_of(key)} is not used: {why}; it is made again", CacheWarning)


def header_of(path: Path) -> Mapping[str, Any]:
    """The header of an entry's file, unchecked, to be shown; {} if it has none."""
    try:
        with _opened(path) as (handle, status), open(handle, "rb", closefd=False) as file:
            start = file.read(_HEADER)
            length = int.from_bytes(start[_HEADER - _LENGTH :], "little")
            if not start.startswith(_MAGIC) or length > status.st_size:
                return {}
            header = json.loads(file.read(length))
    except (_Fault, OSError, ValueError, RecursionError):
        return {}
    return header if isinstance(header, dict) else {}


def store(key: str, entry: Entry) -> None:
    """Write an entry. A folder that cannot be written costs the next start time, nothing else.

    Raises:
        InputError: SYMGRAD_CACHE_SIZE is no amount of memory.
    """
    path, allowed = path_of(key), limit()
    if path is None:
        return
    listed = [(name, len(blob)) for name, blob in entry.blobs.items()]
    header = json.dumps({**entry.header, "made": int(time.time()), "blobs": listed}).encode()
    body = b"".join([key.encode(), len(header).to_bytes(_LENGTH, "little"), header, *entry.blobs.values()])
    content = _MAGIC + hashlib.sha256(body).digest() + body
    if len(content) > allowed:
        return
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        announce(path.parent.parent, len(content), allowed)
        with _whole(path) as file:
            file.write(content)
    except OSError:
        return


@contextmanager
def _whole(path: Path) -> Iterator[Any]:
    """A file that takes its name when all of it is written, or leaves nothing."""
    handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=TEMPORARY)  # mode 0600
    try:
        with os.fdopen(handle, "wb") as file:
            yield file
        os.replace(temporary, path)
    except BaseException:
        with suppress(OSError):
            os.unlink(temporary)
        raise
