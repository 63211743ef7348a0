"""Compare the two tau criteria: networks and baselines at equal number, fitted and judged on the same profiles."""

from __future__ import annotations

import json
from argparse import Namespace
from pathlib import Path

import numpy as np

from understudy.axon.comparisons import EVALUATION_SETS, check_variant, columns_of, rate_slopes, saturated_share
from understudy.axon.config import Injury
from understudy.axon.surrogate import SURROGATE
from understudy.axon.variants import variant_injury
from understudy.configuration import validated
from understudy.dataset import open_ground_truth
from understudy.errors import InputError
from understudy.farm.keys import stage_key
from understudy.provenance.arguments import main, parser
from understudy.provenance.job import job
from understudy.settings import read_stage
from understudy.surrogate import streams
from understudy.surrogate.baselines import fit_baselines
from understudy.surrogate.config import Evaluation, Training
from understudy.surrogate.definition import Cases, read_cases
from understudy.surrogate.device import choose_device, device_facts, repeatable
from understudy.surrogate.json_file import finite, read_json
from understudy.surrogate.progress import Progress
from understudy.surrogate.refit import Refit, errors, paired

PROGRAM = "compare_criteria"
VARIANT = "other_criterion"
SETS = {"training": ("training", None), "random": ("heldout", "random"), "worst_case": ("heldout", "worst_case")}


def read_both(own: Path, other: Path) -> tuple[list[str], dict[str, Cases], dict[str, Cases]]:
    """Target names, and each criterion's cases by set: those that succeeded under both."""
    with open_ground_truth(own, "axon") as first, open_ground_truth(other, "axon") as second:
        check_variant(second, VARIANT)
        names = [field.name for field in first.target_fields]
        if [field.name for field in second.target_fields] != names:
            raise InputError(f"{other}: found other targets than in {own}; accepted are the same")
        pairs = {name: paired(read_cases(first, *key), read_cases(second, *key)) for name, key in SETS.items()}
    return names, {name: pair[0] for name, pair in pairs.items()}, {name: pair[1] for name, pair in pairs.items()}


def run(arguments: Namespace) -> None:
    stage = read_stage(arguments.config)
    training = validated(Training, stage["surrogate"]["training"], "surrogate.training")
    evaluation = validated(Evaluation, stage["surrogate"]["evaluation"], "surrogate.evaluation")
    injury = Injury(**stage["injury"])
    device = choose_device(arguments.device)
    with (
        job(
            program=PROGRAM,
            study="axon",
            inputs={name: getattr(arguments, name) for name in ("config", "dataset", "other", "verification")},
            outputs={"criteria": arguments.criteria},
            code=arguments.code,
            parameters=stage,
            seed=stage["seed"],
            overwrite=arguments.overwrite,
        ) as this,
        repeatable(training.threads),
    ):
        verification = read_json(arguments.verification, "axon", ("rate_dependence",))
        names, own, other = read_both(arguments.dataset, arguments.other)
        criteria = {injury.tau_criterion: own, variant_injury(injury, VARIANT).tau_criterion: other}
        (tau,) = columns_of(names, ["tau_failed"], arguments.dataset)
        n_train = len(own["training"])
        refit = Refit(
            definition=SURROGATE,
            names=tuple(names),
            network=stage["network"],
            training=training,
            members=training.members,
            seed=stage["seed"],
            groups=own["training"].group,
            device=device,
            progress=Progress(PROGRAM, len(criteria) * training.members, training.epochs),
            checkpoints=this.work / PROGRAM / "axon" / stage_key(stage, this.code, this.input_hashes, stage["seed"]),
        )
        rates = {name: rate_slopes(verification, name, arguments.verification) for name in criteria}
        results = {}
        for criterion, cases in criteria.items():
            ensemble = refit.fit(cases["training"], criterion)
            judged = refit.judge(ensemble, {name: cases[name] for name in EVALUATION_SETS})
            stream = streams.stream(SURROGATE, stage["seed"], streams.REFIT_BASELINE, n_train)
            baselines = fit_baselines(SURROGATE, cases["training"], names, evaluation, stream)
            random = cases["random"]
            largest = float(max(part.targets[:, tau].max() for part in cases.values()))
            results[criterion] = {
                "targets": judged["random"],
                "worst_case": judged["worst_case"],
                "baselines": {
                    name: errors(names, random.targets, baseline(random.inputs, random.context))
                    for name, baseline in baselines.items()
                },
                "saturated": saturated_share(random.targets[:, tau], largest),
                "largest_tau_failed": largest,
                "rate": rates[criterion].slopes,
            }
            least = np.nanmin([value["r2"] for value in judged["random"].values()])
            print(f"{PROGRAM}: {criterion}, {n_train} profiles: least held-out R2 of a target {least:.3f}", flush=True)
        content = {
            "study": "axon",
            "headline": injury.tau_criterion,
            "n_train": n_train,
            "n_heldout": len(own["random"]),
            "n_worst_case": len(own["worst_case"]),
            "criteria": results,
            "rate": {
                "peak_strain": rates[injury.tau_criterion].peak_strain,
                "lowest_per_s": rates[injury.tau_criterion].lowest_per_s,
                "highest_per_s": rates[injury.tau_criterion].highest_per_s,
                "unit": "s",
            },
        }
        text = json.dumps(finite(content), indent=2, sort_keys=True, allow_nan=False)
        this.temporary("criteria").write_text(text + "\n")
        this.note("device", device_facts(device, training.threads))


if __name__ == "__main__":
    arguments = parser(__doc__)
    arguments.add_argument("--device", choices=("auto", "cpu", "cuda"), default="auto", help="where the networks run")
    arguments.add_argument("--config", type=Path, required=True)
    arguments.add_argument("--dataset", type=Path, required=True, help="ground truth of the study's own criterion")
    arguments.add_argument("--other", type=Path, required=True, help="ground truth of the other one")
    arguments.add_argument("--verification", type=Path, required=True)
    arguments.add_argument("--criteria", type=Path, required=True)
    main(run, arguments)
