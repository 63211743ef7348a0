"""The HDF5 files between the calcium study's stages; the physics itself knows arrays only.

All files hold no times, hosts or paths, so equal content means equal bytes.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from understudy.calcium.gated_channel import RYANODINE, Domain
from understudy.calcium.rate_network import RateNetwork, network_arrays, network_from_arrays
from understudy.calcium.receptor_protocols import FAMILIES, Courses
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
            group["family"] = np.array([FAMILIES.index(name) for name in own.family], dtype=np.int8)
            group["group"] = own.group.astype(np.int32)


def read_courses(path: str | Path) -> dict[str, Courses]:
    """What `write_courses` wrote."""
    with opened(path, COURSES) as file:
        return {
            split: Courses(
                *(group[name][...] for name in ("dt_s", "u_uM", "start")),
                family=np.array(FAMILIES, dtype=object)[group["family"][...]],
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


def write_tree(path: str | Path, content: str, arrays: Mapping[str, Any]) -> None:
    """Write arrays by their path in the file, such as ``front/time_s``; texts as fixed-length strings."""
    with create(path, content) as file:
        for name in sorted(arrays):
            values = np.asarray(arrays[name])
            file[name] = values.astype("S") if values.dtype.kind == "U" else values


def read_tree(path: str | Path, content: str) -> dict[str, np.ndarray]:
    """All arrays of a file by their path in it."""
    with opened(path, content) as file:
        found: dict[str, np.ndarray] = {}

        def visit(name: str, item: Any) -> None:
            if isinstance(item, h5py.Dataset):
                found[name] = item[...]

        file.visititems(visit)
        return found


@dataclass(frozen=True)
class WaveMap:
    """``wave_map.h5``: waves over D receptor densities and R ER radii.

    Attributes
    ----------
    density_per_um2, er_radius_um : (D,), (R,).
    speed_um_per_s, amplitude_uM, width_s : (D, R) by the network of 4 unknowns; speed 0 and NaN where none passed.
    checked : (n, 2) places in these that the equations repeated.
    checked_speed_um_per_s, checked_amplitude_uM, checked_width_s : (n,) by the equations.
    """

    density_per_um2: np.ndarray
    er_radius_um: np.ndarray
    speed_um_per_s: np.ndarray
    amplitude_uM: np.ndarray
    width_s: np.ndarray
    checked: np.ndarray
    checked_speed_um_per_s: np.ndarray
    checked_amplitude_uM: np.ndarray
    checked_width_s: np.ndarray


def write_wave_map(path: str | Path, found: WaveMap) -> None:
    """Write ``wave_map.h5``."""
    write_tree(path, WAVE_MAP, {name: getattr(found, name) for name in WaveMap.__dataclass_fields__})


def read_wave_map(path: str | Path) -> WaveMap:
    """What `write_wave_map` wrote."""
    return WaveMap(**read_tree(path, WAVE_MAP))
