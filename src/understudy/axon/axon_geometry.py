"""Geometry of the discretised axon: hexagonal microtubule bundle, gaps, tau cross-links, side-arms, axolemma.

Everything random is drawn in nanometres before the axon is cut into stations, so that the station spacing does not
change the problem: gap edges lie on a lattice of the gap's own length (the spacing must divide it), and every tau link
and side-arm keeps its place, sign, failure limit and Bell threshold and is attached to the nearest station.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from understudy.axon.config import Injury
from understudy.errors import InputError

REFERENCE_SEED = 20251212
"""Seed of the reference layout (the publication date of the paper whose single-axon design it stands for)."""

_LAYOUT_STAGE = (0, 1)
"""Spawn key of the common set of layouts: study axon, stage layouts."""


@dataclass(frozen=True)
class AxonGeometry:
    """One axon with one layout of gaps and links.

    Lines are numbered microtubules first, axolemma last; ``M`` lines, ``S`` stations, ``P`` pairs of coupled lines
    (tau pairs first, then pairs of an outer microtubule with the axolemma), ``K`` links in all.

    Attributes
    ----------
    dx_nm : station spacing.
    pairs : (P, 2) lines joined by each pair, the lower number first.
    n_tau_pairs : how many of the pairs carry tau.
    axial_pN_per_nm : (S - 1, M) long-time axial stiffness of each element, zero in gaps.
    coupling_pN_per_nm : (S, P) elastic axoplasm coupling at each station, zero for tau pairs.
    link_start : (S * P + 1,) first link of each station and pair (stations slow, pairs fast).
    link_upper_nm, link_lower_nm : (K,) slip beyond which a link fails; infinite where the Bell criterion rules.
    link_threshold : (K,) unit exponential threshold of the integrated Bell rate; infinite for side-arms.
    gap_start_nm : (M - 1,) start of each microtubule's gap; empty for continuous microtubules.
    """

    dx_nm: float
    length_nm: float
    pairs: np.ndarray
    n_tau_pairs: int
    axial_pN_per_nm: np.ndarray
    coupling_pN_per_nm: np.ndarray
    link_start: np.ndarray
    link_upper_nm: np.ndarray
    link_lower_nm: np.ndarray
    link_threshold: np.ndarray
    gap_start_nm: np.ndarray

    @property
    def n_stations(self) -> int:
        return self.axial_pN_per_nm.shape[0] + 1

    @property
    def n_lines(self) -> int:
        return self.axial_pN_per_nm.shape[1]

    @property
    def links_per_pair(self) -> np.ndarray:
        """(S, P) number of links at each station and pair."""
        return np.diff(self.link_start).reshape(self.n_stations, len(self.pairs))


def hexagonal_bundle(n_microtubules: int) -> np.ndarray:
    """Lattice coordinates of the microtubules of a hexagonal bundle.

    Parameters
    ----------
    n_microtubules : 7 (centre and first ring), 19 (two rings) or 12 (19 less 7 contiguous of the 12 outermost, which
        leaves the compact cluster with 24 contacts).

    Returns
    -------
    (n, 2) int, axial coordinates q, r: centre, first ring, second ring, each ring in order of angle.
    """
    rings = [[(0, 0)]]
    steps = [(1, 0), (0, 1), (-1, 1), (-1, 0), (0, -1), (1, -1)]
    for ring in (1, 2):
        q, r = ring * steps[4][0], ring * steps[4][1]
        cells = []
        for step in steps:
            for _ in range(ring):
                cells.append((q, r))
                q, r = q + step[0], r + step[1]
        rings.append(cells)
    inner = rings[0] + rings[1]
    if n_microtubules == 7:
        return np.array(inner)
    if n_microtubules == 12:
        return np.array(inner + rings[2][1:6])
    if n_microtubules == 19:
        return np.array(inner + rings[2])
    raise InputError(f"microtubules: found {n_microtubules}, accepted are 7, 12 and 19")


def neighbour_pairs(lattice: np.ndarray) -> np.ndarray:
    """(P, 2) pairs of touching microtubules: 12, 24 and 42 pairs for 7, 12 and 19 microtubules."""
    touching = {(1, 0), (0, 1), (-1, 1), (-1, 0), (0, -1), (1, -1)}
    n = len(lattice)
    found = [
        (a, b)
        for a in range(n)
        for b in range(a + 1, n)
        if (int(lattice[b, 0] - lattice[a, 0]), int(lattice[b, 1] - lattice[a, 1])) in touching
    ]
    return np.array(found)


def outer_microtubules(n_microtubules: int, pairs: np.ndarray) -> np.ndarray:
    """Microtubules with fewer than six neighbours: they carry the side-arms and the axoplasm coupling."""
    return np.flatnonzero(np.bincount(pairs.ravel(), minlength=n_microtubules) < 6)


def tau_slip_limits(wall_gap_nm: float, angle_deg: float, elongation: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Slips at which an oblique link reaches its elongation at failure.

    The link spans the wall gap h with an axial offset a = h / tan(angle); its length is
    ``sqrt(h^2 + (a + sigma s)^2)`` at slip s (axon.md, section 5), with sigma = +1 or -1.

    Returns
    -------
    stretching, reversing : slip (> 0) along and against the link's own slant at which it fails, in nm.
    """
    offset = wall_gap_nm / np.tan(np.deg2rad(angle_deg))
    reach = np.sqrt((wall_gap_nm**2 + offset**2) * (1 + elongation) ** 2 - wall_gap_nm**2)
    return reach - offset, reach + offset


def _relative_spread(rng: np.random.Generator, shape: tuple[int, ...], spread: float) -> np.ndarray:
    """Factors with mean 1 and the given relative standard deviation (lognormal), drawn even when the spread is 0."""
    normal = rng.standard_normal(shape)
    sigma = np.sqrt(np.log1p(spread**2))
    return np.exp(sigma * normal - 0.5 * sigma**2)


def build_geometry(
    injury: Injury, layout_seed: int | np.random.SeedSequence | None = None, *, continuous: bool = False
) -> AxonGeometry:
    """An axon with one random layout.

    Parameters
    ----------
    injury : parameters.
    layout_seed : seed of the layout; None gives the reference layout (`REFERENCE_SEED`).
    continuous : microtubules without gaps (the simplification that Montanino and Kleiven 2018 compare with).

    Raises
    ------
    InputError : if the station spacing does not divide the gap and the length.
    """
    length, dx, gap = 1000 * injury.length_um, injury.dx_nm, injury.gap_nm
    for name, whole in (("gap_nm", gap), ("length_um", length)):
        if abs(whole / dx - round(whole / dx)) > 1e-9:
            raise InputError(f"dx_nm: found {dx:g}, accepted is a divisor of {name} ({whole:g} nm)")
    sex = injury.sex
    n_mt = injury.microtubules_male if sex == "male" else injury.microtubules_female
    radius = injury.radius_male_nm if sex == "male" else injury.radius_female_nm
    tau_pairs = neighbour_pairs(hexagonal_bundle(n_mt))
    outer = outer_microtubules(n_mt, tau_pairs)
    arm_pairs = np.column_stack([outer, np.full(len(outer), n_mt)])

    # All draws, in an order and number that neither dx nor the choice of criterion changes.
    seed = REFERENCE_SEED if layout_seed is None else layout_seed
    rng = np.random.default_rng(seed)
    places = int(length // gap) - 2
    if places < 1:
        raise InputError(f"gap_nm: found {gap:g}, accepted is less than a third of length_um ({length:g} nm)")
    gap_start = gap * (1 + rng.integers(0, places, n_mt))
    n_tau, n_arm = int(length / injury.tau_pitch_nm), int(length / injury.neurofilament_pitch_nm)
    sigma = rng.integers(0, 2, (len(tau_pairs), n_tau)) * 2 - 1
    elongation = injury.tau_failure_elongation * _relative_spread(rng, sigma.shape, injury.tau_elongation_spread)
    threshold = rng.exponential(1.0, sigma.shape)
    arm_limit = injury.neurofilament_failure_slip_nm * _relative_spread(
        rng, (len(outer), n_arm), injury.neurofilament_slip_spread
    )
    if continuous:
        gap_start = np.empty(0)

    stretching, reversing = tau_slip_limits(injury.wall_gap_nm, injury.tau_angle_deg, elongation)
    tau_upper = np.where(sigma > 0, stretching, reversing)
    tau_lower = -np.where(sigma > 0, reversing, stretching)
    if injury.tau_criterion == "bell":
        tau_upper, tau_lower = np.full(sigma.shape, np.inf), np.full(sigma.shape, -np.inf)
    else:
        threshold = np.full(sigma.shape, np.inf)

    stations = round(length / dx) + 1
    x = dx * np.arange(stations)
    middle = 0.5 * (x[:-1] + x[1:])
    axial = np.empty((stations - 1, n_mt + 1))
    axial[:, :n_mt] = injury.microtubule_modulus_GPa * 1000 * injury.microtubule_area_nm2 / dx
    for line, start in enumerate(gap_start):
        axial[(middle > start) & (middle < start + gap), line] = 0.0
    node = np.abs(middle - length / 2) < 500 * injury.node_length_um
    stiffness = injury.axolemma_stiffness_pN * radius / injury.radius_male_nm
    axial[:, n_mt] = stiffness * np.where(node, 1.0, injury.internode_factor) / dx

    # Axoplasm: kc per length, shared by the outer microtubules, over the part of each station's cell they cover.
    covered = np.zeros((stations, n_mt + 1))
    covered[:-1] += 0.5 * dx * (axial > 0)
    covered[1:] += 0.5 * dx * (axial > 0)
    coupling = np.zeros((stations, len(tau_pairs) + len(outer)))
    coupling[:, len(tau_pairs) :] = injury.axoplasm_coupling_pN_per_nm2 / len(outer) * covered[:, outer]

    pairs = np.concatenate([tau_pairs, arm_pairs])
    links = [
        _links(tau_pairs, 0, injury.tau_pitch_nm, dx, stations, gap, gap_start, (tau_upper, tau_lower, threshold)),
        _links(arm_pairs, len(tau_pairs), injury.neurofilament_pitch_nm, dx, stations, gap, gap_start,
               (arm_limit, -arm_limit, np.full(arm_limit.shape, np.inf))),
    ]  # fmt: skip
    station, pair, upper, lower, thresholds = (np.concatenate(part) for part in zip(*links, strict=True))
    place = station * len(pairs) + pair
    order = np.argsort(place, kind="stable")
    return AxonGeometry(
        dx_nm=dx,
        length_nm=length,
        pairs=pairs,
        n_tau_pairs=len(tau_pairs),
        axial_pN_per_nm=axial,
        coupling_pN_per_nm=coupling,
        link_start=np.concatenate([[0], np.cumsum(np.bincount(place, minlength=stations * len(pairs)))]),
        link_upper_nm=upper[order],
        link_lower_nm=lower[order],
        link_threshold=thresholds[order],
        gap_start_nm=gap_start,
    )


def _links(pairs, first_pair, pitch_nm, dx_nm, stations, gap_nm, gap_start_nm, limits):
    """Station, pair and limits of the links of one kind, without those whose place lies in a gap of their lines.

    Links sit in the middle of their pitch; the nearest station takes them, the left one where two are as near.
    """
    n = limits[0].shape[1]
    x = pitch_nm * (np.arange(n) + 0.5)
    station = np.clip(np.ceil(x / dx_nm - 0.5 - 1e-9).astype(np.int64), 0, stations - 1)
    present = np.ones((len(pairs), n), dtype=bool)
    for row, lines in enumerate(pairs):
        for line in lines:
            if line < len(gap_start_nm):
                present[row] &= (x < gap_start_nm[line]) | (x > gap_start_nm[line] + gap_nm)
    row, column = np.nonzero(present)
    return (station[column], row + first_pair, *(limit[row, column] for limit in limits))


def reference_geometry(injury: Injury) -> AxonGeometry:
    """The reference layout, the single axon of the published design."""
    return build_geometry(injury, None)


def layout_set(injury: Injury, seed: int) -> list[AxonGeometry]:
    """The common set of layouts, the same for all profiles; layout k draws from spawn key (0, 1, k) of the seed."""
    return [
        build_geometry(injury, np.random.SeedSequence(seed, spawn_key=(*_LAYOUT_STAGE, k)))
        for k in range(injury.layouts)
    ]
