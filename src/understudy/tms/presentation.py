"""What the report says about the TMS study: question, what was run, published figures, captions, limits."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from understudy.report.goals import goals_for_programs, goals_in_short
from understudy.report.numbers import count, duration, is_number, percent
from understudy.report.wording import inside, listed
from understudy.tms.goals import NAMES, study_goals
from understudy.tms.study_sections import study_sections
from understudy.tms.thresholds import TARGET

# Found in the abstract of Aberra et al. 2023: R2 > 0.96 on the test set for all types; a squared correlation.
PUBLISHED_R2 = 0.96

_BRIEF = {"L23_PC": "L2/3", "L4_LBC": "L4", "L5_TTPC": "L5"}
_ROLES = {"training": "training", "calibration": "calibration", "heldout": "held out", "second_head": "second head"}
_ENGINES = {"batched": "batched cable solver", "neuron": "NEURON with equivalent axial currents"}

LABELS = {
    TARGET: "Activation threshold",
    "linear_polarisation": "linear polarisation",
    "gradient_boosting": "gradient boosting",
}

LIMITS = [
    "Most cells are synthetic: grown from statistics of reconstructions, with channels and densities of rat cells "
    "scaled to the adult human. A gate on thresholds accepts them, so these are typical by construction.",
    "Absolute thresholds are too high, as in the published models: simulated 175–350 V/m against 50–70 V/m of "
    "macroscopic field at motor threshold in experiments. Compare thresholds with each other alone.",
    "The head is a template of voxels with isotropic conductivities; the second head is the same template warped, not "
    "another person. Fields at tissue boundaries carry the error of the grid.",
    "Cells are isolated, at rest and free of noise: no synapses, no background activity, no calcium dynamics.",
    "A threshold asks for upward crossings of 0 mV in at least three compartments within a fixed window; it does not "
    "ask for a spike that propagates to a target.",
    "The field is the macroscopic one: what cells and extracellular space do to it at their own scale is not modelled. "
    "Its time course is the same everywhere.",
    "Parts of an arbour outside grey and white matter carry on the field of the last place inside; positions where too "
    "much of a cell lies outside are refused and counted, which favours cells away from the edges of the cortex.",
    "The published network was built anew from its public code's defaults; its final settings and weights are not "
    "known here, and cells, head and placements differ from the published ones.",
    "Intervals are calibrated for cases like the calibration set, with the headline pulse; they promise nothing for "
    "another head, pulse or cell.",
]

# Rules by what they compute, for the table of costs.
COST_GROUPS = [
    {"title": "Cells: mechanisms, growth and gate", "rules": ["compile_mechanisms", "build_cells"]},
    {"title": "Placements and fields in the heads", "rules": ["place_coils", "simulate_fields", "place_cells"]},
    {"title": "Thresholds: all sets, and the noise floor", "rules": ["simulate_thresholds", "measure_threshold_noise"]},
    {
        "title": "Surrogate: training, folds, learning curve, evaluation, maps",
        "rules": [
            "train_surrogate",
            "cross_validate_surrogate",
            "measure_learning_curve",
            "evaluate_surrogate",
            "map_thresholds",
            "write_surface_maps",
        ],
    },
    {
        "title": "Comparisons: direction maps, published networks, baselines, left-out cells",
        "rules": ["map_directions", "compare_models"],
    },
    {"title": "Verification", "rules": ["verify_tms"]},
]


def _plural(number: Any, word: str) -> str:
    return f"{count(number)} {word}{'' if number == 1 else 's'}"


def _pulse(name: str) -> str:
    return name.replace("_", " ").replace("us", " µs") if name.endswith("us") else name.replace("_", " ")


def what_was_run(facts: Mapping[str, Any], attributes: Mapping[str, Any]) -> list[list[str]]:
    """Label and words of each line of the list of facts."""
    synthetic = [cell for cell in facts["cells"] if cell["source"] == "synthetic"]
    real = [cell for cell in facts["cells"] if cell["source"] != "synthetic"]
    types = [
        f"{sum(cell['type'] == kind for cell in facts['cells'])} {words}"
        for kind, words in NAMES.items()
        if any(cell["type"] == kind for cell in facts["cells"])
    ]
    rejected = sum(cell["rejected"] for cell in synthetic)
    drawn, refused = (sum(facts["positions"][key].values()) for key in ("drawn", "refused"))
    headline, *others = facts["pulses"]
    trained = [_pulse(name) for name in others if name != facts["unseen_pulse_name"]]
    number = facts["thresholds"]
    lines = [
        [
            "Cells",
            f"{count(len(synthetic))} synthetic ({count(rejected)} candidates rejected by the gate), "
            f"{count(len(real))} reconstructed: {listed(types)}",
        ],
        [
            "Patches and placements",
            "; ".join(
                f"{words} {_plural(found['patches'], 'patch').replace('patchs', 'patches')} with "
                f"{_plural(found['placements'], 'placement')}"
                for role, words in _ROLES.items()
                if (found := facts["placements"].get(role))
            )
            + "; neither is shared between roles",
        ],
        [
            "Positions",
            f"{count(drawn)} drawn, {count(refused)} ({percent(refused / drawn if drawn else None)}) refused because "
            "too much of the cell lay outside tissue",
        ],
        [
            "Thresholds",
            f"{count(sum(number.values()))}: "
            + ", ".join(f"{count(value)} {words}" for words, value in number.items())
            + f"; {count(facts['not_found'])} without one up to the limit",
        ],
        [
            "Pulses",
            f"{_pulse(headline)} (headline)"
            + (f", {', '.join(trained)} (trained on)" if trained else "")
            + (f", {facts['unseen_pulse']} (never trained on)" if facts["unseen_pulse_name"] else ""),
        ],
        [
            "Engine",
            f"{_ENGINES.get(str(attributes.get('engine')), attributes.get('engine'))}, time step "
            f"{attributes.get('dt_us', float('nan')):g} µs"
            + (
                f", {duration(facts['cpu_s_per_threshold'])} of one core for a threshold with all work of the stage"
                if is_number(facts["cpu_s_per_threshold"])
                else ""
            ),
        ],
    ]
    return lines


def _lead(facts: Mapping[str, Any], results: Mapping[str, Any], drawn: Sequence[str]) -> dict[str, str] | None:
    if "lead" not in drawn:
        return None
    deployment = results.get("deployment") or {}
    took = ""
    if is_number(deployment.get("seconds")):
        took = f" {count(deployment.get('n'))} predictions took {duration(deployment['seconds'])}."
    own, engine = (
        deployment.get("seconds_per_case"),
        inside(results.get("verification"), "timing", "engine_s_per_threshold"),
    )
    if took and is_number(own) and is_number(engine) and own > 0:
        took += f" Our own engine, on one core, would take {duration(engine * deployment['n'])} (extrapolated)."
    return {
        "file": "lead.png",
        "title": "Thresholds over a hemisphere, and how good they are",
        "caption": "Above: median threshold over clones and azimuths, predicted at each vertex of the cortex under one "
        f"coil (circle and handle).{took} Below: predicted against simulated thresholds on held-out patches and coil "
        "placements, headline pulse, one network for all cells.",
        "alt": "Three maps of one hemisphere coloured by activation threshold, lowest under the coil; below each, "
        "points of predicted against simulated thresholds along the line of identity.",
    }


def _direct_costs(results: Mapping[str, Any]) -> dict[str, dict[str, Any] | None]:
    """The two costs of a simulated threshold: the engine's own, which the goals speak of, and that of the ground truth.

    The engine was timed beside NEURON, on the pulse of the maps; the mean of the ground truth holds all the work of
    its stage.
    """
    engine = inside(results.get("verification"), "timing", "engine_s_per_threshold")
    farmed = inside(results.get("deployment"), "seconds_per_case_direct")
    if not is_number(engine):
        return {"direct_cost": None, "other_direct_cost": None}
    return {
        "direct_cost": {
            "seconds_per_case": engine,
            "includes": "our engine alone, timed on one core on given potentials from the published start",
        },
        "other_direct_cost": {
            "seconds_per_case": farmed,
            "includes": "the mean of the ground truth with all work of that stage, from an estimated start",
        },
    }


def presentation(
    facts: Mapping[str, Any], attributes: Mapping[str, Any], results: Mapping[str, Any], drawn: Sequence[str]
) -> dict[str, Any]:
    """The content of ``figures/presentation.json``.

    Parameters
    ----------
    facts : ``cells`` (list of ``name``, ``type``, ``source``, ``rejected``, ``gate`` (minimum, median, maximum)
        and ``gate_missing``), ``per_cell`` (name -> thresholds), ``placements`` (role -> ``patches``,
        ``placements``), ``positions`` (``drawn``, ``refused``: type -> number), ``thresholds`` (words -> number),
        ``not_found``, ``pulses``, ``unseen_pulse`` (in words), ``unseen_pulse_name``, ``unseen`` (type -> errors with
        that pulse), ``initiation`` (type -> shares) and ``cpu_s_per_threshold``.
    attributes : attributes of the ground-truth file.
    results : contents of the result files by name, see `understudy.tms.study_sections.study_sections`.
    drawn : names of the figures that show what they are named for.
    """
    goals = study_goals(results)
    notes = []
    if not any(cell["source"] != "synthetic" for cell in facts["cells"]):
        notes.append("This run has no reconstructed cell: nothing is said about real morphologies.")
    return {
        "title": "Activation thresholds of cortical neurons under TMS",
        "question": "How well does one network that knows the linear polarisation of axon terminals stand in for cable "
        "simulations of cortical neurons in the electric field of a TMS coil?",
        "what_was_run": what_was_run(facts, attributes),
        "labels": LABELS,
        "target_groups": [{"title": "Activation threshold at the soma", "targets": [TARGET], "headline": True}],
        "published": {TARGET: {"r2": PUBLISHED_R2}},
        "published_point": None,
        "other_cases": "cases in the second head, and of the pulse that nothing is trained on",
        "lead": _lead(facts, results, drawn),
        "goals": goals_for_programs(goals),
        "in_short": goals_in_short(goals, _BRIEF),
        "sections": study_sections(goals, facts, results, drawn),
        "cost_groups": COST_GROUPS,
        **_direct_costs(results),
        "figures": [],
        "limits": LIMITS,
        "notes": notes,
    }
