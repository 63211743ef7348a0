"""Measure sensitivity: the first held-out impact again with one setting of the brain mechanics changed at a time."""

from __future__ import annotations

import json
from argparse import Namespace
from pathlib import Path
from typing import Any

import numpy as np

from understudy.axon.brain_mechanics import Divergence
from understudy.axon.config import Head, Impacts, Tissue
from understudy.axon.files import open_strain, read_orientation
from understudy.axon.impacts import study_impacts
from understudy.axon.mechanics_sensitivity import (
    history_difference,
    mechanics_variants,
    peak_summary,
    strain_histories,
    with_variant,
)
from understudy.axon.surrogate import SURROGATE
from understudy.provenance.arguments import main, parser
from understudy.provenance.job import job
from understudy.settings import read_stage
from understudy.surrogate.json_file import finite
from understudy.surrogate.model_file import read_model
from understudy.surrogate.predict import predict


def run(arguments: Namespace) -> None:
    stage = read_stage(arguments.config)
    settings = Impacts(**stage["impacts"])
    inputs = {name: getattr(arguments, name) for name in ("config", "field", "strain", "models", "impacts")}
    with job(
        program="measure_sensitivity",
        study="axon",
        inputs=inputs,
        outputs={"sensitivity": arguments.sensitivity},
        code=arguments.code,
        parameters=stage,
        seed=stage["seed"],
        overwrite=arguments.overwrite,
    ) as this:
        impacts = study_impacts(settings, stage["seed"], arguments.impacts)
        white_matter, field = read_orientation(arguments.field)
        with open_strain(arguments.strain) as strain:
            number = strain.impacts("heldout")[0]
            label, stored = strain.label[number], strain.strain[number]
        model = read_model(arguments.models, SURROGATE)
        means = [(k, target.name) for k, target in enumerate(model.target_fields) if target.name.endswith("_mean")]

        def injury(histories: np.ndarray) -> dict[str, float]:
            """The surrogate's layout means, averaged over the white matter."""
            found = predict(model, histories[:, None, :], definition=SURROGATE, device=arguments.device).mean
            return {name: float(found[:, k].mean()) for k, name in means}

        head, tissue = Head(**stage["head"]), Tissue(**stage["tissue"])
        repeated, elements = strain_histories(head, tissue, impacts[number], white_matter, field)
        reproduced = repeated.tobytes() == stored.tobytes()
        reference = {**peak_summary(stored), "elements": elements, "mean": injury(stored)}
        print(f"reference: 95th percentile of peak strain {reference['p95']:.4f}, reproduced: {reproduced}")

        rows: list[dict[str, Any]] = []
        for variant in mechanics_variants(head, tissue, stage["comparison"]["fine_element_mm"]):
            row: dict[str, Any] = {"name": variant.name, "key": variant.key, "value": variant.value}
            try:
                changed = with_variant(head, tissue, variant)
                histories, elements = strain_histories(*changed, impacts[number], white_matter, field)
            except Divergence as error:
                # A setting that the mechanics does not survive is a finding too.
                unknown = dict.fromkeys((*peak_summary(stored), *history_difference(stored, stored), "elements"))
                rows.append({**row, **unknown, "mean": dict.fromkeys(reference["mean"]), "diverged": str(error)})
                print(f"{variant.name}: {error}")
                continue
            found = {**peak_summary(histories), **history_difference(stored, histories), "elements": elements}
            rows.append({**row, **found, "mean": injury(histories), "diverged": None})
            print(f"{variant.name}: 95th percentile {found['p95']:.4f} ({found['p95_change']:+.1%})", flush=True)

        content = {
            "study": "axon",
            "impact": label,
            "reproduced": reproduced,
            "reference": reference,
            "variants": rows,
        }
        this.temporary("sensitivity").write_text(json.dumps(finite(content), indent=2, sort_keys=True) + "\n")


if __name__ == "__main__":
    arguments = parser(__doc__)
    arguments.add_argument("--device", choices=("auto", "cpu", "cuda"), default="auto", help="where the networks run")
    for name in ("config", "field", "strain", "models"):
        arguments.add_argument(f"--{name}", type=Path, required=True)
    arguments.add_argument("--impacts", type=Path, nargs="*", default=[], help="CSV files of measured impacts")
    arguments.add_argument("--sensitivity", type=Path, required=True)
    main(run, arguments)
