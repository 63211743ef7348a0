"""What all programs' command lines share: common options, messages without tracebacks, exit status."""

from __future__ import annotations

import argparse
import logging
import sys
import traceback
from collections.abc import Callable

from understudy.errors import InputError

_LEVELS = ("debug", "info", "warning", "error")


def parser(description: str, farm: bool = False, surrogate: bool = False) -> argparse.ArgumentParser:
    """An argument parser with the options of every program: ``--code``, ``--overwrite``, ``--log-level``.

    Programs that farm cases over MPI ranks have ``--ranks`` and ``--recompute`` too, programs of the surrogate machine
    ``--study`` and ``--device``.
    """
    made = argparse.ArgumentParser(description=description, allow_abbrev=False)
    made.add_argument(
        "--code", default=None, metavar="FINGERPRINT", help="stop unless the program's code has this fingerprint"
    )
    made.add_argument("--overwrite", action="store_true", help="replace outputs that exist")
    made.add_argument("--log-level", choices=_LEVELS, default="info", help="how much is told on standard error")
    if farm:
        made.add_argument(
            "--ranks", type=int, default=1, help="MPI ranks that the launcher starts; default 1, without one"
        )
        made.add_argument("--recompute", action="store_true", help="compute cases again that are finished already")
    if surrogate:
        made.add_argument("--study", required=True, help="whose surrogate")
        made.add_argument("--device", choices=("auto", "cpu", "cuda"), default="auto", help="where the networks run")
    return made


def _end_other_ranks(error: Exception, status: int) -> None:
    """End all ranks of an MPI program, unless they end with this one: they would wait for it for ever."""
    mpi = sys.modules.get("mpi4py.MPI")
    if getattr(error, "ranks_end_together", False) or mpi is None or not mpi.Is_initialized() or mpi.Is_finalized():
        return
    if mpi.COMM_WORLD.Get_size() > 1:
        from understudy.farm.communicator import abort

        abort(mpi.COMM_WORLD, status)


def main(run: Callable[[argparse.Namespace], int | None], arguments: argparse.ArgumentParser) -> None:
    """Run a program and exit with its status: 2 and one message for an `InputError`, 1 and a traceback for a defect.

    Parameters
    ----------
    run : does the work with the parsed command line; its value, if any, is the exit status.
    arguments : the program's parser, as from `parser`.
    """
    parsed = arguments.parse_args()
    logging.basicConfig(level=parsed.log_level.upper(), format="%(message)s", stream=sys.stderr, force=True)
    try:
        status = run(parsed) or 0
    except InputError as error:
        print(f"error: {error}", file=sys.stderr)
        status = 2
        _end_other_ranks(error, status)
    except Exception as error:
        traceback.print_exc()
        status = 1
        _end_other_ranks(error, status)
    sys.exit(status)
