"""Verification of the brain mechanics against closed forms, conservation laws and finer meshes.

Each function gives lines of the verification table (`understudy.verification.check`); tests assert them and the report
prints them. All together take a few seconds at the published settings.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from scipy.special import spherical_jn

from understudy.anatomy import load_template
from understudy.axon.brain_mechanics import (
    ElementModel,
    ImpactRun,
    element_model,
    internal_forces,
    rotation_matrix,
    simulate_impact,
    time_step,
)
from understudy.axon.brain_mesh import BrainMesh, block_mesh, build_brain_mesh, cell_means, voxel_mesh
from understudy.axon.config import Head, Impacts, Tissue
from understudy.axon.impacts import Impact, draw_impacts, peak_velocity
from understudy.axon.tissue_energy import MODES, strain_energy_density
from understudy.axon.tissue_kernel import advance
from understudy.verification import check

LEFT_RIGHT = np.array([1.0, 0.0, 0.0])
"""Direction field of the mesh studies: all white matter runs from left to right."""

MEDIAN_STRAIN_RANGE = (0.03, 0.15)
"""Accepted 95th-percentile fibre strain of the median impact; found: axonal strain 0.08-0.14 at injury (PMC7757550)."""

# First zero of the spherical Bessel function j1: the slowest torsional mode of a sphere in a fixed shell.
_FIRST_ZERO_J1 = 4.493409457909064
_BLOCK_ELEMENT_M = 4e-3


def _elastic(tissue: Tissue) -> Tissue:
    return tissue.model_copy(update={"prony_moduli": (), "prony_times_s": ()})


def _no_fibres(mesh: BrainMesh) -> np.ndarray:
    return np.zeros((len(mesh.elements), 3))


def check_patch(tissue: Tissue) -> list[dict]:
    """A large affine deformation of a block gives the closed-form force on its faces and none inside.

    The first Piola stress comes from central differences of the energy density. Their truncation and rounding leave
    about 1e-9 of the stress, of which the tolerance is a hundredfold.
    """
    mesh = block_mesh((4, 4, 4), _BLOCK_ELEMENT_M)
    direction = np.array([2.0, -1.0, 2.0]) / 3.0
    # So short a step that no Prony term has relaxed.
    model = element_model(mesh, tissue, np.tile(direction, (len(mesh.elements), 1)), dt_s=1e-12)
    gradient = np.array([[1.08, 0.12, -0.05], [0.04, 0.95, 0.15], [-0.07, 0.03, 1.02]])
    gradient /= np.linalg.det(gradient / 1.002) ** (1 / 3)
    force = internal_forces(model, mesh.nodes @ gradient.T)

    def energy_density(f: np.ndarray) -> float:
        isochoric = strain_energy_density(
            tuple(f.ravel()),
            tissue.shear_modulus_Pa,
            tissue.fibre_stiffness_Pa,
            tuple(direction),
            tissue.fibre_dispersion,
        )
        return isochoric + 0.5 * model.bulk_Pa * (np.linalg.det(f) - 1.0) ** 2

    stress = np.zeros((3, 3))
    step = 1e-5
    for i, k in np.ndindex(3, 3):
        change = np.zeros((3, 3))
        change[i, k] = step
        stress[i, k] = (energy_density(gradient + change) - energy_density(gradient - change)) / (2 * step)
    half = 0.5 * 4 * _BLOCK_ELEMENT_M
    area = (2 * half) ** 2
    # Force of the upper face less that of the lower face; edge nodes belong to several faces, so weigh by position.
    moment = force.T @ mesh.nodes
    found = moment / (area * 2 * half)
    scale = np.abs(stress).max()
    inside = np.abs(force[~mesh.skull]).max() / (scale * _BLOCK_ELEMENT_M**2)
    return [
        check(
            "patch test: first Piola stress of an affine deformation, largest relative deviation",
            np.abs(found - stress).max() / scale,
            0.0,
            1e-7,
            source="derivative of the energy density",
        ),
        check("patch test: force on inner nodes over stress times face", inside, 0.0, 1e-10, source="equilibrium"),
    ]


def check_rigid_rotation(tissue: Tissue) -> list[dict]:
    """A rotation by 1 rad gives no nodal force beyond rounding, relative to shear modulus times face."""
    mesh = block_mesh((6, 5, 4), _BLOCK_ELEMENT_M)
    model = element_model(mesh, tissue, np.tile(LEFT_RIGHT, (len(mesh.elements), 1)), dt_s=1e-5)
    force = internal_forces(model, mesh.nodes @ rotation_matrix(np.array([0.6, -0.48, 0.64])).T)
    value = np.abs(force).max() / (tissue.shear_modulus_Pa * mesh.element_m**2)
    return [check("rigid rotation by 1 rad: nodal force over G0 h^2", value, 0.0, 1e-10, source="objectivity")]


def check_relaxation(tissue: Tissue) -> list[dict]:
    """Shear stress under a held shear follows the Prony series (exact for the convolution's midpoint rule)."""
    dt_s = 1e-4
    mesh = block_mesh((1, 1, 1), _BLOCK_ELEMENT_M)
    model = element_model(mesh, tissue, _no_fibres(mesh), dt_s)
    sheared = mesh.nodes.copy()
    sheared[:, 0] += 0.1 * mesh.nodes[:, 2]
    top = mesh.nodes[:, 2] > 0
    stress = np.array([internal_forces(model, sheared)[top, 0].sum() for _ in range(300)]) / mesh.element_m**2
    # The step in strain is spread over one step, so it happens half a step before the first sample.
    time_s = (np.arange(300) + 0.5) * dt_s
    expected = np.full(300, model.long_time)
    for modulus, relaxation_s in zip(tissue.prony_moduli, tissue.prony_times_s, strict=True):
        expected += modulus * np.exp(-time_s / relaxation_s)
    value = np.abs(stress / (0.1 * tissue.shear_modulus_Pa) - expected).max()
    return [
        check("stress relaxation under held shear: largest deviation over G0", value, 0.0, 1e-9, source="Prony series")
    ]


def _let_move(
    model: ElementModel,
    positions: np.ndarray,
    velocity: np.ndarray,
    mobility: np.ndarray,
    dt_s: float,
    steps: int,
) -> None:
    """Move on by ``steps`` without a skull; components with zero mobility keep their velocity."""
    none = np.zeros(0, dtype=np.int64)
    advance(
        positions,
        velocity,
        model.mass_kg,
        mobility,
        none,
        np.zeros((0, 3)),
        np.tile(np.eye(3), (steps, 1, 1)),
        dt_s,
        *model.constants,
        np.zeros_like(positions),
        np.zeros(5),
    )


def check_shear_wave(tissue: Tissue) -> list[dict]:
    """A shear pulse of small amplitude along an elastic column arrives after distance / sqrt(G/rho).

    The pulse is a Gaussian of five elements' standard deviation; the grid's dispersion slows the group velocity by
    about (k h)^2 / 8 = 0.5 %, so 1 % is accepted.
    """
    elements, width, start, distance = 100, 5.0, 25.0, 50.0
    elastic = _elastic(tissue)
    mesh = block_mesh((1, 1, elements), _BLOCK_ELEMENT_M)
    _, dt_s = time_step(mesh.element_m, elastic, 1.0)
    model = element_model(mesh, elastic, _no_fibres(mesh), dt_s)
    speed = math.sqrt(tissue.shear_modulus_Pa / tissue.density_kg_per_m3)
    height = mesh.nodes[:, 2] / mesh.element_m + 0.5 * elements

    def pulse(centre: float) -> np.ndarray:
        return 1e-4 * mesh.element_m * np.exp(-0.5 * ((height - centre) / width) ** 2)

    positions = mesh.nodes.copy()
    positions[:, 0] += pulse(start)
    velocity = np.zeros_like(positions)
    # The velocities belong to half a step before the start.
    back = 0.5 * dt_s * speed / mesh.element_m
    velocity[:, 0] = speed / mesh.element_m * pulse(start - back) * (height - start + back) / width**2
    mobility = np.zeros_like(positions)
    mobility[:, 0] = 1.0 / model.mass_kg
    at = np.flatnonzero(height == start + distance)[0]
    every = 10
    seen = []
    for _ in range(math.ceil(1.2 * distance * mesh.element_m / speed / (every * dt_s))):
        _let_move(model, positions, velocity, mobility, dt_s, every)
        seen.append(positions[at, 0] - mesh.nodes[at, 0])
    peak = int(np.argmax(seen))
    before, middle, after = seen[peak - 1 : peak + 2]
    arrival_s = (peak + 1 + 0.5 * (before - after) / (before - 2 * middle + after)) * every * dt_s
    value = arrival_s / (distance * mesh.element_m / speed)
    return [check("shear-wave arrival over d / sqrt(G/rho)", value, 1.0, 0.01, source="elastic wave speed")]


def sphere_mesh(radius_m: float, element_m: float) -> BrainMesh:
    """Cubes whose centres lie inside a sphere about the origin."""
    half = math.ceil(radius_m / element_m) + 1
    centre = (np.arange(2 * half) - half + 0.5) * element_m
    x, y, z = np.meshgrid(centre, centre, centre, indexing="ij")
    cells = x**2 + y**2 + z**2 < radius_m**2
    origin = np.full(3, -half * element_m)
    return voxel_mesh(cells, np.zeros_like(cells), element_m, origin, np.zeros(3), 1.0)


def check_sphere_mode(tissue: Tissue, radius_m: float = 0.06, element_m: float = 5e-3) -> list[dict]:
    """Half period of the slowest torsional mode of an elastic sphere in a fixed shell, pi a / (4.4934 sqrt(G/rho)).

    The staircase surface of cubes places the shell within a fraction of an element: 3 % is accepted.
    """
    elastic = _elastic(tissue)
    mesh = sphere_mesh(radius_m, element_m)
    _, dt_s = time_step(element_m, elastic, 1.0)
    model = element_model(mesh, elastic, _no_fibres(mesh), dt_s)
    radius = np.maximum(np.linalg.norm(mesh.nodes, axis=1), 1e-9)
    about_z = np.column_stack([-mesh.nodes[:, 1], mesh.nodes[:, 0], np.zeros(len(radius))])
    mode = spherical_jn(1, _FIRST_ZERO_J1 * radius / radius_m)[:, None] * about_z / radius[:, None]
    mode[mesh.skull] = 0.0
    positions = mesh.nodes + 1e-4 * element_m * mode
    velocity = np.zeros_like(positions)
    mobility = np.where(mesh.skull, 0.0, 1.0 / model.mass_kg)[:, None] * np.ones(3)
    expected_s = math.pi * radius_m / (_FIRST_ZERO_J1 * math.sqrt(tissue.shear_modulus_Pa / tissue.density_kg_per_m3))
    every = 10
    amplitude = []
    for _ in range(math.ceil(1.7 * expected_s / (every * dt_s))):
        _let_move(model, positions, velocity, mobility, dt_s, every)
        amplitude.append(np.sum((positions - mesh.nodes) * mode * model.mass_kg[:, None]))
    amplitude = np.array(amplitude)
    crossings = np.flatnonzero(amplitude[:-1] * amplitude[1:] < 0)[:2]
    times = (crossings + amplitude[crossings] / (amplitude[crossings] - amplitude[crossings + 1])) * every * dt_s
    return [
        check(
            "torsional mode of an elastic sphere: half period over pi a / (4.4934 sqrt(G/rho))",
            (times[1] - times[0]) / expected_s,
            1.0,
            0.03,
            source="zero of the spherical Bessel function j1",
        )
    ]


def white_matter_elements(mesh: BrainMesh, element_mm: float) -> np.ndarray:
    """(e,) bool, elements that are white matter by more than half of their volume."""
    return cell_means(load_template("wm")[0], element_mm)[mesh.cell_element >= 0] > 0.5


def left_right_fibre_strain(head: Head, tissue: Tissue, impact: Impact) -> tuple[float, ImpactRun]:
    """95th percentile over white-matter elements of the peak fibre strain, all fibres running from left to right.

    The strain |F n| - 1 is that at the elements' centres, sampled at 1 ms.
    """
    mesh = build_brain_mesh(head)
    white = white_matter_elements(mesh, head.element_mm)
    direction = np.where(white[:, None], LEFT_RIGHT, 0.0)
    elements = mesh.elements[white]
    # F n at the centre of a cube is a fixed combination of its corners.
    weights = LEFT_RIGHT @ MODES[:3] / (4.0 * mesh.element_m)
    peak = np.zeros(len(elements))

    def record(_: int, positions: np.ndarray) -> None:
        stretched = np.einsum("c,eci->ei", weights, positions[elements])
        np.maximum(peak, np.linalg.norm(stretched, axis=1) - 1.0, out=peak)

    run = simulate_impact(mesh, tissue, direction, impact, on_sample=record)
    return float(np.percentile(peak, 95)), run


def median_impact(impacts: Sequence[Impact]) -> Impact:
    """The impact in the middle of the order of peak angular velocity."""
    return sorted(impacts, key=peak_velocity)[(len(impacts) - 1) // 2]


def check_brain(
    impact: Impact, tissue: Tissue, scale: float, coarse_mm: float = 8.0, fine_mm: float = 6.0
) -> list[dict]:
    """Energy balance, fibre strain and its change with the mesh, of one impact on two meshes of the brain.

    The balance is relative to the energy of the deformation, which is stricter than relative to all energy.
    """
    coarse, _ = left_right_fibre_strain(Head(element_mm=coarse_mm, scale=scale), tissue, impact)
    fine, run = left_right_fibre_strain(Head(element_mm=fine_mm, scale=scale), tissue, impact)
    hourglass = run.hourglass_J.max() / (run.strain_J + run.viscous_J).max()
    low, high = MEDIAN_STRAIN_RANGE
    return [
        check(
            "energy balance of an impact over the energy of deformation",
            run.energy_balance,
            0.0,
            0.02,
            source="first law",
        ),
        check("hourglass energy over the energy of deformation", hourglass, 0.0, 0.1, source="common practice"),
        check(
            f"95th-percentile fibre strain (left-right fibres): change from {coarse_mm:g} to {fine_mm:g} mm elements",
            abs(coarse / fine - 1.0),
            0.0,
            0.1,
            source="mesh convergence",
        ),
        check(
            f"95th-percentile fibre strain (left-right fibres) of the median impact, {fine_mm:g} mm elements",
            fine,
            f"{low:g} to {high:g}",
            "range",
            passed=low <= fine <= high,
            source="range of strains at which the axon model responds",
        ),
    ]


def check_bulk_modulus(impact: Impact, tissue: Tissue, scale: float, element_mm: float = 8.0) -> list[dict]:
    """Tenfold bulk modulus hardly moves the fibre strain: the tissue is nearly incompressible as it is."""
    stiff = tissue.model_copy(update={"bulk_modulus_MPa": 10.0 * tissue.bulk_modulus_MPa})
    soft_strain, _ = left_right_fibre_strain(Head(element_mm=element_mm, scale=scale), tissue, impact)
    stiff_strain, _ = left_right_fibre_strain(Head(element_mm=element_mm, scale=scale), stiff, impact)
    return [
        check(
            f"95th-percentile fibre strain: change under ten times the bulk modulus, {element_mm:g} mm elements",
            abs(stiff_strain / soft_strain - 1.0),
            0.0,
            0.05,
            source="limit of incompressibility",
        )
    ]


def verify_brain_mechanics(impacts: Impacts, head: Head, tissue: Tissue, seed: int) -> list[dict]:
    """All lines of the verification table that concern the brain's deformation.

    The median of the impacts drawn from ``impacts`` and ``seed`` is used on the brain, whatever ``impacts.source``.
    """
    impact = median_impact(draw_impacts(impacts, seed))
    return [
        *check_patch(tissue),
        *check_rigid_rotation(tissue),
        *check_relaxation(tissue),
        *check_shear_wave(tissue),
        *check_sphere_mode(tissue),
        *check_brain(impact, tissue, head.scale),
        *check_bulk_modulus(impact, tissue, head.scale),
    ]
