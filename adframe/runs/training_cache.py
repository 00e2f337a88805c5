"""A training is kept and shared by every run that differs from it only in how it scores."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from adframe.contracts import Gradient
from adframe.data.datamodule import AnomalyData
from adframe.data.validate_files import fingerprint
from adframe.io.checksummed import UnusableError, read_sealed, write_sealed
from adframe.io.images import READING_VERSION
from adframe.reporting.console import warn

FORMAT = "2"  # of the files; another number makes older ones count as missing
KEYS = ("model", "learning", "shift", "split", "holdout", "image_size", "keep_aspect", "batch_size", "seed")
ASIDE = ("scoring",)  # of the model: no training depends on it
LATER = ("pictures", "cache_mb")  # of learning: the same


class Learned:
    """A file a training in the store, named by everything that the training depends on.

    A file that is damaged, or holds another training, counts as missing; that is said once.

    Args:
        folder: of the store.
        key: of the training.
    """

    def __init__(self, folder: Path, *, key: str) -> None:
        self.path = folder / "learned" / f"{key}.ckpt"
        self._identity = {"format": FORMAT, "training": key}

    def fill(self, detector: Gradient) -> dict[str, float] | None:
        """Gives a detector what was learned, and returns what was noted then; None where nothing is kept."""
        try:
            stored = read_sealed(self.path, identity=self._identity)
        except FileNotFoundError:
            return None
        except UnusableError as error:
            warn(f"{self.path} {error}; it counts as missing, is learned again and written again")
            return None
        detector.load_learned(stored["state"])
        facts: dict[str, float] = stored["facts"]
        return facts | {"learning/shared": 1.0}

    def keep(self, detector: Gradient, facts: Mapping[str, float]) -> None:
        """Writes what was learned, whole or not at all."""
        content = {"state": detector.learned(), "facts": dict(facts)}
        write_sealed(self.path, content, identity=self._identity)


def learned_store(folder: Path, settings: Mapping[str, Any], detector: Any, data: AnomalyData) -> Learned:
    """Where a training is kept.

    Args:
        folder: of the store.
        settings: everything else that the training depends on, as plain data.
        detector: the method, with the digest of its weights.
        data: the images of the training.
    """
    used = [record for record in data.records if record.split != "test"]
    facts = dict(settings) | {
        "weights": detector.backbone.digest,
        "data": fingerprint(used, root=Path(data.source.root)),
        "pixels": (READING_VERSION, data.view.preprocess, [record.bits for record in used]),
        "splits": [(record.path.name, record.split) for record in used],
    }
    text = json.dumps(facts, sort_keys=True, default=str)
    return Learned(folder, key=hashlib.sha256(text.encode()).hexdigest()[:32])


def settings_of_training(config: Mapping[str, Any]) -> dict[str, Any]:
    """What of a configuration a training depends on, as plain data."""
    told = {key: config[key] for key in KEYS}
    told["model"] = {key: value for key, value in config["model"].items() if key not in ASIDE}
    told["learning"] = {key: value for key, value in config["learning"].items() if key not in LATER}
    told["synthesis"] = config["synthesis"] if config["learning"]["synthetic"] else None
    told["precision"] = config["trainer"].get("precision")
    return told
