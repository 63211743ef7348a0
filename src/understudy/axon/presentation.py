"""What the report says about the axon study: question, what was run, published figures, captions, limits."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from understudy.axon.figures import target_groups, target_labels

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
]


def presentation(
    facts: Mapping[str, Any], counts: Mapping[str, int], attributes: Mapping[str, Any], rate: Mapping[str, Any]
) -> dict[str, Any]:
    """The content of ``figures/presentation.json``.

    Parameters
    ----------
    facts : numbers of the mechanics stage: impacts by role, voxels, elements, coverage and source of the fibre field.
    counts : profiles by set.
    attributes : attributes of the ground-truth file.
    rate : rate dependence as `understudy.axon.injury_behaviour` measures it.
    """
    impacts = facts["impacts"]
    synthetic = facts["field_source"] == "synthetic"
    field = (
        "synthetic, from the anatomy alone (no tractogram was given)"
        if synthetic
        else f"tractogram; {facts['covered']:.0%} of voxels covered by streamlines, the rest filled by tensor diffusion"
    )
    layouts = int(attributes["layouts"])
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
                f"{facts['voxels']:,} voxels of {facts['voxel_mm']:g} mm in {facts['elements']:,} elements",
            ],
            ["Fibre field", field],
            [
                "Profiles",
                f"{counts['training']:,} training ({attributes['sampling']}), "
                f"{counts['calibration']:,} calibration, {counts['random']:,} random held out, "
                f"{counts['worst_case']:,} worst case",
            ],
            ["Axon layouts", f"the reference layout, and {layouts} random gap layouts for mean and spread"],
            ["Worst-case set", f"chosen from inputs alone; SHA-256 {attributes['worst_case_sha256'][:16]}…"],
        ],
        "labels": target_labels(),
        "target_groups": target_groups(),
        "published": {name: {"r2": list(PUBLISHED_R2), "nrmse": list(PUBLISHED_NRMSE)} for name in REFERENCE_TARGETS},
        "published_point": PUBLISHED_POINT,
        "figures": [
            {
                "file": "impacts.png",
                "title": "Head impacts",
                "caption": "Angular velocity of every impact in head-fixed "
                "axes. Held-out impacts were set aside before anything was sampled, scaled or fitted.",
            },
            {
                "file": "histories.png",
                "title": "Fibre strain histories",
                "caption": "Examples of what the network reads, "
                "spread over the severities of each set. The worst case lies farthest from all training profiles.",
            },
            {
                "file": "layout_spread.png",
                "title": "What the gap layout alone changes",
                "caption": "Each point is one strain "
                f"history run in {layouts} layouts that differ only in where the microtubules have their gaps. A "
                "network trained on one layout learns that layout; an application should use mean and spread.",
            },
            {
                "file": "rate_dependence.png",
                "title": "Rate dependence of the two tau criteria",
                "caption": f"Outputs at a fixed peak strain of {rate['peak_strain']:.0%} against strain rate. The "
                "headline criterion was chosen by agreement with published behaviour before any surrogate was trained.",
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
