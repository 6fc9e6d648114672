"""What a convolution is: sizes along each spatial axis, and which of its elements meet.

    forward     out[n, i, o] = sum over t, c of x[n, i s + t d - low, c] w[t, c, o]
    input       d_x[n, h, c] = sum over i, t, o with h = i s + t d - low of g[n, i, o] w[t, c, o]
    weights     d_w[t, c, o] = sum over n, i of x[n, i s + t d - low, c] g[n, i, o]

with one i, t, s, d, low for each spatial axis; elements outside of x are not met. With groups, o of a group
meets the c of the same group only, and w has the c of one group.

The gradient for the input is a few convolutions of g with stride 1: one for each class of h modulo s, in
which each h meets the same taps.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator
from dataclasses import replace

from symgrad.records import record

#: Tasks of the gradient for the weights; images that a call is expected to have; bytes for the results of
#: chunks, at most.
_TASKS, _IMAGES, _CHUNKS = 32, 16, 2**23
#: Columns of a panel of weights, and lanes of a register, at most.
_PANEL, _LANES = 64, 16
FORWARD, INPUT, WEIGHTS = "forward", "input", "weights"


@record
class Axis:
    """Result i meets, by tap t, element i stride + t dilation - low of the operand."""

    size: int
    out: int
    taps: int
    stride: int = 1
    dilation: int = 1
    low: int = 0
    #: Where result i lies: at first + i step of an axis of `places`.
    places: int = -1
    first: int = 0
    step: int = 1
    #: Where tap t lies among the packed weights.
    first_tap: int = 0
    tap_step: int = 1

    def __post_init__(self) -> None:
        if self.places < 0:
            object.__setattr__(self, "places", self.out)

    def taps_of(self, i: int) -> range:
        """The taps by which result i meets elements that there are."""
        start = max(0, -(-(self.low - i * self.stride) // self.dilation))
        stop = (self.size - 1 + self.low - i * self.stride) // self.dilation + 1
        return range(start, max(start, min(stop, self.taps)))

    def results_of(self, t: int) -> range:
        """The results that meet elements that there are by tap t."""
        start = max(0, -((t * self.dilation - self.low) // self.stride))
        stop = (self.size - 1 + self.low - t * self.dilation) // self.stride + 1
        return range(start, max(start, min(stop, self.out)))

    @property
    def is_inside(self) -> bool:
        """Whether every result meets an element by every tap."""
        return all(len(self.results_of(t)) == self.out for t in range(self.taps))


@record
class Convolution:
    """One member of the family, on arrays without gaps, channels last."""

    what: str
    #: "f32" or "f64".
    kind: str
    #: Of x, of the weights and of the result of `forward`, along the spatial axes.
    sizes: tuple[int, ...]
    taps: tuple[int, ...]
    outs: tuple[int, ...]
    strides: tuple[int, ...]
    dilations: tuple[int, ...]
    #: Zeros before the first element.
    lows: tuple[int, ...]
    #: Of x, and of the result of `forward`; all groups together.
    channels: int
    features: int
    groups: int = 1

    @property
    def bytes(self) -> int:
        return int(self.kind[1:]) // 8

    @property
    def axes(self) -> tuple[Axis, ...]:
        """Of `forward`."""
        numbers = zip(self.sizes, self.outs, self.taps, self.strides, self.dilations, self.lows, strict=True)
        return tuple(Axis(*each) for each in numbers)

    @property
    def is_depthwise(self) -> bool:
        """Whether each channel is a group of its own."""
        return self.groups == self.channels == self.features and self.groups > 1

    @property
    def products(self) -> int:
        """Multiplications for an image, those with zeros around it left out."""
        total = self.channels * self.features // self.groups
        for axis in self.axes:
            total *= sum(len(axis.results_of(t)) for t in range(axis.taps))
        return total

    @property
    def work(self) -> int:
        """The simple operations for an image, as the thread pool counts: four multiplications each."""
        return max(1, self.products // 4)

    @property
    def weights(self) -> int:
        """How many there are."""
        return math.prod(self.taps) * self.channels // self.groups * self.features

    # ---- memory -------------------------------------------------------------------------------------

    @property
    def cut(self) -> tuple[int, int]:
        """How the gradient for the weights is shared: parts of the result, and chunks of the images. Each
        part reads all of x and g, each chunk writes a result of its own."""
        result = self.weights * self.bytes
        image = math.prod(self.sizes) * self.channels + math.prod(self.outs) * self.features
        parts = 1
        while parts < _TASKS and parts * parts * image * self.bytes * _IMAGES < 2 * _TASKS * result:
            parts *= 2
        return parts, max(1, min(_TASKS // parts, _CHUNKS // result))

    @property
    def room(self) -> int:
        """Bytes of memory beside operands and result: for the weights in panels, whose last one may be wide;
        or for the results of chunks."""
        if self.what == WEIGHTS:
            chunks = self.cut[1]
            return self.weights * self.bytes * chunks if chunks > 1 else 0
        columns = (self.features if self.what == FORWARD else self.channels) // self.groups
        wide = min(_PANEL, columns + _LANES)
        rows = self.weights // columns
        return (rows * (columns + wide) + wide) * self.bytes


def with_two_axes(convolution: Convolution) -> Convolution:
    """At least two spatial axes: the first ones have size 1."""
    missing = max(0, 2 - len(convolution.sizes))
    ones, zeros = (1,) * missing, (0,) * missing
    return replace(
        convolution,
        sizes=ones + convolution.sizes,
        taps=ones + convolution.taps,
        outs=ones + convolution.outs,
        strides=ones + convolution.strides,
        dilations=ones + convolution.dilations,
        lows=zeros + convolution.lows,
    )


def input_classes(axis: Axis) -> Iterator[Axis]:
    """The gradient for the input, along an axis: h = first + i step. Taps t with t d = h + low modulo s are
    met; they are a step of s / gcd(s, d) apart, and the elements of g that they meet d / gcd(s, d). So that
    elements rise with taps, these are counted from the last one, among weights packed from the last one."""
    s, d, low = axis.stride, axis.dilation, axis.low
    common = math.gcd(s, d)
    apart = s // common
    for first in range(min(s, axis.size)):
        count = -(-(axis.size - first) // s)
        met = [t for t in range(min(apart, axis.taps)) if (first + low - t * d) % s == 0]
        base = Axis(axis.out, count, 0, places=axis.size, first=first, step=s)
        if not met:
            yield base
            continue
        taps = list(range(met[0], axis.taps, apart))
        # h of i meets element i + (first + low - t d) / s of g
        lowest = (first + low - taps[-1] * d) // s
        yield replace(
            base,
            taps=len(taps),
            dilation=d // common,
            low=-lowest,
            first_tap=axis.taps - 1 - taps[-1],
            tap_step=apart,
        )


@record
class Correlation:
    """out[n, first + i step, o] = sum over t, c of a[n, i stride + t dilation - low, c] b[t, c, o], with the
    packed weights b; channels and features of one group."""

    kind: str
    axes: tuple[Axis, ...]
    taps: tuple[int, ...]
    channels: int
    features: int
    groups: int
    is_depthwise: bool

    @property
    def bytes(self) -> int:
        return int(self.kind[1:]) // 8


def correlations(convolution: Convolution) -> list[Correlation]:
    """The convolutions that `forward` or `input` come down to."""
    c = convolution
    channels, features = c.channels // c.groups, c.features // c.groups
    if c.what == FORWARD:
        of_axes: list[list[Axis]] = [[axis] for axis in c.axes]
    else:
        of_axes = [list(input_classes(axis)) for axis in c.axes]
        channels, features = features, channels
    if c.is_depthwise:
        channels, features = 1, c.channels
    groups = 1 if c.is_depthwise else c.groups
    return [
        Correlation(c.kind, axes, c.taps, channels, features, groups, c.is_depthwise)
        for axes in itertools.product(*of_axes)
    ]
