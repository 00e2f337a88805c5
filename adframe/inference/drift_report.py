"""Measures the drift of a stream of scores: the test with its guarantee, the alarm rate, plain measures."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any

import numpy as np

from adframe.inference.drift_reference import DriftReference
from adframe.inference.score_log import ScoreLog
from adframe.reporting.figure_drift import Block
from adframe.reporting.format import counted
from adframe.stats.alarm_rate import anytime_interval, exact_interval, more_alarms_p
from adframe.stats.distribution_shift import DistributionShift, distribution_shift
from adframe.stats.drift_monitor import DriftMonitor, DriftSettings

_MOST_BLOCKS, _FEWEST_PER_BLOCK = 40, 10


@dataclass(frozen=True, slots=True)
class AlarmRate:
    """How often images were called anomalous, compared with the promise.

    Attributes:
        alarms: number of images that were called anomalous.
        images: number of images.
        promised: highest rate that is expected, in [0, 1]: the guaranteed false-positive rate, and the stated
            share of anomalies; None for a threshold without a promise.
        exact: the exact 95 % interval of the rate, for a single look.
        exact_p: the exact p value of no more than the promised rate, for a single look; None without one.
        anytime: the interval of the rate that holds at every moment with a probability of 1 - alpha.
        exceeds: whether the lower end of `anytime` is above the promise.
    """

    alarms: int
    images: int
    promised: float | None
    exact: tuple[float, float]
    exact_p: float | None
    anytime: tuple[float, float]
    exceeds: bool


@dataclass(frozen=True, slots=True)
class DriftReport:
    """What a log says about drift.

    Attributes:
        reference: the scores of normal images.
        log: the stream.
        settings: what was looked for.
        alarm_at: number of the image at which drift was found, counted from 1; None without an alarm.
        anytime_p: the p value that may be looked at after every image.
        log_capital: (n,) natural logarithm of the capital after each image.
        log_limit: the value of it that gives the alarm.
        rate: the alarm rate.
        shift: plain measures over the whole stream.
        blocks: the stream in up to 40 parts of equal length.
        notes: what a reader must know before relying on the result.
    """

    reference: DriftReference
    log: ScoreLog
    settings: DriftSettings
    alarm_at: int | None
    anytime_p: float
    log_capital: np.ndarray
    log_limit: float
    rate: AlarmRate
    shift: DistributionShift
    blocks: tuple[Block, ...]
    notes: tuple[str, ...]

    @property
    def headline(self) -> str:
        """The result in one sentence."""
        images = counted(len(self.log.scores), "image")
        if self.alarm_at is None:
            return f"No drift found in {images}"
        when = self.log.times[self.alarm_at - 1]
        at = "" if when is None else f", {when:%Y-%m-%d %H:%M}"
        return f"Drift found at image {self.alarm_at:,} of {len(self.log.scores):,}{at}"

    def record(self) -> dict[str, Any]:
        """Returns everything as plain data for `drift.json`."""
        times = self.log.times
        found = None
        if self.alarm_at is not None:
            when = times[self.alarm_at - 1]
            found = {
                "number": self.alarm_at,
                "image": self.log.images[self.alarm_at - 1],
                "time": None if when is None else when.isoformat(),
            }
        return {
            "format": 1,
            "model": self.reference.model,
            "drift": self.alarm_at is not None,
            "alarm": found,
            "anytime_p": self.anytime_p,
            "settings": asdict(self.settings),
            "reference": {"images": len(self.reference.scores), "source": self.reference.source},
            "images": len(self.log.scores),
            "without_score": self.log.unread,
            "log_capital": {"last": float(self.log_capital[-1]), "limit": self.log_limit},
            "alarm_rate": asdict(self.rate),
            "shift": asdict(self.shift),
            "blocks": [asdict(block) | {"time": _iso(block.time)} for block in self.blocks],
            "notes": list(self.notes),
        }


def measure_drift(reference: DriftReference, log: ScoreLog, settings: DriftSettings) -> DriftReport:
    """Compares a stream of scores with scores of normal images.

    Args:
        reference: what it is compared with.
        log: the stream.
        settings: what is looked for.

    Returns:
        The report.

    Raises:
        AdframeError: there is no finite reference score.

    Example:
        >>> draws = np.random.default_rng(0)
        >>> scores = np.concatenate([draws.normal(size=50), draws.normal(size=50) + 3])
        >>> log = ScoreLog(("",) * 100, (None,) * 100, scores, scores > 2, (2.0,), ("trained",), 0)
        >>> reference = DriftReference("screw", draws.normal(size=100), "100 normal images", rate=0.02)
        >>> report = measure_drift(reference, log, DriftSettings())
        >>> report.headline, report.rate.exceeds
        ('Drift found at image 52 of 100', True)
    """
    monitor = DriftMonitor(reference.scores, settings)
    capital = np.array([monitor.update(score) for score in log.scores.tolist()])
    return DriftReport(
        reference=reference,
        log=log,
        settings=settings,
        alarm_at=monitor.alarm_at,
        anytime_p=monitor.anytime_p,
        log_capital=capital,
        log_limit=monitor.log_limit,
        rate=alarm_rate(int(log.alarms.sum()), len(log.scores), guaranteed=reference.rate, settings=settings),
        shift=distribution_shift(reference.scores, log.scores),
        blocks=_blocks(reference.scores, log),
        notes=_notes(reference, log, settings),
    )


def alarm_rate(alarms: int, images: int, *, guaranteed: float | None, settings: DriftSettings) -> AlarmRate:
    """Compares a number of alarms with what is expected.

    Args:
        alarms: number of images that were called anomalous.
        images: number of images.
        guaranteed: the false-positive rate that the threshold guarantees; None without one.
        settings: with alpha and the expected share of anomalies.

    Returns:
        The comparison.
    """
    promised = None if guaranteed is None else guaranteed + settings.share * (1 - guaranteed)
    anytime = anytime_interval(alarms, images, alpha=settings.alpha)
    return AlarmRate(
        alarms=alarms,
        images=images,
        promised=promised,
        exact=exact_interval(alarms, images),
        exact_p=None if promised is None else more_alarms_p(alarms, images, rate=promised),
        anytime=anytime,
        exceeds=promised is not None and anytime[0] > promised,
    )


def _blocks(reference: np.ndarray, log: ScoreLog) -> tuple[Block, ...]:
    count = int(np.clip(len(log.scores) // _FEWEST_PER_BLOCK, 1, _MOST_BLOCKS))
    edges = np.linspace(0, len(log.scores), count + 1).astype(int)
    found = []
    for start, stop in zip(edges[:-1].tolist(), edges[1:].tolist(), strict=True):
        scores = log.scores[start:stop]
        low, middle, high = (float(value) for value in np.quantile(scores, (0.1, 0.5, 0.9)))
        shift = distribution_shift(reference, scores)
        found.append(
            Block(
                first=start + 1, last=stop, time=log.times[stop - 1], low=low, median=middle, high=high,
                alarms=int(log.alarms[start:stop].sum()), median_shift=shift.median_shift, psi=shift.psi,
                ks=shift.ks,
            )
        )  # fmt: skip
    return tuple(found)


def _notes(reference: DriftReference, log: ScoreLog, settings: DriftSettings) -> tuple[str, ...]:
    notes = []
    if settings.share:
        notes.append(
            f"Up to {100 * settings.share:g}% of anomalies, whatever their scores, are expected and give no "
            "alarm."
        )
    else:
        notes.append(
            "Anomalies in the stream move scores as well: an alarm says that the images are not like the "
            "reference, not why. Give the expected share of anomalies with --share."
        )
    if reference.is_refitted:
        notes.append(
            "The validation images joined the model after they were scored (refit=true), so that it gives "
            "new images lower scores: the guarantee holds for higher scores only. For both "
            "directions use refit=false, or give a log of other normal images with --reference."
        )
    if reference.several_per_part:
        notes.append(
            "Several images show one part, and are not independent: the guarantee needs one image per part."
        )
    if len(log.thresholds) > 1 or len(log.calibrations) > 1:
        names = ", ".join(log.calibrations)
        notes.append(
            f"The log has decisions by {counted(len(log.thresholds), 'threshold')} ({names}); the alarm rate "
            "mixes them. Drift itself is measured on scores."
        )
    if log.unread:
        notes.append(f"{counted(log.unread, 'image')} could not be read and have no score.")
    return tuple(notes)


def _iso(when: datetime | None) -> str | None:
    return None if when is None else when.isoformat()
