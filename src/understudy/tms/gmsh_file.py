"""Meshes in the Gmsh 2.2 format, binary and text, with node data and element data.

Field solvers write head meshes in which triangles and tetrahedra alternate in blocks of any length and share one set of
element data. This reader takes what a field in a volume needs; lines, points and higher-order elements are skipped.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

import numba
import numpy as np

from understudy.errors import InputError

TRIANGLE, TETRAHEDRON = 2, 4
"""Gmsh's numbers of these kinds of elements."""

# Nodes per element by Gmsh's number of the element type (format reference, MSH file format version 2).
_NODES_OF = {
    **{1: 2, 2: 3, 3: 4, 4: 4, 5: 8, 6: 6, 7: 5, 8: 3, 9: 6, 10: 9, 11: 10, 12: 27, 13: 18, 14: 14, 15: 1},
    **{16: 8, 17: 20, 18: 15, 19: 13, 20: 9, 21: 10, 22: 12, 23: 15, 24: 15, 25: 21, 26: 4, 27: 5, 28: 6, 29: 20},
}
_NODE_COUNTS = np.array([_NODES_OF.get(kind, -1) for kind in range(32)])


@dataclass(frozen=True)
class Mesh:
    """Tetrahedra and triangles with data.

    Attributes
    ----------
    nodes : (n, 3) mm.
    tetrahedra : (t, 4) and ``triangles`` (r, 3) int32, numbers of nodes from 0.
    tetrahedron_tag : (t,) and ``triangle_tag`` (r,) int32, the first tag: in SimNIBS the tissue (1 white, 2 grey,
        3 CSF, 4 bone, 5 scalp; 1000 more for surfaces).
    node_data : name -> (n, c).
    tetrahedron_data : name -> (t, c) and ``triangle_data`` name -> (r, c); NaN where the file has none.
    """

    nodes: np.ndarray
    tetrahedra: np.ndarray
    triangles: np.ndarray
    tetrahedron_tag: np.ndarray
    triangle_tag: np.ndarray
    node_data: dict[str, np.ndarray] = field(default_factory=dict)
    tetrahedron_data: dict[str, np.ndarray] = field(default_factory=dict)
    triangle_data: dict[str, np.ndarray] = field(default_factory=dict)


class _Text:
    """Lines and numbers of a file's bytes, one after the other."""

    def __init__(self, path: Path, data: bytes) -> None:
        self.path, self.data, self.place = path, data, 0

    def fail(self, found: str) -> InputError:
        return InputError(f"{self.path}: {found}; accepted is a whole Gmsh mesh of version 2.2, binary or text")

    def line(self) -> str | None:
        """The next line that is not empty, None at the end."""
        while self.place < len(self.data):
            end = self.data.find(b"\n", self.place)
            end = len(self.data) if end < 0 else end
            text = self.data[self.place : end].strip()
            self.place = end + 1
            if text:
                return text.decode("utf-8", "replace")
        return None

    def whole_number(self, what: str) -> int:
        """A line with one whole number."""
        line = self.line()
        try:
            return int(line or "")
        except ValueError:
            raise self.fail(f"found {line!r} as the {what}") from None

    def end(self, name: str) -> None:
        """The line that closes a section."""
        line = self.line()
        if line != f"$End{name}":
            raise self.fail(f"found {line!r:.60} at the end of ${name}")

    def skip(self, name: str) -> None:
        """Past a section that is of no interest."""
        found = self.data.find(f"$End{name}".encode(), self.place)
        if found < 0:
            raise self.fail(f"found no end of ${name}")
        self.place = found
        self.line()

    def until_end(self, name: str) -> np.ndarray:
        """All numbers of a text section."""
        found = self.data.find(f"$End{name}".encode(), self.place)
        if found < 0:
            raise self.fail(f"found no end of ${name}")
        try:
            numbers = np.array(self.data[self.place : found].split(), dtype=float)
        except ValueError as error:
            raise self.fail(f"found in ${name}: {error}") from None
        self.place = found
        return numbers

    def records(self, dtype: np.dtype, count: int, name: str) -> np.ndarray:
        """Binary records."""
        size = dtype.itemsize * count
        if count < 0 or self.place + size > len(self.data):
            raise self.fail(f"found the end of the file within ${name}")
        records = np.frombuffer(self.data, dtype=dtype, count=count, offset=self.place)
        self.place += size
        return records


@numba.njit(cache=True)
def _parse_binary(words, count, node_counts, kind, number, tag, node):
    """Elements of blocks (type, elements, tags; then each its number, tags and nodes). Words used, or -1 if broken."""
    place, done = 0, 0
    while done < count:
        if place + 3 > words.size:
            return -1
        block_kind, block, tags = words[place], words[place + 1], words[place + 2]
        place += 3
        if block_kind < 0 or block_kind >= node_counts.size or node_counts[block_kind] < 0 or block < 1 or tags < 0:
            return -1
        nodes = node_counts[block_kind]
        if block > count - done or place + block * (1 + tags + nodes) > words.size:
            return -1
        for _ in range(block):
            kind[done], number[done] = block_kind, words[place]
            tag[done] = words[place + 1] if tags > 0 else 0
            place += 1 + tags
            for corner in range(min(nodes, 4)):
                node[done, corner] = words[place + corner]
            place += nodes
            done += 1
    return place


@numba.njit(cache=True)
def _parse_text(words, count, node_counts, kind, number, tag, node):
    """Elements of lines (number, type, tags, ..., nodes). Words used, or -1 if broken."""
    place = 0
    for element in range(count):
        if place + 3 > words.size:
            return -1
        block_kind, tags = int(words[place + 1]), int(words[place + 2])
        if block_kind < 0 or block_kind >= node_counts.size or node_counts[block_kind] < 0 or tags < 0:
            return -1
        nodes = node_counts[block_kind]
        if place + 3 + tags + nodes > words.size:
            return -1
        kind[element], number[element] = block_kind, int(words[place])
        tag[element] = int(words[place + 3]) if tags > 0 else 0
        place += 3 + tags
        for corner in range(min(nodes, 4)):
            node[element, corner] = int(words[place + corner])
        place += nodes
    return place


def _read_nodes(text: _Text, binary: bool, order: str) -> tuple[np.ndarray, np.ndarray]:
    count = text.whole_number("number of nodes")
    if binary:
        records = text.records(np.dtype([("number", order + "i4"), ("place", order + "f8", 3)]), count, "Nodes")
        number, place = records["number"].astype(np.int64), records["place"].astype(float)
    else:
        numbers = text.until_end("Nodes")
        if numbers.size != 4 * count:
            raise text.fail(f"found {numbers.size} numbers in $Nodes for {count} nodes")
        number, place = numbers.reshape(-1, 4)[:, 0].astype(np.int64), numbers.reshape(-1, 4)[:, 1:].copy()
    text.end("Nodes")
    if count == 0 or not np.isfinite(place).all():
        raise text.fail(f"found {count} nodes, or coordinates that are not finite")
    return number, place


def _read_elements(text: _Text, binary: bool, order: str) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    count = text.whole_number("number of elements")
    if not 0 < count <= len(text.data):
        raise text.fail(f"found {count} elements")
    kind, number, tag = (np.zeros(count, dtype=np.int32) for _ in range(3))
    node = np.zeros((count, 4), dtype=np.int32)
    if binary:
        left = (len(text.data) - text.place) // 4
        words = np.frombuffer(text.data, dtype=order + "i4", count=left, offset=text.place).astype(np.int32)
        used = _parse_binary(words, count, _NODE_COUNTS, kind, number, tag, node)
        text.place += 4 * max(used, 0)
    else:
        used = _parse_text(text.until_end("Elements"), count, _NODE_COUNTS, kind, number, tag, node)
    if used < 0:
        raise text.fail(f"found broken or unknown elements, or fewer than the {count} promised, in $Elements")
    text.end("Elements")
    return kind, number, tag, node


def _read_data(text: _Text, section: str, binary: bool, order: str) -> tuple[str, np.ndarray, np.ndarray]:
    """Name, numbers of nodes or elements, and values (k, c) of a data section."""
    strings = [text.line() or "" for _ in range(text.whole_number(f"number of strings in ${section}"))]
    for _ in range(text.whole_number(f"number of reals in ${section}")):
        text.line()
    whole = [
        text.whole_number(f"integer in ${section}")
        for _ in range(text.whole_number(f"number of integers in ${section}"))
    ]
    if len(whole) < 3 or whole[1] < 1 or whole[2] < 0:
        raise text.fail(f"found the integers {whole} in ${section}")
    components, count = whole[1], whole[2]
    if binary:
        dtype = np.dtype([("number", order + "i4"), ("value", order + "f8", (components,))])
        records = text.records(dtype, count, section)
        number, value = records["number"].astype(np.int64), records["value"].astype(float)
    else:
        numbers = text.until_end(section)
        if numbers.size != count * (1 + components):
            raise text.fail(f"found {numbers.size} numbers in ${section} for {count} rows of {components} values")
        rows = numbers.reshape(count, 1 + components)
        number, value = rows[:, 0].astype(np.int64), rows[:, 1:].copy()
    text.end(section)
    name = strings[0].strip('"') if strings else section
    return name, number, value


def _places(numbers: np.ndarray) -> np.ndarray:
    """Row of each number in a file, -1 for numbers that do not occur."""
    table = np.full(int(numbers.max(initial=0)) + 1, -1, dtype=np.int64)
    table[numbers] = np.arange(len(numbers))
    return table


def _rows(table: np.ndarray, numbers: np.ndarray) -> np.ndarray:
    known = (numbers >= 0) & (numbers < len(table))
    return np.where(known, table[np.where(known, numbers, 0)], -1)


def read_mesh(path: str | Path) -> Mesh:
    """Read a Gmsh 2.2 file.

    Raises
    ------
    InputError
        If the file is missing, of another format or version, truncated or inconsistent, or has no tetrahedra.
    """
    path = Path(path)
    try:
        text = _Text(path, path.read_bytes())
    except OSError as error:
        raise InputError(f"{path}: cannot be read: {error}") from None
    if text.line() != "$MeshFormat":
        raise text.fail("found no $MeshFormat in the first line")
    words = (text.line() or "").split()
    if (
        len(words) != 3
        or not words[0].startswith("2.")
        or words[1] not in ("0", "1")
        or (words[1] == "1" and words[2] != "8")
    ):
        raise text.fail(f"found the format {' '.join(words)!r:.60} (version, 0 text or 1 binary, size of reals)")
    binary, order = words[1] == "1", "<"
    if binary:
        order = {b"\x01\x00\x00\x00": "<", b"\x00\x00\x00\x01": ">"}.get(text.data[text.place : text.place + 4], "")
        if not order:
            raise text.fail("found no 1 that tells the order of bytes")
        text.place += 4
    text.end("MeshFormat")
    nodes = elements = None
    data: dict[str, list[tuple[str, np.ndarray, np.ndarray]]] = {"NodeData": [], "ElementData": []}
    while (line := text.line()) is not None:
        name = line.removeprefix("$")
        if not line.startswith("$"):
            raise text.fail(f"found {line!r:.60} between sections")
        if name == "Nodes":
            nodes = _read_nodes(text, binary, order)
        elif name == "Elements":
            elements = _read_elements(text, binary, order)
        elif name in data:
            data[name].append(_read_data(text, name, binary, order))
        else:
            text.skip(name)
    if nodes is None or elements is None:
        raise text.fail("found no $Nodes or no $Elements")
    return _assembled(text, nodes, elements, data)


def _assembled(text: _Text, nodes, elements, data) -> Mesh:
    """Numbers of nodes from 0, elements by kind, data by row."""
    node_table, (kind, number, tag, node) = _places(nodes[0]), elements
    parts = {}
    for shape, corners in ((TRIANGLE, 3), (TETRAHEDRON, 4)):
        chosen = kind == shape
        rows = _rows(node_table, node[chosen, :corners])
        if np.any(rows < 0):
            raise text.fail("found an element with a node that is not in $Nodes")
        parts[shape] = (rows.astype(np.int32), tag[chosen], number[chosen].astype(np.int64))
    if len(parts[TETRAHEDRON][0]) == 0:
        raise InputError(f"{text.path}: found no tetrahedra; accepted is a mesh of the head's volume")
    element_data: dict[int, dict[str, np.ndarray]] = {TRIANGLE: {}, TETRAHEDRON: {}}
    for name, numbers, values in data["ElementData"]:
        table = _places(numbers)
        for shape, (_, _, own) in parts.items():
            rows = _rows(table, own)
            element_data[shape][name] = (
                np.where((rows >= 0)[:, None], values[rows], np.nan)
                if len(values)
                else (np.full((len(own), values.shape[1]), np.nan))
            )
    node_data = {}
    for name, numbers, values in data["NodeData"]:
        rows = _rows(node_table, numbers)
        if np.any(rows < 0):
            raise text.fail(f"found node data {name!r} of a node that is not in $Nodes")
        node_data[name] = np.full((len(nodes[1]), values.shape[1]), np.nan)
        node_data[name][rows] = values
    triangles, tetrahedra = parts[TRIANGLE], parts[TETRAHEDRON]
    return Mesh(
        nodes[1],
        tetrahedra[0],
        triangles[0],
        tetrahedra[1],
        triangles[1],
        node_data,
        element_data[TETRAHEDRON],
        element_data[TRIANGLE],
    )
