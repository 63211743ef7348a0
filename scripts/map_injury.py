"""Map injury: the surrogate on every white-matter voxel of a held-out impact, timed beside direct simulation."""

from __future__ import annotations

import json
import time
from argparse import Namespace
from pathlib import Path

import numpy as np

from understudy.axon.axon_geometry import layout_set, reference_geometry
from understudy.axon.axon_mechanics import simulate_axons
from understudy.axon.config import Injury
from understudy.axon.files import InjuryMap, open_strain, write_injury_map
from understudy.axon.layouts import combine_layouts, target_names
from understudy.axon.surrogate import SURROGATE
from understudy.farm.seeds import case_sequence
from understudy.provenance.arguments import main, parser
from understudy.provenance.job import job
from understudy.settings import read_stage
from understudy.surrogate.device import choose_device
from understudy.surrogate.model_file import read_model
from understudy.surrogate.predict import predict

# Voxels simulated directly too: enough for a time per profile, and a direct look at the map's error.
DIRECT = 64


def run(arguments: Namespace) -> None:
    stage = read_stage(arguments.config)
    with job(
        program="map_injury",
        study="axon",
        inputs={"config": arguments.config, "strain": arguments.strain, "models": arguments.models},
        outputs={"injury_map": arguments.injury_map, "deployment": arguments.deployment},
        code=arguments.code,
        parameters=stage,
        seed=stage["seed"],
        overwrite=arguments.overwrite,
    ) as this:
        model = read_model(arguments.models, SURROGATE)
        with open_strain(arguments.strain) as strain:
            impact = strain.impacts("heldout")[0]
            label = strain.label[impact]
            histories = strain.strain[impact]
        profiles = histories[:, None, :]
        # The first call pays for starting torch; what counts is profiles in memory to predictions in memory.
        predict(model, profiles[:256], definition=SURROGATE, device=arguments.device)
        start = time.perf_counter()
        predicted = predict(model, profiles, definition=SURROGATE, device=arguments.device)
        seconds = time.perf_counter() - start

        injury = Injury(**stage["injury"])
        geometries = [reference_geometry(injury), *layout_set(injury, stage["seed"])]
        rng = np.random.default_rng(case_sequence(stage["seed"], 0, 3, 0))
        voxels = np.sort(rng.choice(len(profiles), min(DIRECT, len(profiles)), replace=False))
        simulate_axons(histories[voxels[:1]].astype(float), geometries[:1], injury)
        start = time.perf_counter()
        outputs = simulate_axons(histories[voxels].astype(float), geometries, injury)
        direct_seconds = (time.perf_counter() - start) / len(voxels)

        write_injury_map(
            this.temporary("injury_map"),
            InjuryMap(
                mean=predicted.mean.astype(np.float32),
                lower=predicted.lower.astype(np.float32),
                upper=predicted.upper.astype(np.float32),
                flagged=predicted.flagged,
                targets=tuple(target_names()),
                impact=impact,
                direct_voxel=voxels,
                direct=combine_layouts(outputs),
            ),
        )
        deployment = {
            "n": len(profiles),
            "seconds": seconds,
            "seconds_per_case_direct": direct_seconds,
            "layouts_per_case_direct": len(geometries),
            "direct_cases_timed": len(voxels),
            "threads": int(model.settings["training"]["threads"]),
            "device": str(choose_device(arguments.device)),
            "impact": label,
            "flagged_share": float(predicted.flagged.mean()),
        }
        this.temporary("deployment").write_text(json.dumps(deployment, indent=2, sort_keys=True) + "\n")
        print(f"injury map: {len(profiles):,} voxels in {seconds:.2f} s; directly {direct_seconds:.3f} s per voxel")


if __name__ == "__main__":
    arguments = parser(__doc__)
    arguments.add_argument("--device", choices=("auto", "cpu", "cuda"), default="auto", help="where the networks run")
    arguments.add_argument("--config", type=Path, required=True)
    arguments.add_argument("--strain", type=Path, required=True)
    arguments.add_argument("--models", type=Path, required=True)
    arguments.add_argument("--injury-map", type=Path, required=True)
    arguments.add_argument("--deployment", type=Path, required=True)
    main(run, arguments)
