"""A run's folder as the framework leaves it, from seeded numbers and drawn pictures."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from sklearn.metrics import average_precision_score, roc_auc_score

from adframe.contracts import Region
from adframe.io.files import write_json, write_whole
from adframe.reporting.heatmaps import heatmap_tiles, write_picture
from adframe.results.predictions import read_predictions, write_predictions

DEFECTS = {"scratch": "anomaly", "hole": "anomaly", "stain": "anomaly"}
LOCO = {"logical_anomalies": "logical", "structural_anomalies": "structural"}
CONFIG = """\
model:
  _target_: adframe.models.patchcore.PatchCore
  coreset: 0.1
backbone:
  _target_: adframe.models.backbones.Backbone
  name: wide_resnet50_2
dataset:
  name: toy
calibration:
  _target_: adframe.calibration.calibrator.Calibrator
  image: {_target_: adframe.calibration.rules.Quantile, q: 0.995}
  pixel: {_target_: adframe.calibration.rules.MeanStd, deviations: 3.0}
  zones: 1
  normalisation: z_score
  probability: none
shift:
  name: none
logger:
  api_key: hunter2
image_size: 256
seed: 0
"""


def write_run(
    root: Path,
    *,
    categories: Sequence[str] = ("bolt", "tray"),
    defects: dict[str, str] = DEFECTS,
    pictures: int = 2,
) -> Path:
    """Write a run of `categories`, the last the hardest, with so many pictures of each kind."""
    rng = np.random.default_rng(0)
    rows, index = [], []
    metrics: dict[str, Any] = {"test": {}, "val": {}}
    for place, category in enumerate(categories):
        new = _rows(rng, category, defects, skill=3.6 - 2.2 * place / max(len(categories) - 1, 1))
        rows += new
        metrics["test"][category] = _numbers(rng, new)
        metrics["val"][category] = {
            "calibration/threshold": new[0]["threshold"],
            "calibration/n": 37,
            "calibration/fpr_floor": 1 / 38,
            "calibration/pixel_threshold": 25.4,
            "calibration/pixels": 37 * 900 * 900,
            "model/rows": 12_000 + 700 * place,
            "model/bytes": 7.4e7,
        }
        index += _pictures(rng, root, new, place=place, count=pictures)
    names = metrics["test"][categories[0]]
    metrics["test"]["mean"] = {
        key: float(np.mean([metrics["test"][c][key] for c in categories])) for key in names
    }
    write_json(root / "metrics.json", metrics)
    write_json(root / "heatmaps/index.json", index)
    write_json(root / "environment.json", _environment())
    write_whole(root / "config.yaml", CONFIG)
    write_predictions(root / "predictions.parquet", rows)
    return root


def write_rich_run(root: Path, *, lights: Sequence[str] = (), **known: Any) -> Path:
    """A run that has all a run can have: intervals, defect types, zones, probabilities, lights."""
    rng = np.random.default_rng(1)
    write_run(root, **known)
    metrics = json.loads((root / "metrics.json").read_text())
    rows = read_predictions(root / "predictions.parquet")
    for number, each in enumerate(rows):
        each["condition"] = lights[number % len(lights)] if lights else ""
        chance = 1 / (1 + np.exp(-(each["score"] - 23.5)))
        each |= {"probability": round(float(chance), 2), "by_zones": each["score"] > 24}
    metrics["intervals"] = {"test": {}}
    for name, numbers in metrics["test"].items():
        numbers |= _decided(rng) | numbers  # what the rows say of it stays
        numbers |= {f"zones/{key}": value for key, value in _decided(rng).items()}
        numbers |= {f"{light}/{key}": value for light in lights for key, value in _decided(rng).items()}
        metrics["intervals"]["test"][name] = {
            key: [max(0.0, value - 0.05), min(1.0, value + 0.03)]
            for key, value in numbers.items()
            if "image/a" in key or "pro" in key
        }
    categories = [name for name in metrics["test"] if name != "mean"]
    types = {name: _defects(rng, [each for each in rows if each["category"] == name]) for name in categories}
    metrics["defects"] = {"test": types}
    write_json(root / "metrics.json", metrics)
    write_predictions(root / "predictions.parquet", rows)
    return root


def _decided(rng: np.random.Generator) -> dict[str, float]:
    names = ("auroc", "class_f1", "f1", "recall")
    numbers = {f"image/{name}": float(rng.uniform(0.7, 1)) for name in names}
    pixels = {f"pixel/{name}": float(rng.uniform(0.3, 0.8)) for name in ("segf1", "iou", "aupro_0.05")}
    return numbers | pixels | {"image/fpr": float(rng.uniform(0, 0.15))}


def _defects(rng: np.random.Generator, rows: list[dict[str, Any]]) -> dict[str, dict[str, float]]:
    found = {}
    for name in sorted({each["defect"] for each in rows if each["label"] == 1}):
        part = [each for each in rows if each["label"] == 0 or each["defect"] == name]
        labels, scores = [each["label"] for each in part], [each["score"] for each in part]
        found[name] = {
            "images": sum(labels),
            "image/auroc": float(roc_auc_score(labels, scores)),
            "image/ap": float(average_precision_score(labels, scores)),
            "image/recall": float(np.mean([each["decision"] for each in part if each["label"] == 1])),
            "pixel/auroc": float(rng.uniform(0.9, 1)),
            "pixel/aupro_0.3": float(rng.uniform(0.7, 0.95)),
        }
    return found


def row(**changes: Any) -> dict[str, Any]:
    """One ledger row of a normal image that passed."""
    names = {"path": "a/0.png", "category": "bolt", "split": "test", "subset": "good", "defect": "good"}
    said = {"label": 0, "score": 1.0, "decision": False, "threshold": 2.0, "milliseconds": 12.5}
    said |= {"normalised": -0.5, "probability": None, "reported": None, "by_zones": None}
    rest = dict.fromkeys(("part", "condition", "group", "shift"), "")
    seen = {"height": 90, "width": 120, "defect_area": None, "defect_border": None}
    return names | said | rest | seen | changes


def _rows(
    rng: np.random.Generator, category: str, defects: dict[str, str], *, skill: float
) -> list[dict[str, Any]]:
    kinds = [("good", "good", 0)] * 30 + [
        (name, subset, 1) for name, subset in defects.items() for _ in range(14)
    ]
    shifts = dict(zip(defects, np.linspace(0.75, 1.25, len(defects)), strict=True))
    rows = []
    for number, (defect, subset, label) in enumerate(kinds):
        score = float(20 + rng.gamma(4.0, 0.5) + label * rng.gamma(2.5, 0.4) * skill * shifts.get(defect, 1))
        name = f"{category}/test/{defect}/{number:03d}.png"
        known = {"path": name, "category": category, "defect": defect, "subset": subset, "label": label}
        said = {"score": score, "threshold": 24.2, "decision": score > 24.2}
        rows.append(row(**known, **said, milliseconds=float(rng.gamma(40, 0.4))))
    return rows


def _numbers(rng: np.random.Generator, rows: list[dict[str, Any]]) -> dict[str, float]:
    scores, labels = np.array([r["score"] for r in rows]), np.array([r["label"] for r in rows])
    auroc = float(roc_auc_score(labels, scores))
    numbers = {
        "image/auroc": auroc,
        "image/ap": float(average_precision_score(labels, scores)),
        "image/f1_max": auroc - 0.03,
    }
    numbers |= {
        "pixel/auroc": 0.985,
        "pixel/ap": 0.62,
        "pixel/f1_max": 0.6,
        "pixel/aupro_0.3": 0.93 - 0.1 * rng.random(),
    }
    for subset in sorted({r["subset"] for r in rows} & {"logical", "structural"}):
        keep = np.array([r["label"] == 0 or r["subset"] == subset for r in rows])
        numbers[f"{subset}/image/auroc"] = float(roc_auc_score(labels[keep], scores[keep]))
        numbers |= {f"{subset}/pixel/auspro_0.05": 0.7 * auroc, "pixel/auspro_0.05": 0.7}
    return numbers


def _pictures(
    rng: np.random.Generator, root: Path, rows: list[dict[str, Any]], *, place: int, count: int
) -> list[dict[str, Any]]:
    gap = sorted(
        rows, key=lambda r: abs(r["score"] - r["threshold"]) * (1 if r["label"] == r["decision"] else -1)
    )
    entries = []
    for kind, chosen in (("worst", gap[:count]), ("best", gap[::-1][:count])):
        for rank, r in enumerate(chosen):
            tiles = {}
            for name, tile in drawn_tiles(rng, anomalous=r["label"] == 1, hue=37 * place).items():
                tiles[name] = f"heatmaps/{place}/{kind}_{rank:02d}_{name}.jpg"
                write_picture(root / tiles[name], tile)
            keys = ("category", "path", "defect", "subset", "label", "score", "threshold", "decision")
            entries.append({"kind": kind, "rank": rank, "tiles": tiles, **{key: r[key] for key in keys}})
    return entries


def drawn_tiles(
    rng: np.random.Generator, *, anomalous: bool, hue: int = 0, size: tuple[int, int] = (192, 240)
) -> dict[str, np.ndarray]:
    """A round part on a bench, with or without a scratch, and a heatmap that has mostly seen it."""
    height, width = size
    back = np.full((height, width, 3), (hue % 180, 40, 90), np.uint8)
    cv2.circle(
        back, (width // 2, height // 2), int(0.4 * min(size)), ((hue + 15) % 180, 60, 190), -1, cv2.LINE_AA
    )
    cv2.circle(back, (width // 2, height // 2), int(0.15 * min(size)), (hue % 180, 40, 70), -1, cv2.LINE_AA)
    mask = np.zeros(size, np.uint8)
    if anomalous:
        x, y = rng.integers(width // 3, width // 2), rng.integers(height // 4, height // 3)
        cv2.line(mask, (int(x), int(y)), (int(x) + 40, int(y) + 14), 1, 5)
    image = cv2.cvtColor(cv2.GaussianBlur(back, (0, 0), 1.2), cv2.COLOR_HSV2RGB).astype(np.float32)
    image = np.clip(image + rng.normal(0, 5, (*size, 1)) - 90 * mask[..., None], 0, 255).astype(np.uint8)
    coarse = rng.normal(0, 1, (height // 16, width // 16)).astype(np.float32)
    heat = 22 + cv2.resize(coarse, (width, height), interpolation=cv2.INTER_CUBIC)
    heat = (heat + 30 * cv2.GaussianBlur(mask.astype(np.float32), (0, 0), 7)).astype(np.float32)
    regions = [Region(0, 0, mask.astype(bool), 1.0)] if anomalous else []
    return heatmap_tiles(image, heatmap=heat, regions=regions, threshold=25.5, low=21.5, high=32.0)


def _environment() -> dict[str, Any]:
    return {
        "date": "2026-03-14T09:26:53",
        "seed": 0,
        "wall_seconds": 187.4,
        "peak_memory_bytes": 2_310_000_000,
        "git": {"revision": "4f2c91e", "dirty": False},
        "versions": {"python": "3.11.7", "torch": "2.8.0", "lightning": "2.5.1"},
        "hardware": {"device": "cpu", "name": "AMD EPYC 7B13", "threads": 8},
        "data": {"fingerprint": "sha256:9d0c6a1f", "images": 312},
        "command": "python train.py model=patchcore dataset=toy category=all seed=0",
        "warnings": ["The working tree had changes that are not committed."],
    }
