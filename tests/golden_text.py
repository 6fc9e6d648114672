"""Golden text: what a test prints is compared with a file, which a flag rewrites."""

from __future__ import annotations

import difflib
from dataclasses import dataclass
from pathlib import Path

import pytest


@dataclass(frozen=True)
class Golden:
    """Compares texts with the files of one folder.

    A relative name is a file in the folder (subfolders are fine); an absolute path is taken as it is.
    """

    folder: Path
    update: bool = False

    def __call__(self, name_or_path: str | Path, text: str) -> None:
        path = self.folder / name_or_path
        if self.update:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, encoding="utf-8", newline="\n")
            return
        if not path.exists():
            pytest.fail(f"no golden file {path}: look at the text, then run pytest --update-golden\n{text}")
        expected = path.read_text(encoding="utf-8")
        if text != expected:
            pytest.fail(_difference(path, expected, text))


def _difference(path: Path, expected: str, text: str) -> str:
    lines = difflib.unified_diff(
        expected.splitlines(), text.splitlines(), "expected", "got", lineterm="", n=2
    )
    shown = "\n".join(lines) or "(they differ in line endings or the last newline only)"
    return f"not the text in {path}; if it should be, run pytest --update-golden\n{shown}"
