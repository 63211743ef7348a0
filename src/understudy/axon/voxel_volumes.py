"""Values on white-matter voxels as compressed NIfTI volumes, for the viewers and tools of neuroimaging."""

from __future__ import annotations

import math
import zlib
from collections.abc import Sequence
from dataclasses import dataclass

import nibabel
import numpy as np

from understudy.axon.white_matter import WhiteMatter

LEVELS = 256
"""Steps from zero to a volume's largest magnitude: their rounding is far below any error of a surrogate."""

# What the largest value of a file is stored as: a power of two within int16.
_LARGEST = 2**14


@dataclass(frozen=True)
class Volumes:
    """A NIfTI file's content.

    Attributes
    ----------
    data : the gzip-compressed file; equal values give equal bytes.
    slope : value of one unit of the stored int16.
    step : to what the values of each volume are rounded, a multiple of the slope.
    missing : voxels without a value in each volume; they hold 0 as all voxels outside the white matter do.
    """

    data: bytes
    slope: float
    step: tuple[float, ...]
    missing: tuple[int, ...]


def nifti_volumes(
    values: Sequence[np.ndarray], white_matter: WhiteMatter, description: str, levels: int = LEVELS
) -> Volumes:
    """One 4D file in MNI152 space with a volume for each of ``values``.

    Parameters
    ----------
    values : one (v,) array per volume, NaN where there is no value.
    white_matter : the voxels of the values, and their grid.
    description : for the file's header, which holds 79 characters.
    levels : each volume is rounded to a step between 1/levels and 2/levels of its largest magnitude, so that noise
        takes no room; a volume of values far below the file's largest is rounded to the slope.
    """
    finite = [np.where(np.isfinite(array), array, 0.0) for array in values]
    largest = [float(np.abs(array).max()) for array in finite]
    # The header holds the slope in single precision.
    slope = float(np.float32((max(largest) or 1.0) / _LARGEST))
    grid = np.zeros((*white_matter.shape, len(values)), dtype=np.int16)
    steps = []
    for number, (array, extent) in enumerate(zip(finite, largest, strict=True)):
        # Powers of two leave the lowest bits zero in a volume, which a compressor sees at once.
        step = 2 ** max(0, math.ceil(math.log2(max(extent / slope / levels, 1.0)) - 1e-6))
        grid[(*white_matter.index.T, number)] = np.rint(array / (step * slope)) * step
        steps.append(step * slope)
    image = nibabel.Nifti1Image(grid, white_matter.affine)
    image.header.set_xyzt_units("mm")
    image.set_sform(white_matter.affine, code="mni")
    image.set_qform(white_matter.affine, code="mni")
    image.header["descrip"] = description.encode("ascii", "replace")[:79]
    image.header.set_slope_inter(slope, 0.0)
    missing = tuple(int(np.sum(~np.isfinite(array))) for array in values)
    return Volumes(_compressed(image.to_bytes()), slope, tuple(steps), missing)


def _compressed(data: bytes) -> bytes:
    """A gzip file with neither name nor time in its header, coded for numbers rather than for text."""
    gzip_format = 16 + zlib.MAX_WBITS
    encoder = zlib.compressobj(9, zlib.DEFLATED, gzip_format, zlib.DEF_MEM_LEVEL, zlib.Z_FILTERED)
    return encoder.compress(data) + encoder.flush()
