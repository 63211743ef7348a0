"""The study's two heads, their cortex, and the coil, as the configuration says.

Head 0 is that of the template, in whose one hemisphere everything is trained; head 1 is the second head, seen in the
other hemisphere only.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from understudy.errors import InputError
from understudy.tms import coils
from understudy.tms.config import Coil, Conductivity, Head, SecondConductivity, SecondHead
from understudy.tms.cortex import Cortex, load_cortex
from understudy.tms.head_model import HeadModel, build_head
from understudy.tms.head_variants import HeadVariant, second_head, warp_cortex

TRAINED_HEAD, SECOND_HEAD = 0, 1


def study_coil(settings: Coil, ccd_file: Path | None = None) -> coils.Coil:
    """The configured coil.

    Raises
    ------
    InputError
        If the model is ccd and there is no file, or the file is no coil.
    """
    if settings.model == "ccd":
        if ccd_file is None:
            raise InputError("coil.ccd_file: found none, but coil.model is ccd; accepted is a SimNIBS .ccd file")
        return coils.read_ccd(ccd_file)
    return {"magventure_mcb70": coils.magventure_mcb70, "magstim_70mm": coils.magstim_70mm}[settings.model]()


def by_tissue(settings: Conductivity | SecondConductivity) -> np.ndarray:
    """Conductivities (6,) S/m in the order of `understudy.tms.head_model.TISSUES`."""
    return np.array(
        [
            0.0,
            settings.white_S_per_m,
            settings.grey_S_per_m,
            settings.csf_S_per_m,
            settings.skull_S_per_m,
            settings.scalp_S_per_m,
        ]
    )


def study_variant(settings: SecondHead, seed: int) -> HeadVariant:
    """How the second head differs from the first."""
    return second_head(
        conductivity=by_tissue(settings.conductivity),
        displacement_mm=settings.displacement_mm,
        scale=settings.scale,
        thickness=settings.thickness,
        seed=seed,
    )


def study_head(number: int, head: Head, conductivity: Conductivity, second: SecondHead, seed: int) -> HeadModel:
    """One of the two heads as voxels."""
    if number == TRAINED_HEAD:
        return build_head(head.voxel_mm, conductivity=by_tissue(conductivity))
    return build_head(head.voxel_mm, study_variant(second, seed))


def study_cortex(number: int, hemisphere: str, second: SecondHead, seed: int) -> Cortex:
    """The hemisphere of a head in which its cells are; ``hemisphere`` is the trained one."""
    if number == TRAINED_HEAD:
        return load_cortex(hemisphere)
    other = "right" if hemisphere == "left" else "left"
    return warp_cortex(load_cortex(other), study_variant(second, seed))
