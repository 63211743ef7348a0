"""Assess the surrogate on a whole white matter: its error at every voxel against direct simulation."""

from __future__ import annotations

import json
from argparse import Namespace
from pathlib import Path

import numpy as np

from understudy.axon.axon_mechanics import TARGETS
from understudy.axon.files import open_strain, read_injury_map, read_tracts, read_voxel_maps
from understudy.axon.white_matter_errors import VoxelPairs, white_matter_errors
from understudy.errors import InputError
from understudy.provenance.arguments import main, parser
from understudy.provenance.job import job
from understudy.surrogate.json_file import finite


def run(arguments: Namespace) -> None:
    with job(
        program="assess_white_matter",
        study="axon",
        inputs={name: getattr(arguments, name) for name in ("injury_map", "direct", "strain", "field")},
        outputs={"errors": arguments.errors},
        code=arguments.code,
        parameters={},
        overwrite=arguments.overwrite,
    ) as this:
        injury_map = read_injury_map(arguments.injury_map)
        direct = read_voxel_maps(arguments.direct)
        if direct.impact != injury_map.impact:
            raise InputError(
                f"{arguments.direct}: found maps of impact {direct.impact}; accepted is impact {injury_map.impact}, "
                f"that of {arguments.injury_map}"
            )
        tracts = read_tracts(arguments.field)
        with open_strain(arguments.strain) as strain:
            label = strain.label[injury_map.impact]
            peak, element, covered = strain.peak[injury_map.impact], strain.element, strain.covered
        columns = [injury_map.targets.index(name) for name in TARGETS]
        pairs = VoxelPairs(
            direct=np.stack([direct.values[name] for name in TARGETS], axis=1),
            mean=injury_map.mean[:, columns],
            lower=injury_map.lower[:, columns],
            upper=injury_map.upper[:, columns],
            peak_strain=peak,
            element=element,
            covered=covered,
            flagged=injury_map.flagged,
            tract=None if tracts is None else tracts.number,
        )
        errors = white_matter_errors(TARGETS, pairs, () if tracts is None else tracts.names)
        content = {"study": "axon", "impact": label, **errors}
        this.temporary("errors").write_text(json.dumps(finite(content), indent=2, sort_keys=True) + "\n")
        words = ", ".join(f"{name} {errors['targets'][name]['r2']:.3f}" for name in TARGETS)
        print(f"whole white matter, {errors['n']:,} voxels, {errors['failed']} failed: R2 {words}")


if __name__ == "__main__":
    arguments = parser(__doc__)
    for name in ("injury-map", "direct", "strain", "field", "errors"):
        arguments.add_argument(f"--{name}", type=Path, required=True)
    main(run, arguments)
