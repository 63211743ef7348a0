"""Compare ways of choosing training profiles at equal number: adaptive, random, k-means, mixed, and active learning.

Reference layout. What each way chooses is simulated here, each profile once; the networks are fitted and judged alike.
Finished networks and simulations are kept for a program that is started again.
"""

from __future__ import annotations

import json
import time
from argparse import Namespace
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from understudy.axon.axon_mechanics import TARGETS
from understudy.axon.comparisons import EVALUATION_SETS, columns_of
from understudy.axon.config import Comparison, Injury, Sampling
from understudy.axon.files import Strain, open_strain, read_voxel_maps
from understudy.axon.sampling import Candidates
from understudy.axon.sampling_ways import RANDOM, WAYS, active_pool, choose_by, training_strain
from understudy.axon.simulated_profiles import SimulatedProfiles
from understudy.axon.surrogate import SURROGATE
from understudy.configuration import validated
from understudy.dataset import open_ground_truth
from understudy.errors import InputError
from understudy.farm.keys import stage_key
from understudy.provenance.arguments import main, parser
from understudy.provenance.job import job
from understudy.settings import read_stage
from understudy.surrogate import streams
from understudy.surrogate.active_learning import learn_actively
from understudy.surrogate.config import Training
from understudy.surrogate.definition import Cases, read_cases
from understudy.surrogate.device import choose_device, device_facts, repeatable
from understudy.surrogate.ensemble import Ensemble
from understudy.surrogate.json_file import finite
from understudy.surrogate.progress import Progress
from understudy.surrogate.refit import Refit
from understudy.surrogate.sampling_efficiency import cases_for_same_error

PROGRAM = "compare_samplings"
ACTIVE = "active"


def labelled(profiles: Candidates, simulated: SimulatedProfiles, voxels: int) -> Cases:
    """Profiles with their reference-layout targets as cases; a case's number is that of its impact and voxel."""
    return Cases(
        inputs=profiles.strain[:, None, :],
        context=np.empty((len(profiles.voxel), 0)),
        targets=simulated.targets(profiles),
        group=profiles.impact,
        case=profiles.impact * voxels + profiles.voxel,
    )


def held_out(dataset: Path) -> dict[str, Cases]:
    """The held-out sets, targets of the reference layout alone."""
    with open_ground_truth(dataset, "axon") as truth:
        columns = columns_of([field.name for field in truth.target_fields], TARGETS, dataset)
        sets = {name: read_cases(truth, "heldout", name) for name in EVALUATION_SETS}
    return {
        name: Cases(cases.inputs, cases.context, cases.targets[:, columns], cases.group, cases.case)
        for name, cases in sets.items()
    }


def white_matter(path: Path, strain: Strain) -> Cases:
    """Every voxel whose direct simulation succeeded, as cases."""
    maps = read_voxel_maps(path)
    targets = np.stack([maps.values[name] for name in TARGETS], axis=1).astype(float)
    histories = strain.strain[maps.impact]
    if len(histories) != len(targets):
        raise InputError(f"{path}: found {len(targets)} voxels; accepted are the {len(histories)} of the fibre strain")
    voxel = np.flatnonzero(np.isfinite(targets).all(axis=1))
    empty, impact = np.empty((len(voxel), 0)), np.full(len(voxel), maps.impact)
    return Cases(histories[voxel, None, :], empty, targets[voxel], impact, voxel)


def run(arguments: Namespace) -> None:
    stage = read_stage(arguments.config)
    settings = Sampling(**stage["sampling"])
    comparison = Comparison(**stage["comparison"])
    training = validated(Training, stage["surrogate"]["training"], "surrogate.training")
    device = choose_device(arguments.device)
    inputs = {"config": arguments.config, "strain": arguments.strain, "dataset": arguments.dataset}
    if arguments.white_matter is not None:
        inputs["white_matter"] = arguments.white_matter
    with (
        job(
            program=PROGRAM,
            study="axon",
            inputs=inputs,
            outputs={"comparison": arguments.comparison},
            code=arguments.code,
            parameters=stage,
            seed=stage["seed"],
            overwrite=arguments.overwrite,
        ) as this,
        open_strain(arguments.strain) as strain,
        repeatable(training.threads),
    ):
        sets = held_out(arguments.dataset)
        if arguments.white_matter is not None:
            sets["white_matter"] = white_matter(arguments.white_matter, strain)
        source = training_strain(strain, settings, stage["seed"])
        sizes = [size for size in comparison.sampling_sizes if size <= source.largest]
        if not sizes:
            raise InputError(
                f"comparison.sampling_sizes: found {list(comparison.sampling_sizes)}, accepted are numbers of at most "
                f"{source.largest}, the cubes of the training impacts with a candidate"
            )
        started = time.monotonic()
        doing = ""

        def report(done: int, total: int) -> None:
            print(f"{PROGRAM}: {doing}: simulated {done} of {total} new profiles", flush=True)

        kept = this.work / PROGRAM / "axon" / stage_key(stage, this.code, this.input_hashes, stage["seed"])
        simulated = SimulatedProfiles(Injury(**stage["injury"]), report, kept / "simulated.npz")
        voxels = strain.peak.shape[1]
        refit = Refit(
            definition=SURROGATE,
            names=TARGETS,
            network=stage["network"],
            training=training,
            members=comparison.sampling_members,
            seed=stage["seed"],
            groups=np.array(source.impacts),
            device=device,
            progress=Progress(PROGRAM, (len(WAYS) + 1) * len(sizes) * comparison.sampling_members, training.epochs),
            checkpoints=kept,
        )

        def by_way(way: str) -> Iterator[tuple[Cases, Ensemble]]:
            for size in sizes:
                cases = labelled(choose_by(way, source, size), simulated, voxels)
                yield cases, refit.fit(cases, f"{way}, size {size},")

        def actively() -> Iterator[tuple[Cases, Ensemble]]:
            initial = choose_by(RANDOM, source, sizes[0])
            pool = active_pool(source, initial, sizes[-1])
            for found in learn_actively(
                SURROGATE,
                pool.strain[:, None, :],
                np.empty((len(pool.voxel), 0)),
                np.arange(sizes[0]),
                sizes,
                lambda rows: labelled(pool.take(rows), simulated, voxels),
                lambda cases: refit.fit(cases, f"{ACTIVE}, size {len(cases)},"),
                device,
                streams.stream(SURROGATE, stage["seed"], streams.BATCH, 0),
            ):
                yield found.cases, found.ensemble

        points: dict[str, list[dict]] = {}
        for way in (*WAYS, ACTIVE):
            doing = way
            points[way] = []
            for cases, ensemble in actively() if way == ACTIVE else by_way(way):
                impacts = len(np.unique(cases.group))
                points[way].append({"n": len(cases), "impacts": impacts, **refit.judge(ensemble, sets)})
        content = {
            "study": "axon",
            "sizes": sizes,
            "skipped": [size for size in comparison.sampling_sizes if size > source.largest],
            "members": comparison.sampling_members,
            "kmeans_share": settings.kmeans_share,
            "random_share": settings.random_share,
            "simulated": len(simulated),
            "judged": {name: len(cases) for name, cases in sets.items()},
            "ways": points,
            "profiles_for_same_error": {
                name: {
                    target: cases_for_same_error(
                        {way: (sizes, [p[name][target]["nrmse"] for p in found]) for way, found in points.items()},
                        RANDOM,
                    )
                    for target in TARGETS
                }
                for name in sets
            },
        }
        text = json.dumps(finite(content), indent=2, sort_keys=True, allow_nan=False)
        this.temporary("comparison").write_text(text + "\n")
        this.note("device", device_facts(device, training.threads))
        print(f"{PROGRAM}: {len(simulated):,} profiles simulated, {time.monotonic() - started:.0f} s in all")


if __name__ == "__main__":
    arguments = parser(__doc__)
    arguments.add_argument("--device", choices=("auto", "cpu", "cuda"), default="auto", help="where the networks run")
    for name in ("config", "strain", "dataset", "comparison"):
        arguments.add_argument(f"--{name}", type=Path, required=True)
    arguments.add_argument("--white-matter", type=Path, default=None, help="direct simulation of every voxel")
    main(run, arguments)
