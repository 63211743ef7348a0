"""What the report says about the axon study: question, what was run, published figures, captions, limits."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from understudy.axon.figures import target_groups, target_labels
from understudy.axon.goals import BRIEF, direct_time, study_goals
from understudy.axon.study_sections import BASELINE_NAMES, study_sections
from understudy.report.goals import goals_for_programs, goals_in_short
from understudy.report.numbers import cores, count, duration, is_number

# Found in the abstract of Zhang et al. 2025: an independent worst-case set of 75 profiles of one held-out impact, one
# layout; N = 2000 was the smallest training set with R2 above 0.90 in cross-validation.
PUBLISHED_R2 = (0.91, 0.98)
PUBLISHED_NRMSE = (0.027, 0.050)
PUBLISHED_POINT = {"n": 2000, "r2": 0.90, "label": "Zhang et al. 2025: R2 > 0.90 from N = 2,000"}
REFERENCE_TARGETS = ("microtubule_strain", "axolemma_strain", "tau_failed", "neurofilament_failed")

LIMITS = [
    "The axon is discretised lines and links, rebuilt from published facts; it is not the published finite-element "
    "axon, and its absolute numbers are illustrative.",
    "The skull is tied to the brain, which is stiffer than fluid; the head is the MNI152 template, scaled.",
    "Impacts are drawn from published distributions of head kinematics; they are not records of one athlete.",
    "One fibre direction per voxel; crossing fibres are not seen. Neighbouring voxels inside one element share its "
    "deformation and are not independent.",
    "Compression keeps its sign and buckling is not modelled; broken links do not bind again.",
    "Direct simulation takes minutes or hours here and years as published above all because the axons differ: the two "
    "times are of different models.",
    "The female axon differs from the male one in radius and number of microtubules alone, both of them estimates.",
]


# Rules by what they compute, for the table of costs.
COST_GROUPS = [
    {"title": "Brain mechanics", "rules": ["simulate_impacts"]},
    {"title": "Fibre field and choice of profiles", "rules": ["map_fibre_orientation", "sample_profiles"]},
    {
        "title": "Injury model: training, calibration and held-out profiles, all layouts",
        "rules": ["simulate_axons", "measure_noise_floor"],
    },
    {"title": "Injury model: the whole white matter, one layout", "rules": ["simulate_white_matter"]},
    {
        "title": "Injury model: the other sex and the other tau criterion",
        "rules": ["simulate_other_sex", "simulate_other_criterion"],
    },
    {
        "title": "Surrogate: training, folds, learning curve, evaluation, maps",
        "rules": [
            "train_surrogate",
            "cross_validate_surrogate",
            "measure_learning_curve",
            "evaluate_surrogate",
            "map_injury",
        ],
    },
    {
        "title": "Comparisons: criteria, sexes, ways of sampling, mechanics",
        "rules": ["compare_criteria", "compare_sexes", "compare_samplings", "measure_sensitivity"],
    },
    {"title": "Verification", "rules": ["verify_axon"]},
]


def lead_times(cost: Mapping[str, Any] | None, deployment: Mapping[str, Any] | None) -> tuple[str, str]:
    """Times of direct simulation and surrogate in words, for the headings of the lead figure; two lines at most."""
    wall, processor, ranks, whole = direct_time(cost)
    direct = ""
    if wall is not None:
        about = "" if whole else "about "
        direct = f"{about}{duration(wall)} on {cores(ranks)}\n({processor / 3600:.2g} core hours)"
    seconds = (deployment or {}).get("seconds")
    surrogate = ""
    if is_number(seconds):
        device = str((deployment or {}).get("device", "cpu"))
        surrogate = f"{duration(seconds)} on {'one core' if device == 'cpu' else device}"
    return direct, surrogate


def _lead(facts: Mapping[str, Any], results: Mapping[str, Any], drawn: Sequence[str]) -> dict[str, str] | None:
    if "lead" not in drawn:
        return None
    direct, surrogate = (text.replace("\n", " ") for text in lead_times(results.get("cost"), results.get("deployment")))
    took = f" Direct simulation took {direct}, the surrogate {surrogate}." if direct and surrogate else ""
    return {
        "file": "lead.png",
        "title": "The same white matter twice",
        "caption": f"Injury of {count(facts['voxels'])} white-matter voxels under {facts['impact']}, which nothing was "
        f"fitted to (peak {facts['peak_velocity']:.1f} rad/s), reference gap layout: simulated directly voxel by "
        f"voxel, predicted by the surrogate, and surrogate less direct.{took} Axial plane through the most affected "
        "white matter.",
        "alt": "Axial slices of the brain for four outputs: direct simulation, surrogate, and their difference.",
    }


def presentation(
    facts: Mapping[str, Any],
    counts: Mapping[str, int],
    attributes: Mapping[str, Any],
    results: Mapping[str, Any],
    drawn: Sequence[str],
) -> dict[str, Any]:
    """The content of ``figures/presentation.json``.

    Parameters
    ----------
    facts : numbers of the mechanics stage: impacts by role, voxels, elements, coverage and source of the fibre field;
        and those of `understudy.axon.study_sections.study_sections`.
    counts : profiles by set.
    attributes : attributes of the ground-truth file.
    results : contents of the result files by name; what a run has not is None.
    drawn : names of the figures that show what they are named for.
    """
    goals = study_goals(results, BASELINE_NAMES)
    impacts = facts["impacts"]
    synthetic = facts["field_source"] == "synthetic"
    field = (
        "synthetic, from the anatomy alone (no tractogram was given)"
        if synthetic
        else f"tractogram; {facts['covered']:.0%} of voxels covered by streamlines, the rest filled by tensor diffusion"
    )
    layouts = facts["layouts"]
    notes = []
    if synthetic:
        notes.append(
            "The fibre field is synthetic: directions follow from the shape of the white matter. Maps show the method, "
            "not anatomy."
        )
    return {
        "title": "Axonal injury from fibre strain",
        "question": "How well does a network that reads a fibre's strain history stand in for a discretised axon: peak "
        "microtubule and axolemma strain, failed tau and failed neurofilament side-arms?",
        "what_was_run": [
            [
                "Head impacts",
                f"{impacts['training']} training, {impacts['calibration']} calibration, "
                f"{impacts['heldout']} held out (set aside first, stratified by severity and axis)",
            ],
            [
                "White matter",
                f"{count(facts['voxels'])} voxels of {facts['voxel_mm']:g} mm in {count(facts['elements'])} elements",
            ],
            ["Fibre field", field],
            [
                "Profiles",
                f"{count(counts['training'])} training ({attributes['sampling']}), "
                f"{count(counts['calibration'])} calibration, {count(counts['random'])} random held out, "
                f"{count(counts['worst_case'])} worst case",
            ],
            ["Axon layouts", f"the reference layout, and {layouts} random gap layouts for mean and spread"],
            ["Worst-case set", f"chosen from inputs alone; SHA-256 {attributes['worst_case_sha256'][:16]}…"],
        ],
        "labels": target_labels(),
        "target_groups": target_groups(),
        "published": {name: {"r2": list(PUBLISHED_R2), "nrmse": list(PUBLISHED_NRMSE)} for name in REFERENCE_TARGETS},
        "published_point": PUBLISHED_POINT,
        "other_cases": "cases chosen, from their inputs alone, to be as unlike the training data as possible",
        "lead": _lead(facts, results, drawn),
        "goals": goals_for_programs(goals),
        "in_short": goals_in_short(goals, BRIEF),
        "sections": study_sections(goals, facts, results, drawn),
        "cost_groups": COST_GROUPS,
        "figures": [
            {
                "file": "impacts.png",
                "title": "Head impacts",
                "caption": "Angular velocity of every impact in head-fixed axes. Held-out impacts were set aside "
                "before anything was sampled, scaled or fitted.",
            },
            {
                "file": "histories.png",
                "title": "Fibre strain histories",
                "caption": "Examples of what the network reads, spread over the severities of each set. The worst case "
                "lies farthest from all training profiles.",
            },
            {
                "file": "injury_maps.png",
                "section": "use",
                "title": "Injury over the white matter",
                "caption": f"Layout mean predicted by the surrogate on every white-matter voxel of {facts['impact']} "
                f"(held out, peak {facts['peak_velocity']:.1f} rad/s), through the most affected planes.",
            },
        ],
        "limits": LIMITS,
        "notes": notes,
    }
