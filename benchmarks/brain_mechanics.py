"""Speed and mesh convergence of the brain mechanics: ``python benchmarks/brain_mechanics.py [--quick]``.

Prints the cost of one element and step, the time of one 100 ms impact, and the 95th-percentile peak fibre strain
(white matter, all fibres from left to right) of the median and the most severe impact on finer and finer meshes, with
the energy balance and the share of hourglass energy beside it. Threads are pinned to 1.
"""

from __future__ import annotations

import argparse
import os
import statistics
import time

# Before numpy and numba read them.
os.environ.update(OMP_NUM_THREADS="1", NUMBA_NUM_THREADS="1")

import numpy as np

from understudy.axon.brain_mechanics import element_model, simulate_impact, time_step
from understudy.axon.brain_mesh import build_brain_mesh
from understudy.axon.config import Head, Impacts, Tissue
from understudy.axon.impacts import Impact, draw_impacts, peak_velocity
from understudy.axon.mechanics_verification import LEFT_RIGHT, left_right_fibre_strain, median_impact
from understudy.axon.tissue_kernel import add_internal_forces

_ACCEPTED_CHANGE = 0.10


def force_cost_ns(element_mm: float, rounds: int = 7) -> tuple[float, float, float]:
    """Median, smallest and largest time per element of one evaluation of the internal forces, ns."""
    mesh = build_brain_mesh(Head(element_mm=element_mm))
    model = element_model(mesh, Tissue(), np.tile(LEFT_RIGHT, (len(mesh.elements), 1)), 4e-5)
    force = np.zeros_like(mesh.nodes)
    costs = []
    for _ in range(rounds + 1):
        start = time.perf_counter()
        for _ in range(10):
            add_internal_forces(mesh.nodes, *model.constants, force)
        costs.append((time.perf_counter() - start) / 10 / len(mesh.elements) * 1e9)
    # The first round compiles or loads the kernel.
    return statistics.median(costs[1:]), min(costs[1:]), max(costs[1:])


def impact_cost(element_mm: float, impact: Impact) -> tuple[int, int, float]:
    """Elements, steps and seconds of one impact with fibres in every element."""
    mesh = build_brain_mesh(Head(element_mm=element_mm))
    fibres = np.tile(LEFT_RIGHT, (len(mesh.elements), 1))
    # Loads or compiles the kernels.
    simulate_impact(mesh, Tissue(), fibres, Impact(impact.time_s[:21], impact.angular_velocity_rad_per_s[:21], "start"))
    start = time.perf_counter()
    run = simulate_impact(mesh, Tissue(), fibres, impact)
    return len(mesh.elements), run.steps, time.perf_counter() - start


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="8 and 6 mm only, one impact")
    quick = parser.parse_args().quick
    sizes = (8.0, 6.0) if quick else (8.0, 6.0, 5.0, 4.0, 3.0)
    impacts = sorted(draw_impacts(Impacts(), seed=1), key=peak_velocity)
    chosen = [median_impact(impacts)] if quick else [median_impact(impacts), impacts[-1]]
    tissue = Tissue()

    print("internal forces, one thread       median ns/element (min - max)")
    for size in (6.0,) if quick else (6.0, 4.0):
        median, low, high = force_cost_ns(size)
        print(f"  {size:g} mm                            {median:6.1f} ({low:.1f} - {high:.1f})")

    print("\nwhole impact of 100 ms            elements   steps   seconds   ns/element-step")
    for size in (6.0,) if quick else (6.0, 4.0):
        elements, steps, seconds = impact_cost(size, chosen[0])
        cost = seconds / elements / steps * 1e9
        print(f"  {size:g} mm                            {elements:8d}  {steps:6d}  {seconds:8.2f}   {cost:8.1f}")

    for impact in chosen:
        print(f"\nmesh convergence, {impact.label}, {peak_velocity(impact):.1f} rad/s")
        print("  edge   step us   95 % fibre strain   change   energy balance   hourglass   seconds")
        before = None
        for size in sizes:
            start = time.perf_counter()
            strain, run = left_right_fibre_strain(Head(element_mm=size), tissue, impact)
            seconds = time.perf_counter() - start
            _, dt_s = time_step(Head().scale * size * 1e-3, tissue, 1.0)
            hourglass = run.hourglass_J.max() / (run.strain_J + run.viscous_J).max()
            if before is None:
                change = "        "
            else:
                change = f"{100 * (strain / before - 1):+6.1f} %"
                change += " !" if abs(strain / before - 1) > _ACCEPTED_CHANGE else ""
            print(
                f"  {size:g} mm   {dt_s * 1e6:6.1f}   {strain:17.4f} {change}   {run.energy_balance:14.1e}   "
                f"{hourglass:9.4f}   {seconds:7.1f}"
            )
            before = strain
    print(f"\naccepted: a change of at most {100 * _ACCEPTED_CHANGE:g} % from one mesh to the next")


if __name__ == "__main__":
    main()
