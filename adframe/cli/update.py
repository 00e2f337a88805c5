"""`adframe update`: fits a run again with other normal images, into a run of its own."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from omegaconf import OmegaConf

from adframe.cli.train import CHOICES, print_run
from adframe.config.load_detector import chosen_unit
from adframe.config.recipe import ConfigRecipe
from adframe.config.saved_config import check_complete, read_config
from adframe.errors import AdframeError
from adframe.inference.images import input_images
from adframe.reporting.console import quieten
from adframe.results.run_folder import RunFolder
from adframe.runs.train import train


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

    The dataset of the run must be there. The old run is not changed; the new one names it in its
    `environment.json`.

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
            there, or the training fails.
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
    added = [str(image.path.resolve()) for image in input_images(list(normals))[0] if image.path is not None]
    earlier = config.get("update") or {"added": {}, "removed": {}}
    config["update"] = {
        "added": earlier["added"] | {name: [*earlier["added"].get(name, ()), *added]},
        "removed": earlier["removed"] | {name: [*earlier["removed"].get(name, ()), *remove]},
    }
    if (config.get("roi") or {}).get("found"):
        config["roi"]["found"] = None  # roi=auto looks at the other training images again
    config["category"] = folder.done if unit == "global" else [name]
    # Other images are divided anew into training and validation images, and the old division stays as it is.
    config["paths"] = config["paths"] | {"run": str(out.resolve()), "splits": str((out / "splits").resolve())}
    recipe = ConfigRecipe(
        OmegaConf.create(config),
        config=config,
        choices={key: folder.environment[key] for key in CHOICES if key in folder.environment},
        command=["adframe", "update", str(run), "--out", str(out)],
        parent=str(run.resolve()),
    )
    return print_run(train(recipe, out))
