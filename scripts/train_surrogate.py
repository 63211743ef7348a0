"""Train a study's surrogate: a deep ensemble with conformal intervals and an out-of-domain flag."""

from __future__ import annotations

from argparse import Namespace
from pathlib import Path

from understudy.provenance.arguments import main, parser
from understudy.study import load_surrogate
from understudy.surrogate.stage import fit_stage
from understudy.surrogate.training import train


def run(arguments: Namespace) -> None:
    fit_stage("train_surrogate", load_surrogate(arguments.study), arguments, arguments.models, train)


if __name__ == "__main__":
    arguments = parser(__doc__, surrogate=True)
    arguments.add_argument("--config", type=Path, required=True)
    arguments.add_argument("--dataset", type=Path, required=True)
    arguments.add_argument("--models", type=Path, required=True)
    main(run, arguments)
