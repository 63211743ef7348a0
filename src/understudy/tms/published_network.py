"""The published threshold network as a baseline: a 3D convolutional network on a cube of field samples, one per cell.

After Aberra et al. 2023 (doi 10.1016/j.neuroimage.2023.120184) and its inference code: 9 x 9 x 9 samples of the field
in the cell's frame, three Cartesian components over |E| at the cube's centre, convolutions with kernel 2, two dense
layers, target the threshold in V/m at the cube's centre. Training settings were not found; where the text below says
"choice" they are ours. Two departures help the published network and keep the
comparison fair: the target is standardised inside (undone at the output), and the learning rate follows a cosine.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
import torch
from torch import nn

from understudy.errors import InputError
from understudy.surrogate.device import choose_device, repeatable
from understudy.surrogate.network_fit import learning_rate_at
from understudy.tms.field_cube import SAMPLES


@dataclass(frozen=True)
class PublishedSettings:
    """Shape and training of the network.

    Attributes
    ----------
    convolutions : filters per layer (found as default arguments of the published builder).
    dense : widths of the dense layers (same).
    dropout : behind the dense layers (0.5 is the builder's default; a regression with so few units suffers from it, so
        the choice is 0).
    epochs, batch_size, learning_rate : choice.
    stopping_fraction : of the groups, or of the cases where no groups are given, for the choice of the epoch; choice.
    """

    convolutions: tuple[int, ...] = (80, 60, 45, 33)
    dense: tuple[int, ...] = (50, 37)
    dropout: float = 0.0
    epochs: int = 60
    batch_size: int = 32
    learning_rate: float = 1e-3
    stopping_fraction: float = 0.15


class PublishedNetwork(nn.Module):
    """Convolutions (kernel 2, no padding) with batch normalisation and rectification, dense layers, one number."""

    def __init__(self, settings: PublishedSettings, samples: int = SAMPLES):
        super().__init__()
        layers: list[nn.Module] = []
        width = 3
        for filters in settings.convolutions:
            layers += [nn.Conv3d(width, filters, 2), nn.BatchNorm3d(filters), nn.ReLU(inplace=True)]
            width = filters
        layers.append(nn.Flatten())
        width *= (samples - len(settings.convolutions)) ** 3
        for size in settings.dense:
            layers += [
                nn.Linear(width, size),
                nn.BatchNorm1d(size),
                nn.ReLU(inplace=True),
                nn.Dropout(settings.dropout),
            ]
            width = size
        self.layers = nn.Sequential(*layers, nn.Linear(width, 1))
        for module in self.modules():
            if isinstance(module, nn.Conv3d | nn.Linear):
                nn.init.xavier_uniform_(module.weight)
                nn.init.zeros_(module.bias)

    def forward(self, inputs: torch.Tensor) -> torch.Tensor:
        return self.layers(inputs)[:, 0]


@dataclass
class PublishedModel:
    """A fitted network of one cell and one pulse.

    Attributes
    ----------
    weights : by name.
    mean, deviation : of the training thresholds in V/m.
    losses : (epochs, 2) of fit and early stopping; ``best_epoch`` the one whose weights these are.
    """

    settings: PublishedSettings
    weights: Mapping[str, np.ndarray]
    mean: float
    deviation: float
    losses: np.ndarray = field(repr=False)
    best_epoch: int = 0

    def predict(self, inputs: np.ndarray, device: str = "cpu") -> np.ndarray:
        """Thresholds (N,) in V/m at the cube's centre of `cube_inputs` (N, 3, 9, 9, 9)."""
        chosen = choose_device(device)
        with repeatable(1):
            network = _build(self.settings, inputs.shape[-1])
            network.load_state_dict({name: torch.from_numpy(np.array(value)) for name, value in self.weights.items()})
            network.to(chosen).eval()
            found = [np.empty(0, dtype=np.float64)]
            with torch.inference_mode():
                for start in range(0, len(inputs), 256):
                    part = torch.from_numpy(np.ascontiguousarray(inputs[start : start + 256], dtype=np.float32))
                    found.append(network(_laid_out(part.to(chosen))).cpu().numpy().astype(np.float64))
        return np.concatenate(found) * self.deviation + self.mean


def fit_published(
    inputs: np.ndarray,
    threshold: np.ndarray,
    generator: np.random.Generator,
    settings: PublishedSettings | None = None,
    group: np.ndarray | None = None,
    device: str = "cpu",
) -> PublishedModel:
    """Fit the network of one cell to thresholds (N,) in V/m at the centre of cubes (N, 3, 9, 9, 9).

    Adam on the mean squared error; the weights with the least loss on cases set aside are kept. The same generator
    state gives the same weights on the same kind of device.

    Raises
    ------
    InputError
        If a threshold is no positive number or fewer than 20 cases are given.
    """
    settings = settings or PublishedSettings()
    threshold = np.asarray(threshold, dtype=np.float64)
    if len(threshold) < 20 or not (np.isfinite(threshold) & (threshold > 0)).all():
        raise InputError(
            f"published network: found {len(threshold)} cases, {int((~(threshold > 0)).sum())} without a positive "
            "threshold; accepted are at least 20 with one"
        )
    chosen = choose_device(device)
    stop = _stopping(len(threshold), group, settings.stopping_fraction, generator)
    mean, deviation = float(threshold[~stop].mean()), float(max(threshold[~stop].std(), 1e-9))
    with repeatable(1), torch.random.fork_rng(devices=[chosen] if chosen.type == "cuda" else []):
        torch.manual_seed(int(generator.integers(2**62)))
        network = _build(settings, inputs.shape[-1]).to(chosen)
        x = torch.from_numpy(np.ascontiguousarray(inputs, dtype=np.float32))
        y = torch.from_numpy(((threshold - mean) / deviation).astype(np.float32))
        rows_fit, rows_stop = np.flatnonzero(~stop), np.flatnonzero(stop)
        optimiser = torch.optim.Adam(network.parameters(), lr=settings.learning_rate)
        count = max(1, len(rows_fit) // settings.batch_size)
        losses, best, best_loss, best_epoch = [], None, np.inf, 0
        for epoch in range(settings.epochs):
            network.train()
            total = 0.0
            for number, rows in enumerate(np.array_split(generator.permutation(rows_fit), count)):
                rate = learning_rate_at(epoch * count + number, settings.epochs * count, settings.learning_rate)
                for options in optimiser.param_groups:
                    options["lr"] = rate
                optimiser.zero_grad(set_to_none=True)
                found = network(_laid_out(x[rows].to(chosen)))
                loss = nn.functional.mse_loss(found, y[rows].to(chosen))
                loss.backward()
                optimiser.step()
                total += float(loss.detach()) * len(rows)
            losses.append([total / len(rows_fit), _loss(network, x, y, rows_stop, chosen)])
            if losses[-1][1] < best_loss:
                best_loss, best_epoch = losses[-1][1], epoch + 1
                best = {name: value.detach().cpu().numpy().copy() for name, value in network.state_dict().items()}
    if best is None:
        raise FloatingPointError("published network: the loss is not finite; lower learning_rate")
    return PublishedModel(settings, best, mean, deviation, np.array(losses), best_epoch)


def _build(settings: PublishedSettings, samples: int) -> PublishedNetwork:
    # Channels last is the layout in which oneDNN's kernels for small cubes are fast.
    return PublishedNetwork(settings, samples).to(memory_format=torch.channels_last_3d)


def _laid_out(values: torch.Tensor) -> torch.Tensor:
    return values.contiguous(memory_format=torch.channels_last_3d)


def _stopping(n: int, group: np.ndarray | None, fraction: float, generator: np.random.Generator) -> np.ndarray:
    """Mask (n,) of the cases that choose the epoch: whole groups where there are at least two, cases otherwise."""
    if group is None or len(np.unique(group)) < 2:
        group = np.arange(n)
    names = np.unique(group)
    count = min(max(1, round(fraction * len(names))), len(names) - 1)
    return np.isin(group, generator.permutation(names)[:count])


@torch.inference_mode()
def _loss(network: nn.Module, x: torch.Tensor, y: torch.Tensor, rows: np.ndarray, device: torch.device) -> float:
    network.eval()
    total = 0.0
    for start in range(0, len(rows), 256):
        part = rows[start : start + 256]
        total += float(nn.functional.mse_loss(network(_laid_out(x[part].to(device))), y[part].to(device))) * len(part)
    return total / len(rows)
