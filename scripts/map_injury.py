"""Map injury: the surrogate on every white-matter voxel of a held-out impact, timed beside direct simulation."""

from __future__ import annotations

import json
import statistics
import time
from argparse import Namespace
from pathlib import Path

import numpy as np

from understudy.axon.files import InjuryMap, open_strain, write_injury_map
from understudy.axon.layouts import target_names
from understudy.axon.surrogate import SURROGATE
from understudy.errors import InputError
from understudy.provenance.arguments import main, parser
from understudy.provenance.job import job
from understudy.surrogate.device import choose_device
from understudy.surrogate.json_file import read_json
from understudy.surrogate.model_file import SurrogateModel, read_model
from understudy.surrogate.predict import Prediction, predict

REPEATS = 3
WARM_UP = 8192


def timed(model: SurrogateModel, profiles: np.ndarray, device: str, threads: int) -> tuple[Prediction, float]:
    """A prediction and the median seconds that it takes, from profiles in memory to predictions in memory."""
    # The first call pays for starting torch and its threads.
    predict(model, profiles[:WARM_UP], definition=SURROGATE, device=device, threads=threads)
    seconds = []
    for _ in range(REPEATS):
        start = time.perf_counter()
        predicted = predict(model, profiles, definition=SURROGATE, device=device, threads=threads)
        seconds.append(time.perf_counter() - start)
    return predicted, statistics.median(seconds)


def run(arguments: Namespace) -> None:
    with job(
        program="map_injury",
        study="axon",
        inputs={"strain": arguments.strain, "models": arguments.models, "cost": arguments.cost},
        outputs={"injury_map": arguments.injury_map, "deployment": arguments.deployment},
        code=arguments.code,
        parameters={},
        overwrite=arguments.overwrite,
    ) as this:
        model = read_model(arguments.models, SURROGATE)
        cost = read_json(arguments.cost, "axon", ("impact", "computed", "cpu_s_per_case", "wall_s", "ranks"))
        with open_strain(arguments.strain) as strain:
            impact = strain.impacts("heldout")[0]
            label = strain.label[impact]
            histories = strain.strain[impact]
        if cost["impact"] != label:
            raise InputError(f"{arguments.cost}: found the cost of {cost['impact']!r}; accepted is that of {label!r}")
        profiles = histories[:, None, :]
        # The map is the one-thread result, whatever the machine has.
        predicted, seconds = timed(model, profiles, arguments.device, threads=1)
        seconds_two_threads = None
        if arguments.threads >= 2:
            _, seconds_two_threads = timed(model, profiles, arguments.device, threads=2)

        write_injury_map(
            this.temporary("injury_map"),
            InjuryMap(
                mean=predicted.mean.astype(np.float32),
                lower=predicted.lower.astype(np.float32),
                upper=predicted.upper.astype(np.float32),
                flagged=predicted.flagged,
                targets=tuple(target_names()),
                impact=impact,
            ),
        )
        deployment = {
            "n": len(profiles),
            "seconds": seconds,
            "seconds_two_threads": seconds_two_threads,
            "threads": 1,
            "device": str(choose_device(arguments.device)),
            "impact": label,
            "flagged_share": float(predicted.flagged.mean()),
            "seconds_per_case_direct": cost["cpu_s_per_case"],
            "direct_wall_s": cost["wall_s"],
            "direct_ranks": cost["ranks"],
            "direct_n": cost["computed"],
        }
        this.temporary("deployment").write_text(json.dumps(deployment, indent=2, sort_keys=True) + "\n")
        two = "not timed" if seconds_two_threads is None else f"{seconds_two_threads:.2f} s"
        print(f"injury map: {len(profiles):,} voxels in {seconds:.2f} s on one thread, on two {two}")
        print(f"directly: {cost['computed']:,} voxels in {cost['wall_s']:.1f} s on {cost['ranks']} rank(s)")


if __name__ == "__main__":
    arguments = parser(__doc__)
    arguments.add_argument("--device", choices=("auto", "cpu", "cuda"), default="auto", help="where the networks run")
    arguments.add_argument("--threads", type=int, default=2, help="cores at hand; below 2 nothing is timed on two")
    arguments.add_argument("--strain", type=Path, required=True)
    arguments.add_argument("--models", type=Path, required=True)
    arguments.add_argument("--cost", type=Path, required=True, help="cost of the direct simulation")
    arguments.add_argument("--injury-map", type=Path, required=True)
    arguments.add_argument("--deployment", type=Path, required=True)
    main(run, arguments)
