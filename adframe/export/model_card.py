"""The model card of a bundle: its numbers with intervals, where its threshold comes from, and its limits."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from adframe.errors import AdframeError
from adframe.export.bundle import read_about
from adframe.export.hub import PREFIX
from adframe.export.manifest import VALIDATION as VALIDATION_FILE
from adframe.export.manifest import Manifest, bundle_reference, read_manifest
from adframe.export.parity_page import parity_sentences
from adframe.export.run_results import RESULTS
from adframe.inference.results import TRAINED
from adframe.reporting.format import capitalised, counted, percent, span, title_of
from adframe.reporting.run_facts import DATASETS
from adframe.results.names import TITLES

_LICENCE = re.compile(r"cc by(-[a-z]{2})*(-[a-z]{2})? \d\.\d")


def model_card(bundle: Path, repository: str) -> str:
    """Writes the README.md of a repository on the Hub.

    Args:
        bundle: the folder of the bundle.
        repository: `owner/name`.

    Returns:
        Markdown with YAML front matter.

    Raises:
        AdframeError: the bundle is damaged.
    """
    manifest, about = read_manifest(bundle), read_about(bundle)
    results, parity = (_read(bundle, name, manifest) for name in (RESULTS, "parity.json"))
    method, dataset = about.get("method") or "A method", DATASETS.get(results.get("dataset", ""), "")
    dataset = dataset or results.get("dataset", "")
    of = f" of {dataset}" if dataset else ""
    lines = [
        "---",
        yaml.safe_dump(_front_matter(manifest, about, results), sort_keys=False, allow_unicode=True).rstrip(),
        "---",
        "",
        f"# {method} on {manifest.category}{of}",
        "",
        f"A trained model for visual anomaly detection ({method}"
        + (f", backbone {about['backbone']}" if about.get("backbone") else "")
        + f"), packed by adframe for {_runtime(manifest)} in {about.get('precision', 'fp32')}. It scores an "
        "image, compares the score with a threshold, and marks anomalous pixels.",
        "",
        "```python",
        "import adframe",
        f'detector = adframe.load("{PREFIX}{repository}")  # @<commit> pins a version',
        'result = detector.predict("image.png")',
        "result.anomalous, result.score, result.regions",
        "```",
        "",
        "The repository holds tensors, JSON and pages; nothing in it is run as code, and every file is",
        "checked against its hash in bundle.json.",
        "",
        "## Results",
        "",
        *_results(manifest, results),
        "",
        "## Threshold",
        "",
        *(f"- {line}" for line in _threshold(bundle, manifest, results)),
        "",
        "## Compared with the run",
        "",
        *(f"- {line}" for line in (parity_sentences(parity) if parity else ["It was not compared."])),
        "",
        "## Limits",
        "",
        *(f"- {line}" for line in _limits(manifest, about, results)),
    ]
    return "\n".join(lines) + "\n"


def _read(bundle: Path, name: str, manifest: Manifest) -> dict[str, Any]:
    """Returns a JSON file of the bundle; {} where it has none."""
    if name not in manifest.files:
        return {}
    try:
        found = json.loads((bundle / name).read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise AdframeError(f"{bundle / name} cannot be read: {error}") from error
    return dict(found)


def _runtime(manifest: Manifest) -> str:
    return "ONNX Runtime" if manifest.network.endswith(".onnx") else "OpenVINO"


def _front_matter(manifest: Manifest, about: Mapping[str, Any], results: Mapping[str, Any]) -> dict[str, Any]:
    known = _LICENCE.fullmatch(str(results.get("licence", "")).lower())
    tags = [
        "anomaly-detection", "visual-inspection", _runtime(manifest).lower().replace(" runtime", ""),
        str(about.get("method", "")).lower(), str(results.get("dataset", "")).lower().replace("_", "-"),
    ]  # fmt: skip
    return {
        "library_name": "adframe",
        "license": known[0].replace(" ", "-") if known else "other",
        **({} if known else {"license_name": "of-the-training-images"}),
        "tags": [tag for tag in dict.fromkeys(tags) if tag],
    }


def _results(manifest: Manifest, results: Mapping[str, Any]) -> list[str]:
    """Returns one table per tested category and domain."""
    if not results.get("tests"):
        return ["The bundle carries no test results of its run."]
    lines: list[str] = []
    if manifest.calibration_name != TRAINED:
        lines = ["Recall, FPR and other rates of decisions are those of the run's own thresholds.", ""]
    for test in results["tests"]:
        under = f" under the domain {test['domain']}" if test["domain"] else ""
        images = (
            f"{counted(test['normal'], 'normal image')} and {counted(test['anomalous'], 'anomalous image')}"
        )
        lines += [
            f"Category {test['category']}{under}: tested on {images}.",
            "",
            "| metric | value | 95% interval |",
            "|---|---|---|",
        ]
        for name in TITLES:
            value, low, high = test["metrics"].get(name) or (None, None, None)
            if value is not None:
                ends = span(*(math.nan if end is None else end for end in (low, high)))
                lines.append(f"| {capitalised(title_of(name))} | {percent(value)} | {ends} |")
        lines.append("")
    return lines[:-1]


def _threshold(bundle: Path, manifest: Manifest, results: Mapping[str, Any]) -> list[str]:
    fitted = manifest.calibration
    lines = [
        f"An image with a raw score above {fitted.threshold:.6g} is anomalous. The rule is "
        f"{fitted.statistic}, fitted to {counted(fitted.n, 'normal image')} of the {fitted.split} split"
        + (f" and {counted(fitted.anomalous, 'anomalous image')}" if fitted.anomalous else "")
        + f"; these thresholds are called {manifest.calibration_name}.",
        "With so many images no threshold guarantees a false-positive rate below "
        f"{percent(fitted.fpr_floor)}.",
        *results.get("promises", []),
    ]
    if VALIDATION_FILE in manifest.files and bundle_reference(bundle).is_refitted:
        lines.append("After that, these images joined the model, which gives new images lower scores.")
    return lines


def _limits(manifest: Manifest, about: Mapping[str, Any], results: Mapping[str, Any]) -> list[str]:
    product = manifest.category
    if product == "global":
        product = ", ".join(test["category"] for test in results.get("tests", ())) or "several products"
    lines = [
        f"It was fitted to images of {product}; on other products its scores mean nothing.",
        "It was tested on images of the same dataset. Another camera, light or lens changes scores: compare "
        "new scores with the validation scores (`adframe drift`), and fit the threshold again where they "
        "differ.",
    ]
    if results.get("shift"):
        lines.append(f"Its test images were changed by the domain shift {results['shift']}.")
    if not any(test["domain"] for test in results.get("tests", ())):
        lines.append("It was not tested under other domains.")
    if manifest.images is not None:
        facts = manifest.images
        low, high = facts.sides
        sides = f"{low}" if low == high else f"{low} to {high}"
        lines.append(
            f"Training images: {facts.count} in {'grey' if facts.grey else 'colour'}, shorter side {sides} "
            f"pixels. An image of another kind gets a warning, not a refusal."
        )
    height, width = manifest.size
    lines.append(
        f"The network sees {height}x{width} pixels (height x width): what is invisible at this size is "
        "missed."
    )
    if manifest.roi is not None:
        lines.append("It inspects a region of interest (roi.png), and takes images of its size only.")
    if about.get("precision") not in (None, "fp32"):
        lines.append(f"Its numbers are rounded to {about['precision']}; see above what that changed.")
    if results.get("licence"):
        home = f" ({results['homepage']})" if results.get("homepage") else ""
        lines.append(f"Licence of the training images: {results['licence']}{home}.")
    return lines
