"""Head impacts as rotational pulses: drawn from distributions or read from files, and their roles in the study."""

from __future__ import annotations

import csv
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
from scipy.stats import norm

from understudy.axon.config import Impacts
from understudy.errors import InputError

TRAINING = "training"
CALIBRATION = "calibration"
HELDOUT = "heldout"

AXES = ("sagittal", "coronal", "axial")
"""Families by the head axis of the rotation: about x (nodding), y (sideways tilting), z (turning)."""

# Spacing of drawn pulses: a twentieth of a millisecond resolves the shortest rise.
_SAMPLE_MS = 0.05
_COLUMNS = {
    "time": {"time_ms": 1e-3, "time_s": 1.0},
    "wx": {"wx_rad_per_s": 1.0, "wx_deg_per_s": math.pi / 180},
    "wy": {"wy_rad_per_s": 1.0, "wy_deg_per_s": math.pi / 180},
    "wz": {"wz_rad_per_s": 1.0, "wz_deg_per_s": math.pi / 180},
}
# Far above any recorded head impact (found: 53.8 rad/s), so that degrees in a column named rad/s are noticed.
_LARGEST_RAD_PER_S = 150.0
_LARGEST_STEP_MS = 2.0


@dataclass(frozen=True)
class Impact:
    """One head impact.

    Attributes
    ----------
    time_s : (t,) increasing, from 0.
    angular_velocity_rad_per_s : (t, 3) about x (right), y (anterior), z (superior) of the head.
    label : name for tables and figures.
    role : "training", "calibration" or "heldout".
    parameters : scalars of the pulse.
    """

    time_s: np.ndarray
    angular_velocity_rad_per_s: np.ndarray
    label: str
    role: str = TRAINING
    parameters: Mapping[str, float] = field(default_factory=dict)


def peak_velocity(impact: Impact) -> float:
    """Largest magnitude of the angular velocity, rad/s."""
    return float(np.linalg.norm(impact.angular_velocity_rad_per_s, axis=1).max())


def peak_acceleration(impact: Impact) -> float:
    """Largest magnitude of the angular acceleration, rad/s2, by central differences of the record."""
    acceleration = np.gradient(impact.angular_velocity_rad_per_s, impact.time_s, axis=0)
    return float(np.linalg.norm(acceleration, axis=1).max())


def axis_family(impact: Impact) -> str:
    """The family in `AXES` of the largest component at the moment of the peak angular velocity."""
    velocity = impact.angular_velocity_rad_per_s
    peak = velocity[np.argmax(np.linalg.norm(velocity, axis=1))]
    return AXES[int(np.argmax(np.abs(peak)))]


def pulse(
    time_s: np.ndarray,
    peak_rad_per_s: float,
    rise_s: float,
    decay_s: float,
    rebound: float,
) -> np.ndarray:
    """Angular speed (t,) of a pulse: raised-cosine rise, exponential decay, optional rebound.

    The rebound is a half-sine of the opposite sign and ``rebound`` times the peak. It begins one decay constant after
    the peak and lasts twice the rise, so that its largest acceleration is ``rebound`` times that of the rise.
    """
    speed = np.where(
        time_s < rise_s,
        0.5 * (1.0 - np.cos(np.pi * np.minimum(time_s, rise_s) / rise_s)),
        np.exp(-np.maximum(time_s - rise_s, 0.0) / decay_s),
    )
    phase = np.clip((time_s - rise_s - decay_s) / (2.0 * rise_s), 0.0, 1.0)
    return peak_rad_per_s * (speed - rebound * np.sin(np.pi * phase))


def _cone_direction(main: np.ndarray, height: float, turn: float) -> np.ndarray:
    """Unit vector at the cosine ``height`` from the unit axis ``main``, turned about it by ``turn`` rad."""
    across = np.roll(main, 1)
    other = np.cross(main, across)
    sine = math.sqrt(max(0.0, 1.0 - height * height))
    return height * main + sine * (math.cos(turn) * across + math.sin(turn) * other)


def _draw_impact(impacts: Impacts, seed: int, case: int) -> Impact:
    """Impact ``case``; its bits depend on its own number, the seed and the distributions only."""
    # Ten numbers in a fixed order, so that no choice shifts the meaning of a later one.
    u = np.random.default_rng(np.random.SeedSequence(seed, spawn_key=(0, 0, case))).random(10)
    sigma = impacts.velocity_log_sigma
    low = norm.cdf(math.log(impacts.velocity_min_rad_per_s / impacts.velocity_median_rad_per_s) / sigma)
    high = norm.cdf(math.log(impacts.velocity_max_rad_per_s / impacts.velocity_median_rad_per_s) / sigma)
    peak = impacts.velocity_median_rad_per_s * math.exp(sigma * norm.ppf(low + u[0] * (high - low)))
    peak = min(max(peak, impacts.velocity_min_rad_per_s), impacts.velocity_max_rad_per_s)
    ratio = impacts.acceleration_ratio_median_per_s * math.exp(impacts.acceleration_ratio_log_sigma * norm.ppf(u[1]))
    rise_ms = min(max(1e3 * math.pi / (2.0 * ratio), impacts.rise_min_ms), impacts.rise_max_ms)
    decay_ms = impacts.decay_min_ms + u[2] * (impacts.decay_max_ms - impacts.decay_min_ms)
    rebound = impacts.rebound_min + u[4] * (impacts.rebound_max - impacts.rebound_min)
    rebound *= float(u[3] < impacts.rebound_probability)
    if u[5] < impacts.axial_share:
        main = np.array([0.0, 0.0, 1.0])
    elif u[5] < impacts.axial_share + impacts.coronal_share:
        main = np.array([0.0, 1.0, 0.0])
    else:
        main = np.array([1.0, 0.0, 0.0])
    sign = 1.0 if u[6] < 0.5 else -1.0
    height = 1.0 - u[7] * (1.0 - math.cos(math.radians(impacts.cone_deg)))
    axis = sign * _cone_direction(main, height, 2.0 * math.pi * u[8])
    time_s = np.arange(round(impacts.duration_ms / _SAMPLE_MS) + 1) * (_SAMPLE_MS * 1e-3)
    speed = pulse(time_s, peak, rise_ms * 1e-3, decay_ms * 1e-3, rebound)
    return Impact(
        time_s=time_s,
        angular_velocity_rad_per_s=speed[:, None] * axis,
        label=f"impact {case:03d}",
        parameters={
            "peak_velocity_rad_per_s": peak,
            "peak_acceleration_rad_per_s2": peak * math.pi / (2e-3 * rise_ms),
            "rise_ms": rise_ms,
            "decay_ms": float(decay_ms),
            "rebound": float(rebound),
            "axis_x": float(axis[0]),
            "axis_y": float(axis[1]),
            "axis_z": float(axis[2]),
        },
    )


def draw_impacts(impacts: Impacts, seed: int) -> list[Impact]:
    """Draw ``training + calibration + heldout`` impacts and assign their roles.

    Peak angular velocity is lognormal within its limits; the peak angular acceleration is the velocity times a
    lognormal ratio, which sets the raised-cosine rise to pi * velocity / (2 * acceleration) within its limits; the
    axis lies within a cone about a main axis of the head. Impact i draws from
    ``SeedSequence(seed, spawn_key=(0, 0, i))``.
    """
    count = impacts.training + impacts.calibration + impacts.heldout
    drawn = [_draw_impact(impacts, seed, case) for case in range(count)]
    return assign_roles(drawn, impacts.calibration, impacts.heldout)


def _spread_choice(candidates: Sequence[int], impacts: Sequence[Impact], count: int) -> list[int]:
    """``count`` of the candidates: one per class of severity, axis families in the candidates' proportion.

    The classes are equal parts of the candidates in the order of peak angular velocity. From the most severe class
    down, the family that is most behind its share gives the impact closest to the middle of its class.
    """
    ordered = sorted(candidates, key=lambda i: (peak_velocity(impacts[i]), i))
    families = {i: axis_family(impacts[i]) for i in ordered}
    share = {axis: sum(families[i] == axis for i in ordered) / len(ordered) for axis in AXES}
    taken = dict.fromkeys(AXES, 0)
    chosen = []
    for done, members in enumerate(reversed([list(part) for part in np.array_split(ordered, count)])):
        middle = 0.5 * (len(members) - 1)
        place = min(
            range(len(members)),
            key=lambda p, members=members, done=done, middle=middle: (
                taken[families[members[p]]] - share[families[members[p]]] * (done + 1),
                abs(p - middle),
                members[p],
            ),
        )
        chosen.append(int(members[place]))
        taken[families[members[place]]] += 1
    return chosen


def assign_roles(impacts: Sequence[Impact], calibration: int, heldout: int) -> list[Impact]:
    """Roles by severity and axis, from the impacts alone: first the held-out ones, then those for calibration.

    Raises
    ------
    InputError
        If no impact is left for training.
    """
    if calibration + heldout >= len(impacts):
        raise InputError(
            f"impacts: found {len(impacts)} in all, accepted is more than calibration + heldout = "
            f"{calibration + heldout}"
        )
    roles = [TRAINING] * len(impacts)
    for role, count in ((HELDOUT, heldout), (CALIBRATION, calibration)):
        left = [i for i, taken in enumerate(roles) if taken == TRAINING]
        for i in _spread_choice(left, impacts, count):
            roles[i] = role
    return [replace(impact, role=role) for impact, role in zip(impacts, roles, strict=True)]


def _column_factors(path: Path, header: Sequence[str]) -> list[float]:
    """Factors to s and rad/s of the four columns."""
    accepted = "; ".join(" or ".join(names) for names in _COLUMNS.values())
    names = [name.strip() for name in header]
    if len(names) != len(_COLUMNS):
        raise InputError(f"{path}: found the columns {', '.join(names) or '(none)'}; accepted are four: {accepted}")
    factors = []
    for name, known in zip(names, _COLUMNS.values(), strict=True):
        if name not in known:
            raise InputError(f"{path}: column {name!r}: accepted here is {' or '.join(known)} (name with unit)")
        factors.append(known[name])
    return factors


def read_impact(path: Path, duration_ms: float) -> Impact:
    """One impact from a CSV file with the columns time, wx, wy, wz and their units in the header.

    Time starts at the first row; the record is cut after ``duration_ms``.

    Raises
    ------
    InputError
        Naming file, column and row: wrong columns or units, not a number, time that does not increase or has holes,
        a record shorter than ``duration_ms``, velocities beyond any head impact.
    """
    try:
        text = path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"{path}: cannot be read as text: {error}") from None
    lines = [(number, row) for number, row in enumerate(csv.reader(text.splitlines()), start=1) if row]
    if not lines:
        raise InputError(f"{path}: found an empty file; accepted is a header and rows of time and angular velocity")
    names = [name.strip() for name in lines[0][1]]
    factors = np.array(_column_factors(path, names))
    values = np.empty((len(lines) - 1, len(factors)))
    for index, (number, row) in enumerate(lines[1:]):
        if len(row) != len(factors):
            raise InputError(f"{path}: row {number}: found {len(row)} values, accepted are {len(factors)}")
        for column, word in enumerate(row):
            try:
                values[index, column] = float(word)
            except ValueError:
                values[index, column] = math.nan
            if not math.isfinite(values[index, column]):
                raise InputError(
                    f"{path}: column {names[column]}, row {number}: found {word.strip()!r}, accepted is a number"
                )
    values *= factors
    time_s = values[:, 0]
    steps = np.diff(time_s)
    if np.any(steps <= 0):
        number = lines[2 + int(np.argmax(steps <= 0))][0]
        raise InputError(f"{path}: column {names[0]}, row {number}: time does not increase")
    # A hundredth of a millisecond forgives rounding of the last time.
    length_ms = 1e3 * (time_s[-1] - time_s[0]) if len(time_s) else 0.0
    if length_ms < duration_ms - 0.01:
        raise InputError(
            f"{path}: column {names[0]}: found a record of {length_ms:g} ms, "
            f"accepted is duration_ms = {duration_ms:g} or more"
        )
    if np.any(steps > _LARGEST_STEP_MS * 1e-3 * (1 + 1e-9)):
        number = lines[2 + int(np.argmax(steps))][0]
        raise InputError(
            f"{path}: column {names[0]}, row {number}: found a step of {1e3 * steps.max():g} ms, "
            f"accepted is at most {_LARGEST_STEP_MS:g} ms"
        )
    speed = np.abs(values[:, 1:])
    if speed.max() > _LARGEST_RAD_PER_S:
        index, column = np.unravel_index(int(np.argmax(speed)), speed.shape)
        raise InputError(
            f"{path}: column {names[column + 1]}, row {lines[index + 1][0]}: found {speed.max():.4g} rad/s, "
            f"accepted is at most {_LARGEST_RAD_PER_S:g} rad/s; is the unit in the column's name right?"
        )
    if speed.max() == 0.0:
        raise InputError(f"{path}: found no rotation at all")
    time_s = time_s - time_s[0]
    end_s = duration_ms * 1e-3
    kept = time_s < end_s - 1e-5
    at_end = [np.interp(end_s, time_s, values[:, column]) for column in (1, 2, 3)]
    impact = Impact(
        time_s=np.append(time_s[kept], end_s),
        angular_velocity_rad_per_s=np.vstack([values[kept, 1:], at_end]),
        label=path.stem,
    )
    return replace(
        impact,
        parameters={
            "peak_velocity_rad_per_s": peak_velocity(impact),
            "peak_acceleration_rad_per_s2": peak_acceleration(impact),
        },
    )


def study_impacts(impacts: Impacts, seed: int, files: Sequence[Path] = ()) -> list[Impact]:
    """The study's impacts as its configuration asks: drawn, or read from the folder of the given CSV ``files``."""
    if impacts.source == "csv":
        return read_impacts(files[0].parent, impacts)
    return draw_impacts(impacts, seed)


def read_impacts(folder: str | Path, impacts: Impacts) -> list[Impact]:
    """All ``*.csv`` files of a folder in the order of their names, with roles as for drawn impacts.

    Raises
    ------
    InputError
        As in `read_impact`, or if the number of files is not ``training + calibration + heldout``.
    """
    folder = Path(folder)
    if not folder.is_dir():
        raise InputError(f"impacts.csv_folder: found {str(folder)!r}, accepted is an existing folder")
    paths = sorted(folder.glob("*.csv"))
    wanted = impacts.training + impacts.calibration + impacts.heldout
    if len(paths) != wanted:
        raise InputError(
            f"impacts.csv_folder: found {len(paths)} CSV files in {folder}, "
            f"accepted is training + calibration + heldout = {wanted}"
        )
    return assign_roles(
        [read_impact(path, impacts.duration_ms) for path in paths], impacts.calibration, impacts.heldout
    )
