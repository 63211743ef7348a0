"""Field files: units, vectors, tissue and coverage are checked; surfaces and maps come back from GIFTI."""

from __future__ import annotations

import nibabel
import numpy as np
import pytest

from understudy.errors import InputError
from understudy.tms.field_volumes import (
    read_field,
    read_mesh_field,
    read_vector_volume,
    write_surface,
    write_surface_maps,
    write_vector_volume,
)
from understudy.tms.fields import GridField, require_coverage
from understudy.tms.gmsh_file import Mesh
from understudy.tms.gmsh_writing import write_mesh
from understudy.tms.mesh_field import MeshField

AFFINE = np.array([[0, -2.0, 0, 10], [2, 0, 0, -6], [0, 0, 3, 4], [0, 0, 0, 1]])


def volume(path, value, description=""):
    image = nibabel.Nifti1Image(np.asarray(value, dtype=np.float32), AFFINE)
    image.header["descrip"] = description.encode()
    nibabel.save(image, path)
    return path


@pytest.fixture
def value():
    return np.random.default_rng(1).normal(size=(5, 6, 4, 3)) + 2


@pytest.mark.parametrize("shape", [(5, 6, 4, 3), (5, 6, 4, 1, 3)])
def test_values_lie_where_the_affine_says(tmp_path, value, shape):
    field = read_vector_volume(volume(tmp_path / "e.nii.gz", value.reshape(shape)))
    index = np.array([[1, 2, 3], [4, 5, 0]])
    found, inside = field.sample(nibabel.affines.apply_affine(AFFINE, index))
    np.testing.assert_allclose(found, value[tuple(index.T)], rtol=1e-6)
    assert inside.all()


def test_written_fields_come_back(tmp_path, value):
    tissue = np.random.default_rng(2).random((5, 6, 4)) < 0.7
    path = tmp_path / "e.nii"
    write_vector_volume(path, GridField(value, AFFINE, tissue))
    field = read_vector_volume(path)
    np.testing.assert_array_equal(field.tissue, tissue)
    np.testing.assert_allclose(field.value[tissue], value[tissue], rtol=1e-6)


def test_voxels_without_field_and_outside_the_mask_are_no_tissue(tmp_path, value):
    value[0, 0, 0] = 0
    value[1, 0, 0, 1] = np.nan
    mask = np.ones((5, 6, 4), dtype=np.uint8)
    mask[2, 0, 0] = 0
    nibabel.save(nibabel.Nifti1Image(mask, AFFINE), tmp_path / "m.nii")
    field = read_vector_volume(volume(tmp_path / "e.nii", value), tissue=tmp_path / "m.nii")
    assert np.argwhere(~field.tissue).tolist() == [[0, 0, 0], [1, 0, 0], [2, 0, 0]]
    nibabel.save(nibabel.Nifti1Image(mask[1:], AFFINE), tmp_path / "m.nii")
    with pytest.raises(InputError, match="found the grid"):
        read_vector_volume(tmp_path / "e.nii", tissue=tmp_path / "m.nii")


def test_units(tmp_path, value):
    with pytest.raises(InputError, match=r"e\.nii: found fields up to 0\.00.*are they in V/mm"):
        read_vector_volume(volume(tmp_path / "e.nii", value * 1e-3))
    with pytest.raises(InputError, match="are they in mV/m"):
        read_vector_volume(volume(tmp_path / "e.nii", value * 1e3))
    with pytest.raises(InputError, match="found the unit V/mm in its header"):
        read_vector_volume(volume(tmp_path / "e.nii", value, "E-field [V / mm]"))
    with pytest.raises(InputError, match="found the unit mV/m in its header"):
        read_vector_volume(volume(tmp_path / "e.nii", value, "mV/m"))
    with pytest.raises(InputError, match="unit: found 'kV', accepted are V/m"):
        read_vector_volume(tmp_path / "e.nii", unit="kV")
    with pytest.raises(InputError, match="all vectors are 0"):
        read_vector_volume(volume(tmp_path / "e.nii", value * 0))
    read_vector_volume(volume(tmp_path / "e.nii", value, "V/m"))
    # Whoever names the unit is believed.
    field = read_vector_volume(volume(tmp_path / "e.nii", value * 1e-3, "V/mm"), unit="V/mm")
    np.testing.assert_allclose(field.value, value, rtol=1e-5)


def test_files_without_vectors(tmp_path, value):
    with pytest.raises(InputError, match=r"found no vectors: the volume has the shape \(5, 6, 4\)"):
        read_vector_volume(volume(tmp_path / "e.nii", value[..., 0]))
    with pytest.raises(InputError, match="found no vectors"):
        read_vector_volume(volume(tmp_path / "e.nii", np.repeat(value, 2, axis=3)))
    (tmp_path / "e.nii").write_bytes(b"no image")
    with pytest.raises(InputError, match="no NIfTI volume"):
        read_vector_volume(tmp_path / "e.nii")
    with pytest.raises(InputError, match="no such file"):
        read_vector_volume(tmp_path / "none.nii")
    data = volume(tmp_path / "e.nii", value).read_bytes()
    (tmp_path / "e.nii").write_bytes(data[:-200])
    with pytest.raises(InputError, match="broken volume"):
        read_vector_volume(tmp_path / "e.nii")


def test_coverage(value):
    field = GridField(value, np.diag([1.0, 1, 1, 1]))
    cells = np.array([[1.0, 1, 1], [2, 2, 2], [3, 3, 2], [50, 0, 0]])
    assert require_coverage(field, cells, "field.nii").tolist() == [True, True, True, False]
    with pytest.raises(
        InputError,
        match=r"field\.nii: does not cover the cells: found 0\.0% of 4 cells.*x 51\.0 to 100\.0.*x 0\.0 to 4\.0",
    ):
        require_coverage(field, cells + np.array([50, 0, 0]), "field.nii")
    with pytest.raises(InputError, match=r"75\.0% of 4"):
        require_coverage(field, cells, "field.nii", least_share=0.9)


def two_tissues(path, name="E"):
    """A bar of 2 x 1 x 1 cubes, white on the left and grey on the right, cut into tetrahedra."""
    nodes = np.array([[x, y, z] for x in (0, 1, 2) for y in (0, 1) for z in (0, 1)], dtype=float)
    cube = [[0, 4, 6, 7], [0, 4, 5, 7], [0, 1, 5, 7], [0, 2, 6, 7], [0, 2, 3, 7], [0, 1, 3, 7]]
    tetrahedra = np.array(cube + [[corner + 4 for corner in row] for row in cube], dtype=np.int32)
    tag = np.repeat([1, 2], 6).astype(np.int32)
    value = np.where(tag[:, None] == 1, [1.0, 2, 3], [5.0, 2, 3])
    mesh = Mesh(nodes, tetrahedra, np.zeros((0, 3), np.int32), tag, np.zeros(0, np.int32), {}, {name: value}, {})
    write_mesh(path, mesh)


@pytest.mark.parametrize("smooth", [True, False])
def test_the_field_jumps_between_tissues_and_nowhere_else(tmp_path, smooth):
    two_tissues(tmp_path / "m.msh")
    field = read_mesh_field(tmp_path / "m.msh", smooth=smooth)
    found, inside = field.sample(np.array([[0.99, 0.5, 0.6], [1.01, 0.5, 0.6], [0.1, 0.1, 0.2], [2.1, 0.5, 0.5]]))
    np.testing.assert_allclose(found[:3], [[1, 2, 3], [5, 2, 3], [1, 2, 3]], rtol=1e-12)
    assert inside.tolist() == [True, True, True, False] and np.isnan(found[3]).all()
    only = read_mesh_field(tmp_path / "m.msh", tags=(2,), smooth=smooth)
    assert only.sample(np.array([[0.5, 0.5, 0.6], [1.5, 0.5, 0.6]]))[1].tolist() == [False, True]


def test_meshes_without_what_is_asked_for(tmp_path):
    two_tissues(tmp_path / "m.msh")
    with pytest.raises(InputError, match=r"no vectors named 'J'; data with their components: E \(3\)"):
        read_mesh_field(tmp_path / "m.msh", name="J")
    with pytest.raises(InputError, match=r"tags \[1, 2\]; accepted are some with \(7,\)"):
        read_mesh_field(tmp_path / "m.msh", tags=(7,))
    two_tissues(tmp_path / "m.msh", "E [V/mm]")
    with pytest.raises(InputError, match="found the unit V/mm"):
        read_mesh_field(tmp_path / "m.msh", name="E [V/mm]")


def test_the_suffix_tells_the_kind(tmp_path, value):
    two_tissues(tmp_path / "m.msh")
    assert isinstance(read_field(tmp_path / "m.msh"), MeshField)
    assert isinstance(read_field(volume(tmp_path / "e.nii.gz", value)), GridField)
    with pytest.raises(InputError, match=r"found the suffix '\.mat'; accepted are \.msh"):
        read_field(tmp_path / "e.mat")


def test_surface_and_maps(tmp_path):
    rng = np.random.default_rng(4)
    vertices, faces = rng.normal(size=(9, 3)), rng.integers(0, 9, (5, 3))
    write_surface(tmp_path / "s.surf.gii", vertices, faces)
    image = nibabel.load(tmp_path / "s.surf.gii")
    np.testing.assert_allclose(image.agg_data("pointset"), vertices, rtol=1e-6)
    np.testing.assert_array_equal(image.agg_data("triangle"), faces)
    values = rng.normal(size=9)
    values[3] = np.nan
    maps = {"median threshold (V/m)": values, "width": rng.normal(size=9)}
    for name in ("a", "b"):
        write_surface_maps(tmp_path / f"{name}.func.gii", maps)
    assert (tmp_path / "a.func.gii").read_bytes() == (tmp_path / "b.func.gii").read_bytes()
    image = nibabel.load(tmp_path / "a.func.gii")
    assert [array.meta["Name"] for array in image.darrays] == list(maps)
    np.testing.assert_allclose(image.darrays[0].data, values, rtol=1e-6)
    assert image.meta["AnatomicalStructurePrimary"] == "CortexLeft"
    with pytest.raises(InputError, match="surface maps: found the lengths"):
        write_surface_maps(tmp_path / "a.func.gii", {"a": values, "b": values[1:]})
