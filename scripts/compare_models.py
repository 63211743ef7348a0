"""Compare the network with the published one and with baselines, cell by cell, on the same held-out cases."""

from __future__ import annotations

import json
from argparse import Namespace
from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from understudy.configuration import validated
from understudy.dataset import open_ground_truth
from understudy.errors import InputError
from understudy.farm.keys import stage_key
from understudy.provenance.arguments import main, parser
from understudy.provenance.job import job
from understudy.settings import read_stage
from understudy.surrogate import streams
from understudy.surrogate.config import Evaluation, Training
from understudy.surrogate.definition import Cases
from understudy.surrogate.device import choose_device, device_facts, repeatable
from understudy.surrogate.json_file import finite
from understudy.surrogate.progress import Progress
from understudy.surrogate.refit import Refit
from understudy.tms.config import Comparison
from understudy.tms.direction_maps import DirectionMap
from understudy.tms.files import SimulatedThresholds, open_thresholds, read_cells, read_directions
from understudy.tms.model_sets import (
    BOOSTING,
    NETWORK,
    PER_CELL,
    POLARISATION,
    FieldCases,
    error_tables,
    field_shares,
    fit_field_models,
    population_tables,
)
from understudy.tms.published_network import PublishedModel, PublishedSettings
from understudy.tms.surrogate import SURROGATE

PROGRAM = "compare_models"
# Sets on which models of one pulse are compared; the others are the network's alone.
COMPARED = ("random", "second_head")
# Members of networks that are fitted here alone, for one cell or without one.
MEMBERS = 2


def field_cases(found: SimulatedThresholds, rows: np.ndarray) -> FieldCases:
    """What models of the field see of these rows."""
    return FieldCases(
        threshold=found.threshold[rows],
        coefficients=found.coefficients[rows],
        direction=found.centre_field[rows],
        cube=found.cube[rows] if len(rows) else np.empty((0, *found.cube.shape[1:]), dtype=np.float32),
        cube_strength=found.cube_strength[rows],
        group=found.placement[rows],
    )


def kept(path: Path, make: Callable[[], dict[str, np.ndarray]]) -> dict[str, np.ndarray]:
    """Arrays by name, made once: a program that was killed finds them."""
    if path.is_file():
        with np.load(path) as file:
            return {name: file[name] for name in file.files}
    made = make()
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_suffix(".part.npz")
    np.savez(temporary, **made)
    temporary.rename(path)
    return made


def flat_weights(model: PublishedModel) -> dict[str, np.ndarray]:
    """A published network as arrays by name."""
    weights = {f"weights/{name}": np.asarray(value) for name, value in model.weights.items()}
    return weights | {"scale": np.array([model.mean, model.deviation]), "losses": model.losses}


def read_network(path: Path, case: np.ndarray) -> dict[str, np.ndarray]:
    """Predictions (n,) of the network and of the shared baselines for these held-out cases."""
    with h5py.File(path, "r") as file:
        order = {int(number): row for row, number in enumerate(file["heldout/case"][...])}
        rows = [order[int(number)] for number in case]
        columns = {
            NETWORK: "heldout/mean",
            POLARISATION: f"heldout/baselines/{POLARISATION}/mean",
            BOOSTING: f"heldout/baselines/{BOOSTING}/mean",
        }
        return {name: file[column][...][rows, 0].astype(float) for name, column in columns.items()}


def run(arguments: Namespace) -> None:
    stage = read_stage(arguments.config)
    comparison = validated(Comparison, stage["comparison"], "comparison")
    training = validated(Training, stage["surrogate"]["training"], "surrogate.training")
    evaluation = validated(Evaluation, stage["surrogate"]["evaluation"], "surrogate.evaluation")
    settings = PublishedSettings(
        convolutions=comparison.published_filters, dense=comparison.published_dense, epochs=comparison.published_epochs
    )
    device = choose_device(arguments.device)
    inputs = ("config", "cells", "dataset", "thresholds", "directions", "predictions")
    with (
        job(
            program=PROGRAM,
            study="tms",
            inputs={name: getattr(arguments, name) for name in inputs},
            outputs={"comparison": arguments.comparison, "published": arguments.published},
            code=arguments.code,
            parameters=stage,
            seed=stage["seed"],
            overwrite=arguments.overwrite,
        ) as this,
        open_thresholds(arguments.thresholds) as found,
        open_ground_truth(arguments.dataset, "tms") as truth,
        repeatable(training.threads),
    ):
        cells, _ = read_cells(arguments.cells)
        names = [cell.name for cell in cells]
        map_names, _, map_thresholds = read_directions(arguments.directions)
        if map_names != names:
            raise InputError(f"{arguments.directions}: found cells {map_names}; accepted are {names}")
        good = np.zeros(truth.n, dtype=bool)
        good[truth.rows()] = True
        headline = good & (found.pulse == 0)
        fitted = good & (found.split == "training")
        judged = np.flatnonzero(headline & (found.split == "heldout") & np.isin(found.subset, COMPARED))
        key = stage_key(stage, this.code, this.input_hashes, stage["seed"])
        work = this.work / PROGRAM / key
        alone = len(cells) + sum(cell.source != "synthetic" for cell in cells)
        progress = Progress("comparison", MEMBERS * alone, training.epochs)
        refit = Refit(
            definition=SURROGATE,
            names=tuple(field.name for field in truth.target_fields),
            network=stage["network"],
            training=training,
            members=MEMBERS,
            seed=stage["seed"],
            groups=truth.group[fitted],
            device=device,
            progress=progress,
        )

        def cases(rows: np.ndarray) -> Cases:
            return Cases(
                truth.inputs(rows), truth.context(rows), truth.targets(rows), truth.group[rows], truth.case[rows]
            )

        predicted: dict[str, np.ndarray] = {}
        with h5py.File(this.temporary("published"), "w", libver="earliest") as weights:
            for number, name in enumerate(names):
                own = np.flatnonzero(fitted & headline & (found.cell == number))
                theirs = judged[found.cell[judged] == number]

                def field_models(number=number, own=own, theirs=theirs) -> dict[str, np.ndarray]:
                    direction_map = DirectionMap.from_thresholds(map_thresholds[number], comparison.direction_step_deg)
                    values, model = fit_field_models(
                        field_cases(found, own),
                        field_cases(found, theirs),
                        direction_map,
                        settings,
                        streams.stream(SURROGATE, stage["seed"], streams.REFIT_MEMBER, 10**7 + number),
                        arguments.device,
                    )
                    return values | flat_weights(model)

                def own_network(number=number, theirs=theirs) -> dict[str, np.ndarray]:
                    every = np.flatnonzero(fitted & (found.cell == number))
                    held = cases(theirs)
                    ensemble = refit.fit(cases(every), f"{names[number]} alone,")
                    return {PER_CELL: refit.predict(ensemble, held.inputs, held.context)[:, 0]}

                made = kept(work / f"field_{number:03d}.npz", field_models)
                print(f"{name}: published network and baselines are fitted", flush=True)
                made |= kept(work / f"own_{number:03d}.npz", own_network)
                for label, values in made.items():
                    if label.startswith("weights/") or label in ("scale", "losses"):
                        weights[f"{name}/{label}"] = values
                    else:
                        predicted.setdefault(label, np.full(truth.n, np.nan))[theirs] = values
        for label, values in read_network(arguments.predictions, truth.case[judged]).items():
            predicted.setdefault(label, np.full(truth.n, np.nan))[judged] = values

        kinds = np.array([cells[cell].cell_type for cell in found.cell])
        generator = streams.stream(SURROGATE, stage["seed"], streams.BOOTSTRAP, 1)
        content: dict[str, Any] = {"study": "tms", "pulse": truth.attributes.get("headline_pulse"), "sets": {}}
        for subset in COMPARED:
            rows = judged[found.subset[judged] == subset]
            if not len(rows):
                continue
            here = {label: values[rows] for label, values in predicted.items()}
            columns = (found.threshold[rows], here, kinds[rows])
            strength = np.linalg.norm(found.centre_field[rows], axis=1)
            content["sets"][subset] = error_tables(
                *columns, found.cell[rows], found.placement[rows], names, evaluation.bootstrap, generator
            ) | {
                "population": population_tables(
                    columns[0], here, strength, kinds[rows], found.placement[rows], found.vertex[rows], least=6
                ),
                "field": {
                    kind: field_shares(kind, found.cube[rows[kinds[rows] == kind][:200]])
                    for kind in sorted(set(kinds[rows].tolist()))
                },
            }
        content["left_out_cells"] = {}
        for number, cell in enumerate(cells):
            if cell.source == "synthetic":
                continue

            def without(number=number) -> dict[str, np.ndarray]:
                others = np.flatnonzero(fitted & (found.cell != number))
                theirs = judged[(found.cell[judged] == number) & (found.subset[judged] == "random")]
                held = cases(theirs)
                ensemble = refit.fit(cases(others), f"without {names[number]},")
                return {"predicted": refit.predict(ensemble, held.inputs, held.context)[:, 0], "rows": theirs}

            made = kept(work / f"without_{number:03d}.npz", without)
            rows = made["rows"]
            content["left_out_cells"][cell.name] = {
                "n": len(rows),
                "mape": float(np.mean(np.abs(made["predicted"] / found.threshold[rows] - 1))),
                "bias": float(np.mean(made["predicted"] / found.threshold[rows] - 1)),
            }
        text = json.dumps(finite(content), indent=1, sort_keys=True, allow_nan=False)
        this.temporary("comparison").write_text(text + "\n")
        this.note("device", device_facts(device, training.threads))


if __name__ == "__main__":
    arguments = parser(__doc__)
    arguments.add_argument("--device", choices=("auto", "cpu", "cuda"), default="auto", help="where the networks run")
    for name in ("config", "cells", "dataset", "thresholds", "directions", "predictions", "comparison", "published"):
        arguments.add_argument(f"--{name}", type=Path, required=True)
    main(run, arguments)
