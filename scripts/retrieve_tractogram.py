"""Fetch a public tractogram by address and check its SHA-256."""

from __future__ import annotations

from argparse import Namespace
from pathlib import Path

from understudy.provenance.arguments import main, parser
from understudy.retrieval import retrieve


def run(arguments: Namespace) -> None:
    retrieve(arguments.url, arguments.output, arguments.sha256)
    print(f"retrieved {arguments.output}")


if __name__ == "__main__":
    arguments = parser(__doc__)
    arguments.add_argument("--url", required=True)
    arguments.add_argument("--sha256", required=True)
    arguments.add_argument("--output", type=Path, required=True)
    main(run, arguments)
