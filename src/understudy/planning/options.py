"""Arguments of ``understudy plan`` with what is assumed of a cluster; light, because every command's start reads it."""

from __future__ import annotations

from argparse import ArgumentParser
from pathlib import Path

# Assumed of a cluster, not measured: options change them.
QUEUE_S = 30.0
OPENS_PER_S = 10_000.0
BANDWIDTH_MB_PER_S = 1_000.0


def add_arguments(parser: ArgumentParser) -> None:
    """Add the arguments of ``understudy plan``."""
    parser.add_argument("configuration", type=Path, nargs="?", help="as for --configfile; the published scale without")
    parser.add_argument("--ranks", type=int, help="MPI ranks of a farmed rule; execution.ranks by default")
    parser.add_argument("--nodes", type=int, default=1, help="nodes; more than one have a scheduler between jobs")
    parser.add_argument("--cores", type=int, help="cores of a node; as many as its ranks by default")
    parser.add_argument("--memory-GB", type=float, help="memory of a node, to say what does not fit")
    parser.add_argument(
        "--queue-s", type=float, default=QUEUE_S, help=f"wait of each job on several nodes ({QUEUE_S:.0f})"
    )
    parser.add_argument(
        "--opens-per-s",
        type=float,
        default=OPENS_PER_S,
        help=f"files that the shared file system opens each second ({OPENS_PER_S:.0f})",
    )
    parser.add_argument(
        "--bandwidth-MB-per-s",
        type=float,
        default=BANDWIDTH_MB_PER_S,
        help=f"of the shared file system ({BANDWIDTH_MB_PER_S:.0f})",
    )
    parser.add_argument("--json", action="store_true", help="print the plan as JSON")
    parser.add_argument(
        "--evidence", action="store_true", help="compare plans with the measured runs that the costs come from"
    )
    parser.add_argument("--compare", type=Path, nargs="+", metavar="RUN", help="compare plans with finished runs")
    parser.add_argument("--calibrate", type=Path, nargs="+", metavar="RUN", help="take finished runs into the costs")
    parser.add_argument("--tables", type=Path, help="folder of the cost tables that --calibrate writes")
