"""The pictures of a run that its loggers show, with captions."""

from __future__ import annotations

from pathlib import Path

from adframe.results.features import features_finding, read_features
from adframe.results.gallery import read_gallery
from adframe.results.names import FEATURES_FOLDER

Pictures = dict[str, list[tuple[Path, str]]]


def run_pictures(run: Path) -> Pictures:
    """Lists the pictures of the gallery, and the figures of features before and after adaptation.

    Args:
        run: the folder of a finished run.

    Returns:
        Name such as `heatmaps/tray/worst` -> files with their captions; those of one image have the same one.
    """
    shown: Pictures = {}
    for entry in read_gallery(run):
        caption = f"{entry.defect}: score {_rounded(entry.score)}, threshold {_rounded(entry.threshold)}"
        named = shown.setdefault(f"heatmaps/{entry.category}/{entry.kind}", [])
        named += [(run / file, caption) for file in entry.files]
    for path in sorted((run / FEATURES_FOLDER).glob("*.png")):
        features = read_features(run, category=path.stem)
        caption = features_finding(features) if features else path.stem
        shown[f"features/{path.stem}"] = [(path, caption)]
    return shown


def _rounded(value: float | None) -> str:
    return "unknown" if value is None else f"{value:.3g}"
