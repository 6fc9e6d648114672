"""The tables and the chart of what was measured."""

from __future__ import annotations

import importlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from benchmarks.compare import Measured, Result
from benchmarks.systems import YARDSTICKS

#: What symgrad's ways of being called are named in tables.
WAYS = {"": "symgrad", "into": "symgrad, f.into"}
#: What the chart shows, in this order.
COLOURS = {
    "symgrad, f.into": "#20639b",
    "numpy": "#8d8d8d",
    "jax": "#5f8f3e",
    "torch": "#e8b07a",
    "torch.compile": "#d9731a",
    "pytensor": "#7b4b94",
    "pytensor-c": "#b9a0c8",
}


def table(rows: Sequence[Sequence[str]]) -> str:
    """Columns of equal width, the first to the left, the others to the right."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = []
    for first, *others in rows:
        cells = [cell.rjust(width) for cell, width in zip(others, widths[1:], strict=True)]
        lines.append("  ".join([first.ljust(widths[0]), *cells]).rstrip())
    return "\n".join(lines)


def duration(seconds: float | None) -> str:
    """Three digits, in the unit that suits."""
    if seconds is None:
        return "-"
    for unit, size in (("s", 1.0), ("ms", 1e-3), ("us", 1e-6)):
        if seconds >= size:
            return f"{seconds / size:.3g} {unit}"
    return f"{seconds * 1e9:.0f} ns"


def rows(result: Result) -> list[tuple[str, Measured, float]]:
    """Name, system and median seconds of a call; of all that were timed, symgrad's ways each for itself."""
    return [
        (WAYS[way] if m.system == "symgrad" else m.system, m, seconds)
        for m in result.found
        for way in m.times
        if (seconds := m.median(way)) is not None
    ]


def peers(result: Result) -> dict[str, float]:
    """Median seconds by peer, the fastest first."""
    found = {name: s for name, m, s in rows(result) if m.system not in ("symgrad", *YARDSTICKS)}
    return dict(sorted(found.items(), key=lambda item: item[1]))


def limits(machine: Mapping[str, Any]) -> str:
    return (
        f"{machine['cores']} cores of {machine['processor']}, at this moment, all cores: copy "
        f"{machine['copy GB/s']:.1f} GB/s (read and written), float32 multiply-adds "
        f"{machine['float32 GFLOP/s']:.0f} GFLOP/s"
    )


def details(result: Result) -> str:
    """One workload: a row for each system."""
    workload, sizes, found = result
    head = ["", "a call", "to fastest peer", "first result", "warm", "off by"]
    moved = workload.moved(**sizes) if workload.moved else None
    flops = workload.flops(**sizes) if workload.flops else None
    head += ["GB/s"] * (moved is not None) + ["GFLOP/s"] * (flops is not None)
    fastest = next(iter(peers(result).values()), None)
    lines = [head]
    for name, m, seconds in rows(result):
        is_first = m.system != "symgrad" or name == WAYS[""]
        line = [name, duration(seconds), "-" if fastest is None else f"{seconds / fastest:.2f}"]
        line += [duration(m.first), duration(m.warm)] if is_first and m.system not in YARDSTICKS else ["", ""]
        line.append("" if m.apart is None or not is_first else f"{m.apart:.0e}")
        amount_moved = workload.read(**sizes) if workload.read and m.system == "read" else moved
        rates = (amount_moved, 0 if flops is not None and m.system in YARDSTICKS else flops)
        line += [f"{amount / seconds / 1e9:.1f}" for amount in rates if amount is not None]
        lines.append(line)
    missing = [f"{m.system}: {m.problem}" for m in found if m.problem]
    versions = ", ".join(f"{m.system} {m.version}" for m in found if m.version and m.system not in YARDSTICKS)
    return "\n".join([f"{workload.name}: {workload.title}", table(lines), *missing, versions])


def summary(results: Sequence[Result]) -> str:
    """One row for each workload: how many times as fast as the fastest peer, and the first results."""
    head = [
        "",
        "symgrad",
        "f.into",
        "fastest peer",
        "",
        "times as fast",
        "f.into",
        "into / copy",
        "into / read",
    ]
    head += ["first", "jax first", "jax / symgrad", "warm"]
    lines = [head]
    for result in results:
        by_name = {name: seconds for name, _, seconds in rows(result)}
        systems = {m.system: m for m in result.found}
        fresh, into = by_name.get(WAYS[""]), by_name.get(WAYS["into"])
        peer, best = next(iter(peers(result).items()), ("none", None))
        jax = systems["jax"].first if "jax" in systems else None
        first = systems["symgrad"].first
        lines.append(
            [
                result.workload.name,
                duration(fresh),
                duration(into),
                duration(best),
                peer,
                quotient(best, fresh),
                quotient(best, into),
                quotient(into, by_name.get("copy")),
                quotient(into, by_name.get("read")),
                duration(first),
                duration(jax),
                quotient(jax, first),
                duration(systems["symgrad"].warm),
            ]
        )
    return table(lines)


def quotient(a: float | None, b: float | None) -> str:
    return "-" if a is None or b is None else f"{a / b:.2f}"


def write(folder: Path, machine: Mapping[str, Any], results: Sequence[Result]) -> None:
    """summary.txt, details.txt, results.json (all timings) and benchmarks.png in the folder."""
    folder.mkdir(parents=True, exist_ok=True)
    kept = {r.workload.name: {"sizes": dict(r.sizes), "systems": [*map(asdict, r.found)]} for r in results}
    texts = {
        "summary.txt": f"{limits(machine)}\n\n{summary(results)}",
        "details.txt": "\n\n".join([limits(machine), *map(details, results)]),
        "results.json": json.dumps({"machine": machine, "workloads": kept}),
    }
    for name, text in texts.items():
        (folder / name).write_text(text + "\n", encoding="utf-8")
    chart(results, folder / "benchmarks.png")


def chart(results: Sequence[Result], path: Path) -> None:
    """Bars to the right of 1: so many times as long as symgrad's call; to the left: shorter."""
    pyplot = importlib.import_module("matplotlib.pyplot")
    shown = [
        (
            result.workload.name,
            {name: seconds for name, m, seconds in rows(result) if m.system not in YARDSTICKS},
        )
        for result in results
    ]
    shown = [(name, times) for name, times in shown if WAYS[""] in times]
    names = [name for name in COLOURS if any(name in times for _, times in shown)]
    if not names:
        return
    height = 0.84 / len(names)
    figure, axes = pyplot.subplots(figsize=(9, 1 + 1.1 * len(shown)), layout="constrained")
    for i, name in enumerate(names):
        found = [(k, times[name] / times[WAYS[""]]) for k, (_, times) in enumerate(shown) if name in times]
        places = [k + (i + 0.5) * height - 0.42 for k, _ in found]
        lengths = [ratio - 1 for _, ratio in found]
        axes.barh(places, lengths, height, left=1, label=name, color=COLOURS[name])
        for place, (_, ratio) in zip(places, found, strict=True):
            text = f" {ratio:.0f}" if ratio >= 10 else f" {ratio:.2g}"
            axes.text(max(ratio, 1), place, text, fontsize=6, verticalalignment="center")
    axes.axvline(1, color="black", linewidth=0.8)
    axes.set_xscale("log")
    axes.margins(x=0.08)
    axes.set_yticks(range(len(shown)), [name for name, _ in shown])
    axes.invert_yaxis()
    axes.set_xlabel("time of a call, in those of symgrad with fresh results")
    axes.legend(fontsize=7, ncols=4, loc="lower center", bbox_to_anchor=(0.5, 1))
    figure.savefig(path, dpi=150)
    pyplot.close(figure)
