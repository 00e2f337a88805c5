"""`adframe page`: one printable page about a run, and its pictures as single files."""

from __future__ import annotations

import io
import re
from pathlib import Path

from PIL import Image, UnidentifiedImageError
from rich.console import Console

from adframe.errors import AdframeError
from adframe.io.files import write_whole
from adframe.reporting.figure_render import pdf, png
from adframe.reporting.format import counted
from adframe.reporting.one_page import one_page, run_of_category
from adframe.reporting.one_page_figure import page_figure
from adframe.reporting.one_page_pictures import decision_words
from adframe.results.gallery import picture_bytes
from adframe.results.run_folder import RunFolder

_RENDERERS = {".pdf": pdf, ".png": png}


def run_page(
    run: Path, *, category: str | None = None, out: Path | None = None, pictures: Path | None = None
) -> Path:
    """Writes the page of a run, and prints where it is.

    Args:
        run: the folder of a finished run.
        category: the category that the page is about; None for all.
        out: the file, which ends in .pdf or .png; None for `summary.pdf` in the folder of the run.
        pictures: a folder for the overlays of the run's gallery as PNG files; None writes none.

    Returns:
        The file with the page.

    Raises:
        AdframeError: the run cannot be read, has no such category, or a file cannot be written.
    """
    name = "summary" if category is None else f"summary_{_file_name(category)}"
    path = out or run / f"{name}.pdf"
    render = _RENDERERS.get(path.suffix.lower())
    if render is None:
        raise AdframeError(f"--out {path} must end in .pdf or .png")
    folder = RunFolder.read(run)
    page = one_page(folder, category=category)
    write_whole(path, render(page_figure(page)))
    console = Console(highlight=False, markup=False, soft_wrap=True)
    console.print(page.title)
    console.print(f"page:     {path}")
    if pictures is not None:
        chosen = folder if category is None else run_of_category(folder, category)
        written = write_overlays(chosen, pictures)
        console.print(f"pictures: {pictures} ({counted(len(written), 'file')})")
    return path


def write_overlays(run: RunFolder, folder: Path) -> list[Path]:
    """Writes the overlays of a run's gallery as PNG files.

    Args:
        run: the run.
        folder: where; it is created if missing.

    Returns:
        The files, named `<category>_<type of defect>_<image>_<decision>.png`; none for a run without
        pictures.

    Raises:
        AdframeError: a file cannot be written.
    """
    written: dict[str, Path] = {}  # path of an image -> its file
    for entry in run.gallery:
        content = _as_png(picture_bytes(run.path, entry.files[-1]))
        if entry.category not in run.categories or entry.path in written or not content:
            continue
        image = Path(entry.path.replace("\\", "/")).stem
        name = "_".join(
            _file_name(part) for part in (entry.category, entry.defect, image, decision_words(entry))
        )
        # Images in several folders may have the same name.
        number = sum(path.stem.startswith(name) for path in written.values())
        path = folder / (f"{name}_{number + 1}.png" if number else f"{name}.png")
        write_whole(path, content)
        written[entry.path] = path
    return list(written.values())


def _as_png(content: bytes) -> bytes:
    buffer = io.BytesIO()
    try:
        with Image.open(io.BytesIO(content)) as picture:
            picture.convert("RGB").save(buffer, "PNG")
    except (UnidentifiedImageError, OSError, ValueError):
        return b""
    return buffer.getvalue()


def _file_name(text: str) -> str:
    """Replaces characters that a file name cannot have everywhere, or that separate its parts."""
    return re.sub(r"[^\w.-]+", "-", text).strip("-.") or "x"
