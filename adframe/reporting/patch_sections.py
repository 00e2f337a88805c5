"""Sections of a study about sampled patches: embeddings, layers, distances of categories, attention."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from adframe.errors import AdframeError
from adframe.reporting.document import Block, Figure, Picture, Pictures, Section, TableBlock
from adframe.reporting.figures import bars, matrix
from adframe.reporting.format import hundredths, p_value, span
from adframe.reporting.patch_embeddings import NO_UMAP, categories_figure, has_umap, kinds_figure
from adframe.reporting.tables import DASH, Column, Table
from adframe.results.layer_distances import LayerDistance
from adframe.results.names import FEATURES_FOLDER
from adframe.results.patch_samples import PatchSample, Triple

Samples = Mapping[str, Mapping[str, PatchSample]]  # method -> category -> its sample
ATTENTION = f"{FEATURES_FOLDER}/attention"  # in a run's folder
AUROC_TITLES = {"image_auroc": "image AUROC", "patch_auroc": "patch AUROC"}
_LAYER_TEXT = (
    "For each layer alone, the distance of a test patch to the nearest sampled training patch ranks the "
    "patches, and the maximum of an image ranks the images. This differs from PatchCore with one layer: the "
    "bank is a random sample and no coreset, and nothing is averaged over neighbours, re-weighted or "
    "smoothed. It serves to compare layers with each other. All layers rank patches on the grid of the "
    "finest layer."
)


def planes_section(samples: Samples, *, seed: int) -> Section:
    """Draws embeddings of patches: per category coloured by kind, and all categories together.

    Args:
        samples: method -> category -> its sample.
        seed: of the embeddings.

    Returns:
        The section; it says so where UMAP is not installed.
    """
    methods = ["tsne", "umap"] if has_umap() else ["tsne"]
    blocks: list[Block] = [] if len(methods) > 1 else [NO_UMAP]
    for place, by_category in enumerate(samples.values()):
        found: list[Figure | None] = []
        for number, sample in enumerate(by_category.values()):
            found += [
                kinds_figure(sample, name=f"{method}_{place}_{number}", method=method, seed=seed)
                for method in methods
            ]
        if len(by_category) > 1:
            found += [
                categories_figure(by_category, name=f"{method}_{place}_classes", method=method, seed=seed)
                for method in methods
            ]
        blocks += [figure for figure in found if figure is not None]
    return Section("Embeddings of patches", tuple(blocks))


def layers_section(samples: Samples) -> Section:
    """Shows the AUROC of each layer by itself, with 95% intervals over images.

    Args:
        samples: method -> category -> its sample.

    Returns:
        The section: a figure per metric, and a table.
    """
    figures = [
        bars(
            f"layers_{key}",
            caption=f"{title} of each layer alone, with 95% intervals over images.",
            values=_by_layer(samples, key),
            y_name=f"{title}, %",
            base=0.5,
        )
        for key, title in AUROC_TITLES.items()
    ]
    return Section("AUROC of each layer", (_LAYER_TEXT, *figures, _layer_table(samples)))


def drift_section(distances: Sequence[LayerDistance], *, variant: str, number: int) -> Section:
    """Shows the distances between categories, layer by layer; with three categories or more also as matrices.

    Args:
        distances: the result of `layer_distances`.
        variant: name of the method whose features were compared.
        number: of the variant, for the names of files.

    Returns:
        The section.
    """
    names = list(dict.fromkeys(each.first for each in distances))
    blocks: list[Block] = []
    layers = dict.fromkeys(each.layer for each in distances) if len(names) > 2 else {}
    for place, layer in enumerate(layers):
        own = {frozenset((each.first, each.second)): each for each in distances if each.layer == layer}
        values = [[own[frozenset((a, b))].mmd.squared for b in names] for a in names]
        caption = (
            f"Squared MMD between the training patches of categories ({variant}, {layer}), one kernel for "
            "all pairs. On the diagonal: between two halves of the images of a category, as a reference for "
            "no difference."
        )
        blocks.append(
            matrix(
                f"mmd_{number}_{place}",
                caption=caption,
                rows=names,
                columns=names,
                values=np.array(values),
                unit="squared MMD",
            )
        )
    return Section(
        f"Distances between categories: {variant}", (*blocks, _layer_distance_table(distances, number))
    )


def attention_section(runs: Sequence[tuple[str, Path, str]]) -> Section | None:
    """Shows the attention rollouts that runs of vision transformers stored.

    Args:
        runs: (variant, folder of a run, category).

    Returns:
        The section; None where no run stored any.

    Raises:
        AdframeError: a file cannot be read.
    """
    paths = [(variant, run / ATTENTION / f"{category}.json") for variant, run, category in runs]
    blocks: list[Block] = [_rollout_pictures(variant, path) for variant, path in paths if path.is_file()]
    words = (
        "Attention rollout (Abnar and Zuidema, 2020): the product of the attention over all blocks, each as "
        "the mean over heads with the residual path added. It shows which patches contribute to the output "
        "of the class token, not which are anomalous."
    )
    return Section("Attention rollout", (words, *blocks)) if blocks else None


def _rollout_pictures(variant: str, path: Path) -> Pictures:
    try:
        facts = json.loads(path.read_text())
        rows = tuple(_rollout_row(path.parent, image) for image in facts["images"])
        whose = "the class token" if facts["class_token"] else "the mean over patch tokens"
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise AdframeError(f"cannot read {path}: {error!r}; delete it or repeat the run") from error
    caption = (
        f"Rollout of {whose} ({path.stem}, {variant}). The colours span the smallest value of an image to "
        "its 99th percentile: they compare the patches of an image, not different images."
    )
    return Pictures(caption, ("annotated defect", "rollout"), rows)


def _rollout_row(folder: Path, image: Mapping[str, Any]) -> tuple[str, tuple[Picture, ...]]:
    name = f"{image['defect']}/{Path(image['path']).name}"
    tiles = [(folder / f"{image['stem']}_{kind}.jpg").read_bytes() for kind in ("truth", "rollout")]
    return name, (Picture(tiles[0], ""), Picture(tiles[1], ""))


def _by_layer(samples: Samples, key: str) -> dict[str, dict[str, Triple | None]]:
    """Returns layer -> category -> value with its interval; with several variants their name comes first."""
    found: dict[str, dict[str, Triple | None]] = {}
    for variant, by_category in samples.items():
        for category, sample in by_category.items():
            for layer in sample.layers:
                name = f"{variant} {layer.name}" if len(samples) > 1 else layer.name
                value: Triple = getattr(layer, key)
                found.setdefault(name, {})[category] = value if np.isfinite(value[0]) else None
    return found


def _layer_table(samples: Samples) -> TableBlock:
    titles = ("method", "category", "layer", "grid", "image AUROC", "patch AUROC", "images reached")
    keys = ("method", "category", "layer", "rows", "columns", "image_auroc", "image_low", "image_high",
            "patch_auroc", "patch_low", "patch_high", "reached", "anomalous", "patches",
            "seconds")  # fmt: skip
    people, raw = [], []
    for variant, by_category in samples.items():
        for category, sample in by_category.items():
            for layer in sample.layers:
                reached = f"{layer.reached} of {sample.anomalous}"
                grid = f"{layer.grid[0]} x {layer.grid[1]}"
                cells = (_auroc_text(layer.image_auroc), _auroc_text(layer.patch_auroc), reached)
                people.append((variant, category, layer.name, grid, *cells))
                raw.append(
                    (variant, category, layer.name, *layer.grid, *layer.image_auroc, *layer.patch_auroc,
                     layer.reached, sample.anomalous, len(layer.features), sample.seconds)
                )  # fmt: skip
    caption = (
        "AUROC in per cent with 95% intervals over images. Reached: anomalous test images in which at least "
        "one cell of the layer's own grid counts as anomalous; the others have no patch in the embeddings."
    )
    shown = Table(tuple(Column(title, title) for title in titles), tuple(people))
    return TableBlock("layers", caption, shown, Table(tuple(Column(key, key) for key in keys), tuple(raw)))


def _layer_distance_table(distances: Sequence[LayerDistance], number: int) -> TableBlock:
    keys = ("first", "second", "layer", "mmd", "mmd_biased", "mmd_floor", "mmd_p", "bandwidth",
            "sliced_wasserstein", "cosine_of_means")  # fmt: skip
    titles = ("categories", "layer", "MMD²", "noise", "p", "sliced W2", "1 - cos of means")
    people, raw = [], []
    for each in distances:
        mmd, self = each.mmd, each.first == each.second
        pair = f"{each.first}: two halves" if self else f"{each.first}, {each.second}"
        noise = (DASH, DASH) if self else (f"{mmd.floor:.2g}", p_value(mmd.p_value))
        rest = (f"{each.wasserstein:.3g}", f"{each.cosine:.4f}")
        people.append((pair, each.layer, f"{mmd.squared:.2g}", *noise, *rest))
        raw.append(
            (each.first, each.second, each.layer, mmd.squared, mmd.biased, mmd.floor, mmd.p_value,
             mmd.bandwidth, each.wasserstein, each.cosine)
        )  # fmt: skip
    caption = (
        "Distances between training patches. Noise: the 95th percentile of MMD² when whole images are "
        "assigned to the two sides at random; p comes from the same permutations. The sliced Wasserstein "
        "distance is in the units of each layer."
    )
    shown = Table(tuple(Column(title, title) for title in titles), tuple(people))
    return TableBlock(
        f"distances_{number}", caption, shown, Table(tuple(Column(key, key) for key in keys), tuple(raw))
    )


def _auroc_text(value: Triple) -> str:
    if not np.isfinite(value[0]):
        return DASH
    text = hundredths(value[0])
    return f"{text} ({span(*value[1:])})" if np.isfinite(value[1]) else text
