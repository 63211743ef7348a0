"""What the rules of the calcium study do under a configuration; see `understudy.planning.work`."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

from understudy.planning.work import Work
from understudy.surrogate.costs import surrogate_works

# Groups of each kind of course at scale 1; waves come in lanes of eight, and a group of them is seen at 4 or 2 sites.
_CLAMPS, _RAMPS = 300, 120
_WAVES = {"waves": (16, 4), "raised": (8, 4), "long": (8, 4), "paired": (8, 2)}
_LANES = 8
_CHANNELS, _OBSERVED = 5, 4
_KNOBS = 3
_SEARCH_GRID = {"full": 6, "quick": 4}
# Kinds of receptor networks by their number of unknowns; one more sees waves alone.
_KINDS = 3
# Effort of a channel's parts in the cable: front, steps, held-out sets, recovery, clamps, threshold, cost.
_PARTS = 29.0
# Fronts that are kept beside those of the networks: by the equations and by two closures.
_EQUATIONS = 3


def _groups(count: int, scale: float) -> int:
    return max(2, round(scale * count))


def _courses(scale: float, per_course: int) -> int:
    """Cases of the shared machine from the courses of one split."""
    protocols = _groups(_CLAMPS, scale) + _groups(_RAMPS, scale)
    return per_course * (protocols + sum(sites * _groups(count, scale) for count, sites in _WAVES.values()))


def _wave_units(scale: float) -> int:
    """Lanes of waves that are simulated together in one split, each as long as if it were full."""
    return sum(math.ceil(_groups(count, scale) / _LANES) for count, _ in _WAVES.values())


def works(calcium: Any, data_dir: Path) -> list[Work]:
    """Work of every rule of the study.

    Parameters
    ----------
    calcium : the study's configuration.
    data_dir : folder of external data, of which this study reads none.
    """
    own, hybrid, receptors = calcium.courses, calcium.hybrid, calcium.receptors
    channels, design, maps, checks = calcium.channels, calcium.design, calcium.maps, calcium.verification
    scales = (own.training_scale, own.calibration_scale, own.heldout_scale)
    training, calibration, heldout = (_courses(scale, own.per_course) for scale in scales)
    units = sum(_wave_units(scale) for scale in scales)
    protocols = sum(_groups(_CLAMPS, scale) + _groups(_RAMPS, scale) for scale in scales)

    networks = _KINDS * receptors.seeds + 1
    # Cable steps of a second in units of 25 us and 0.25 um.
    fineness = (25 / hybrid.dt_us) * (0.25 / hybrid.spacing_um)
    bench = (50 / design.dt_us) * (design.length_um / 32) * (0.25 / design.spacing_um) * (design.duration_ms / 200)
    sweeps = _KNOBS * design.values * design.bisections * bench
    searches = design.targets * (_SEARCH_GRID[design.fit] ** 2 + 4 * design.refinements) * bench
    cable = (50 / maps.dt_us) * (maps.length_um / 48)
    return [
        Work(
            "simulate_courses",
            farmed={"wave_units": units, "protocols": protocols},
            serial={"cases": training + calibration + heldout},
            blocks=units + math.ceil(protocols / 50),
            longest=2.5,
            memory={"cases": training},
            disk={"cases": training + calibration + heldout},
        ),
        Work(
            "train_receptors",
            after=("simulate_courses", "train_surrogate"),
            farmed={
                "rates": networks * receptors.samples * receptors.rate_iterations / 1e6,
                "windows": networks * receptors.windows * receptors.window_steps * receptors.course_iterations / 1e6,
                "polish": networks * receptors.windows * receptors.window_steps * receptors.polish_iterations / 1e6,
            },
            blocks=networks,
            longest=1.3,
            memory={"samples": receptors.samples + receptors.windows * receptors.window_steps},
        ),
        Work(
            "simulate_hybrid",
            after=("train_receptors",),
            farmed={
                "heldout": (hybrid.plain + hybrid.conditioned) * fineness,
                "recovery": sum(hybrid.recovery_gaps_s) * fineness,
                "threshold": hybrid.threshold_runs * hybrid.threshold_cells / 1e3,
                "contenders": networks * fineness,
                "rounds": hybrid.cost_rounds,
            },
            blocks=7 * networks,
            longest=10 * 7 * networks / (_PARTS * networks),
            memory={"sets": hybrid.plain + hybrid.conditioned},
            disk={"fronts": (networks + _EQUATIONS) / hybrid.spacing_um},
        ),
        Work(
            "compare_channels",
            farmed={
                f"{channels.fit}_fits": _CHANNELS * channels.starts,
                "observed": _OBSERVED * channels.observed * channels.intervals * channels.observed_iterations / 1e6,
                "protocols": _CHANNELS * (channels.training + channels.heldout) * channels.intervals / 1e3,
            },
            serial={"axon_steps": 0.05 / channels.axon_dt_ms},
            blocks=_CHANNELS + _OBSERVED,
            longest=2.0,
            memory={"protocols": channels.training * channels.intervals},
        ),
        Work(
            "design_waves",
            farmed={
                f"{design.fit}_fits": design.seeds,
                "sweeps": (design.seeds + 1) * sweeps,
                "searches": searches,
            },
            serial={"wanted": design.targets * bench},
            blocks=design.seeds + 1,
            # The design itself has no fit: its part is far smaller than a network's.
            longest=(design.seeds + 1) / design.seeds,
            memory={"protocols": design.training * design.intervals},
        ),
        Work(
            "map_waves",
            after=("train_receptors", "simulate_hybrid"),
            serial={"cables": (maps.densities * maps.radii + maps.checked) * cable},
            memory={"cables": maps.densities * maps.radii},
            network=True,
        ),
        Work(
            "verify_calcium",
            serial={
                "peer": float(checks.peer),
                "radii": float(checks.radii),
                "validity": checks.validity,
                "rounds": checks.timing_rounds,
            },
            memory={"radii": float(checks.radii)},
            resumes=True,
        ),
        Work(
            "draw_calcium",
            after=(
                "simulate_courses",
                "evaluate_surrogate",
                "train_receptors",
                "simulate_hybrid",
                "compare_channels",
                "design_waves",
                "map_waves",
                "verify_calcium",
            ),
            serial={"cables": maps.densities * maps.radii},
        ),
        *surrogate_works(calcium, "simulate_courses", "simulate_courses", training, calibration, heldout),
    ]
