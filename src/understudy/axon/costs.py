"""What the rules of the axon study do under a configuration; see `understudy.planning.work`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from understudy.planning.work import Work, blocks_of
from understudy.surrogate.costs import gaussian_work, surrogate_works, updates

# White-matter voxels at 2 mm and the default threshold of 0.38.
_VOXELS_AT_2_MM = 92_439
_ELEMENT_MM = 4.0
# Ways of sampling that are compared, active learning among them; settings of the mechanics that are varied.
_WAYS, _MECHANICS = 5, 8
# Voxels that a block of the whole white matter has, profiles of the other farms' blocks.
_VOXEL_BLOCK, _PROFILE_BLOCK, _FLOOR_BLOCK = 64, 16, 8


def works(axon: Any, data_dir: Path) -> list[Work]:
    """Work of every rule of the study.

    Parameters
    ----------
    axon : the study's configuration.
    data_dir : folder of external data.
    """
    impacts, sampling, injury, comparison = axon.impacts, axon.sampling, axon.injury, axon.comparison
    times = impacts.duration_ms + 1
    number = impacts.training + impacts.calibration + impacts.heldout
    voxels = _VOXELS_AT_2_MM * (2 / axon.fibres.voxel_mm) ** 3
    # Elements go with the cube of the edge, and steps with the edge: the time step is bound by the speed of sound.
    elements = (_ELEMENT_MM / axon.head.element_mm) ** 3
    fine = (_ELEMENT_MM / comparison.fine_element_mm) ** 4
    mechanics = times * (_ELEMENT_MM / axon.head.element_mm) ** 4

    heldout = sampling.heldout_profiles + sampling.worst_case_profiles
    profiles = sampling.training_profiles + sampling.calibration_profiles + heldout
    variant = sampling.worst_case_profiles + sum(
        min(getattr(comparison, name), getattr(sampling, name))
        for name in ("training_profiles", "calibration_profiles", "heldout_profiles")
    )
    variant_training = min(comparison.training_profiles, sampling.training_profiles)
    floor = 3 * (sampling.noise_floor_profiles + sampling.worst_case_profiles)
    sizes = [size for size in comparison.sampling_sizes if size <= sampling.training_profiles]
    training = axon.surrogate.training

    def axon_steps(count: float, layouts: int) -> dict[str, float]:
        """Runs of one profile in one layout, whose links break however short the steps are, and steps of stations."""
        stations = 1000 * injury.length_um / injury.dx_nm
        runs = count * layouts
        return {"runs": runs, "station_steps": runs * stations * times / injury.dt_ms / 1e6}

    def farmed_axons(rule: str, count: int, layouts: int, block: int, **more: Any) -> Work:
        return Work(
            rule,
            after=("sample_profiles",),
            serial={"profiles": count},
            farmed=axon_steps(count, layouts),
            blocks=blocks_of(count, block),
            # More strain breaks more links: the most strained block takes longest.
            longest=3.0,
            memory={"profiles": count},
            **more,
        )

    every = 1 + injury.layouts
    strain_MB = number * voxels * times * 4e-6
    return [
        Work("map_fibre_orientation", serial={"voxels": voxels}, memory={"voxels": voxels}, disk={"voxels": voxels}),
        Work(
            "simulate_impacts",
            after=("map_fibre_orientation",),
            serial={"strain_MB": strain_MB, "elements": elements},
            farmed={"element_steps": number * mechanics, "strain_MB": strain_MB},
            blocks=number,
            memory={"impact_MB": strain_MB / number, "elements": elements},
            disk={"strain_MB": strain_MB},
        ),
        Work(
            "sample_profiles",
            after=("simulate_impacts",),
            serial={"histories": number * voxels, "chosen": sampling.training_profiles},
            memory={"histories": number * voxels},
            disk={"profile_times": profiles * times},
        ),
        farmed_axons("simulate_axons", profiles, every, _PROFILE_BLOCK, disk={"profile_times": profiles * times}),
        Work(
            "simulate_white_matter",
            after=("simulate_impacts",),
            serial={"profiles": voxels},
            farmed=axon_steps(voxels, 1),
            blocks=blocks_of(voxels, _VOXEL_BLOCK),
            longest=6.0,
            memory={"voxel_times": voxels * times},
            disk={"voxels": voxels},
        ),
        *(
            farmed_axons(
                f"simulate_{name}",
                variant,
                every,
                _PROFILE_BLOCK,
                disk={"profile_times": variant * times},
                program="simulate_variant",
                folder=name,
            )
            for name in ("other_sex", "other_criterion")
        ),
        farmed_axons("measure_noise_floor", floor, every, _FLOOR_BLOCK),
        Work(
            "verify_axon",
            after=("map_fibre_orientation", "simulate_impacts"),
            serial={
                "station_steps": 1000 * injury.length_um / injury.dx_nm * times / injury.dt_ms,
                "elements": elements,
            },
            memory={"elements": elements},
        ),
        Work(
            "map_injury",
            after=("simulate_impacts", "train_surrogate", "simulate_white_matter"),
            serial={"voxels": voxels},
            threads=2,
            memory={"voxels": voxels},
            disk={"voxels": voxels},
            network=True,
        ),
        Work(
            "assess_white_matter",
            after=("map_injury", "simulate_white_matter", "simulate_impacts", "map_fibre_orientation"),
            serial={"voxels": voxels},
            memory={"voxels": voxels},
        ),
        Work(
            "write_maps",
            after=("simulate_white_matter", "map_injury", "compare_sexes", "simulate_impacts"),
            serial={"voxels": voxels},
            memory={"voxels": voxels},
            disk={"voxels": voxels},
        ),
        Work(
            "measure_sensitivity",
            after=("map_fibre_orientation", "simulate_impacts", "train_surrogate"),
            serial={"element_steps": _MECHANICS * mechanics + times * fine, "voxels": _MECHANICS * voxels},
            memory={"voxels": voxels, "elements": max(elements, fine**0.75)},
            network=True,
        ),
        Work(
            "compare_criteria",
            after=("simulate_axons", "simulate_other_criterion", "verify_axon"),
            serial={
                "updates": 2 * updates(training, variant_training),
                "gaussian": 2 * gaussian_work(axon.surrogate.evaluation, [variant_training]),
            },
            memory={"profiles": variant, "gaussian": variant_training**2},
            resumes=True,
            network=True,
        ),
        Work(
            "compare_sexes",
            after=("simulate_axons", "simulate_other_sex", "simulate_impacts", "map_fibre_orientation"),
            serial={"updates": updates(training, 2 * variant_training), "voxels": voxels},
            memory={"voxels": voxels},
            disk={"voxels": voxels, "profile_times": 2 * variant * times},
            resumes=True,
            network=True,
        ),
        Work(
            "compare_samplings",
            after=("simulate_impacts", "simulate_axons", "simulate_white_matter"),
            serial={
                "updates": _WAYS * updates(training, sum(sizes), comparison.sampling_members),
                **axon_steps(_WAYS * max(sizes, default=0), 1),
                "judged": _WAYS * len(sizes) * voxels,
            },
            memory={"histories": number * voxels},
            resumes=True,
            network=True,
        ),
        Work(
            "draw_axon",
            after=(
                "simulate_impacts",
                "map_fibre_orientation",
                "simulate_axons",
                "map_injury",
                "verify_axon",
                "evaluate_surrogate",
                "measure_noise_floor",
                "simulate_white_matter",
                "assess_white_matter",
                "measure_sensitivity",
                "compare_criteria",
                "compare_sexes",
                "compare_samplings",
            ),
            serial={"voxels": voxels},
            memory={"voxels": voxels},
        ),
        *surrogate_works(
            axon,
            "simulate_axons",
            "measure_noise_floor",
            sampling.training_profiles,
            sampling.calibration_profiles,
            heldout,
        ),
    ]
