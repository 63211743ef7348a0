"""What the calcium study was to reach, set before it was run, and what it measured."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from understudy.report.goals import GOAL, LEAST, MISSED, OPEN, Goal, Measured, judge
from understudy.report.numbers import MISSING, is_number, percent, quantity
from understudy.report.wording import counted, inside

CHANNELS = {
    "net4": "network, 4 unknowns",
    "net5": "network, 5 unknowns",
    "net6": "network, 6 unknowns",
    "one_state": "one-state closure, 4 unknowns",
    "two_state": "two-state closure, 5 unknowns",
    "waves_only": "network, 4 unknowns, waves only",
}
"""What stands for the receptors' equations, for people, in the order of tables; the unknowns are all that is stored
per node, those of the cable included."""

COMPACT, HEADLINE = "net4", "net5"
"""The network without memory, and the one that the goals of the whole hybrid are judged by."""

SPEED = (0.002, 0.0005)
RXD_SPEED, RXD_TRACE = (0.002, 0.001), (0.01, 0.005)
RADIUS_GOAL = 0.02
ORDER = (0.2, 0.1)
EXPECTED_ORDERS = {"space": 2, "time": 2, "fallback_time": 1}
MASS = (1e-12, 1e-13)
OPEN_RATIO = (0.5, 0.2)
CLOSURE_RATIO = (2.0, 1.0)
HELDOUT_MEDIAN, HELDOUT_MAX = (0.01, 0.003), (0.03, 0.01)
LEAST_CASES, LEAST_CONDITIONED = 30, 10
TRACE = (0.02, 0.005)
AGREEMENT, SHIFT_UM = (0.97, 0.99), (0.002, 0.001)
LEAST_RUNS = 100
STEPS = (0.01, 0.003)
RECOVERY = (0.10, 0.03)
RISE = (0.2, 0.9)
INVERSE = (0.05, 0.02)
LEAST_VALUES, LEAST_SEEDS = 8, 3
SPIKE_TIME_MS, SPIKE_PEAK_MV = 0.05, 1.0
RXD_ONE, RXD_BATCH = (15.0, 30.0), (40.0, 100.0)
COST = 0.5

PHYSICS, CLOSED, NEURAL, SPEEDS = "The reference", "Networks in the cable", "Channels and designs", "Cost"
NONE = "none"

Asked = tuple[float | None, float | None]


def fine(value: Any) -> str:
    """A small fraction in per cent: as many decimals as show two digits, two at least."""
    if not is_number(value):
        return MISSING
    digits = next((digits for digits in (2, 3, 4) if round(100 * abs(value), digits) >= 2 * 10.0**-digits), 4)
    return percent(value, 2 if abs(value) < 1e-6 else digits)


def ratio(value: Any) -> str:
    return f"{value:.2g}" if is_number(value) and value < 100 else quantity(value)


def times(value: Any) -> str:
    return f"{quantity(float(f'{value:.3g}'))}×" if is_number(value) else MISSING


def _value(output: str, value: Any, asked: Asked, show: Callable[[Any], str], above: bool, note: str = "") -> Measured:
    own = value if is_number(value) else None
    return Measured(output, own, show(own), judge(own, *asked, above), note, *asked)


def _goal(quantity: str, short: str, part: str, words: tuple[str, str, str], measured: Sequence[Measured]) -> Goal:
    return Goal(quantity, short, part, *words, tuple(measured))


def _benchmarks(results: Mapping[str, Any], *keys: str) -> Any:
    return inside(results.get("verification"), "benchmarks", *keys)


def hybrid(results: Mapping[str, Any], channel: str, *keys: str) -> Any:
    """A value of one channel in ``hybrid.json``; None where it was not measured."""
    return inside(results.get("hybrid"), "channels", channel, *keys)


def seeds_of(results: Mapping[str, Any], channel: str, *keys: str) -> list[float]:
    """A value of a network and of those of its other seeds, where measured."""
    names = [channel, *(f"{channel}_{n}" for n in range(1, 20))]
    return [value for name in names if is_number(value := hybrid(results, name, *keys))]


def _magnitude(value: Any) -> float | None:
    return abs(value) if is_number(value) else None


def open_error_ratio(results: Mapping[str, Any], channel: str = COMPACT) -> float | None:
    """1 - R2 of the open probability in closed loop over that of the one-state closure."""
    own, closure = (hybrid(results, name, "front", "r2_open") for name in (channel, "one_state"))
    return (1 - own) / (1 - closure) if is_number(own) and is_number(closure) and closure < 1 else None


def closure_ratio(results: Mapping[str, Any]) -> float | None:
    """NRMSE of the open probability with the 5-unknown network over that with the two-state closure."""
    own, closure = (hybrid(results, name, "front", "nrmse_open") for name in (HEADLINE, "two_state"))
    return own / closure if is_number(own) and is_number(closure) and closure > 0 else None


def worst_step_error(results: Mapping[str, Any], channel: str) -> float | None:
    """Largest magnitude of the error of speed over the time steps."""
    errors = [abs(value) for value in hybrid(results, channel, "steps", "error") or [] if is_number(value)]
    return max(errors, default=None)


def _reference(results: Mapping[str, Any]) -> list[Goal]:
    front = _benchmarks(results, "front") or {}
    spacings = ("0.5", "0.25", "0.125")
    orders = _benchmarks(results, "orders") or {}
    words = {"space": "space", "time": "time", "fallback_time": "time, fallback"}
    return [
        _goal("Speed of the reference front against independent solvers (LSODA, NEURON rxd)", "front speed", PHYSICS,
              (NONE, "0.2 %", "0.05 %"),
              [_value(f"{at} µm", _magnitude(inside(front, at, "error")), SPEED, fine, False, f"spacing {at} µm")
               for at in spacings]),
        _goal("The same equations in NEURON rxd", "agreement with NEURON rxd", PHYSICS,
              (NONE, "speed 0.2 %, trace 1 %", "0.1 %, 0.5 %"),
              [_value("speed", _magnitude(_benchmarks(results, "rxd", "speed_error")), RXD_SPEED, fine, False, "speed"),
               _value("trace", _benchmarks(results, "rxd", "nrmse"), RXD_TRACE, fine, False, "trace, NRMSE")]),
        _goal("Threshold ER radius in two dimensions, worst", "published threshold radii", PHYSICS,
              ("Breit & Queisser 2018", "5 % or 0.002 µm", "2 %"), [_radius(results, 0.1), _radius(results, 0.5)]),
        _goal("Observed orders, difference from theory", "observed orders", PHYSICS,
              (NONE, "0.2", "0.1"),
              [_value(words[key], _magnitude(value - order if is_number(value := orders.get(key)) else None), ORDER,
                      ratio, False, f"{words[key]}: {quantity(orders.get(key))} of {order}")
               for key, order in EXPECTED_ORDERS.items()]),
        _goal("Drift of all calcium in a closed cell with a wave", "drift of calcium", PHYSICS,
              (NONE, "10⁻¹²", "10⁻¹³"),
              [_value("", _magnitude(_benchmarks(results, "mass_drift")), MASS, quantity, False)]),
    ]  # fmt: skip


def _radius(results: Mapping[str, Any], radius_um: float) -> Measured:
    """The worst threshold of one radius of the dendrite: at least asked is the absolute or relative bound."""
    own = [
        entry
        for entry in _benchmarks(results, "radii") or []
        if entry.get("radius_um") == radius_um and is_number(entry.get("found_um"))
    ]
    label = f"radius {radius_um:g} µm"
    if not own:
        return Measured(label, None, MISSING, OPEN, label, goal=RADIUS_GOAL)

    def error(entry: Mapping[str, Any]) -> float:
        return abs(entry["found_um"] / entry["published_um"] - 1)

    worst = max(own, key=error)
    allowed = all(abs(entry["found_um"] - entry["published_um"]) <= entry["allowed_um"] + 1e-12 for entry in own)
    reached = MISSED if not allowed else GOAL if error(worst) <= RADIUS_GOAL else LEAST
    note = f"{label}: {worst['found_um']:.4f} for {worst['published_um']:g} µm"
    return Measured(label, error(worst), percent(error(worst)), reached, note, None, RADIUS_GOAL)


def _in_the_cable(results: Mapping[str, Any]) -> list[Goal]:
    share, closure = open_error_ratio(results), closure_ratio(results)
    seeds = seeds_of(results, COMPACT, "front", "r2_open")
    spread = f"; R² {min(seeds):.4f}–{max(seeds):.4f} over {len(seeds)} seeds" if len(seeds) > 1 else ""
    own, other = (hybrid(results, name, "front", "nrmse_open") for name in (HEADLINE, "two_state"))
    pair = f"NRMSE {fine(own)}, closure {fine(other)}" + ("; the closure wins" if closure and closure > 1 else "")
    steps = {name: worst_step_error(results, name) for name in (HEADLINE, COMPACT)}
    return [
        _goal("4 unknowns: 1 − R² of the open probability over the one-state closure's",
              "open probability with 4 unknowns", CLOSED, (NONE, "½", "⅕"),
              [_value("", share, OPEN_RATIO, ratio, False,
                      f"R² {quantity(hybrid(results, COMPACT, 'front', 'r2_open'))}, closure "
                      f"{quantity(hybrid(results, 'one_state', 'front', 'r2_open'))}{spread}")]),
        _goal("5 unknowns: error of the open probability over the two-state closure's",
              "5 unknowns against the closure", CLOSED, (NONE, "2×", "1×"),
              [_value("", closure, CLOSURE_RATIO, times, False, pair)]),
        _heldout(results),
        _goal("Calcium traces at three sites, unaligned NRMSE", "calcium traces", CLOSED, (NONE, "2 %", "0.5 %"),
              [_value("front", hybrid(results, HEADLINE, "front", "nrmse_u"), TRACE, fine, False, "front"),
               _value("held out, median", hybrid(results, HEADLINE, "heldout", "nrmse_u_median"), TRACE, fine, False,
                      "held out, median"),
               _value("held out, maximum", hybrid(results, HEADLINE, "heldout", "nrmse_u_max"), TRACE, fine, False,
                      "held out, maximum")]),
        _thresholds(results),
        _goal("Speed of hybrid against equations at each step, worst", "speed at each step", CLOSED,
              (NONE, "1 %", "0.3 %"),
              [_value("", steps[HEADLINE], STEPS, fine, False, f"4 unknowns: {fine(steps[COMPACT])}")]),
        _bounds(results),
        _recovery(results),
    ]  # fmt: skip


def _recovery(results: Mapping[str, Any]) -> Goal:
    """A curve that does not rise from below 0.2 to above 0.9 with the equations cannot be judged."""
    error = {name: hybrid(results, name, "recovery", "nrmse") for name in (HEADLINE, "one_state", "two_state")}
    note = f"one-state closure {fine(error['one_state'])}, two-state {fine(error['two_state'])}"
    value = _value("", error[HEADLINE], RECOVERY, fine, False, note)
    curve = [v for v in hybrid(results, HEADLINE, "recovery", "expected") or [] if is_number(v)]
    if value.value is not None and not (curve and min(curve) < RISE[0] and max(curve) > RISE[1]):
        note += "; the curve does not rise over these gaps"
        value = Measured("", value.value, value.text, OPEN, note, *RECOVERY)
    return _goal("Recovery curve, NRMSE", "recovery curve", CLOSED, (NONE, "10 %", "3 %"), [value])


def _heldout(results: Mapping[str, Any]) -> Goal:
    """Too few sets, or too few preconditioned ones, leave the goal open; a wave in one alone misses the maximum."""
    found = hybrid(results, HEADLINE, "heldout") or {}
    other = hybrid(results, COMPACT, "heldout") or {}
    number, conditioned, missed = (found.get(key) for key in ("n", "n_conditioned", "missed"))
    enough = is_number(number) and number >= LEAST_CASES and (conditioned or 0) >= LEAST_CONDITIONED
    measured = []
    for key, words, asked in (
        ("speed_median", "median", HELDOUT_MEDIAN),
        ("speed_max", "maximum", HELDOUT_MAX),
    ):
        value = _value(words, found.get(key), asked, fine, False, f"{words}; 4 unknowns: {fine(other.get(key))}")
        reached, note = value.reached, value.note
        if key == "speed_max" and missed:
            reached, note = MISSED, f"{note}; in {missed} a wave in one of the two alone"
        if value.value is not None and not enough:
            reached = OPEN
            note += f"; {number} sets of {LEAST_CASES}, {conditioned or 0} of {LEAST_CONDITIONED} preconditioned"
        measured.append(Measured(words, value.value, value.text, reached, note, *asked))
    return _goal("Speed on held-out parameter sets", "speed on held-out sets", CLOSED, (NONE, "1 %, 3 %", "0.3 %, 1 %"),
                 measured)  # fmt: skip


def _thresholds(results: Mapping[str, Any]) -> Goal:
    found = hybrid(results, HEADLINE, "threshold") or {}
    runs = found.get("runs")
    agreement = _value(
        "agreement", found.get("agreement"), AGREEMENT, percent, True, f"same outcome in {quantity(runs)} runs"
    )
    if agreement.value is not None and not (is_number(runs) and runs >= LEAST_RUNS):
        agreement = Measured(
            "agreement", agreement.value, agreement.text, OPEN, f"{runs} runs of {LEAST_RUNS}", *AGREEMENT
        )
    other = hybrid(results, COMPACT, "threshold", "shift_um")
    note = "shift of r*" + (f"; 4 unknowns: {abs(other):.4f} µm" if is_number(other) else "")
    shift = _value(
        "shift", _magnitude(found.get("shift_um")), SHIFT_UM,
        lambda value: f"{value:.4f} µm" if is_number(value) else MISSING, False, note,
    )  # fmt: skip
    return _goal("Wave or no wave near the threshold ER radius", "wave or no wave", CLOSED,
                 (NONE, "97 %, 0.002 µm", "99 %, 0.001 µm"), [agreement, shift])  # fmt: skip


def _bounds(results: Mapping[str, Any]) -> Goal:
    cases, violations = (_benchmarks(results, "bounds", key) for key in ("cases", "violations"))
    known = is_number(cases) and is_number(violations)
    text = f"{quantity(violations)} violations" if known else MISSING
    reached = OPEN if not known else MISSED if violations else GOAL
    note = f"in {quantity(cases)} cases; proof in the documentation of the rate network" if known else ""
    return _goal("Open probability in [0, 1], concentrations not negative, any weights and steps", "bounds", CLOSED,
                 (NONE, "always", "proof"),
                 [Measured("", violations if known else None, text, reached, note)])  # fmt: skip


def _neural(results: Mapping[str, Any]) -> list[Goal]:
    spikes = inside(results.get("channels"), "spikes", "both") or {}
    return [
        _goal("Spikes of a Hodgkin-Huxley cable, both channels by networks", "spikes", NEURAL,
              (NONE, "0.05 ms, 1 mV", "0.05 ms, 1 mV"),
              [_value("time", spikes.get("time_ms"), (SPIKE_TIME_MS, None),
                      lambda value: f"{value:.3g} ms" if is_number(value) else MISSING, False, "largest error of time"),
               _value("peak", spikes.get("peak_mV"), (SPIKE_PEAK_MV, None),
                      lambda value: f"{value:.2g} mV" if is_number(value) else MISSING, False,
                      "largest error of peak")]),
        knobs(results),
        _inverse(results),
    ]  # fmt: skip


def knobs(results: Mapping[str, Any]) -> Goal:
    """A knob that passes with too few values or seeds is not judged: one seed has no spread."""
    measured = []
    found = {entry["outcome"]: entry for entry in inside(results.get("design"), "knobs") or []}
    for outcome in ("amplitude", "duration", "threshold"):
        entry = found.get(outcome) or {}
        value = _magnitude(entry.get("spearman"))
        number, seeds = len(entry.get("values") or []), len(entry.get("outcomes") or [])
        note = f"{outcome}: range {times(entry.get('span'))}, {counted(seeds, 'seed')}, {counted(number, 'value')}"
        reached = OPEN if value is None else GOAL if entry.get("passed") else MISSED
        if reached == GOAL and (number < LEAST_VALUES or seeds < LEAST_SEEDS):
            reached = OPEN
        spread = entry.get("spread_over_half_step")
        if is_number(spread) and spread >= 1:
            note += f"; seeds differ by {ratio(spread)} of half a step"
        text = f"{value:.3g}" if value is not None else MISSING
        measured.append(Measured(outcome, value, text, reached, note if entry else outcome, 1.0, 1.0))
    return _goal("Knobs of designed channels, Spearman's coefficient", "knobs", NEURAL,
                 (NONE, "1 over 8 values, 2×, 3 seeds", "1"), measured)  # fmt: skip


def inverse_errors(results: Mapping[str, Any]) -> list[float]:
    """The larger relative error, of amplitude or duration, of each inverse design."""
    found = inside(results.get("design"), "inverse") or []
    pairs = [[abs(e) for e in entry.get("errors") or [] if is_number(e)] for entry in found]
    return [max(pair) for pair in pairs if pair]


def _inverse(results: Mapping[str, Any]) -> Goal:
    errors = inverse_errors(results)
    return _goal("Inverse design of amplitude and duration, worst", "inverse design", NEURAL,
                 (NONE, "5 %", "2 %"), [_value("", max(errors, default=None), INVERSE, percent, False,
                                               counted(len(errors), "target"))])  # fmt: skip


def _speeds(results: Mapping[str, Any]) -> list[Goal]:
    cost = {name: inside(results.get("hybrid"), "cost", name) or {} for name in ("net4", "net5", "net6")}
    rxd = _benchmarks(results, "rxd_time") or {}
    return [
        _goal("Our solver against NEURON rxd, one core", "speed over NEURON rxd", SPEEDS,
              (NONE, "15×, 40×", "30×, 100×"),
              [_value("one cable", rxd.get("one_cable"), RXD_ONE, times, True, "one cable"),
               _value("batch", rxd.get("per_cable_of_64"), RXD_BATCH, times, True, "per cable of a batch of 64")]),
        _goal("Time of a step, hybrid over equations, batched", "cost of the hybrid", SPEEDS,
              (NONE, "reported", "0.5"),
              [_value(CHANNELS[name], entry.get("median"), (None, COST), times, False, f"{name[3:]} unknowns")
               for name, entry in cost.items()]),
    ]  # fmt: skip


def study_goals(results: Mapping[str, Any]) -> list[Goal]:
    """All goals in the order of the table; ``results`` holds the contents of the run's result files by name."""
    return [*_reference(results), *_in_the_cable(results), *_neural(results), *_speeds(results)]
