"""Tracts: which bundle of streamlines a white-matter voxel belongs to."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import nibabel
import numpy as np

from understudy.axon.white_matter import WhiteMatter, voxels_at
from understudy.errors import InputError

PROPERTY = "bundle"
"""Name of the streamline property that holds the number of its bundle."""

_BATCH_POINTS = 500_000


@dataclass(frozen=True)
class Tracts:
    """Tract of each voxel.

    Attributes
    ----------
    number : (v,) row of ``names``, -1 where no named streamline passes.
    names : one per tract.
    """

    number: np.ndarray
    names: tuple[str, ...]


def read_tract_names(path: str | Path) -> list[str]:
    """Names of the bundles of a tractogram: the name of bundle k is on line k + 1.

    Raises
    ------
    InputError
        If the file is missing or holds no name.
    """
    path = Path(path)
    if not path.is_file():
        raise InputError(f"{path}: no such file; accepted is a text file with the name of bundle k on line k + 1")
    names = [line.strip() for line in path.read_text().splitlines()]
    if not any(names):
        raise InputError(f"{path}: found no name; accepted is a text file with the name of bundle k on line k + 1")
    return names


def tract_of_bundle(name: str) -> str:
    """The tract for people of a bundle such as ``Association_CingulumL_Parolfactory``: without class, side and part.

    Both sides and all parts of a tract are one, so that each is large enough for a distribution.
    """
    parts = name.split("_")
    tract = parts[1] if len(parts) > 1 else parts[0]
    tract = re.sub(r"-(lr|rl)$", "", tract)
    tract = re.sub(r"(?<=[a-zIV])[LR]$", "", tract)
    if tract.startswith("CN"):
        return f"Cranial nerve {tract[2:]}"
    return re.sub(r"(?<=[a-z])(?=[A-Z])", " ", tract).capitalize()


def iterate_bundles(path: str | Path) -> Iterable[tuple[int, np.ndarray]]:
    """Bundle number and streamline (n, 3) in RAS mm, one by one, of a tractogram with that property.

    Raises
    ------
    InputError
        If its streamlines carry no bundle numbers.
    """
    tractogram = nibabel.streamlines.load(path, lazy_load=True).tractogram
    numbers = tractogram.data_per_streamline.get(PROPERTY)
    if numbers is None:
        raise InputError(
            f"{path}: found no streamline property {PROPERTY!r}; accepted is a TRK file with it, or "
            "fibres.tract_names: null"
        )
    # Not the tractogram's own items: nibabel gives those in the file's coordinates.
    for number, streamline in zip(numbers, tractogram.streamlines, strict=True):
        yield int(number[0]), streamline


def tracts_of_voxels(
    bundles: Iterable[tuple[int, np.ndarray]], bundle_names: list[str], white_matter: WhiteMatter
) -> Tracts:
    """The tract with the most streamline length in each voxel.

    Parameters
    ----------
    bundles : bundle number and streamline (n, 3) in MNI152 RAS mm.
    bundle_names : name of each bundle; see `tract_of_bundle`.

    Raises
    ------
    InputError
        If a streamline's bundle has no name.
    """
    titles = [tract_of_bundle(name) for name in bundle_names]
    names = sorted(set(titles))
    tract = np.array([names.index(title) for title in titles])
    length = np.zeros((len(white_matter.index), len(names)))
    points: list[np.ndarray] = []
    weights: list[np.ndarray] = []
    columns: list[np.ndarray] = []

    def add() -> None:
        row = voxels_at(np.concatenate(points), white_matter)
        inside = row >= 0
        np.add.at(length, (row[inside], np.concatenate(columns)[inside]), np.concatenate(weights)[inside])
        for batch in (points, weights, columns):
            batch.clear()

    waiting = 0
    for bundle, streamline in bundles:
        if not 0 <= bundle < len(tract):
            raise InputError(
                f"fibres.tract_names: found {len(tract)} names, but a streamline of bundle {bundle}; accepted is a "
                "name for each bundle"
            )
        if len(streamline) < 2:
            continue
        step = np.linalg.norm(np.diff(streamline, axis=0), axis=1)
        # A segment counts for the voxels of its quarters' middles: steps are about as long as a voxel.
        for share in (0.125, 0.375, 0.625, 0.875):
            points.append((1 - share) * streamline[:-1] + share * streamline[1:])
            weights.append(0.25 * step)
            columns.append(np.full(len(step), tract[bundle]))
        waiting += 4 * len(step)
        if waiting >= _BATCH_POINTS:
            add()
            waiting = 0
    if points:
        add()
    number = np.where(length.max(axis=1) > 0, length.argmax(axis=1), -1)
    used = np.unique(number[number >= 0])
    renumbered = np.where(number >= 0, np.searchsorted(used, number), -1)
    return Tracts(renumbered, tuple(names[k] for k in used))
