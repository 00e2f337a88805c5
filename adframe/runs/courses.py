"""Losses of several models in one tracker: each model has curves of its own."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from lightning.pytorch.loggers import Logger


class Course(Logger):
    """A logger that puts the name of a model before the names of its losses.

    Without it the models of a run, whose steps all begin at 0, would share one zigzag curve.

    Args:
        inner: the logger of the run.
        unit: a category, or `global`.

    Example:
        >>> from lightning.pytorch.loggers import CSVLogger
        >>> Course(CSVLogger("logs"), unit="weave").named({"train/loss": 0.5})
        {'learning/weave/train/loss': 0.5}
    """

    def __init__(self, inner: Logger, *, unit: str) -> None:
        super().__init__()
        self.inner, self.unit = inner, unit

    @property
    def name(self) -> str | None:
        """The name of the run's logger."""
        return self.inner.name

    @property
    def version(self) -> int | str | None:
        """The version of the run's logger."""
        return self.inner.version

    def log_hyperparams(self, params: Any) -> None:
        """Leaves them out, because the configuration is logged already.

        Args:
            params: not used.
        """

    def log_metrics(self, metrics: Mapping[str, float], step: int | None = None) -> None:
        """Logs losses under the name of the model.

        Args:
            metrics: name -> value.
            step: of the training.
        """
        self.inner.log_metrics(self.named(metrics), step)

    def named(self, metrics: Mapping[str, float]) -> dict[str, float]:
        """Puts the name of the model before the names of its losses.

        Args:
            metrics: name -> value.

        Returns:
            The same values; `epoch` keeps its name.
        """
        return {
            key if key == "epoch" else f"learning/{self.unit}/{key}": value for key, value in metrics.items()
        }

    def save(self) -> None:
        """Lets the run's logger write to its files."""
        self.inner.save()
