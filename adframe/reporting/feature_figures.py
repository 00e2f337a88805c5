"""Figures of image features: PCA and t-SNE before and after adaptation, one point per image."""

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
from adframe.results.features import FEATURES_FOLDER, Features, FeatureView, features_finding, read_features
from adframe.stats.embeddings import MIN_TSNE_IMAGES

# Good images are drawn first: they are many and must not hide the others.
IMAGE_KINDS = (GOOD, "anomaly", "logical", "structural", "unlabelled")

Panel = tuple[np.ndarray | None, str]  # points (N, 2), and a note on the axes or on the missing points


def feature_figure(features: Features, *, name: str, caption: str) -> Figure:
    """Draws the features of a category: one row per view, with PCA on the left and t-SNE on the right.

    Args:
        features: of a category.
        name: of the figure.
        caption: below the figure.

    Returns:
        The figure, one colour per kind of image.
    """
    counts = Counter(image_kinds(features))
    labels = {kind: f"{kind} ({counts[kind]})" for kind in IMAGE_KINDS if counts[kind]}
    names = [labels[kind] for kind in image_kinds(features)]
    panels = {title: panel for view in features.views for title, panel in _view_panels(view).items()}
    return cloud(
        name,
        caption=caption,
        panels={title: (points, names) for title, (points, _) in panels.items()},
        groups=list(labels.values()),
        notes={title: note for title, (_, note) in panels.items()},
        across=2,
    )


def feature_figures(run: Path, categories: Sequence[str]) -> dict[str, Figure]:
    """Draws the stored features of a run.

    Args:
        run: the run's folder.
        categories: names of the categories to look for.

    Returns:
        Category -> its figure, for the categories with stored features.

    Raises:
        AdframeError: a file of features cannot be read.
    """
    known = ((name, read_features(run, category=name)) for name in categories)
    found = [(name, features) for name, features in known if features is not None and features.paths]
    return {
        name: feature_figure(
            features, name=f"features_{place}", caption=f"{features_finding(features)} Category: {name}."
        )
        for place, (name, features) in enumerate(found)
    }


def image_kinds(features: Features) -> list[str]:
    """Returns the kind of each image: its subset, or a kind by its label where the subset has no colour.

    Args:
        features: of a category.

    Returns:
        One of `IMAGE_KINDS` per image, in order.
    """
    plain = {0: GOOD, 1: "anomaly", -1: "unlabelled"}
    pairs = zip(features.subsets, features.labels.tolist(), strict=True)
    return [subset if subset in IMAGE_KINDS else plain.get(label, "unlabelled") for subset, label in pairs]


def write_feature_figure(run: Path, features: Features, *, category: str) -> None:
    """Writes `features/<category>.svg` and `.png`.

    Args:
        run: the run's folder.
        features: of the category.
        category: its name.

    Raises:
        AdframeError: a file cannot be written.
    """
    figure = feature_figure(features, name="features", caption=features_finding(features))
    write_whole(run / FEATURES_FOLDER / f"{category}.svg", svg(figure))
    write_whole(run / FEATURES_FOLDER / f"{category}.png", png(figure))


def _view_panels(view: FeatureView) -> dict[str, Panel]:
    name = capitalised(view.name)
    across, up = (0.0, 0.0) if view.shares is None else (100 * view.shares).tolist()
    no_plane = "No plane: there are too few images, or all are alike."
    no_tsne = (
        f"No t-SNE: fewer than {MIN_TSNE_IMAGES} images." if len(view.vectors) < MIN_TSNE_IMAGES else no_plane
    )
    variance = f"{across:.0f}% of the variance across, {up:.0f}% up"
    return {
        f"{name}: PCA": (view.pca, no_plane if view.pca is None else variance),
        f"{name}: t-SNE": (view.tsne, no_tsne if view.tsne is None else "only neighbourhoods have a meaning"),
    }
