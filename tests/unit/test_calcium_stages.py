"""What the calcium study's programs are made of: the plan of courses, contenders in the cable, maps, bounds, files."""

import h5py
import numpy as np
import pytest
import torch

from understudy.calcium.bounds_verification import cables_that_leave, gates_that_leave, random_network
from understudy.calcium.course_plan import SPLITS, course_units, courses_by_split, rate_noise
from understudy.calcium.files import (
    HYBRID,
    read_courses,
    read_networks,
    watched_arrays,
    write_courses,
    write_networks,
    write_tree,
)
from understudy.calcium.gated_channel import two_state_closure, visited_domain
from understudy.calcium.hybrid_study import (
    FRONT,
    HELDOUT,
    WAVES_ONLY,
    clamp_part,
    contenders,
    front_part,
    heldout_summary,
    network_name,
    recovery_summary,
)
from understudy.calcium.network_choice import chosen_first, chosen_networks, selection_errors
from understudy.calcium.parameters import Parameters
from understudy.calcium.rate_network import CALCIUM, RateNetwork
from understudy.calcium.rate_training import receptor_form
from understudy.calcium.receptor_protocols import COURSE_KINDS
from understudy.calcium.wave_maps import mapped_waves
from understudy.errors import InputError
from understudy.farm.seeds import case_sequence

QUICK = ("clamps", "ramps")


@pytest.fixture(scope="module")
def courses():
    units = [unit for unit in course_units(dict.fromkeys(SPLITS, 0.2)) if unit.kind in QUICK]
    return courses_by_split(units, [unit.draw(case_sequence(1, 2, 1, k)) for k, unit in enumerate(units)])


def watched(unknowns=4, seed=0):
    network = random_network(unknowns, seed, 1.0)
    rng = np.random.default_rng(seed)
    return network, visited_domain(rng.uniform(-0.1, 0.1, (200, network.form.n_inputs)))


def test_units_hold_all_groups_and_no_more():
    scales = {"training": 1.3, "calibration": 0.01, "heldout": 0.5}
    units = course_units(scales)
    for split, scale in scales.items():
        for name, kind in COURSE_KINDS.items():
            sizes = [unit.groups for unit in units if (unit.split, unit.kind) == (split, name)]
            assert sum(sizes) == max(2, round(scale * kind.count)) and max(sizes) <= kind.unit
    assert all(unit.cost > 0 for unit in units)


def test_splits_share_no_group_and_no_course(courses):
    groups = [set(courses[split].group.tolist()) for split in SPLITS]
    assert not (groups[0] & groups[1] or groups[1] & groups[2] or groups[0] & groups[2])
    assert set().union(*groups) == set(range(sum(map(len, groups))))
    first = [courses[split].u_uM[:20].round(9).tolist() for split in SPLITS]
    assert first[0] != first[1] != first[2]


def test_noise_of_rates_grows_with_that_of_calcium(courses):
    found = [rate_noise(courses["heldout"], 4, noise, np.random.default_rng(0)) for noise in (0.005, 0.1)]
    opening = [each["log_opening_rate"]["nrmse"] for each in found]
    # The rate goes with the fourth power of calcium.
    assert opening[1] == pytest.approx(20 * opening[0], rel=1e-3)
    assert 0 < opening[0] < 0.01


def test_courses_survive_their_file(courses, tmp_path):
    write_courses(tmp_path / "courses.h5", courses)
    found = read_courses(tmp_path / "courses.h5")
    for split in SPLITS:
        for name in ("dt_s", "u_uM", "start", "family", "group"):
            np.testing.assert_array_equal(getattr(found[split], name), getattr(courses[split], name))


def test_networks_survive_their_file(tmp_path):
    network, domain = watched(6)
    write_networks(tmp_path / "networks.h5", {"net6_0": watched_arrays(network, domain)})
    found, seen = read_networks(tmp_path / "networks.h5")["net6_0"]
    assert found.form == network.form == receptor_form(6)
    assert all(torch.equal(a, b) for a, b in zip(found.parameters(), network.parameters(), strict=True))
    np.testing.assert_array_equal(seen.visited, domain.visited)


def test_a_network_of_another_channel_is_refused(tmp_path):
    arrays = watched_arrays(*watched())
    text = arrays["form"].tobytes().replace(b"ryanodine receptor", b"potassium")
    arrays["form"] = np.frombuffer(text, dtype=np.uint8)
    write_networks(tmp_path / "networks.h5", {"net4_0": arrays})
    with pytest.raises(InputError, match=r"found one of the channel 'potassium', accepted is 'ryanodine receptor'"):
        read_networks(tmp_path / "networks.h5")


def test_trees_have_their_groups_and_words(tmp_path):
    write_tree(tmp_path / "a.h5", HYBRID, {"front/u": np.zeros((40, 50)), "x": 3.0}, {"front": {"unit": "uM"}})
    with h5py.File(tmp_path / "a.h5") as file:
        assert file["front/u"].shape == (40, 50) and file["x"][()] == 3.0
        assert file["front"].attrs["unit"] == "uM" and file.attrs["study"] == "calcium"


def test_contenders_and_their_parts():
    found = {network_name(n, seed): watched(n, seed) for n in (4, 5, 6) for seed in (0, 1)}
    tried = {own.name: own for own in contenders(found | {WAVES_ONLY: watched()})}
    assert set(tried) == {
        *("one_state", "two_state", "net4", "net5", "net6", "net4_1", "net5_1", "net6_1"),
        WAVES_ONLY,
    }
    assert [tried[name].unknowns for name in ("one_state", "two_state", "net4", "net5", "net6")] == [4, 5, 4, 5, 6]
    assert tried["net5_1"].parts == (FRONT,) and HELDOUT not in tried[WAVES_ONLY].parts


def test_the_chosen_network_comes_first():
    found = {network_name(n, seed): watched(n, seed) for n in (4, 5) for seed in (0, 1, 2)} | {WAVES_ONLY: watched()}
    chosen = chosen_networks(found, {"net5": {"net5_0": 0.3, "net5_1": 0.2, "net5_2": 0.4}, "net4": {"net4_0": 0.1}})
    assert chosen == {"net5": "net5_1", "net4": "net4_0"}
    ranked = chosen_first(found, chosen)
    assert set(ranked) == set(found) and ranked[WAVES_ONLY] is found[WAVES_ONLY]
    order = [ranked[f"net5_{k}"] for k in range(3)]
    assert all(own is found[f"net5_{k}"] for own, k in zip(order, (1, 0, 2), strict=True))
    assert chosen_networks({"net6_0": watched(6), WAVES_ONLY: watched()}, {}) == {"net6": "net6_0"}


def test_selection_knows_the_better_network():
    """Only where there is a choice; a network of random weights makes no wave at all."""
    assert selection_errors({"net5_0": watched(5), WAVES_ONLY: watched()}, 1, 1e-4, 0.5) == {}
    near, far = RateNetwork(receptor_form(5), 1), watched(5, 2)
    with torch.no_grad():
        # Rates of a receptor at 0.3 uM, where waves begin, whatever calcium is but for the fourth power of opening.
        near.w3.zero_()
        near.linear.zero_()
        half = 0.5 * (np.log(CALCIUM.high) - np.log(CALCIUM.low))
        middle = 0.5 * (np.log(CALCIUM.high) + np.log(CALCIUM.low))
        own = Parameters()
        near.linear[0, 0] = 4 * half
        near.b3.copy_(torch.log(torch.tensor([
            own.opening_per_uM4_s * np.exp(4 * middle), own.closing_per_s, own.inactivation_per_s, own.recovery_per_s,
        ])))  # fmt: skip
    found = selection_errors({"net5_0": far, "net5_1": (near, far[1])}, 1, 1e-4, 0.5)
    assert found["net5"]["net5_1"] < found["net5"]["net5_0"]


def test_the_closure_in_the_front_and_under_clamps():
    """The two-state closure is almost exact in both; a random network is not, and its monitor says so."""
    front = front_part(two_state_closure, 1e-4, 0.5)
    assert abs(front["errors/speed"]) < 5e-3 and front["errors/r2_open"] > 0.99
    assert front["u_uM"].shape == (len(front["time_s"]), 64) and front["traces"].shape[1:] == (3, 4)
    assert "excursions/share" not in front
    network = contenders({network_name(4, 0): watched()})[-1]
    assert front_part(network.make, 1e-4, 0.5)["excursions/share"] > 0
    truth, closure = clamp_part(None), clamp_part(two_state_closure)
    assert np.sqrt(((closure["open"] - truth["open"]) ** 2).mean()) < 0.05
    assert truth["open"].max() > 0.9 and np.ptp(truth["open"][:, -1]) < 0.2


def test_held_out_numbers():
    """Four sets: both a wave and a closure that errs, both and one that does not, a missed wave, none at all."""
    u = np.linspace(0, 1, 20)[None, :, None] * np.ones((4, 1, 3))

    def part(*speeds):
        return {"speed": np.array(speeds, dtype=float), "u": u}

    reference, one_state = part(800, 600, 500, 0), part(700, 601, 500, 0)
    numbers, cases = heldout_summary(reference, part(808, 600, 0, 0), one_state)
    assert (numbers["n"], numbers["n_waves"], numbers["n_conditioned"], numbers["missed"]) == (4, 3, 1, 1)
    assert numbers["speed_max"] == pytest.approx(0.01) and numbers["speed_median"] == pytest.approx(0.005)
    assert numbers["conditioned_speed_median"] == pytest.approx(0.01)
    assert np.isinf(cases["speed"][2]) and np.isnan(cases["speed"][3])


def test_recovery_is_measured_over_its_range():
    gaps = np.array([1.0, 2.0])
    found = recovery_summary({"gap_s": gaps, "ratio": np.array([0, 1.0])}, {"gap_s": gaps, "ratio": np.array([0, 0.9])})
    assert found["nrmse"] == pytest.approx(0.1 / np.sqrt(2))


def test_maps_by_the_equations():
    """No wave with few receptors and a thin ER, faster ones with more."""
    found = mapped_waves(np.array([0.5, 3.0, 5.0]), np.array([0.1, 0.25, 0.25]), 1e-4, 16.0)
    assert found.speed_um_per_s[0] == 0 and np.isnan(found.peak_uM[0])
    assert found.speed_um_per_s[2] > found.speed_um_per_s[1] > 300
    assert (found.duration_s[1:] > 0.002).all() and found.seconds > 0


@pytest.mark.parametrize("unknowns", [4, 5, 6])
def test_random_networks_stay_within_bounds(unknowns):
    rng = np.random.default_rng(unknowns)
    network = random_network(unknowns, 3, 10.0)
    assert gates_that_leave(network, rng) == 0
    assert cables_that_leave(network, rng) == 0


def test_bounds_can_be_left():
    """The same count sees gates that do leave."""

    class Leaving:
        form = receptor_form(5)

        def advance(self, states, drives, dt_s):
            return states + 0.5

    assert gates_that_leave(Leaving(), np.random.default_rng(0)) > 100
