"""Draw the axon study's figures and write what the report says about it."""

from __future__ import annotations

import json
from argparse import Namespace
from pathlib import Path

import numpy as np

from understudy.axon import figures
from understudy.axon.anatomy import load_template
from understudy.axon.axon_mechanics import TARGETS
from understudy.axon.files import open_strain, read_injury_map, read_orientation
from understudy.axon.presentation import presentation
from understudy.dataset import open_ground_truth
from understudy.provenance.arguments import main, parser
from understudy.provenance.job import job

# Example histories per role.
EXAMPLES = 5


def run(arguments: Namespace) -> None:
    pictures = {path.stem: path for path in arguments.figures}
    inputs = {name: getattr(arguments, name) for name in ("strain", "field", "dataset", "injury_map", "checks")}
    with job(
        program="draw_axon",
        study="axon",
        inputs=inputs,
        outputs={"presentation": arguments.presentation, **pictures},
        code=arguments.code,
        parameters={},
        overwrite=arguments.overwrite,
    ) as this:
        labels = list(figures.LABELS.values())
        white_matter, field = read_orientation(arguments.field)
        injury_map = read_injury_map(arguments.injury_map)
        verification = json.loads(arguments.checks.read_text())
        with open_ground_truth(arguments.dataset, "axon") as truth:
            rows = truth.rows()
            targets = truth.targets(rows)
            split, subset = truth.split[rows], truth.subset[rows]
            inputs = truth.inputs(rows)[:, 0]
            attributes = dict(truth.attributes)
        count = len(TARGETS)

        with open_strain(arguments.strain) as strain:
            time_ms = np.arange(strain.strain.shape[2]) * strain.sample_ms
            figures.pulses(this.temporary("impacts"), time_ms, strain.angular_velocity, strain.role)
            facts = {
                "impacts": {role: len(strain.impacts(role)) for role in ("training", "calibration", "heldout")},
                "voxels": len(field.direction),
                "elements": len(np.unique(strain.element)),
                "voxel_mm": white_matter.voxel_mm,
                "covered": float(field.covered.mean()),
                "field_source": field.source,
                "impact": strain.label[injury_map.impact],
                "peak_velocity": float(np.linalg.norm(strain.angular_velocity[injury_map.impact], axis=1).max()),
            }

        examples, names = [], []
        for name, wanted in (
            ("training", split == "training"),
            ("held out, random", (split == "heldout") & (subset == "random")),
            ("held out, worst case", (split == "heldout") & (subset == "worst_case")),
        ):
            # Spread over the severities of the set.
            order = np.flatnonzero(wanted)[np.argsort(inputs[wanted].max(axis=1))]
            picks = order[np.linspace(0, len(order) - 1, min(EXAMPLES, len(order))).astype(int)]
            examples.extend(inputs[picks])
            names.extend([name] * len(picks))
        figures.histories(this.temporary("histories"), time_ms, np.array(examples), names)

        figures.layout_spread(
            this.temporary("layout_spread"), targets[:, count : 2 * count], targets[:, 2 * count :], labels
        )
        rate = verification["rate_dependence"]
        figures.rate_dependence(
            this.temporary("rate_dependence"),
            np.array(rate["rate_per_s"]),
            {criterion: np.array(values) for criterion, values in rate["outputs"].items()},
            labels,
            rate["peak_strain"],
        )
        t1, t1_affine = load_template("t1")
        figures.injury_maps(
            this.temporary("injury_maps"),
            {label: injury_map.mean[:, count + column] for column, label in enumerate(labels)},
            white_matter.index,
            white_matter.shape,
            white_matter.affine,
            white_matter.centre_mm,
            t1,
            t1_affine,
        )
        counts = {
            name: int(((split == part) & (subset == kind)).sum())
            for name, part, kind in (
                ("training", "training", "sampled"),
                ("calibration", "calibration", "random"),
                ("random", "heldout", "random"),
                ("worst_case", "heldout", "worst_case"),
            )
        }
        content = presentation(facts, counts, attributes, rate)
        this.temporary("presentation").write_text(json.dumps(content, indent=2, ensure_ascii=False) + "\n")


if __name__ == "__main__":
    arguments = parser(__doc__)
    for name in ("strain", "field", "dataset", "injury-map", "checks", "presentation"):
        arguments.add_argument(f"--{name}", type=Path, required=True)
    arguments.add_argument("--figures", type=Path, nargs="+", required=True)
    main(run, arguments)
