"""Tractograms (TRK, TCK) in MNI152 space, read lazily and checked before they are used."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import nibabel
import numpy as np

from understudy.anatomy import load_template
from understudy.axon.brain_mesh import brain_mask
from understudy.errors import InputError

SUFFIXES = (".trk", ".tck")

# Least share of points inside the brain and in white matter (probability > 0.3) of the template. The HCP-1065 atlas
# has 0.998 and 0.85; the same atlas with left-right and anterior-posterior flipped (LPS read as RAS) 0.80 and 0.46, and
# in voxel coordinates 0 and 0. Streamlines that end in grey matter need the lower limit for white matter.
BRAIN_SHARE = 0.95
WHITE_MATTER_SHARE = 0.55
_WHITE_MATTER_PROBABILITY = 0.3

_READ_ERRORS = (
    nibabel.streamlines.tractogram_file.HeaderError,
    nibabel.streamlines.tractogram_file.DataError,
    ValueError,
    TypeError,
    EOFError,
    OSError,
)


@dataclass(frozen=True)
class Tractogram:
    """A checked tractogram file; iterating reads streamlines (n, 3) in MNI152 RAS mm one by one.

    Attributes
    ----------
    path : TRK or TCK file.
    streamlines, points : how many it holds.
    lower_mm, upper_mm : (3,) bounding box.
    brain_share, white_matter_share : shares of points inside the template's brain and white matter.
    """

    path: Path
    streamlines: int
    points: int
    lower_mm: np.ndarray
    upper_mm: np.ndarray
    brain_share: float
    white_matter_share: float

    def __iter__(self) -> Iterator[np.ndarray]:
        return iterate_streamlines(self.path)


def _unreadable(path: Path, found: object) -> InputError:
    return InputError(f"{path}: found no whole tractogram ({found}); accepted is a complete TRK or TCK file")


def iterate_streamlines(path: Path) -> Iterator[np.ndarray]:
    """Streamlines (n, 3) float32 of a file in RAS mm, one in memory at a time.

    Raises
    ------
    InputError
        If the file is truncated, foreign or holds other than finite points.
    """
    try:
        file = nibabel.streamlines.load(path, lazy_load=True)
        # TRK and TCK headers name their number of streamlines differently; 0 means not recorded.
        promised = int(file.header.get("nb_streamlines", 0) or file.header.get("count", 0) or 0)
        streamlines = iter(file.streamlines)
    except _READ_ERRORS as error:
        raise _unreadable(path, error) from None
    count = 0
    while True:
        try:
            streamline = next(streamlines)
        except StopIteration:
            break
        except _READ_ERRORS as error:
            raise _unreadable(path, f"streamline {count}: {error}") from None
        if not np.isfinite(streamline).all():
            raise InputError(
                f"{path}: found points that are not finite in streamline {count}; accepted are finite coordinates in mm"
            )
        count += 1
        yield streamline
    if count < promised:
        raise _unreadable(path, f"{count} of {promised} streamlines")


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def read_tractogram(path: str | Path, sha256: str | None = None) -> Tractogram:
    """Check a tractogram in one pass.

    Parameters
    ----------
    path : TRK or TCK file with coordinates in MNI152 RAS mm.
    sha256 : expected digest, or None to take the file as it is.

    Raises
    ------
    InputError
        If the file is missing, has another digest, is truncated or foreign, is empty, or does not lie in MNI152 space.
    """
    path = Path(path)
    if not path.is_file():
        raise InputError(
            f"{path}: no such file; accepted is a tractogram in MNI152 space (TRK or TCK), or fibres.source: synthetic"
        )
    if path.suffix.lower() not in SUFFIXES:
        raise InputError(f"{path}: found the suffix {path.suffix!r}; accepted are {' and '.join(SUFFIXES)}")
    if sha256 is not None:
        found = _sha256(path)
        if found != sha256.lower().removeprefix("sha256:"):
            raise InputError(f"{path}: found SHA-256 {found}; accepted is {sha256} (fibres.sha256)")
    return _checked(path)


def _checked(path: Path) -> Tractogram:
    """Count the points of a file, and how many of them lie in the template's brain and white matter."""
    white, affine = load_template("wm")
    grey, _ = load_template("gm")
    white_mask, mask = white > _WHITE_MATTER_PROBABILITY, brain_mask(white + grey)
    origin, shape = affine[:3, 3], np.array(white.shape)
    streamlines = points = in_brain = in_white = 0
    lower, upper = np.full(3, np.inf), np.full(3, -np.inf)
    for streamline in iterate_streamlines(path):
        streamlines += 1
        if len(streamline) == 0:
            continue
        points += len(streamline)
        lower, upper = np.minimum(lower, streamline.min(axis=0)), np.maximum(upper, streamline.max(axis=0))
        index = np.floor(streamline - origin + 0.5).astype(np.int64)
        x, y, z = index[((index >= 0) & (index < shape)).all(axis=1)].T
        in_brain += int(mask[x, y, z].sum())
        in_white += int(white_mask[x, y, z].sum())
    if points == 0:
        raise InputError(f"{path}: found no streamlines; accepted is a tractogram with at least one")
    brain_share, white_share = in_brain / points, in_white / points
    if brain_share < BRAIN_SHARE or white_share < WHITE_MATTER_SHARE:
        box = ", ".join(f"{axis} {a:.0f} to {b:.0f}" for axis, a, b in zip("xyz", lower, upper, strict=True))
        raise InputError(
            f"{path}: not in MNI152 space (RAS mm): found {brain_share:.1%} of {points:,} points in the template's "
            f"brain and {white_share:.1%} in its white matter, bounding box {box} mm; accepted are at least "
            f"{BRAIN_SHARE:.0%} and {WHITE_MATTER_SHARE:.0%}"
        )
    return Tractogram(path, streamlines, points, lower, upper, brain_share, white_share)
