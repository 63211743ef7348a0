"""Cross-validate a study's surrogate: folds at random, as published, and folds by group, as is honest."""

from __future__ import annotations

from argparse import Namespace
from pathlib import Path

from understudy.provenance.arguments import main, parser
from understudy.study import load_surrogate
from understudy.surrogate.cross_validation import cross_validate
from understudy.surrogate.stage import fit_stage


def run(arguments: Namespace) -> None:
    fit_stage("cross_validate_surrogate", load_surrogate(arguments.study), arguments, arguments.folds, cross_validate)


if __name__ == "__main__":
    arguments = parser(__doc__, surrogate=True)
    arguments.add_argument("--config", type=Path, required=True)
    arguments.add_argument("--dataset", type=Path, required=True)
    arguments.add_argument("--folds", type=Path, required=True)
    main(run, arguments)
