"""Where a coil stands on a head: tangential to the scalp over a target, its handle turned."""

from __future__ import annotations

import numpy as np

from understudy.errors import InputError
from understudy.tms.head_model import SCALP, HeadModel

_ASCENT_STEPS = 200
_GRADIENT_STEP_MM = 2.0


def scalp_point(head: HeadModel, target_mm: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The scalp's point (3,) mm nearest to a target (3,) mm, and the outward normal (3,) there.

    Raises
    ------
    InputError
        If the target lies outside the head.
    """
    target = np.asarray(target_mm, dtype=float)
    if head.height_mm(target[None])[0] > 0:
        raise InputError(f"coil target: found {np.round(target, 1).tolist()} mm outside the head, accepted is inside")
    scalp = np.argwhere(head.labels == SCALP) * head.affine[0, 0] + head.affine[:3, 3]
    scalp = scalp[np.abs(head.height_mm(scalp)) < 0.75 * head.affine[0, 0]]
    point = scalp[np.argmin(((scalp - target) ** 2).sum(axis=1))]
    return on_scalp(head, point)


def on_scalp(head: HeadModel, point_mm: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """A point near the scalp moved onto it along its normal, and the outward normal, both (3,)."""
    point = np.asarray(point_mm, dtype=float).copy()
    for _ in range(_ASCENT_STEPS):
        normal = scalp_normal(head, point)
        height = head.height_mm(point[None])[0]
        point -= height * normal
        if abs(height) < 1e-2:
            break
    return point, normal


def scalp_normal(head: HeadModel, point_mm: np.ndarray) -> np.ndarray:
    """Outward normal (3,) of the head at a point near the scalp: the gradient of the distance over 4 mm."""
    steps = np.concatenate([np.eye(3), -np.eye(3)]) * _GRADIENT_STEP_MM
    height = head.height_mm(np.asarray(point_mm, dtype=float) + steps)
    gradient = height[:3] - height[3:]
    return gradient / np.linalg.norm(gradient)


def coil_pose(
    head: HeadModel,
    target_mm: np.ndarray,
    handle_deg: float,
    *,
    distance_mm: float = 4.0,
    offset_mm: tuple[float, float] = (0.0, 0.0),
) -> np.ndarray:
    """Pose (4, 4), coil frame to head in mm, of a coil tangential to the scalp over a target.

    Parameters
    ----------
    target_mm : (3,) in the brain; the coil's centre is over the nearest point of the scalp.
    handle_deg : turn about the coil's axis, seen from above, counterclockwise: at 0 the handle points backwards, so
        the field below runs from back to front; at 45 it points backwards and to the right.
    distance_mm : from the scalp to the plane z = 0 of the coil.
    offset_mm : along the coil's x and y from that point to the coil's centre, along the scalp.
    """
    point, normal = scalp_point(head, target_mm)
    x, y = _tangents(normal, handle_deg)
    if any(offset_mm):
        point, normal = on_scalp(head, point + offset_mm[0] * x + offset_mm[1] * y)
        x, y = _tangents(normal, handle_deg)
    pose = np.eye(4)
    pose[:3, :3] = np.stack([x, y, normal], axis=1)
    pose[:3, 3] = point + distance_mm * normal
    return pose


def _tangents(normal: np.ndarray, handle_deg: float) -> tuple[np.ndarray, np.ndarray]:
    """x and y of a coil whose axis is ``normal``; y, away from the handle, is forwards at 0 degrees."""
    forwards = np.array([0.0, 1.0, 0.0]) - normal[1] * normal
    if np.linalg.norm(forwards) < 0.1:
        forwards = np.array([0.0, 0.0, 1.0]) - normal[2] * normal
    forwards /= np.linalg.norm(forwards)
    right = np.cross(forwards, normal)
    turn = np.radians(handle_deg)
    y = np.cos(turn) * forwards - np.sin(turn) * right
    return np.cross(y, normal), y


def scalp_distance_mm(head: HeadModel, points_mm: np.ndarray) -> np.ndarray:
    """Distance (N,) mm of points (N, 3) in the head from the scalp."""
    return -head.height_mm(points_mm)
