"""Write the report: one page for people, report.json for programs."""

from __future__ import annotations

import json
from argparse import Namespace
from pathlib import Path

from understudy.provenance.arguments import main, parser
from understudy.provenance.job import job
from understudy.report.page import write_report


def run(arguments: Namespace) -> None:
    with job(
        program="write_report",
        study=None,
        inputs={"audit": arguments.audit, "studies": arguments.inputs},
        outputs={"html": arguments.html, "json": arguments.json},
        code=arguments.code,
        parameters={"studies": arguments.studies},
        overwrite=arguments.overwrite,
    ) as this:
        verdict = json.loads(arguments.audit.read_text())
        write_report(arguments.run, arguments.studies, verdict, this.temporary("html"), this.temporary("json"))
    print(f"report: {arguments.html}")


if __name__ == "__main__":
    arguments = parser(__doc__)
    arguments.add_argument("--run", type=Path, required=True, help="results/<run>")
    arguments.add_argument("--studies", nargs="+", required=True)
    arguments.add_argument("--audit", type=Path, required=True)
    arguments.add_argument("--inputs", type=Path, nargs="+", required=True, help="files that the page shows")
    arguments.add_argument("--html", type=Path, required=True)
    arguments.add_argument("--json", type=Path, required=True)
    main(run, arguments)
