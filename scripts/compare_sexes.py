"""Compare female and male axons on the same impacts: one network with microtubules and radius as its context.

Trained on the same profiles of both sexes, it predicts the whole white matter of every held-out impact for each.
"""

from __future__ import annotations

import json
from argparse import Namespace
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from understudy.axon.comparisons import (
    LAYOUT_MEANS,
    SEXES,
    columns_of,
    sex_context,
    tract_distributions,
    write_joint_ground_truth,
)
from understudy.axon.config import Injury
from understudy.axon.files import VoxelMaps, open_strain, read_tracts, write_voxel_maps
from understudy.axon.surrogate import SURROGATE
from understudy.dataset import open_ground_truth
from understudy.errors import InputError
from understudy.farm.keys import stage_key
from understudy.provenance.arguments import main, parser
from understudy.provenance.job import job
from understudy.settings import read_stage
from understudy.surrogate.definition import Cases, read_cases
from understudy.surrogate.json_file import finite
from understudy.surrogate.metrics import coverage, nrmse, r2
from understudy.surrogate.model_file import SurrogateModel, read_model
from understudy.surrogate.predict import Prediction, predict
from understudy.surrogate.training import train

PROGRAM = "compare_sexes"


def judge(names: list[str], cases: Cases, predicted: Prediction) -> dict[str, dict[str, float]]:
    """Errors and interval coverage of each target on one sex's held-out cases."""
    return {
        name: {
            "r2": r2(cases.targets[:, t], predicted.mean[:, t]),
            "nrmse": nrmse(cases.targets[:, t], predicted.mean[:, t]),
            "coverage90": coverage(cases.targets[:, t], predicted.lower[:, t], predicted.upper[:, t]),
        }
        for t, name in enumerate(names)
    }


def held_out(dataset: Path, injury: Injury, model: SurrogateModel, device: str) -> tuple[dict, dict]:
    """Errors by sex, and what the network says of the difference between the sexes, on the random held-out cases."""
    with open_ground_truth(dataset, "axon") as truth:
        cases = read_cases(truth, "heldout", "random")
        names = [field.name for field in truth.target_fields]
    predicted = predict(model, cases.inputs, cases.context, definition=SURROGATE, device=device)
    errors, truths, means = {}, {}, {}
    for sex in SEXES:
        rows = np.flatnonzero((cases.context == sex_context(injury, sex)).all(axis=1))
        part = Prediction(*(values[rows] for values in vars(predicted).values()))
        errors[sex] = judge(names, cases.take(rows), part)
        # Cases of a sex ascend in the order of their samples, so equal places are the same sample.
        truths[sex], means[sex] = cases.targets[rows], part.mean
    truth, mean = truths["female"] - truths["male"], means["female"] - means["male"]
    difference = {
        name: {
            "truth_mean": float(truth[:, t].mean()),
            "predicted_mean": float(mean[:, t].mean()),
            "r2": r2(truth[:, t], mean[:, t]),
        }
        for t, name in enumerate(names)
    }
    return errors, {"n": len(truth), "targets": difference}


def whole_white_matter(
    histories: np.ndarray, injury: Injury, model: SurrogateModel, columns: list[int], device: str
) -> dict[str, dict[str, np.ndarray]]:
    """Layout means by sex and target, (voxel,) each, of histories (voxel, t)."""
    values = {}
    for sex in SEXES:
        context = np.tile(sex_context(injury, sex), (len(histories), 1))
        mean = predict(model, histories[:, None, :], context, definition=SURROGATE, device=device).mean
        values[sex] = {name: mean[:, column] for name, column in zip(LAYOUT_MEANS, columns, strict=True)}
    return values


def summary(values: Mapping[str, Mapping[str, np.ndarray]]) -> dict[str, Any]:
    """Means over the voxels by sex, and the share of voxels where the female axon fares worse."""
    return {
        "mean": {
            sex: {name: float(column.mean()) for name, column in columns.items()} for sex, columns in values.items()
        },
        "share_female_worse": {
            name: float(np.mean(values["female"][name] > values["male"][name])) for name in LAYOUT_MEANS
        },
    }


def run(arguments: Namespace) -> None:
    stage = read_stage(arguments.config)
    injury = Injury(**stage["injury"])
    if np.array_equal(*(sex_context(injury, sex) for sex in SEXES)):
        raise InputError(
            "injury.microtubules_female, injury.radius_female_nm: found the male values; accepted are others, or the "
            "sexes cannot be told apart"
        )
    with job(
        program=PROGRAM,
        study="axon",
        inputs={name: getattr(arguments, name) for name in ("config", "dataset", "other", "strain", "field")},
        outputs={name: getattr(arguments, name) for name in ("joint", "models", "maps", "comparison")},
        code=arguments.code,
        parameters=stage,
        seed=stage["seed"],
        overwrite=arguments.overwrite,
    ) as this:
        joint, models = this.temporary("joint"), this.temporary("models")
        with open_ground_truth(arguments.dataset, "axon") as own, open_ground_truth(arguments.other, "axon") as other:
            names = [field.name for field in own.target_fields]
            write_joint_ground_truth(joint, own, other, injury)
        columns = columns_of(names, LAYOUT_MEANS, arguments.dataset)
        facts = train(
            SURROGATE,
            joint,
            stage,
            output=models,
            work=this.work / PROGRAM / "axon",
            key=stage_key(stage, this.code, this.input_hashes, stage["seed"]),
            device=arguments.device,
        )
        model = read_model(models, SURROGATE)
        errors, difference = held_out(joint, injury, model, arguments.device)
        tracts = read_tracts(arguments.field)
        impacts, by_tract, first = [], None, ""
        with open_strain(arguments.strain) as strain:
            for impact in strain.impacts("heldout"):
                values = whole_white_matter(strain.strain[impact], injury, model, columns, arguments.device)
                impacts.append(
                    {
                        "impact": strain.label[impact],
                        "peak_velocity": float(np.linalg.norm(strain.angular_velocity[impact], axis=1).max()),
                        **summary(values),
                    }
                )
                print(f"{PROGRAM}: white matter of {strain.label[impact]} for both sexes", flush=True)
                if not first:
                    first = strain.label[impact]
                    by_tract = tract_distributions(values, tracts)
                    maps = {f"{sex}/{name}": values[sex][name] for sex in SEXES for name in LAYOUT_MEANS}
                    write_voxel_maps(this.temporary("maps"), VoxelMaps(maps, impact))
        content = {
            "study": "axon",
            "own_sex": injury.sex,
            "context": {
                sex: dict(zip(("microtubules", "radius_nm"), sex_context(injury, sex), strict=True)) for sex in SEXES
            },
            "impact": first,
            "n_train": len(model.roles.fitted_case) + len(model.roles.stopping_case),
            "n_heldout": difference["n"],
            "heldout": errors,
            "paired_difference": difference["targets"],
            "impacts": impacts,
            "by_tract": by_tract,
        }
        text = json.dumps(finite(content), indent=2, sort_keys=True, allow_nan=False)
        this.temporary("comparison").write_text(text + "\n")
        this.note("device", facts)


if __name__ == "__main__":
    arguments = parser(__doc__)
    arguments.add_argument("--device", choices=("auto", "cpu", "cuda"), default="auto", help="where the networks run")
    arguments.add_argument("--config", type=Path, required=True)
    arguments.add_argument("--dataset", type=Path, required=True, help="ground truth of the study's own sex")
    arguments.add_argument("--other", type=Path, required=True, help="ground truth of the other sex")
    arguments.add_argument("--strain", type=Path, required=True)
    arguments.add_argument("--field", type=Path, required=True, help="fibre orientation, with the tracts of the voxels")
    for name in ("joint", "models", "maps", "comparison"):
        arguments.add_argument(f"--{name}", type=Path, required=True)
    main(run, arguments)
