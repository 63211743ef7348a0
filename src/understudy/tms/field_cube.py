"""The cube of field samples about a cell that the published threshold networks read.

After Aberra et al. 2023 (doi 10.1016/j.neuroimage.2023.120184) and its inference code: 9 x 9 x 9 samples of the field
in the cell's frame. Without torch, since the cube is sampled where thresholds are simulated.
"""

from __future__ import annotations

import numpy as np

from understudy.errors import InputError

SAMPLES = 9
"""Samples along an edge (found: inference code and names of the published networks)."""

CUBE_MM = {"L23_PC": 2.0, "L4_LBC": 1.5, "L5_TTPC": 1.5}
"""Edge of the cube (found: inference code)."""

CUBE_SHIFT_MM = {"L23_PC": -0.4868, "L4_LBC": 0.0, "L5_TTPC": 0.0}
"""Shift of the cube's centre from the soma along the cell's z (found: inference code)."""


def cube_points(cell_type: str) -> np.ndarray:
    """Sample points (729, 3) in um in the cell's frame, x slowest.

    Raises
    ------
    InputError
        If there is no cube for this cell type.
    """
    if cell_type not in CUBE_MM:
        raise InputError(f"cell type: found {cell_type!r}; accepted are {', '.join(CUBE_MM)}")
    line = np.linspace(-0.5, 0.5, SAMPLES) * CUBE_MM[cell_type] * 1e3
    points = np.stack(np.meshgrid(line, line, line, indexing="ij"), axis=-1).reshape(-1, 3)
    return points + np.array([0.0, 0.0, CUBE_SHIFT_MM[cell_type] * 1e3])


def cube_inputs(field_samples: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Network inputs from samples (N, 729, 3) in the cell's frame.

    Returns
    -------
    inputs (N, 3, 9, 9, 9) float32, the field over |E| at the cube's centre, and that |E| (N,).

    Raises
    ------
    InputError
        If a sample is missing (outside the head) or there is no field at the centre.
    """
    samples = np.asarray(field_samples, dtype=np.float64)
    complete = np.isfinite(samples).all(axis=(1, 2))
    if not complete.all():
        raise InputError(
            f"cube: found missing samples in case {int(np.flatnonzero(~complete)[0])} (counted from 0); accepted are "
            "whole cubes"
        )
    centre = np.linalg.norm(samples[:, SAMPLES**3 // 2], axis=1)
    if (centre <= 0).any():
        raise InputError("cube: found no field at the centre; accepted is a field there")
    scaled = (samples / centre[:, None, None]).astype(np.float32)
    return np.ascontiguousarray(scaled.transpose(0, 2, 1)).reshape(-1, 3, SAMPLES, SAMPLES, SAMPLES), centre
