"""Gmsh 2.2 files: what solvers write comes back, and what is broken is named."""

from __future__ import annotations

import dataclasses
import struct

import numpy as np
import pytest
from scipy.spatial import Delaunay

from understudy.errors import InputError
from understudy.tms.gmsh_file import Mesh, read_mesh
from understudy.tms.gmsh_writing import write_mesh


@pytest.fixture(scope="module")
def mesh() -> Mesh:
    """Random tetrahedra and triangles with data at nodes and in elements."""
    rng = np.random.default_rng(5)
    nodes = rng.uniform(-10, 10, (30, 3))
    tetrahedra = Delaunay(nodes).simplices.astype(np.int32)
    triangles = tetrahedra[::4, :3].copy()
    return Mesh(
        nodes,
        tetrahedra,
        triangles,
        rng.integers(1, 6, len(tetrahedra)).astype(np.int32),
        rng.integers(1001, 1006, len(triangles)).astype(np.int32),
        {"v": rng.normal(size=(30, 1)), "D": rng.normal(size=(30, 3))},
        {"E": rng.normal(size=(len(tetrahedra), 3)), "magnE": rng.normal(size=(len(tetrahedra), 1))},
        {"E": rng.normal(size=(len(triangles), 3)), "magnE": rng.normal(size=(len(triangles), 1))},
    )


def same(a: Mesh, b: Mesh) -> None:
    for field in dataclasses.fields(Mesh):
        x, y = getattr(a, field.name), getattr(b, field.name)
        if isinstance(x, dict):
            assert list(x) == list(y)
            for key in x:
                np.testing.assert_array_equal(x[key], y[key])
        else:
            np.testing.assert_array_equal(x, y)


@pytest.mark.parametrize("binary", [True, False])
@pytest.mark.parametrize("block", [None, 1, 7])
def test_round_trip_with_triangles_among_tetrahedra(tmp_path, mesh, binary, block):
    """Every bit comes back, whether elements stand in long blocks or triangles and tetrahedra take turns."""
    path = tmp_path / "m.msh"
    write_mesh(path, mesh, binary=binary, block=block)
    same(read_mesh(path), mesh)


def hand_written(order: str = "<") -> bytes:
    """Numbers that are neither in order nor without gaps, foreign elements, unknown sections; data of some elements."""

    def pack(layout, *values):
        return struct.pack(order + layout, *values)

    nodes = {7: (0, 0, 0), 3: (1, 0, 0), 12: (0, 1, 0), 5: (0, 0, 1), 9: (1, 1, 1)}
    parts = [b"$MeshFormat\n2.2 1 8\n", pack("i", 1), b"\n$EndMeshFormat\n"]
    parts += [b'$PhysicalNames\n1\n3 1 "white"\n$EndPhysicalNames\n$Nodes\n5\n']
    parts += [pack("i3d", number, *place) for number, place in nodes.items()]
    parts += [b"\n$EndNodes\n$Elements\n5\n"]
    parts += [pack("3i", 15, 1, 2), pack("4i", 1, 0, 0, 7)]  # a point
    parts += [pack("3i", 4, 1, 2), pack("7i", 20, 2, 8, 7, 3, 12, 5)]
    parts += [pack("3i", 2, 1, 3), pack("7i", 4, 1001, 8, 0, 3, 12, 5)]  # a triangle with three tags
    parts += [pack("3i", 1, 1, 0), pack("3i", 6, 7, 3)]  # a line without tags
    parts += [pack("3i", 4, 1, 2), pack("7i", 21, 1, 8, 3, 12, 5, 9)]
    parts += [b"\n$EndElements\n$ElementNodeData\n1 2 3 anything\n$EndElementNodeData\n"]
    parts += [b'$ElementData\n1\n"E"\n1\n0\n4\n0\n3\n2\n0\n', pack("i3d", 21, 1, 2, 3), pack("i3d", 4, 4, 5, 6)]
    parts += [b"\n$EndElementData\n"]
    return b"".join(parts)


@pytest.mark.parametrize("order", ["<", ">"])
def test_a_file_written_by_hand(tmp_path, order):
    path = tmp_path / "m.msh"
    path.write_bytes(hand_written(order))
    mesh = read_mesh(path)
    np.testing.assert_array_equal(mesh.tetrahedra, [[0, 1, 2, 3], [1, 2, 3, 4]])
    np.testing.assert_array_equal(mesh.triangles, [[1, 2, 3]])
    np.testing.assert_array_equal(mesh.tetrahedron_tag, [2, 1])
    np.testing.assert_array_equal(mesh.triangle_tag, [1001])
    np.testing.assert_array_equal(mesh.tetrahedron_data["E"], [[np.nan] * 3, [1, 2, 3]])
    np.testing.assert_array_equal(mesh.triangle_data["E"], [[4, 5, 6]])
    np.testing.assert_array_equal(mesh.nodes[4], [1, 1, 1])


TEXT = """$MeshFormat
2.2 0 8
$EndMeshFormat
$Nodes
4
1 0 0 0
2 1.5 0 0
3 0 1 0
4 0 0 1e0
$EndNodes
$Elements
2
1 2 2 5 5 1 2 3
2 4 2 3 3 1 2 3 4
$EndElements
$NodeData
1
"E"
1
0.0
3
0
3
4
1 1 2 3
2 4 5 6
3 7 8 9
4 1 1 1
$EndNodeData
"""


def test_a_text_file_written_by_hand(tmp_path):
    path = tmp_path / "m.msh"
    path.write_text(TEXT)
    mesh = read_mesh(path)
    np.testing.assert_array_equal(mesh.tetrahedra, [[0, 1, 2, 3]])
    np.testing.assert_array_equal(mesh.node_data["E"], [[1, 2, 3], [4, 5, 6], [7, 8, 9], [1, 1, 1]])
    assert mesh.tetrahedron_tag[0] == 3 and mesh.nodes[1, 0] == 1.5
    path.write_text(TEXT.replace("\n", "\r\n"))
    assert read_mesh(path).nodes[1, 0] == 1.5


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda d: d.replace(b"2.2 0 8", b"4.1 0 8"), r"found the format '4\.1 0 8'"),
        (lambda d: b"solid x\n" + d, "no \\$MeshFormat"),
        (lambda d: d[: d.index(b"2 4 2 3")], "no end of \\$Elements"),
        (lambda d: d.replace(b"2 4 2 3 3 1 2 3 4\n", b""), "broken or unknown elements"),
        (lambda d: d.replace(b"2 4 2 3 3", b"2 99 2 3 3"), "broken or unknown elements"),
        (lambda d: d.replace(b"3 1 2 3 4", b"3 1 2 3 8"), "a node that is not in"),
        (lambda d: d.replace(b"2 4 2 3 3 1 2 3 4", b"2 2 2 3 3 1 2 3"), "no tetrahedra"),
        (lambda d: d.replace(b"4 1 1 1\n$EndN", b"4 1 1\n$EndN"), "numbers in \\$NodeData for 4 rows of 3"),
        (lambda d: d.replace(b"1.5", b"abc"), "found in \\$Nodes"),
        (lambda d: d.replace(b"$Nodes\n4", b"$Nodes\nfour"), "as the number of nodes"),
        (lambda d: d[: d.index(b"$Elements")], "no \\$Nodes or no \\$Elements"),
    ],
)
def test_broken_text_files(tmp_path, change, message):
    path = tmp_path / "m.msh"
    path.write_bytes(change(TEXT.encode()))
    with pytest.raises(InputError, match=message):
        read_mesh(path)


def test_broken_binary_files(tmp_path, mesh):
    path = tmp_path / "m.msh"
    write_mesh(path, mesh)
    data = path.read_bytes()
    for cut in np.linspace(10, len(data) - 20, 60).astype(int):
        path.write_bytes(data[:cut])
        # A cut exactly between two data sections leaves a whole, smaller file.
        if not data[:cut].rstrip().endswith(b"Data"):
            with pytest.raises(InputError, match="accepted is a whole Gmsh mesh"):
                read_mesh(path)
    with pytest.raises(InputError, match="cannot be read"):
        read_mesh(tmp_path / "none.msh")
