"""Fit of one network: AdamW on a Huber loss, cosine schedule, early stopping on groups of their own, resumable.

The loss is the mean Huber loss (threshold 1) of standardised link values. Each epoch walks once through the fitted
cases in an order drawn from the member's own stream. The weights kept are those with the lowest loss on the
early-stopping cases.
"""

from __future__ import annotations

import copy
import json
import math
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from understudy.surrogate.checkpoint import identity, load_checkpoint, save_checkpoint
from understudy.surrogate.config import Training

WARM_UP = 0.02
SMALLEST_BATCH = 8
LEAST_STEPS_PER_EPOCH = 8


@dataclass(frozen=True)
class FitData:
    """Transformed cases of one fit: inputs (N, C, ...), context (N, Cx), targets (N, T) standardised link values, all
    float32, and ``stopping`` (N,) bool, the cases that decide when to stop."""

    inputs: np.ndarray
    context: np.ndarray
    targets: np.ndarray
    stopping: np.ndarray


@dataclass(frozen=True)
class FittedNetwork:
    """Weights by name, losses (epochs, 2) of fit and early stopping, and the epoch whose weights these are."""

    weights: dict[str, np.ndarray]
    losses: np.ndarray
    best_epoch: int


def batch_size_of(n: int, wanted: int) -> int:
    """Cases per optimiser step: at most ``wanted``, smaller where an epoch would have fewer than 8 steps.

    A learning curve would otherwise compare sizes by how long they were trained.
    """
    return max(min(wanted, n // LEAST_STEPS_PER_EPOCH), min(SMALLEST_BATCH, n))


def learning_rate_at(step: int, steps: int, peak: float) -> float:
    """Linear warm-up over the first 2 % of steps, then half a cosine down to zero."""
    warm_up = max(1, round(WARM_UP * steps))
    if step < warm_up:
        return peak * (step + 1) / warm_up
    return peak * 0.5 * (1 + math.cos(math.pi * (step - warm_up) / max(1, steps - warm_up)))


def fit_network(
    build: Callable[[], torch.nn.Module],
    data: FitData,
    training: Training,
    generator: np.random.Generator,
    device: torch.device,
    checkpoint: Path | None = None,
    settings: Mapping[str, Any] | None = None,
    report: Callable[[int, float, float], None] | None = None,
    checkpoint_s: float = 10.0,
) -> FittedNetwork:
    """Fit a network, from its checkpoint where there is one of the same training.

    Parameters
    ----------
    build : makes the untrained network; its weights come from torch's generator, seeded here.
    generator : stream of this member: initial weights, order of cases.
    checkpoint : file that receives the state at least every ``checkpoint_s`` seconds and at the end; None keeps none.
    settings : what else identifies this training, hashed with the data.
    report : called with (epoch, fit loss, early-stopping loss) after each epoch.

    Raises
    ------
    FloatingPointError
        If the loss is not finite.
    """
    torch_seed = int(generator.integers(2**62))
    wanted = None
    if checkpoint is not None:
        arrays = {"inputs": data.inputs, "context": data.context, "targets": data.targets, "stopping": data.stopping}
        described = {
            **training.model_dump(mode="json"),
            **(settings or {}),
            "torch_seed": torch_seed,
            "torch": torch.__version__,
            "device": device.type,
        }
        wanted = identity(described, arrays)

    devices = [device] if device.type == "cuda" else []
    with torch.random.fork_rng(devices=devices):
        torch.manual_seed(torch_seed)
        state = _Fit(build, data, training, generator, device)
        saved = load_checkpoint(checkpoint, wanted) if checkpoint is not None else None
        if saved is not None:
            state.restore(saved)
        last_saved = time.monotonic()
        while not state.finished:
            fit_loss, stop_loss = state.run_epoch()
            if report is not None:
                report(state.epoch, fit_loss, stop_loss)
            if checkpoint is not None and (state.finished or time.monotonic() - last_saved >= checkpoint_s):
                save_checkpoint(checkpoint, {"identity": wanted, **state.content()})
                last_saved = time.monotonic()
        return state.result()


class _Fit:
    """The state of one training between two epochs."""

    def __init__(self, build, data: FitData, training: Training, generator: np.random.Generator, device: torch.device):
        self.training, self.generator, self.device = training, generator, device
        self.network = build().to(device)
        fit, stop = ~data.stopping, data.stopping
        self.fit = self._tensors(data, fit)
        self.stop = self._tensors(data, stop)
        self.optimiser = torch.optim.AdamW(
            self.network.parameters(), lr=training.learning_rate, weight_decay=training.weight_decay, fused=True
        )
        self.n = int(fit.sum())
        self.batch = batch_size_of(self.n, training.batch_size)
        self.steps_per_epoch = math.ceil(self.n / self.batch)
        self.epoch = self.best_epoch = 0
        self.best_loss = math.inf
        self.best = copy.deepcopy(self.network.state_dict())
        self.losses: list[list[float]] = []

    def _tensors(self, data: FitData, rows: np.ndarray) -> tuple[torch.Tensor, ...]:
        return tuple(
            torch.from_numpy(np.ascontiguousarray(values[rows], dtype=np.float32)).to(self.device)
            for values in (data.inputs, data.context, data.targets)
        )

    @property
    def finished(self) -> bool:
        return self.epoch >= self.training.epochs or self.epoch - self.best_epoch >= self.training.patience

    def run_epoch(self) -> tuple[float, float]:
        """One pass over the fitted cases; losses of fit and early stopping."""
        self.network.train()
        inputs, context, targets = self.fit
        order = torch.from_numpy(self.generator.permutation(self.n)).to(self.device)
        total = torch.zeros((), device=self.device)
        for index in range(self.steps_per_epoch):
            rows = order[index * self.batch : (index + 1) * self.batch]
            step = self.epoch * self.steps_per_epoch + index
            rate = learning_rate_at(step, self.training.epochs * self.steps_per_epoch, self.training.learning_rate)
            for group in self.optimiser.param_groups:
                group["lr"] = rate
            self.optimiser.zero_grad(set_to_none=True)
            loss = torch.nn.functional.huber_loss(self.network(inputs[rows], context[rows]), targets[rows])
            loss.backward()
            self.optimiser.step()
            total += loss.detach() * len(rows)
        self.epoch += 1
        fit_loss, stop_loss = float(total) / self.n, self._stopping_loss()
        if not math.isfinite(fit_loss + stop_loss):
            raise FloatingPointError(f"training: the loss is not finite after epoch {self.epoch}; lower learning_rate")
        self.losses.append([fit_loss, stop_loss])
        if stop_loss < self.best_loss:
            self.best_loss, self.best_epoch = stop_loss, self.epoch
            self.best = copy.deepcopy(self.network.state_dict())
        return fit_loss, stop_loss

    @torch.inference_mode()
    def _stopping_loss(self) -> float:
        self.network.eval()
        inputs, context, targets = self.stop
        total = 0.0
        for start in range(0, len(inputs), 1024):
            part = slice(start, start + 1024)
            loss = torch.nn.functional.huber_loss(self.network(inputs[part], context[part]), targets[part])
            total += float(loss) * len(inputs[part])
        return total / len(inputs)

    def content(self) -> dict[str, Any]:
        """Everything that the next epoch depends on: weights, optimiser, random streams, sampler, early stopping."""
        return {
            "epoch": self.epoch,
            "best_epoch": self.best_epoch,
            "best_loss": self.best_loss,
            "best": self.best,
            "losses": self.losses,
            "network": self.network.state_dict(),
            "optimiser": self.optimiser.state_dict(),
            "sampler": json.dumps(self.generator.bit_generator.state),
            "torch_stream": torch.get_rng_state(),
            "cuda_stream": torch.cuda.get_rng_state(self.device) if self.device.type == "cuda" else None,
        }

    def restore(self, content: Mapping[str, Any]) -> None:
        """Continue from `content`."""
        self.epoch, self.best_epoch = content["epoch"], content["best_epoch"]
        self.best_loss, self.losses = content["best_loss"], content["losses"]
        self.best = {name: value.to(self.device) for name, value in content["best"].items()}
        self.network.load_state_dict(content["network"])
        self.optimiser.load_state_dict(content["optimiser"])
        self.generator.bit_generator.state = json.loads(content["sampler"])
        torch.set_rng_state(content["torch_stream"])
        if content["cuda_stream"] is not None:
            torch.cuda.set_rng_state(content["cuda_stream"], self.device)

    def result(self) -> FittedNetwork:
        weights = {name: value.detach().cpu().numpy().copy() for name, value in self.best.items()}
        return FittedNetwork(weights, np.array(self.losses, dtype=np.float64).reshape(-1, 2), self.best_epoch)
