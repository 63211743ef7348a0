"""Compile the membrane mechanisms for NEURON."""

from __future__ import annotations

import shutil
import tempfile
from argparse import Namespace
from pathlib import Path

from understudy.provenance.arguments import main, parser
from understudy.provenance.job import job
from understudy.tms.mechanisms_build import compile_mechanisms, sources_hash


def run(arguments: Namespace) -> None:
    with (
        job(
            program="compile_mechanisms",
            study="tms",
            inputs={},
            outputs={"library": arguments.library},
            code=arguments.code,
            parameters={},
            overwrite=arguments.overwrite,
        ) as this,
        tempfile.TemporaryDirectory() as folder,
    ):
        shutil.copyfile(compile_mechanisms(folder), this.temporary("library"))
        this.note("mechanisms", {"sources": sources_hash()})


if __name__ == "__main__":
    arguments = parser(__doc__)
    arguments.add_argument("--library", type=Path, required=True)
    main(run, arguments)
