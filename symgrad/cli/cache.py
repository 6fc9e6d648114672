"""`symgrad cache`: where compiled code is kept, what of it, and how to remove it."""

from __future__ import annotations

import time
from argparse import Namespace
from typing import Any

from symgrad_runtime.cache import header_of
from symgrad_runtime.cache_folder import VARIABLE, Found, clear, directory, entries, limit
from symgrad_runtime.quantities import parse_duration, show_bytes, show_duration

#: Column -> what rows are sorted by; largest, oldest and last used first.
_ORDERS = {
    "name": lambda row: row[0],
    "size": lambda row: -row[1],
    "age": lambda row: -row[2],
    "used": lambda row: row[3],
}


def add(commands: Any) -> None:
    """The parser of `symgrad cache` and what it has below it."""
    cache = commands.add_parser("cache", help="compiled code on disk", description=__doc__)
    cache.set_defaults(run=_summary)
    below = cache.add_subparsers(metavar="command")
    listing = below.add_parser("list", help="every entry: function, size, age, last use")
    listing.add_argument("--sort", choices=list(_ORDERS), default="used", help="default: %(default)s")
    listing.set_defaults(run=_list)
    clearing = below.add_parser("clear", help="remove entries")
    clearing.add_argument(
        "--older-than", metavar="TIME", default="0s", help="only what was not used for so long: 7d, 12h"
    )
    clearing.set_defaults(run=_clear)


def _summary(_: Namespace) -> int:
    folder = directory()
    if folder is None:
        print(f"there is no cache: {VARIABLE} is empty, or there is no home folder")
        return 0
    found = entries()
    for label, value in (
        ("folder", folder),
        ("entries", len(found)),
        ("size", show_bytes(sum(e.size for e in found))),
        ("limit", show_bytes(limit())),
    ):
        print(f"{label + ':':9}{value}")
    return 0


def _list(arguments: Namespace) -> int:
    now = time.time()
    rows = sorted((_row(e, now) for e in entries()), key=_ORDERS[arguments.sort])
    print(f"{'function':32} {'size':>9} {'age':>7} {'last used':>10}")
    for name, size, age, used in rows:
        print(f"{name:32} {show_bytes(size):>9} {show_duration(age):>7} {show_duration(used) + ' ago':>10}")
    return 0


def _row(entry: Found, now: float) -> tuple[str, int, float, float]:
    header = header_of(entry.path)
    name, made = header.get("name"), header.get("made")
    shown = name if isinstance(name, str) and name.isprintable() else "?"
    age = now - made if isinstance(made, int) else now - entry.used
    return shown, entry.size, age, now - entry.used


def _clear(arguments: Namespace) -> int:
    count, size = clear(parse_duration(arguments.older_than))
    print(f"removed {count} {'entry' if count == 1 else 'entries'}, {show_bytes(size)}")
    return 0
