"""The axisymmetric dendrite: its verification table, published thresholds, where the cable model fails them."""

import numpy as np
import pytest

from understudy.calcium.axisymmetric import Dendrite, shell_volumes, simulate_dendrite
from understudy.calcium.dendrite_verification import check_published_side, converged_threshold, verify_dendrite
from understudy.calcium.parameters import Parameters
from understudy.calcium.stimulus import NO_STIMULUS, Stimulus
from understudy.calcium.threshold_radii import PUBLISHED_UM, allowed_um, bisected_um, cable_threshold_um
from understudy.errors import InputError

VERIFICATION = verify_dendrite()


@pytest.mark.parametrize("line", VERIFICATION, ids=lambda line: line["name"])
def test_verification(line):
    assert line["passed"], line


def test_grid_fills_the_dendrite():
    dendrite = Dendrite(10.0, 0.5, 0.2, 20)
    assert shell_volumes(dendrite.er_radii_um).sum() == pytest.approx(np.pi * 0.04, rel=1e-13)
    assert shell_volumes(dendrite.cytosol_radii_um).sum() == pytest.approx(np.pi * 0.21, rel=1e-13)


def test_outcomes():
    """The published criteria tell a wave from one that dies and from nothing at all."""
    own = Parameters()
    wave = simulate_dendrite(Dendrite(10.0, 0.5, 0.25, 80, 4, 2), own, Stimulus(), 0.1, 2e-5, stop_early=True)
    dies = simulate_dendrite(Dendrite(10.0, 0.5, 0.05, 80, 4, 2), own, Stimulus(), 0.1, 2e-5, stop_early=True)
    none = simulate_dendrite(Dendrite(10.0, 0.5, 0.25, 80, 4, 2), own, NO_STIMULUS, 0.01, 2e-5, stop_early=True)
    assert (wave.outcome, dies.outcome, none.outcome) == ("wave", "stuck", "no wave")
    assert wave.time_s < 0.03


def test_traces_show_what_the_membrane_sees():
    """As the wave passes calcium at the ER membrane is above the mean of the cross-section."""
    run = simulate_dendrite(
        Dendrite(10.0, 0.5, 0.15, 80), Parameters(ryanodine_per_um2=6.0), Stimulus(), 0.02, 2e-5, sites=[40], every=5
    )
    top = int(np.argmax(run.traces[:, 0, 1]))
    assert run.traces[top, 0, 1] > 1.1 * run.traces[top, 0, 0]
    assert run.traces[-1, 0, 2] < 150.0
    assert run.traces[:, 0, 3].max() > 0.9


def test_bisection():
    assert bisected_um(lambda r: r > 0.3217, 0.1, 0.9, 1e-6) == pytest.approx(0.3217, abs=1e-6)
    with pytest.raises(InputError, match=r"no threshold between 0\.5 and 0\.9"):
        bisected_um(lambda r: r > 0.3, 0.5, 0.9, 1e-3)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("radius_um", "receptors", "columns"),
    [(0.1, 3.0, 384), (0.1, 1.0, 384), (0.2, 3.0, 384), (0.5, 3.0, 512), (0.5, 6.0, 768)],
)  # fmt: skip
def test_converged_thresholds(radius_um, receptors, columns):
    line = converged_threshold(radius_um, receptors, columns, 1e-5)
    assert line["passed"], line


@pytest.mark.slow
def test_strongest_published_receptors():
    for line in check_published_side(0.5, 6.0, 1536, 1e-5):
        assert line["passed"], line


@pytest.mark.slow
def test_cable_thresholds():
    """On a fine grid the cable is within a tenth of the published threshold when thin and far off when thick."""
    thin = cable_threshold_um(0.1, 3.0, 768, 2e-5, 0.015, 0.04)
    assert thin == pytest.approx(PUBLISHED_UM[0.1, 3.0], rel=0.1)
    thick = cable_threshold_um(0.5, 3.0, 768, 2e-5, 0.08, 0.3)
    assert thick > 1.4 * PUBLISHED_UM[0.5, 3.0] > PUBLISHED_UM[0.5, 3.0] + allowed_um(PUBLISHED_UM[0.5, 3.0])
