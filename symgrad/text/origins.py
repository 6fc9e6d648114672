"""Origins as text: `model.py:12 > vjp tanh(z).x | model.py:14`.

    Origins = Origin ("|" Origin)*
    Origin  = [FILE ":" LINE] (">" Step)*      the first ">" is left out where there is no file
    Step    = KIND WHAT

Files, kinds and texts with odd characters are quoted as in JSON.
"""

from __future__ import annotations

import json
import re

from symgrad.errors import ParseError
from symgrad.ir.origin import MAX_ORIGINS, MAX_STEPS, UNKNOWN, Origin, Step

_FILE = r"[\w./\\~+<>\[\]@:,=%()-]+"
_KIND = r"[A-Za-z_]\w*"
_WHAT = r"[\w./\\~+<>\[\]:,=%()*'-]+(?: [\w./\\~+<>\[\]:,=%()*'-]+)*?"
_STRING = r'"(?:[^"\\]|\\.)*"'
_PLAIN_FILE = re.compile(rf"{_FILE}\Z")
_PLAIN_KIND = re.compile(rf"{_KIND}\Z")
_PLAIN_WHAT = re.compile(rf"{_WHAT}\Z")
_END = r"[ \t\r]*(?P<end>>(?=\s)|\||\#|\Z)"
_PLACE = re.compile(rf"\s*(?P<file>{_FILE}|{_STRING}):(?P<line>-?[0-9]{{1,9}}){_END}")
_STEP = re.compile(rf"\s*(?P<kind>{_KIND}|{_STRING}) (?P<what>{_WHAT}|{_STRING}){_END}")
_MAX_LISTED = 8 * max(MAX_ORIGINS, MAX_STEPS)


def write_origins(origins: tuple[Origin, ...]) -> str:
    """The text of a node's origins; nothing where they are unknown.

    >>> write_origins((Origin("model.py", 12, (Step("vjp", "tanh(z).x"),)), Origin("m.py", 1)))
    'model.py:12 > vjp tanh(z).x | m.py:1'
    """
    if origins == (UNKNOWN,):
        return ""
    return " | ".join(_write(o.relative()) for o in origins)


def _write(origin: Origin) -> str:
    steps = [_write_step(s) for s in origin.steps]
    if origin.file or origin.line or not steps:
        file = origin.file if _PLAIN_FILE.match(origin.file) else json.dumps(origin.file)
        steps.insert(0, f"{file}:{origin.line}")
    return " > ".join(steps)


def _write_step(step: Step) -> str:
    kind = step.kind if _PLAIN_KIND.match(step.kind) else json.dumps(step.kind)
    plain = _PLAIN_WHAT.match(step.what) and " > " not in step.what
    return f"{kind} {step.what if plain else json.dumps(step.what)}"


def read_origins(text: str, line: int, column: int, source: str) -> tuple[Origin, ...]:
    """The origins in `text`, which is what follows the `@` at `column` of `source`."""

    def fail(position: int, what: str, expected: str | None = None) -> ParseError:
        found = text[position:].strip()[:40] or "the end of the line"
        return ParseError(
            what,
            line=line,
            column=column + position,
            source=source,
            expected=expected,
            found=found if expected else None,
        )

    found: list[Origin] = []
    position, end = 0, "|"
    while end == "|":
        file, number, steps = "", 0, []
        match = _PLACE.match(text, position)
        end = ">"
        if match is not None:
            file, number = _unquote(match["file"], fail, position), int(match["line"])
            position, end = match.end(), match["end"]
        while end == ">":
            match = _STEP.match(text, position)
            if match is None:
                raise fail(
                    position, "an origin is not well formed", "file:line or a step such as `vjp tanh(z).x`"
                )
            steps.append(
                Step(_unquote(match["kind"], fail, position), _unquote(match["what"], fail, position))
            )
            position, end = match.end(), match["end"]
        if len(steps) > _MAX_LISTED or len(found) >= _MAX_LISTED:
            raise fail(position, "an origin with too many steps")
        found.append(Origin(file, number, tuple(steps)))
    return tuple(found)


def _unquote(text: str, fail: object, position: int) -> str:
    if not text.startswith('"'):
        return text
    try:
        return str(json.loads(text))
    except ValueError:
        assert callable(fail)
        raise fail(position, "a quoted text is not well formed", "a string as in JSON") from None
