"""Meshes written in the Gmsh 2.2 format, for other software and for tests of the reader."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from understudy.tms.gmsh_file import TETRAHEDRON, TRIANGLE, Mesh


def write_mesh(path: str | Path, mesh: Mesh, *, binary: bool = True, block: int | None = None) -> None:
    """Write a Gmsh 2.2 file; triangles first, or triangles and tetrahedra in turn in blocks of ``block`` elements.

    Data of triangles and tetrahedra under one name share a section, as in solvers' files.
    """
    elements = _in_blocks(mesh, block)
    head = (
        b"$MeshFormat\n2.2 " + (b"1 8\n" + np.int32(1).tobytes() + b"\n" if binary else b"0 8\n") + b"$EndMeshFormat\n"
    )
    parts = [head, f"$Nodes\n{len(mesh.nodes)}\n".encode()]
    records = np.empty(len(mesh.nodes), dtype=[("number", "<i4"), ("place", "<f8", 3)])
    records["number"], records["place"] = np.arange(1, len(mesh.nodes) + 1), mesh.nodes
    parts += [_table(records, binary), b"\n$EndNodes\n" if binary else b"$EndNodes\n"]
    total = len(mesh.triangles) + len(mesh.tetrahedra)
    parts.append(f"$Elements\n{total}\n".encode())
    number = 1
    for shape, rows in elements:
        corners = (mesh.triangles if shape == TRIANGLE else mesh.tetrahedra)[rows] + 1
        tag = (mesh.triangle_tag if shape == TRIANGLE else mesh.tetrahedron_tag)[rows]
        numbers = np.arange(number, number + len(rows))
        number += len(rows)
        if binary:
            parts.append(np.array([shape, len(rows), 2], dtype="<i4").tobytes())
            parts.append(np.column_stack([numbers, tag, tag, corners]).astype("<i4").tobytes())
        else:
            lines = np.column_stack([numbers, np.full(len(rows), shape), np.full(len(rows), 2), tag, tag, corners])
            parts.append("".join(" ".join(map(str, line)) + "\n" for line in lines.tolist()).encode())
    parts.append(b"\n$EndElements\n" if binary else b"$EndElements\n")
    for name, values in mesh.node_data.items():
        parts.append(_data_section("NodeData", name, np.arange(1, len(values) + 1), values, binary))
    for name in dict.fromkeys([*mesh.triangle_data, *mesh.tetrahedron_data]):
        numbers, values, first = [], [], 1
        for shape, rows in elements:
            own = (mesh.triangle_data if shape == TRIANGLE else mesh.tetrahedron_data).get(name)
            if own is not None:
                numbers.append(np.arange(first, first + len(rows)))
                values.append(own[rows])
            first += len(rows)
        parts.append(_data_section("ElementData", name, np.concatenate(numbers), np.concatenate(values), binary))
    Path(path).write_bytes(b"".join(parts))


def _in_blocks(mesh: Mesh, block: int | None) -> list[tuple[int, np.ndarray]]:
    """(kind, rows) of the file's blocks of elements."""
    rows = {TRIANGLE: np.arange(len(mesh.triangles)), TETRAHEDRON: np.arange(len(mesh.tetrahedra))}
    size = block or max(len(mesh.triangles), len(mesh.tetrahedra), 1)
    blocks = []
    for start in range(0, max(len(own) for own in rows.values()), size):
        blocks += [(shape, own[start : start + size]) for shape, own in rows.items() if start < len(own)]
    return blocks


def _table(records: np.ndarray, binary: bool) -> bytes:
    if binary:
        return records.tobytes()
    number, values = records.dtype.names
    lines = zip(records[number].tolist(), records[values].reshape(len(records), -1).tolist(), strict=True)
    return "".join(f"{row} {' '.join(map(repr, value))}\n" for row, value in lines).encode()


def _data_section(section: str, name: str, numbers: np.ndarray, values: np.ndarray, binary: bool) -> bytes:
    records = np.empty(len(values), dtype=[("number", "<i4"), ("value", "<f8", (values.shape[1],))])
    records["number"], records["value"] = numbers, values
    head = f'${section}\n1\n"{name}"\n1\n0.0\n3\n0\n{values.shape[1]}\n{len(values)}\n'.encode()
    return head + _table(records, binary) + (b"\n" if binary else b"") + f"$End{section}\n".encode()
