"""Map fibre orientation on the white-matter voxels, from a tractogram or from the anatomy alone."""

from __future__ import annotations

from argparse import Namespace
from pathlib import Path

from understudy.axon.fibre_orientation import synthetic_field, tractogram_field
from understudy.axon.files import write_orientation
from understudy.axon.tractography import read_tractogram
from understudy.axon.tracts import iterate_bundles, read_tract_names, tracts_of_voxels
from understudy.axon.white_matter import white_matter_voxels
from understudy.errors import InputError
from understudy.provenance.arguments import main, parser
from understudy.provenance.job import job
from understudy.settings import read_stage


def run(arguments: Namespace) -> None:
    stage = read_stage(arguments.config)
    fibres = stage["fibres"]
    inputs = {"config": arguments.config}
    if arguments.tractogram:
        inputs["tractogram"] = arguments.tractogram
        if arguments.tract_names:
            inputs["tract_names"] = arguments.tract_names
    elif fibres["source"] == "tractogram":
        raise InputError("--tractogram: found none, but fibres.source is tractogram; accepted is a TRK or TCK file")
    with job(
        program="map_fibre_orientation",
        study="axon",
        inputs=inputs,
        outputs={"field": arguments.field},
        code=arguments.code,
        parameters=stage,
        overwrite=arguments.overwrite,
    ) as this:
        white_matter = white_matter_voxels(fibres["voxel_mm"], fibres["white_matter_threshold"])
        tracts = None
        if arguments.tractogram:
            tractogram = read_tractogram(arguments.tractogram, arguments.sha256)
            field = tractogram_field(tractogram, white_matter)
            if arguments.tract_names:
                names = read_tract_names(arguments.tract_names)
                tracts = tracts_of_voxels(iterate_bundles(arguments.tractogram), names, white_matter)
        else:
            field = synthetic_field(white_matter)
        covered = float(field.covered.mean())
        this.note("fibres", {"source": field.source, "voxels": len(field.covered), "covered_share": covered})
        print(f"fibre orientation: {len(field.covered):,} voxels, {field.source}, {covered:.1%} covered by streamlines")
        write_orientation(this.temporary("field"), white_matter, field, tracts)


if __name__ == "__main__":
    arguments = parser(__doc__)
    arguments.add_argument("--config", type=Path, required=True)
    arguments.add_argument(
        "--tractogram", type=Path, nargs="?", help="TRK or TCK file in MNI152 RAS mm; none: synthetic"
    )
    arguments.add_argument("--tract-names", type=Path, nargs="?", help="names of its bundles, one a line")
    arguments.add_argument("--sha256", help="expected digest of the tractogram")
    arguments.add_argument("--field", type=Path, required=True)
    main(run, arguments)
