"""Write the threshold maps of the cortex as GIFTI, for every viewer of surfaces."""

from __future__ import annotations

import json
import shutil
import tempfile
from argparse import Namespace
from pathlib import Path

from understudy.errors import InputError
from understudy.provenance.arguments import main, parser
from understudy.provenance.job import job
from understudy.tms.field_volumes import write_surface, write_surface_maps
from understudy.tms.files import read_threshold_map

# Name of a map in the file -> attribute of the threshold map, what it is, and its unit.
MAPS = {
    "threshold": ("median_A_per_us", "median threshold over clones and azimuths", "A/us"),
    "threshold_at_soma": ("median_V_per_m", "the same as field strength at the soma", "V/m"),
    "interval_width": ("interval_width", "median width of the 90 % interval over the prediction", "1"),
    "flagged": ("flagged", "share of predictions flagged as unlike the training data", "1"),
    "field": ("strength", "field strength at the soma for 1 A/us", "V/m"),
}


def run(arguments: Namespace) -> None:
    maps = {path.stem: path for path in arguments.maps}
    with (
        job(
            program="write_surface_maps",
            study="tms",
            inputs={"map": arguments.map},
            outputs={"listing": arguments.listing, "surface": arguments.surface, **maps},
            code=arguments.code,
            parameters={},
            overwrite=arguments.overwrite,
        ) as this,
        tempfile.TemporaryDirectory() as folder,
    ):
        found = read_threshold_map(arguments.map)
        if len(arguments.maps) != len(found.types):
            raise InputError(
                f"--maps: found {len(arguments.maps)} files; accepted is one for each of {', '.join(found.types)}"
            )
        structure = "CortexLeft" if found.points_mm[:, 0].mean() < 0 else "CortexRight"
        # The format is told by the name's ending, which temporary names have not.
        made = Path(folder, arguments.surface.name)
        write_surface(made, found.points_mm, found.triangles)
        shutil.copyfile(made, this.temporary("surface"))
        files = {arguments.surface.name: {"content": "mid-cortical surface, MNI152, RAS mm"}}
        for number, (cell_type, path) in enumerate(zip(found.types, arguments.maps, strict=True)):
            made = Path(folder, path.name)
            write_surface_maps(
                made, {name: getattr(found, column)[number] for name, (column, _, _) in MAPS.items()}, structure
            )
            shutil.copyfile(made, this.temporary(path.stem))
            files[path.name] = {
                "content": f"thresholds of {cell_type}",
                "maps": [{"name": name, "content": words, "unit": unit} for name, (_, words, unit) in MAPS.items()],
            }
        content = {"study": "tms", "space": "MNI152, RAS mm", "vertices": len(found.points_mm), "files": files}
        this.temporary("listing").write_text(json.dumps(content, indent=2, sort_keys=True) + "\n")


if __name__ == "__main__":
    arguments = parser(__doc__)
    arguments.add_argument("--map", type=Path, required=True)
    arguments.add_argument("--listing", type=Path, required=True)
    arguments.add_argument("--surface", type=Path, required=True)
    arguments.add_argument("--maps", type=Path, nargs="+", required=True)
    main(run, arguments)
