"""The command line, `symgrad` and `python -m symgrad`: a parser, and a module for each command.

A module of a command has `add(commands)`, which adds a parser and sets `run`: a function of the parsed
arguments that gives the exit status.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence
from io import TextIOWrapper

from symgrad.cli import cache
from symgrad.errors import SymgradError

COMMANDS = (cache,)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command; the exit status: 0, 1 for an error that is reported, 2 for wrong usage.

    >>> main([])
    usage: symgrad [-h] [--version] command ...
    ...
    0
    """
    parser = argparse.ArgumentParser(
        prog="symgrad", description="A symbol-to-symbol differentiation compiler."
    )
    parser.add_argument("--version", action="version", version=f"symgrad {_version()}")
    commands = parser.add_subparsers(metavar="command")
    for command in COMMANDS:
        command.add(commands)
    parsed = parser.parse_args(arguments)
    if not hasattr(parsed, "run"):
        parser.print_help()
        return 0
    if isinstance(sys.stdout, TextIOWrapper):  # names of functions may be in any script
        sys.stdout.reconfigure(errors="backslashreplace")
    try:
        status: int = parsed.run(parsed)
        if sys.stdout is not None:  # it is, where it was closed: `symgrad cache clear >&-`
            sys.stdout.flush()
    except SymgradError as error:
        print(f"symgrad: {error}", file=sys.stderr)
        return 1
    except BrokenPipeError:  # `symgrad cache list | head`; Python would complain at exit once more
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except OSError as error:  # `symgrad cache list > /dev/full`
        print(f"symgrad: {error}", file=sys.stderr)
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    return status


def _version() -> str:
    """The package's own, which is above this module and loaded before it."""
    return str(sys.modules["symgrad"].__version__)
