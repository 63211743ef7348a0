"""Keep the study's own cells beside the model, for predictions elsewhere; reconstructed ones belong to others."""

from __future__ import annotations

from argparse import Namespace
from pathlib import Path

from understudy.provenance.arguments import main, parser
from understudy.provenance.job import job
from understudy.tms.files import read_cells, write_cells


def run(arguments: Namespace) -> None:
    with job(
        program="share_cells",
        study="tms",
        inputs={"cells": arguments.cells},
        outputs={"shared": arguments.shared},
        code=arguments.code,
        parameters={},
        overwrite=arguments.overwrite,
    ) as this:
        cells, directions = read_cells(arguments.cells)
        own = [cell for cell in cells if cell.source == "synthetic"]
        write_cells(this.temporary("shared"), own, directions)
        print(f"cells beside the model: {len(own)} of {len(cells)}")


if __name__ == "__main__":
    arguments = parser(__doc__)
    for name in ("cells", "shared"):
        arguments.add_argument(f"--{name}", type=Path, required=True)
    main(run, arguments)
