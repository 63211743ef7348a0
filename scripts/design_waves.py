"""Design waves under MPI: networks of designed channels, whether their knobs steer, and the way back from a wave."""

from __future__ import annotations

import json
from argparse import Namespace
from pathlib import Path
from typing import Any

import numpy as np

from understudy.calcium.cable_dynamics import simulate_cables
from understudy.calcium.designed_channel import Knobs
from understudy.calcium.designed_fit import DESIGNED_FIT, QUICK_DESIGNED_FIT, designed_errors, fit_designed
from understudy.calcium.designed_waves import (
    Bench,
    ChannelOf,
    design_wave,
    exact_channels,
    network_channels,
    wave_outcomes,
)
from understudy.calcium.farmed_cases import STUDY_NUMBER, below, farm_each
from understudy.calcium.files import DESIGNS, write_tree
from understudy.calcium.knob_study import SWEEPS, KnobMap, assembled_maps, sweep_outcomes
from understudy.calcium.rate_network import network_arrays
from understudy.calcium.stimulus import Stimulus
from understudy.farm.seeds import case_sequence
from understudy.farm.stage import farmed_job
from understudy.provenance.arguments import main, parser
from understudy.settings import read_stage
from understudy.surrogate.json_file import finite

# Number of this stage in spawn keys.
_STAGE = 7
# Range of the knobs behind the wanted waves, within what the bench can do (choice); activation is that of the search.
TARGET_RANGES = ((0.1, 0.5), (0.006, 0.04))
ACTIVATION_UM = 0.5
SEARCH_GRID = {"full": 6, "quick": 4}


def study_bench(own: dict[str, Any]) -> Bench:
    """The cable in which designs are tried."""
    return Bench(
        length_um=own["length_um"],
        spacing_um=own["spacing_um"],
        dt_s=own["dt_us"] / 1e6,
        duration_s=1e-3 * own["duration_ms"],
    )


def wanted_waves(stage: dict[str, Any], bench: Bench) -> np.ndarray:
    """Amplitudes and durations (targets, 2) of waves of the design itself, with knobs that no fit is told of."""
    own = stage["design"]
    rng = np.random.default_rng(case_sequence(stage["seed"], STUDY_NUMBER, _STAGE, 1000))
    drawn = [
        Knobs(*(float(np.exp(rng.uniform(*np.log(ends)))) for ends in TARGET_RANGES), ACTIVATION_UM)
        for _ in range(own["targets"])
    ]
    found = wave_outcomes(exact_channels, drawn, bench)
    return np.stack([found.amplitude_uM, found.duration_s], axis=1)


def network_case(stage: dict[str, Any], number: int, wanted: np.ndarray) -> dict[str, Any]:
    """A network of its own seed: its errors, its outcomes (sweeps, V), its answers to its share of the wanted waves."""
    own = stage["design"]
    bench = study_bench(own)
    stream = np.random.default_rng(case_sequence(stage["seed"], STUDY_NUMBER, _STAGE, number))
    full = own["fit"] == "full"
    fitted = fit_designed(
        int(stream.integers(2**31)),
        training=own["training"],
        stopping=max(8, own["training"] // 12),
        intervals=own["intervals"],
        stages=DESIGNED_FIT if full else QUICK_DESIGNED_FIT,
    )
    channels = network_channels(fitted.network)
    values: dict[str, Any] = {f"arrays/{key}": value for key, value in network_arrays(fitted.network).items()}
    errors = designed_errors(fitted, intervals=own["intervals"])
    values |= {
        "r2": errors.r2,
        "nrmse": errors.nrmse,
        "outcomes": sweep_outcomes(channels, own["values"], bench, bisections=own["bisections"]),
    }
    if number == 0:
        knobs = [each for sweep in SWEEPS for each in sweep.knobs(own["values"])]
        time_s, calcium = shown_waves(channels, knobs, bench)
        for sweep, part in zip(SWEEPS, np.split(calcium, len(SWEEPS)), strict=True):
            values |= {f"waves/{sweep.knob}/time_s": time_s, f"waves/{sweep.knob}/calcium_uM": part}
    for target in range(number, len(wanted), own["seeds"]):
        found = design_wave(
            channels,
            *wanted[target],
            bench,
            activation_uM=ACTIVATION_UM,
            grid=SEARCH_GRID[own["fit"]],
            refinements=own["refinements"],
        )
        exact = wave_outcomes(exact_channels, [found.knobs], bench)
        values |= {
            f"design/{target}/knobs": [found.knobs.open_max, found.knobs.inactivation_s, found.knobs.activation_uM],
            f"design/{target}/found": [found.amplitude_uM, found.duration_s],
            f"design/{target}/exact": [exact.amplitude_uM[0], exact.duration_s[0]],
            f"design/{target}/simulations": found.simulations,
        }
    return values


def shown_waves(channels: ChannelOf, knobs: list[Knobs], bench: Bench) -> tuple[np.ndarray, np.ndarray]:
    """Times (M,) and cytosolic calcium (V, M) at 0.6 of cables with these knobs."""
    cable = bench.cable
    run = simulate_cables(
        [cable] * len(knobs),
        bench.parameters,
        Stimulus(density_uM_um_per_s=bench.influx_uM_um_per_s),
        bench.duration_s,
        bench.dt_s,
        sites=[cable.nearest(0.6 * bench.length_um)],
        every=max(1, round(2e-4 / bench.dt_s)),
        channel=channels(knobs),
        check_grid=False,
    )
    return run.time_s, run.traces[:, :, 0, 0].astype(np.float32)


def knob_entry(found: KnobMap) -> dict[str, Any]:
    """A sweep's entry in ``design.json``."""
    return {
        "knob": found.sweep.knob,
        "outcome": found.sweep.outcome,
        "values": found.values.tolist(),
        "outcomes": found.outcomes.tolist(),
        "designed": found.designed.tolist(),
        "spearman": found.spearman,
        "span": found.span,
        "spread_over_half_step": found.spread_over_half_step,
        "design_error": found.design_error,
        "passed": found.passed,
    }


def inverse_entry(values: dict[str, np.ndarray], target: int, wanted: np.ndarray, seed: int) -> dict[str, Any]:
    """An inverse design's entry; `errors` are in the network's own cable, `exact_errors` with the design itself."""
    own = {name: values[f"design/{target}/{name}"] for name in ("knobs", "found", "exact", "simulations")}
    return {
        "amplitude_uM": float(wanted[0]),
        "duration_s": float(wanted[1]),
        "found_amplitude_uM": float(own["found"][0]),
        "found_duration_s": float(own["found"][1]),
        "errors": (own["found"] / wanted - 1).tolist(),
        "exact_errors": (own["exact"] / wanted - 1).tolist(),
        "knobs": own["knobs"].tolist(),
        "simulations": int(own["simulations"]),
        "seed": seed,
    }


def run(arguments: Namespace) -> None:
    stage = read_stage(arguments.config)
    own = stage["design"]
    bench = study_bench(own)
    with farmed_job(
        arguments.ranks,
        program="design_waves",
        study="calcium",
        inputs={"config": arguments.config},
        outputs={"summary": arguments.summary, "designs": arguments.designs},
        code=arguments.code,
        parameters=stage,
        seed=stage["seed"],
        overwrite=arguments.overwrite,
    ) as this:
        wanted = wanted_waves(stage, bench)

        def simulate(case: int) -> dict[str, Any]:
            if case == own["seeds"]:
                return {"outcomes": sweep_outcomes(exact_channels, own["values"], bench, bisections=own["bisections"])}
            return network_case(stage, case, wanted)

        found = farm_each(
            this,
            [*(f"network {seed}" for seed in range(own["seeds"])), "the design itself"],
            simulate,
            label="designs",
            costs=[*([10] * own["seeds"]), 1],
            recompute=arguments.recompute,
        )
        if this.job is not None:
            *networks, exact = found
            maps = assembled_maps(np.stack([values["outcomes"] for values in networks]), exact["outcomes"])
            answered = [(target, target % own["seeds"]) for target in range(own["targets"])]
            content = {
                "study": "calcium",
                "knobs": [knob_entry(each) for each in maps],
                "inverse": [inverse_entry(networks[seed], target, wanted[target], seed) for target, seed in answered],
                "networks": [
                    {"seed": seed, "r2": float(values["r2"]), "nrmse": float(values["nrmse"])}
                    for seed, values in enumerate(networks)
                ],
            }
            text = json.dumps(finite(content), indent=2, sort_keys=True, allow_nan=False)
            this.job.temporary("summary").write_text(text + "\n")
            tree: dict[str, Any] = {key: value for key, value in networks[0].items() if key.startswith("waves/")}
            tree |= {f"waves/{each.sweep.knob}/values": each.values for each in maps}
            for seed, values in enumerate(networks):
                tree |= {f"networks/{seed}/{name}": value for name, value in below(values, "arrays").items()}
            write_tree(this.job.temporary("designs"), DESIGNS, tree)
            for each in content["knobs"]:
                print(f"{each['knob']} and {each['outcome']}: Spearman {each['spearman']:.3f}, span {each['span']:.1f}")
            for each in content["inverse"]:
                amplitude, duration = each["errors"]
                print(f"wanted wave: errors {amplitude:+.2%} of amplitude, {duration:+.2%} of duration")


if __name__ == "__main__":
    arguments = parser(__doc__, farm=True)
    for name in ("config", "summary", "designs"):
        arguments.add_argument(f"--{name}", type=Path, required=True)
    main(run, arguments)
