"""How unlike the training data an input is: distance to the nearest training input, in principal components.

The score of x is sqrt(min_j |P(x - x_j)|^2 + |r(x)|^2) / sqrt(d): P projects transformed inputs (and standardised
context) of d numbers on the leading principal components of the training inputs, r is what they leave over.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

VARIANCE = 0.999
MOST_COMPONENTS = 16
MOST_REFERENCES = 4000
_BLOCK = 256


@dataclass(frozen=True)
class Novelty:
    """Centre (d,), components (k, d) orthonormal, references (m, k): training inputs in components; all float32."""

    centre: np.ndarray
    components: np.ndarray
    references: np.ndarray


def _flat(inputs: np.ndarray, context: np.ndarray) -> np.ndarray:
    return np.concatenate([inputs.reshape(len(inputs), -1), context], axis=1, dtype=np.float32)


def fit_novelty(inputs: np.ndarray, context: np.ndarray) -> Novelty:
    """From transformed training inputs (N, C, ...) and context (N, Cx); at most 4,000 references, evenly thinned."""
    flat = _flat(inputs, context).astype(np.float64)
    centre = flat.mean(axis=0)
    centred = flat - centre
    values, vectors = np.linalg.eigh(centred.T @ centred if flat.shape[1] <= len(flat) else centred @ centred.T)
    if flat.shape[1] > len(flat):
        vectors = centred.T @ vectors / np.sqrt(np.maximum(values, 1e-30))
    values, vectors = values[::-1], vectors[:, ::-1]
    explained = np.cumsum(np.maximum(values, 0)) / max(values.clip(min=0).sum(), 1e-30)
    count = int(min(np.searchsorted(explained, VARIANCE) + 1, MOST_COMPONENTS, len(values)))
    components = vectors[:, :count].T
    # The sign of an eigenvector is arbitrary; fix it.
    largest = np.take_along_axis(components, np.abs(components).argmax(axis=1)[:, None], axis=1)
    components = components * np.sign(largest)
    keep = np.linspace(0, len(flat) - 1, min(len(flat), MOST_REFERENCES)).round().astype(int)
    references = centred[keep] @ components.T
    return Novelty(centre.astype(np.float32), components.astype(np.float32), references.astype(np.float32))


def novelty_score(novelty: Novelty, inputs: np.ndarray, context: np.ndarray) -> np.ndarray:
    """Scores (N,) float64 of transformed inputs (N, C, ...) and context (N, Cx)."""
    score = np.empty(len(inputs))
    # |a - b|^2 = |a|^2 + (|b|^2 - 2 a.b), the bracket as one matrix product.
    squared = np.sum(novelty.references**2, axis=1)[None]
    references = np.ascontiguousarray(np.concatenate([-2 * novelty.references.T, squared]))
    for start in range(0, len(inputs), _BLOCK):
        part = slice(start, start + _BLOCK)
        centred = _flat(inputs[part], context[part]) - novelty.centre
        projected = centred @ novelty.components.T
        own = np.einsum("nk,nk->n", projected, projected)
        augmented = np.concatenate([projected, np.ones((len(projected), 1), np.float32)], axis=1)
        nearest = (augmented @ references).min(axis=1) + own
        left = np.einsum("nd,nd->n", centred, centred) - own
        score[part] = np.sqrt(np.maximum(nearest, 0) + np.maximum(left, 0))
    return score / np.sqrt(len(novelty.centre))
