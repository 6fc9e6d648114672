"""Where the time of a call goes: `f.profile(...)`, as rows, as a table, as a plot."""

from __future__ import annotations

import importlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy

from symgrad.errors import CompileError, InputError
from symgrad_compiler.backends.limits import Limits
from symgrad_compiler.backends.measure import Measured, Piece

#: The columns that rows can be sorted by.
ORDERS = ("step", "time")
#: The widest text of a step in the table.
WIDEST = 60


@dataclass(frozen=True)
class Row:
    """One step of a plan, or a statement in NumPy; or a step inside a loop over rows, a part of its time."""

    #: Its number in `plan()`; "3.1" is step 1 inside the loop that is step 3.
    step: str
    what: str
    #: Seconds, the median over the runs.
    time: float
    #: Of the time of a call.
    share: float
    #: Operations on elements as `plan()` counts them: an elementary function is one.
    flops: int
    #: Bytes that are read and written, each memory once.
    bytes: int
    #: "memory" or "arithmetic", whatever would take longer at the machine's measured limits ("" for neither);
    #: and that as a part of the time. Elementary functions count as the arithmetic that they are made of.
    limit: str
    of_limit: float
    is_part: bool

    @property
    def gflops(self) -> float:
        """1e9 operations a second."""
        return self.flops / self.time / 1e9 if self.time else 0.0

    @property
    def gbytes(self) -> float:
        """1e9 bytes a second."""
        return self.bytes / self.time / 1e9 if self.time else 0.0


@dataclass(frozen=True)
class Profile:
    """What `Function.profile` measured; as text, a table."""

    name: str
    backend: str
    #: How many calls.
    repeat: int
    rows: tuple[Row, ...]
    #: Seconds of a whole call, the median; and of it what is in no row.
    total: float
    rest: float
    #: The limits of the machine, those of one thread first.
    limits: tuple[Limits, ...]

    def __str__(self) -> str:
        return self.table()

    def table(self, order: str = "step") -> str:
        """The table, in the order of the steps, or the longest first (`order="time"`).

        Raises:
            InputError: for another order.
        """
        if order not in ORDERS:
            raise InputError(f"there is no order {order!r}", facts=[("available", ", ".join(ORDERS))])
        rows = self.rows if order == "step" else sorted(self.rows, key=lambda r: -r.time)
        head = ("step", "what", "time", "share", "flops", "GFLOP/s", "bytes", "GB/s", "of the limit by")
        lines = [head, *[_cells(r) for r in rows]]
        rest = (_microseconds(self.rest), _percent(self.rest / self.total))
        lines.append(("", "not in steps", *rest, *[""] * 5))
        widths = [max(len(line[i]) for line in lines) for i in range(len(head))]
        text = [
            f"{self.name}, {self.backend}: {_microseconds(self.total)} a call, the median of {self.repeat}",
            *[_line(line, widths) for line in lines],
        ]
        for each in self.limits:
            threads = "1 thread" if each.threads == 1 else f"{each.threads} threads"
            text.append(
                f"limits of {threads}: {each.bandwidth:.1f} GB/s, {each.peak64:.0f} GFLOP/s of float64, "
                f"{each.peak32:.0f} of float32"
            )
        return "\n".join(text)

    def plot(self, path: str | None = None) -> Any:
        """The times as bars; and beside them the roofline: each step's operations a second over its
        operations a byte, under what the machine can do at most. Written to `path` if there is one.

        Returns:
            The `matplotlib.figure.Figure`.

        Raises:
            CompileError: without matplotlib.
        """
        try:
            figures = importlib.import_module("matplotlib.figure")
        except ImportError as error:
            raise CompileError(
                "a plot of a profile needs matplotlib", hint='pip install "symgrad[plot]"'
            ) from error
        height = max(3.0, 1.2 + 0.32 * len(self.rows))
        figure = figures.Figure(figsize=(12, height), layout="constrained")
        bars, roof = figure.subplots(1, 2, width_ratios=(3, 2))
        self._bars(bars)
        self._roofline(roof)
        if path is not None:
            figure.savefig(path)
        return figure

    def _bars(self, axes: Any) -> None:
        rows = self.rows[::-1]
        colours = {"memory": "tab:blue", "arithmetic": "tab:orange", "": "tab:gray"}
        labels = [f"{r.step}  {_short(r.what, 40)}" for r in rows]
        places = range(len(rows))
        drawn = axes.barh(
            places,
            [r.time * 1e6 for r in rows],
            color=[colours[r.limit] for r in rows],
            alpha=0.9,
            height=0.7,
        )
        for bar, row in zip(drawn, rows, strict=True):
            if row.is_part:
                bar.set_alpha(0.45)
        axes.set_yticks(places, labels, fontsize=8)
        axes.bar_label(drawn, [f" {_percent(r.share)}" for r in rows], fontsize=8)
        axes.margins(x=0.12)
        axes.set_xlabel("microseconds; blue: memory limits, orange: arithmetic")
        axes.set_title(f"{self.name}: {_microseconds(self.total)} a call")

    def _roofline(self, axes: Any) -> None:
        points = [r for r in self.rows if r.flops and r.bytes and r.time]
        reach = [r.flops / r.bytes for r in points] or [1.0]
        low, high = min(reach) / 4, max(*reach, 64.0) * 4
        for each in self.limits:
            for peak, style, dtype in ((each.peak64, "-", "float64"), (each.peak32, "--", "float32")):
                over = sorted((low, peak / each.bandwidth, high))
                most = [min(peak, x * each.bandwidth) for x in over]
                axes.plot(over, most, style, label=f"{each.threads} thread(s), {dtype}")
        for row in points:
            at = (row.flops / row.bytes, row.gflops)
            axes.plot(*at, "o", color="black", markersize=3 + 9 * row.share**0.5)
            axes.annotate(row.step, at, fontsize=8, xytext=(4, 4), textcoords="offset points")
        axes.set_xscale("log")
        axes.set_yscale("log")
        axes.set_xlabel("operations a byte")
        axes.set_ylabel("GFLOP/s")
        axes.legend(fontsize=8)
        axes.set_title("roofline")


def profile_of(name: str, measured: Measured) -> Profile:
    """The medians of what was measured, beside the limits."""
    total = _median(measured.calls) / 1e9
    medians = [_median(run[i] for run in measured.times) / 1e9 for i in range(len(measured.pieces))]
    times = _parts_within(measured.pieces, medians)
    rows = [_row(piece, time, total) for piece, time in zip(measured.pieces, times, strict=True)]
    inside = _median(
        call - sum(t for t, p in zip(run, measured.pieces, strict=True) if not p.is_part)
        for call, run in zip(measured.calls, measured.times, strict=True)
    )
    limits = {p.limits.threads: p.limits for p in measured.pieces}
    return Profile(
        name=name,
        backend=measured.backend,
        repeat=len(measured.calls),
        rows=tuple(rows),
        total=total,
        rest=inside / 1e9,
        limits=tuple(limits[k] for k in sorted(limits)),
    )


def _parts_within(pieces: Sequence[Piece], medians: Sequence[float]) -> list[float]:
    """The times, where the parts of a loop take no longer than it does: they do not in a run, but medians of
    parts that were held up in different runs may add up to more."""
    times = list(medians)
    for start, piece in enumerate(pieces):
        if piece.is_part:
            continue
        end = start + 1
        while end < len(pieces) and pieces[end].is_part:
            end += 1
        taken = sum(medians[start + 1 : end])
        if taken > medians[start]:
            times[start + 1 : end] = [t * medians[start] / taken for t in medians[start + 1 : end]]
    return times


def _row(piece: Piece, seconds: float, total: float) -> Row:
    in_memory = piece.bytes / piece.limits.bandwidth / 1e9
    in_arithmetic = 2 * piece.operations / piece.limits.peak64 / 1e9
    longest = max(in_memory, in_arithmetic)
    limit = "" if not longest else "memory" if in_memory >= in_arithmetic else "arithmetic"
    return Row(
        step=piece.number,
        what=piece.what,
        time=seconds,
        share=seconds / total if total else 0.0,
        flops=piece.flops,
        bytes=piece.bytes,
        limit=limit,
        of_limit=longest / seconds if seconds else 0.0,
        is_part=piece.is_part,
    )


# ---- text ---------------------------------------------------------------------------------------------


def _cells(row: Row) -> tuple[str, ...]:
    indent = "  " if row.is_part else ""
    return (
        indent + row.step,
        indent + _short(row.what, WIDEST),
        _microseconds(row.time),
        _percent(row.share),
        _number(row.flops),
        f"{row.gflops:.1f}" if row.flops else "",
        _number(row.bytes),
        f"{row.gbytes:.1f}" if row.bytes else "",
        f"{_percent(row.of_limit)} {row.limit}" if row.limit else "",
    )


def _line(cells: Sequence[str], widths: Sequence[int]) -> str:
    """Texts to the left, numbers to the right."""
    placed = [
        text.ljust(width) if i in _TEXTS else text.rjust(width)
        for i, (text, width) in enumerate(zip(cells, widths, strict=True))
    ]
    return "  ".join(placed).rstrip()


_TEXTS = (0, 1, 8)


def _short(text: str, width: int) -> str:
    return text if len(text) <= width else f"{text[: width - 3]}..."


def _microseconds(seconds: float) -> str:
    return f"{seconds * 1e6:,.1f} us"


def _percent(share: float) -> str:
    return f"{100 * share:.0f}%"


def _number(value: int) -> str:
    """Three digits and a unit of a thousand.

    >>> _number(950), _number(41_200_000)
    ('950', '41.2M')
    """
    size = float(value)
    for unit in ("", "k", "M", "G"):
        if size < 999.5:
            return f"{size:.3g}{unit}"
        size /= 1000
    return f"{size:.3g}T"


def _median(values: Iterable[float]) -> float:
    return float(numpy.median(list(values)))


def check_repeat(repeat: Any) -> int:
    """A number of runs, at least one."""
    if isinstance(repeat, bool) or not isinstance(repeat, int) or repeat < 1:
        raise InputError("repeat is a number of runs, at least 1", facts=[("got", repr(repeat))])
    return repeat
