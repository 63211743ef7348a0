"""The MNI152 head and the fsaverage cortex: files that nilearn ships inside its own package."""

from __future__ import annotations

from functools import cache
from importlib import resources
from typing import Any, Literal

import nibabel
import numpy as np

_FOLDER = "datasets/data"
_TEMPLATE = "mni_icbm152_{name}_tal_nlin_sym_09a_converted.nii.gz"


def nilearn_image(name: str) -> Any:
    """An image or surface file of nilearn as nibabel reads it, by its path below the package's folder of data."""
    # The package itself, not that of its data, which would import scikit-learn and pandas: seconds of every program.
    with resources.as_file(resources.files("nilearn") / _FOLDER / name) as path:
        return nibabel.load(path)


@cache
def load_template(name: Literal["t1", "gm", "wm"]) -> tuple[np.ndarray, np.ndarray]:
    """One MNI152 (nonlinear, symmetric, 2009a) template at 1 mm, read once and not writeable.

    Parameters
    ----------
    name : ``t1`` intensity, ``gm`` or ``wm`` probability.

    Returns
    -------
    data : (197, 233, 189) float32, scaled to 0-1.
    affine : (4, 4), voxel index to MNI152 RAS mm.

    Source: Fonov et al. 2011, NeuroImage 54:313; the files come with nilearn.
    """
    image = nilearn_image(_TEMPLATE.format(name=name))
    data, affine = np.asarray(image.dataobj, dtype=np.float32) / 255.0, np.asarray(image.affine, dtype=float)
    for array in (data, affine):
        array.flags.writeable = False
    return data, affine
