"""Verify the axon study's physics: analytic limits, convergence, published behaviour, and the run's own strains."""

from __future__ import annotations

import json
from argparse import Namespace
from pathlib import Path

import numpy as np

from understudy.axon.brain_mesh import build_brain_mesh
from understudy.axon.config import Head, Impacts, Injury, Tissue
from understudy.axon.fibre_verification import check_fibres
from understudy.axon.files import open_strain, read_orientation
from understudy.axon.injury_behaviour import CRITERIA, RATES_PER_S, behaviour_table, outputs_by_rate, rate_dependence
from understudy.axon.injury_verification import verify_injury
from understudy.axon.mechanics_verification import MEDIAN_STRAIN_RANGE, verify_brain_mechanics
from understudy.provenance.arguments import main, parser
from understudy.provenance.job import job
from understudy.settings import read_stage
from understudy.verification import check

RATE_PEAK = 0.05


def run_checks(strain_path: Path) -> list[dict]:
    """What the run's own impacts must obey."""
    with open_strain(strain_path) as strain:
        percentile = float(np.median(np.percentile(strain.peak, 95, axis=1)))
        balance = float(np.max(strain.energy_imbalance))
    low, high = MEDIAN_STRAIN_RANGE
    return [
        check(
            "95th-percentile fibre strain of the median impact of this run",
            percentile,
            f"{low:g} to {high:g}",
            "in range",
            passed=low <= percentile <= high,
            source="stated range for concussive impacts",
        ),
        check("energy imbalance over deformation energy, worst impact of this run", balance, 0.0, 0.02),
    ]


def run(arguments: Namespace) -> None:
    stage = read_stage(arguments.config)
    head, tissue, injury = Head(**stage["head"]), Tissue(**stage["tissue"]), Injury(**stage["injury"])
    with job(
        program="verify_axon",
        study="axon",
        inputs={"config": arguments.config, "field": arguments.field, "strain": arguments.strain},
        outputs={"checks": arguments.checks},
        code=arguments.code,
        parameters=stage,
        seed=stage["seed"],
        overwrite=arguments.overwrite,
    ) as this:
        white_matter, field = read_orientation(arguments.field)
        checks = []
        for part, verify in (
            (
                "brain mechanics",
                lambda: verify_brain_mechanics(Impacts(**stage["impacts"]), head, tissue, stage["seed"]),
            ),
            ("fibres", lambda: check_fibres(build_brain_mesh(head), white_matter, field)),
            ("this run", lambda: run_checks(arguments.strain)),
            ("axon mechanics", lambda: verify_injury(injury)),
            ("published behaviour", lambda: behaviour_table(injury)),
            ("rate dependence", lambda: rate_dependence(injury)),
        ):
            found = verify()
            passed = sum(entry["passed"] for entry in found)
            print(f"verification, {part}: {passed} of {len(found)} passed", flush=True)
            checks.extend({**entry, "part": part} for entry in found)
        responses = {
            criterion: outputs_by_rate(injury.model_copy(update={"tau_criterion": criterion}), RATE_PEAK)
            for criterion in CRITERIA
        }
        content = {
            "checks": checks,
            "rate_dependence": {
                "rate_per_s": list(RATES_PER_S),
                "peak_strain": RATE_PEAK,
                "outputs": {criterion: values.tolist() for criterion, values in responses.items()},
            },
        }
        this.temporary("checks").write_text(json.dumps(content, indent=2) + "\n")


if __name__ == "__main__":
    arguments = parser(__doc__)
    for name in ("config", "field", "strain", "checks"):
        arguments.add_argument(f"--{name}", type=Path, required=True)
    main(run, arguments)
