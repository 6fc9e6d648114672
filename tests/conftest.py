"""How tests run: hypothesis profiles, chosen by SYMGRAD_TEST_PROFILE; backends; the `golden` fixture.

Tests that run programs do so on both backends. Compiled code is kept in a folder of the session's own. All
that `sg.function` compiles is validated, pass by pass (SYMGRAD_VALIDATE=0 switches that off, to measure it),
and every graph goes through its text; of a test that runs on both backends, which optimise the same graphs,
on NumPy only, and of those of machine code (tests/native) and those marked `seen` only in a campaign.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, settings

import symgrad as sg
from symgrad.ir.graph import Graph
from tests.golden_text import Golden

_cache = tempfile.TemporaryDirectory(prefix="symgrad-tests-")
os.environ["SYMGRAD_CACHE_DIR"] = _cache.name
os.environ.setdefault("SYMGRAD_VALIDATE", "1")

#: Test modules and folders whose tests run once on each backend; of those of ops, on NumPy in the campaign,
#: but for the derivative matrix, which holds every op to the same on both.
ON_BOTH = ("tests.ops.", "tests.autodiff.", "tests.runtime.", "tests.test_check", "tests.test_examples")
BACKENDS = ("llvm", "numpy")

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
    max_examples=5000,
    print_blob=True,
    suppress_health_check=[HealthCheck.too_slow],
)
settings.load_profile(os.environ.get("SYMGRAD_TEST_PROFILE", "ci"))


def pytest_configure(config: pytest.Config) -> None:
    if os.environ.get("SYMGRAD_TEST_PROFILE") != "campaign" and not config.option.markexpr:
        config.option.markexpr = "not campaign"


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


_reports: list[str] = []


@pytest.fixture
def report() -> Callable[..., None]:
    """`report(*lines)`: what is to be read when all tests have run."""

    def add(*lines: str) -> None:
        _reports.extend(lines)

    return add


def pytest_terminal_summary(terminalreporter: Any) -> None:
    if _reports:
        terminalreporter.section("reports")
        for line in _reports:
            terminalreporter.write_line(line)


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if f"{metafunc.module.__name__}.".startswith(ON_BOTH) and "backend" not in metafunc.fixturenames:
        metafunc.fixturenames.append("backend")
    if "backend" in metafunc.fixturenames:
        metafunc.parametrize("backend", _backends(metafunc), indirect=True)


def _is_native(module: str, test: pytest.Item | Any) -> bool:
    """Whether a run on the native backend is enough: NumPy's turn is then the campaign's."""
    is_op = module.startswith("tests.ops.") and not module.endswith((".test_matrix", ".test_limits"))
    return is_op or test.get_closest_marker("native") is not None


def _backends(metafunc: pytest.Metafunc) -> list[Any]:
    native, reference = BACKENDS
    marks = [pytest.mark.campaign] if _is_native(metafunc.module.__name__, metafunc.definition) else []
    return [native, pytest.param(reference, marks=marks)]


@pytest.fixture
def is_looked_at(request: pytest.FixtureRequest) -> bool:
    """Whether graphs are validated and go through their text: of two runs of a test, in one."""
    if os.environ.get("SYMGRAD_TEST_PROFILE") == "campaign":
        return True
    is_seen = request.node.get_closest_marker("seen") is not None
    if is_seen or request.node.nodeid.startswith("tests/native/"):
        return False
    chosen = getattr(getattr(request.node, "callspec", None), "params", {}).get("backend")
    return chosen != BACKENDS[0] or _is_native(request.module.__name__, request.node)


@pytest.fixture(autouse=True)
def what_is_looked_at_is_validated(is_looked_at: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    if not is_looked_at:
        monkeypatch.setenv("SYMGRAD_VALIDATE", "0")


@pytest.fixture
def backend(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """The backend that functions are compiled for, here and in child processes."""
    name: str = request.param
    monkeypatch.setenv("SYMGRAD_BACKEND", name)
    sg.set_backend(name)
    yield name
    sg.set_backend("llvm")


@pytest.fixture(autouse=True)
def chosen_backend(request: pytest.FixtureRequest) -> None:
    """Pytest forgets a fixture that only `pytest_generate_tests` asks for; so it is asked for here."""
    if "backend" in getattr(getattr(request.node, "callspec", None), "params", ()):
        request.getfixturevalue("backend")


@pytest.fixture(autouse=True)
def every_graph_survives_its_text(is_looked_at: bool, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Whatever graph a test builds, by hand or by a pass, `parse(emit(g)).same(g)`."""
    if not is_looked_at:
        yield
        return
    built: list[Graph] = []
    build, derive = Graph.__init__, Graph.with_results

    def keep(graph: Graph) -> Graph:
        if len(built) < 50 and len(graph.nodes) <= 400:
            built.append(graph)
        return graph

    def record(self: Graph, *args: Any, **kwargs: Any) -> None:
        build(self, *args, **kwargs)
        keep(self)

    monkeypatch.setattr(Graph, "__init__", record)
    monkeypatch.setattr(Graph, "with_results", lambda self, *args: keep(derive(self, *args)))
    yield
    monkeypatch.undo()
    for graph in built:
        text = sg.emit(graph)
        again = sg.parse(text)
        assert again.same(graph), text
        assert sg.emit(again) == text
