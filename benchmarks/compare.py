"""All systems on one workload: each in a process of its own, in turns, checked against a reference."""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from benchmarks.harness import Workload, differences
from benchmarks.systems import SYSTEMS, YARDSTICKS, environment

WORKER = Path(__file__).parent / "worker.py"


@dataclass(frozen=True)
class Settings:
    """How long to time, and with which interpreters."""

    rounds: int = 9
    seconds: float = 0.3  # of a system's turn in a round
    tiny: bool = False  # the sizes of the tests
    plan: bool = False  # ask for plans
    pythons: Mapping[str, str] = field(default_factory=dict)  # by system, where not this one


@dataclass
class Measured:
    """One system on one workload."""

    system: str
    version: str = ""
    first: float | None = None  # seconds from definition to first result, cold caches
    warm: float | None = None  # the same in a new process, with what the first one kept
    apart: float | None = None  # the largest relative difference from the reference
    times: dict[str, list[float]] = field(default_factory=dict)  # by way of calling: seconds of a call
    problem: str = ""
    plan: str = ""

    def median(self, way: str = "") -> float | None:
        return float(np.median(self.times[way])) if self.times.get(way) else None


class Result(NamedTuple):
    """What all systems did on one workload."""

    workload: Workload
    sizes: Mapping[str, int]
    found: list[Measured]


class Child:
    """The process of one system; `ask` waits for its answer."""

    def __init__(self, python: str, system: str, workload: str, sizes: dict[str, int], folder: Path) -> None:
        self.log = folder / f"{system}.log"
        command = [python, str(WORKER), system, workload, json.dumps(sizes)]
        pipe = subprocess.PIPE
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                command, stdin=pipe, stdout=pipe, stderr=log, text=True, env=environment(system, folder)
            )
        self.hello = self._answer()

    def ask(self, do: str, **request: Any) -> dict[str, Any]:
        assert self.process.stdin
        print(json.dumps({"do": do} | request), file=self.process.stdin, flush=True)
        return self._answer()

    def _answer(self) -> dict[str, Any]:
        assert self.process.stdout
        line = self.process.stdout.readline()
        if line:
            found: dict[str, Any] = json.loads(line)
            return found
        said = self.log.read_text(errors="replace").strip().splitlines()
        return {"failed": f"its process ended ({said[-1] if said else 'no message'})"}

    def close(self) -> None:
        assert self.process.stdin
        assert self.process.stdout
        self.process.stdin.close()
        self.process.wait()
        self.process.stdout.close()


class Comparison:
    """All systems on one workload."""

    def __init__(self, workload: Workload, systems: list[str], given: Settings) -> None:
        self.workload, self.given = workload, given
        self.sizes = dict(workload.tiny if given.tiny else workload.sizes)
        self.found = {name: Measured(name) for name in systems}
        self.children: dict[str, Child] = {}

    def run(self) -> list[Measured]:
        with tempfile.TemporaryDirectory(prefix="symgrad-bench-") as name:
            folder = Path(name)
            try:
                for system in self.found:
                    self.start(system, folder)
                self.check(folder)
                self.time()
            finally:
                for child in self.children.values():
                    child.close()
        return list(self.found.values())

    def start(self, system: str, folder: Path) -> None:
        """Start a system with cold caches and build; symgrad once more, with the cache that it left."""
        measured, warm = self.found[system], system == "symgrad"
        for outputs in ("", str(folder / f"{system}.npz")) if warm else (str(folder / f"{system}.npz"),):
            print(f"{self.workload.name}: {system} ...", file=sys.stderr)
            child = Child(self.python(system), system, self.workload.name, self.sizes, folder)
            answer = child.hello
            if "version" in answer:
                measured.version = answer["version"]
                answer = child.ask("build", outputs=outputs)
            if "seconds" not in answer:
                child.close()
                self.drop(system, answer)
                return
            if measured.first is None:
                measured.first = answer["seconds"]
            else:
                measured.warm = answer["seconds"]
            if not outputs:
                child.close()
        self.children[system] = child
        if self.given.plan:
            measured.plan = child.ask("plan")["plan"]

    def drop(self, system: str, answer: dict[str, Any]) -> None:
        missing = answer.get("missing")
        problem = f"not installed ({missing})" if missing else f"failed: {answer.get('failed')}"
        self.found[system].problem = problem
        print(f"{self.workload.name}: {system} {problem}", file=sys.stderr)

    def python(self, system: str) -> str:
        return self.given.pythons.get(system, sys.executable)

    def check(self, folder: Path) -> None:
        """Compare all results with the reference; a system that is wrong is not timed."""
        reference = self.workload.reference(self.workload.data(self.sizes))
        for system in [s for s in self.children if s not in YARDSTICKS]:
            with np.load(folder / f"{system}.npz") as kept:
                arrays = [kept[f"r{i}"] for i in range(len(kept.files))]
            found = differences(self.workload.outputs, arrays, reference)
            self.found[system].apart = max(d.relative for d in found)
            wrong = [d for d in found if not d.passes]
            if wrong:
                self.drop(system, {"failed": f"wrong by {wrong[0].relative:.1e} in {wrong[0].output}"})
                self.children.pop(system).close()

    def time(self) -> None:
        """Turns of all systems, each round beginning with another one."""
        turns = [(system, way) for system in self.children for way in SYSTEMS[system].ways]
        if self.workload.small_call:
            turns = [(system, way) for system, way in turns if not way]
        for i in range(self.given.rounds):
            k = i % len(turns)
            for system, way in [*turns[k:], *turns[:k]]:
                if system not in self.children:
                    continue
                answer = self.children[system].ask("time", way=way, seconds=self.given.seconds)
                if "times" in answer:
                    self.found[system].times.setdefault(way, []).extend(answer["times"])
                else:
                    self.drop(system, answer)
                    self.children.pop(system).close()
