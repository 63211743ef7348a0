"""What the report says about the calcium study: question, what was run, captions, limits."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from understudy.calcium import closures
from understudy.calcium.goals import CHANNELS, HEADLINE, fine, hybrid, study_goals
from understudy.calcium.study_sections import study_sections
from understudy.calcium.surrogate import TARGETS
from understudy.report.goals import goals_for_programs, goals_in_short
from understudy.report.numbers import count, is_number, percent
from understudy.report.wording import inside, listed, value_range

LABELS = {
    "log_opening_rate": "Opening rate, logarithm",
    "log_closing_rate": "Closing rate, logarithm",
    "log_inactivation_rate": "Inactivation rate, logarithm",
    "log_recovery_rate": "Recovery rate, logarithm",
    "log_calcium": "calcium alone",
    "gradient_boosting": "gradient boosting",
}

LIMITS = [
    "The published paper's tables, figures, architecture and errors could not be read: all comparisons are against the "
    "receptors' equations and against NEURON, none against the paper's numbers. The model is that of the public code "
    "behind the same line of research, taken as the paper's up to the choice of parameters.",
    "The reference front is a benchmark of up to 0.3 s: its cell does not return to rest, and after some seconds "
    "releases by itself. Paired stimuli are therefore judged on a cell with a stronger plasma membrane.",
    "Speeds depend on the spacing: 0.25 µm is 12 % slow against the limit, the same with equations and networks. "
    "Everything compares like with like at one spacing.",
    "In thick dendrites one dimension is wrong, whatever stands for the receptors; the section on validity says where.",
    "The receptors are deterministic and continuous along the ER: no single channels, no clusters, no noise.",
    "The networks know the kinetic constants that they were trained with. Other receptors need other data; other "
    "densities, radii, buffers and stimuli do not.",
    "The analytic closures are made by hand from known equations. Where they are known, they cost nothing to train and "
    "bound what a network can add.",
    "Observations are made from known channels with added noise and gaps; no experiment was fitted.",
]

# Rules by what they compute, for the table of costs.
COST_GROUPS = [
    {"title": "Courses of calcium and receptors: ground truth and noise floor", "rules": ["simulate_courses"]},
    {
        "title": "Surrogate: training, folds, learning curve, evaluation",
        "rules": [
            "train_surrogate",
            "cross_validate_surrogate",
            "measure_learning_curve",
            "evaluate_surrogate",
        ],
    },
    {"title": "Networks of receptors, trained on over courses", "rules": ["train_receptors"]},
    {"title": "Hybrid: closed loop, held-out sets, steps, thresholds, recovery", "rules": ["simulate_hybrid"]},
    {"title": "Other channels and observations", "rules": ["compare_channels"]},
    {"title": "Designed channels", "rules": ["design_waves"]},
    {"title": "Map of waves", "rules": ["map_waves"]},
    {"title": "Verification, NEURON rxd and two dimensions", "rules": ["verify_calcium"]},
]

_SPLITS = {"training": "training", "calibration": "calibration", "heldout": "held out"}


def what_was_run(facts: Mapping[str, Any], results: Mapping[str, Any]) -> list[list[str]]:
    """Label and words of each line of the list of facts."""
    lines = []
    counts = facts.get("courses") or {}
    if counts:
        shown = [
            f"{count(counts[split]['all'])} {words}" + (f" in {count(groups)} groups" if groups else "")
            for split, words in _SPLITS.items()
            if split in counts
            for groups in [counts[split].get("groups")]
        ]
        families = sorted(
            {name for own in counts.values() for name in own if name not in ("all", "groups")},
            key=lambda name: (name != "clamp", name),
        )
        lines.append(["Courses of calcium", f"{'; '.join(shown)}; {listed(families)}"])
    networks = inside(results.get("training"), "networks") or []
    if networks:
        weights = sorted({entry["weights"] for entry in networks if is_number(entry.get("weights"))})
        unknowns = sorted({entry["unknowns"] for entry in networks})
        seeds = len({entry.get("seed") for entry in networks})
        lines.append(
            [
                "Networks",
                f"{count(len(networks))} with {listed([str(n) for n in unknowns])} unknowns per node, "
                f"{count(seeds)} seed{'' if seeds == 1 else 's'}, {value_range(weights, count)} weights",
            ]
        )
    found = hybrid(results, HEADLINE, "heldout") or {}
    shift = hybrid(results, HEADLINE, "threshold") or {}
    steps = inside(hybrid(results, HEADLINE, "steps"), "step_s") or []
    gaps = inside(hybrid(results, HEADLINE, "recovery"), "gap_s") or []
    parts = [
        f"{count(found['n'])} held-out sets, {count(found.get('n_conditioned'))} preconditioned" if found else "",
        f"{count(shift.get('runs'))} runs near the threshold" if shift else "",
        f"{len(steps)} time steps" if steps else "",
        f"{len(gaps)} gaps between stimuli" if gaps else "",
    ]
    if any(parts):
        lines.append(["Hybrid", "; ".join(words for words in parts if words)])
    channels = results.get("channels") or {}
    if channels:
        members, seen = (len(channels.get(key) or []) for key in ("members", "observations"))
        lines.append(["Other channels", f"{members} with one architecture; {seen} from observations"])
    knobs = inside(results.get("design"), "knobs") or []
    if knobs:
        inverse = len(inside(results.get("design"), "inverse") or [])
        values = len(knobs[0]["values"])
        lines.append(["Designed channels", f"{len(knobs)} knobs with {values} values; {inverse} inverse design"
                      f"{'' if inverse == 1 else 's'}"])  # fmt: skip
    deployed = inside(results.get("deployment"), "n")
    if is_number(deployed):
        lines.append(["Map of waves", f"{count(deployed)} cables"])
    noise = facts.get("noise")
    if is_number(noise):
        lines.append(["Noise floor", f"calcium known to {percent(noise)}"])
    return lines


def _lead(results: Mapping[str, Any], drawn: Sequence[str]) -> dict[str, str] | None:
    if "lead" not in drawn:
        return None
    front = hybrid(results, HEADLINE, "front") or {}
    words = ""
    if is_number(front.get("speed")):
        words = (
            f" With 5 unknowns speed errs by {fine(abs(front['speed']))} and calcium by "
            f"{fine(front.get('nrmse_u'))} (NRMSE)."
        )
    return {
        "file": "lead.png",
        "title": "A calcium wave with a network for the receptors",
        "caption": "Above: cytosolic calcium over time and distance with the receptors' equations, with a network in "
        f"their place, and the difference.{words} Below left: open probability in closed loop; right: error of the "
        "front's speed at each time step, in the same scheme (shaded: the goal).",
        "alt": "Two kymographs that look alike with a bright oblique front, and their difference on a scale of its "
        "own; below, curves of open probability over time and of the error of speed over the time step.",
    }


def presentation(facts: Mapping[str, Any], results: Mapping[str, Any], drawn: Sequence[str]) -> dict[str, Any]:
    """The content of ``figures/presentation.json``.

    Parameters
    ----------
    facts : ``courses`` (split -> family, ``all`` and ``groups`` -> number) and ``noise``, each None where not known.
    results : contents of the result files by name, see `understudy.calcium.study_sections.study_sections`.
    drawn : names of the figures that show what they are named for.
    """
    goals = study_goals(results)
    notes = []
    if not results.get("hybrid"):
        notes.append("This run has no hybrid simulation: nothing is said about networks inside the cable.")
    missing = [CHANNELS[name] for name in ("net4", "net5", "net6") if not hybrid(results, name)]
    if results.get("hybrid") and missing:
        notes.append(f"Not simulated in this run: {listed(missing)}.")
    return {
        "title": "Calcium waves in dendrites with neural channels",
        "question": "Can a network stand for the ryanodine receptors inside the solver of a calcium wave, with fewer "
        "unknowns, any time step and no probability out of bounds, and where is an analytic closure enough?",
        "what_was_run": what_was_run(facts, results),
        "labels": LABELS,
        "target_groups": [
            {"title": "Rates of the receptors, logarithms of 1/s", "targets": list(TARGETS), "headline": True}
        ],
        "published": {},
        "published_point": None,
        "other_cases": "cases of the other evaluation sets",
        "lead": _lead(results, drawn),
        "goals": goals_for_programs(goals),
        "in_short": [*goals_in_short(goals, {}), *closures.in_words(results)],
        "sections": study_sections(goals, results, drawn),
        "cost_groups": COST_GROUPS,
        "figures": [],
        "limits": LIMITS,
        "notes": notes,
    }
