"""Names that a results folder uses: of metrics, of the mean over categories, of folders of further tests."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

MEAN = "mean"
Metrics = Mapping[str, Mapping[str, float | None]]  # category (or mean) -> metric's name -> value
HEADLINE = {  # in order of importance; where space is short the last ones go first
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
}
TITLES = HEADLINE | {  # of metrics that have a place of their own, and none in the table of categories
    "image/class_f1": "class F1",
    "image/f1": "image F1",
    "image/recall": "recall",
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
DOMAINS, TRANSFER = "domains", "transfer"  # keys of the configuration, and folders of a run
RECALIBRATED = "recalibrated"  # part of a domain's metrics.json


def is_own(config: Mapping[str, Any], name: str) -> bool:
    """Whether a domain is the one in which the run itself is tested."""
    domain, own = (
        {**dict(shift), "splits": None, "name": None} for shift in (config["domains"][name], config["shift"])
    )
    if not own["transforms"] or "test" not in config["shift"]["splits"]:
        return not domain["transforms"]
    return bool(domain == own)


def name_of(node: object) -> str:
    """The name of a part of the configuration: its text, its `name`, or the class that it builds."""
    if isinstance(node, Mapping):
        return str(node.get("name") or str(node.get("_target_", "")).rpartition(".")[2])
    return "" if node is None else str(node)


def method_of(config: Mapping[str, Any]) -> str:
    """The name of the class of the model of a run."""
    node = config.get("model")
    return str(node.get("_target_", "")).rpartition(".")[2] if isinstance(node, Mapping) else str(node or "")
