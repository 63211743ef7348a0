"""Mechanics of the discretised axon: histories of fibre strain in, peak strains and failed links out.

Unknowns are axial displacements of microtubule lines and axolemma at stations along the axon (axon.md, section 5).
Inertia is negligible, so every step is an equilibrium of linear lines and standard linear solid links with exact
exponential integration; both ends of all lines are gripped, the far end moves by strain times length. Within a step,
failed links are removed and the equilibrium repeated until no more fail; failure is irreversible. Compression keeps its
sign; buckling is not modelled.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from understudy.axon.axon_geometry import AxonGeometry
from understudy.axon.axon_kernel import Lattice, Law, Record, State, run_cases
from understudy.axon.block_inverse import ENTRIES, TILE
from understudy.axon.config import Injury
from understudy.axon.simd_lanes import LANES
from understudy.errors import InputError

TARGETS = ("microtubule_strain", "axolemma_strain", "tau_failed", "neurofilament_failed")

THERMAL_ENERGY_PN_NM = 1.380649e-2 * 310.15
"""Boltzmann constant (pN nm per K) times 310.15 K."""


@dataclass(frozen=True)
class AxonHistory:
    """One case followed in time, for verification.

    Attributes
    ----------
    outputs : (4,) as in `TARGETS`.
    displacement_nm : (n, S, M) accepted displacement at each step.
    before_failure_nm : (n, S, M) first equilibrium of each step, before links failed in it.
    survivors : (n, S, P) links that hold after each step.
    """

    outputs: np.ndarray
    displacement_nm: np.ndarray
    before_failure_nm: np.ndarray
    survivors: np.ndarray


def solid_step(relaxation_s: float, dt_s: float) -> tuple[float, float]:
    """Exact step of a linear solid's memory for a slip linear in time: E and H of ``q' = E q + H (s' - s)``."""
    ratio = dt_s / relaxation_s
    return float(np.exp(-ratio)), float(-np.expm1(-ratio) / ratio)


def step_law(injury: Injury, dt_s: float) -> Law:
    """Constants of one time step of the links and the axolemma."""
    stiffness, decay, drop = np.empty(2), np.empty(2), np.empty(2)
    tau_ratio = injury.tau_maxwell_ratio
    for kind, (k, beta, relaxation_s) in enumerate((
        (injury.tau_stiffness_pN_per_nm, tau_ratio, injury.tau_relaxation_s / max(tau_ratio, 1e-12)),
        (injury.neurofilament_stiffness_pN_per_nm, injury.neurofilament_maxwell_ratio,
         injury.neurofilament_relaxation_s),
    )):  # fmt: skip
        e, h = solid_step(relaxation_s, dt_s)
        stiffness[kind], decay[kind], drop[kind] = k * (1 + beta * h), e, k * beta * h * (e - 1)
    beta = injury.axolemma_maxwell_ratio
    e, h = solid_step(injury.axolemma_relaxation_s, dt_s)
    return Law(
        stiffness=stiffness,
        decay=decay,
        drop=drop,
        axolemma_decay=e,
        axolemma_drop=beta * h * (e - 1) / (1 + beta * h),
        bell=injury.tau_criterion == "bell",
        bell_half_step=0.5 * dt_s * injury.tau_bell_rate_per_s,
        bell_per_force=injury.tau_bell_distance_nm / THERMAL_ENERGY_PN_NM,
    )


def axolemma_gain(injury: Injury, dt_s: float) -> float:
    """Instantaneous over long-time stiffness of the axolemma within one step."""
    return 1 + injury.axolemma_maxwell_ratio * solid_step(injury.axolemma_relaxation_s, dt_s)[1]


def lattice_of(geometries: Sequence[AxonGeometry], injury: Injury, dt_s: float) -> Lattice:
    """Arrays of several layouts of one axon for the kernel.

    Raises
    ------
    InputError : if the geometries differ in anything but their layout.
    """
    first = geometries[0]
    for other in geometries:
        if (other.axial_pN_per_nm.shape, other.dx_nm) != (first.axial_pN_per_nm.shape, first.dx_nm) or not (
            np.array_equal(other.pairs, first.pairs)
        ):
            raise InputError("geometries: found different axons, accepted are layouts of one axon")
    stations, lines = first.n_stations, first.n_lines
    width = -(-lines // TILE) * TILE
    axial = np.zeros((len(geometries), stations - 1, width))
    links = max(len(geometry.link_upper_nm) for geometry in geometries)
    upper, lower, threshold = (np.full((len(geometries), links), np.inf) for _ in range(3))
    for g, geometry in enumerate(geometries):
        axial[g, :, :lines] = geometry.axial_pN_per_nm
        count = len(geometry.link_upper_nm)
        upper[g, :count] = geometry.link_upper_nm
        lower[g, :count] = geometry.link_lower_nm
        threshold[g, :count] = geometry.link_threshold
    axial[:, :, lines - 1] *= axolemma_gain(injury, dt_s)
    ground = np.ones((len(geometries), stations, width))
    ground[:, :-1][axial > 0] = 0.0
    ground[:, 1:][axial > 0] = 0.0
    small, large = first.pairs.min(axis=1), first.pairs.max(axis=1)
    tile_row, tile_column = large // TILE, small // TILE
    tile_start = ENTRIES * (tile_row * (tile_row + 1) // 2 + tile_column)
    entry = tile_start + TILE * (large % TILE) + small % TILE
    mirror = np.where(tile_row == tile_column, tile_start + TILE * (small % TILE) + large % TILE, -1)
    per_pair = [geometry.links_per_pair.sum(axis=0) for geometry in geometries]
    n_tau = first.n_tau_pairs
    return Lattice(
        lines=lines,
        n_tau=n_tau,
        pair_lines=np.ascontiguousarray(first.pairs, dtype=np.int64),
        pair_entry=np.column_stack([entry, mirror]).astype(np.int64),
        axial=axial,
        ground=ground,
        coupling=np.stack([geometry.coupling_pN_per_nm[:, n_tau:] for geometry in geometries]),
        link_start=np.stack([geometry.link_start for geometry in geometries]).astype(np.int64),
        link_upper=upper,
        link_lower=lower,
        link_threshold=threshold,
        link_count=np.array([[count[:n_tau].sum(), count[n_tau:].sum()] for count in per_pair], dtype=float).clip(1),
        dx_nm=float(first.dx_nm),
        length_nm=float(first.length_nm),
    )


def _aligned_zeros(lanes: int) -> np.ndarray:
    """Flat zeros of that many lanes values on a cache line."""
    raw = np.zeros(lanes * LANES + 8)
    start = (-raw.ctypes.data // 8) % 8
    return raw[start : start + lanes * LANES]


def _resting_state(lattice: Lattice) -> State:
    stations, width = lattice.ground.shape[1:]
    pairs = len(lattice.pair_lines)
    blocks = width // TILE
    state = State(
        c=_aligned_zeros(stations * width),
        ground=_aligned_zeros(stations * width),
        coupling=_aligned_zeros(stations * (pairs - lattice.n_tau)),
        u=_aligned_zeros(stations * width),
        survivors=_aligned_zeros(stations * pairs),
        history=_aligned_zeros(stations * pairs),
        upper=_aligned_zeros(stations * pairs),
        lower=_aligned_zeros(stations * pairs),
        axolemma=_aligned_zeros(stations),
        inverse=_aligned_zeros(stations * blocks * (blocks + 1) // 2 * ENTRIES),
        v=_aligned_zeros(stations * width),
        row=_aligned_zeros(width),
        cross=_aligned_zeros(blocks * ENTRIES),
        scaled=_aligned_zeros(blocks * ENTRIES),
        accepted=_aligned_zeros(1),
        peak=_aligned_zeros(4),
        alive=np.zeros((lattice.link_upper.shape[1], LANES), dtype=np.uint8),
    )
    state.ground[:] = 1.0  # a lane that never gets a case holds no material
    return state


def end_strain_steps(strain: np.ndarray, substeps: int) -> np.ndarray:
    """Histories (p, t) linearly interpolated to ``substeps`` steps per sample; the first sample is the first step."""
    if substeps == 1:
        return np.ascontiguousarray(strain, dtype=np.float64)
    samples = strain.shape[1]
    at = np.arange((samples - 1) * substeps + 1)
    left = np.minimum(at // substeps, samples - 2)
    weight = at / substeps - left
    return np.ascontiguousarray((1 - weight) * strain[:, left] + weight * strain[:, left + 1])


def substeps_per_sample(injury: Injury, sample_ms: float) -> int:
    """Steps per sample: the configured step, or the sample itself where that is shorter."""
    return max(1, round(sample_ms / injury.dt_ms))


def _check_strain(strain: np.ndarray) -> np.ndarray:
    strain = np.asarray(strain, dtype=np.float64)
    if strain.ndim != 2 or strain.shape[1] < 2:
        raise InputError(f"strain: found the shape {strain.shape}, accepted is (profiles, at least 2 samples)")
    bad = np.flatnonzero(~np.isfinite(strain).all(axis=1))
    if len(bad):
        raise InputError(f"strain: found a value that is not finite in profile {bad[0]}, accepted are finite numbers")
    if len(strain) and np.abs(strain).max() >= 1:
        worst = int(np.abs(strain).max(axis=1).argmax())
        raise InputError(
            f"strain: found {np.abs(strain[worst]).max():g} in profile {worst}, accepted are strains between -1 and 1"
        )
    return strain


def simulate_axons(
    strain: np.ndarray, geometries: Sequence[AxonGeometry], injury: Injury, sample_ms: float = 1.0
) -> np.ndarray:
    """Response of an axon to histories of fibre strain, in each of several layouts.

    The result of a profile in a layout depends on those two alone, bit for bit.

    Parameters
    ----------
    strain : (p, t) engineering fibre strain, sampled every ``sample_ms`` and linear in between; the axon rests before
        the first sample, which is the first step.
    geometries : layouts of one axon, as from `understudy.axon.axon_geometry.layout_set`.
    injury : parameters; ``dt_ms`` divides the sampling where it is shorter.

    Returns
    -------
    (p, layouts, 4) peak microtubule strain and peak axolemma strain over time and place, failed fraction of tau links
    and of neurofilament side-arms at the end (`TARGETS`).

    Raises
    ------
    InputError : strain of wrong shape, not finite or not below 1; geometries of different axons.
    """
    strain = _check_strain(strain)
    profiles, layouts = len(strain), len(geometries)
    outputs, _, _ = _run(strain, geometries, injury, sample_ms, recording=False)
    return outputs.reshape(profiles, layouts, len(TARGETS))


def simulate_axon_history(
    strain: np.ndarray, geometry: AxonGeometry, injury: Injury, sample_ms: float = 1.0
) -> AxonHistory:
    """One history (t,) of fibre strain in one layout, followed step by step; see `simulate_axons`."""
    outputs, record, _ = _run(_check_strain(np.atleast_2d(strain)), [geometry], injury, sample_ms, recording=True)
    return AxonHistory(outputs[0], record.displacement, record.before_failure, record.survivors)


def capped_steps(
    strain: np.ndarray, geometries: Sequence[AxonGeometry], injury: Injury, sample_ms: float = 1.0
) -> np.ndarray:
    """(p, layouts) number of steps in which the iteration over failing links reached its cap."""
    strain = _check_strain(strain)
    return _run(strain, geometries, injury, sample_ms, recording=False)[2].reshape(len(strain), len(geometries))


def _run(strain, geometries, injury, sample_ms, *, recording):
    substeps = substeps_per_sample(injury, sample_ms)
    dt_s = 1e-3 * sample_ms / substeps
    lattice = lattice_of(geometries, injury, dt_s)
    steps = end_strain_steps(strain, substeps)
    # Long cases first, so that few lanes are idle at the end; the order changes no bit of any case.
    order = np.argsort(-np.abs(strain).max(axis=1, initial=0.0), kind="stable")
    case_profile = np.repeat(order, len(geometries))
    case_layout = np.tile(np.arange(len(geometries)), len(strain))
    outputs = np.zeros((len(case_profile), len(TARGETS)))
    capped = np.zeros(len(case_profile), dtype=np.int64)
    n = steps.shape[1] if recording else 0
    record = Record(
        displacement=np.zeros((n, geometries[0].n_stations, lattice.lines)),
        before_failure=np.zeros((n, geometries[0].n_stations, lattice.lines)),
        survivors=np.zeros((n, geometries[0].n_stations, len(lattice.pair_lines))),
    )
    run_cases(
        steps, case_profile, case_layout, lattice, step_law(injury, dt_s), _resting_state(lattice), record, outputs,
        capped,
    )  # fmt: skip
    back = np.argsort(case_profile * len(geometries) + case_layout)
    return outputs[back], record, capped[back]
