"""The gallery of a run: `heatmaps/index.json`, the picture files, and pictures as data URIs."""

from __future__ import annotations

import base64
import io
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from PIL import Image, UnidentifiedImageError

from adframe.errors import AdframeError

INDEX_FILE = "heatmaps/index.json"
TILES = ("image", "annotation", "heatmap")  # the pictures of one image, from left to right
PICTURE_BUDGET = 10_500_000  # bytes of pictures on a page: base64 adds a third, and a page stays below 15 MB


@dataclass(frozen=True, slots=True)
class GalleryEntry:
    """One entry of the index: the pictures of a test image, and the decision about it.

    Attributes:
        category: of the image.
        kind: `best` or `worst`.
        rank: 0 is the very best or the very worst.
        files: one per picture of `TILES`, relative to the run's folder; in older runs one file shows all
            three.
        path: of the image.
        defect: its type of defect, `good` for a normal image.
        subset: `good`, `anomaly`, `logical`, `structural` or `unlabelled`.
        label: 0 normal, 1 anomalous, None unknown.
        score: the raw score; None where it is unknown.
        threshold: of the score; None without calibration.
        decision: whether the image is called anomalous; None without a threshold.

    Example:
        >>> entry = GalleryEntry(
        ...     "bolt", "worst", 0, ("a.png",), "x.png", "bent", "anomaly", 1, 0.2, 0.5, decision=False
        ... )
        >>> entry.verdict
        'wrong'
    """

    category: str
    kind: str
    rank: int
    files: tuple[str, ...]
    path: str
    defect: str
    subset: str
    label: int | None
    score: float | None
    threshold: float | None
    decision: bool | None

    @property
    def has_tiles(self) -> bool:
        """Whether each picture has a file of its own."""
        return len(self.files) == len(TILES)

    @property
    def verdict(self) -> str:
        """`right`, `wrong`, or `open` where there is no label or no decision."""
        if self.label is None or self.decision is None:
            return "open"
        return "right" if bool(self.label) == self.decision else "wrong"


def read_gallery(run: Path) -> list[GalleryEntry]:
    """Reads the index of a run's pictures.

    Args:
        run: the run's folder.

    Returns:
        The entries, best before worst, by rank; [] where there is no index.

    Raises:
        AdframeError: the index exists and cannot be read.
    """
    path = run / INDEX_FILE
    if not path.exists():
        return []
    try:
        entries = json.loads(path.read_text(encoding="utf-8"))
        pictures = [_parse_entry(entry) for entry in entries]
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise AdframeError(
            f"cannot read {path}: {error!r}; delete it, or run the evaluation again"
        ) from error
    return sorted(pictures, key=lambda picture: (picture.kind, picture.rank))


def picture_uris(raw: Mapping[str, bytes], *, budget: int = PICTURE_BUDGET) -> dict[str, str]:
    """Encodes pictures as `data:` URIs; all are shrunk by the same factor where together they are too large.

    Args:
        raw: name -> bytes of a PNG or JPEG file.
        budget: the largest sum of the bytes of all pictures, before base64.

    Returns:
        Name -> URI; empty or broken files have no entry.
    """
    present = {file: content for file, content in raw.items() if content}
    fitting, scale = present, 1.0
    for _ in range(6):  # bytes shrink more slowly than pixels, so that one step may not be enough
        total = sum(len(content) for content in fitting.values())
        if total <= budget:
            break
        scale *= (0.85 * budget / total) ** 0.5
        fitting = {file: shrink_picture(content, scale=scale) for file, content in present.items()}
    return {file: uri for file, content in fitting.items() if (uri := _data_uri(content))}


def _parse_entry(entry: dict[str, Any]) -> GalleryEntry:
    score, threshold = (None if entry[key] is None else float(entry[key]) for key in ("score", "threshold"))
    names = ("category", "kind", "path", "defect", "subset")
    texts = {name: str(entry[name]) for name in names}
    label, decision = entry["label"], entry["decision"]
    return GalleryEntry(
        **texts,
        files=tuple(str(entry["tiles"][name]) for name in TILES)
        if "tiles" in entry
        else (str(entry["file"]),),
        rank=int(entry["rank"]),
        label=None if label is None else int(label),
        score=score,
        threshold=threshold,
        decision=None if decision is None else bool(decision),
    )


def picture_bytes(run: Path, file: str) -> bytes:
    """Reads a picture below a run's folder.

    Args:
        run: the run's folder.
        file: its path relative to the folder, as the index names it.

    Returns:
        The bytes; empty where the file is missing or lies outside of the folder.
    """
    path = (run / file).resolve()
    # An index from a stranger must not carry other files of this machine into a page that is passed on.
    if not path.is_relative_to(run.resolve()):
        return b""
    try:
        return path.read_bytes()
    except OSError:
        return b""


def shrink_picture(content: bytes, *, scale: float) -> bytes:
    """Shrinks a picture.

    Args:
        content: the bytes of an image file.
        scale: the factor for both sides, in (0, 1].

    Returns:
        The bytes of a JPEG file; empty where `content` is not a picture.
    """
    buffer = io.BytesIO()
    try:
        with Image.open(io.BytesIO(content)) as picture:
            size = (max(1, round(picture.width * scale)), max(1, round(picture.height * scale)))
            picture.convert("RGB").resize(size, Image.Resampling.LANCZOS).save(buffer, "JPEG", quality=78)
    except (UnidentifiedImageError, OSError, ValueError):
        return b""
    return buffer.getvalue()


def _data_uri(content: bytes) -> str:
    kinds = {b"\x89PNG": "image/png", b"\xff\xd8\xff": "image/jpeg"}
    kind = next((name for magic, name in kinds.items() if content.startswith(magic)), None)
    return f"data:{kind};base64,{base64.b64encode(content).decode()}" if kind else ""
