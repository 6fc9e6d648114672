"""Which tiles the gradient for the weights is cut into, and which blocks of images they go through.

Rows of a tile are taps and channels, each a place of x; columns are features, read from g where they are.
What is summed over (images, places) is cut into blocks that stay in the second cache while all tiles of a
task go through them.
"""

from __future__ import annotations

import itertools
import math

from symgrad.lazy import cached_property
from symgrad_compiler.backends.llvm.convolve.cutting import Placed, byte_steps
from symgrad_compiler.backends.llvm.convolve.shapes import choose, heights
from symgrad_compiler.backends.llvm.convolve.tile import Loop, Segment, Tile
from symgrad_compiler.backends.llvm.scalars import Machine
from symgrad_compiler.plan.geometry import Convolution

#: Bytes of x and g in a block. With AVX2, tiles are small and go through it often, so that it should stay
#: near; but each block adds to the result, which is read and written then, up to so many bytes.
_BLOCK, _NEAR, _RESULT = 500_000, 100_000, 3_000_000
#: Channels from which rows of a tile are of one tap, where taps have edges of their own; rows side by side
#: from which tiles keep to them.
_MANY, _LONG = 8, 56


class Tiles:
    """The tiles of a convolution."""

    def __init__(self, convolution: Convolution, machine: Machine) -> None:
        self.c = c = convolution
        self.bytes = c.bytes
        self.groups = 1 if c.is_depthwise else c.groups
        self.channels = 1 if c.is_depthwise else c.channels // c.groups
        self.features = c.features // self.groups
        self.outer, self.last = c.axes[:-1], c.axes[-1]
        self.a_steps = byte_steps([a.size for a in c.axes], c.channels * self.bytes)
        self.b_steps = byte_steps([a.out for a in c.axes], c.features * self.bytes)
        counts = [(1, n) for n in self._rows_in_a_row()]
        self.width, self.most = choose(counts, self.features, c.kind, machine, c.is_depthwise)
        is_near = machine.has_avx2 and c.weights * self.bytes <= _RESULT
        self.block_bytes = _NEAR if is_near else _BLOCK

    @cached_property
    def is_inside(self) -> bool:
        """Whether rows of all taps meet the same places along the outer axes."""
        return all(a.is_inside for a in self.outer)

    @cached_property
    def outer_taps(self) -> tuple[int, ...]:
        """The taps along outer axes, where tiles keep to one of them."""
        return () if self.is_inside else tuple(a.taps for a in self.outer)

    @cached_property
    def rows(self) -> list[tuple[tuple[int, ...], int]]:
        """Taps and channel of each row, for one of the outer taps."""
        axes = self.c.axes if self.is_inside else (self.last,)
        taps = itertools.product(*[range(a.taps) for a in axes])
        return [(t, c) for t in taps for c in range(self.channels)]

    def _rows_in_a_row(self) -> list[int]:
        """How many rows tiles may be cut from, once for each such run: where there are enough of them, runs
        have no gaps, so that tiles are alike."""
        rows, side_by_side = len(self.rows), self.last.taps * self.channels
        if not self.last.is_inside:
            each = self.channels if self.channels >= _MANY else rows
        elif self.last.dilation > 1:
            each = self.channels if self.channels >= _LONG else rows
        else:
            each = side_by_side if side_by_side >= _LONG else rows
        return [each] * (rows // each)

    def tiles(self, columns: int) -> list[Placed]:
        """For one of the outer taps, and a panel of so many columns."""
        axes = self.c.axes if self.is_inside else (self.last,)
        steps = self.a_steps[len(self.c.axes) - len(axes) : len(self.c.axes)]
        found, start = [], 0
        for run in self._rows_in_a_row():
            for height in heights(run, self.most):
                rows = self.rows[start : start + height]
                a = [
                    sum(t * x.dilation * s for t, x, s in zip(taps, axes, steps, strict=True))
                    + channel * self.bytes
                    for taps, channel in rows
                ]
                each = self.c.features * self.bytes
                tile = Tile(
                    self.c.kind,
                    self.width.lanes,
                    self.width.vectors_of(columns),
                    tuple(p - a[0] for p in a),
                    tuple(i * each for i in range(height)),
                    columns,
                    self._segments([taps[-1] for taps, _ in rows]),
                    ((self.a_steps[-1], self.b_steps[-1]), *self._around),
                    may_add=True,
                    is_lanewise=self.c.is_depthwise,
                    reads_beyond=False,
                )
                found.append(Placed(tile, a[0], start * each))
                start += height
        return found

    @property
    def _around(self) -> list[tuple[int, int]]:
        """Steps from place to place along outer axes, in x and g."""
        return [(axis.stride * self.a_steps[i], self.b_steps[i]) for i, axis in enumerate(self.outer)]

    def _segments(self, taps: list[int]) -> tuple[Segment, ...]:
        """The places along the last axis, cut where rows begin and end to meet elements."""
        axis = self.last
        met = [axis.results_of(t) for t in taps]
        a_step, b_step = axis.stride * self.a_steps[len(self.outer)], self.b_steps[len(self.outer)]
        cuts = sorted({j for r in met for j in (r.start, r.stop)})
        found = []
        for low, high in itertools.pairwise(cuts):
            rows = tuple(i for i, r in enumerate(met) if r.start <= low < r.stop)
            if rows:
                loops = (Loop(high - low, a_step, b_step),)
                found.append(Segment(rows, loops, low * a_step, low * b_step))
        return tuple(found)

    # ---- blocks, chunks, tasks ----------------------------------------------------------------------

    @cached_property
    def all_tiles(self) -> int:
        """Of the result."""
        return self.each * math.prod(self.outer_taps) * self.panels

    @cached_property
    def each(self) -> int:
        """Tiles for one of the outer taps, of a panel."""
        return sum(len(heights(run, self.most)) for run in self._rows_in_a_row())

    @property
    def panels(self) -> int:
        """Of all groups."""
        return self.width.panels * self.groups

    @cached_property
    def block(self) -> tuple[int, int]:
        """Images and places along the first axis of a block."""
        parts, _ = self.c.cut
        of_g = -(-self.panels // parts) / self.panels
        image = max(1, int(self.a_steps[-1] + self.b_steps[-1] * of_g))
        if image <= self.block_bytes:
            return self.block_bytes // image, max(1, self.outer[0].out)
        places = max(1, self.outer[0].out)
        count = -(-image // self.block_bytes)
        return 1, -(-places // count)
