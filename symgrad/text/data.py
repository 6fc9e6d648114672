"""Big arrays and inner graphs, kept apart from the lines that use them: in sections after the graph, or,
the arrays, in a file beside it.

data d1: f64[100,100] = base64 {         file "mlp.npz" sha256 "9f86..." {
  AAAAAAAA8D8...                           d1: f64[100,100]
}                                        }
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Callable, Mapping
from typing import Any

import numpy

from symgrad.errors import GraphError
from symgrad.ir.graph import Graph, Subgraph
from symgrad.ir.values import ArrayData
from symgrad.text.diagnostics import did_you_mean
from symgrad.text.lexer import Cursor
from symgrad.types import TensorType

_LINE = 96


class Blobs:
    """The big arrays of a graph that is being printed; equal ones share a name."""

    def __init__(self) -> None:
        self.arrays: dict[str, tuple[TensorType, numpy.ndarray[Any, Any]]] = {}
        self._names: dict[bytes, str] = {}
        #: The graphs in attributes, by the name that lines refer to.
        self.graphs: dict[Subgraph, str] = {}

    def graph_reference(self, graph: Subgraph) -> str:
        """How a line refers to a graph: `graph g1`."""
        return f"graph {self.graphs.setdefault(graph, f'g{len(self.graphs) + 1}')}"

    def reference(self, array: numpy.ndarray[Any, Any], type: TensorType) -> str:
        """How a line refers to an array: `data d1`."""
        digest = ArrayData(array).digest
        name = self._names.get(digest)
        if name is None:
            name = self._names[digest] = f"d{len(self._names) + 1}"
            self.arrays[name] = (type, array)
        return f"data {name}"

    def sections(self) -> list[str]:
        """The lines of the sections that hold the arrays."""
        lines = []
        for name, (type, array) in self.arrays.items():
            text = base64.b64encode(little_endian(array)).decode("ascii")
            lines += ["", f"data {name}: {type} = base64 {{"]
            lines += [f"  {text[i : i + _LINE]}" for i in range(0, len(text), _LINE)]
            lines.append("}")
        return lines


def little_endian(array: numpy.ndarray[Any, Any]) -> bytes:
    """The elements in C order, least significant byte first."""
    return array.astype(array.dtype.newbyteorder("<"), copy=False).tobytes()


def from_bytes(data: bytes, type: TensorType) -> numpy.ndarray[Any, Any]:
    """The array of a type whose elements are `data`; ValueError where they do not fit."""
    count = 1
    for dim in type.shape:
        if not isinstance(dim, int):
            raise ValueError(f"data cannot have the symbolic size {dim}")
        count *= dim
    if count * type.dtype.itemsize != len(data):
        raise ValueError(f"{len(data)} bytes of data, but {type} takes {count * type.dtype.itemsize}")
    if type.dtype.kind == "bool" and data.strip(b"\x00\x01"):
        raise ValueError("a bool is neither 0 nor 1")
    array = numpy.frombuffer(data, type.dtype.numpy.newbyteorder("<")).reshape(type.shape)
    return array.astype(type.dtype.numpy, copy=False)


def from_base64(lines: list[str], type: TensorType) -> numpy.ndarray[Any, Any]:
    """The array that lines of base64 hold; ValueError where they are not well formed."""
    text = "".join(line.strip() for line in lines)
    try:
        return from_bytes(binascii.a2b_base64(text.encode("ascii"), strict_mode=True), type)
    except UnicodeEncodeError:
        raise ValueError("base64 is letters, digits, + and /") from None


class Data:
    """The named arrays and graphs of a text that is being parsed.

    Graphs are read when a line first asks for one: `graphs` maps names to what reads them.
    """

    def __init__(self) -> None:
        self.arrays: dict[str, ArrayData] = {}
        self.graphs: dict[str, Callable[[], Graph]] = {}
        self._read: dict[str, Subgraph | None] = {}

    def find_graph(self, cursor: Cursor) -> Subgraph:
        """The graph whose name comes next."""
        token = cursor.take("name", "the name of a graph")
        name = token.text
        if name not in self._read:
            read = self.graphs.get(name)
            if read is None:
                hint = did_you_mean(name, self.graphs) or "inner graphs stand in sections after the graph"
                cursor.fail(f"there is no graph called {name}", at=token, hint=hint)
            self._read[name] = None
            graph = read()
            try:
                self._read[name] = Subgraph(graph)
            except GraphError as error:
                cursor.fail(error.what, at=token)
        found = self._read[name]
        if found is None:
            cursor.fail(f"the graph {name} is inside itself", at=token)
        return found

    def find(self, cursor: Cursor) -> ArrayData:
        """The array whose name comes next."""
        token = cursor.take("name", "the name of data")
        found = self.arrays.get(token.text)
        if found is None:
            known: Mapping[str, ArrayData] = self.arrays
            hint = did_you_mean(token.text, known) or "big arrays stand in sections after the graph"
            cursor.fail(f"there is no data called {token.text}", at=token, hint=hint)
        return found
