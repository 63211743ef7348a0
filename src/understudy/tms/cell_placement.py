"""Where cells stand in the cortex: random places of a patch at a layer's depth, upright, each with an azimuth."""

from __future__ import annotations

import numpy as np

from understudy.errors import InputError
from understudy.tms.compartments import Compartments
from understudy.tms.field_sampling import CellPose, quasi_potentials
from understudy.tms.fields import Field

# Number of this stage in spawn keys of the study (1), and of the stream of azimuths.
_STAGE, _AZIMUTHS = 3, 9
# Positions drawn at once; after this many rounds a patch has no room for the cell.
_ROUND, _MOST_ROUNDS = 64, 40


def patch_triangles(triangles: np.ndarray, vertices: np.ndarray) -> np.ndarray:
    """Triangles (n, 3) of a surface whose three corners lie in a patch, given by its vertex numbers."""
    inside = np.zeros(int(triangles.max()) + 1, dtype=bool)
    inside[vertices] = True
    return triangles[inside[triangles].all(axis=1)]


def random_positions(
    white: np.ndarray, pial: np.ndarray, triangles: np.ndarray, depth: float, count: int, generator: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """Places of cells, uniform over the area of a patch half-way through the cortex.

    Parameters
    ----------
    white, pial : (V, 3) mm; triangles (n, 3) of the patch.
    depth : from the pial (0) to the white surface (1).

    Returns
    -------
    position (count, 3) mm and unit normal (count, 3), from white to pial.
    """
    middle = 0.5 * (white + pial)
    corners = middle[triangles]
    area = np.linalg.norm(np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0]), axis=1)
    chosen = triangles[generator.choice(len(triangles), size=count, p=area / area.sum())]
    # The square root makes points uniform over a triangle.
    root, share = np.sqrt(generator.random(count)), generator.random(count)
    weights = np.stack([1 - root, root * (1 - share), root * share], axis=1)
    inner = np.einsum("nk,nkd->nd", weights, white[chosen])
    outer = np.einsum("nk,nkd->nd", weights, pial[chosen])
    across = outer - inner
    position = outer - depth * across
    return position, across / np.linalg.norm(across, axis=1, keepdims=True)


class Patch:
    """A patch of cortex in the field of one coil placement, from which cells are drawn.

    Parameters
    ----------
    name : of the placement, for messages.
    field : of the placement.
    surface : white (V, 3) and pial (V, 3) points in mm, triangles (T, 3).
    vertices : numbers of the patch's vertices.
    seed : root seed.

    Raises
    ------
    InputError
        If the patch has no triangle.
    """

    def __init__(
        self,
        name: str,
        field: Field,
        surface: tuple[np.ndarray, np.ndarray, np.ndarray],
        vertices: np.ndarray,
        seed: int,
    ):
        self.name, self.field, self.seed = name, field, seed
        self.white, self.pial, triangles = surface
        self.triangles = patch_triangles(triangles, vertices)
        if not len(self.triangles):
            raise InputError(f"{name}: found no triangle of the cortex; accepted is a patch of several")

    def generator(self, *key: int) -> np.random.Generator:
        """The stream of one draw in this patch."""
        return np.random.default_rng(np.random.SeedSequence(self.seed, spawn_key=(1, _STAGE, *key)))

    def draw(
        self, compartments: Compartments, depth: float, count: int, azimuths: int, key: tuple[int, ...], most: float
    ) -> tuple[CellPose, np.ndarray, int, int]:
        """``count`` placed cells: poses, number of each one's position, and positions times azimuths drawn and refused.

        Raises
        ------
        InputError
            If the patch has no room for the cell.
        """
        places, turns = self.generator(*key), self.generator(*key, _AZIMUTHS)
        found: list[tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]] = []
        taken = drawn = refused = 0
        for number in range(_MOST_ROUNDS):
            position, normal = random_positions(self.white, self.pial, self.triangles, depth, _ROUND, places)
            first = turns.uniform(0, 2 * np.pi, size=_ROUND)
            angle = (first[:, None] + 2 * np.pi * np.arange(azimuths) / azimuths).ravel()
            poses = CellPose(np.repeat(position, azimuths, axis=0), np.repeat(normal, azimuths, axis=0), angle)
            sampled = quasi_potentials(self.field, compartments, poses, dtype=np.float32)
            good = np.isfinite(sampled.potential).all(axis=1) & sampled.inside[:, 0]
            good &= 1 - sampled.inside.mean(axis=1) <= most
            vertex = number * _ROUND + np.repeat(np.arange(_ROUND), azimuths)
            # Positions beyond the last one needed were not drawn, as far as the count is concerned.
            rows = np.flatnonzero(good)[: count - taken]
            last = rows[-1] + 1 if taken + len(rows) == count and len(rows) else len(good)
            drawn += last
            refused += int((~good[:last]).sum())
            taken += len(rows)
            found.append((poses.position[rows], poses.normal[rows], angle[rows], vertex[rows]))
            if taken == count:
                break
        else:
            raise InputError(
                f"{self.name}: found room for {taken} of {count} cells {compartments.cell} in {drawn} draws; accepted "
                "is a larger sampling.most_outside or placements.patch_radius_mm"
            )
        position, normal, angle, vertex = (np.concatenate(part) for part in zip(*found, strict=True))
        return CellPose(position, normal, angle), vertex, drawn, refused
