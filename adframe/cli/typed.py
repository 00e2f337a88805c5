"""The overrides of a command line, as Hydra knows them while it runs a job."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from hydra.core.hydra_config import HydraConfig


@dataclass(frozen=True, slots=True)
class TypedOverrides:
    """The overrides of a command line.

    Attributes:
        overrides: of the configuration.
        hydra: of Hydra's own keys.
        choices: group -> the chosen option.

    Example:
        >>> typed = TypedOverrides(("model=padim",), (), {"model": "padim"})
        >>> typed.choices["model"]
        'padim'
    """

    overrides: tuple[str, ...]
    hydra: tuple[str, ...]
    choices: Mapping[str, str]

    @classmethod
    def from_hydra(cls) -> TypedOverrides:
        """Returns the overrides of the job that Hydra is running."""
        hydra = HydraConfig.get()
        choices = {str(key): str(value) for key, value in hydra.runtime.choices.items()}
        return cls(tuple(hydra.overrides.task), tuple(hydra.overrides.hydra), choices)
