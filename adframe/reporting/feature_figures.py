"""Figures of images as points: PCA and t-SNE of their features before and after adaptation."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from adframe.contracts import GOOD
from adframe.io.files import write_whole
from adframe.reporting.document import Figure
from adframe.reporting.figure_render import png, svg
from adframe.reporting.figures import cloud
from adframe.reporting.format import capitalised
from adframe.results.features import FOLDER, Features, View, finding, read_features
from adframe.stats.embeddings import MIN_TSNE_IMAGES

KINDS = (GOOD, "anomaly", "logical", "structural", "unlabelled")  # good images first: they are many, and
# must not hide the others

Panel = tuple[np.ndarray | None, str]  # points (N, 2), and what is to be said of them or of their absence


def feature_figure(features: Features, *, name: str, caption: str) -> Figure:
    """One row per view: PCA, then t-SNE.

    Args:
        features: of a category.
        name: of the figure.
        caption: below.
    """
    counts = Counter(kinds(features))
    labels = {kind: f"{kind} ({counts[kind]})" for kind in KINDS if counts[kind]}
    names = [labels[kind] for kind in kinds(features)]
    panels = {title: panel for view in features.views for title, panel in _panels(view).items()}
    return cloud(
        name,
        caption=caption,
        panels={title: (points, names) for title, (points, _) in panels.items()},
        groups=list(labels.values()),
        notes={title: note for title, (_, note) in panels.items()},
        across=2,
    )


def feature_figures(run: Path, categories: Sequence[str]) -> dict[str, Figure]:
    """By category, the figure of its features in the run's folder; the caption holds what they show."""
    known = ((name, read_features(run, category=name)) for name in categories)
    found = [(name, features) for name, features in known if features is not None and features.paths]
    return {
        name: feature_figure(
            features, name=f"features_{place}", caption=f"{finding(features)} Category: {name}."
        )
        for place, (name, features) in enumerate(found)
    }


def kinds(features: Features) -> list[str]:
    """The kind of each image: its subset, or where that has no colour, what its label says."""
    plain = {0: GOOD, 1: "anomaly", -1: "unlabelled"}
    pairs = zip(features.subsets, features.labels.tolist(), strict=True)
    return [subset if subset in KINDS else plain.get(label, "unlabelled") for subset, label in pairs]


def write_feature_figure(run: Path, features: Features, *, category: str) -> None:
    """Writes `features/<category>.svg` and `.png`.

    Args:
        run: the run's folder.
        features: of the category.
        category: its name.
    """
    figure = feature_figure(features, name="features", caption=finding(features))
    write_whole(run / FOLDER / f"{category}.svg", svg(figure))
    write_whole(run / FOLDER / f"{category}.png", png(figure))


def _panels(view: View) -> dict[str, Panel]:
    name = capitalised(view.name)
    across, up = (0.0, 0.0) if view.shares is None else (100 * view.shares).tolist()
    no_plane = "No plane: the images are too few, or all alike."
    no_tsne = (
        f"No t-SNE: fewer than {MIN_TSNE_IMAGES} images." if len(view.vectors) < MIN_TSNE_IMAGES else no_plane
    )
    variance = f"{across:.0f}% of the variance across, {up:.0f}% up"
    return {
        f"{name}: PCA": (view.pca, no_plane if view.pca is None else variance),
        f"{name}: t-SNE": (view.tsne, no_tsne if view.tsne is None else "only neighbourhoods have a meaning"),
    }
