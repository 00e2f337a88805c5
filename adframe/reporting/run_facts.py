"""The verdict and the facts of a run, for its page."""

from __future__ import annotations

import math
import shlex
from collections.abc import Mapping

from adframe.reporting.summary import confusion, timing
from adframe.reporting.tables import DASH, shown
from adframe.results.names import MEAN, name_of
from adframe.results.run_folder import RunFolder

_METHODS = {"patchcore": "PatchCore", "padim": "PaDiM", "sit": "SiT", "dinov2_lora": "DINOv2-LoRA"}
DATASETS = {
    "mvtec_ad": "MVTec AD",
    "mvtec_loco": "MVTec LOCO",
    "mvtec_ad2": "MVTec AD 2",
    "mvtec_shift": "MVTec-Shift",
    "visa": "VisA",
    "btad": "BTAD",
}
# The lowest image AUROC of each verdict; the number always stands next to the words.
_VERDICTS = (
    (0.95, "finds the defects in"),
    (0.8, "finds most defects in"),
    (0.6, "finds some defects in"),
    (0.0, "is near chance on"),
)


def method(run: RunFolder) -> str:
    """The method's name as its paper writes it."""
    name = _chosen(run, "model", also="method")
    return _METHODS.get(name.lower(), name) or "The method"


def dataset(run: RunFolder) -> str:
    """The dataset's name as its paper writes it; "" where categories come from several."""
    name = _chosen(run, "dataset")
    return "" if name == "several" else DATASETS.get(name, name)


def verdict(run: RunFolder) -> str:
    """One sentence: who finds defects where, how well, and where worst."""
    names = run.categories
    count = f"{len(names)} {dataset(run)} categories".replace("  ", " ")
    where = count if len(names) != 1 else f"{names[0]} ({dataset(run)})".removesuffix(" ()")
    values = {name: _number(run.test.get(name, {}).get("image/auroc")) for name in names}
    known = {name: value for name, value in values.items() if value is not None}
    mean = _number(run.test.get(MEAN, {}).get("image/auroc"))
    if mean is None and known:
        mean = sum(known.values()) / len(known)
    if mean is None:
        return f"{method(run)} scored {where}; without labels of both kinds there is no image AUROC"
    words = next(text for least, text in _VERDICTS if mean >= least)
    sentence = f"{method(run)} {words} {where} with image AUROC {shown(mean, percent=True)}"
    if len(known) < 2:
        return sentence
    weakest = min(known, key=lambda name: known[name])
    return f"{sentence} (mean); weakest: {weakest} {shown(known[weakest], percent=True)}"


def facts(run: RunFolder) -> list[tuple[str, str]]:
    """The facts line: name and value; what is not known is left out."""
    got = run.environment.get
    shift = _chosen(run, "shift")
    pairs = [
        ("method", method(run)),
        ("backbone", _chosen(run, "backbone")),
        ("dataset", dataset(run)),
        ("shift", "" if shift == "none" else shift),
        ("scope", "one model for all" if run.config.get("scope") == "global" else ""),
        ("image size", _joined(run.config.get("image_size"))),
        ("seed", _joined(run.config.get("seed", got("seed")))),
        ("images tested", f"{len(run.rows)}" if run.rows else ""),
        ("memory bank", memory_bank(run)),
        ("date", str(got("date") or got("started") or got("finished") or "")[:16].replace("T", " ")),
        ("wall time", duration(_number(got("wall_seconds")))),
        ("peak memory", size(_number(got("peak_memory_bytes")))),
    ]
    return [(name, value) for name, value in pairs if value]


def tiles(run: RunFolder) -> list[tuple[str, str]]:
    """The few numbers that matter most: what each is, and its value."""
    row = run.test.get(MEAN) or (run.test.get(run.categories[0], {}) if len(run.categories) == 1 else {})
    ranked = {
        "image/auroc": "image AUROC",
        "pixel/auspro_0.05": "sPRO at FPR 0.05",
        "pixel/aupro_0.3": "AU-PRO at FPR 0.3",
        "pixel/auroc": "pixel AUROC",
    }
    known = [(text, shown(row[key], percent=True)) for key, text in ranked.items() if _known(row.get(key))]
    found = known[:2]
    counts = confusion(run.rows)
    if counts.recall is not None:
        found.append(("anomalous images found", f"{counts.found} of {counts.found + counts.missed}"))
    if counts.fpr is not None:
        alarms = f"{counts.false_alarms} of {counts.false_alarms + counts.passed}"
        found.append(("false alarms", alarms))
    median = timing(run.rows, name="").median
    return found + ([("per image, median", f"{shown(median)} ms")] if median is not None else [])


def model_facts(run: RunFolder, category: str) -> dict[str, float]:
    """What the model holds, by name: metrics.json's `model/<fact>`, such as `model/rows`."""
    both = {**run.test.get(category, {}), **run.val.get(category, {})}
    return {
        key.removeprefix("model/"): value
        for key, value in both.items()
        if key.startswith("model/") and value is not None
    }


def memory_bank(run: RunFolder) -> str:
    """The memory bank's rows, from the smallest to the largest category."""
    rows = [model_facts(run, name).get("rows") for name in (*run.categories, "global")]
    known = sorted({int(value) for value in rows if value is not None})
    if not known:
        return ""
    ends = f"{known[0]:,}" if len(known) == 1 else f"{known[0]:,} to {known[-1]:,}"
    return f"{ends} patches"


def command(run: RunFolder) -> str:
    """The command that repeats the run, or nothing."""
    value = run.environment.get("command")
    return shlex.join(map(str, value)) if isinstance(value, list) else str(value or "")


def duration(seconds: float | None) -> str:
    """41 s, 3 min 05 s, 2 h 07 min."""
    if seconds is None:
        return ""
    if seconds < 60:
        return f"{seconds:.1f} s" if seconds < 10 else f"{seconds:.0f} s"
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes} min {rest:02d} s" if minutes < 60 else f"{minutes // 60} h {minutes % 60:02d} min"


def size(amount: float | None) -> str:
    """Bytes as MB or GB, in powers of ten."""
    if amount is None:
        return ""
    return f"{amount / 1e9:.2f} GB" if amount >= 1e9 else f"{amount / 1e6:.1f} MB"


def flat(value: object, *, name: str = "") -> list[tuple[str, str]]:
    """A nested mapping as lines of dotted name and text."""
    if isinstance(value, Mapping):
        parts = (flat(item, name=f"{name}.{key}" if name else str(key)) for key, item in value.items())
        return [line for part in parts for line in part]
    number = _number(value)
    if name.endswith("seconds") and number is not None:
        return [(name, f"{number:,.1f} ({duration(number)})")]
    if name.endswith("bytes") and number is not None:
        return [(name, f"{number:,.0f} ({size(number)})")]
    return [(name, _joined(value) or DASH)]


def _chosen(run: RunFolder, key: str, *, also: str = "") -> str:
    """What was chosen by name: what the environment noted, or else what the configuration tells."""
    noted = run.environment.get(also or key)
    return noted if isinstance(noted, str) else name_of(run.config.get(key))


def _joined(value: object) -> str:
    if isinstance(value, list | tuple):
        return " × ".join(map(str, value)) if len(value) == 2 else ", ".join(map(str, value))  # noqa: RUF001
    return "" if value is None else str(value)


def _number(value: object) -> float | None:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    return float(value) if math.isfinite(value) else None


def _known(value: object) -> bool:
    return _number(value) is not None
