"""The threshold and its doubts in sentences, for people who do not read metrics."""

from __future__ import annotations

from adframe.calibration.rules import rate_text
from adframe.reporting.tables import shown
from adframe.reporting.threshold_summary import (
    UNLIKE_VALIDATION,
    CategoryThresholds,
    category_thresholds,
    image_rule,
)
from adframe.results.run_folder import RunFolder

_LISTED = 3  # names of categories in a sentence


def threshold_text(run: RunFolder) -> str:
    """Says how the threshold was chosen, and which false-positive rate it promises.

    Args:
        run: the run.

    Returns:
        Two sentences; "" for a run without thresholds.
    """
    lines = [line for line in category_thresholds(run) if line.threshold is not None]
    if not lines:
        return ""
    images = sorted({line.images for line in lines if line.images is not None})
    numbers = f"{images[0]:,}" if len(images) == 1 else f"{images[0]:,} to {images[-1]:,}" if images else ""
    noun = "image" if images == [1] else "images"
    is_common = len({line.threshold for line in lines}) == 1
    each = "" if is_common else " each"
    source = f" from the scores of {numbers} normal validation {noun}{each}" if images else ""
    rule = f" by the rule {image_rule(run)}" if image_rule(run) else ""
    chosen = f"{source}{rule}"
    if is_common:
        start = f"An image is called anomalous if its score is above {shown(lines[0].threshold)}"
        start += f", a threshold that was chosen{chosen}." if chosen else "."
    else:
        start = (
            f"Each category has its own threshold, chosen{chosen}."
            if chosen
            else "Each category has its own threshold."
        )
    return " ".join(text for text in (start, _promise(lines)) if text)


def warning_text(run: RunFolder) -> str:
    """Warns of categories in which the threshold cannot keep a false-positive rate.

    Args:
        run: the run.

    Returns:
        One sentence; "" where the normal test images look like the validation images.
    """
    unlike = [name for name in run.environment.get(UNLIKE_VALIDATION) or {} if name in run.categories]
    if not unlike:
        return ""
    return (
        f"The normal test images of {_listed(unlike)} do not look like the validation images, so no "
        "false-positive rate can be promised for them."
    )


def _promise(lines: list[CategoryThresholds]) -> str:
    """Returns the sentence of all categories; where they differ, one that counts those with enough images."""
    sentences = {line.sentence for line in lines}
    if len(sentences) == 1:
        return sentences.pop() or "The rule promises no false-positive rate."
    known = [line for line in lines if line.sentence]
    few = [line.expected for line in known if not line.is_supported and line.expected is not None]
    start = (
        f"A false-positive rate of {rate_text(known[0].promised or 0)} needs {known[0].needed:,} normal "
        "validation images"
    )
    if not few:
        return f"{start}, and every category has as many."
    return (
        f"{start}: {len(known) - len(few)} of {len(lines)} categories have as many; in the others up to "
        f"{rate_text(max(few))} of other normal images exceed the threshold on average."
    )


def _listed(names: list[str]) -> str:
    shortened = names[:_LISTED] + ([f"{len(names) - _LISTED} more"] if len(names) > _LISTED else [])
    return shortened[0] if len(shortened) == 1 else f"{', '.join(shortened[:-1])} and {shortened[-1]}"
