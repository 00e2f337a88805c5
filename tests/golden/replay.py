"""Golden folders read by the scripts: which command reads which folder, and the CSV files that it writes."""

from __future__ import annotations

import shutil
import tarfile
from dataclasses import dataclass
from pathlib import Path

from tests.e2e.scripts import call

FOLDER = Path(__file__).parent
EXPECTED = FOLDER / "expected"
ROOT_SHOWN = "<golden>"  # in cells, in place of the folder into which the archives were unpacked


@dataclass(frozen=True, slots=True)
class Case:
    """One command.

    Attributes:
        script: `sweep` or `evaluate`.
        archives: the folders that it reads; it writes into the first.
        given: the overrides, with `{archive}` for the path of a folder.
        code: that the command ends with.
        written: pattern of the folder that the command makes below the first archive; `.`: the archive.
    """

    script: str
    archives: tuple[str, ...]
    given: tuple[str, ...]
    code: int = 0
    written: str = "."


def _sweep(name: str, *, code: int = 0) -> Case:
    return Case("sweep", (name,), (f"resume={{{name}}}",), code)


def _compare(*names: str, given: tuple[str, ...] = ()) -> Case:
    runs = ",".join(f"{{{name}}}" for name in names)
    return Case("evaluate", names, (f"compare=[{runs}]", *given), written="comparisons/*")


def _errors(*names: str) -> Case:
    runs = ",".join(f"{{{name}}}" for name in names)
    return Case("evaluate", names, (f"errors=[{runs}]",), written="errors/*")


SWEEPS = (
    "ablation", "datasets", "search", "domain_shift", "severity", "cross_shift", "cross_category",
    "global_model", "efficiency", "features",
)  # fmt: skip
RUNS = ("patchcore", "padim", "loco", "loco_random", "ad2", "calibrated", "sit", "lora")
SHIFTED = "patchcore/evaluations/*"  # of that run under a shift, in the same archive
CASES: dict[str, Case] = {
    **{name: _sweep(name) for name in SWEEPS},
    "failed": _sweep("failed", code=2),
    "compare": _compare("patchcore", "padim", given=("fuse=true",)),
    "compare_loco": _compare("loco", "loco_random"),
    "compare_shifted": _compare("patchcore", SHIFTED),
    "errors": _errors("patchcore", "padim"),
    "errors_loco": _errors("loco", "loco_random"),
    "errors_shifted": _errors("patchcore", SHIFTED),
    "errors_ad2": _errors("ad2"),
    "errors_calibrated": _errors("calibrated"),
    "errors_lora": _errors("lora"),
}


def unpack(place: Path, case: Case) -> None:
    """Lays a case's folders below `place`."""
    for name in dict.fromkeys(archive.partition("/")[0] for archive in case.archives):
        shutil.rmtree(place / name, ignore_errors=True)
        with tarfile.open(FOLDER / f"{name}.tar.xz") as packed:
            packed.extractall(place, filter="data")


def replay(name: str, place: Path) -> dict[str, str]:
    """Runs a case on the folders below `place`; returns the text of every CSV file, by its path.

    Raises:
        RuntimeError: the command ends with another code, or writes no CSV file.
    """
    case = CASES[name]
    found = {archive: str(next(place.glob(archive))) for archive in case.archives}
    outcome = call(case.script, *(_filled(text, found) for text in case.given))
    said = (
        f"{case.script}.py {' '.join(case.given)} ended with code {outcome.code}:\n{outcome.out}{outcome.err}"
    )
    if outcome.code != case.code:
        raise RuntimeError(said)
    (folder,) = (place / case.archives[0]).glob(case.written) if case.written != "." else [place / name]
    files = sorted([*folder.glob("*.csv"), *folder.glob("tables/*.csv")])
    if not files:
        raise RuntimeError(f"no CSV file is written; {said}")
    texts = {path.relative_to(folder).as_posix(): path.read_text() for path in files}
    return {path: text.replace(str(place), ROOT_SHOWN) for path, text in texts.items()}


def _filled(text: str, folders: dict[str, str]) -> str:
    for archive, folder in folders.items():
        text = text.replace(f"{{{archive}}}", folder)
    return text
