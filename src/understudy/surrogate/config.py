"""Configuration of the surrogate machine: the same keys for every study."""

from __future__ import annotations

from pydantic import model_validator

from understudy.configuration import Section, quantity


class Training(Section):
    """Fit of one network and of the ensemble."""

    members: int = quantity(5, "1", "networks in the deep ensemble", "Lakshminarayanan et al. 2017", ge=1, le=50)
    epochs: int = quantity(200, "1", "largest number of epochs", "choice", ge=1)
    patience: int = quantity(
        60, "1", "epochs without a better early-stopping loss before a member stops", "choice", ge=1
    )
    batch_size: int = quantity(32, "1", "cases per optimiser step", "choice", ge=1)
    learning_rate: float = quantity(3e-3, "1", "peak AdamW learning rate, cosine schedule", "choice", gt=0, le=0.1)
    weight_decay: float = quantity(1e-2, "1", "AdamW weight decay", "choice", ge=0, le=1)
    early_stopping_fraction: float = quantity(
        0.15, "1", "fraction of the training groups set aside for early stopping", "choice", gt=0, lt=0.5
    )
    threads: int = quantity(
        1, "1", "CPU threads of one training process; part of the result's identity", "choice", ge=1
    )


class CrossValidation(Section):
    """Folds over the training groups."""

    folds: int = quantity(10, "1", "folds, random and grouped", "Zhang et al. 2025, BMMB (10-fold)", ge=2)
    members: int = quantity(1, "1", "ensemble members per fold", "choice", ge=1)


class LearningCurve(Section):
    """Error against the number of training profiles."""

    sizes: tuple[int, ...] = quantity(
        (100, 200, 300, 500, 1000, 1500, 2000), "1", "training-set sizes, each at most the number available", "choice"
    )
    members: int = quantity(1, "1", "ensemble members per size", "choice", ge=1)

    @model_validator(mode="after")
    def _increasing(self) -> LearningCurve:
        if (
            not self.sizes
            or any(b <= a for a, b in zip(self.sizes, self.sizes[1:], strict=False))
            or self.sizes[0] < 10
        ):
            raise ValueError(f"sizes: found {self.sizes}; accepted are increasing numbers of at least 10")
        return self


class Calibration(Section):
    """Split-conformal intervals and the out-of-domain flag."""

    coverage: float = quantity(0.9, "1", "nominal coverage of the intervals", "choice", gt=0.5, lt=1)
    novelty_quantile: float = quantity(
        0.99,
        "1",
        "quantile of the calibration set's novelty score above which an input is flagged",
        "choice",
        gt=0.5,
        lt=1,
    )


class Evaluation(Section):
    """Comparison of models on held-out data."""

    bootstrap: int = quantity(1000, "1", "bootstrap resamples over groups", "choice", ge=100)
    gp_largest_training_set: int = quantity(
        2000, "1", "training cases given to the Gaussian process (its cost is cubic)", "choice", ge=50
    )
    pca_components: int = quantity(10, "1", "principal components in front of the Gaussian process", "choice", ge=1)


class SurrogateConfig(Section):
    """The surrogate machine."""

    training: Training = Training()
    cross_validation: CrossValidation = CrossValidation()
    learning_curve: LearningCurve = LearningCurve()
    calibration: Calibration = Calibration()
    evaluation: Evaluation = Evaluation()


# What each shared stage reads, below the study's own keys; `network` is the study's section of that name.
SURROGATE_STAGES: dict[str, tuple[str, ...]] = {
    "train_surrogate": ("seed", "network", "surrogate.training", "surrogate.calibration"),
    "cross_validate_surrogate": ("seed", "network", "surrogate.training", "surrogate.cross_validation"),
    "measure_learning_curve": (
        "seed",
        "network",
        "surrogate.training",
        "surrogate.learning_curve",
        "surrogate.evaluation",
    ),
    "evaluate_surrogate": ("seed", "surrogate.evaluation"),
}
