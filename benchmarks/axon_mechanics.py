"""Axon solver: seconds per profile and layout against scipy's banded Cholesky factorisation; convergence; noise floor.

    python benchmarks/axon_mechanics.py [--quick]

Both sides run in this process on the same cases, interleaved, and CPU seconds are compared, so that neighbours on the
machine matter less. Beside every ratio stands the largest difference of the four outputs.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import time
from pathlib import Path

import numpy as np

from understudy.axon.axon_geometry import layout_set, reference_geometry
from understudy.axon.axon_mechanics import TARGETS, simulate_axons
from understudy.axon.config import Injury

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests" / "numerics"))
from banded_axon import simulate as simulate_banded


def realistic_profiles(count: int, seed: int = 3) -> np.ndarray:
    """(count, 101) histories at 1 ms: raised-cosine rise, decay, some with a second wave; peak 0.005-0.25."""
    rng = np.random.default_rng(seed)
    t = np.arange(101.0)
    histories = []
    for _ in range(count):
        peak = float(np.clip(np.exp(rng.normal(np.log(0.06), 0.8)), 0.005, 0.25))
        rise, decay = rng.uniform(8, 25), rng.uniform(15, 60)
        x = np.where(t < rise, 0.5 * (1 - np.cos(np.pi * t / rise)), np.exp(-np.maximum(t - rise, 0) / decay))
        for chance, low, high, start, width in (
            (0.3, -0.5, -0.2, (40, 60), (20, 40)),
            (0.4, -0.6, 0.6, (10, 40), (15, 40)),
        ):
            if rng.random() < chance:
                t0, length = rng.uniform(*start), rng.uniform(*width)
                wave = np.sin(np.pi * (t - t0) / length)
                x = x + rng.uniform(low, high) * np.where((t > t0) & (t < t0 + length), wave, 0.0)
        histories.append(x * peak / np.abs(x).max())
    return np.array(histories)


def cpu_seconds(work) -> tuple[float, np.ndarray]:
    """CPU seconds of a call and its result."""
    start = time.process_time()
    result = work()
    return time.process_time() - start, result


def against_banded(rounds: int, cases: int) -> None:
    """Interleaved rounds: this solver on all cases, the banded one on every eighth."""
    strain = realistic_profiles(cases)
    few = slice(0, cases, 8)
    print(f"seconds per profile and layout, {cases} realistic profiles, reference layout, step 1 ms, {rounds} rounds")
    print(f"{'criterion':12} {'solver ms':>10} {'banded ms':>10} {'ratio (min, max)':>24} {'largest difference':>20}")
    for criterion in ("elongation", "bell"):
        injury = Injury(tau_criterion=criterion, dt_ms=1.0)
        geometry = reference_geometry(injury)
        simulate_axons(strain[:1], [geometry], injury)  # compiles
        ours, theirs = [], []
        for _ in range(rounds):
            seconds, found = cpu_seconds(lambda g=geometry, i=injury: simulate_axons(strain, [g], i)[:, 0])
            ours.append(seconds / cases)
            seconds, expected = cpu_seconds(
                lambda g=geometry, i=injury: np.array([simulate_banded(row, g, i)[0] for row in strain[few]])
            )
            theirs.append(seconds / len(expected))
        ratios = [b / a for a, b in zip(ours, theirs, strict=True)]
        print(
            f"{criterion:12} {1e3 * statistics.median(ours):10.2f} {1e3 * statistics.median(theirs):10.1f} "
            f"{statistics.median(ratios):10.1f} ({min(ratios):.1f}, {max(ratios):.1f}) "
            f"{np.abs(found[few] - expected).max():20.1e}"
        )


def convergence(cases: int, layouts: int) -> None:
    """Outputs over dx and dt, mean over layouts, against dx 25 nm or dt 0.25 ms (root mean square, relative)."""
    strain = realistic_profiles(cases)
    print(f"\nconvergence, {cases} profiles, mean of {layouts} layouts: RMS difference over mean output")
    print(f"{'dx nm':>6} {'dt ms':>6} {'ms/case':>8} " + " ".join(f"{name:>22}" for name in TARGETS))
    for finest, steps in (
        ((25.0, 1.0), ((100.0, 1.0), (50.0, 1.0))),
        ((100.0, 0.25), ((100.0, 1.0), (100.0, 0.5))),
    ):
        outputs = {}
        for dx, dt in (finest, *steps):
            injury = Injury(dx_nm=dx, dt_ms=dt, layouts=layouts)
            seconds, found = cpu_seconds(lambda i=injury: simulate_axons(strain, layout_set(i, 0), i).mean(axis=1))
            outputs[dx, dt] = found
            if (dx, dt) != finest:
                error = np.sqrt(((found - outputs[finest]) ** 2).mean(axis=0)) / outputs[finest].mean(axis=0)
                row = " ".join(f"{value:22.4f}" for value in error)
            else:
                row = " ".join(f"{'reference':>22}" for _ in TARGETS)
            print(f"{dx:6g} {dt:6g} {1e3 * seconds / cases / layouts:8.1f} {row}")


def noise_floor(cases: int, layouts: int) -> None:
    """R2 between a history and the same history scaled by 1.005: one layout, and the mean over layouts."""
    strain = realistic_profiles(cases)
    print(
        f"\nnoise floor, {cases} profiles x 1.005 against x 1 (R2), and spread over {layouts} layouts over mean output"
    )
    print(f"{'criterion':12} {'of':12} " + " ".join(f"{name:>22}" for name in TARGETS))
    for criterion in ("elongation", "bell"):
        injury = Injury(tau_criterion=criterion, layouts=layouts)
        for words, geometries in (("reference", [reference_geometry(injury)]), ("mean", layout_set(injury, 0))):
            base, scaled = (simulate_axons(f * strain, geometries, injury) for f in (1.0, 1.005))
            a, b = base.mean(axis=1), scaled.mean(axis=1)
            r2 = 1 - ((a - b) ** 2).sum(axis=0) / ((a - a.mean(axis=0)) ** 2).sum(axis=0)
            print(f"{criterion:12} {words:12} " + " ".join(f"{value:22.4f}" for value in r2))
        spread = base.std(axis=1, ddof=1).mean(axis=0) / base.mean(axis=(0, 1))
        print(f"{criterion:12} {'spread':12} " + " ".join(f"{value:22.4f}" for value in spread))


def main() -> None:
    """Print all tables."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="fewer cases and rounds")
    quick = parser.parse_args().quick
    against_banded(rounds=2 if quick else 5, cases=16 if quick else 96)
    convergence(cases=4 if quick else 24, layouts=4 if quick else 8)
    noise_floor(cases=16 if quick else 100, layouts=4 if quick else 16)


if __name__ == "__main__":
    main()
