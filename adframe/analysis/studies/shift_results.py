"""Reads the runs of a sweep as cases of a domain shift: tested without the shift, with it, and adapted."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from adframe.analysis.settings import Setting, by_category, methods_of
from adframe.errors import AdframeError
from adframe.results.frame import OWN, RECALIBRATED, TestResult, load_results
from adframe.results.names import DOMAINS, is_own
from adframe.results.sweep_folder import SweepFolder

CLEAN, FROZEN = "clean", "nothing adapted"
THRESHOLD, REFITTED = "threshold recalibrated", "model refitted"
_MEANINGS = {  # condition -> what it means
    CLEAN: "without the shift",
    FROZEN: "with the shift; the model and its threshold are those of clean images",
    THRESHOLD: "with the shift; the threshold was fitted again, to shifted validation images",
    REFITTED: "with the shift; the model and its threshold were fitted again, to shifted images",
}
_DEFAULT_DOMAIN = "shifted"  # the domain of conf/experiment/domain_shift.yaml, whatever its shift is
SHIFT_GROUPS = ("shift", DOMAINS)  # groups of the configuration that do not distinguish methods


@dataclass(frozen=True)
class ShiftCase:
    """One method under two or more conditions: mostly without and with a shift.

    The study of global models uses the same record, with one model per category as `clean` and one model for
    all as `frozen`, so that it has the same tables and figures.

    Attributes:
        method: name that distinguishes the method from the sweep's others.
        domain: name of the shift.
        clean: the tests on unshifted images.
        frozen: the tests of the same model and threshold on shifted images.
        threshold: the tests of the same model with a threshold that was fitted to shifted validation images;
            None without such tests.
        refitted: the tests of another model that was fitted and calibrated on shifted images; None without
            such a run.

    Example:
        >>> case = ShiftCase("patchcore", "severe", Setting(CLEAN, {}, {}), Setting(FROZEN, {}, {}))
        >>> [condition.name for condition in case.conditions]
        ['clean', 'nothing adapted']
    """

    method: str
    domain: str
    clean: Setting
    frozen: Setting
    threshold: Setting | None = None
    refitted: Setting | None = None

    @property
    def conditions(self) -> list[Setting]:
        """The conditions that were tested, from clean to refitted."""
        known = (self.clean, self.frozen, self.threshold, self.refitted)
        return [each for each in known if each is not None]

    @property
    def rankings(self) -> list[Setting]:
        """The conditions with different image scores; another threshold changes only the decisions."""
        return [each for each in (self.clean, self.frozen, self.refitted) if each is not None]

    @property
    def categories(self) -> tuple[str, ...]:
        """The categories that were tested under all conditions."""
        return tuple(
            name for name in self.clean.categories if all(name in each.tests for each in self.conditions)
        )


def shift_cases(sweep: SweepFolder) -> list[ShiftCase]:
    """Reads every method under every domain.

    Args:
        sweep: a finished sweep.

    Returns:
        The cases in the order of the runs.

    Raises:
        AdframeError: no run was tested both on unshifted images and under another domain.
    """

    def setting_or_none(name: str, tests: Sequence[TestResult]) -> Setting | None:
        return Setting(name, {}, by_category(tests)) if tests else None

    found = []
    for method, tests in methods_of(load_results(sweep.finished), sweep.varied, ignored=SHIFT_GROUPS).items():
        unshifted = [test for test in tests if not is_shifted(test.config)]
        for domain in dict.fromkeys(test.domain for test in unshifted if test.domain):
            shifted = [test for test in unshifted if test.domain == domain]
            frozen = [test for test in shifted if test.threshold == OWN]
            recalibrated = [test for test in shifted if test.threshold == RECALIBRATED]
            refitted = [test for test in tests if test.own and _is_fitted_under(test.config, domain)]
            found.append(
                ShiftCase(
                    method,
                    _domain_name(unshifted[0].config, domain),
                    clean=Setting(CLEAN, {}, by_category([test for test in unshifted if test.own])),
                    frozen=Setting(FROZEN, {}, by_category(frozen)),
                    threshold=setting_or_none(THRESHOLD, recalibrated),
                    refitted=setting_or_none(REFITTED, refitted),
                )
            )
    if not found:
        raise AdframeError(
            f"{sweep.path} has no run on unshifted images (shift=none) that was also tested under another "
            "domain, so there is no shift to study; add +shift@domains.<name>=<shift>"
        )
    return found


def conditions_text(cases: Sequence[ShiftCase]) -> str:
    """Explains the conditions under which the methods were tested.

    Args:
        cases: the cases of the study.

    Returns:
        One sentence with the conditions that any case has.
    """
    tested = {condition.name for case in cases for condition in case.conditions}
    parts = [f"{name} ({meaning})" for name, meaning in _MEANINGS.items() if name in tested]
    return f"The conditions of the test: {', '.join(parts)}."


def _domain_name(config: Mapping[str, Any], domain: str) -> str:
    """Returns the name of a domain; that of its shift where the domain has only the name of the default."""
    shift = (config.get(DOMAINS) or {}).get(domain) or {}
    return str(shift.get("name") or domain) if domain == _DEFAULT_DOMAIN else domain


def is_shifted(config: Mapping[str, Any]) -> bool:
    """Returns whether a run's own images are shifted.

    Args:
        config: the run's configuration.

    Returns:
        Whether its shift has transforms and is applied to any split.

    Example:
        >>> is_shifted({"shift": {"transforms": [], "splits": ["test"]}})
        False
    """
    return bool(config["shift"]["transforms"]) and bool(config["shift"]["splits"])


def _is_fitted_under(config: Mapping[str, Any], domain: str) -> bool:
    """Returns whether a run was fitted, calibrated and tested under a domain."""
    all_splits = {"train", "val", "test"} <= set(config["shift"]["splits"])
    has_domain = domain in (config.get(DOMAINS) or {})
    return is_shifted(config) and all_splits and has_domain and is_own(config, domain)
