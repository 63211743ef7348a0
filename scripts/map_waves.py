"""Map waves over receptor density and ER radius by a network, timed, beside the equations."""

from __future__ import annotations

import json
from argparse import Namespace
from pathlib import Path

import numpy as np

from understudy.calcium.files import WAVE_MAP, read_networks, write_tree
from understudy.calcium.wave_maps import DENSITY_PER_UM2, ER_RADIUS_UM, RADIUS_UM, mapped_waves
from understudy.provenance.arguments import main, parser
from understudy.provenance.job import job
from understudy.settings import read_stage
from understudy.surrogate.device import choose_device, device_facts, repeatable
from understudy.surrogate.json_file import finite

UNKNOWNS = 5
"""Of the network that maps: the one that the study's goals are judged by."""
THREADS = 1


def run(arguments: Namespace) -> None:
    stage = read_stage(arguments.config)
    maps = stage["maps"]
    device = choose_device(arguments.device)
    with job(
        program="map_waves",
        study="calcium",
        inputs={"config": arguments.config, "networks": arguments.networks, "summary": arguments.summary},
        outputs={"map": arguments.map, "deployment": arguments.deployment},
        code=arguments.code,
        parameters=stage,
        overwrite=arguments.overwrite,
    ) as this:
        channel = f"net{UNKNOWNS}"
        chosen = json.loads(arguments.summary.read_text())["chosen"][channel]
        watched = read_networks(arguments.networks)[chosen]
        densities = np.geomspace(*DENSITY_PER_UM2, maps["densities"])
        radii = np.linspace(*ER_RADIUS_UM, maps["radii"])
        density, radius = (axis.ravel() for axis in np.meshgrid(densities, radii, indexing="ij"))
        options = (maps["dt_us"] / 1e6, maps["length_um"])
        with repeatable(THREADS):
            # The compiled engine is the faster one without a GPU.
            found = mapped_waves(density, radius, *options, watched, None if device.type == "cpu" else device)
        chosen = np.unique(np.linspace(0, len(density) - 1, min(maps["checked"], len(density))).astype(int))
        checked = mapped_waves(density[chosen], radius[chosen], *options)
        names = ("speed_um_per_s", "peak_uM", "duration_s")
        shape = (len(densities), len(radii))
        tree = {"receptors_per_um2": densities, "er_radius_um": radii}
        tree |= {name: getattr(found, name).reshape(shape) for name in (*names, "flagged")}
        tree |= {f"equations/{name}": getattr(checked, name) for name in names}
        tree["equations/density"], tree["equations/radius"] = np.unravel_index(chosen, shape)
        about = {"/": {"radius_um": RADIUS_UM, "channel": channel}}
        write_tree(this.temporary("map"), WAVE_MAP, tree, about)
        pair = found.speed_um_per_s[chosen], checked.speed_um_per_s
        both = (pair[0] > 0) & (pair[1] > 0)
        errors = np.abs(pair[0][both] / pair[1][both] - 1)
        count = len(density)
        deployment = {
            "n": count,
            "seconds": found.seconds,
            "seconds_per_case": found.seconds / count,
            "seconds_per_case_direct": checked.seconds / len(chosen),
            "threads": THREADS,
            "device": device.type,
            "waves": int((found.speed_um_per_s > 0).sum()),
            "checked": len(chosen),
            "speed_error_median": float(np.median(errors)) if both.any() else None,
            "speed_error_max": float(errors.max()) if both.any() else None,
            "missed": int(((pair[0] > 0) != (pair[1] > 0)).sum()),
            "flagged_share": float(found.flagged.mean()),
        }
        this.temporary("deployment").write_text(json.dumps(finite(deployment), indent=2, sort_keys=True) + "\n")
        this.note("device", device_facts(device, THREADS))
        each, where = 1e3 * found.seconds / count, "one thread" if device.type == "cpu" else "a GPU"
        print(f"wave map: {count:,} cables in {found.seconds:.1f} s on {where}, {each:.1f} ms each")


if __name__ == "__main__":
    arguments = parser(__doc__)
    arguments.add_argument("--device", choices=("auto", "cpu", "cuda"), default="auto", help="where the network runs")
    for name in ("config", "networks", "summary", "map", "deployment"):
        arguments.add_argument(f"--{name}", type=Path, required=True)
    main(run, arguments)
