"""The calcium study's files with made-up but plausible numbers: input for the tests of its figures and its page."""

from __future__ import annotations

import json
from argparse import Namespace
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from understudy.calcium.surrogate import CHANNELS, TARGETS
from understudy.dataset import Field, write_ground_truth

SPEED = 812.0
SITES_UM = (20.0, 40.0, 54.0)
STEPS_S = [1e-4, 5e-5, 2.5e-5, 1.25e-5]
GAPS_S = [0.1, 0.3, 1.0, 2.0, 3.0, 5.0, 7.0, 10.0, 14.0, 20.0, 30.0]
# Name -> relative error of speed, weight of the refractory tail that is missed, size of other errors.
MADE_UP = {
    "one_state": (6e-4, 1.0, 1.0), "two_state": (2e-4, 0.01, 0.1), "net4": (1.5e-3, 0.15, 0.5),
    "net5": (8e-4, 0.02, 0.3), "net6": (5e-4, 0.03, 0.3), "waves_only": (-0.12, 0.3, 5.0),
}  # fmt: skip
UNKNOWNS = {"one_state": 4, "two_state": 5, "net4": 4, "net5": 5, "net6": 6, "waves_only": 4}


def _front(x_um: np.ndarray, time_s: np.ndarray, error: float, tail: float) -> np.ndarray:
    """Cytosolic and ER calcium, calbindin and open probability (T, N, 4) of a front."""
    since = time_s[:, None] - 2e-3 - x_um / (SPEED * (1 + error))
    rise = 1 / (1 + np.exp(-np.clip(since / 6e-4, -60, 60)))
    late = np.maximum(since, 0.0)
    u = 0.05 + rise * (4.4 * np.exp(-late / 5e-3) + 0.6 * np.exp(-late / 0.2))
    e = 250 - 232 * rise * (1 - np.exp(-late / 8e-3))
    p = rise * (0.994 * np.exp(-late / (0.3 + 0.5 * tail)) * (1 - 0.3 * (1 - tail) * (1 - np.exp(-late / 0.1))))
    return np.stack([u, e, 149 - 130 * rise, np.clip(p, 0, 1)], axis=-1)


def hybrid_arrays() -> dict[str, Any]:
    """Contents of ``hybrid.h5``."""
    generator = np.random.default_rng(3)
    time, x, fine = np.arange(0, 0.3, 3e-3), np.arange(0.5, 64.0, 1.0), np.arange(0, 0.3, 5e-4)
    front: dict[str, Any] = {"time_s": time, "position_um": x, "sites_um": np.array(SITES_UM), "trace_time_s": fine}
    held = np.array([0.3, 1.0, 3.0, 10.0])
    at = np.concatenate([np.geomspace(1e-4, 0.2, 60), 0.2 + np.geomspace(1e-4, 0.8, 60)])
    clamps: dict[str, Any] = {
        "time_s": np.tile(at, (4, 1)), "u_uM": np.where(at <= 0.2, held[:, None], 0.05),
    }  # fmt: skip
    expected = np.concatenate([generator.uniform(250, 1500, 28), [0.0], generator.uniform(250, 1500, 3)])
    conditioned = np.arange(32) >= 18
    heldout: dict[str, Any] = {"expected": expected, "conditioned": conditioned}
    radius = 0.1986 * np.exp(generator.uniform(np.log(0.9), np.log(1.1), 60))
    threshold: dict[str, Any] = {"radius_um": radius, "equations": radius > 0.1986}
    for name, (error, tail, size) in {"equations": (0.0, 0.0, 0.0), **MADE_UP}.items():
        whole, traces = _front(x, time, error, tail), _front(np.array(SITES_UM), fine, error, tail)
        front[name] = {"u_uM": whole[..., 0], "e_uM": whole[..., 1], "open": whole[..., 3], "traces": traces}
        reached = held[:, None] ** 2 / (held[:, None] ** 2 + 1) * (1 - np.exp(-at * 300 * held[:, None]))
        fall = np.where(at <= 0.2, 1, np.exp(2 - 10 * at))
        clamps[name] = (reached + 0.02 * size * np.sin(at * 30)).clip(0, 1) * fall
        if name in ("equations", "waves_only"):
            continue
        own = 3e-3 * size + np.where(conditioned & (tail > 0.1), 0.09 * tail, 0.0)
        found = expected * (1 + own * generator.normal(size=32))
        if name == "one_state":
            found[20] = 0.0
        heldout[name] = {"found": found, "nrmse_u": 0.004 + 0.5 * np.abs(own)}
        threshold[name] = radius > 0.1986 + 8e-4 * size
    return {"front": front, "clamps": clamps, "heldout": heldout, "threshold": threshold}


def hybrid() -> dict[str, Any]:
    """Contents of ``hybrid.json``."""
    channels: dict[str, Any] = {}
    equations = [771.0, 800.3, 808.7, 810.9]
    ratio = 1 / (1 + (6.0 / np.array(GAPS_S)) ** 3)
    for name, (error, tail, size) in MADE_UP.items():
        errors = [error + 1e-3 * size * k for k in (2.0, 0.6, 0.2, 0.0)]
        entry: dict[str, Any] = {
            "unknowns": UNKNOWNS[name],
            "label": name,
            "front": {
                "speed": error, "arrival_ms": -0.03 * size, "peak": 4e-4 * size, "nrmse_u": 2e-3 * size,
                "r2_open": 1 - 0.066 * tail, "nrmse_open": 0.084 * tail**0.5,
            },
            "steps": {
                "step_s": STEPS_S, "equations": equations, "error": errors,
                "channel": [v * (1 + e) for v, e in zip(equations, errors, strict=True)], "change": [-0.049, -0.05],
            },
            "excursions": {"share": 2e-4 * size, "first_s": 0.012, "first_um": 9.1},
        }  # fmt: skip
        if name == "waves_only":
            entry["steps"]["channel"][0] = 0.0
            entry["steps"]["error"][0] = None
        else:
            entry["heldout"] = {
                "n": 32, "n_waves": 31, "n_conditioned": 12, "missed": int(name == "one_state"),
                "speed_median": 2e-3 * size, "speed_max": 8e-3 * size + 0.1 * (tail > 0.1) * tail,
                "conditioned_speed_median": 3e-3 * size + 0.06 * (tail > 0.1) * tail,
                "conditioned_speed_max": 9e-3 * size + 0.1 * (tail > 0.1) * tail, "nrmse_u_median": 4e-3,
                "nrmse_u_max": 0.018,
            }  # fmt: skip
            entry["threshold"] = {
                "expected_um": 0.1986, "found_um": 0.1986 + 8e-4 * size, "shift_um": 8e-4 * size, "agreement": 0.99,
                "runs": 100,
            }  # fmt: skip
            entry["recovery"] = {
                "gap_s": GAPS_S, "expected": ratio.tolist(), "nrmse": 0.02 + 0.4 * tail,
                "found": (ratio * (1 - tail) + 0.8 * tail).tolist(),
            }  # fmt: skip
        channels[name] = entry
    for seed in (1, 2):
        channels[f"net4_{seed}"] = {"unknowns": 4, "front": {"r2_open": 0.985 + 0.002 * seed, "speed": 2e-3}}
    cost = {
        name: {"median": value, "low": 0.97 * value, "high": 1.04 * value}
        for name, value in {"one_state": 0.71, "two_state": 0.93, "net4": 1.31, "net5": 1.06, "net6": 1.12}.items()
    }
    return {"study": "calcium", "channels": channels, "cost": cost}


def channels() -> dict[str, Any]:
    """Contents of ``channels.json``."""
    names = ("sodium", "potassium", "calcium_hva", "ip3_receptor", "ryanodine_receptor")
    members = [
        {
            "channel": name,
            "weights": 404,
            "drawn": {"protocols": 48, "r2": 1 - 1e-4 * (n + 1), "nrmse": 2e-3 * (n + 1)},
            "recorded": {"protocols": 6, "r2": 1 - 3e-4 * (n + 1), "nrmse": 3e-3 * (n + 1)},
        }
        for n, name in enumerate(names)
    ]
    spikes = {name: {"time_ms": 0.02 + 0.01 * n, "peak_mV": 0.3 + 0.1 * n, "spikes": 2}
              for n, name in enumerate(("sodium", "potassium", "both"))}  # fmt: skip
    observations = [
        {"channel": "ryanodine_receptor", "kind": kind, "noise": 0.05, "seen": 0.25, "network_new": 0.03 + 0.02 * n,
         "table_new": 0.16, "network_missing": 0.04, "smoothing_missing": 0.12, "r2_new": 0.98 - 0.03 * n,
         "table_r2_new": 0.55}
        for n, kind in enumerate(("open probability", "fluorescence"))
    ]  # fmt: skip
    observations.append(observations[1] | {"channel": "potassium", "network_new": 0.2, "r2_new": 0.4})
    return {"study": "calcium", "members": members, "spikes": spikes, "observations": observations}


def channel_arrays() -> dict[str, Any]:
    """Contents of ``channels.h5``."""
    generator = np.random.default_rng(5)
    members: dict[str, Any] = {}
    for n, entry in enumerate(channels()["members"]):
        time = np.tile(np.linspace(0, (0.012, 0.05, 0.2, 2.0, 20.0)[n], 120), (2, 1))
        phase = time / time[0, -1]
        truth = (0.3 + 0.1 * n) * (1 - np.exp(-20 * phase)) * np.exp(-(n % 3) * phase)
        members[entry["channel"]] = {
            "time_s": time, "drive": np.ones_like(time), "truth": truth, "network": truth + 3e-3 * np.sin(20 * phase),
            "attributes": {"driver": "voltage" if n < 3 else "calcium", "unit": "mV" if n < 3 else "uM"},
        }  # fmt: skip
    time = np.arange(0, 25, 0.05)
    exact = -65 + sum(105 * np.exp(-(((time - at) / 0.6) ** 2)) for at in (3.0, 15.0))
    spikes = {"time_ms": time, "exact": exact}
    for n, name in enumerate(("sodium", "potassium", "both"), start=1):
        spikes[name] = np.interp(time - 0.01 * n, time, exact)
    observed: dict[str, Any] = {}
    for k, entry in enumerate(channels()["observations"]):
        at = np.linspace(0, 4.0, 160)
        truth = np.abs(np.sin(2 * at)) * np.exp(-0.2 * at)
        seen = truth + 0.05 * generator.normal(size=160)
        seen[(generator.random(160) > 0.3) | ((at > 1.5) & (at < 2.2))] = np.nan
        observed[str(k)] = {
            "time_s": at, "observed": seen, "truth": truth, "network": truth + 0.03 * np.cos(5 * at),
            "smoothing": truth * 0.9, "attributes": {"channel": entry["channel"], "kind": entry["kind"]},
        }  # fmt: skip
    return {"members": members, "spikes": spikes, "observations": observed}


SWEEPS = (
    ("open_max", "amplitude", 0.08, 0.6, 4.0), ("inactivation_s", "duration", 0.004, 0.04, 0.006),
    ("activation_uM", "threshold", 0.4, 1.2, 900.0),
)  # fmt: skip


def design() -> dict[str, Any]:
    """Contents of ``design.json``."""
    knobs = []
    for knob, outcome, low, high, scale in SWEEPS:
        values = np.geomspace(low, high, 8)
        designed = scale * (values / low) ** 0.7
        knobs.append(
            {
                "knob": knob, "outcome": outcome, "values": values.tolist(), "designed": designed.tolist(),
                "outcomes": [(designed * (1 + 0.01 * seed)).tolist() for seed in (-1, 0, 1)], "spearman": 1.0,
                "span": float(designed[-1] / designed[0]), "spread_over_half_step": 0.4, "passed": True,
            }
        )  # fmt: skip
    inverse = [
        {
            "amplitude_uM": a, "duration_s": d, "found_amplitude_uM": a * 1.008, "found_duration_s": d * 0.993,
            "errors": [0.008, -0.007], "simulations": 45, "seed": 0,
        }
        for a in (5.0, 8.0, 12.0)
        for d in (0.007, 0.012)
    ]  # fmt: skip
    networks = [{"seed": seed, "r2": 0.9995, "nrmse": 4e-3} for seed in range(3)]
    return {"study": "calcium", "knobs": knobs, "inverse": inverse, "networks": networks}


def design_arrays() -> dict[str, Any]:
    """Contents of ``design.h5``."""
    time = np.linspace(0, 0.12, 200)
    waves = {}
    for entry in design()["knobs"]:
        rise = 1 / (1 + np.exp(-(time - 0.03) / 1e-3))
        height = np.linspace(4, 15, 8) if entry["outcome"] == "amplitude" else np.full(8, 8.0)
        width = np.linspace(0.006, 0.03, 8) if entry["outcome"] == "duration" else np.full(8, 0.01)
        fall = np.exp(-np.maximum(time - 0.03, 0) / width[:, None])
        waves[entry["knob"]] = {
            "time_s": time, "values": np.array(entry["values"]), "calcium_uM": 0.05 + height[:, None] * rise * fall,
        }  # fmt: skip
    return {"waves": waves}


def map_arrays() -> dict[str, Any]:
    """Contents of ``wave_map.h5``."""
    density, radius = np.linspace(1, 6, 24), np.linspace(0.1, 0.4, 20)
    product = density[:, None] * radius
    wave = product > 0.6
    speed = np.where(wave, 900 * np.sqrt(product), 0.0)
    rows, columns = np.array([2, 10, 20, 22]), np.array([3, 8, 15, 4])
    own = {"density": rows, "radius": columns, "speed_um_per_s": 1.002 * speed[rows, columns],
           "peak_uM": 5 * product[rows, columns], "duration_s": np.full(4, 0.006)}  # fmt: skip
    return {
        "receptors_per_um2": density, "er_radius_um": radius, "speed_um_per_s": speed,
        "peak_uM": np.where(wave, 5 * product, 0.06), "duration_s": np.where(wave, 0.004 + 0.004 * radius, np.nan),
        "flagged": np.where(product > 2.0, 0.1, 0.0), "equations": own,
        "attributes": {"radius_um": 0.5, "channel": "net4"},
    }  # fmt: skip


def verification() -> dict[str, Any]:
    """Contents of ``verification.json``."""
    from_published = {(0.1, 1.0): (0.034, 0.0344, 0.0355), (0.1, 3.0): (0.023, 0.0232, 0.0249),
                      (0.5, 3.0): (0.108, 0.1109, 0.199), (0.5, 6.0): (0.058, 0.0592, 0.155)}  # fmt: skip
    steps = [1e-4, 5e-5, 2.5e-5]
    return {
        "checks": [{"name": "rest", "value": 1e-12, "expected": 0.0, "tolerance": 1e-8, "passed": True}],
        "benchmarks": {
            "front": {
                "0.5": {"speed": 583.33, "expected": 583.30, "error": 5e-5},
                "0.25": {"speed": 811.75, "expected": 811.71, "error": 5e-5},
                "0.125": {"speed": 898.5, "expected": 898.42, "error": 9e-5},
            },
            "rxd": {"speed_error": 3e-4, "nrmse": 2e-3},
            "radii": [
                {"radius_um": radius, "receptors_per_um2": density, "published_um": published, "found_um": found,
                 "allowed_um": max(0.05 * published, 0.002), "error": found / published - 1, "cable_um": cable}
                for (radius, density), (published, found, cable) in from_published.items()
            ],
            "orders": {"space": 1.97, "time": 2.02, "fallback_time": 1.01},
            "convergence": {
                "space": {"spacing_um": [1.0, 0.5, 0.25], "error": [4e-2, 1.02e-2, 2.6e-3]},
                "time": {"step_s": steps, "error": [3e-4, 7.4e-5, 1.8e-5]},
                "fallback_time": {"step_s": [step / 4 for step in steps], "error": [2e-3, 1e-3, 5e-4]},
            },
            "mass_drift": 6e-14,
            "bounds": {"cases": 20000, "violations": 0},
            "rxd_time": {"one_cable": 42.0, "per_cable_of_64": 180.0},
            "validity": [
                {"radius_um": radius, "er_radius_um": 0.5 * radius, "receptors_per_um2": density,
                 "cable_speed": 700 * density**0.5 * radius**0.2,
                 "dendrite_speed": 0.0 if density < 2 and radius > 0.8 else
                 700 * density**0.5 * radius**0.2 * (1 + 0.2 * radius)}
                for radius in (0.1, 0.2, 0.5, 1.0)
                for density in (1.0, 3.0, 6.0)
            ],
        },
    }  # fmt: skip


def training() -> dict[str, Any]:
    """Contents of ``training.json``."""
    return {
        "networks": [
            {
                "name": name, "unknowns": UNKNOWNS[name.split("_")[0]] if name != "waves_only" else 4, "seed": 0,
                "weights": 140 + 20 * n, "seconds": 60.0 + n, "loss": 1e-4,
                "families": "waves" if name == "waves_only" else "all",
                "errors": {"all": 0.004 * (n + 1), "clamp": 0.005 * (n + 1), "wave": 0.003 * (n + 1)},
            }
            for n, name in enumerate(("net4", "net5", "net6", "net4_1", "waves_only"))
        ]
    }  # fmt: skip


def deployment() -> dict[str, Any]:
    """Contents of ``deployment.json``."""
    return {"n": 1024, "seconds": 21.0, "seconds_per_case": 0.0205, "seconds_per_case_direct": 0.016, "direct_n": 64,
            "threads": 1, "device": "cpu"}  # fmt: skip


def noise_floor() -> dict[str, Any]:
    """Contents of ``noise_floor.json``."""
    return {"study": "calcium", "noise": 0.005, "targets": {name: {"r2": 0.9995, "nrmse": 3e-3} for name in TARGETS}}


def metrics() -> dict[str, Any]:
    """What the page reads of ``metrics.json``."""
    own = {name: {"r2": 0.9993, "nrmse": 5e-3, "mape": 0.01, "unit": "ln(1/s)"} for name in TARGETS}
    return {"study": "calcium", "n_train": 24000, "targets": own, "subsets": {"random": {"n": 6000, "groups": 120}}}


def course_arrays() -> dict[str, Any]:
    """Contents of ``courses.h5``."""
    families = ("clamp", "ramp", "wave", "paired pulses")
    return {
        split: {"family": np.repeat(families, number).astype("S"), "group": np.arange(4 * number) // 2}
        for split, number in (("training", 50), ("calibration", 10), ("heldout", 20))
    }


def write_arrays(path: Path, content: Mapping[str, Any]) -> None:
    """Nested mappings of arrays, with ``attributes``, as an HDF5 file."""

    def fill(group: h5py.Group, parts: Mapping[str, Any]) -> None:
        for name, value in parts.items():
            if name == "attributes":
                group.attrs.update(value)
            elif isinstance(value, Mapping):
                fill(group.create_group(name), value)
            else:
                group[name] = value

    with h5py.File(path, "w") as file:
        file.attrs["study"] = "calcium"
        fill(file, content)


JSON = {
    "metrics": metrics, "floor": noise_floor, "training": training, "hybrid": hybrid, "channels": channels,
    "design": design, "deployment": deployment, "checks": verification,
}  # fmt: skip
ARRAYS = {
    "courses": course_arrays, "waves": hybrid_arrays, "clamps": channel_arrays, "designed": design_arrays,
    "map": map_arrays,
}  # fmt: skip


def write_run(folder: Path) -> Namespace:
    """All files that the drawing program reads; arguments as the program takes them."""
    folder.mkdir(parents=True, exist_ok=True)
    paths = {"dataset": folder / "ground_truth.h5"}
    write_ground_truth(
        paths["dataset"],
        study="calcium",
        inputs=np.ones((8, 2, 1)),
        targets=np.zeros((8, 4)),
        case=np.arange(8),
        group=np.zeros(8, dtype=int),
        split=np.array(["training"] * 8),
        subset=np.array(["sampled"] * 8),
        failed=[""] * 8,
        channels=[Field(name, "uM") for name in CHANNELS],
        target_fields=[Field(name, "ln(1/s)") for name in TARGETS],
        group_names=["course 0"],
        input_step=1.0,
        input_step_unit="moment",
        attributes={"noise": 0.005},
    )
    for name, made in ARRAYS.items():
        paths[name] = folder / f"{name}.h5"
        write_arrays(paths[name], made())
    for name, made in JSON.items():
        paths[name] = folder / f"{name}.json"
        paths[name].write_text(json.dumps(made()))
    return Namespace(**paths, code=None, overwrite=False)
