"""symgrad beside its peers: the table and the chart of `make bench`.

    python benchmarks/run.py                          every workload, every system that is installed
    python benchmarks/run.py scalar black-scholes     some workloads
    python benchmarks/run.py --peers jax torch        some peers
    python benchmarks/run.py --quick                  fewer, shorter turns
    python benchmarks/run.py --plan                   symgrad's plans as well
    python benchmarks/run.py --python pytensor=/path/to/python    a peer in an environment of its own

How it measures is told in docs/benchmarks.md.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1]))

from benchmarks import report
from benchmarks.compare import Comparison, Result, Settings
from benchmarks.systems import SYSTEMS, YARDSTICKS
from benchmarks.workloads import WORKLOADS

HERE = Path(__file__).parent
PEERS = [name for name in SYSTEMS if name not in ("symgrad", *YARDSTICKS)]


def machine() -> dict[str, Any]:
    """The limits of the machine; in a process of its own, so that its threads are gone afterwards."""
    command = [sys.executable, str(HERE / "machine.py")]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def pythons(pairs: list[str]) -> dict[str, str]:
    """Interpreters by system, of SYSTEM=PATH; `peers` stands for all that have none of their own."""
    found = dict(pair.split("=", 1) for pair in pairs)
    unknown = found.keys() - SYSTEMS.keys() - {"peers"}
    if unknown:
        raise SystemExit(f"--python: there is no system {', '.join(sorted(unknown))}")
    if "peers" in found:
        found = dict.fromkeys((p for p in PEERS if p != "numpy"), found.pop("peers")) | found
    return found


def arguments() -> argparse.Namespace:
    options = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    options.add_argument("workloads", nargs="*", metavar="workload", help=", ".join(WORKLOADS))
    options.add_argument("--peers", nargs="*", choices=PEERS, default=PEERS, help="default: all")
    options.add_argument("--output", type=Path, default=HERE / "results", help="folder for the results")
    options.add_argument("--python", nargs="*", default=[], metavar="SYSTEM=PATH", help="interpreters")
    options.add_argument("--rounds", type=int, default=9, help="turns of each system (default 9)")
    options.add_argument("--seconds", type=float, default=0.3, help="of a turn (default 0.3)")
    options.add_argument("--quick", action="store_true", help="3 rounds of 0.1 seconds")
    options.add_argument("--tiny", action="store_true", help="the sizes of the tests: figures mean nothing")
    options.add_argument("--plan", action="store_true", help="print symgrad's plans")
    given = options.parse_args()
    for name in given.workloads:
        if name not in WORKLOADS:
            options.error(f"there is no workload {name!r}; there are {', '.join(WORKLOADS)}")
    if given.quick:
        given.rounds, given.seconds = 3, 0.1
    given.python = pythons(given.python)
    return given


def main() -> None:
    given = arguments()
    os.environ.pop("SYMGRAD_VALIDATE", None)  # it would time the tests' checks
    settings = Settings(given.rounds, given.seconds, given.tiny, given.plan, given.python)
    limits = machine()
    print(report.limits(limits), flush=True)
    results: list[Result] = []
    for name in given.workloads or WORKLOADS:
        workload = WORKLOADS[name]
        systems = ["symgrad", *(p for p in given.peers if SYSTEMS[p].version in workload.versions)]
        systems += [
            name for name, bound in zip(YARDSTICKS, (workload.moved, workload.read), strict=True) if bound
        ]
        comparison = Comparison(workload, systems, settings)
        results.append(Result(workload, comparison.sizes, comparison.run()))
        print("\n" + report.details(results[-1]), flush=True)
        for m in results[-1].found:
            if m.plan:
                print("\n" + m.plan)
    print("\n" + report.summary(results))
    report.write(given.output, limits, results)


if __name__ == "__main__":
    main()
