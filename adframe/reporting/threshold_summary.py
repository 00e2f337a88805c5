"""Describes the thresholds of a run: the rules that chose them, and the validation images behind them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from adframe.calibration.rules import FixedFpr, Quantile, images_needed, promise_sentence
from adframe.reporting.run_facts import finite_number
from adframe.reporting.summary import confusion
from adframe.results.names import name_of
from adframe.results.run_folder import RunFolder

UNLIKE_VALIDATION = "unlike_validation"  # fact of a run: category -> p value of the check
_RULES = {
    "Quantile": "quantile {q:g}",
    "MeanStd": "mean + {deviations:g} std",
    "FixedFpr": "false-positive rate {fpr:g} (split conformal)",
    "BestF1": "best F1",
}
_UNLIKE = (
    "This holds for images like those of validation only, and the normal test images are different: see the "
    "warning."
)
_SCALES = {"z_score": "scores also as z-scores", "ecdf": "scores also as ranks among normal scores"}
_PROBABILITIES = {
    "isotonic": "probabilities by isotonic regression",
    "platt": "probabilities by Platt scaling",
}


@dataclass(frozen=True, slots=True)
class CategoryThresholds:
    """The thresholds of a category.

    Attributes:
        category: its name.
        threshold: of image scores (raw); None where it is unknown.
        images: number of normal validation images behind it.
        floor: the lowest false-positive rate that this number of images can guarantee, in [0, 1].
        test_fpr: the false-positive rate on the normal test images, in [0, 1].
        pixel_threshold: of anomaly maps (raw).
        pixels: number of pixels of normal validation images behind it.
        promised: the false-positive rate that the rule promises, in (0, 1); None for a rule without a rate.
        expected: the highest mean rate that the rule guarantees with this number of images.

    Example:
        >>> known = {"pixel_threshold": None, "pixels": None, "promised": 0.01, "expected": 0.024}
        >>> row = CategoryThresholds("bottle", 1.5, 40, 0.024, 0.05, **known)
        >>> row.needed, row.is_supported
        (99, False)
    """

    category: str
    threshold: float | None
    images: int | None
    floor: float | None
    test_fpr: float | None
    pixel_threshold: float | None
    pixels: int | None
    promised: float | None = None
    expected: float | None = None

    @property
    def needed(self) -> int | None:
        """The number of normal validation images that the promised rate needs; None without such a rate."""
        return None if self.promised is None else images_needed(self.promised)

    @property
    def is_supported(self) -> bool:
        """Whether there are enough images for the promised rate; True where no rate is promised."""
        return self.needed is None or self.images is None or self.images >= self.needed

    @property
    def sentence(self) -> str:
        """Says how many images the promised rate needs, and how many there are; "" where that is unknown."""
        if self.promised is None or self.images is None or self.expected is None:
            return ""
        return promise_sentence(self.promised, images=self.images, expected=self.expected)


def calibration_name(run: RunFolder) -> str:
    """Describes the calibration rules with their settings.

    Args:
        run: the run.

    Returns:
        For example `quantile 0.995 on images, mean + 3 std on pixels`.
    """
    node = _calibration_config(run)
    if not node:
        return name_of(run.config.get("calibration"))
    if "image" not in node:  # older runs have a single rule, for image scores
        return _rule_text(node)
    pixel = f", {_rule_text(node['pixel'])} on pixels" if node.get("pixel") else ""
    return "; ".join([f"{_rule_text(node['image'])} on images{pixel}", *_extras(node)])


def image_rule(run: RunFolder) -> str:
    """Describes the rule of the image threshold.

    Args:
        run: the run.

    Returns:
        For example `quantile 0.995`; "" for a run without a calibration.
    """
    node = _calibration_config(run)
    return _rule_text(node.get("image", node) or run.config.get("calibration"))


def pixel_rule(run: RunFolder) -> str:
    """Describes the rule of the pixel threshold.

    Args:
        run: the run.

    Returns:
        For example `mean + 3 std`; "" without a pixel threshold.
    """
    return _rule_text(_calibration_config(run).get("pixel"))


def category_thresholds(run: RunFolder) -> list[CategoryThresholds]:
    """Collects the thresholds of every category.

    Args:
        run: the run.

    Returns:
        One record per category; a threshold that metrics.json lacks is taken from the predictions.
    """
    return [_thresholds_of(run, name) for name in run.categories]


def promise_sentences(run: RunFolder) -> list[str]:
    """Says of each model how many images its false-positive rate needs, and how many there are.

    Args:
        run: the run.

    Returns:
        One sentence for all categories with the same number of images; none for a rule without a rate. A
        category whose validation images differ from its test images has no rate to rely on.
    """
    names: dict[str, list[str]] = {}
    lines = category_thresholds(run)
    unlike = run.environment.get(UNLIKE_VALIDATION) or {}
    for line in lines:
        if line.sentence:
            text = f"{line.sentence} {_UNLIKE}" if line.category in unlike else line.sentence
            names.setdefault(text, []).append(line.category)
    if len(names) == 1 and len(next(iter(names.values()))) == len(lines):
        return list(names)
    return [f"{', '.join(categories)}: {sentence}" for sentence, categories in names.items()]


def _thresholds_of(run: RunFolder, name: str) -> CategoryThresholds:
    rows = [row for row in run.rows if row["category"] == name]
    known = run.facts_of(name)
    thresholds = [row["threshold"] for row in rows if finite_number(row["threshold"]) is not None]
    threshold = finite_number(known.get("calibration/threshold"))
    images = finite_number(known.get("calibration/n"))
    floor = finite_number(known.get("calibration/fpr_floor"))
    if floor is None and images is not None:
        floor = 1 / (images + 1)
    pixels = finite_number(known.get("calibration/pixels"))
    promised = finite_number(known.get("calibration/promised_fpr"))
    expected = finite_number(known.get("calibration/expected_fpr"))
    rule = _promising_rule(run)
    if (
        promised is None and rule is not None and rule.promised_rate is not None and images
    ):  # runs of earlier versions lack the two facts
        promised, expected = rule.promised_rate, rule.expected_rate(int(images))
    return CategoryThresholds(
        category=name,
        threshold=threshold if threshold is not None else (thresholds[0] if thresholds else None),
        images=None if images is None else int(images),
        floor=floor,
        test_fpr=confusion(rows).fpr,
        pixel_threshold=finite_number(known.get("calibration/pixel_threshold")),
        pixels=None if pixels is None else int(pixels),
        promised=promised,
        expected=expected,
    )


def _promising_rule(run: RunFolder) -> Quantile | FixedFpr | None:
    """Builds the image rule of the configuration, where it promises a false-positive rate."""
    node = _calibration_config(run)
    rule = node.get("image", node)
    if not isinstance(rule, Mapping):
        return None
    q, fpr = finite_number(rule.get("q")), finite_number(rule.get("fpr"))
    if q is not None and 0 < q < 1:
        return Quantile(q=q)
    return FixedFpr(fpr=fpr) if fpr is not None and 0 < fpr < 1 else None


def _calibration_config(run: RunFolder) -> Mapping[str, Any]:
    node = run.config.get("calibration")
    return node if isinstance(node, Mapping) else {}


def _rule_text(node: object) -> str:
    name = name_of(node)
    settings = (
        {k: v for k, v in node.items() if finite_number(v) is not None} if isinstance(node, Mapping) else {}
    )
    try:
        return _RULES[name].format_map(settings)
    except KeyError:  # a rule of the user's own code, or a missing setting
        listed = ", ".join(f"{key} {value:g}" for key, value in settings.items())
        return f"{name} ({listed})" if listed else name


def _extras(node: Mapping[str, Any]) -> list[str]:
    zones = finite_number(node.get("zones")) or 1
    known = (_SCALES.get(str(node.get("normalisation"))), _PROBABILITIES.get(str(node.get("probability"))))
    grid = [f"{zones:g} × {zones:g} zones with their own thresholds"] if zones > 1 else []  # noqa: RUF001
    return grid + [text for text in known if text]
