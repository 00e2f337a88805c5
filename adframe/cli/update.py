"""`adframe update`: a run with other normal images, as a run of its own."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from omegaconf import OmegaConf

from adframe.cli.train import CHOICES, print_run
from adframe.config.build import build
from adframe.config.load_detector import chosen_unit, load_detector
from adframe.config.recipe import ConfigRecipe
from adframe.config.saved_config import check_complete, read_config
from adframe.errors import AdframeError
from adframe.inference.images import input_images
from adframe.reporting.notes import quieten
from adframe.results.names import UPDATE
from adframe.results.run_folder import RunFolder
from adframe.runs.join import join_images
from adframe.runs.train import train

EXACT = "exact: fitted to old and new images together"


def run_update(
    run: Path,
    out: Path,
    *,
    normals: Sequence[str] = (),
    remove: Sequence[str] = (),
    category: str | None = None,
    trusted: Sequence[str] = (),
) -> Path:
    """Fits the model of a run to its own training images and to others, calibrates and tests it.

    Where the dataset of the run is not there any more, new images join the fitted model instead
    (`runs.join`). The old run is not changed; the new one names it in its `environment.json`, and says
    whether the model is exactly that of old and new images together (`update`).

    Args:
        run: the folder of the run.
        out: a new or empty folder for the new run.
        normals: normal images or folders that join the training images.
        remove: training images that are left out: paths, or ends of paths such as `good/012.png`.
        category: the category of the images; None for the only one.
        trusted: packages that the run's configuration may name.

    Returns:
        The folder of the new run.

    Raises:
        AdframeError: nothing changes, the run has several categories and none is named, an image is not
            there, images are to be removed without the dataset, or the training fails.
    """
    quieten()
    if not normals and not remove:
        raise AdframeError("give normal images with --normals, or training images with --remove")
    folder = RunFolder(run)
    folder.reopen()
    config = read_config(run, trusted=trusted)
    check_complete(config, run)
    unit = chosen_unit(folder, category)
    if unit == "global" and category is None and len(folder.done) > 1:
        raise AdframeError(f"say with --category to which of {', '.join(folder.done)} the images belong")
    name = category or folder.done[0]
    listed = input_images(list(normals))[0]
    added = [str(image.path.resolve()) for image in listed if image.path is not None]
    earlier = config.get("update") or {"added": {}, "removed": {}}
    config["update"] = {
        "added": earlier["added"] | {name: [*earlier["added"].get(name, ()), *added]},
        "removed": earlier["removed"] | {name: [*earlier["removed"].get(name, ()), *remove]},
    }
    config["category"] = folder.done if unit == "global" else [name]
    # Other images are divided anew into training and validation images, and the old division stays as it is.
    config["paths"] = config["paths"] | {"run": str(out.resolve()), "splits": str((out / "splits").resolve())}
    recipe = ConfigRecipe(
        OmegaConf.create(config),
        config=config,
        choices={key: folder.environment[key] for key in CHOICES if key in folder.environment}
        | {UPDATE: EXACT},
        command=["adframe", "update", str(run), "--out", str(out)],
        parent=str(run.resolve()),
    )
    source = build(recipe.cfg, "dataset", {"root": Path(str(recipe.cfg.dataset.root))})
    if name in source.found():
        recipe.forget_regions()  # roi=auto looks at the other training images again
        return print_run(train(recipe, out))
    if remove:
        raise AdframeError(
            f"--remove fits the model again, which needs the dataset: {source.root} has no {name}"
        )
    detector = load_detector(run, category=name, trusted=trusted)
    return print_run(join_images(recipe, folder, detector, listed, path=out, category=name))
