"""What was typed on the command line, as Hydra knows it while it runs a job."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from hydra.core.hydra_config import HydraConfig


@dataclass(frozen=True, slots=True)
class TypedOverrides:
    """What was typed on a command line.

    Attributes:
        overrides: of the configuration.
        hydra: overrides of Hydra's own keys.
        choices: the option that was chosen of each group.
    """

    overrides: tuple[str, ...]
    hydra: tuple[str, ...]
    choices: Mapping[str, str]

    @classmethod
    def from_hydra(cls) -> TypedOverrides:
        """From Hydra, while it runs a job."""
        hydra = HydraConfig.get()
        choices = {str(key): str(value) for key, value in hydra.runtime.choices.items()}
        return cls(tuple(hydra.overrides.task), tuple(hydra.overrides.hydra), choices)
