"""Verification of fibre orientation and fibre strain: lines for the tests and the report."""

from __future__ import annotations

import numpy as np
from scipy.spatial.transform import Rotation

from understudy.axon.brain_mesh import BrainMesh
from understudy.axon.fibre_orientation import FibreField
from understudy.axon.fibre_strain import FibreGauges, fibre_gauges, fibre_strain
from understudy.axon.white_matter import WhiteMatter
from understudy.verification import check

# Mid-sagittal callosum and posterior limb of the internal capsule in MNI152 mm (from the template: compact white
# matter there belongs to these alone).
_CALLOSUM_MM = np.array([[-2.0, 2.0], [-42.0, 34.0], [-2.0, 40.0]])
_CAPSULE_MM = np.array([[17.0, 27.0], [-20.0, -8.0], [2.0, 14.0]])
_COMPACT = 0.8

# Floating point: positions of 0.1 m over a gauge of 2 mm lose less than 1e-13.
_STRAIN_TOLERANCE = 1e-10


def _box(white_matter: WhiteMatter, box_mm: np.ndarray, mirrored: bool) -> np.ndarray:
    point = white_matter.centre_mm.copy()
    if mirrored:
        point[:, 0] = np.abs(point[:, 0])
    return ((point >= box_mm[:, 0]) & (point <= box_mm[:, 1])).all(axis=1) & (white_matter.probability > _COMPACT)


def callosum(white_matter: WhiteMatter) -> np.ndarray:
    """(v,) bool, corpus callosum within 2 mm of the mid-sagittal plane."""
    return _box(white_matter, _CALLOSUM_MM, mirrored=False)


def internal_capsule(white_matter: WhiteMatter) -> np.ndarray:
    """(v,) bool, posterior limb of both internal capsules."""
    return _box(white_matter, _CAPSULE_MM, mirrored=True)


def check_directions(field: FibreField, white_matter: WhiteMatter) -> list[dict]:
    """Median directions in the callosum and the internal capsule, on covered and on other voxels apart.

    A part without voxels (no gap in the capsule, say) gives no line.
    """
    places = (
        ("callosum, mid-sagittal: median |n_x|", callosum(white_matter), 0, 0.9),
        ("internal capsule: median |n_z|", internal_capsule(white_matter), 2, 0.8),
    )
    if field.source == "tractogram":
        parts = (("voxels covered by streamlines", field.covered), ("filled voxels", ~field.covered))
    else:
        parts = (("synthetic field", np.ones(len(field.covered), dtype=bool)),)
    checks = []
    for words, place, axis, limit in places:
        for part, chosen in parts:
            voxels = place & chosen
            if voxels.any():
                value = float(np.median(np.abs(field.direction[voxels, axis])))
                checks.append(
                    check(f"{words}, {part} (n = {voxels.sum()})", value, f"> {limit}", "lower limit", value > limit,
                          "anatomy: commissural fibres cross the midline, the pyramidal tract descends")
                )  # fmt: skip
    return checks


def check_rigid_rotation(mesh: BrainMesh, gauges: FibreGauges) -> dict:
    """Largest strain when the mesh turns by 80 degrees about a skew axis."""
    turn = Rotation.from_rotvec(np.deg2rad(80.0) * np.array([1.0, 2.0, -2.0]) / 3.0)
    value = float(np.abs(fibre_strain(gauges, turn.apply(mesh.nodes))).max())
    return check("fibre strain in rigid rotation by 80 degrees, largest", value, 0.0, _STRAIN_TOLERANCE,
                 source="analytic: no strain")  # fmt: skip


def shear_strain(shear: float, angle: np.ndarray) -> np.ndarray:
    """Engineering strain of fibres at ``angle`` (rad) from x in simple shear x + ``shear`` y: lambda - 1,
    lambda^2 = 1 + 2 g sin cos + g^2 sin^2."""
    return np.sqrt(1 + 2 * shear * np.sin(angle) * np.cos(angle) + (shear * np.sin(angle)) ** 2) - 1


def check_simple_shear(mesh: BrainMesh, centre_mm: np.ndarray, shear: float = 0.2) -> dict:
    """Largest deviation from the closed form for fibres in the x-y plane at angles from 0 to 180 degrees."""
    angle = np.linspace(0.0, np.pi, len(centre_mm))
    direction = np.stack([np.cos(angle), np.sin(angle), np.zeros_like(angle)], axis=1)
    sheared = mesh.nodes.copy()
    sheared[:, 0] += shear * sheared[:, 1]
    strain = fibre_strain(fibre_gauges(mesh, centre_mm, direction), sheared)
    value = float(np.abs(strain - shear_strain(shear, angle)).max())
    return check(f"fibre strain in simple shear of {shear:g}, largest deviation from the closed form", value, 0.0,
                 _STRAIN_TOLERANCE, source="analytic: lambda^2 = 1 + 2 g sin cos + g^2 sin^2")  # fmt: skip


def check_fibres(mesh: BrainMesh, white_matter: WhiteMatter, field: FibreField) -> list[dict]:
    """All checks of orientation and strain on the meshes and fields of a run."""
    gauges = fibre_gauges(mesh, white_matter.centre_mm, field.direction)
    return [
        *check_directions(field, white_matter),
        check_rigid_rotation(mesh, gauges),
        check_simple_shear(mesh, white_matter.centre_mm),
    ]
