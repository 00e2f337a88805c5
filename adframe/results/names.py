"""Names in a results folder: metrics, the mean over categories, folders of further tests."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

NO_WEIGHTS = "none"  # in environment.json, where a method has no network
MEAN = "mean"
UPDATE = "update"  # key of environment.json: how exactly an updated model is that of old and new images
# Warning of the runs of a transductive method.
TRANSDUCTIVE = (
    "this method is transductive: it saw the unlabelled test images together and scores every image by them, "
    "so that its numbers are not comparable with those of methods that see one test image at a time"
)
Metrics = Mapping[str, Mapping[str, float | None]]  # category (or mean) -> metric's name -> value
HEADLINE = {  # in order of importance; where space is short, the last ones are left out first
    "image/auroc": "image AUROC",
    "logical/image/auroc": "logical AUROC",
    "structural/image/auroc": "struct. AUROC",
    "image/ap": "image AP",
    "image/f1_max": "image F1-max",
    "pixel/auspro_0.05": "sPRO 0.05",
    "logical/pixel/auspro_0.05": "logical sPRO 0.05",
    "structural/pixel/auspro_0.05": "struct. sPRO 0.05",
    "pixel/auroc": "pixel AUROC",
    "pixel/ap": "pixel AP",
    "pixel/aupro_0.3": "AU-PRO 0.3",
    "pixel/f1_max": "pixel F1-max",
    "pixel/aupro_0.05": "AU-PRO 0.05",
    "pixel/segf1": "SegF1",
    "roi/pixel/auroc": "pixel AUROC, ROI",
    "roi/pixel/ap": "pixel AP, ROI",
    "roi/pixel/aupro_0.3": "AU-PRO 0.3, ROI",
    "roi/pixel/auspro_0.05": "sPRO 0.05, ROI",
}
TITLES = HEADLINE | {  # with metrics that are shown, but not in the table of categories
    "image/class_f1": "class F1",
    "image/f1": "image F1",
    "image/recall": "recall",
    "image/balanced_accuracy": "balanced accuracy",
    "image/fpr": "FPR",
    "image/ece": "ECE",
    "image/brier": "Brier score",
    "pixel/iou": "IoU",
    "zones/image/f1": "image F1, zones",
    "zones/image/recall": "recall, zones",
    "zones/image/fpr": "FPR, zones",
    "zones/pixel/segf1": "SegF1, zones",
    "zones/pixel/iou": "IoU, zones",
}
_METHODS = {  # option of `model=`, or class or function of a configuration -> the name in its paper
    "patchcore": "PatchCore",
    "create_patchcore": "PatchCore",
    "padim": "PaDiM",
    "anomaly_dino": "AnomalyDINO",
    "rad": "RAD",
    "subspace": "SubspaceAD",
    "token_gaussian": "Token Gaussian",
    "musc": "MuSc",
    "clip_zero_shot": "WinCLIP",
    "sit": "SiT",
    "dinomaly": "Dinomaly",
    "inp_former": "INP-Former",
    "reverse_distillation": "Reverse distillation",
    "efficient_ad": "EfficientAD",
    "supersimplenet": "SuperSimpleNet",
    "dinov2_lora": "DINOv2-LoRA",
    "dino_lora": "DINOv2-LoRA",
    **{f"lora_v1{minor}": f"DINOv2-LoRA 1.{minor}" for minor in range(1, 5)},
    "pixel_mean": "PixelMean",
}
# Names of classes have no underscores.
_METHODS |= {key.replace("_", ""): name for key, name in _METHODS.items()}
FEATURES_FOLDER = "features"  # embeddings and patch samples
DOMAINS, TRANSFER = "domains", "transfer"  # keys of the configuration, and folders of a run
RECALIBRATED = "recalibrated"  # part of a domain's metrics.json


def method_name(option: str) -> str:
    """Returns the name of a method as its paper writes it.

    Args:
        option: of `model=`, or a class or function that builds the method.

    Returns:
        For example `PatchCore` for `patchcore`; the option itself where it is unknown.
    """
    return _METHODS.get(option.lower(), option)


def is_own(config: Mapping[str, Any], name: str) -> bool:
    """Returns whether a domain is the one in which the run itself is tested.

    Args:
        config: the run's configuration.
        name: one of its `domains`.

    Returns:
        Whether both apply the same transforms to test images.
    """
    domain, own = (
        {**dict(shift), "splits": None, "name": None} for shift in (config["domains"][name], config["shift"])
    )
    if not own["transforms"] or "test" not in config["shift"]["splits"]:
        return not domain["transforms"]
    return bool(domain == own)


def name_of(node: object) -> str:
    """Returns the name of a part of the configuration.

    Args:
        node: the part.

    Returns:
        Its text, its `name`, or the name of the class that it builds; "" for None.

    Example:
        >>> name_of({"_target_": "adframe.models.padim.Padim"}), name_of("none")
        ('Padim', 'none')
    """
    if isinstance(node, Mapping):
        return str(node.get("name") or str(node.get("_target_", "")).rpartition(".")[2])
    return "" if node is None else str(node)


def method_of(config: Mapping[str, Any], *, environment: Mapping[str, Any] | None = None) -> str:
    """Returns the name of a run's method, as its paper writes it where it has one.

    Several options of `model=` build one class with other settings, so the option that was typed counts.

    Args:
        config: the run's configuration.
        environment: what the run recorded besides: `method` of another tool whose maps were measured, or
            `model`, the option that was typed; None for the configuration alone.

    Returns:
        For example `PatchCore`; the class of its model where the option is unknown; "" where both are.

    Example:
        >>> config = {"model": {"_target_": "adframe.models.extended_patchcore.create_patchcore"}}
        >>> method_of(config), method_of(config, environment={"model": "subspace"})
        ('PatchCore', 'SubspaceAD')
    """
    recorded = environment or {}
    typed = next((each for key in ("method", "model") if isinstance(each := recorded.get(key), str)), "")
    name = typed or name_of(config.get("model"))
    return method_name(name)
