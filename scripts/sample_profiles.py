"""Choose the fibre strain profiles that are simulated: training, calibration, random held-out and worst case."""

from __future__ import annotations

from argparse import Namespace
from pathlib import Path

from understudy.axon.config import Sampling
from understudy.axon.files import open_strain, write_samples
from understudy.axon.profile_selection import choose_profiles
from understudy.provenance.arguments import main, parser
from understudy.provenance.job import job
from understudy.settings import read_stage


def run(arguments: Namespace) -> None:
    stage = read_stage(arguments.config)
    with job(
        program="sample_profiles",
        study="axon",
        inputs={"config": arguments.config, "strain": arguments.strain},
        outputs={"samples": arguments.samples},
        code=arguments.code,
        parameters=stage,
        seed=stage["seed"],
        overwrite=arguments.overwrite,
    ) as this:
        with open_strain(arguments.strain) as strain:
            samples = choose_profiles(strain, Sampling(**stage["sampling"]), stage["seed"])
        this.note("worst_case_sha256", samples.worst_case_sha256)
        write_samples(this.temporary("samples"), samples)
        for split, subset in dict.fromkeys(zip(samples.split, samples.subset, strict=True)):
            count = int(((samples.split == split) & (samples.subset == subset)).sum())
            print(f"samples: {count:6,} {split} ({subset})")


if __name__ == "__main__":
    arguments = parser(__doc__)
    arguments.add_argument("--config", type=Path, required=True)
    arguments.add_argument("--strain", type=Path, required=True)
    arguments.add_argument("--samples", type=Path, required=True)
    main(run, arguments)
