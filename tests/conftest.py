"""How tests run: hypothesis profiles, chosen by SYMGRAD_TEST_PROFILE, and the `golden` fixture."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

from tests.golden_text import Golden

# `ci` (the default) tries the same examples on every run and every machine; `campaign` searches.
settings.register_profile(
    "ci",
    derandomize=True,
    deadline=None,
    database=None,
    suppress_health_check=[HealthCheck.too_slow],
)
settings.register_profile(
    "campaign",
    derandomize=False,
    deadline=None,
    max_examples=2000,
    print_blob=True,
    suppress_health_check=[HealthCheck.too_slow],
)
settings.load_profile(os.environ.get("SYMGRAD_TEST_PROFILE", "ci"))


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--update-golden",
        action="store_true",
        help="rewrite the files in tests/golden with what the tests produce now",
    )


@pytest.fixture
def golden(request: pytest.FixtureRequest) -> Golden:
    """`golden(name_or_path, text)` compares text with a file in tests/golden; see tests/golden_text.py."""
    return Golden(Path(__file__).parent / "golden", update=request.config.getoption("--update-golden"))
