"""`load`: the trained model of a run or a bundle, ready to inspect other images."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from adframe.inference.detector import TrainedDetector


def load(
    run: str | Path,
    *,
    category: str | None = None,
    calibration: str = "trained",
    device: str = "auto",
    trusted: Sequence[str] = (),
) -> TrainedDetector:
    """Loads the trained model of a finished run, or of a bundle that `adframe export` wrote.

    Neither the dataset nor its folder is needed.

    Args:
        run: the folder of a run of `train.py` or `sweep.py`, or its file `checkpoints/<category>.ckpt`, or
            the folder of a bundle, which works on the CPU, or `hub:<owner>/<name>@<revision>` for a bundle on
            the Hugging Face Hub.
        category: which model, where the run has one for each of several categories; None for the only one.
        calibration: name of thresholds that `adframe calibrate` fitted; `trained` for those of the run.
        device: where the model works, as torch names it (`cpu`, `cuda`, `cuda:1`, `mps`); `auto` takes CUDA
            where there is one, else the processor.
        trusted: packages other than adframe that the run's configuration may name; their code runs.

    Returns:
        The model. Its scores, decisions and heatmaps are those of the run's own test.

    Raises:
        AdframeError: the folder holds no finished run, `category` is needed, or a file is missing or damaged.

    Example:
        >>> import adframe
        >>> detector = adframe.load("runs/loco", category="juice_bottle")  # doctest: +SKIP
        >>> for result in detector.predict("new/pictures"):  # doctest: +SKIP
        ...     print(result.name, result.anomalous, result.score)
    """
    from adframe.export.hub import local_copy
    from adframe.export.manifest import is_bundle

    path = local_copy(run)
    if is_bundle(path):
        from adframe.export.bundle import load_bundle

        return load_bundle(path, category=category, calibration=calibration, device=device)
    from adframe.config.load_detector import load_detector  # Hydra is imported only here

    return load_detector(path, category=category, calibration=calibration, device=device, trusted=trusted)
