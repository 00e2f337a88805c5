"""Keeps a training for every run that differs from it only in how it scores."""

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
from adframe.io.picture_folder import PictureFolder
from adframe.reporting.notes import warn

_FILE_FORMAT = "2"  # files with another number count as missing
_TRAINING_KEYS = (
    "model", "learning", "shift", "split", "holdout", "shots", "contamination", "labelled",
    "image_size", "image_scale", "tiling", "roi", "keep_aspect", "batch_size", "seed",
)  # fmt: skip
# Settings on which no training depends.
_UNUSED_MODEL_KEYS = ("scoring",)
_UNUSED_LEARNING_KEYS = ("pictures", "cache_mb")
# Where a training runs, and what `training_settings` selects by itself. All others are options of Lightning.
_PLACE_KEYS = ("accelerator", "devices", "num_nodes", "ray", "gradient_checkpointing", "precision", "compile")


class StoredTraining:
    """The file of a training in the store, named by a hash of everything that the training depends on.

    A file that is damaged, or holds another training, counts as missing; a warning says so.

    Args:
        folder: the folder of the store.
        key: the hash that names the training.

    Example:
        >>> StoredTraining(Path("store"), key="0123abcd").path.as_posix()
        'store/learned/0123abcd.ckpt'
    """

    def __init__(self, folder: Path, *, key: str) -> None:
        self.path = folder / "learned" / f"{key}.ckpt"
        self._identity = {"format": _FILE_FORMAT, "training": key}

    def load_into(self, detector: Gradient) -> dict[str, float] | None:
        """Loads the training into a detector.

        Args:
            detector: the method, with the settings of the training.

        Returns:
            The numbers that were stored with the training; None where there is no usable file.
        """
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

    def save(self, detector: Gradient, facts: Mapping[str, float]) -> None:
        """Writes the training, either the whole file or nothing.

        Args:
            detector: the trained method.
            facts: numbers to store with it, such as the best epoch.
        """
        content = {"state": detector.learned(), "facts": dict(facts)}
        write_sealed(self.path, content, identity=self._identity)


def stored_training(
    folder: Path, settings: Mapping[str, Any], detector: Any, data: AnomalyData
) -> StoredTraining:
    """Returns the place of a training in the store.

    Args:
        folder: the folder of the store.
        settings: the settings of the training, as `training_settings` returns them.
        detector: the method; the digest of its backbone's weights becomes part of the name.
        data: the images of the training; their bytes and their split become part of the name.

    Returns:
        The training, whether its file exists or not.
    """
    used = [record for record in data.records if record.split != "test"]
    pictures = settings["model"].get("penalty_images")
    facts = dict(settings) | {
        "weights": detector.backbone.digest,
        "data": fingerprint(used, root=Path(data.source.root)),
        "pixels": (READING_VERSION, data.view.preprocess, [record.bits for record in used]),
        "splits": [(record.path.name, record.split) for record in used],
    }
    if pictures is not None:
        facts["pictures"] = PictureFolder(Path(str(pictures)), setting="model.penalty_images").listing()
    text = json.dumps(facts, sort_keys=True, default=str)
    return StoredTraining(folder, key=hashlib.sha256(text.encode()).hexdigest()[:32])


def training_settings(config: Mapping[str, Any]) -> dict[str, Any]:
    """Selects the settings of a configuration on which a training depends.

    Args:
        config: a whole configuration of a run, resolved.

    Returns:
        The settings as plain data.
    """
    settings = {key: config.get(key) for key in _TRAINING_KEYS}  # earlier versions have fewer
    for part, unused in (("model", _UNUSED_MODEL_KEYS), ("learning", _UNUSED_LEARNING_KEYS)):
        settings[part] = {key: value for key, value in config[part].items() if key not in unused}
    settings["synthesis"] = config["synthesis"] if config["learning"]["synthetic"] else None
    settings["precision"] = config["trainer"].get("precision")
    if config["trainer"].get("compile"):  # other rounding
        settings["compile"] = True
    if added := {key: value for key, value in config["trainer"].items() if key not in _PLACE_KEYS}:
        settings["trainer"] = added
    return settings
