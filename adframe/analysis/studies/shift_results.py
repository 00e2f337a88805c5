"""Which runs of a sweep tell what of a domain shift: tested clean, shifted, and adapted."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from adframe.analysis.studies.method_groups import Done, grouped
from adframe.analysis.studies.test_result import Condition, read_condition, recalibrated
from adframe.errors import AdframeError
from adframe.results.names import DOMAINS, is_own
from adframe.results.sweep_folder import Sweep

CLEAN, FROZEN = "clean", "nothing adapted"
THRESHOLD, REFITTED = "threshold recalibrated", "model refitted"


@dataclass(frozen=True, slots=True)
class Case:
    """One way to run a method, under one domain.

    Attributes:
        variant: what of the sweep besides the shift makes it what it is.
        domain: name of the shift.
        clean: tested on the images as they are.
        frozen: the same model and threshold, on shifted images.
        threshold: the same model, its threshold fitted to shifted validation images.
        refitted: another model, fitted and calibrated on shifted images; None where there is no such run.
    """

    variant: str
    domain: str
    clean: Condition
    frozen: Condition
    threshold: Condition | None
    refitted: Condition | None

    @property
    def conditions(self) -> list[Condition]:
        """Those that there are, from clean to refitted."""
        known = (self.clean, self.frozen, self.threshold, self.refitted)
        return [each for each in known if each is not None]

    @property
    def categories(self) -> tuple[str, ...]:
        """That were tested under all conditions."""
        return tuple(
            name for name in self.clean.categories if all(name in each.categories for each in self.conditions)
        )


def shift_cases(sweep: Sweep) -> list[Case]:
    """Every variant under every domain, in the order of the runs.

    Raises:
        AdframeError: no run was tested on images as they are and under a domain besides.
    """
    found = []
    for variant, runs in grouped(sweep, aside=("shift", DOMAINS)).items():
        base = next((run for run in runs if not _is_shifted(run.config)), None)
        folders = further_domains(base) if base else {}
        if base is None or not folders:
            continue
        clean = read_condition(base.path, name=CLEAN)
        for domain, folder in folders.items():
            refitted = next((run for run in runs if _learned_from(run.config, domain)), None)
            found.append(_case(variant, domain, clean, folder, refitted))
    if not found:
        raise AdframeError(
            f"{sweep.folder} has no run on images as they are (shift=none) with another domain beside it "
            "(+shift@domains.<name>=<shift>); there is no shift to study"
        )
    return found


def further_domains(run: Done) -> dict[str, Path]:
    """Where a run was tested besides, by domain."""
    places = {domain: run.path / DOMAINS / domain for domain in run.config.get(DOMAINS) or {}}
    return {domain: folder for domain, folder in places.items() if folder.is_dir()}


def _case(variant: str, domain: str, clean: Condition, folder: Path, refitted: Done | None) -> Case:
    frozen = read_condition(folder, name=FROZEN)
    return Case(
        variant=variant,
        domain=domain,
        clean=clean,
        frozen=frozen,
        threshold=recalibrated(frozen, name=THRESHOLD),
        refitted=read_condition(refitted.path, name=REFITTED) if refitted else None,
    )


def _is_shifted(config: Mapping[str, Any]) -> bool:
    return bool(config["shift"]["transforms"]) and bool(config["shift"]["splits"])


def _learned_from(config: Mapping[str, Any], domain: str) -> bool:
    """Whether a run was fitted, calibrated and tested under a domain."""
    whole = {"train", "val", "test"} <= set(config["shift"]["splits"])
    return _is_shifted(config) and whole and domain in (config.get(DOMAINS) or {}) and is_own(config, domain)
