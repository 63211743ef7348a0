"""Audit everything upstream of the report and keep the verdict."""

from __future__ import annotations

import json
from argparse import Namespace
from pathlib import Path

from understudy.provenance.arguments import main, parser
from understudy.provenance.audit import audit
from understudy.provenance.job import job


def run(arguments: Namespace) -> None:
    with job(
        program="judge_results",
        study=None,
        inputs={"upstream": arguments.inputs},
        outputs={"audit": arguments.audit},
        code=arguments.code,
        parameters={},
        overwrite=arguments.overwrite,
    ) as this:
        verdict = audit(arguments.run)
        text = json.dumps(verdict, indent=2, sort_keys=True)
        this.temporary("audit").write_text(text + "\n")
        print(f"audit: {'passed' if verdict['passed'] else 'FAILED'}, {len(verdict['findings'])} finding(s)")


if __name__ == "__main__":
    arguments = parser(__doc__)
    arguments.add_argument("--run", type=Path, required=True, help="results/<run>")
    arguments.add_argument(
        "--inputs", type=Path, nargs="+", required=True, help="files that must exist before the audit"
    )
    arguments.add_argument("--audit", type=Path, required=True)
    main(run, arguments)
