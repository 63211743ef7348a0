"""The MNI152 head: the templates that nilearn ships inside its own package."""

from __future__ import annotations

from importlib import resources
from typing import Literal

import nibabel
import numpy as np

_FILE = "mni_icbm152_{name}_tal_nlin_sym_09a_converted.nii.gz"


def load_template(name: Literal["t1", "gm", "wm"]) -> tuple[np.ndarray, np.ndarray]:
    """One MNI152 (nonlinear, symmetric, 2009a) template at 1 mm.

    Parameters
    ----------
    name : ``t1`` intensity, ``gm`` or ``wm`` probability.

    Returns
    -------
    data : (197, 233, 189) float32, scaled to 0-1.
    affine : (4, 4), voxel index to MNI152 RAS mm.

    Source: Fonov et al. 2011, NeuroImage 54:313; the files come with nilearn.
    """
    with resources.as_file(resources.files("nilearn.datasets.data") / _FILE.format(name=name)) as path:
        image = nibabel.load(path)
        data = np.asarray(image.dataobj, dtype=np.float32)
    return data / 255.0, np.asarray(image.affine, dtype=float)
