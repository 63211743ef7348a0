"""Write maps: direct simulation, surrogate, intervals and both sexes on the white matter as compressed NIfTI."""

from __future__ import annotations

import json
from argparse import Namespace
from pathlib import Path

import numpy as np

from understudy.axon.axon_mechanics import TARGETS
from understudy.axon.files import open_strain, read_injury_map, read_voxel_maps
from understudy.axon.voxel_volumes import LEVELS, nifti_volumes
from understudy.errors import InputError
from understudy.provenance.arguments import main, parser
from understudy.provenance.job import job

CONTENT = {
    "direct": "direct simulation, reference layout",
    "surrogate": "surrogate, mean of the ensemble",
    "interval_width": "surrogate, width of the 90 % interval",
    "sexes": "surrogate for both sexes, mean over gap layouts",
}
# Widths are looked at, not computed with.
COARSER = {"interval_width": LEVELS // 4}


def run(arguments: Namespace) -> None:
    inputs = {
        "direct_maps": arguments.direct_maps,
        "injury_map": arguments.injury_map,
        "sex_maps": arguments.sex_maps,
        "strain": arguments.strain,
    }
    with job(
        program="write_maps",
        study="axon",
        inputs=inputs,
        outputs={"listing": arguments.listing, **{name: getattr(arguments, name) for name in CONTENT}},
        code=arguments.code,
        parameters={},
        overwrite=arguments.overwrite,
    ) as this:
        injury_map = read_injury_map(arguments.injury_map)
        direct, sexes = read_voxel_maps(arguments.direct_maps), read_voxel_maps(arguments.sex_maps)
        for path, maps in ((arguments.direct_maps, direct), (arguments.sex_maps, sexes)):
            if maps.impact != injury_map.impact:
                raise InputError(
                    f"{path}: found maps of impact {maps.impact}; accepted is impact {injury_map.impact}, that of "
                    f"{arguments.injury_map}"
                )
        with open_strain(arguments.strain) as strain:
            label, white_matter = strain.label[injury_map.impact], strain.white_matter
        width = injury_map.upper - injury_map.lower
        values: dict[str, dict[str, np.ndarray]] = {
            "direct": {name: direct.values[name] for name in TARGETS},
            "surrogate": dict(zip(injury_map.targets, injury_map.mean.T, strict=True)),
            "interval_width": dict(zip(injury_map.targets, width.T, strict=True)),
            "sexes": dict(sexes.values),
        }
        files = {}
        for name, maps in values.items():
            volumes = nifti_volumes(
                list(maps.values()), white_matter, f"{label}: {CONTENT[name]}", COARSER.get(name, LEVELS)
            )
            this.temporary(name).write_bytes(volumes.data)
            files[getattr(arguments, name).name] = {
                "content": CONTENT[name],
                "slope": volumes.slope,
                "volumes": [
                    {"name": volume, "unit": "1", "step": step, "missing": missing}
                    for volume, step, missing in zip(maps, volumes.step, volumes.missing, strict=True)
                ],
            }
            print(f"{name}: {len(maps)} volumes, {len(volumes.data) / 1e6:.2f} MB")
        content = {
            "study": "axon",
            "impact": label,
            "space": "MNI152, RAS mm",
            "voxel_mm": white_matter.voxel_mm,
            "voxels": len(white_matter.index),
            "files": files,
        }
        this.temporary("listing").write_text(json.dumps(content, indent=2, sort_keys=True) + "\n")


if __name__ == "__main__":
    arguments = parser(__doc__)
    for name in ("direct-maps", "injury-map", "sex-maps", "strain", "listing"):
        arguments.add_argument(f"--{name}", type=Path, required=True)
    for name, content in CONTENT.items():
        option = f"--{name.replace('_', '-')}"
        arguments.add_argument(option, type=Path, required=True, help=content.replace("%", "%%"))
    main(run, arguments)
