"""What a user gets: three packages, typed, complete, and no generic name in site-packages."""

from __future__ import annotations

import shutil
import subprocess
import sys
import tomllib
import zipfile
from importlib.util import find_spec
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
PACKAGES = {
    "symgrad": ROOT / "symgrad",
    "symgrad_compiler": ROOT / "compiler" / "symgrad_compiler",
    "symgrad_runtime": ROOT / "runtime" / "symgrad_runtime",
}
GENERIC = ("benchmarks", "compiler", "docs", "examples", "runtime", "tests")

pytestmark = pytest.mark.skipif(find_spec("setuptools") is None, reason="the extra `dev` is not installed")


def run(*command: str | Path, cwd: Path) -> str:
    done = subprocess.run(command, cwd=cwd, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.fixture(scope="session")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel, built from a copy so that no build folder appears among the sources."""
    copy, out = tmp_path_factory.mktemp("sources"), tmp_path_factory.mktemp("wheel")
    for path in ROOT.iterdir():
        if path.is_dir() and path.name in ("symgrad", "compiler", "runtime", "tests", "examples"):
            shutil.copytree(path, copy / path.name, ignore=shutil.ignore_patterns("__pycache__"))
        elif path.is_file():
            shutil.copy(path, copy)
    build = f"from setuptools.build_meta import build_wheel; build_wheel({str(out)!r})"
    run(sys.executable, "-c", build, cwd=copy)
    (path,) = out.glob("*.whl")
    return path


def names_in(wheel: Path) -> set[str]:
    with zipfile.ZipFile(wheel) as archive:
        return {name for name in archive.namelist() if ".dist-info/" not in name}


def test_the_wheel_has_three_top_level_names(wheel: Path) -> None:
    assert {name.partition("/")[0] for name in names_in(wheel)} == PACKAGES.keys()


def test_the_wheel_has_every_module_and_no_other_file(wheel: Path) -> None:
    modules = {
        f"{package}/{path.relative_to(folder).as_posix()}"
        for package, folder in PACKAGES.items()
        for path in folder.rglob("*.py")
    }
    typed = {f"{package}/py.typed" for package in PACKAGES}
    built = names_in(wheel)
    assert modules - built == set(), "not in the wheel: is there an __init__.py in every folder?"
    assert built - modules == typed


def test_the_wheel_says_its_licence_and_version(wheel: Path) -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    info = f"symgrad-{project['version']}.dist-info"
    with zipfile.ZipFile(wheel) as archive:
        metadata = archive.read(f"{info}/METADATA").decode().splitlines()
        assert archive.read(f"{info}/licenses/LICENSE") == (ROOT / "LICENSE").read_bytes()
    assert f"License-Expression: {project['license']}" in metadata
    assert f"Requires-Python: {project['requires-python']}" in metadata


def where(python: Path, cwd: Path) -> dict[str, str | None]:
    """Where an interpreter finds our names and the generic ones: `-I` keeps the folder out of its path."""
    names = (*PACKAGES, *GENERIC)
    code = f"""
from importlib.util import find_spec
for name in {names!r}:
    spec = find_spec(name)
    print(name, spec and (spec.origin or list(spec.submodule_search_locations)))
"""
    lines = run(python, "-I", "-c", code, cwd=cwd).splitlines()
    found = dict(line.split(" ", 1) for line in lines)
    return {name: None if found[name] == "None" else found[name] for name in names}


def test_the_environment_sees_no_generic_name_of_ours(tmp_path: Path) -> None:
    found = where(Path(sys.executable), tmp_path)
    assert all(found[name] for name in PACKAGES)
    assert not [name for name in GENERIC if str(ROOT) in (found[name] or "")]


@pytest.mark.campaign
def test_the_wheel_installs_in_a_bare_environment(wheel: Path, tmp_path: Path) -> None:
    run(sys.executable, "-m", "venv", "--without-pip", "bare", cwd=tmp_path)
    (python,) = [*tmp_path.glob("bare/bin/python"), *tmp_path.glob("bare/Scripts/python.exe")]
    pip = (sys.executable, "-m", "pip", "--disable-pip-version-check", "--python", python)
    run(*pip, "install", "--no-index", "--no-deps", wheel, cwd=tmp_path)
    found = where(python, tmp_path)
    assert all(str(tmp_path) in (found[name] or "") for name in PACKAGES)
    assert [name for name in GENERIC if found[name]] == []
