"""Calcium waves: reference cases, seconds against NEURON rxd, thresholds in one and two dimensions, where cables fail.

    python benchmarks/calcium.py [--quick] [--only front speed device thresholds validity recovery]

Both sides of a ratio run in this process on one thread, interleaved; CPU seconds are compared, so that neighbours on
the machine matter less (but for a GPU, whose work is no CPU time). Beside every ratio of schemes stands the error of
the wave's speed against the limit of small steps.
"""

from __future__ import annotations

import argparse
import statistics
import time
from dataclasses import replace

import numpy as np
import torch

from understudy.calcium.cable_dynamics import CableSimulation, simulate_cables
from understudy.calcium.cable_geometry import front_length_um, uniform_cable
from understudy.calcium.cable_verification import bump
from understudy.calcium.dendrite_verification import speeds
from understudy.calcium.device_cables import DeviceCables
from understudy.calcium.gated_channel import network_channel
from understudy.calcium.parameters import Parameters
from understudy.calcium.rate_network import RateNetwork
from understudy.calcium.rate_training import receptor_form
from understudy.calcium.reference_cases import (
    FRONT_SPEEDS,
    front_cable,
    front_parameters,
    front_run,
    front_speed,
    recovery_curve,
    recovery_parameters,
)
from understudy.calcium.stimulus import NO_STIMULUS, Stimulus
from understudy.calcium.threshold_radii import (
    PUBLISHED_COLUMNS,
    PUBLISHED_UM,
    allowed_um,
    cable_threshold_um,
    dendrite_threshold_um,
)
from understudy.calcium.waves import richardson, wave_speed, width_at_half_height_s
from understudy.errors import InputError


def cpu_seconds(work) -> float:
    """CPU seconds of a call."""
    start = time.process_time()
    work()
    return time.process_time() - start


def wall_seconds(work) -> float:
    """Seconds of a call by the clock."""
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


def front(quick: bool) -> None:
    """The front on four grids, the schemes at several steps, the numbers of the wave."""
    print("front, speed in um/s extrapolated from steps of 12.5 and 6.25 us, against independent solvers")
    print(f"{'dx um':>8} {'speed':>10} {'known':>10} {'difference %':>13}")
    for spacing_um in (0.5, 0.25, 0.125, 0.0625)[: 3 if quick else 4]:
        speed = richardson(front_speed(spacing_um, 1.25e-5), front_speed(spacing_um, 6.25e-6))
        known = FRONT_SPEEDS.get(spacing_um)
        words = f"{known:10.2f} {100 * (speed / known - 1):13.4f}" if known else f"{'-':>10} {'-':>13}"
        print(f"{spacing_um:8g} {speed:10.3f} {words}")
    exact = richardson(front_speed(0.25, 1.25e-5), front_speed(0.25, 6.25e-6))
    print("\nfront at dx 0.25 um: error of the speed in % at a step")
    print(f"{'dt us':>8} {'crank-nicolson':>15} {'two passes':>12} {'euler':>10}")
    for dt_s in (2e-4, 1e-4, 5e-5, 2.5e-5, 1.25e-5):
        errors = [
            100 * (front_speed(0.25, dt_s, **options) / exact - 1)
            for options in ({"passes": 1}, {"passes": 2}, {"scheme": "euler"})
        ]
        print(f"{1e6 * dt_s:8g} {errors[0]:15.3f} {errors[1]:12.3f} {errors[2]:10.3f}")
    cable = front_cable(0.25)
    run = front_run(0.25, 1.25e-5, 0.3, sites=[cable.nearest(40.0)], every=4)
    u, e, _, p = run.traces[0, :, 0].T
    width = 1e3 * width_at_half_height_s(run.time_s, u)
    print(f"\nat x = 40 um: peak {u.max():.3f} uM, width at half height {width:.2f} ms, ER down to {e.min():.1f} uM, "
          f"open probability up to {p.max():.4f}")  # fmt: skip


def after_the_front(quick: bool) -> None:
    """What the front's cell does in a minute: it does not rest."""
    print("\nthe front's cell for 60 s (32 um): ER calcium half-way, releases, last time 5 uM off rest")
    for spacing_um, dt_s in ((0.5, 1e-4), (0.25, 5e-5))[: 1 if quick else 2]:
        for own, words in ((front_parameters(), "front"), (recovery_parameters(), "recovery")):
            n = round(32.0 / spacing_um)
            cable = uniform_cable(32.0, 0.5, 0.25, n)
            run = simulate_cables([cable], own, Stimulus(), 60.0, dt_s, sites=[n // 2], every=round(1e-3 / dt_s),
                                  check_grid=False)  # fmt: skip
            u, e = run.traces[0, :, 0, 0], run.traces[0, :, 0, 1]
            rises = run.time_s[1:][(u[1:] > 0.5) & (u[:-1] <= 0.5)]
            rises = rises[np.diff(rises, prepend=-1.0) > 0.5]
            away = run.time_s[np.abs(e - own.rest_er_uM) > 5]
            later = e[run.time_s > 10]
            print(f"{words:9} dx {spacing_um:5g}: ER after 10 s {later.min():6.1f} to {later.max():6.1f} uM, releases "
                  f"at {', '.join(f'{t:.2f}' for t in rises)} s, last off rest {away[-1]:.1f} s")  # fmt: skip


def against_rxd(quick: bool) -> None:
    """Interleaved rounds on the front's cable: one cable, and 64 at a time per cable."""
    from understudy.calcium.rxd_reference import RxdCable, Setting, compare_with_rxd

    cells, duration_s, rounds = (128, 0.05, 3) if quick else (256, 0.08, 5)
    own = front_parameters()
    setting = Setting(64.0, 0.5, 0.25, cells, own)
    peer = RxdCable(setting)
    whole_s = 0.1 if cells > 128 else 0.13
    cable = uniform_cable(64.0, 0.5, 0.25, cells)
    initial = bump(cable, own)
    many = [replace(own, ryanodine_per_um2=3.0 + 0.01 * k) for k in range(64)]

    def ours(dt_s):
        return lambda: simulate_cables(
            [cable], own, NO_STIMULUS, duration_s, dt_s, initial_uM=initial, check_grid=False
        )

    def batch(dt_s):
        return lambda: simulate_cables(
            [cable] * 64, many, NO_STIMULUS, duration_s, dt_s, initial_uM=initial, check_grid=False
        )

    print(f"\nNEURON rxd, {cells} cells, {1e3 * duration_s:g} ms: the same equations, grid and start")
    traces = peer.run(whole_s)
    found = compare_with_rxd(setting, traces, 2.5e-6)
    print(f"variable step: speed {found.peer_speed:.3f}, here (2.5 us) {found.speed:.3f} um/s, difference "
          f"{100 * (found.speed / found.peer_speed - 1):.4f} %, trace NRMSE at three sites "
          + ", ".join(f"{100 * x:.3f} %" for x in found.trace_nrmse))  # fmt: skip
    exact = found.peer_speed
    errors = {}
    for peer_dt in (2.5e-5, 1e-5):
        other = compare_with_rxd(setting, peer.run(whole_s, peer_dt), 1e-5)
        errors[peer_dt] = 100 * (other.peer_speed / exact - 1)
    errors[None] = 0.0
    mine = {dt: 100 * (compare_with_rxd(setting, traces, dt).speed / exact - 1) for dt in (2e-5, 1e-5, 5e-6)}
    mine[2.5e-5] = 100 * (front_speed(64.0 / cells, 2.5e-5) / FRONT_SPEEDS[64.0 / cells] - 1)
    print(f"{'rxd step':>10} {'error %':>9} {'here us':>8} {'error %':>9} {'rxd s':>8} {'here s':>8} "
          f"{'one cable (min, max)':>24} {'64, per cable (min, max)':>26}")  # fmt: skip
    for peer_dt, dt_s in ((2.5e-5, 2.5e-5), (1e-5, 1e-5), (1e-5, 2e-5), (None, 5e-6)):
        ours(dt_s)(), batch(dt_s)()
        one, per_cable, theirs, own_s = [], [], [], []
        for _ in range(rounds):
            slow = cpu_seconds(lambda d=peer_dt: peer.only_run(duration_s, d))
            fast, wide = cpu_seconds(ours(dt_s)), cpu_seconds(batch(dt_s)) / 64
            one.append(slow / fast)
            per_cable.append(slow / wide)
            theirs.append(slow)
            own_s.append(fast)
        name = f"{1e6 * peer_dt:g} us" if peer_dt else "variable"
        print(f"{name:>10} {errors[peer_dt]:9.3f} {1e6 * dt_s:8g} {mine[dt_s]:9.3f} {statistics.median(theirs):8.2f} "
              f"{statistics.median(own_s):8.3f} {statistics.median(one):9.1f} ({min(one):.1f}, {max(one):.1f})"
              f"{statistics.median(per_cable):14.1f} ({min(per_cable):.1f}, {max(per_cable):.1f})")  # fmt: skip


def on_devices(quick: bool) -> None:
    """The hybrid on one thread, compiled, against the same cables in torch: time per cable and step, interleaved."""
    own, dt_s, steps, rounds = front_parameters(), 5e-5, 8 if quick else 40, 3 if quick else 5
    network = RateNetwork(receptor_form(5))
    torch.set_num_threads(1)

    def cables(count):
        return [uniform_cable(48.0, 0.5, 0.25, 192)] * count

    def per_step(simulation, seconds):
        # A device's run ends with its results on the host, so its wall time is whole.
        return seconds(lambda: simulation.run(steps * dt_s, NO_STIMULUS)) / (steps * simulation.count)

    compiled = CableSimulation(cables(64), own, dt_s, channel=network_channel(network), check_grid=False)
    print("\nhybrid with 5 unknowns, 192 cells: compiled on one thread (64 cables) over torch on a device")
    print(f"{'device':>8} {'cables':>7} {'compiled us':>12} {'torch us':>9} {'ratio (min, max)':>22}")
    cases = [("cpu", 64)] + ([("cuda", 64), ("cuda", 4096)] if torch.cuda.is_available() else [])
    for name, count in cases:
        clock = cpu_seconds if name == "cpu" else wall_seconds
        there = DeviceCables(cables(count), own, dt_s, network, torch.device(name), check_grid=False)
        per_step(compiled, clock), per_step(there, clock)
        pairs = [(per_step(compiled, clock), per_step(there, clock)) for _ in range(rounds)]
        ratios = [ours / theirs for ours, theirs in pairs]
        ours, theirs = (1e6 * statistics.median(column) for column in zip(*pairs, strict=True))
        print(f"{name:>8} {count:7d} {ours:12.2f} {theirs:9.2f} {statistics.median(ratios):9.3f} "
              f"({min(ratios):.3f}, {max(ratios):.3f})")  # fmt: skip


def thresholds(quick: bool) -> None:
    """Threshold radii: published, on the published base mesh, converged, and of the cable model."""
    print("\nthreshold radius of the ER in um (two columns of two-dimensional grids extrapolate to the next)")
    print(f"{'R um':>6} {'per um2':>8} {'published':>10} {'allowed':>8} {'base mesh':>10} {'fine':>8} {'finer':>8} "
          f"{'limit':>8} {'off %':>7} {'cable':>8} {'off %':>7}")  # fmt: skip
    cases = ((0.1, 3.0), (0.5, 3.0)) if quick else ((0.1, 3.0), (0.1, 1.0), (0.2, 3.0), (0.5, 3.0), (0.5, 6.0))
    for radius_um, receptors in cases:
        published = PUBLISHED_UM[radius_um, receptors]
        low, high = 0.7 * published, min(1.6 * published, 0.95 * radius_um)
        fine_columns = 768 if receptors > 3 else 512 if radius_um > 0.3 else 384
        dt_s = 2e-5 if quick else 1e-5
        fine, finer = (
            dendrite_threshold_um(radius_um, receptors, n, dt_s, low, high) for n in (fine_columns, 2 * fine_columns)
        )
        limit = richardson(fine, finer)
        base_words = f"{'none':>10}"
        for factor in (1.8, 2.6, 4.0):  # a very wide ER leaves so little cytosol that there may be no wave again
            try:
                base = dendrite_threshold_um(
                    radius_um, receptors, PUBLISHED_COLUMNS, 2e-5, low, min(factor * published, 0.95 * radius_um),
                    cytosol_nodes=1, er_nodes=1,
                )  # fmt: skip
            except InputError:
                continue
            base_words = f"{base:10.4f}"
            break
        cable = cable_threshold_um(radius_um, receptors, 768, 2e-5, low, min(3.2 * published, 0.95 * radius_um))
        print(f"{radius_um:6g} {receptors:8g} {published:10.3f} {allowed_um(published):8.4f} {base_words} {fine:8.4f} "
              f"{finer:8.4f} {limit:8.4f} {100 * (limit / published - 1):7.1f} {cable:8.4f} "
              f"{100 * (cable / published - 1):7.1f}")  # fmt: skip


def validity(quick: bool) -> None:
    """Speed in the cable over speed in the dendrite, ER of half the radius."""
    spacing_um, dt_s = (0.125, 1.25e-5) if quick else (0.0625, 6.25e-6)
    print("\nspeed in the cable over that in the dendrite (ER of half the radius, "
          f"dx {spacing_um:g} um, dt {1e6 * dt_s:g} us)")  # fmt: skip
    densities = (1.5, 3.0, 6.0)
    print(f"{'R um':>6} {'(R-r)2/D us':>12} " + " ".join(f"{d:>8g} per um2" for d in densities))
    for radius_um in (0.05, 0.1, 0.2, 0.3, 0.5, 0.8):
        row = []
        for density in densities:
            thin, full = speeds(radius_um, 0.5 * radius_um, Parameters(ryanodine_per_um2=density), spacing_um, dt_s)
            row.append(f"{thin / full:16.3f}" if full > 0 else f"{'no wave':>16}")
        print(f"{radius_um:6g} {1e6 * (0.5 * radius_um) ** 2 / 220:12.1f} " + " ".join(row))


def grids(quick: bool) -> None:
    """The rule for the grid: speed over that on the finest grid, by spacing over the length of the front."""
    ratios = (0.7, 1.5, 3.0, 6.0, 9.0, 12.0)
    print("\nspeed over that at a fifth of the first spacing, by spacing over the front's length")
    print(f"{'per um2':>8} {'r um':>6} {'length um':>10} " + " ".join(f"{r:>7g}" for r in ratios))
    for receptors, er_radius_um in ((3.0, 0.25), (6.0, 0.25), (2.0, 0.25), (3.0, 0.35))[: 2 if quick else 4]:
        own = Parameters(ryanodine_per_um2=receptors)
        scale = front_length_um(uniform_cable(1.0, 0.5, er_radius_um, 2), own)
        found = []
        for ratio in (0.35, *ratios):
            n = round(32.0 / (ratio * scale))
            cable = uniform_cable(32.0, 0.5, er_radius_um, n)
            run = simulate_cables([cable], own, Stimulus(), 0.2, 1.25e-5, check_grid=False)
            found.append(wave_speed(cable.position_um, run.arrival_s, 32.0)[0])
        # Second order: the limit from the two finest grids.
        limit = found[0] + (found[0] - found[1]) / 3
        print(f"{receptors:8g} {er_radius_um:6g} {scale:10.4f} " + " ".join(f"{v / limit:7.3f}" for v in found[1:]))


def recovery(quick: bool) -> None:
    """Paired pulses on the case that recovers."""
    print("\nrecovery: second response over first, ER calcium at the second stimulus")
    for spacing_um, dt_s in ((0.25, 1e-4), (0.25, 5e-5), (0.125, 5e-5))[: 1 if quick else 3]:
        curve = recovery_curve(dt_s=dt_s, spacing_um=spacing_um)
        print(f"dx {spacing_um:g} um, dt {1e6 * dt_s:g} us; last 5 uM off rest at {curve.last_off_rest_s:.1f} s")
        print("  gap s  " + " ".join(f"{x:7.2f}" for x in curve.gap_s))
        print("  ratio  " + " ".join(f"{x:7.3f}" for x in curve.ratio))
        print("  ER uM  " + " ".join(f"{x:7.1f}" for x in curve.er_uM))


PARTS = {
    "front": (front, grids),
    "speed": (against_rxd,),
    "device": (on_devices,),
    "thresholds": (thresholds,),
    "validity": (validity,),
    "recovery": (recovery, after_the_front),
}


def main() -> None:
    """Print the tables asked for."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="fewer cases, coarser grids")
    parser.add_argument("--only", nargs="+", choices=list(PARTS), default=list(PARTS))
    arguments = parser.parse_args()
    for part in arguments.only:
        for table in PARTS[part]:
            table(arguments.quick)


if __name__ == "__main__":
    main()
