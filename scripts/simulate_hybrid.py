"""Simulate the hybrid under MPI: networks and closures inside the cable against the equations, part by part."""

from __future__ import annotations

import json
from argparse import Namespace
from pathlib import Path
from typing import Any

import numpy as np

from understudy.calcium.farmed_cases import STUDY_NUMBER, farm_each, numbers_below
from understudy.calcium.files import HYBRID, read_networks, write_tree
from understudy.calcium.hybrid_evaluation import SITES_UM
from understudy.calcium.hybrid_study import (
    CLAMPS,
    COST,
    EQUATIONS,
    FRONT,
    HELDOUT,
    RECOVERY,
    STEPS,
    THRESHOLD,
    Contender,
    HybridSettings,
    contenders,
    heldout_summary,
    recovery_summary,
)
from understudy.calcium.network_choice import chosen_first, chosen_networks, selection_errors
from understudy.calcium.reference_cases import front_cable
from understudy.farm.seeds import case_sequence
from understudy.farm.stage import farmed_job
from understudy.provenance.arguments import main, parser
from understudy.settings import read_stage
from understudy.surrogate.json_file import finite

# Number of this stage in spawn keys.
_STAGE = 5
# Parts that the equations run once for all channels.
SHARED = (FRONT, HELDOUT, RECOVERY, CLAMPS)
ALL = "all channels"
# Expected effort of each part.
COSTS = {FRONT: 1, STEPS: 1, HELDOUT: 4, RECOVERY: 8, CLAMPS: 0.1, THRESHOLD: 10, COST: 4}

Found = dict[tuple[str, str], dict[str, np.ndarray]]


def drawn_seed(seed: int, number: int) -> int:
    """Seed of parameter sets, 0 for those held out, 1 for those by which networks are chosen."""
    return int(np.random.default_rng(case_sequence(seed, STUDY_NUMBER, _STAGE, number)).integers(2**31))


def hybrid_settings(stage: dict[str, Any]) -> HybridSettings:
    """The stage's values in the solver's units."""
    own = dict(stage["hybrid"])
    return HybridSettings(
        dt_s=own.pop("dt_us") / 1e6,
        steps_s=tuple(value / 1e6 for value in own.pop("steps_us")),
        recovery_gaps_s=tuple(own.pop("recovery_gaps_s")),
        seed=drawn_seed(stage["seed"], 0),
        **own,
    )


def entry(own: Contender, found: Found, runs: int) -> dict[str, Any]:
    """A channel's entry in ``hybrid.json``."""
    parts: dict[str, Any] = {"label": own.label, "unknowns": own.unknowns}
    front = found[own.name, FRONT]
    parts[FRONT] = numbers_below(front, "errors")
    if excursions := numbers_below(front, "excursions"):
        parts["excursions"] = excursions
    if STEPS in own.parts:
        parts[STEPS] = {name: value.tolist() for name, value in found[own.name, STEPS].items()}
    if own.is_first:
        numbers, _ = heldout_summary(*(found[name, HELDOUT] for name in (EQUATIONS, own.name, "one_state")))
        parts[HELDOUT] = numbers
        parts[RECOVERY] = recovery_summary(found[EQUATIONS, RECOVERY], found[own.name, RECOVERY])
        threshold = numbers_below(found[ALL, THRESHOLD], own.name)
        parts[THRESHOLD] = {
            **threshold,
            "shift_um": threshold["found_um"] - threshold["expected_um"],
            "runs": runs,
        }
    return parts


def arrays(tried: list[Contender], found: Found, spacing_um: float) -> dict[str, np.ndarray]:
    """What ``hybrid.h5`` holds, by path."""
    front, clamps, thresholds = found[EQUATIONS, FRONT], found[EQUATIONS, CLAMPS], found[ALL, THRESHOLD]
    tree: dict[str, Any] = {
        "front/time_s": front["time_s"],
        "front/position_um": front_cable(spacing_um).position_um[::2],
        "front/sites_um": SITES_UM,
        "front/trace_time_s": front["trace_time_s"],
        "clamps/time_s": clamps["time_s"],
        "clamps/u_uM": clamps["u_uM"],
        "heldout/expected": found[EQUATIONS, HELDOUT]["speed"],
        "threshold/radius_um": thresholds["one_state/radius_um"],
        "threshold/equations": thresholds["one_state/expected"],
    }
    for name in (EQUATIONS, *(own.name for own in tried)):
        fields = ("u_uM", "e_uM", "open", "traces")
        tree |= {f"front/{name}/{field}": found[name, FRONT][field] for field in fields}
        if (name, CLAMPS) in found:
            tree[f"clamps/{name}"] = found[name, CLAMPS]["open"]
    for own in tried:
        if own.is_first:
            _, cases = heldout_summary(*(found[name, HELDOUT] for name in (EQUATIONS, own.name, "one_state")))
            tree["heldout/conditioned"] = cases.pop("conditioned")
            tree |= {f"heldout/{own.name}/{field}": values for field, values in cases.items()}
            tree[f"threshold/{own.name}"] = thresholds[f"{own.name}/found"]
    return tree


def run(arguments: Namespace) -> None:
    stage = read_stage(arguments.config)
    settings = hybrid_settings(stage)
    with farmed_job(
        arguments.ranks,
        program="simulate_hybrid",
        study="calcium",
        inputs={"config": arguments.config, "networks": arguments.networks},
        outputs={"summary": arguments.summary, "hybrid": arguments.hybrid},
        code=arguments.code,
        parameters=stage,
        seed=stage["seed"],
        overwrite=arguments.overwrite,
    ) as this:
        networks = read_networks(arguments.networks)
        # Each rank for itself: seconds, and the plan of all depends on it.
        errors = selection_errors(networks, drawn_seed(stage["seed"], 1), settings.dt_s, settings.spacing_um)
        chosen = chosen_networks(networks, errors)
        tried = contenders(chosen_first(networks, chosen))
        first = [own for own in tried if own.is_first]
        plan: list[tuple[Contender | None, str]] = [(None, part) for part in SHARED]
        plan += [(own, part) for own in tried for part in own.parts]
        names = [(EQUATIONS if own is None else own.name, part) for own, part in plan]
        names += [(ALL, part) for part in (THRESHOLD, COST)]

        def simulate(case: int) -> dict[str, Any]:
            if case >= len(plan):
                return settings.together(names[case][1], first)
            return settings.part(plan[case][1], plan[case][0])

        values = farm_each(
            this,
            [f"{name}, {part}" for name, part in names],
            simulate,
            label="hybrid",
            costs=[COSTS[part] for _, part in names],
            recompute=arguments.recompute,
        )
        if this.job is not None:
            found = dict(zip(names, values, strict=True))
            costs = {
                name: {"median": float(np.median(ratios)), "low": float(ratios.min()), "high": float(ratios.max())}
                for name, ratios in found[ALL, COST].items()
                if name != EQUATIONS
            }
            channels = {own.name: entry(own, found, settings.threshold_runs) for own in tried}
            content = {
                "study": "calcium", "channels": channels, "cost": costs, "chosen": chosen, "selection": errors
            }  # fmt: skip
            text = json.dumps(finite(content), indent=2, sort_keys=True, allow_nan=False)
            this.job.temporary("summary").write_text(text + "\n")
            write_tree(this.job.temporary("hybrid"), HYBRID, arrays(tried, found, settings.spacing_um))
            for name, own in channels.items():
                front = own[FRONT]
                print(f"{name}: speed of the front {front['speed']:+.3%}, NRMSE of calcium {front['nrmse_u']:.3%}")


if __name__ == "__main__":
    arguments = parser(__doc__, farm=True)
    for name in ("config", "networks", "summary", "hybrid"):
        arguments.add_argument(f"--{name}", type=Path, required=True)
    main(run, arguments)
