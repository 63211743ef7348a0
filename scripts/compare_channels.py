"""Compare channels under MPI: one network form for five of them, in an axon, and from noisy, sparse observations."""

from __future__ import annotations

import json
from argparse import Namespace
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from understudy.calcium.channel_family import FAMILY, family_channel
from understudy.calcium.channel_study import (
    EXACT,
    SPIKE_CELLS,
    FamilySettings,
    axon_runs,
    errors_of_spikes,
    fit_member,
    protocol_set,
    recorded_set,
)
from understudy.calcium.clamp_protocols import RAMP, RECORDED, STEPS, joined
from understudy.calcium.clamp_training import FULL_FIT, QUICK_FIT, predicted_clamps
from understudy.calcium.farmed_cases import STUDY_NUMBER, below, farm_each, numbers_below
from understudy.calcium.files import CHANNELS, write_tree
from understudy.calcium.observations import FLUORESCENCE, PROBABILITY, Observations, Observing
from understudy.calcium.observed_baselines import smoothed
from understudy.calcium.observed_fit import ObservedFit, study_observations
from understudy.calcium.rate_network import RateNetwork, network_arrays, network_from_arrays
from understudy.farm.seeds import case_sequence
from understudy.farm.stage import farmed_job
from understudy.provenance.arguments import main, parser
from understudy.settings import read_stage
from understudy.surrogate.json_file import finite

# Number of this stage in spawn keys.
_STAGE = 6
OBSERVED = (
    ("ryanodine_receptor", PROBABILITY),
    ("ryanodine_receptor", FLUORESCENCE),
    ("ip3_receptor", PROBABILITY),
    ("potassium", PROBABILITY),
)
"""Channels and kinds of observation (choice): the receptor in both ways, a slow and a fast other channel."""
# The stimulus of the axon that is drawn: the one that makes it fire twice.
_TWICE = 1


def family_settings(stage: dict[str, Any]) -> FamilySettings:
    """The stage's values for fits to clean clamps."""
    own = stage["channels"]
    stream = np.random.default_rng(case_sequence(stage["seed"], STUDY_NUMBER, _STAGE, 0))
    return FamilySettings(
        training=own["training"],
        stopping=own["stopping"],
        heldout=own["heldout"],
        intervals=own["intervals"],
        stages=FULL_FIT if own["fit"] == "full" else QUICK_FIT,
        starts=own["starts"],
        seed=int(stream.integers(2**31)),
    )


def shown_protocols(name: str, network: RateNetwork, settings: FamilySettings) -> dict[str, np.ndarray]:
    """Two held-out protocols and a recorded waveform with the network's answer, (3, T) each."""
    channel = family_channel(name)
    every = joined(
        [protocol_set(channel, "heldout", settings.heldout, settings), recorded_set(channel, settings.intervals)]
    )
    clamps = every.take(np.array([np.flatnonzero(every.kind == kind)[0] for kind in (STEPS, RAMP, RECORDED)]))
    return {
        "time_s": np.cumsum(clamps.dt_s, axis=1),
        "drive": clamps.drive,
        "truth": clamps.truth[:, 1:, 0],
        "network": predicted_clamps(network, clamps)[:, 1:],
    }


def member_case(name: str, settings: FamilySettings) -> dict[str, Any]:
    """A channel's network, its errors and some protocols."""
    member = fit_member(name, settings)
    network = member.fitted.network
    values: dict[str, Any] = {f"arrays/{key}": value for key, value in network_arrays(network).items()}
    values |= {f"shown/{key}": value for key, value in shown_protocols(name, network, settings).items()}
    for kind, label in (("drawn", "drawn"), (RECORDED, "recorded")):
        values |= {f"{label}/{key}": value for key, value in asdict(member.errors[kind]).items()}
    return values | {"weights": member.weights}


def observed_case(name: str, kind: str, own: dict[str, Any], seed: int) -> dict[str, Any]:
    """Errors of a network from observations, and one of its protocols."""
    observing = Observing(kind, own["noise"], own["share"], own["missing"])
    study = study_observations(
        name,
        observing,
        protocols=own["observed"],
        stopping=max(4, own["observed"] // 3),
        new=own["heldout"],
        intervals=own["intervals"],
        seed=seed,
        fit=ObservedFit(iterations=own["observed_iterations"]),
    )
    errors, whole, first = study.errors, study.observed, np.arange(1)
    clamps = whole.clamps.take(first)
    shown = Observations(observing, clamps, whole.values[first], whole.missing[first])
    numbers = {
        "seen": whole.seen.mean(),
        "network_seen": errors.network[0],
        "network_missing": errors.network[1],
        "smoothing_seen": errors.smoothing[0],
        "smoothing_missing": errors.smoothing[1],
        "network_new": errors.network_new,
        "table_new": errors.table_new,
        "range_new": errors.range_new,
        "r2_new": errors.r2_new,
        "table_r2_new": errors.table_r2_new,
    }
    return {
        **{f"numbers/{key}": value for key, value in numbers.items()},
        "shown/time_s": np.cumsum(clamps.dt_s[0]),
        "shown/truth": clamps.truth[0, 1:, 0],
        "shown/observed": shown.values[0],
        "shown/network": predicted_clamps(study.network, clamps)[0, 1:],
        "shown/smoothing": smoothed(shown)[0],
    }


def driver_words(name: str) -> dict[str, str]:
    """What drives a channel, and its unit."""
    driver, unit = family_channel(name).driver.name.rsplit("_", 1)
    return {"driver": driver, "unit": unit}


def run(arguments: Namespace) -> None:
    stage = read_stage(arguments.config)
    own, settings = stage["channels"], family_settings(stage)
    with farmed_job(
        arguments.ranks,
        program="compare_channels",
        study="calcium",
        inputs={"config": arguments.config},
        outputs={"summary": arguments.summary, "channels": arguments.channels},
        code=arguments.code,
        parameters=stage,
        seed=stage["seed"],
        overwrite=arguments.overwrite,
    ) as this:
        plan = [*((name, None) for name in FAMILY), *OBSERVED]

        def simulate(case: int) -> dict[str, Any]:
            name, kind = plan[case]
            if kind is None:
                return member_case(name, settings)
            return observed_case(name, kind, own, settings.seed)

        found = farm_each(
            this,
            [name if kind is None else f"{name} by its {kind}" for name, kind in plan],
            simulate,
            label="channels",
            recompute=arguments.recompute,
        )
        if this.job is not None:
            members, observed = found[: len(FAMILY)], found[len(FAMILY) :]
            networks = {
                name: network_from_arrays(below(values, "arrays"), name)
                for name, values in zip(FAMILY, members, strict=True)
            }
            runs = axon_runs(networks["sodium"], networks["potassium"], dt_ms=own["axon_dt_ms"])
            content = {
                "study": "calcium",
                "members": [
                    {
                        "channel": name,
                        "weights": int(values["weights"]),
                        "drawn": numbers_below(values, "drawn"),
                        "recorded": numbers_below(values, "recorded"),
                    }
                    for name, values in zip(FAMILY, members, strict=True)
                ],
                "spikes": {
                    name: {
                        "time_ms": errors.time_ms,
                        "peak_mV": errors.peak_mV,
                        "spikes": errors.found,
                        "expected": errors.expected,
                    }
                    for name, errors in errors_of_spikes(runs).items()
                },
                "observations": [
                    {"channel": name, "kind": kind, "noise": own["noise"], **numbers_below(values, "numbers")}
                    for (name, kind), values in zip(OBSERVED, observed, strict=True)
                ],
            }
            text = json.dumps(finite(content), indent=2, sort_keys=True, allow_nan=False)
            this.job.temporary("summary").write_text(text + "\n")
            tree = {"spikes/time_ms": runs[EXACT].time_ms}
            tree |= {f"spikes/{name}": each.voltage_mV[_TWICE, :, SPIKE_CELLS[1]] for name, each in runs.items()}
            heads = [f"members/{name}" for name in FAMILY] + [f"observations/{k}" for k in range(len(OBSERVED))]
            for head, values in zip(heads, found, strict=True):
                tree |= {f"{head}/{name}": value for name, value in below(values, "shown").items()}
            about = {f"members/{name}": driver_words(name) for name in FAMILY}
            about |= {f"observations/{k}": {"channel": name, "kind": kind} for k, (name, kind) in enumerate(OBSERVED)}
            write_tree(this.job.temporary("channels"), CHANNELS, tree, about)
            for member in content["members"]:
                print(f"{member['channel']}: NRMSE {member['drawn']['nrmse']:.3%} on held-out protocols")


if __name__ == "__main__":
    arguments = parser(__doc__, farm=True)
    for name in ("config", "summary", "channels"):
        arguments.add_argument(f"--{name}", type=Path, required=True)
    main(run, arguments)
