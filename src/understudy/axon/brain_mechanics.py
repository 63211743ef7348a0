"""Deformation of the brain under a head rotation: total-Lagrangian explicit finite elements.

Equations of motion by central differences with lumped mass; one-point cubes with hourglass control; tissue is
visco-hyperelastic (Prony convolution of the isochoric stress) with a dispersed fibre term and a volumetric penalty:

    S = g_inf S_iso + sum_k h_k + K J (J - 1) C^-1
    S_iso = G0 J^(-2/3) (I - I1/3 C^-1) + 2 k1 J^(-2/3) <Ebar> (H - (H:C)/3 C^-1),   H = kappa I + (1 - 3 kappa) n0 n0
    Ebar = kappa (I1bar - 3) + (1 - 3 kappa) (I4bar - 1)
    h_k <- exp(-dt/T_k) h_k + g_k exp(-dt/2T_k) (S_iso_new - S_iso_old)

CSF elements are elastic and without fibres. The skull is rigid and the tissue sticks to it.

Sources: Belytschko, Liu & Moran, Nonlinear Finite Elements (explicit dynamics); Gasser, Ogden & Holzapfel 2006,
J R Soc Interface 3:15 (fibres); Simo 1987, Comput Methods Appl Mech Eng 60:153 (convolution).
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from scipy.interpolate import PchipInterpolator

from understudy.axon.brain_mesh import BRAIN, BrainMesh
from understudy.axon.config import Tissue
from understudy.axon.impacts import Impact
from understudy.axon.tissue_energy import MODES, stored_energies
from understudy.axon.tissue_kernel import LANES, MATERIAL_ROWS, SCRATCH_ROWS, add_internal_forces, advance

_PASCAL_PER_MPA = 1e6


class Divergence(FloatingPointError):
    """The run has become meaningless: a volume ratio left its range or is NaN. The message names time and element."""


@dataclass(frozen=True)
class ElementModel:
    """Constants and viscous state of all elements for one run, laid out for `tissue_kernel`.

    ``constants`` are the arguments from ``elements`` to the scratch array of `tissue_kernel.add_internal_forces`.
    ``memory`` inside it is the state that a run changes: a model serves one run.
    """

    elements: np.ndarray
    n_elements: int
    material: np.ndarray
    memory: np.ndarray
    edge_m: float
    bulk_Pa: float
    dispersion: float
    long_time: float
    prony: np.ndarray
    gain: np.ndarray
    decay: np.ndarray
    rate_per_s: np.ndarray
    scratch: np.ndarray
    mass_kg: np.ndarray

    @property
    def constants(self) -> tuple:
        return (
            self.elements, self.n_elements, self.material, self.memory, self.edge_m, self.bulk_Pa, self.dispersion,
            self.long_time, self.gain, self.decay, self.rate_per_s, self.scratch,
        )  # fmt: skip


@dataclass(frozen=True)
class ImpactRun:
    """Energies of a run at the samples (k,), in J, and its time step.

    ``viscous_J`` is the work taken up by the Maxwell branches (dissipated, and stored until they relax).
    """

    time_s: np.ndarray
    kinetic_J: np.ndarray
    strain_J: np.ndarray
    viscous_J: np.ndarray
    hourglass_J: np.ndarray
    external_J: np.ndarray
    steps: int
    dt_s: float

    @property
    def imbalance_J(self) -> np.ndarray:
        """(k,) energy found minus energy brought in."""
        found = self.kinetic_J + self.strain_J + self.viscous_J + self.hourglass_J
        return found - found[0] - self.external_J

    @property
    def energy_balance(self) -> float:
        """Largest imbalance over the largest energy in the deformation.

        The kinetic energy of the rigid rotation, which is several times larger, is left out of the denominator.
        """
        internal = self.strain_J + self.viscous_J + self.hourglass_J
        return float(np.max(np.abs(self.imbalance_J)) / np.max(internal))


def time_step(element_m: float, tissue: Tissue, sample_ms: float) -> tuple[int, float]:
    """Steps per sample and step in s: the largest step below the Courant limit that divides the sample."""
    bulk = tissue.bulk_modulus_MPa * _PASCAL_PER_MPA
    wave_speed = math.sqrt((bulk + 4.0 / 3.0 * tissue.shear_modulus_Pa) / tissue.density_kg_per_m3)
    steps = math.ceil(sample_ms * 1e-3 / (tissue.courant * element_m / wave_speed) - 1e-9)
    return steps, sample_ms * 1e-3 / steps


def element_model(mesh: BrainMesh, tissue: Tissue, fibre_direction: np.ndarray, dt_s: float) -> ElementModel:
    """Lay out the elements of a mesh for the kernel, with the viscous memory at rest.

    Parameters
    ----------
    fibre_direction : (e, 3) unit vectors, zero where an element has no fibre.
    dt_s : time step in s.

    Raises
    ------
    ValueError
        If the directions do not match the elements or are neither unit nor zero.
    """
    count = len(mesh.elements)
    direction = np.asarray(fibre_direction, dtype=float)
    if direction.shape != (count, 3):
        raise ValueError(f"fibre_direction: found shape {direction.shape}, accepted is {(count, 3)}")
    length = np.linalg.norm(direction, axis=1)
    fibrous = length > 0.5
    if np.any(np.abs(length - fibrous) > 1e-6):
        raise ValueError("fibre_direction: accepted are unit vectors and zeros")
    brain = mesh.tissue == BRAIN
    shear = np.where(brain, tissue.shear_modulus_Pa, tissue.csf_shear_modulus_Pa)
    # Flanagan-Belytschko: coefficient * modulus * V * (B:B) / 8 with B:B = 1.5 / edge^2 for a cube.
    hourglass = tissue.hourglass_coefficient * shear * mesh.element_m * 1.5 / 8.0
    rows = np.column_stack([
        shear, np.where(brain & fibrous, tissue.fibre_stiffness_Pa, 0.0), brain.astype(float), direction, hourglass,
    ])  # fmt: skip
    blocks = -(-count // LANES)
    # Lanes beyond the last element repeat it; their forces are never added.
    padded = np.minimum(np.arange(blocks * LANES), count - 1)
    material = rows[padded].reshape(blocks, LANES, MATERIAL_ROWS).transpose(0, 2, 1)
    prony = np.array(tissue.prony_moduli, dtype=float)
    times = np.array(tissue.prony_times_s, dtype=float)
    corner_mass = tissue.density_kg_per_m3 * mesh.element_m**3 / 8.0
    return ElementModel(
        elements=np.ascontiguousarray(mesh.elements[padded], dtype=np.int32),
        n_elements=count,
        material=np.ascontiguousarray(material).reshape(blocks, MATERIAL_ROWS * LANES),
        memory=np.zeros((blocks, len(prony), 6 * LANES)),
        edge_m=mesh.element_m,
        bulk_Pa=tissue.bulk_modulus_MPa * _PASCAL_PER_MPA,
        dispersion=tissue.fibre_dispersion,
        long_time=1.0 - float(prony.sum()),
        prony=prony,
        gain=prony * np.exp(-0.5 * dt_s / times),
        decay=np.exp(-dt_s / times),
        rate_per_s=1.0 / times,
        scratch=np.zeros(SCRATCH_ROWS * LANES),
        mass_kg=corner_mass * np.bincount(mesh.elements.ravel(), minlength=len(mesh.nodes)),
    )


def internal_forces(model: ElementModel, positions: np.ndarray) -> np.ndarray:
    """Internal nodal forces (n, 3) in N; moves the viscous memory on by one step.

    Raises
    ------
    Divergence
        If an element is inverted or far from its volume.
    """
    force = np.zeros_like(positions)
    element, _ = add_internal_forces(positions, *model.constants, force)
    if element >= 0:
        raise Divergence(f"element {element}: the volume ratio left its range or is not a number")
    return force


def rotation_matrix(vector: np.ndarray) -> np.ndarray:
    """Rotations (..., 3, 3) of rotation vectors (..., 3) in rad (Rodrigues' formula)."""
    vector = np.asarray(vector, dtype=float)
    angle = np.linalg.norm(vector, axis=-1)[..., None, None]
    cross = np.zeros((*vector.shape, 3))
    cross[..., 0, 1], cross[..., 0, 2], cross[..., 1, 2] = -vector[..., 2], vector[..., 1], -vector[..., 0]
    cross -= np.swapaxes(cross, -1, -2)
    # sinc keeps full precision down to a zero angle.
    first = np.sinc(angle / np.pi)
    second = 0.5 * np.sinc(0.5 * angle / np.pi) ** 2
    return np.eye(3) + first * cross + second * (cross @ cross)


def skull_rotations(time_s: np.ndarray, angular_velocity_rad_per_s: np.ndarray, dt_s: float, steps: int) -> np.ndarray:
    """Rotation of the skull (steps + 1, 3, 3) at multiples of ``dt_s`` from the record's start; the first is unity.

    Angular velocity (t, 3) is taken along the head's own axes, as sensors fixed to the head measure it; between its
    samples it is interpolated by monotone cubics, after the last it is kept. Each step is the exponential of the
    fourth-order Magnus expansion (Iserles & Norsett 1999, Phil Trans R Soc A 357:983).
    """
    velocity = PchipInterpolator(time_s - time_s[0], angular_velocity_rad_per_s)
    end = time_s[-1] - time_s[0]
    middle = dt_s * (np.arange(steps) + 0.5)
    offset = dt_s * math.sqrt(3.0) / 6.0
    early = velocity(np.minimum(middle - offset, end))
    late = velocity(np.minimum(middle + offset, end))
    increments = rotation_matrix(0.5 * dt_s * (early + late) - math.sqrt(3.0) / 12.0 * dt_s**2 * np.cross(late, early))
    rotations = np.empty((steps + 1, 3, 3))
    rotations[0] = np.eye(3)
    for step in range(steps):
        rotations[step + 1] = rotations[step] @ increments[step]
    return rotations


def simulate_impact(
    mesh: BrainMesh,
    tissue: Tissue,
    fibre_direction: np.ndarray,
    impact: Impact,
    sample_ms: float = 1.0,
    on_sample: Callable[[int, np.ndarray], None] | None = None,
    progress: Callable[[float], None] | None = None,
) -> ImpactRun:
    """Deform the brain by one impact.

    Parameters
    ----------
    mesh : the brain; its skull nodes follow the head's rotation about the origin.
    fibre_direction : (e, 3) unit vectors, zero where an element has no fibre.
    impact : the record's length is simulated, in whole samples.
    sample_ms : interval of the samples.
    on_sample : called as ``on_sample(k, positions)`` at the time ``k * sample_ms``, k = 0, 1, ..., with the positions
        (n, 3) of all nodes in m in the inertial frame. The array is valid during the call only.
    progress : called with the fraction done after each sample.

    Raises
    ------
    Divergence
        Naming time and element, if a volume ratio leaves its range or is NaN.
    """
    steps_per_sample, dt_s = time_step(mesh.element_m, tissue, sample_ms)
    samples = math.floor((impact.time_s[-1] - impact.time_s[0]) * 1e3 / sample_ms + 1e-6)
    steps = samples * steps_per_sample
    rotations = skull_rotations(impact.time_s, impact.angular_velocity_rad_per_s, dt_s, steps + 1)
    model = element_model(mesh, tissue, fibre_direction, dt_s)
    skull = np.flatnonzero(mesh.skull).astype(np.int64)
    mobility = np.repeat((np.where(mesh.skull, 0.0, 1.0) / model.mass_kg)[:, None], 3, axis=1)
    positions = mesh.nodes.copy()
    # A record that begins with a rotation finds the brain turning with the skull.
    velocity = np.cross(impact.angular_velocity_rad_per_s[0], mesh.nodes)
    force = np.zeros_like(positions)
    totals = np.zeros(5)
    energies = np.zeros((samples + 1, 6))
    for sample in range(samples + 1):
        if on_sample is not None:
            on_sample(sample, positions)
        energies[sample, :3] = stored_energies(MODES, positions, *model.constants[:8], model.prony, model.gain)
        first = sample * steps_per_sample
        # After the last sample one more step completes its kinetic energy and work.
        last = first + steps_per_sample if sample < samples else first + 1
        step, element = advance(
            positions, velocity, model.mass_kg, mobility, skull, mesh.nodes[skull], rotations[first + 1 : last + 1],
            dt_s, *model.constants, force, totals,
        )  # fmt: skip
        if element >= 0:
            raise Divergence(
                f"the brain's motion diverged at {(first + step) * dt_s * 1e3:.3f} ms in element {element}: "
                "its volume ratio left its range or is not a number"
            )
        energies[sample, 3:] = totals[2:]
        if progress is not None:
            progress(sample / max(samples, 1))
    strain, branches, hourglass, kinetic, external, relaxed = energies.T
    return ImpactRun(
        time_s=np.arange(samples + 1) * sample_ms * 1e-3,
        kinetic_J=kinetic,
        strain_J=strain,
        viscous_J=branches + relaxed - relaxed[0],
        hourglass_J=hourglass,
        external_J=external - external[0],
        steps=steps,
        dt_s=dt_s,
    )
