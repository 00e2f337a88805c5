"""The gallery of a run: `heatmaps/index.json`, the files of its pictures, and pictures as data URIs."""

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

INDEX = "heatmaps/index.json"
TILES = ("image", "annotation", "heatmap")  # the pictures of one image, in the order in which they are shown
BUDGET = 10_500_000  # bytes of pictures in a page: base64 adds a third, and a page stays below 15 MB


@dataclass(frozen=True, slots=True)
class GalleryEntry:
    """One entry of the index: the pictures of a test image, and how it was decided."""

    category: str
    kind: str  # best | worst
    rank: int  # 0 is the very best, the very worst
    files: tuple[str, ...]  # of TILES, relative to the run's folder; in older runs one file shows all three
    path: str  # of the image
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
    """The pictures of a run, in the order category, best before worst, rank; [] where it has none.

    Raises:
        AdframeError: the index is there and cannot be understood.
    """
    path = run / INDEX
    if not path.exists():
        return []
    try:
        entries = json.loads(path.read_text(encoding="utf-8"))
        pictures = [_picture(entry) for entry in entries]
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise AdframeError(
            f"cannot read {path}: {error!r}; delete it, or run the evaluation again"
        ) from error
    return sorted(pictures, key=lambda picture: (picture.kind, picture.rank))


def fitted_uris(raw: Mapping[str, bytes], *, budget: int = BUDGET) -> dict[str, str]:
    """Pictures by name as `data:` URIs; all are shrunk alike where together they are too large.

    Args:
        raw: the files' bytes, PNG or JPEG; what is empty or broken has no entry in the result.
        budget: bytes that all pictures may have together, before base64.
    """
    held = {file: content for file, content in raw.items() if content}
    fitting, scale = held, 1.0
    for _ in range(6):  # bytes shrink slower than pixels, so the first guess may fall short
        total = sum(len(content) for content in fitting.values())
        if total <= budget:
            break
        scale *= (0.85 * budget / total) ** 0.5
        fitting = {file: shrunk(content, scale=scale) for file, content in held.items()}
    return {file: uri for file, content in fitting.items() if (uri := _uri(content))}


def _picture(entry: dict[str, Any]) -> GalleryEntry:
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
    """A file of the run's folder; nothing where it is not there or lies elsewhere."""
    path = (run / file).resolve()
    # An index from a stranger must not carry other files of this machine into a page that is passed on.
    if not path.is_relative_to(run.resolve()):
        return b""
    try:
        return path.read_bytes()
    except OSError:
        return b""


def shrunk(content: bytes, *, scale: float) -> bytes:
    """A picture as a JPEG of `scale` times its sides; nothing where it is none."""
    buffer = io.BytesIO()
    try:
        with Image.open(io.BytesIO(content)) as picture:
            size = (max(1, round(picture.width * scale)), max(1, round(picture.height * scale)))
            picture.convert("RGB").resize(size, Image.Resampling.LANCZOS).save(buffer, "JPEG", quality=78)
    except (UnidentifiedImageError, OSError, ValueError):
        return b""
    return buffer.getvalue()


def _uri(content: bytes) -> str:
    kinds = {b"\x89PNG": "image/png", b"\xff\xd8\xff": "image/jpeg"}
    kind = next((name for magic, name in kinds.items() if content.startswith(magic)), None)
    return f"data:{kind};base64,{base64.b64encode(content).decode()}" if kind else ""
