"""What fibre strain owes to settings of the brain mechanics: an impact repeated with one of them changed at a time."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from understudy.axon.brain_mechanics import simulate_impact
from understudy.axon.brain_mesh import build_brain_mesh
from understudy.axon.config import Head, Tissue
from understudy.axon.fibre_orientation import FibreField, element_directions
from understudy.axon.fibre_strain import fibre_gauges, fibre_strain
from understudy.axon.impacts import Impact
from understudy.axon.white_matter import WhiteMatter
from understudy.surrogate.metrics import nrmse, r2

SAMPLE_MS = 1.0


@dataclass(frozen=True)
class MechanicsVariant:
    """One changed setting: a name for people, its key in the configuration, and the value it takes."""

    name: str
    key: str
    value: float


def mechanics_variants(head: Head, tissue: Tissue, fine_element_mm: float) -> list[MechanicsVariant]:
    """The variants of a study: numerical settings, and what a living head is least known by."""
    hourglass, bulk = tissue.hourglass_coefficient, tissue.bulk_modulus_MPa
    return [
        MechanicsVariant(f"element {fine_element_mm:g} mm", "head.element_mm", fine_element_mm),
        MechanicsVariant("hourglass coefficient halved", "tissue.hourglass_coefficient", 0.5 * hourglass),
        MechanicsVariant("hourglass coefficient doubled", "tissue.hourglass_coefficient", 2.0 * hourglass),
        MechanicsVariant("bulk modulus divided by 4", "tissue.bulk_modulus_MPa", 0.25 * bulk),
        MechanicsVariant("bulk modulus times 4", "tissue.bulk_modulus_MPa", 4.0 * bulk),
        MechanicsVariant("head scale 0.90", "head.scale", 0.9),
        MechanicsVariant("head scale 1.00", "head.scale", 1.0),
        MechanicsVariant("time step halved", "tissue.courant", 0.5 * tissue.courant),
    ]


def with_variant(head: Head, tissue: Tissue, variant: MechanicsVariant) -> tuple[Head, Tissue]:
    """Head and tissue with the variant's setting, which may lie outside the limits of the configuration."""
    section, name = variant.key.split(".")
    update = {name: variant.value}
    if section == "head":
        return head.model_copy(update=update), tissue
    return head, tissue.model_copy(update=update)


def strain_histories(
    head: Head, tissue: Tissue, impact: Impact, white_matter: WhiteMatter, field: FibreField
) -> tuple[np.ndarray, int]:
    """Fibre strain (v, time) float32 at 1 ms on the white-matter voxels, and the number of independent elements.

    Raises
    ------
    understudy.axon.brain_mechanics.Divergence
        If the run becomes meaningless.
    """
    mesh = build_brain_mesh(head)
    gauges = fibre_gauges(mesh, white_matter.centre_mm, field.direction)
    samples: list[np.ndarray] = []

    def sample(_: int, positions: np.ndarray) -> None:
        samples.append(fibre_strain(gauges, positions).astype(np.float32))

    along = element_directions(field, white_matter, mesh)
    simulate_impact(mesh, tissue, along, impact, sample_ms=SAMPLE_MS, on_sample=sample)
    return np.stack(samples, axis=1), gauges.independent_elements


def peak_summary(histories: np.ndarray) -> dict[str, float]:
    """Median, 95th percentile and maximum over the voxels of the peak strain of histories (v, time)."""
    peak = histories.max(axis=1).astype(float)
    p50, p95 = np.percentile(peak, [50, 95])
    return {"p50": float(p50), "p95": float(p95), "max": float(peak.max())}


def history_difference(reference: np.ndarray, histories: np.ndarray) -> dict[str, float]:
    """Difference of histories (v, time) from those of the reference.

    Returns
    -------
    dict
        ``p95_change``: relative change of the 95th percentile of peak strain; ``r2`` and ``nrmse`` of the peak strain
        voxel by voxel, the reference as truth; ``rms_history``: RMS difference over time and voxels, over the RMS of
        the reference.
    """
    before, after = reference.max(axis=1).astype(float), histories.max(axis=1).astype(float)
    difference = np.subtract(histories, reference, dtype=float)
    size = np.sqrt(np.mean(np.square(reference, dtype=float)))
    return {
        "p95_change": float(np.percentile(after, 95) / np.percentile(before, 95) - 1.0),
        "r2": r2(before, after),
        "nrmse": nrmse(before, after),
        "rms_history": float(np.sqrt(np.mean(difference**2)) / size),
    }
