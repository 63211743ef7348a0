"""Verification of fields: one field through files, the sphere in closed form, the voxel solver, refinement."""

from __future__ import annotations

from functools import partial
from pathlib import Path

import numpy as np
from scipy.spatial import Delaunay
from scipy.spatial.transform import Rotation

from understudy.tms import spherical_head
from understudy.tms.cell_verification import FINE, CellUnderTest, neuron_thresholds, relative_difference
from understudy.tms.coils import Coil, flux_density, placed, primary_field
from understudy.tms.conduction import (
    ConductionSolver,
    injected_current,
    interpolate_potential,
    primary_at_voxels,
)
from understudy.tms.field_sampling import CellPose, quasi_potentials
from understudy.tms.field_volumes import read_mesh_field, read_vector_volume, write_vector_volume
from understudy.tms.fields import GridField
from understudy.tms.files import PlacedCells, Placement
from understudy.tms.gmsh_file import Mesh
from understudy.tms.gmsh_writing import write_mesh
from understudy.tms.head_model import HeadModel
from understudy.tms.layered_sphere import RADII_MM, cap_points, injected_potential, sphere_voxels
from understudy.tms.local_field import LocalBox, tissue_field
from understudy.tms.threshold_engine import find_thresholds
from understudy.verification import check

_FIELD_V_PER_M = np.array([60.0, -85.0, 40.0])
_POSITION_MM = np.array([[-37.0, -21.0, 58.0]])
_NORMAL = np.array([[-0.5, 0.2, 0.84]])
_AZIMUTH_RAD = np.array([2.1])

_SPHERE_POSE = np.array([[0.8, -0.6, 0, 5.0], [0.6, 0.8, 0, -7], [0, 0, 1, 98], [0, 0, 0, 1]])
_ELECTRODES = np.array([[0.0, 0, 1], [1, 0, 0]])
_CURRENT_A = 1e-3
_CAP_RAD = 0.05
_FACTOR = 4

_REFINED_BOX_MM = 20.0
"""Edge of the box that is solved twice (choice: holds the axons of cells in its middle)."""
_NEAR_MIDDLE_MM = 6.0


def files_against_extracellular(
    tested: CellUnderTest, waveform: np.ndarray, dt_ms: float, folder: Path, generator: np.random.Generator
) -> list[dict]:
    """One uniform field, one cell that is turned and moved: `extracellular`, injection, NIfTI file and mesh file.

    The reference turns the field into the cell's frame by rotations of its own; the files are written, read back, and
    sampled at the compartments of the placed cell.
    """
    compartments = tested.compartments
    normal = _NORMAL[0] / np.linalg.norm(_NORMAL)
    axis = np.cross([0.0, 0, 1], normal)
    tilt = Rotation.from_rotvec(axis / np.linalg.norm(axis) * np.arccos(normal[2]))
    own = (tilt * Rotation.from_euler("z", _AZIMUTH_RAD[0])).inv().apply(_FIELD_V_PER_M)
    potential = -1e-3 * (compartments.centre - compartments.centre[0]) @ (own / np.linalg.norm(own))
    near = find_thresholds(
        compartments, potential[None], waveform, dt_ms, tolerance=FINE, rest_mV=tested.rest_mV
    ).threshold
    outside, _ = neuron_thresholds(tested, potential[None], near, waveform, dt_ms, coupling="extracellular")
    injection, _ = neuron_thresholds(tested, potential[None], near, waveform, dt_ms)

    reach = 1e-3 * np.linalg.norm(compartments.centre, axis=1).max() + 2.0
    pose = CellPose(_POSITION_MM, _NORMAL, _AZIMUTH_RAD)
    volume, mesh = folder / "field.nii.gz", folder / "field.msh"
    cells = int(np.ceil(2 * reach / 0.7)) + 1
    affine = np.diag([-0.7, 0.7, 0.7, 1.0])
    affine[:3, 3] = _POSITION_MM[0] + reach * np.array([1.0, -1, -1])
    write_vector_volume(volume, GridField(np.broadcast_to(_FIELD_V_PER_M, (cells, cells, cells, 3)).copy(), affine))
    corners = np.array([[x, y, z] for x in (-1.0, 1) for y in (-1.0, 1) for z in (-1.0, 1)])
    nodes = _POSITION_MM[0] + reach * np.concatenate([corners, generator.uniform(-1, 1, (150, 3))])
    tetrahedra = Delaunay(nodes).simplices.astype(np.int32)
    tags, none = np.full(len(tetrahedra), 2, np.int32), np.zeros((0, 3), np.int32)
    value = np.tile(_FIELD_V_PER_M, (len(tetrahedra), 1))
    write_mesh(mesh, Mesh(nodes, tetrahedra, none, tags, np.zeros(0, np.int32), {}, {"E": value}, {}))
    found = {"NEURON with equivalent currents": float(injection[0])}
    for words, field in (("NIfTI volume", read_vector_volume(volume)), ("mesh file", read_mesh_field(mesh))):
        sampled = quasi_potentials(field, compartments, pose)
        covered = bool(sampled.inside.all())
        threshold = find_thresholds(
            compartments, sampled.potential, waveform, dt_ms, tolerance=FINE, rest_mV=tested.rest_mV
        ).threshold[0]
        found[f"{words}, cell turned and moved, engine"] = float(threshold) if covered else np.nan
    return [
        check(
            f"{tested.cell.cell_type}: one uniform field, {words}: difference from extracellular",
            relative_difference(np.array([threshold]), outside),
            0.0,
            1e-3,
            source=f"NEURON's mechanism extracellular, {outside[0]:.3f} V/m; brackets are {FINE:g} wide",
        )
        for words, threshold in found.items()
    ]


def sphere_equations(coil: Coil, generator: np.random.Generator) -> list[dict]:
    """The field in a conducting sphere: no radial part, curl E = -dB/dt (sixth-order differences of 1 mm)."""
    points = generator.normal(size=(40, 3))
    points *= 60 * generator.uniform(0.3, 1, (40, 1)) / np.linalg.norm(points, axis=1, keepdims=True)

    def field(places: np.ndarray) -> np.ndarray:
        return spherical_head.field(coil, _SPHERE_POSE, np.zeros(3), places)

    e = field(points)
    radial = np.abs(np.einsum("ni,ni->n", e, points) / np.linalg.norm(points, axis=1)).max()
    slope = np.zeros((len(points), 3, 3))
    for axis, shift in enumerate(np.eye(3)):
        for distance, weight in ((1, 45 / 60), (2, -9 / 60), (3, 1 / 60)):
            slope[:, :, axis] += weight * (field(points + distance * shift) - field(points - distance * shift)) / 1e-3
    curl = np.stack([slope[:, (i + 2) % 3, (i + 1) % 3] - slope[:, (i + 1) % 3, (i + 2) % 3] for i in range(3)], axis=1)
    rate = 1e6 * flux_density(coil, _SPHERE_POSE, points)
    return [
        check(
            "sphere: radial field over the largest field",
            radial / np.abs(e).max(),
            0.0,
            1e-6,
            source="a coil drives no radial field in a spherical conductor",
        ),
        check(
            "sphere: curl E + dB/dt over the largest dB/dt",
            np.abs(curl + rate).max() / np.abs(rate).max(),
            0.0,
            1e-6,
            source="Maxwell-Faraday; flux density of the same dipoles",
        ),
    ]


def layered_sphere(coil: Coil, conductivity: np.ndarray, spacing_mm: float) -> list[dict]:
    """The voxel solver on concentric spheres, under a coil and with electrodes, and with its conductivities confused.

    Parameters
    ----------
    conductivity : (6,) S/m by tissue, air first.
    """
    fine, affine = sphere_voxels(spacing_mm, _FACTOR)
    solver = ConductionSolver(fine, _FACTOR, conductivity, affine)
    white = solver.label[tuple(solver.voxels.T)] == 1
    places = solver.centres_mm()[white]
    sources = placed(coil, _SPHERE_POSE)[0]
    solution = solver.solve(primary_at_voxels(solver, partial(primary_field, coil, _SPHERE_POSE), sources))
    expected = spherical_head.field(coil, _SPHERE_POSE, np.zeros(3), places)
    error = np.linalg.norm(solution.field[white] - expected) / np.linalg.norm(expected)
    equal = np.r_[0.0, np.full(len(conductivity) - 1, conductivity[2])]
    size = f"{spacing_mm:g} mm voxels"
    series = "Legendre series of two cap electrodes"
    confused = _electrode_error(ConductionSolver(fine, _FACTOR, equal, affine), conductivity)
    return [
        check(
            f"layered sphere under a coil, field in white matter, relative L2 error ({size})",
            error,
            0.0,
            0.025,
            source="closed form in a spherical conductor",
        ),
        check(
            f"layered sphere with electrodes, potential in white matter, relative L2 error ({size})",
            _electrode_error(solver, conductivity),
            0.0,
            0.03,
            source=series,
        ),
        check(
            "the same with all conductivities equal must fail",
            confused,
            "more than 0.03",
            "one-sided",
            passed=confused > 0.03,
            source=series,
        ),
    ]


def _electrode_error(solver: ConductionSolver, conductivity: np.ndarray) -> float:
    """Relative L2 error in white matter, about the mean, of the potential that two electrodes drive."""
    radius = RADII_MM[-1] - 0.1
    caps = [cap_points(electrode, _CAP_RAD, radius) for electrode in _ELECTRODES]
    current = np.concatenate(
        [np.full(len(c), sign * _CURRENT_A / len(c)) for c, sign in zip(caps, (1, -1), strict=True)]
    )
    solution = solver.solve(current=injected_current(solver, np.concatenate(caps), current))
    places = solver.centres_mm()[solver.label[tuple(solver.voxels.T)] == 1]
    found = interpolate_potential(solver, solution, places)
    expected = sum(
        injected_potential(places, electrode, sign * _CURRENT_A, RADII_MM, conductivity[1:], half_angle_rad=_CAP_RAD)
        for electrode, sign in zip(_ELECTRODES, (1, -1), strict=True)
    )
    found, expected = found - found.mean(), expected - expected.mean()
    return float(np.linalg.norm(found - expected) / np.linalg.norm(expected))


def planar_jump(words: str, below: float, above: float, spacing_mm: float = 1.0, cells: int = 32) -> list[dict]:
    """A tilted plane between two conductivities in the field of a point source: normal fields on its two sides.

    The source lies below, outside the box, whose faces hold the potential of the image solution. The field is sampled
    within each tissue one voxel away from the plane, as cells sample it.
    """
    normal = np.array([0.3, -0.2, 1.0]) / np.linalg.norm([0.3, -0.2, 1.0])
    offset = 0.23 * spacing_mm
    source = -1.2 * cells * spacing_mm * normal
    image = source + 2 * (offset - source @ normal) * normal
    share = (below - above) / (below + above)

    def potential(points: np.ndarray) -> np.ndarray:
        near, far = np.linalg.norm(points - source, axis=-1), np.linalg.norm(points - image, axis=-1)
        return np.where(points @ normal < offset, 1 / near + share / far, (1 + share) / near)

    affine = np.diag([spacing_mm, spacing_mm, spacing_mm, 1.0])
    affine[:3, 3] = -0.5 * (cells - 1) * spacing_mm
    at = (np.arange(cells * _FACTOR) + 0.5) * spacing_mm / _FACTOR - 0.5 * cells * spacing_mm
    height = at[:, None, None] * normal[0] + at[None, :, None] * normal[1] + at * normal[2]
    fine = np.where(height < offset, 1, 2).astype(np.uint8)
    faces = np.ones((cells + 1,) * 3, dtype=bool)
    faces[1:-1, 1:-1, 1:-1] = False
    places = np.random.default_rng(0).uniform(-0.25, 0.25, (400, 3)) * cells * spacing_mm
    places += (offset - places @ normal)[:, None] * normal
    step = 1e-3 * spacing_mm * normal

    def ratio_errors(conductivity: tuple[float, float]) -> tuple[float, float]:
        """Of sampled fields one voxel away, and of all voxels whose centres are nearer than that."""
        solver = ConductionSolver(fine, _FACTOR, np.array([0.0, *conductivity]), affine, prescribed=faces)
        corners = np.stack(np.meshgrid(*[np.arange(cells + 1)] * 3, indexing="ij"), axis=-1)
        solution = solver.solve(potential=potential(corners * spacing_mm + solver.node_affine[:3, 3]))
        solved, exact = [], []
        for tissue, side in ((2, spacing_mm), (1, -spacing_mm)):
            points = places + side * normal
            solved.append(np.mean(tissue_field(solver, solution, (tissue,)).sample(points)[0] @ normal))
            exact.append(np.mean(potential(points - step) - potential(points + step)))
        sampled = abs((solved[0] / solved[1]) / (exact[0] / exact[1]) - 1)
        centres, high = solver.centres_mm(), solver.label[tuple(solver.voxels.T)] == 2
        near = (np.abs(centres).max(axis=1) < 0.3 * cells * spacing_mm) & (
            np.abs(centres @ normal - offset) < spacing_mm
        )
        # Each voxel holds the field on the side of its own tissue: the image solution of that side is its expectation.
        solved, exact = [], []
        for side in (near & high, near & ~high):
            at_centre = centres[side]
            moved = (
                at_centre
                + np.where(high[side], 1.0, -1.0)[:, None]
                * np.maximum(
                    0.0, 2 * np.linalg.norm(step) - np.where(high[side], 1.0, -1.0) * (at_centre @ normal - offset)
                )[:, None]
                * normal
            )
            solved.append(np.mean(solution.field[side] @ normal))
            exact.append(np.mean(potential(moved - step) - potential(moved + step)))
        return float(sampled), float(abs((solved[0] / solved[1]) / (exact[0] / exact[1]) - 1))

    (right, beside), (wrong, _) = ratio_errors((below, above)), ratio_errors((above, above))
    source_words = f"image solution, {below:g} and {above:g} S/m, tilted plane, sampled one voxel away on both sides"
    return [
        check(
            f"planar jump, {words}: ratio of normal fields beside it, relative error",
            right,
            0.0,
            0.05,
            source=source_words,
        ),
        check(
            f"planar jump, {words}: the same in the voxels nearer than one edge to the plane",
            beside,
            0.0,
            0.05,
            source="image solution; where a boundary cuts voxels obliquely this error does not fall with their size",
        ),
        check(
            f"planar jump, {words}: with both conductivities equal it must fail",
            wrong,
            "more than 0.05",
            "one-sided",
            passed=wrong > 0.05,
            source=source_words,
        ),
    ]


def refined_rows(
    samples: PlacedCells, placements: list[Placement], count: int, head: int = 0
) -> tuple[int, np.ndarray]:
    """The placement of a head with most cells near its middle, and up to ``count`` of those rows, evenly over them."""
    near = np.linalg.norm(samples.position_mm - np.array([p.centre_mm for p in placements])[samples.placement], axis=1)
    near = (near <= _NEAR_MIDDLE_MM) & np.isin(
        samples.placement, [number for number, placement in enumerate(placements) if placement.head == head]
    )
    if not near.any():
        return -1, np.zeros(0, dtype=int)
    chosen = int(np.argmax(np.bincount(samples.placement[near])))
    rows = np.flatnonzero(near & (samples.placement == chosen))
    return chosen, rows[np.linspace(0, len(rows) - 1, min(count, len(rows))).astype(int)]


def refinement(
    head: HeadModel,
    coil: Coil,
    placement: Placement,
    samples: PlacedCells,
    rows: np.ndarray,
    thresholds_of,
    compartments_of,
    spacing_mm: float,
) -> list[dict]:
    """Thresholds of placed cells in a box of ``spacing_mm`` and in one of half of that, both in the same head's field.

    Parameters
    ----------
    thresholds_of : (cell, potentials (n, M)) -> (n,) V/m, headline pulse; compartments_of : cell -> its compartments.
    """
    primary, sources = partial(primary_field, coil, placement.pose), placed(coil, placement.pose)[0]
    whole = head.solver()
    solution = whole.solve(primary_at_voxels(whole, primary, sources))
    poses = CellPose(samples.position_mm, samples.normal, samples.azimuth_rad)
    found = np.full((2, len(rows)), np.nan)
    for level, spacing in enumerate((spacing_mm, 0.5 * spacing_mm)):
        box = LocalBox(head, placement.centre_mm, _REFINED_BOX_MM, spacing)
        field = box.field(box.solve(whole, solution, primary, sources))
        for cell in np.unique(samples.cell[rows]):
            here = np.flatnonzero(samples.cell[rows] == cell)
            sampled = quasi_potentials(field, compartments_of(cell), poses.part(rows[here]))
            known = np.isfinite(sampled.potential).all(axis=1)
            if known.any():
                found[level, here[known]] = thresholds_of(cell, sampled.potential[known])
    known = np.isfinite(found).all(axis=0)
    change = np.abs(found[0, known] / found[1, known] - 1) if known.any() else np.array([np.inf])
    return [
        check(
            f"local field {spacing_mm:g} against {0.5 * spacing_mm:g} mm, median change of {known.sum()} thresholds",
            float(np.median(change)),
            0.0,
            0.02,
            source=f"refinement in a box of {_REFINED_BOX_MM:g} mm, one placement; 90 % of cells within "
            f"{np.quantile(change, 0.9):.1%}; {len(rows) - known.sum()} cells whose soma leaves the tissue of one of "
            "the two left out",
        )
    ]
