"""Retrieve reconstructed cells by address and digest."""

from __future__ import annotations

from argparse import Namespace
from pathlib import Path

from understudy.errors import InputError
from understudy.provenance.arguments import main, parser
from understudy.retrieval import retrieve


def run(arguments: Namespace) -> None:
    if not len(arguments.urls) == len(arguments.sha256) == len(arguments.outputs):
        raise InputError(
            f"--urls, --sha256, --outputs: found {len(arguments.urls)}, {len(arguments.sha256)} and "
            f"{len(arguments.outputs)}; accepted are as many of each"
        )
    for url, sha256, output in zip(arguments.urls, arguments.sha256, arguments.outputs, strict=True):
        print(f"{url} -> {output}", flush=True)
        retrieve(url, output, sha256)


if __name__ == "__main__":
    arguments = parser(__doc__)
    arguments.add_argument("--urls", nargs="+", required=True)
    arguments.add_argument("--sha256", nargs="+", required=True)
    arguments.add_argument("--outputs", type=Path, nargs="+", required=True)
    main(run, arguments)
