"""Refuses options of Lightning's trainer with which numbers would come from a part of the images."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from adframe.config.signatures import as_typed
from adframe.errors import AdframeError

# Options that can leave out images or epochs, and their values with which nothing is left out.
_UNCUT_VALUES: dict[str, tuple[Any, ...]] = {
    "limit_train_batches": (None,), "limit_val_batches": (None,), "limit_test_batches": (None,),
    "limit_predict_batches": (None,), "fast_dev_run": (False, None), "overfit_batches": (0, None),
    "max_steps": (-1, None), "max_time": (None,), "check_val_every_n_epoch": (1,),
    "val_check_interval": (None,), "barebones": (False,),
}  # fmt: skip


def check_uncut(trainer: Mapping[str, Any]) -> None:
    """Checks that no option of Lightning's trainer leaves out images or epochs.

    Args:
        trainer: the options by name.

    Raises:
        AdframeError: an option leaves out images, epochs or the fit of thresholds.
    """
    for name, value in trainer.items():
        whole = name not in _UNCUT_VALUES or value in _UNCUT_VALUES[name]
        if not (
            whole or (isinstance(value, float) and value == 1.0)
        ):  # Lightning reads 1 as one batch and 1.0 as all
            raise AdframeError(
                f"trainer.{name}={as_typed(value)} leaves out a part of the images or of the training, and "
                "the numbers would not say so; for a quick trial use a smaller dataset, such as dataset=toy"
            )
