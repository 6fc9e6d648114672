"""The golden fixture itself: equal passes, different and missing fail and say so, the flag rewrites."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.golden_text import Golden


def test_equal_text_passes_and_the_file_stays(tmp_path: Path) -> None:
    path = tmp_path / "mlp.sg"
    path.write_text("d_x = 2·x\n", encoding="utf-8")
    Golden(tmp_path)("mlp.sg", "d_x = 2·x\n")
    Golden(tmp_path / "elsewhere")(path, "d_x = 2·x\n")
    assert path.read_text(encoding="utf-8") == "d_x = 2·x\n"


@pytest.mark.parametrize(
    ("text", "shown"),
    [("y = x\n", r"-x = 1\n\+y = x"), ("x = 1", "last newline"), ("x = 1\ny = 2\n", r"\+y = 2")],
)
def test_different_text_fails_with_a_diff(tmp_path: Path, text: str, shown: str) -> None:
    (tmp_path / "a").write_text("x = 1\n", encoding="utf-8")
    with pytest.raises(pytest.fail.Exception, match=shown):
        Golden(tmp_path)("a", text)
    assert (tmp_path / "a").read_text(encoding="utf-8") == "x = 1\n"


def test_missing_file_fails_and_is_not_made(tmp_path: Path) -> None:
    with pytest.raises(pytest.fail.Exception, match="no golden file"):
        Golden(tmp_path)("a", "x\n")
    assert not (tmp_path / "a").exists()


def test_update_writes_what_then_passes(tmp_path: Path) -> None:
    Golden(tmp_path, update=True)("deep/a", "x\n")
    Golden(tmp_path)("deep/a", "x\n")


def test_the_fixture_reads_tests_golden(golden: Golden, pytestconfig: pytest.Config) -> None:
    assert golden.folder == Path(__file__).parent / "golden"
    assert golden.update == pytestconfig.getoption("--update-golden")
