"""Speed of the axon surrogate: the whole white matter through the ensemble, against direct simulation; training.

    python benchmarks/surrogate.py [--quick] [--profiles 92500] [--direct-s 0.075] [--device cpu]

Direct simulation is taken at ``--direct-s`` seconds per profile and layout on one core, by default what a prototype of
the injury model took; `axon_mechanics.py` measures the present one. CPU seconds stand beside wall seconds, so that
neighbours on the machine show. The accuracy of a surrogate is in its report, not here: this network is untrained.
"""

from __future__ import annotations

import argparse
import os
import statistics
import time

# Before numpy and torch read them.
os.environ.setdefault("OMP_NUM_THREADS", "1")

import numpy as np
import torch

from understudy.axon.config import Network
from understudy.axon.layouts import target_names
from understudy.axon.surrogate import SURROGATE
from understudy.dataset import Field
from understudy.surrogate.config import Training
from understudy.surrogate.conformal import fit_scale
from understudy.surrogate.definition import Cases
from understudy.surrogate.device import choose_device, repeatable
from understudy.surrogate.ensemble import fit_ensemble
from understudy.surrogate.model_file import Roles, SurrogateModel
from understudy.surrogate.novelty import fit_novelty
from understudy.surrogate.predict import predict
from understudy.surrogate.progress import Progress


def histories(count: int) -> np.ndarray:
    """(count, 1, 101) pulses of fibre strain at 1 ms."""
    rng = np.random.default_rng(4)
    t = np.arange(101.0)
    peak, rise, decay = rng.uniform(0.005, 0.2, count), rng.uniform(8, 25, count), rng.uniform(15, 60, count)
    up = 0.5 * (1 - np.cos(np.pi * t / rise[:, None]))
    down = np.exp(-np.maximum(t - rise[:, None], 0) / decay[:, None])
    return (peak[:, None] * np.where(t < rise[:, None], up, down)).astype(np.float32)[:, None]


def trained(count: int, training: Training, device: torch.device) -> tuple[SurrogateModel, float, float]:
    """A model of the configured size after a few epochs, and wall and CPU seconds per optimiser step."""
    names = target_names()
    inputs = histories(count)
    targets = np.random.default_rng(5).uniform(0.01, 0.5, (count, len(names)))
    cases = Cases(inputs, np.empty((count, 0)), targets, np.arange(count) % 20, np.arange(count))
    stopping = cases.group < 3
    steps = training.epochs * training.members * -(-int((~stopping).sum()) // training.batch_size)
    streams = [np.random.default_rng(member) for member in range(training.members)]
    with repeatable(1):
        wall, cpu = time.perf_counter(), time.process_time()
        ensemble = fit_ensemble(
            SURROGATE,
            cases,
            names,
            stopping,
            Network().model_dump(),
            training,
            streams,
            device,
            Progress("benchmark", training.members, training.epochs, every_s=60),
        )
        wall, cpu = (time.perf_counter() - wall) / steps, (time.process_time() - cpu) / steps
        novelty = fit_novelty(*SURROGATE.apply_inputs(ensemble.input_state, inputs, cases.context))
    shape = (60, len(names))
    model = SurrogateModel(
        study="axon",
        channels=(Field("fibre_strain", "1"),),
        target_fields=tuple(Field(name, "1") for name in names),
        context_fields=(),
        input_shape=(1, 101),
        input_step=1.0,
        input_step_unit="ms",
        ensemble=ensemble,
        scale=fit_scale(np.ones(shape), np.zeros(shape), np.ones(shape), np.ones(60)),
        quantile=np.ones(len(names)),
        coverage=0.9,
        novelty=novelty,
        novelty_threshold=1.0,
        roles=Roles(*[np.arange(1)] * 6),
        settings={"training": training.model_dump(mode="json")},
    )
    return model, wall, cpu


def main() -> None:
    """Print the figures."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="fewer profiles, steps and rounds")
    parser.add_argument("--profiles", type=int, default=92_500)
    parser.add_argument("--direct-s", type=float, default=0.075)
    parser.add_argument("--device", choices=("auto", "cpu", "cuda"), default="cpu")
    arguments = parser.parse_args()
    profiles = min(arguments.profiles, 9_250) if arguments.quick else arguments.profiles
    members = Training().members
    training = Training(members=members, epochs=1 if arguments.quick else 2, patience=10)
    model, wall, cpu = trained(2000, training, choose_device(arguments.device))
    weights = sum(value.size for value in model.ensemble.members[0].weights.values())
    print(f"network: {weights} weights, {members} members")
    print(
        f"training: {1e3 * wall:.2f} ms wall, {1e3 * cpu:.2f} ms CPU per step of {training.batch_size} profiles "
        f"({training.batch_size / wall:.0f} profiles/s)"
    )
    inputs = histories(profiles)
    seconds = []
    for _ in range(1 if arguments.quick else 5):
        wall, cpu = time.perf_counter(), time.process_time()
        predict(model, inputs, definition=SURROGATE, device=arguments.device, threads=1)
        seconds.append((time.perf_counter() - wall, time.process_time() - cpu))
    wall = statistics.median(pair[0] for pair in seconds)
    cpu = statistics.median(pair[1] for pair in seconds)
    spread = f"{min(pair[0] for pair in seconds):.2f}-{max(pair[0] for pair in seconds):.2f}"
    print(
        f"inference: {profiles} profiles with intervals and novelty in {wall:.2f} s wall ({spread}), {cpu:.2f} s CPU, "
        f"{1e6 * wall / profiles:.1f} us per profile"
    )
    print(f"ratio: {arguments.direct_s * profiles / wall:.0f} x faster than one layout at {arguments.direct_s} s each")


if __name__ == "__main__":
    main()
