"""Options of Lightning's trainer with which numbers would come from a part of the images: refused."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from adframe.config.signatures import shown
from adframe.errors import AdframeError

# What lets Lightning leave images or epochs out, and the values with which it leaves out none.
CUTS: dict[str, tuple[Any, ...]] = {
    "limit_train_batches": (None,), "limit_val_batches": (None,), "limit_test_batches": (None,),
    "limit_predict_batches": (None,), "fast_dev_run": (False, None), "overfit_batches": (0, None),
    "max_steps": (-1, None), "max_time": (None,), "check_val_every_n_epoch": (1,),
    "val_check_interval": (None,), "barebones": (False,),
}  # fmt: skip


def check_whole(trainer: Mapping[str, Any]) -> None:
    """Refuses options of Lightning's trainer with which numbers would come from a part of the images.

    Args:
        trainer: the options by name.

    Raises:
        AdframeError: an option leaves images, epochs or the fit of thresholds out.
    """
    for name, value in trainer.items():
        whole = name not in CUTS or value in CUTS[name]
        if not (whole or (isinstance(value, float) and value == 1.0)):  # 1 is one batch, 1.0 all of them
            raise AdframeError(
                f"trainer.{name}={shown(value)} leaves out a part of the images or of the training, and the "
                "numbers would not say so; for a quick trial use a smaller dataset, such as dataset=toy"
            )
