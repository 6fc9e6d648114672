"""Graphs on disk: the text in one file, its big arrays in another beside it.

Both are written whole or not at all, and take the place of older ones when they are on the disk. The text
says the arrays' file and its sha256, so a missing, damaged or exchanged file is an error when the graph is
loaded. Arrays are read without pickle.
"""

from __future__ import annotations

import hashlib
import io
import json
import os
import re
import stat
import tempfile
import zipfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path

import numpy

from symgrad.errors import SymgradError
from symgrad.ir.graph import Graph, require_graph
from symgrad.ir.values import ArrayData
from symgrad.text.data import Blobs, from_bytes
from symgrad.text.parser import parse_with
from symgrad.text.printer import with_inner
from symgrad.types import TensorType

_ARRAYS = re.compile(rb'^file ("[^"\\]+") sha256 "([0-9a-f]{64})"', re.MULTILINE)
_PLAIN = re.compile(r"[^/\\:\x00-\x1f]+\Z")


def save(graph: Graph, path: str | os.PathLike[str]) -> None:
    """Write a graph to `path`, and its big arrays to a file beside it: those of `model.sg` to `model.npz`,
    those of a name without that ending to the name with `.arrays.npz` behind it. Links are followed.

    Raises:
        SymgradError: no graph; a path with the ending of arrays, or of what is no file.

    >>> import symgrad as sg, tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     x = sg.vector("x")
    ...     graph = sg.Graph([x], sg.exp(x))
    ...     save(graph, folder + "/model.sg")
    ...     load(folder + "/model.sg").same(graph)
    True
    """
    require_graph(graph, "save")
    target = _file(path)
    files: dict[Path, bytes] = {}
    blobs = Blobs()
    lines = with_inner(graph, blobs)
    if blobs.arrays:
        ending = ".npz" if target.suffix == ".sg" else ".arrays.npz"
        sidecar = target.with_name(target.name.removesuffix(".sg") + ending)
        if target.suffix == ".npz":
            raise SymgradError(
                "a graph cannot be saved under the name of its arrays",
                facts=[("path", target)],
                hint="use the ending .sg",
            )
        packed = io.BytesIO()
        numpy.savez(packed, **{name: array for name, (_, array) in blobs.arrays.items()})  # type: ignore[arg-type]
        content = packed.getvalue()
        digest = hashlib.sha256(content).hexdigest()
        lines += ["", f'file {json.dumps(sidecar.name)} sha256 "{digest}" {{']
        lines += [f"  {name}: {type}" for name, (type, _) in blobs.arrays.items()]
        lines.append("}")
        files[_file(sidecar)] = content
    files[target] = "\n".join([*lines, ""]).encode("utf-8")
    with _keeping(target, files):
        _write(files)


@contextmanager
def _keeping(target: Path, files: Mapping[Path, bytes]) -> Iterator[None]:
    """Meanwhile the old arrays have a second name, under which `load` finds them: two files cannot take the
    place of two others at once."""
    path, kept = target, None
    with suppress(OSError):
        named = _ARRAYS.search(target.read_bytes())
        path = target if named is None else target.with_name(json.loads(named[1]))
        if named is not None and path in files:
            kept = _kept(path, named[2].decode())
            with suppress(FileExistsError):  # by a save that was killed
                os.link(path, kept)
    try:
        yield
    except BaseException:
        if kept is not None and kept.exists() and kept.samefile(path):  # both are the old ones
            kept.unlink()
        raise
    if kept is not None:
        kept.unlink(missing_ok=True)


def _kept(path: Path, digest: str) -> Path:
    return path.with_name(f".{path.name}.{digest[:16]}")


def _file(path: str | os.PathLike[str]) -> Path:
    """A path behind its links, where a file is or can be."""
    target = Path(os.path.realpath(path))
    if target.exists() and not target.is_file():
        raise SymgradError("a graph is saved to a file", facts=[("path", target), ("got", "something else")])
    return target


def load(path: str | os.PathLike[str]) -> Graph:
    """Read a graph that `save` wrote, or any text of a graph.

    Raises:
        ParseError: the text is not a graph, or the file of its arrays is missing or not the one it names.
    """
    source = Path(os.path.realpath(path))
    try:
        text = source.read_bytes().decode("utf-8")
    except UnicodeDecodeError as error:
        raise SymgradError(
            "this file is not a graph: it is not text", facts=[("file", source), ("byte", error.start)]
        ) from None
    return parse_with(text, _Folder(source.parent))


def _write(files: Mapping[Path, bytes]) -> None:
    """Replace files by new content as a whole, the last when all others are in place. A crash before leaves
    the old ones."""
    made: list[str] = []
    try:
        for path, content in files.items():
            descriptor, temporary = tempfile.mkstemp(prefix=f".{path.name[:100]}.", dir=path.parent)
            made.append(temporary)
            with os.fdopen(descriptor, "wb") as file:
                file.write(content)
                file.flush()
                os.fsync(file.fileno())
            os.chmod(temporary, _mode(path))
        for path in files:
            os.replace(made[0], path)
            del made[0]
    finally:
        for temporary in made:
            os.unlink(temporary)


def _mode(path: Path) -> int:
    """The permissions of the file that is replaced, else those of a new file."""
    try:
        return stat.S_IMODE(path.stat().st_mode)
    except FileNotFoundError:
        mask = os.umask(0)
        os.umask(mask)
        return 0o666 & ~mask


class _Folder:
    """Reads arrays from files in one folder, and from nowhere else."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def __call__(self, name: str, digest: str, types: Mapping[str, TensorType]) -> dict[str, ArrayData]:
        content = self.read(name)
        found = hashlib.sha256(content).hexdigest()
        if found != digest:
            with suppress(OSError):  # a save was killed between its two files
                content = _kept(self.folder / name, digest).read_bytes()
        if found != digest and hashlib.sha256(content).hexdigest() != digest:
            raise SymgradError(
                f"the file {name} is not the one that the text was saved with",
                facts=[("expected", f"sha256 {digest[:64]}"), ("found", f"sha256 {found}")],
                hint="it was truncated, changed or exchanged; save the graph again",
            )
        try:
            with zipfile.ZipFile(io.BytesIO(content)) as archive:
                return {n: ArrayData(_read_array(archive, n, t)) for n, t in types.items()}
        except (ValueError, KeyError, EOFError, OSError, RuntimeError, zipfile.BadZipFile) as error:
            raise SymgradError(f"the file {name} does not hold the arrays: {error}") from None

    def read(self, name: str) -> bytes:
        if not _PLAIN.match(name) or name in (".", ".."):
            raise SymgradError(
                f"the file name {name[:200]!r} leaves the folder of the text",
                hint="arrays are read from files beside the text only",
            )
        path = self.folder / name
        try:
            real = path.resolve(strict=True)
            if real.parent != self.folder.resolve() or not real.is_file():
                raise SymgradError(f"the file {name} is not a file in the folder of the text")
            return real.read_bytes()
        except (OSError, RuntimeError) as error:
            raise SymgradError(
                f"the file {name} with the graph's arrays cannot be read: {error}",
                hint="it belongs beside the text; move both together",
            ) from None


def _read_array(
    archive: zipfile.ZipFile, name: str, type: TensorType
) -> numpy.ndarray[tuple[int, ...], numpy.dtype[numpy.generic]]:
    info = archive.getinfo(name + ".npy")
    if info.compress_type != zipfile.ZIP_STORED:
        raise ValueError("it is compressed")
    member = io.BytesIO(archive.read(info))
    version = numpy.lib.format.read_magic(member)
    if version != (1, 0):
        raise ValueError(f"npy format {version}")
    shape, fortran, dtype = numpy.lib.format.read_array_header_1_0(member)
    if shape != type.shape or dtype != type.dtype.numpy or fortran:
        raise ValueError(f"{name} is {dtype} {shape}, not {type}")
    return from_bytes(member.read(), type)
