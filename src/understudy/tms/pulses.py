"""Time courses of the induced field: standard pulses of stimulators, and pulses from files.

A pulse is the time course of the induced electric field, that is of the rate of change of the coil's current, with a
peak of 1. Amplitudes of thresholds multiply it.
"""

from __future__ import annotations

import csv
import math
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from scipy.interpolate import PchipInterpolator

from understudy.errors import InputError

# Steps longer than this cannot show the rise and the phases of a pulse: thresholds move by some 7 % when a pulse is
# sampled every 10 us (measured on the recorded monophasic pulse).
COARSEST_STEP_MS = 0.01
_FEWEST_SAMPLES = 8
# Stimulators give phases of 0.01 to 0.35 ms; a record shorter or longer than this has its time in another unit.
_SHORTEST_MS, _LONGEST_MS = 0.01, 20.0

_TIME_COLUMNS = {"time_ms": 1.0, "time_us": 1e-3, "time_s": 1e3}
_VALUE_COLUMNS = ("value", "field", "field_V_per_m", "dI_dt", "dI_dt_A_per_us", "voltage_V")

# Recorded MagPro X100 pulses at maximal width, coil MC-B70, sampled at 0.2 us. Found (points of the recording as
# tabulated in the model card): values at 20 us steps, the peak at 4.2 us, zero crossings, minima and the ends.
_MONOPHASIC_US = (0, 4.2, 20, 40, 60, 75.6, 80, 100, 104.6, 120, 140, 160, 200, 240, 300, 400, 500, 700)
_MONOPHASIC = (
    *(0, 1, 0.907, 0.655, 0.306, 0, -0.077, -0.293, -0.301, -0.245, -0.149, -0.135, -0.134, -0.101, -0.078),
    *(-0.046, -0.029, -0.013),
)
_BIPHASIC_US = (0, 4.2, 20, 40, 60, 75.8, 80, 100, 120, 140, 149.4, 160, 200, 228, 240, 300, 308, 320)
_BIPHASIC = (
    *(0, 1, 0.905, 0.653, 0.307, 0, -0.076, -0.447, -0.725, -0.878, -0.895, -0.854, -0.466, 0, 0.191, 0.774, 0, 0),
)
# Found: negative peaks of the recorded near-rectangular pulses of a controllable stimulator, by width in us.
_NEAR_RECTANGULAR_NEGATIVE = {30: 0.345, 60: 0.601, 120: 0.941}
# Estimate: the edges of rectangles take this long.
_EDGE_MS = 0.001
_SAMPLE_MS = 0.0005


@dataclass(frozen=True)
class Pulse:
    """Time course of the induced field, linear between its samples and 0 before the first and after the last.

    Attributes
    ----------
    name : for tables and files.
    time_ms : (n,) increasing, from 0.
    value : (n,) with a largest magnitude of 1.
    """

    name: str
    time_ms: np.ndarray
    value: np.ndarray

    def __post_init__(self) -> None:
        time, value = np.asarray(self.time_ms, dtype=float), np.asarray(self.value, dtype=float)
        if time.ndim != 1 or time.shape != value.shape or len(time) < 2:
            raise InputError(
                f"pulse {self.name}: found times {time.shape} and values {value.shape}, accepted are two or more "
                "of each"
            )
        if not (np.isfinite(time).all() and np.isfinite(value).all()):
            row = int(np.argmax(~(np.isfinite(time) & np.isfinite(value))))
            raise InputError(f"pulse {self.name}: found {value[row]} at sample {row}, accepted are finite numbers")
        if np.any(np.diff(time) <= 0):
            raise InputError(
                f"pulse {self.name}: time does not increase at sample {int(np.argmax(np.diff(time) <= 0)) + 1}"
            )
        peak = np.abs(value).max()
        if peak == 0:
            raise InputError(f"pulse {self.name}: found zeros alone, accepted is a pulse with a peak")
        object.__setattr__(self, "time_ms", time - time[0])
        object.__setattr__(self, "value", value / peak)

    @property
    def duration_ms(self) -> float:
        """Length of the record."""
        return float(self.time_ms[-1])

    def at(self, time_ms: np.ndarray) -> np.ndarray:
        """Values at any times, the shape of ``time_ms``."""
        return np.interp(time_ms, self.time_ms, self.value, left=0.0, right=0.0)

    def integral(self, time_ms: np.ndarray) -> np.ndarray:
        """Integral from the pulse's start to each time, in ms: the coil's current up to a factor; exact."""
        pieces = 0.5 * (self.value[1:] + self.value[:-1]) * np.diff(self.time_ms)
        sums = np.concatenate([[0.0], np.cumsum(pieces)])
        time = np.clip(np.asarray(time_ms, dtype=float), 0.0, self.duration_ms)
        index = np.clip(np.searchsorted(self.time_ms, time, side="right") - 1, 0, len(self.time_ms) - 2)
        past = time - self.time_ms[index]
        slope = (self.value[index + 1] - self.value[index]) / (self.time_ms[index + 1] - self.time_ms[index])
        return sums[index] + past * (self.value[index] + 0.5 * slope * past)

    def steps(self, dt_ms: float, window_ms: float, delay_ms: float = 0.005) -> np.ndarray:
        """Means of the pulse over the steps of a simulation, (S,): whatever the step, the integral stays the same.

        Parameters
        ----------
        dt_ms : time step; step n spans n dt to (n + 1) dt.
        window_ms : simulated time; S = window / dt.
        delay_ms : start of the pulse (found: 0.005 ms in the published runs).

        Raises
        ------
        InputError
            If the steps are too coarse for any pulse.
        """
        if not 0 < dt_ms <= COARSEST_STEP_MS + 1e-12:
            raise InputError(
                f"dt_ms: found {dt_ms:g}, accepted is more than 0 and at most {COARSEST_STEP_MS:g}: "
                f"longer steps do not show a pulse"
            )
        edges = np.arange(round(window_ms / dt_ms) + 1) * dt_ms - delay_ms
        return np.diff(self.integral(edges)) / dt_ms

    def reversed(self) -> Pulse:
        """The pulse with the current in the other direction."""
        return Pulse(f"{self.name}_reversed", self.time_ms, -self.value)


def _through(time_us: tuple[float, ...], value: tuple[float, ...]) -> tuple[np.ndarray, np.ndarray]:
    """Samples of the monotone cubic curve through tabulated points: no extrema but those of the table."""
    knots = np.array(time_us) * 1e-3
    time = np.arange(round(knots[-1] / _SAMPLE_MS) + 1) * _SAMPLE_MS
    # The table's points stay samples, so that its peak is a sample too.
    time = np.unique(np.concatenate([np.round(time, 9), np.round(knots, 9)]))
    return time, PchipInterpolator(knots, np.array(value, dtype=float))(time)


def _area(time: np.ndarray, value: np.ndarray) -> float:
    return float(np.sum(0.5 * (value[1:] + value[:-1]) * np.diff(time)))


def monophasic() -> Pulse:
    """Recorded monophasic pulse (MagPro X100): fast rise, damped first phase, long weak second phase.

    The current returns to zero, so the integral of the pulse vanishes: behind the last tabulated point the pulse runs
    straight to zero, for as long as closes the integral.
    """
    time, value = _through(_MONOPHASIC_US, _MONOPHASIC)
    end = time[-1] - 2 * _area(time, value) / value[-1]
    if end > time[-1]:
        return Pulse("monophasic", np.append(time, end), np.append(value, 0.0))
    # The curve through the table has a second phase too large by some per cent: all of it behind the minimum shrinks.
    late = np.clip((time - 0.1046) / 0.0354, 0.0, 1.0) * value
    value = value - late * _area(time, value) / _area(time, late)
    return Pulse("monophasic", np.append(time, time[-1] + _EDGE_MS), np.append(value, 0.0))


def biphasic() -> Pulse:
    """Recorded biphasic pulse (MagPro X100): one damped cycle of 305 us."""
    return Pulse("biphasic", *_through(_BIPHASIC_US, _BIPHASIC))


def half_sine() -> Pulse:
    """The biphasic pulse cut where its current returns to zero: half a cycle of the current."""
    whole = biphasic()
    fine = np.arange(0.13, 0.19, 1e-5)
    # Half of the edge belongs to the half cycle.
    end = fine[np.argmin(np.abs(whole.integral(fine)))] - 0.5 * _EDGE_MS
    time = np.append(whole.time_ms[whole.time_ms < end - 1e-6], [end, end + _EDGE_MS])
    return Pulse("half_sine", time, np.append(whole.at(time[:-1]), 0.0))


def rectangular(width_us: float) -> Pulse:
    """One rectangle of the given width at half height, with edges of 1 us; the ideal of a controllable stimulator."""
    width = width_us * 1e-3
    time = np.array([0.0, _EDGE_MS, width, width + _EDGE_MS])
    return Pulse(f"rectangular_{width_us:g}us", time, np.array([0.0, 1.0, 1.0, 0.0]))


def near_rectangular(width_us: float, negative: float) -> Pulse:
    """A rectangle followed by a negative phase that fades exponentially and brings the current back to zero.

    Parameters
    ----------
    width_us : of the positive phase.
    negative : peak of the negative phase over the positive one's; it starts at once (shape: estimate).
    """
    width = width_us * 1e-3
    fade = width / negative
    after = np.arange(1, 1001) * (6 * fade / 1000)
    time = np.concatenate([[0.0, _EDGE_MS, width, width + _EDGE_MS], width + _EDGE_MS + after])
    shape = np.exp(-after / fade) - np.exp(-6.0) * after / after[-1]
    value = np.concatenate([[0.0, 1.0, 1.0, -negative], -negative * shape])
    # The cut end of the exponential is made up for, so that the integral vanishes.
    second = np.where(time >= width + _EDGE_MS - 1e-12, value, 0.0)
    first = value - second
    return Pulse(f"near_rectangular_{width_us:g}us", time, first - second * _area(time, first) / _area(time, second))


def damped_cosine(period_us: float, decay_us: float, cycles: float = 1.0, name: str = "damped_cosine") -> Pulse:
    """The field of a capacitor's discharge through a coil: cos(2 pi t / T) exp(-t / decay), cut after some cycles.

    Parameters
    ----------
    period_us, decay_us : 305 us (four times the recorded quarter cycle) and about 1,400 us (from the recorded second
        peak, 0.895 at 149 us) give the recorded biphasic pulse but for its rise.
    cycles : 1 for biphasic, 0.5 for half-sine.
    """
    length = cycles * period_us * 1e-3
    time = np.linspace(0.0, length, max(200, round(length / _SAMPLE_MS)) + 1)
    value = np.cos(2e3 * math.pi * time / period_us) * np.exp(-1e3 * time / decay_us)
    return Pulse(name, time, value)


def standard_pulses() -> dict[str, Pulse]:
    """The pulses of the study by name."""
    pulses = (monophasic(), biphasic(), half_sine(), rectangular(30), rectangular(60), rectangular(120))
    return {pulse.name: pulse for pulse in pulses}


def controllable_pulses() -> dict[str, Pulse]:
    """Near-rectangular pulses with the recorded negative peaks (found: -0.345, -0.601, -0.941)."""
    pulses = (near_rectangular(width, negative) for width, negative in _NEAR_RECTANGULAR_NEGATIVE.items())
    return {pulse.name: pulse for pulse in pulses}


def read_pulse(path: str | Path) -> Pulse:
    """A pulse from a CSV file with a header: a column of time (time_ms, time_us or time_s) and one of values.

    The values may have any scale; they are divided by their peak. Further columns are refused.

    Raises
    ------
    InputError
        Naming file, column and row: wrong columns, not a number or NaN, time that does not increase, samples too coarse
        for a pulse, a length that no stimulator has (is the unit right?).
    """
    path = Path(path)
    try:
        lines = path.read_text(encoding="utf-8-sig").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"{path}: cannot be read as text: {error}") from None
    rows = [(number, row) for number, row in enumerate(csv.reader(lines), start=1) if row]
    names = [name.strip() for name in rows[0][1]] if rows else []
    times = [name for name in names if name in _TIME_COLUMNS]
    values = [name for name in names if name in _VALUE_COLUMNS]
    if len(names) != 2 or len(times) != 1 or len(values) != 1:
        raise InputError(
            f"{path}: found the columns {', '.join(names) or 'none'}; accepted are one of {', '.join(_TIME_COLUMNS)} "
            f"and one of {', '.join(_VALUE_COLUMNS)}"
        )
    data = np.empty((len(rows) - 1, 2))
    for index, (number, row) in enumerate(rows[1:]):
        if len(row) != 2:
            raise InputError(f"{path}: row {number}: found {len(row)} values, accepted are 2")
        for column, word in enumerate(row):
            try:
                data[index, column] = float(word)
            except ValueError:
                data[index, column] = math.nan
            if not math.isfinite(data[index, column]):
                raise InputError(
                    f"{path}: column {names[column]}, row {number}: found {word.strip()!r}, accepted is a number"
                )
    time = data[:, names.index(times[0])] * _TIME_COLUMNS[times[0]]
    value = data[:, names.index(values[0])]
    if len(time) < _FEWEST_SAMPLES:
        raise InputError(f"{path}: found {len(time)} samples, accepted are {_FEWEST_SAMPLES} or more")
    steps = np.diff(time)
    if np.any(steps <= 0):
        raise InputError(
            f"{path}: column {times[0]}, row {rows[int(np.argmax(steps <= 0)) + 2][0]}: time does not increase"
        )
    length = time[-1] - time[0]
    if not _SHORTEST_MS <= length <= _LONGEST_MS:
        raise InputError(
            f"{path}: column {times[0]}: found a record of {length:g} ms, accepted are {_SHORTEST_MS:g} to "
            f"{_LONGEST_MS:g} ms; is the unit in the column's name right?"
        )
    # A tail may be sampled sparsely; where the pulse still has a tenth of its peak it may not.
    peak = np.abs(value).max()
    strong = np.maximum(np.abs(value[1:]), np.abs(value[:-1])) > 0.1 * peak
    coarse = (steps > COARSEST_STEP_MS * (1 + 1e-9)) & strong
    if coarse.any():
        index = int(np.argmax(coarse))
        raise InputError(
            f"{path}: column {times[0]}, row {rows[index + 2][0]}: too coarse: found a step of "
            f"{1e3 * steps[index]:g} us, accepted are at most {1e3 * COARSEST_STEP_MS:g} us where the "
            "pulse exceeds a tenth of its peak"
        )
    return Pulse(path.stem, time, value)
