"""Verify the calcium study: cable and dendrite against closed forms, other codes and published thresholds."""

from __future__ import annotations

import json
from argparse import Namespace
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from understudy.calcium.bounds_verification import random_bounds
from understudy.calcium.cable_verification import (
    MANUFACTURED_UM,
    SPACE_CELLS,
    TIME_STEPS_S,
    check_branching,
    check_diffusion,
    check_front,
    check_mass,
    check_orders,
    check_rest,
    check_stationary_receptors,
    manufactured_errors,
    observed_order,
)
from understudy.calcium.dendrite_verification import converged_threshold, speeds, verify_dendrite
from understudy.calcium.parameters import Parameters
from understudy.calcium.reference_cases import FRONT_SPEEDS, front_speed
from understudy.calcium.rxd_reference import Setting, compare_with_rxd, rxd_seconds, rxd_traces
from understudy.calcium.threshold_radii import PUBLISHED_UM, allowed_um, cable_threshold_um
from understudy.calcium.waves import richardson
from understudy.errors import InputError
from understudy.farm.keys import stage_key
from understudy.provenance.arguments import main, parser
from understudy.provenance.job import job
from understudy.settings import read_stage
from understudy.surrogate.json_file import finite
from understudy.verification import check

PROGRAM = "verify_calcium"
# Cells, seconds of the reference front in NEURON rxd; a shorter one for small runs.
PEER, SMALL_PEER = (64.0, 256, 0.1), (32.0, 64, 0.06)
PEER_STEP_S, TIMED_STEP_S, TIMED_S = 5e-6, 2.5e-5, 0.02
RADII = ((0.1, 3.0, 384), (0.1, 1.0, 384), (0.2, 3.0, 384), (0.5, 3.0, 512), (0.5, 6.0, 768))
"""Published thresholds that are found anew: radius in um, receptors per um2, columns of the coarser grid."""
VALIDITY_UM, VALIDITY_PER_UM2 = (0.5, 0.1, 0.05, 0.2, 0.3), (1.5, 3.0, 6.0)
STEP_S = 1.25e-5

Part = dict[str, Any]


def kept(path: Path, make: Callable[[], Part]) -> Part:
    """A part's results, made once: a program that was killed finds them."""
    if path.is_file():
        return json.loads(path.read_text())
    made = finite(make())
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_suffix(".part")
    temporary.write_text(json.dumps(made))
    temporary.rename(path)
    return made


def cable() -> Part:
    """Closed forms and conservation."""
    mass = check_mass()
    drifts = [abs(line["value"]) for line in mass if "relative drift" in line["name"]]
    checks = [*check_rest(), *check_stationary_receptors(), *mass, *check_diffusion(), *check_branching()]
    return {"checks": checks, "benchmarks": {"mass_drift": max(drifts)}}


def orders() -> Part:
    """Manufactured solutions."""
    errors = manufactured_errors()
    space = {"spacing_um": [MANUFACTURED_UM / n for n in SPACE_CELLS], "error": errors["space"]}
    time, fallback = (
        {"step_s": list(TIME_STEPS_S[scheme]), "error": errors[scheme]} for scheme in ("crank-nicolson", "euler")
    )
    found = {"space": space, "time": time, "fallback_time": fallback}
    benchmarks = {
        "orders": {name: observed_order(part["error"]) for name, part in found.items()},
        "convergence": found,
    }
    return {"checks": check_orders(errors), "benchmarks": benchmarks}


def front() -> Part:
    """Speeds of the reference front on three grids, extrapolated to no step."""
    found = {}
    for spacing_um, expected in FRONT_SPEEDS.items():
        speed = richardson(*(front_speed(spacing_um, factor * STEP_S) for factor in (1.0, 0.5)))
        found[f"{spacing_um:g}"] = {"speed": speed, "expected": expected, "error": speed / expected - 1}
    return {"checks": check_front(), "benchmarks": {"front": found}}


def peer(whole: bool) -> Part:
    """The same equations in NEURON rxd."""
    length_um, cells, duration_s = PEER if whole else SMALL_PEER
    setting = Setting(length_um, 0.5, 0.25, cells, Parameters())
    found = compare_with_rxd(setting, rxd_traces(setting, duration_s), PEER_STEP_S)
    error, traces = found.speed / found.peer_speed - 1, max(found.trace_nrmse)
    source = "NEURON rxd, variable step"
    checks = [
        check("front: speed over that of NEURON rxd", error + 1, 1.0, 2e-3, source=source),
        check("front: NRMSE of traces against NEURON rxd, largest of three sites", traces, 0.0, 1e-2, source=source),
    ]
    return {"checks": checks, "benchmarks": {"rxd": {"speed_error": error, "nrmse": traces}}}


def timing(rounds: int) -> Part:
    """CPU seconds against NEURON rxd with the same step: medians of the ratios by round, and their range."""
    setting = Setting(64.0, 0.5, 0.25, 256, Parameters())
    found = rxd_seconds(setting, TIMED_S, TIMED_STEP_S, rounds)
    ratios = {name: found["peer"] / found[name] for name in ("one_cable", "per_cable")}
    times = {
        "one_cable": float(np.median(ratios["one_cable"])),
        "per_cable_of_64": float(np.median(ratios["per_cable"])),
        "one_cable_range": [float(ratios["one_cable"].min()), float(ratios["one_cable"].max())],
        "per_cable_of_64_range": [float(ratios["per_cable"].min()), float(ratios["per_cable"].max())],
    }
    return {"checks": [], "benchmarks": {"rxd_time": times}}


def threshold(radius_um: float, receptors_per_um2: float, columns: int) -> Part:
    """A published threshold radius by the two-dimensional model, and what the cable says of it."""
    line = converged_threshold(radius_um, receptors_per_um2, columns, 1e-5)
    published = PUBLISHED_UM[radius_um, receptors_per_um2]
    try:
        thin = cable_threshold_um(
            radius_um, receptors_per_um2, 768, 2e-5, 0.7 * published, min(3.2 * published, 0.95 * radius_um)
        )
    except InputError:
        thin = None
    found = {
        "radius_um": radius_um,
        "receptors_per_um2": receptors_per_um2,
        "published_um": published,
        "found_um": line["value"],
        "allowed_um": allowed_um(published),
        "error": line["value"] / published - 1,
        "cable_um": thin,
    }
    return {"checks": [line], "benchmarks": {"radii": [found]}}


def validity(radii: int) -> Part:
    """Speeds of the cable and of the resolved dendrite, the ER of half the radius."""
    found = []
    for radius_um in sorted(VALIDITY_UM[:radii]):
        for density in VALIDITY_PER_UM2:
            own = Parameters(ryanodine_per_um2=density)
            thin, full = speeds(radius_um, 0.5 * radius_um, own, 0.125, STEP_S)
            found.append(
                {
                    "radius_um": radius_um,
                    "er_radius_um": 0.5 * radius_um,
                    "receptors_per_um2": density,
                    "cable_speed": thin,
                    "dendrite_speed": full,
                }
            )
    return {"checks": [], "benchmarks": {"validity": found}}


def bounds() -> Part:
    """Random networks, inputs and steps."""
    found = random_bounds()
    line = check(
        "random networks: probabilities that leave 0 to 1, concentrations below 0",
        found["violations"],
        0.0,
        0.0,
        source="any weights, steps up to 1 s",
    )
    return {"checks": [line], "benchmarks": {"bounds": found}}


def merge(found: Part, part: str, content: Part) -> None:
    """Add a part's lines and benchmarks; lists of the same name run on."""
    content["checks"].extend({**entry, "part": part} for entry in found["checks"])
    for name, value in found.get("benchmarks", {}).items():
        known = content["benchmarks"]
        known[name] = [*known[name], *value] if name in known else value


def run(arguments: Namespace) -> None:
    stage = read_stage(arguments.config)
    settings = stage["verification"]
    with job(
        program=PROGRAM,
        study="calcium",
        inputs={"config": arguments.config},
        outputs={"checks": arguments.checks},
        code=arguments.code,
        parameters=stage,
        overwrite=arguments.overwrite,
    ) as this:
        work = this.work / PROGRAM / stage_key(stage, this.code, this.input_hashes, None)
        parts: list[tuple[str, str, Callable[[], Part]]] = [
            ("timing", "seconds against NEURON rxd", lambda: timing(settings["timing_rounds"])),
            ("peer", "NEURON rxd", lambda: peer(settings["peer"])),
            ("cable", "cable", cable),
            ("orders", "orders", orders),
            ("front", "reference front", front),
            ("bounds", "bounds", bounds),
            ("dendrite", "dendrite", lambda: {"checks": verify_dendrite()}),
            ("validity", "validity of the cable", lambda: validity(settings["validity"])),
        ]
        for number, case in enumerate(RADII if settings["radii"] else ()):
            parts.append((f"radius_{number}", "published thresholds", lambda case=case: threshold(*case)))
        content: Part = {"study": "calcium", "checks": [], "benchmarks": {}}
        for key, label, make in parts:
            found = kept(work / f"{key}.json", make)
            merge(found, label, content)
            passed = sum(entry["passed"] for entry in found["checks"])
            words = f"{passed} of {len(found['checks'])} passed" if found["checks"] else "measured"
            print(f"verification, {label}: {words}", flush=True)
        text = json.dumps(finite(content), indent=2, sort_keys=True, allow_nan=False)
        this.temporary("checks").write_text(text + "\n")


if __name__ == "__main__":
    arguments = parser(__doc__)
    for name in ("config", "checks"):
        arguments.add_argument(f"--{name}", type=Path, required=True)
    main(run, arguments)
