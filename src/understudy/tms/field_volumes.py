"""Field files of other software: NIfTI vector volumes and SimNIBS meshes; maps on surfaces as GIFTI."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import nibabel
import numpy as np

from understudy.errors import InputError
from understudy.tms.fields import GridField
from understudy.tms.gmsh_file import Mesh, read_mesh
from understudy.tms.mesh_field import MeshField, recovered_at_nodes

GREY_AND_WHITE = (1, 2)
"""SimNIBS tags of white (1) and grey (2) matter."""

FACTORS = {"V/m": 1.0, "V/mm": 1e3, "mV/mm": 1.0, "mV/m": 1e-3}
"""V/m per unit."""

# The strongest field in tissue (99.9th percentile of |E|), V/m. A coil near the head gives some 1 V/m per A/us, and
# stimulators 20 to 200 A/us: fields of 0.5 to 400 V/m. The same in V/mm is 0.0005 to 0.4.
_LEAST_V_PER_M, _LARGEST_V_PER_M = 0.4, 2000.0

_READ_ERRORS = (nibabel.filebasedimages.ImageFileError, OSError, EOFError, ValueError, TypeError)


def _in_volt_per_metre(path: Path, value: np.ndarray, unit: str | None, words: str) -> np.ndarray:
    """Check the unit by what the file says and by the size of the values, and convert.

    Parameters
    ----------
    value : (k, 3) finite vectors.
    unit : the caller's word, which is believed; None to accept V/m alone.
    words : the file's text about itself.
    """
    if unit is not None:
        if unit not in FACTORS:
            raise InputError(f"unit: found {unit!r}, accepted are {', '.join(FACTORS)}")
        return value * FACTORS[unit]
    plain = words.replace(" ", "").lower()
    for other in ("mV/mm", "mV/m", "V/mm"):
        if other.lower() in plain and FACTORS[other] != 1.0:
            raise InputError(
                f"{path}: found the unit {other} in its header ({words.strip()!r:.80}); accepted is V/m, or "
                f"give unit: {other}"
            )
    size = float(np.percentile(np.linalg.norm(value, axis=1), 99.9)) if len(value) else 0.0
    if size == 0.0:
        raise InputError(f"{path}: found no field: all vectors are 0; accepted is an electric field in V/m")
    if size < _LEAST_V_PER_M:
        raise InputError(
            f"{path}: found fields up to {size:.3g}, too weak for V/m near a coil: are they in V/mm? Accepted are "
            f"{_LEAST_V_PER_M:g} to {_LARGEST_V_PER_M:g} V/m, or give unit: V/mm or V/m"
        )
    if size > _LARGEST_V_PER_M:
        raise InputError(
            f"{path}: found fields up to {size:.3g}, too strong for V/m: are they in mV/m? Accepted are "
            f"{_LEAST_V_PER_M:g} to {_LARGEST_V_PER_M:g} V/m, or give unit: mV/m or V/m"
        )
    return value


def read_vector_volume(path: str | Path, *, unit: str | None = None, tissue: str | Path | None = None) -> GridField:
    """The field of a NIfTI volume of three components, (x, y, z, 3) or (x, y, z, 1, 3), in head axes (RAS mm).

    Parameters
    ----------
    unit : of the values, one of `FACTORS`; None accepts V/m and refuses values that look like another unit.
    tissue : NIfTI mask on the same grid (not 0 is tissue); None takes the voxels whose vector is finite and not 0.

    Raises
    ------
    InputError
        If the file is missing or foreign, has no vectors, no affine, another unit, or the mask another grid.
    """
    path = Path(path)
    image = _nifti(path)
    shape = image.shape
    if len(shape) == 5 and shape[3] == 1:
        shape = (*shape[:3], shape[4])
    if len(shape) != 4 or shape[3] != 3:
        raise InputError(
            f"{path}: found no vectors: the volume has the shape {image.shape}; accepted is (x, y, z, 3): the three "
            f"components of the field, not its magnitude"
        )
    try:
        value = np.asarray(image.dataobj, dtype=np.float32).reshape(shape)
    except _READ_ERRORS as error:
        raise InputError(f"{path}: found a broken volume ({error}); accepted is a whole NIfTI file") from None
    known = np.isfinite(value).all(axis=3) & np.any(value != 0, axis=3)
    if tissue is not None:
        mask = _nifti(Path(tissue))
        if mask.shape[:3] != shape[:3] or not np.allclose(mask.affine, image.affine, atol=1e-3):
            raise InputError(
                f"{tissue}: found the grid {mask.shape[:3]}, accepted is that of {path}: {shape[:3]} with its affine"
            )
        known &= np.asarray(mask.dataobj).reshape(shape[:3]) > 0
    header = image.header
    words = " ".join(
        bytes(header[key]).split(b"\0")[0].decode("latin1")
        for key in ("descrip", "intent_name", "aux_file")
        if key in header
    )
    value[known] = _in_volt_per_metre(path, value[known], unit, words)
    return GridField(value, image.affine, known)


def _nifti(path: Path) -> nibabel.Nifti1Image:
    if not path.is_file():
        raise InputError(f"{path}: no such file; accepted is a NIfTI volume (.nii, .nii.gz)")
    try:
        image = nibabel.load(path)
    except _READ_ERRORS as error:
        raise InputError(f"{path}: found no NIfTI volume ({error}); accepted is .nii or .nii.gz") from None
    if not isinstance(image, nibabel.Nifti1Pair) or abs(np.linalg.det(image.affine[:3, :3])) < 1e-9:
        raise InputError(
            f"{path}: found {type(image).__name__} without a usable affine; accepted is a NIfTI volume in RAS mm"
        )
    return image


def write_vector_volume(path: str | Path, field: GridField) -> None:
    """Write a field as NIfTI (x, y, z, 3) in V/m; voxels outside its tissue hold 0."""
    value = np.where(field.tissue[..., None], np.nan_to_num(field.value), 0.0).astype(np.float32)
    image = nibabel.Nifti1Image(value, field.affine)
    image.header.set_xyzt_units("mm")
    image.header["descrip"] = b"electric field, V/m"
    nibabel.save(image, path)


def read_mesh_field(
    path: str | Path,
    *,
    name: str = "E",
    tags: tuple[int, ...] | None = GREY_AND_WHITE,
    unit: str | None = None,
    smooth: bool = True,
) -> MeshField:
    """The field of a SimNIBS mesh (Gmsh 2.2).

    Parameters
    ----------
    name : of the element data or node data with three components.
    tags : tissues that count; None for all.
    unit : as in `read_vector_volume`.
    smooth : values of tetrahedra are carried to nodes within each tissue (`recovered_at_nodes`), so that the field is
        continuous within a tissue and may jump between tissues; False leaves it constant in each tetrahedron.

    Raises
    ------
    InputError
        If the file is no such mesh, has no vectors under this name, none of the tissues, or another unit.
    """
    path = Path(path)
    return mesh_field(read_mesh(path), path, name=name, tags=tags, unit=unit, smooth=smooth)


def mesh_field(
    mesh: Mesh, path: Path, *, name: str, tags: tuple[int, ...] | None, unit: str | None, smooth: bool
) -> MeshField:
    """As `read_mesh_field`, of a mesh that is read already; ``path`` is for messages."""
    data = {**mesh.node_data, **mesh.tetrahedron_data}
    if name not in data or data[name].shape[1] != 3:
        found = ", ".join(f"{key} ({value.shape[1]})" for key, value in data.items()) or "none"
        raise InputError(
            f"{path}: found no vectors named {name!r}; data with their components: {found}; accepted are three "
            f"components"
        )
    chosen = np.ones(len(mesh.tetrahedra), dtype=bool) if tags is None else np.isin(mesh.tetrahedron_tag, tags)
    if name in mesh.tetrahedron_data:
        chosen &= np.isfinite(mesh.tetrahedron_data[name]).all(axis=1)
    if not chosen.any():
        raise InputError(
            f"{path}: found tetrahedra with the tags {sorted(set(mesh.tetrahedron_tag.tolist()))}; accepted are "
            f"some with {tags} and values of {name!r}"
        )
    tetrahedra, tissue = mesh.tetrahedra[chosen], mesh.tetrahedron_tag[chosen]
    if name not in mesh.tetrahedron_data:
        used = np.unique(tetrahedra)
        value = np.full((len(mesh.nodes), 3), np.nan)
        value[used] = _in_volt_per_metre(path, mesh.node_data[name][used], unit, name)
        return MeshField(mesh.nodes, tetrahedra, value, at_nodes=True)
    value = _in_volt_per_metre(path, mesh.tetrahedron_data[name][chosen], unit, name)
    if not smooth:
        return MeshField(mesh.nodes, tetrahedra, value, at_nodes=False)
    # Nodes on the face between two tissues exist once for each, so that the field may jump there.
    corners, own = np.unique(np.stack([np.repeat(tissue, 4), tetrahedra.ravel()], axis=1), axis=0, return_inverse=True)
    nodes, split = mesh.nodes[corners[:, 1]], own.reshape(-1, 4)
    return MeshField(nodes, split, recovered_at_nodes(nodes, split, value), at_nodes=True)


def read_field(path: str | Path, *, unit: str | None = None, name: str = "E") -> GridField | MeshField:
    """The field of a file of either kind, told by its suffix: ``.msh``, ``.nii`` or ``.nii.gz``.

    Raises
    ------
    InputError
        As `read_mesh_field` and `read_vector_volume`, and for another suffix.
    """
    words = Path(path).name.lower()
    if words.endswith(".msh"):
        return read_mesh_field(path, name=name, unit=unit)
    if words.endswith((".nii", ".nii.gz")):
        return read_vector_volume(path, unit=unit)
    raise InputError(f"{path}: found the suffix {Path(path).suffix!r}; accepted are .msh (Gmsh 2.2), .nii and .nii.gz")


def write_surface(path: str | Path, vertices_mm: np.ndarray, faces: np.ndarray) -> None:
    """A triangulated surface as GIFTI (``.surf.gii``): vertices (V, 3) mm, faces (F, 3)."""
    space = nibabel.nifti1.data_type_codes
    points = nibabel.gifti.GiftiDataArray(
        np.asarray(vertices_mm, dtype=np.float32),
        intent="NIFTI_INTENT_POINTSET",
        datatype=space["float32"],
        coordsys=nibabel.gifti.GiftiCoordSystem(dataspace=4, xformspace=4, xform=np.eye(4)),
    )
    triangles = nibabel.gifti.GiftiDataArray(
        np.asarray(faces, dtype=np.int32), intent="NIFTI_INTENT_TRIANGLE", datatype=space["int32"]
    )
    nibabel.save(nibabel.gifti.GiftiImage(darrays=[points, triangles]), path)


def write_surface_maps(path: str | Path, maps: Mapping[str, np.ndarray], structure: str = "CortexLeft") -> None:
    """Maps on a surface's vertices as GIFTI (``.func.gii``): name -> (V,) values, NaN where there are none.

    Equal values give equal bytes.

    Raises
    ------
    InputError
        If the maps differ in length.
    """
    lengths = {name: len(value) for name, value in maps.items()}
    if len(set(lengths.values())) != 1:
        raise InputError(f"surface maps: found the lengths {lengths}, accepted is one value for each vertex")
    arrays = [
        nibabel.gifti.GiftiDataArray(
            np.asarray(value, dtype=np.float32),
            intent="NIFTI_INTENT_NONE",
            datatype=nibabel.nifti1.data_type_codes["float32"],
            meta={"Name": name},
        )
        for name, value in maps.items()
    ]
    meta = nibabel.gifti.GiftiMetaData({"AnatomicalStructurePrimary": structure})
    nibabel.save(nibabel.gifti.GiftiImage(darrays=arrays, meta=meta), path)
