"""Amounts of memory and of time as people write them: 512M, 7d."""

from __future__ import annotations

import math
import os
import re

from symgrad.errors import InputError

_BYTES = {"": 1, "K": 2**10, "M": 2**20, "G": 2**30, "T": 2**40}
_MOST_BYTES = 2.0**63
_SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86_400, "w": 604_800}
_NUMBER = r"\s*(\d+(?:\.\d+)?|\.\d+)\s*"


def parse_bytes(text: str, what: str) -> int:
    """A number of bytes: digits, then K, M, G or T (powers of 1024), with or without B.

    Raises:
        InputError: it is something else; `what` says in the message where it was given.

    >>> parse_bytes("512M", "the limit"), parse_bytes("1.5 GiB", "the limit"), parse_bytes("0", "the limit")
    (536870912, 1610612736, 0)
    """
    found = re.fullmatch(_NUMBER + r"([KMGT]?)(?:I?B)?\s*", text.upper(), re.ASCII)
    amount = float(found[1]) * _BYTES[found[2]] if found else math.inf
    if amount >= _MOST_BYTES:
        raise InputError(
            f"{what} is no amount of memory",
            facts=[("expected", "a number of bytes, with K, M, G or T: 512M"), ("got", f"{text!r:.60}")],
        )
    return int(amount)


def bytes_from_environment(variable: str, default: int) -> int:
    """What an environment variable says; the default where it is not set, or empty."""
    text = os.environ.get(variable, "")
    return parse_bytes(text, f"the environment variable {variable}") if text else default


def parse_duration(text: str) -> float:
    """Seconds from a number with s, m, h, d or w.

    >>> parse_duration("7d"), parse_duration("1.5h")
    (604800.0, 5400.0)
    """
    found = re.fullmatch(_NUMBER + r"([smhdw])\s*", text.lower(), re.ASCII)
    if found is None:
        raise InputError(
            "this is no length of time",
            facts=[("expected", "a number with s, m, h, d or w: 7d"), ("got", repr(text))],
        )
    return float(found[1]) * _SECONDS[found[2]]


def show_bytes(count: int) -> str:
    """A number of bytes, short.

    >>> [show_bytes(n) for n in (0, 900, 10_000, 3 * 2**20, 2**29, 2**40)]
    ['0 B', '900 B', '9.8 KiB', '3.0 MiB', '512 MiB', '1.0 TiB']
    """
    amount, unit = float(count), "B"
    for unit in ("B", "KiB", "MiB", "GiB", "TiB"):
        if amount < 1000 or unit == "TiB":
            break
        amount /= 1024
    return (
        f"{count} B" if unit == "B" else f"{amount:.0f} {unit}" if amount >= 99.95 else f"{amount:.1f} {unit}"
    )


def show_duration(seconds: float) -> str:
    """A length of time in its largest unit.

    >>> [show_duration(s) for s in (0.2, 90, 7200, 200_000)]
    ['0 s', '1 min', '2 h', '2 d']
    """
    for length, unit in ((86_400, "d"), (3600, "h"), (60, "min")):
        if seconds >= length:
            return f"{int(seconds // length)} {unit}"
    return f"{max(0, int(seconds))} s"
