"""The setting `model.robust=` of methods that can leave training images out."""

from __future__ import annotations

from adframe.errors import AdframeError, above


def checked_robust(value: float | None) -> float | None:
    """Checks the setting.

    Args:
        value: number of scaled median absolute deviations, or None.

    Returns:
        The value.

    Raises:
        AdframeError: it is neither None nor a finite number above 0.

    Example:
        >>> checked_robust(5)
        5
    """
    if value is not None and (
        isinstance(value, bool) or not isinstance(value, int | float) or not above(value, 0)
    ):
        raise AdframeError(f"model.robust={value} must be null or a number above 0, such as 5")
    return value
