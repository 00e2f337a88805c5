"""Fits new thresholds to a trained model, and stores them next to those of the run.

`<run>/calibrations/<name>.json` holds what differs from the thresholds in the checkpoints, which stay as they
are.
"""

from __future__ import annotations

import copy
import json
import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np

from adframe.calibration.fitted import FittedCalibration
from adframe.calibration.rules import FixedFpr, Quantile, Rule, Sample, promise_sentence
from adframe.contracts import GEOMETRY, INDEX, RECORD, REGIONS, Geometry, Record
from adframe.errors import AdframeError, unknown
from adframe.inference.detector import TrainedDetector
from adframe.inference.images import InputImage
from adframe.inference.results import TRAINED
from adframe.io.files import write_json
from adframe.results.validation_scores import ValidationScores
from adframe.stats.score_shift import score_shift_p
from adframe.systems.validation import Validation

CALIBRATIONS = "calibrations"
_FORMAT = 1
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")
_LEVEL = 0.01  # one set of images in 100 is doubted without a reason


@dataclass(frozen=True, slots=True)
class Recalibration:
    """New thresholds of one model.

    Attributes:
        changes: fields of `FittedCalibration` by name, as plain data; the others stay as they were trained.
        source: the images to whose scores they were fitted.
        notes: what a user must know, such as how many images the promised rate needs.
    """

    changes: Mapping[str, Any]
    source: str
    notes: Sequence[str] = ()


def refit_to_scores(rule: Rule, scores: ValidationScores) -> Recalibration:
    """Fits an image threshold to the validation scores that a run has kept; pixel thresholds stay.

    Args:
        rule: the rule of the image threshold.
        scores: the scores.

    Returns:
        The threshold with its provenance.

    Raises:
        AdframeError: the rule needs anomalous images, and there is none.
    """
    sample = Sample.of(scores.normal, scores.anomalous)
    changes = {
        "threshold": rule.choose(sample),
        "statistic": rule.statistic(),
        "split": "val",
        "n": len(scores.normal),
        "anomalous": len(scores.anomalous) if rule.uses_anomalous else 0,
    }
    return Recalibration(changes, "validation images", _promise(rule, len(scores.normal)))


def refit_to_images(
    detector: TrainedDetector,
    rule: Rule,
    *,
    normal: Sequence[InputImage],
    anomalous: Sequence[InputImage] = (),
    known: ValidationScores | None = None,
    batch_size: int = 8,
) -> Recalibration:
    """Fits image and pixel thresholds, the readable scale and the probabilities to other images.

    Args:
        detector: the model.
        rule: the rule of the image threshold; that of pixels is the run's own.
        normal: normal images that the model was not fitted to.
        anomalous: anomalous images, for rules that need them.
        known: the validation scores of the run, to see whether the images look like its own; None without.
        batch_size: images that the network takes together.

    Returns:
        The thresholds with their provenance.

    Raises:
        AdframeError: an image cannot be read, there is no normal image, or the rule needs anomalous images.
    """
    calibrator = copy.deepcopy(detector.system.calibrator)
    calibrator.image = rule
    validation = Validation(zones=calibrator.zones)
    labelled = [(image, 0) for image in normal] + [(image, 1) for image in anomalous]
    results = detector.stream([image for image, _ in labelled], batch_size=batch_size)
    for place, ((_, label), result) in enumerate(zip(labelled, results, strict=True)):
        size = (result.heatmap.shape[0], result.heatmap.shape[1])  # raises where the image cannot be read
        record = Record(Path(result.name), category=detector.category, split="val", label=label)
        # The heatmap is in the original frame already.
        geometry = Geometry(original=size, view=(0, 0, *size), inside=result.inside)
        batch = {INDEX: [place], RECORD: [record], GEOMETRY: [geometry], REGIONS: None}
        validation.add(batch, scores=[result.score], maps=[result.heatmap])
    validation.fit(calibrator)
    scores = np.array(validation.scores()["normal"])
    notes = _promise(rule, len(scores))
    if known is not None:
        notes += _unlike(known.normal, scores)
    return Recalibration(asdict(calibrator.fitted), f"{len(labelled)} given images", notes)


def write_calibration(
    run: Path, name: str, found: Mapping[str, Recalibration], *, overwrite: bool = False
) -> Path:
    """Writes new thresholds next to those of the run.

    Args:
        run: the folder of the run.
        name: letters, digits, `.`, `_` and `-`; not `trained`.
        found: the thresholds of each model.
        overwrite: whether thresholds of this name are replaced.

    Returns:
        The file.

    Raises:
        AdframeError: the name is not possible or taken, or the file cannot be written.
    """
    if not _NAME.fullmatch(name) or name == TRAINED:
        raise AdframeError(f"a calibration cannot be called {name!r}; use letters, digits, '.', '_' and '-'")
    path = run / CALIBRATIONS / f"{name}.json"
    if path.exists() and not overwrite:
        raise AdframeError(
            f"{run} has a calibration {name} already; choose another --name or add --overwrite"
        )
    units = {
        unit: {"source": each.source, "notes": list(each.notes), "changes": dict(each.changes)}
        for unit, each in found.items()
    }
    now = datetime.now(UTC).isoformat(timespec="seconds")
    write_json(path, {"format": _FORMAT, "name": name, "created": now, "units": units})
    return path


def read_calibration(run: Path, name: str, unit: str) -> Recalibration:
    """Reads thresholds that `write_calibration` wrote.

    Args:
        run: the folder of the run.
        name: of the calibration.
        unit: a category, or `global`.

    Returns:
        The thresholds.

    Raises:
        AdframeError: there is no such calibration, not for this model, or the file is damaged.
    """
    path = run / CALIBRATIONS / f"{name}.json"
    if not path.is_file():
        known = [TRAINED, *sorted(file.stem for file in (run / CALIBRATIONS).glob("*.json"))]
        raise AdframeError(unknown("calibration", name, known, where=f"in {run}"))
    try:
        units = json.loads(path.read_text(encoding="utf-8"))["units"]
        if unit not in units:
            raise AdframeError(f"{path} has no thresholds for {unit}, only for {', '.join(units)}")
        stored = units[unit]
        found = Recalibration(stored["changes"], str(stored["source"]), tuple(stored["notes"]))
        names = {each.name for each in fields(FittedCalibration)}
        usable = set(found.changes) <= names and math.isfinite(found.changes["threshold"])
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise AdframeError(f"cannot read {path}: {error!r}; calibrate again") from error
    if not usable:
        raise AdframeError(f"{path} holds no thresholds; calibrate again")
    return found


def calibrated(detector: TrainedDetector, found: Recalibration, *, name: str) -> TrainedDetector:
    """Gives a model other thresholds.

    Args:
        detector: the model; it is changed.
        found: the thresholds.
        name: of the calibration, which results state.

    Returns:
        The same model.

    Raises:
        AdframeError: the thresholds do not fit the model.
    """
    try:
        detector.system.calibrator.set_extra_state(asdict(detector.calibration) | dict(found.changes))
    except (TypeError, AttributeError) as error:
        raise AdframeError(f"calibration {name} does not fit the model: {error}; calibrate again") from error
    detector.calibration_name = name
    return detector


def _promise(rule: Rule, images: int) -> list[str]:
    """Says how many images a promised rate needs, and how many there are; [] for a rule without a rate."""
    if not isinstance(rule, Quantile | FixedFpr) or rule.promised_rate is None:
        return []
    return [promise_sentence(rule.promised_rate, images=images, expected=rule.expected_rate(images))]


def _unlike(known: np.ndarray, new: np.ndarray) -> list[str]:
    p = score_shift_p(known, new)
    if not p < _LEVEL:
        return []
    if np.median(new) < np.median(known):
        reason = "lower: if the model was fitted to these images, their scores say nothing about new ones"
    else:
        reason = "higher: the images look different from those of the run"
    return [f"the scores of the given images are not like those of the validation images, but {reason}"]
