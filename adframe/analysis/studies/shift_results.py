"""What the runs of a sweep say about domain shifts: tested clean, shifted, and adapted."""

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
ASIDE = ("shift", DOMAINS)  # groups of the configuration that make no other method


@dataclass(frozen=True)
class ShiftCase:
    """One method under one domain.

    Attributes:
        method: what distinguishes the method from the sweep's others.
        domain: the name of the shift.
        clean: tested on the images as they are.
        frozen: the same model and threshold, on shifted images.
        threshold: the same model, its threshold fitted to shifted validation images; None if there is none.
        refitted: another model, fitted and calibrated on shifted images; None if there is no such run.
    """

    method: str
    domain: str
    clean: Setting
    frozen: Setting
    threshold: Setting | None = None
    refitted: Setting | None = None

    @property
    def conditions(self) -> list[Setting]:
        """Those that there are, from clean to refitted."""
        known = (self.clean, self.frozen, self.threshold, self.refitted)
        return [each for each in known if each is not None]

    @property
    def rankings(self) -> list[Setting]:
        """The conditions that rank images differently: another threshold does not."""
        return [each for each in (self.clean, self.frozen, self.refitted) if each is not None]

    @property
    def categories(self) -> tuple[str, ...]:
        """The categories that were tested under all conditions."""
        return tuple(
            name for name in self.clean.categories if all(name in each.tests for each in self.conditions)
        )


def shift_cases(sweep: SweepFolder) -> list[ShiftCase]:
    """Every method under every domain, in the order of the runs.

    Raises:
        AdframeError: no run was tested on images as they are and under another domain.
    """
    found = []
    for method, tests in methods_of(load_results(sweep.finished), sweep.varied, aside=ASIDE).items():
        base = [test for test in tests if not is_shifted(test.config)]
        for domain in dict.fromkeys(test.domain for test in base if test.domain):
            again = [test for test in tests if test.own and _learned_from(test.config, domain)]
            found.append(
                ShiftCase(
                    method,
                    domain,
                    clean=_setting(CLEAN, [test for test in base if test.own]),
                    frozen=_setting(FROZEN, _under(base, domain, threshold=OWN)),
                    threshold=_setting_or_none(THRESHOLD, _under(base, domain, threshold=RECALIBRATED)),
                    refitted=_setting_or_none(REFITTED, again),
                )
            )
    if not found:
        raise AdframeError(
            f"{sweep.path} has no run on images as they are (shift=none) that was also tested under another "
            "domain (+shift@domains.<name>=<shift>); there is no shift to study"
        )
    return found


def is_shifted(config: Mapping[str, Any]) -> bool:
    """Whether a run's own images are shifted."""
    return bool(config["shift"]["transforms"]) and bool(config["shift"]["splits"])


def _under(tests: Sequence[TestResult], domain: str, *, threshold: str) -> list[TestResult]:
    return [test for test in tests if test.domain == domain and test.threshold == threshold]


def _setting(name: str, tests: Sequence[TestResult]) -> Setting:
    return Setting(name, {}, by_category(tests))


def _setting_or_none(name: str, tests: Sequence[TestResult]) -> Setting | None:
    return _setting(name, tests) if tests else None


def _learned_from(config: Mapping[str, Any], domain: str) -> bool:
    """Whether a run was fitted, calibrated and tested under a domain."""
    whole = {"train", "val", "test"} <= set(config["shift"]["splits"])
    return is_shifted(config) and whole and domain in (config.get(DOMAINS) or {}) and is_own(config, domain)
