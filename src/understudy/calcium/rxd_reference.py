"""A peer of the calcium cable: the same equations in NEURON's reaction-diffusion module (mM, um, ms there).

NEURON is one for the whole process and does not survive that a section with reactions goes, so it runs in a process of
its own (`rxd_traces`, `rxd_seconds`), and only there it is imported.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from understudy.calcium.cable_dynamics import simulate_cables
from understudy.calcium.cable_geometry import uniform_cable
from understudy.calcium.cable_verification import bump
from understudy.calcium.parameters import Parameters, stationary_ryanodine
from understudy.calcium.stimulus import NO_STIMULUS
from understudy.calcium.waves import nrmse, wave_speed
from understudy.worker_process import worker_process

MOLECULES_PER_MM_UM3 = 602214.076


@dataclass(frozen=True)
class Setting:
    """An unbranched cable that starts from a bump of cytosolic calcium."""

    length_um: float
    radius_um: float
    er_radius_um: float
    cells: int
    parameters: Parameters
    bump_uM: float = 40.0
    bump_um: float = 2.0


class RxdCable:
    """A cable in rxd, built once; every run starts it anew.

    The stimulus is an initial bump of cytosolic calcium: a pulse of influx at an end has no direct form in rxd.
    """

    def __init__(self, setting: Setting) -> None:
        self.setting = setting
        os.environ.setdefault("NEURON_MODULE_OPTIONS", "-nogui")
        from neuron import n, rxd

        self.n = n
        own, part = setting.parameters, setting.er_radius_um / setting.radius_um
        n.load_file("stdrun.hoc")
        rxd.nthread(1)
        self.section = n.Section(name="dendrite")
        self.section.L, self.section.diam, self.section.nseg = setting.length_um, 2 * setting.radius_um, setting.cells
        self.cytosol = rxd.Region(
            [self.section], name="cytosol", geometry=rxd.FractionalVolume(1 - part**2, surface_fraction=1)
        )
        self.er = rxd.Region([self.section], name="er", geometry=rxd.FractionalVolume(part**2))
        self.membrane = rxd.Region(
            [self.section],
            name="membrane",
            geometry=rxd.ScalableBorder(diam_scale=part, on_cell_surface=False),
        )
        calcium = rxd.Species(
            [self.cytosol, self.er],
            name="calcium",
            d=1e-3 * own.cytosol_diffusion_um2_per_s,
            initial=self._initial_calcium,
        )
        calbindin = rxd.Species(
            [self.cytosol],
            name="calbindin",
            d=1e-3 * own.calbindin_diffusion_um2_per_s,
            initial=1e-3 * own.rest_calbindin_uM,
        )
        u, e, b = calcium[self.cytosol], calcium[self.er], calbindin[self.cytosol]
        o2, c1, c2 = (
            rxd.State([self.membrane], name=name, initial=self._initial_state(k))
            for k, name in enumerate(("o2", "c1", "c2"))
        )
        w2, w1, wc = o2[self.membrane], c1[self.membrane], c2[self.membrane]
        o1 = 1 - w2 - w1 - wc
        flux = (own.ryanodine_um_per_s * (1 - w1 - wc) + own.er_leak_um_per_s) * 1e-3 * (e - u)
        flux = flux - own.serca_uM2_um_per_s * 1e-9 * u / ((1e-3 * own.serca_affinity_uM + u) * e)
        bind = own.binding_per_uM_s * b * u - 1e-3 * own.unbinding_per_s * (1e-3 * own.calbindin_uM - b)
        # With the constants of each compartment's own area over volume.
        per_um = 2 * setting.radius_um / (setting.radius_um**2 - setting.er_radius_um**2)
        plasma = own.plasma_leak_um_per_s * 1e-3 * (1e-3 * own.outside_uM - u)
        plasma = plasma - own.pmca_uM_um_per_s * 1e-6 * u * u / ((1e-3 * own.pmca_affinity_uM) ** 2 + u * u)
        plasma = plasma - own.ncx_uM_um_per_s * 1e-6 * u / (1e-3 * own.ncx_affinity_uM + u)
        self.parts = [
            rxd.MultiCompartmentReaction(
                calcium[self.er],
                calcium[self.cytosol],
                flux * MOLECULES_PER_MM_UM3,
                membrane=self.membrane,
                custom_dynamics=True,
            ),
            rxd.Rate(u, -bind + per_um * plasma),
            rxd.Rate(b, -bind),
            rxd.Rate(w2, 1e6 * own.second_opening_per_uM3_s * u**3 * o1 - 1e-3 * own.second_closing_per_s * w2),
            rxd.Rate(w1, 1e-3 * own.closing_per_s * o1 - 1e9 * own.opening_per_uM4_s * u**4 * w1),
            rxd.Rate(wc, 1e-3 * own.inactivation_per_s * o1 - 1e-3 * own.recovery_per_s * wc),
            o2, c1, c2, calbindin,
        ]  # fmt: skip
        self.calcium = calcium
        self.cvode = n.CVode()

    def _start_uM(self, node) -> float:
        inside = node.x * self.setting.length_um < self.setting.bump_um
        return self.setting.bump_uM if inside else self.setting.parameters.rest_cytosol_uM

    def _initial_calcium(self, node) -> float:
        if node.region == self.er:
            return 1e-3 * self.setting.parameters.rest_er_uM
        return 1e-3 * self._start_uM(node)

    def _initial_state(self, k: int):
        return lambda node: float(stationary_ryanodine(self.setting.parameters, self._start_uM(node))[1 + k])

    def _step(self, dt_s: float | None, tolerance_mM: float) -> None:
        self.cvode.active(dt_s is None)
        if dt_s is None:
            self.cvode.atol(tolerance_mM)
        else:
            self.n.dt = 1e3 * dt_s

    def run(
        self, duration_s: float, dt_s: float | None = None, every_s: float = 2e-5, tolerance_mM: float = 1e-7
    ) -> tuple[np.ndarray, np.ndarray]:
        """Times (T,) in s and cytosolic calcium (T, cells) in uM; variable step where ``dt_s`` is None."""
        self._step(dt_s, tolerance_mM)
        time = self.n.Vector().record(self.n._ref_t, 1e3 * every_s)
        nodes = list(self.calcium.nodes(self.cytosol))
        records = [self.n.Vector().record(node._ref_concentration, 1e3 * every_s) for node in nodes]
        self.n.finitialize(-65)
        self.n.continuerun(1e3 * duration_s)
        return 1e-3 * np.array(time), 1e3 * np.array([np.array(record) for record in records]).T

    def only_run(self, duration_s: float, dt_s: float | None = None, tolerance_mM: float = 1e-7) -> None:
        """The same without records."""
        self._step(dt_s, tolerance_mM)
        self.n.finitialize(-65)
        self.n.continuerun(1e3 * duration_s)


def _traces(setting: Setting, duration_s: float, dt_s: float | None) -> tuple[np.ndarray, np.ndarray]:
    return RxdCable(setting).run(duration_s, dt_s)


def rxd_traces(setting: Setting, duration_s: float, dt_s: float | None = None) -> tuple[np.ndarray, np.ndarray]:
    """`RxdCable.run` in a process of its own."""
    with worker_process() as worker:
        return worker.submit(_traces, setting, duration_s, dt_s).result()


def _seconds(setting: Setting, duration_s: float, dt_s: float, rounds: int, cables: int) -> dict[str, np.ndarray]:
    peer, own = RxdCable(setting), setting.parameters
    cable = uniform_cable(setting.length_um, setting.radius_um, setting.er_radius_um, setting.cells)
    initial = bump(cable, own, setting.bump_uM, setting.bump_um)

    def ours(count: int) -> None:
        simulate_cables([cable] * count, own, NO_STIMULUS, duration_s, dt_s, initial_uM=initial, check_grid=False)

    def clocked(work: Callable[[], None]) -> float:
        begin = time.process_time()
        work()
        return time.process_time() - begin

    ours(1), ours(cables)
    found = [
        (clocked(lambda: peer.only_run(duration_s, dt_s)), clocked(lambda: ours(1)), clocked(lambda: ours(cables)))
        for _ in range(rounds)
    ]
    peer_s, one_s, batch_s = np.array(found).T
    return {"peer": peer_s, "one_cable": one_s, "per_cable": batch_s / cables}


def rxd_seconds(
    setting: Setting, duration_s: float, dt_s: float, rounds: int, cables: int = 64
) -> dict[str, np.ndarray]:
    """CPU seconds (rounds,) of both codes with the same fixed step, in turn in one process: ``peer``, ``one_cable``
    and ``per_cable`` of a batch."""
    with worker_process() as worker:
        return worker.submit(_seconds, setting, duration_s, dt_s, rounds, cables).result()


class Comparison(NamedTuple):
    """Speed in um/s of both codes and differences of the traces at three sites, over their range."""

    speed: float
    peer_speed: float
    trace_nrmse: list[float]


def crossings(time_s: np.ndarray, u: np.ndarray, level_uM: float = 1.0) -> np.ndarray:
    """Times at which calcium (T, cells) first exceeds a level, linear between samples; inf where it never does."""
    found = np.full(u.shape[1], np.inf)
    for cell in range(u.shape[1]):
        above = np.flatnonzero(u[:, cell] > level_uM)
        if len(above) and above[0] > 0:
            k = above[0]
            part = (level_uM - u[k - 1, cell]) / (u[k, cell] - u[k - 1, cell])
            found[cell] = time_s[k - 1] + part * (time_s[k] - time_s[k - 1])
    return found


def compare_with_rxd(
    setting: Setting, peer: tuple[np.ndarray, np.ndarray], dt_s: float, parameters: Parameters | None = None
) -> Comparison:
    """The same start, grid and time as the peer's traces; speeds from when calcium exceeds 1 uM."""
    time_s, u = peer
    cable = uniform_cable(setting.length_um, setting.radius_um, setting.er_radius_um, setting.cells)
    own = parameters or setting.parameters
    run = simulate_cables(
        [cable], own, NO_STIMULUS, time_s[-1], dt_s, initial_uM=bump(cable, own, setting.bump_uM, setting.bump_um),
        sites=np.arange(setting.cells), every=round((time_s[1] - time_s[0]) / dt_s), check_grid=False,
    )  # fmt: skip
    traces = run.traces[0, :, :, 0]
    samples = min(len(traces), len(u) - 1)
    speed, peer_speed = (
        float(wave_speed(cable.position_um, crossings(t, values), setting.length_um)[0])
        for t, values in ((run.time_s, traces), (time_s, u))
    )
    sites = [cable.nearest(part * setting.length_um) for part in (0.3, 0.5, 0.7)]
    errors = [nrmse(traces[:samples, site], u[1 : samples + 1, site]) for site in sites]
    return Comparison(speed, peer_speed, errors)
