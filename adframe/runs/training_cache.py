"""What one training has learned serves every run that differs only in how it scores."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from omegaconf import DictConfig, OmegaConf

from adframe.contracts import Gradient
from adframe.data.datamodule import AnomalyData
from adframe.data.validate_files import fingerprint
from adframe.io.checksummed import UnusableError, read_sealed, write_sealed
from adframe.io.images import READING
from adframe.reporting.console import warn

FORMAT = "2"  # of the files; another number makes older ones count as missing
KEYS = ("model", "learning", "shift", "split", "holdout", "image_size", "keep_aspect", "batch_size", "seed")
ASIDE = ("scoring",)  # of the model: no training hangs on it
LATER = ("pictures", "cache_mb")  # of learning: the same


class Learned:
    """A file a training in the store, named by everything that the training hangs on.

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
            warn(f"{self.path} {error}; it counts as missing, is learned again and written anew")
            return None
        detector.load_learned(stored["state"])
        facts: dict[str, float] = stored["facts"]
        return facts | {"learning/shared": 1.0}

    def keep(self, detector: Gradient, facts: Mapping[str, float]) -> None:
        """Writes what was learned, whole or not at all."""
        content = {"state": detector.learned(), "facts": dict(facts)}
        write_sealed(self.path, content, identity=self._identity)


def learned_store(cfg: DictConfig, detector: Any, data: AnomalyData) -> Learned | None:
    """Where this training is kept; None with `store=none`."""
    if cfg.store is None:
        return None
    plain: Any = OmegaConf.to_container(cfg, resolve=True)
    told = {key: plain[key] for key in KEYS}
    told["model"] = {key: value for key, value in plain["model"].items() if key not in ASIDE}
    told["learning"] = {key: value for key, value in plain["learning"].items() if key not in LATER}
    told["synthesis"] = plain["synthesis"] if plain["learning"]["synthetic"] else None
    told["precision"] = plain["trainer"].get("precision")
    told["weights"] = detector.backbone.digest
    used = [record for record in data.records if record.split != "test"]
    told["data"] = fingerprint(used, root=Path(data.source.root))
    told["pixels"] = (READING, data.view.preprocess, [record.bits for record in used])
    told["splits"] = [(record.path.name, record.split) for record in used]
    text = json.dumps(told, sort_keys=True, default=str)
    key = hashlib.sha256(text.encode()).hexdigest()[:32]
    return Learned(Path(str(cfg.store.folder)), key=key)
