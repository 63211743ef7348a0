"""A small study for tests of the surrogate machine: damped filters of pulses, one of them with a threshold.

It is no study of the house, so whatever works with it knows no study.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from torch import nn

from understudy.dataset import Field, write_ground_truth
from understudy.surrogate.definition import SurrogateDefinition
from understudy.surrogate.transforms import Link

SAMPLES = 24
TARGETS = (Field("peak_response", "m"), Field("failed_share", "1"))
STAGE = {
    "study": "toy",
    "seed": 11,
    "network": {"width": 12},
    "surrogate": {
        "training": {"members": 2, "epochs": 12, "patience": 12, "batch_size": 32, "learning_rate": 0.01},
        "calibration": {"coverage": 0.9, "novelty_quantile": 0.99},
        "cross_validation": {"folds": 3, "members": 1},
        "learning_curve": {"sizes": (20, 60, 10_000), "members": 1},
        "evaluation": {"bootstrap": 200, "gp_largest_training_set": 100, "pca_components": 4},
    },
}


class ToyNetwork(nn.Module):
    """One convolution with dropout, so that torch's random stream matters; pooled and dense."""

    def __init__(self, channels: int, contexts: int, targets: int, width: int):
        super().__init__()
        self.stage = nn.Sequential(nn.Conv1d(channels, width, 5, stride=2, padding=2), nn.GELU(), nn.Dropout(0.05))
        self.head = nn.Sequential(nn.Linear(2 * width + contexts, 24), nn.GELU(), nn.Linear(24, targets))

    def forward(self, inputs: torch.Tensor, context: torch.Tensor) -> torch.Tensor:
        found = self.stage(inputs)
        return self.head(torch.cat([found.mean(dim=2), found.amax(dim=2), context], dim=1))


def _fit_inputs(inputs, context):
    return {"size": np.array([inputs.std()])}


def _apply_inputs(state, inputs, context):
    return (inputs / state["size"][0]).astype(np.float32), context.astype(np.float32)


def _summary(inputs, context):
    x = inputs[:, 0].astype(np.float64)
    columns = [x.max(axis=1), x.sum(axis=1), x.argmax(axis=1).astype(float), x[:, -1], *context.T]
    return np.stack(columns, axis=1), ["peak", "impulse", "time", "end", *(f"c{i}" for i in range(context.shape[1]))]


TOY = SurrogateDefinition(
    study="toy",
    study_number=77,
    build_network=lambda channels, shape, contexts, targets, settings: ToyNetwork(
        channels, contexts, targets, settings["width"]
    ),
    fit_inputs=_fit_inputs,
    apply_inputs=_apply_inputs,
    links={"peak_response": Link("asinh", 0.1), "failed_share": Link("logit", 0.02)},
    clip={"peak_response": (0.0, np.inf), "failed_share": (0.0, 1.0)},
    summary_features=_summary,
    scalar_feature=lambda inputs: inputs[:, 0].max(axis=1).astype(np.float64),
    scalar_name="peak",
    target_groups={"all": ("peak_response", "failed_share")},
)


def toy_cases(groups: int, per_group: int, seed: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Inputs (N, 1, SAMPLES), targets (N, 2), group (N,): pulses of one group share their typical height and width."""
    rng = np.random.default_rng(seed)
    group = np.repeat(np.arange(groups), per_group)
    height = np.exp(rng.normal(0, 0.4, groups))[group] * np.exp(rng.normal(0, 0.4, len(group)))
    width = rng.uniform(2, 6, groups)[group] * rng.uniform(0.7, 1.4, len(group))
    start = rng.uniform(2, 6, len(group))
    t = np.arange(SAMPLES)
    pulses = height[:, None] * np.exp(-(((t - start[:, None] - 2 * width[:, None]) / width[:, None]) ** 2))
    filtered, state = np.empty_like(pulses), np.zeros(len(group))
    for k in range(SAMPLES):
        state = 0.8 * state + 0.2 * pulses[:, k]
        filtered[:, k] = state
    overload = np.maximum(filtered - 0.5, 0).sum(axis=1)
    targets = np.stack([filtered.max(axis=1), 1 - np.exp(-0.4 * overload)], axis=1)
    return pulses[:, None].astype(np.float32), targets, group


def write_toy(path: Path, training=(8, 20), calibration=(6, 25), heldout=(6, 30), seed: int = 1, study="toy") -> Path:
    """A ground-truth file of toy cases, (groups, cases per group) for each split."""
    sizes = {"training": training, "calibration": calibration, "heldout": heldout}
    inputs, targets, group = [], [], []
    split, subset, offset = [], [], 0
    for number, (name, (groups, per_group)) in enumerate(sizes.items()):
        x, y, g = toy_cases(groups, per_group, seed=100 * seed + number)
        inputs.append(x)
        targets.append(y)
        group.append(g + offset)
        offset += groups
        split += [name] * len(g)
        last = np.arange(len(g)) % per_group == per_group - 1
        worst = np.where(last, "worst_case", "random") if name == "heldout" else np.full(len(g), "sampled")
        subset += worst.tolist()
    n = len(split)
    failed = [""] * n
    failed[3] = "diverged"
    write_ground_truth(
        path,
        study=study,
        inputs=np.concatenate(inputs),
        targets=np.concatenate(targets),
        case=np.arange(n),
        group=np.concatenate(group),
        split=split,
        subset=subset,
        failed=failed,
        channels=[Field("load", "N")],
        target_fields=TARGETS,
        group_names=[f"group {g}" for g in range(offset)],
        input_step=2.0,
        input_step_unit="ms",
    )
    return path
