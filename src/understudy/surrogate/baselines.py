"""The models a network has to beat: a spline on one number, boosted trees on summary features, PCA and a Gaussian
process. All are fitted on the same cases and in the same standardised link space as the network."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from sklearn.decomposition import PCA
from sklearn.ensemble import HistGradientBoostingRegressor
from sklearn.exceptions import ConvergenceWarning
from sklearn.gaussian_process import GaussianProcessRegressor
from sklearn.gaussian_process.kernels import ConstantKernel, DotProduct, RationalQuadratic, WhiteKernel
from sklearn.linear_model import RidgeCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import SplineTransformer, StandardScaler

from understudy.surrogate.config import Evaluation
from understudy.surrogate.definition import Cases, SurrogateDefinition
from understudy.surrogate.transforms import TargetTransform, fit_targets

GRADIENT_BOOSTING = "gradient_boosting"
GAUSSIAN_PROCESS = "gaussian_process"
# Hyperparameters of a kernel are sought on at most this many cases, then kept for the fit on all.
KERNEL_SEARCH_CASES = 200


class LinkPredictor(Protocol):
    """Raw inputs (N, C, ...) and context (N, Cx) to means (N, T) and scales of the error (N, T) or (1, T), in the
    standardised link space. Where scales are not asked for they are 1, and cost nothing."""

    def __call__(
        self, inputs: np.ndarray, context: np.ndarray, scales: bool = True
    ) -> tuple[np.ndarray, np.ndarray]: ...


@dataclass(frozen=True)
class Baseline:
    """A fitted baseline; called with raw inputs (N, C, ...) and context (N, Cx) it gives targets (N, T).

    Attributes
    ----------
    links : means and scales in the standardised link space. The scale is the Gaussian process's own standard deviation,
        1 for the others.
    transform : to and from that space.
    """

    links: LinkPredictor
    transform: TargetTransform

    def __call__(self, inputs: np.ndarray, context: np.ndarray) -> np.ndarray:
        return self.transform.inverse(self.links(inputs, context, scales=False)[0])


def fit_baselines(
    definition: SurrogateDefinition,
    cases: Cases,
    target_names: Sequence[str],
    evaluation: Evaluation,
    generator: np.random.Generator,
) -> dict[str, Baseline]:
    """Baselines by name, all fitted on the same cases."""
    transform = fit_targets(definition.target_links(target_names), cases.targets)
    values = transform.forward(cases.targets)
    seeds = generator.integers(2**31, size=2)
    fits = {
        definition.scalar_name: _fit_spline(definition, cases, values),
        GRADIENT_BOOSTING: _fit_boosting(definition, cases, values, int(seeds[0])),
        GAUSSIAN_PROCESS: _fit_gaussian_process(definition, cases, values, evaluation, int(seeds[1])),
    }
    return {name: Baseline(links, transform) for name, links in fits.items()}


def _unscaled(predict: Callable[[np.ndarray, np.ndarray], np.ndarray], targets: int) -> LinkPredictor:
    """A predictor of means with the same scale everywhere."""
    return lambda inputs, context, scales=True: (predict(inputs, context), np.ones((1, targets)))


def _fit_spline(definition: SurrogateDefinition, cases: Cases, values: np.ndarray) -> LinkPredictor:
    """Cubic spline of the one scalar, knots at its quantiles, linear beyond, ridge chosen by leave-one-out."""
    model = make_pipeline(
        StandardScaler(),
        SplineTransformer(n_knots=8, degree=3, knots="quantile", extrapolation="linear"),
        RidgeCV(alphas=np.logspace(-4, 2, 13)),
    )
    model.fit(definition.scalar_feature(cases.inputs)[:, None], values)

    def predict(inputs: np.ndarray, _: np.ndarray) -> np.ndarray:
        # One target alone comes back without its axis.
        return model.predict(definition.scalar_feature(inputs)[:, None]).reshape(len(inputs), -1)

    return _unscaled(predict, values.shape[1])


def _fit_boosting(definition: SurrogateDefinition, cases: Cases, values: np.ndarray, seed: int) -> LinkPredictor:
    """Histogram gradient boosting on the summary features, one model per target."""
    features, _ = definition.summary_features(cases.inputs, cases.context)
    settings: dict[str, Any] = {
        "learning_rate": 0.08,
        "max_iter": 150,
        "max_leaf_nodes": 15,
        "min_samples_leaf": int(np.clip(len(cases) // 40, 3, 20)),
        "l2_regularization": 1.0,
        "early_stopping": False,
        "random_state": seed,
    }
    models = [HistGradientBoostingRegressor(**settings).fit(features, values[:, t]) for t in range(values.shape[1])]

    def predict(inputs: np.ndarray, context: np.ndarray) -> np.ndarray:
        features, _ = definition.summary_features(inputs, context)
        return np.stack([model.predict(features) for model in models], axis=1)

    return _unscaled(predict, values.shape[1])


def _fit_gaussian_process(
    definition: SurrogateDefinition, cases: Cases, values: np.ndarray, evaluation: Evaluation, seed: int
) -> LinkPredictor:
    """Principal components of the transformed inputs, then a Gaussian process per target."""
    generator = np.random.default_rng(seed)
    state = definition.fit_inputs(cases.inputs, cases.context)

    def flat(inputs: np.ndarray, context: np.ndarray) -> np.ndarray:
        inputs, context = definition.apply_inputs(state, inputs, context)
        return np.concatenate([inputs.reshape(len(inputs), -1), context], axis=1).astype(np.float64)

    x = flat(cases.inputs, cases.context)
    components = min(evaluation.pca_components, *x.shape)
    project = PCA(components, svd_solver="full").fit(x)
    # One scale for all components keeps their order of size: small ones are mostly noise.
    size = max(float(np.sqrt(project.explained_variance_[0])), 1e-12)
    order = generator.permutation(len(x))
    kept = np.sort(order[: evaluation.gp_largest_training_set])
    searched = np.sort(order[:KERNEL_SEARCH_CASES])
    x = project.transform(x) / size
    # Without the linear term a process falls back to the mean beyond the training cases and loses to any line.
    kernel = (
        ConstantKernel(1.0, (1e-2, 1e3)) * RationalQuadratic(1.0, 1.0)
        + ConstantKernel(0.1) * DotProduct(1.0)
        + WhiteKernel(1e-2, (1e-6, 1.0))
    )
    models = []
    for t in range(values.shape[1]):
        with warnings.catch_warnings():
            # A hyperparameter at its bound only says that its term does not matter.
            warnings.simplefilter("ignore", ConvergenceWarning)
            search = GaussianProcessRegressor(kernel, normalize_y=True).fit(x[searched], values[searched, t])
        fixed = GaussianProcessRegressor(search.kernel_, optimizer=None, normalize_y=True)
        models.append(fixed.fit(x[kept], values[kept, t]))

    def predict(inputs: np.ndarray, context: np.ndarray, scales: bool = True) -> tuple[np.ndarray, np.ndarray]:
        projected = project.transform(flat(inputs, context)) / size
        if not scales:
            return np.stack([model.predict(projected) for model in models], axis=1), np.ones((1, len(models)))
        means, deviations = zip(*(model.predict(projected, return_std=True) for model in models), strict=True)
        return np.stack(means, axis=1), np.stack(deviations, axis=1)

    return predict
