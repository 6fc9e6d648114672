"""Compiled code on disk, under a key of all that it depends on.

An entry is one file: a magic line, the SHA-256 of the rest, the key, a JSON header, then blobs. It is written
to a temporary file and renamed, readable by its owner alone, and loaded only if every part of that holds: own
file, right digest, right key. Anything else is reported, recompiled and replaced. Nothing is unpickled.
"""

from __future__ import annotations

import hashlib
import json
import os
import sys
import tempfile
import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

_MAGIC = b"symgrad cache 1\n"
_DIGEST = 32
_KEY = 64
_LENGTH = 8
#: Where the cache is; empty for none.
VARIABLE = "SYMGRAD_CACHE_DIR"


class CacheWarning(UserWarning):
    """An entry of the cache on disk is damaged, or not ours; it is not used."""


@dataclass(frozen=True)
class Entry:
    """What is kept of one program: a header of plain JSON, and named bytes."""

    header: Mapping[str, Any]
    blobs: Mapping[str, bytes]


def directory() -> Path | None:
    """The folder of the cache; None where there is none."""
    chosen = os.environ.get(VARIABLE)
    if chosen is not None:
        return Path(chosen) if chosen else None
    if sys.platform == "darwin":
        base = Path("~/Library/Caches")
    else:
        base = Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache")
    try:
        return base.expanduser() / "symgrad"
    except RuntimeError:  # no home
        return None


def path_of(key: str) -> Path | None:
    """The file of a key."""
    folder = directory()
    return None if folder is None else folder / key[:2] / f"{key}.bin"


def load(key: str) -> Entry | None:
    """The entry of a key, if there is a sound one."""
    path = path_of(key)
    if path is None:
        return None
    try:
        with open(path, "rb") as file:
            status = os.fstat(file.fileno())
            if hasattr(os, "getuid") and (status.st_uid != os.getuid() or status.st_mode & 0o022):
                _refuse(path, "it belongs to somebody else, or others may write it")
                return None
            content = file.read()
    except OSError:
        return None
    return _parse(path, key, content)


def _parse(path: Path, key: str, content: bytes) -> Entry | None:
    start = len(_MAGIC) + _DIGEST
    body = content[start:]
    fault = ""
    if not content.startswith(_MAGIC) or len(content) < start + _KEY + _LENGTH:
        fault = "it is no whole entry"
    elif hashlib.sha256(body).digest() != content[len(_MAGIC) : start]:
        fault = "its digest is wrong"
    elif body[:_KEY] != key.encode():
        fault = "it is the entry of another program"
    if fault:
        _refuse(path, fault)
        return None
    at = _KEY + _LENGTH
    length = int.from_bytes(body[_KEY:at], "little")
    header = json.loads(body[at : at + length])
    at += length
    blobs: dict[str, bytes] = {}
    for name, size in header.pop("blobs"):
        blobs[name] = body[at : at + size]
        at += size
    return Entry(header, blobs)


def _refuse(path: Path, why: str) -> None:
    warnings.warn(f"the cache entry {path} is not used: {why}; it is made again", CacheWarning, stacklevel=4)


def store(key: str, entry: Entry) -> None:
    """Write an entry. A folder that cannot be written costs the next start time, nothing else."""
    path = path_of(key)
    if path is None:
        return
    listed = [(name, len(blob)) for name, blob in entry.blobs.items()]
    header = json.dumps({**entry.header, "blobs": listed}).encode()
    body = b"".join([key.encode(), len(header).to_bytes(_LENGTH, "little"), header, *entry.blobs.values()])
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=".new-")  # mode 0600
        try:
            with os.fdopen(handle, "wb") as file:
                file.write(_MAGIC + hashlib.sha256(body).digest() + body)
            os.replace(temporary, path)
        except BaseException:
            os.unlink(temporary)
            raise
    except OSError:
        return
