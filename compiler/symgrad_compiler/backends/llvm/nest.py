"""What the loop nest of a kernel is, before any code: its axes and streams, the order of its loops, which one
runs in vectors of how many lanes, and in which loop each value is known.
"""

from __future__ import annotations

from collections import Counter

from symgrad.ir.tensor import Node, Tensor
from symgrad.ops.arithmetic import divide, reciprocal, sqrt
from symgrad_compiler.backends.llvm import transposes
from symgrad_compiler.backends.llvm.axes import Stream, Streams, merge
from symgrad_compiler.backends.llvm.ir import BITS
from symgrad_compiler.backends.llvm.scalars import Machine, kind_of
from symgrad_compiler.plan.cost import functions_of, is_costly
from symgrad_compiler.plan.steps import IOTA, Access, Kernel, Number

#: How many vectors are run side by side; half as many on machines that have 16 registers instead of 32, and a
#: quarter there in kernels beyond this weight.
MOST_VECTORS = 4
MODERATE = 60
#: Functions that are look-ups in registers for the most part. Where they are a third of a kernel's, two
#: vectors side by side keep the processor busy, and more would only need registers.
BY_TABLES = frozenset({"erf", "erfc", "ndtr", "gelu", "gelu_derivative"})
#: The masked end behind the main loop has vectors as wide in kernels up to this weight, else of one register.
LIGHT = 120
#: For so many turns, a loop in narrower vectors that has no end is worth its shorter code; and so is a masked
#: loop alone in kernels beyond MODERATE.
FEW = 4


class Nest:
    """The decisions for a kernel on a machine.

    `order` are the axes from the outermost loop in; `depths` tell, for each value, inside how many loops it
    is known.
    """

    def __init__(self, kernel: Kernel, machine: Machine) -> None:
        self.kernel = kernel
        self.machine = machine
        self._collect()
        self._order()
        self._choose_lanes()
        self.across = self._read_across()
        self.depths = self._depths()
        self._by_depth()
        self.shared_divisors = self._shared_divisors()

    @property
    def outermost(self) -> int:
        """The axis of the outermost loop."""
        return 0 if self.across is not None else self.order[0]

    @property
    def kept(self) -> list[int]:
        """The axes that are not reduced."""
        return [a for a in self.order if not self.axes[a].reduced]

    # ---- axes and vectors ---------------------------------------------------------------------------

    def position_kind(self) -> str:
        """What positions along the reduced axis are counted in."""
        extents = [a.extent for a in self.axes if a.reduced]
        short = all(isinstance(e, int) and e < 2**31 for e in extents)
        narrow = all(BITS[kind_of(r.value.dtype)] <= 32 for r in self.kernel.reductions)
        return "i32" if short and narrow else "i64"

    def truth_kind(self) -> str:
        """What truth values are reduced as."""
        as_bytes = self.lanes >= self.machine.vector_bytes and not self.machine.has_avx512
        return "u8" if as_bytes else "i1"

    def _collect(self) -> None:
        """The streams, over merged axes."""
        kernel = self.kernel
        found = Streams.of(kernel)
        self.axes, groups = merge(
            kernel.space, found.reduced, [strides for _, strides, _ in found.layouts], self._positional()
        )
        streams = [
            Stream(storage, tuple(strides[g] for g in groups), offset)
            for storage, strides, offset in found.layouts
        ]
        self.streams = streams
        self.source_streams = {t: streams[i] for t, i in found.sources.items()}
        self.gather_streams = {
            t: (streams[a], [streams[i] for i in b]) for t, (a, b) in found.gathers.items()
        }
        self.scatter_streams = [(streams[a], [streams[i] for i in b]) for a, b in found.scatters]
        self.store_streams = [streams[i] for i in found.stores]
        self.result_streams = [streams[i] for i in found.results]
        self.lost_streams = {r: streams[i] for r, i in found.lost.items()}

    def _positional(self) -> bool:
        return any(r.kind.startswith("arg") for r in self.kernel.reductions)

    def _order(self) -> None:
        """The loops from outside in, and which of them runs in vectors."""
        count = len(self.axes)
        reduced = [i for i, a in enumerate(self.axes) if a.reduced]
        kept = [i for i, a in enumerate(self.axes) if not a.reduced]
        self.columns = bool(reduced) and bool(kept) and kept[-1] == count - 1
        self.order = [*kept, *reduced] if reduced else kept
        self.vector_axis = count - 1 if count else -1
        self.position = {axis: i for i, axis in enumerate(self.order)}

    def _choose_lanes(self) -> None:
        kernel = self.kernel
        kinds = {s.kind for s in self.streams if s.storage.kind != IOTA}
        for node in kernel.nodes:
            kinds |= {kind_of(t.dtype) for t in (*node.inputs, *node.outputs)}
        alone = (
            self.vector_axis < 0
            or bool(kinds & {"c64", "c128"})
            or any(
                base.strides[self.vector_axis] != 1 or any(i.strides[self.vector_axis] != 0 for i in indices)
                for base, indices in self.scatter_streams
            )
        )
        floats = kinds & {"f32", "f64"}
        widest = max((BITS[k] // 8 or 1 for k in (floats or kinds)), default=8)
        self.register_lanes = 1 if alone else max(2, self.machine.vector_bytes // widest)
        self.lanes = 1 if alone else self._wide(self.register_lanes)

    def _wide(self, lanes: int) -> int:
        """Several vectors side by side, so that their chains of operations overlap: not more than the axis is
        long, and fewer where one needs many registers."""
        extent = self.axes[self.vector_axis].extent
        times = MOST_VECTORS
        if self.machine.has_avx2:
            times //= 2
        elif not self.machine.has_avx512:
            times //= 2 if self.kernel.weight <= MODERATE else 4
        elif self._looks_up():
            times //= 2
        if isinstance(extent, int):
            while times > 1 and lanes * times > extent:
                times //= 2
            if extent <= FEW * lanes * times and extent % lanes == 0:
                while extent % (lanes * times):
                    times //= 2
        return lanes * times

    def _looks_up(self) -> bool:
        costly = [functions_of(n.op) for n in self.kernel.nodes if is_costly(n.op)]
        tables = sum(not used.isdisjoint(BY_TABLES) for used in costly)
        return 3 * tables >= len(costly) > 0

    def _read_across(self) -> transposes.Across | None:
        """What is turned in blocks of its axis, which is then the innermost loop, see `transposes.py`."""
        kernel = self.kernel
        if self.lanes == 1 or kernel.reductions or kernel.scatters or kernel.gathers:
            return None
        extent = self.axes[self.vector_axis].extent
        lanes = self.lanes
        if isinstance(extent, int):  # a short vector that it fills
            lanes = min(lanes, max(2, 1 << (extent - 1).bit_length()))
        least = transposes.LEAST if self.machine.has_masks else lanes  # elements left over are scalars
        found = transposes.read_across(
            self.axes, self.source_streams.values(), self.vector_axis, lanes, least
        )
        if found is not None:
            self.lanes, self.register_lanes = lanes, min(lanes, self.register_lanes)
            self.order = [*(a for a in self.order if a != found.axis), found.axis]
            self.position = {axis: i for i, axis in enumerate(self.order)}
        return found

    # ---- values -------------------------------------------------------------------------------------

    def _by_depth(self) -> None:
        """What is loaded, computed and stored at which depth."""
        kernel, innermost = self.kernel, len(self.order)
        self.sources_at: list[list[Tensor]] = [[] for _ in range(innermost + 1)]
        self.nodes_at: list[list[Node]] = [[] for _ in range(innermost + 1)]
        for tensor in kernel.sources:
            self.sources_at[self.depths[tensor]].append(tensor)
        for node in kernel.nodes:
            self.nodes_at[self.depths[node.outputs[0]]].append(node)
        self.stores_of: dict[Tensor, list[Stream]] = {}
        for (tensor, _), stream in zip(kernel.stores, self.store_streams, strict=True):
            self.stores_of.setdefault(tensor, []).append(stream)
        early = {n.outputs[0] for n in self.nodes_at[innermost]}
        self.late_stores = [t for t in self.stores_of if t not in early]

    def _shared_divisors(self) -> set[Tensor]:
        """What several quotients divide by: one reciprocal then serves all."""
        if not self.machine.has_fma or self.lanes == 1:
            return set()
        numbers = {t for t, s in self.kernel.sources.items() if isinstance(s, Number)}
        nodes = [n for n in self.kernel.nodes if n.op in (divide, reciprocal)]
        nodes = [n for n in nodes if n.inputs[-1] not in numbers]
        count = Counter(n.inputs[-1] for n in nodes)
        if self.divides_much(len(count)):
            return set(count)
        if self.machine.divides_quickly and not self._waits(len(nodes)):
            return set()
        return {t for t, k in count.items() if k > 1}

    def divides_much(self, divisors: int) -> bool:
        """Whether the divider would hold up everything else, if it has so many divisors, and there are
        estimates of reciprocals."""
        if self.machine.divides_quickly or not self.machine.has_avx512:
            return False
        return self.kernel.weight > LIGHT or self._waits(divisors)

    def _waits(self, divisions: int) -> bool:
        """Whether so many divisions take longer than all that can be done meanwhile."""
        roots = sum(n.op is sqrt for n in self.kernel.nodes)
        return self.machine.division * divisions + self.machine.root * roots > self.kernel.weight

    def _depths(self) -> dict[Tensor, int]:
        """The number of loops inside which a value is known."""
        depths: dict[Tensor, int] = {}
        for tensor, stream in self.source_streams.items():
            depths[tensor] = self._depth(stream)
        for tensor, source in self.kernel.sources.items():
            if not isinstance(source, Access):
                depths[tensor] = 0
        for node in self.kernel.nodes:
            out = node.outputs[0]
            if out in self.gather_streams:
                base, indices = self.gather_streams[out]
                depths[out] = max(map(self._depth, (base, *indices)))
            else:
                depths[out] = max((depths[t] for t in node.inputs), default=0)
        return depths

    def _depth(self, stream: Stream) -> int:
        return max((self.position[a] + 1 for a, s in enumerate(stream.strides) if s != 0), default=0)
