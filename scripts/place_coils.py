"""Choose cortical patches and place coils over them: the groups of the study, from geometry alone."""

from __future__ import annotations

from argparse import Namespace
from pathlib import Path

import numpy as np

from understudy.errors import InputError
from understudy.farm.seeds import case_sequence
from understudy.provenance.arguments import main, parser
from understudy.provenance.job import job
from understudy.settings import read_stage
from understudy.tms import coils
from understudy.tms.coil_placement import coil_pose, scalp_distance_mm
from understudy.tms.config import Coil, Conductivity, Head, Placements, SecondHead
from understudy.tms.cortex import HAND_KNOB_MM, Cortex, Patch, patches
from understudy.tms.files import Placement, write_placements
from understudy.tms.head_model import AIR, HeadModel
from understudy.tms.study_heads import SECOND_HEAD, TRAINED_HEAD, study_coil, study_cortex, study_head

# Number of this stage in spawn keys of the study (1).
_STAGE = 1
# Patches farther than this from the scalp are out of a figure-of-eight coil's reach (choice).
_DEEPEST_MM = 32.0
# Below this height (MNI152, mm) ears, neck and face are in the coil's way (choice).
_LOWEST_MM = 5.0
# Between the patches of a head (found: groups are at least 10 mm apart).
_GAP_MM = 10.0
# A coil whose winding touches the head is lifted in such steps; one that still does is placed anew.
_LIFT_MM, _MOST_LIFT_MM, _MOST_DRAWS = 2.0, 10.0, 50
_ROLES = ("training", "calibration", "heldout")


def chosen_patches(cortex: Cortex, head: HeadModel, count: int, settings: Placements) -> tuple[Patch, ...]:
    """Patches in a coil's reach, the hand knob first."""
    middle = cortex.at_depth(0.5)
    reach = (scalp_distance_mm(head, middle) <= _DEEPEST_MM) & (middle[:, 2] >= _LOWEST_MM)
    hand = np.array(HAND_KNOB_MM) * ([-1, 1, 1] if cortex.hemisphere == "right" else [1, 1, 1])
    return patches(cortex, count, settings.patch_radius_mm, candidates=reach, first_mm=hand, gap_mm=_GAP_MM)


def roles_of(settings: Placements, generator: np.random.Generator) -> list[str]:
    """Role of each patch of the first head: the hand knob is held out, the others are drawn."""
    rest = [
        role
        for role, count in zip(
            _ROLES,
            (settings.training_patches, settings.calibration_patches, settings.heldout_patches - 1),
            strict=True,
        )
        for _ in range(count)
    ]
    return ["heldout", *(rest[number] for number in generator.permutation(len(rest)))]


def random_pose(
    coil: coils.Coil,
    head: HeadModel,
    target_mm: np.ndarray,
    distance_mm: float,
    offset_mm: float,
    generator: np.random.Generator,
) -> np.ndarray:
    """A coil at a random place within a disc over the target, at a random angle, lifted until it is outside the head.

    Raises
    ------
    InputError
        If no lift within reach frees the coil.
    """
    for _ in range(_MOST_DRAWS):
        radius, turn = offset_mm * np.sqrt(generator.random()), generator.uniform(0, 2 * np.pi)
        angle = generator.uniform(0, 360)
        offset = (radius * np.cos(turn), radius * np.sin(turn))
        for lift in np.arange(0, _MOST_LIFT_MM + _LIFT_MM, _LIFT_MM):
            pose = coil_pose(head, target_mm, angle, distance_mm=distance_mm + lift, offset_mm=offset)
            try:
                coils.require_outside(coil, pose, head.labels != AIR, head.affine)
            except InputError as error:
                refused = error
                continue
            return pose
    raise InputError(f"{refused} (found in {_MOST_DRAWS} placements up to {_MOST_LIFT_MM:g} mm above the scalp)")


def run(arguments: Namespace) -> None:
    stage = read_stage(arguments.config)
    seed = stage["seed"]
    settings, second = Placements(**stage["placements"]), SecondHead(**stage["second_head"])
    head, coil_settings = Head(**stage["head"]), Coil(**stage["coil"])
    with job(
        program="place_coils",
        study="tms",
        inputs={"config": arguments.config, "coil": arguments.coil},
        outputs={"placements": arguments.placements},
        code=arguments.code,
        parameters=stage,
        seed=seed,
        overwrite=arguments.overwrite,
    ) as this:
        coil = study_coil(coil_settings, *arguments.coil)
        total = settings.training_patches + settings.calibration_patches + settings.heldout_patches
        names = dict.fromkeys((*_ROLES, "second_head"), 0)
        placements: list[Placement] = []
        vertices: list[np.ndarray] = []
        for number, count in ((TRAINED_HEAD, total), (SECOND_HEAD, settings.second_head_patches)):
            # Conductivities do not change where the scalp is.
            model = study_head(number, head, Conductivity(), second, seed)
            cortex = study_cortex(number, settings.hemisphere, second, seed)
            generator = np.random.default_rng(case_sequence(seed, 1, _STAGE, number))
            roles = roles_of(settings, generator) if number == TRAINED_HEAD else ["second_head"] * count
            middle = cortex.at_depth(0.5)
            for patch, role in zip(chosen_patches(cortex, model, count, settings), roles, strict=True):
                names[role] += 1
                for turn in range(settings.per_patch):
                    key = case_sequence(seed, 1, _STAGE, 10_000 + 100 * len(vertices) + turn)
                    pose = random_pose(
                        coil,
                        model,
                        middle[patch.centre],
                        coil_settings.distance_mm,
                        settings.offset_mm,
                        np.random.default_rng(key),
                    )
                    name = f"{role.replace('_', ' ')} patch {names[role]}, placement {turn + 1}"
                    placements.append(Placement(name, role, number, len(vertices), middle[patch.centre], pose))
                vertices.append(patch.vertices)
            print(f"head {number}: {count} patches, {count * settings.per_patch} coil placements", flush=True)
        write_placements(this.temporary("placements"), placements, vertices)


if __name__ == "__main__":
    arguments = parser(__doc__)
    arguments.add_argument("--config", type=Path, required=True)
    arguments.add_argument("--coil", type=Path, nargs="*", default=[], help="the .ccd file of the coil")
    arguments.add_argument("--placements", type=Path, required=True)
    main(run, arguments)
