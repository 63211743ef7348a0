"""The HDF5 files between the calcium study's stages; the physics itself knows arrays only.

All files hold no times, hosts or paths, so equal content means equal bytes.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from understudy.calcium.gated_channel import RYANODINE, Domain
from understudy.calcium.rate_network import RateNetwork, network_arrays, network_from_arrays
from understudy.calcium.receptor_protocols import Courses
from understudy.content_file import create, opened

COURSES, NETWORKS, HYBRID = "courses", "rate networks", "hybrid"
CHANNELS, DESIGNS, WAVE_MAP = "channels", "designs", "wave map"
"""What each file says it holds."""


def write_courses(path: str | Path, courses: Mapping[str, Courses]) -> None:
    """Write ``courses.h5``: courses by split."""
    with create(path, COURSES) as file:
        for split, own in courses.items():
            group = file.create_group(split)
            for name in ("dt_s", "u_uM"):
                group.create_dataset(name, data=getattr(own, name), chunks=True, compression="gzip")
            group["start"] = own.start
            group["family"] = own.family.astype("S")
            group["group"] = own.group.astype(np.int32)


def read_courses(path: str | Path) -> dict[str, Courses]:
    """What `write_courses` wrote."""
    with opened(path, COURSES) as file:
        return {
            split: Courses(
                *(group[name][...] for name in ("dt_s", "u_uM", "start")),
                family=np.array([name.decode() for name in group["family"][...]], dtype=object),
                group=group["group"][...].astype(np.int64),
            )
            for split, group in file.items()
        }


def write_networks(path: str | Path, networks: Mapping[str, Mapping[str, np.ndarray]]) -> None:
    """Write ``networks.h5``: by name the arrays of `watched_arrays`."""
    with create(path, NETWORKS) as file:
        for name, arrays in networks.items():
            group = file.create_group(name)
            for key in sorted(arrays):
                group[key] = arrays[key]


def watched_arrays(network: RateNetwork, domain: Domain) -> dict[str, np.ndarray]:
    """A network and the domain of its training as arrays by name."""
    return {**network_arrays(network), "domain_cells": np.array(domain.cells), "domain_visited": domain.visited}


def read_networks(path: str | Path) -> dict[str, tuple[RateNetwork, Domain]]:
    """Networks of ryanodine receptors and the domains of their training by name.

    Raises
    ------
    InputError : no such file, or a network of another channel.
    """
    with opened(path, NETWORKS) as file:
        found = {}
        for name, group in file.items():
            arrays = {key: group[key][...] for key in group}
            domain = Domain(int(arrays["domain_cells"]), arrays["domain_visited"])
            found[name] = (network_from_arrays(arrays, RYANODINE), domain)
        return found


def write_tree(
    path: str | Path, content: str, arrays: Mapping[str, Any], attributes: Mapping[str, Mapping[str, Any]] | None = None
) -> None:
    """Write arrays by their path in the file, such as ``front/time_s``, and attributes by that of their group."""
    with create(path, content) as file:
        file.attrs["study"] = "calcium"
        for name in sorted(arrays):
            values = np.asarray(arrays[name])
            packed = {"chunks": True, "compression": "gzip"} if values.size > 1000 else {}
            file.create_dataset(name, data=values, **packed)
        for name, own in sorted((attributes or {}).items()):
            for key in sorted(own):
                file[name].attrs[key] = own[key]
