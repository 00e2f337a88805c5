"""Pictures of single test images: those that the run kept, else the image on disk with its annotation."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from adframe.analysis.compared_runs import ComparedRun, Key
from adframe.contracts import Record, Region
from adframe.data.base import Source
from adframe.data.dataset import regions_of
from adframe.data.depth import with_bits
from adframe.data.masks import read_truth
from adframe.errors import AdframeError
from adframe.io.images import read_image
from adframe.reporting.outlines import Pixels, as_bytes, encoded, outlined, resized, tile_size
from adframe.results.gallery import picture_bytes

TILE_WIDTH = 190  # pixels

Tiles = tuple[bytes, bytes, bytes]  # image, image with its defects outlined, heatmap; b"" where missing
OpenSource = Callable[[Path, Path], Source]  # (folder of a run, root of its data) -> its dataset


class Thumbnails:
    """Finds the pictures of test images; where the dataset is missing, its tiles are empty.

    Args:
        open_source: returns the dataset of a run, from the run's folder and the root of its data.
        width: width of a tile, in pixels.
        root: root of the dataset, where the user gives it; None for where each run found its images.

    Attributes:
        missing: keys of the images that are neither kept by the run nor on disk.

    Example:
        >>> from adframe.data.mvtec_ad import MvtecAd
        >>> from adframe.results.run_folder import RunFolder
        >>> key = ("bolt", "test/hole/000.png")
        >>> run = ComparedRun("A", RunFolder(Path("runs/one")), {key: {"path": "/missing/000.png"}})
        >>> thumbnails = Thumbnails(lambda folder, root: MvtecAd(root=str(root)), width=96)
        >>> thumbnails.tiles(run, key), thumbnails.missing == {key}
        ((b'', b'', b''), True)
    """

    def __init__(self, open_source: OpenSource, *, width: int = TILE_WIDTH, root: Path | None = None) -> None:
        self._open_source, self.width, self.root = open_source, width, root
        self.missing: set[Key] = set()
        self._records: dict[tuple[str, str], dict[str, Record]] = {}
        self._roots: dict[tuple[str, str], Path] = {}  # a member of `dataset=several` has its own

    def tiles(self, run: ComparedRun, key: Key) -> Tiles:
        """Returns the pictures that the run kept of an image, else the image on disk without a heatmap.

        An older run kept all three pictures in one file; that file takes the place of the heatmap.

        Args:
            run: a run that tested the image.
            key: key of the image.

        Returns:
            JPEG files: the image, the image with its defects outlined, the heatmap; empty where missing.
        """
        path = run.images[key]["path"]
        kept = next((e for e in run.run.gallery if e.path == path and e.category == key[0]), None)
        found = [picture_bytes(run.run.path, file) for file in kept.files] if kept else []
        if kept and kept.has_tiles and all(found):
            return found[0], found[1], found[2]
        panel = found[0] if kept and not kept.has_tiles else b""
        return *self._on_disk(run, key), panel

    def _on_disk(self, run: ComparedRun, key: Key) -> tuple[bytes, bytes]:
        try:
            record = self._record(run, key)
            path = self._inside(run, self._path(run, key), category=key[0], scanned=record is not None)
            image = as_bytes(read_image(path) if record is None else read_image(path, bits=record.bits))
            regions = self._regions(run, record)
            size = tile_size(image.shape[:2], width=self.width)
            plain = resized(image, size)
            return self._jpeg(plain), self._jpeg(outlined(plain, regions, frame=image.shape[:2]))
        except (AdframeError, ValueError, OSError, KeyError, TypeError):
            self.missing.add(key)
            return b"", b""

    def _record(self, run: ComparedRun, key: Key) -> Record | None:
        return self._scanned(run, key[0]).get(str(self._path(run, key)))

    def _regions(self, run: ComparedRun, record: Record | None) -> list[Region]:
        if record is None or not record.label:
            return []
        for mask in record.masks:
            self._inside(run, mask, category=record.category, scanned=True)
        return regions_of(record, read_truth(record)) or []

    def _path(self, run: ComparedRun, key: Key) -> Path:
        return Path(run.images[key]["path"]) if self.root is None else self.root / key[1]

    def _root(self, run: ComparedRun) -> Path:
        return self.root or Path(str(run.run.config["dataset"]["root"]))

    def _inside(self, run: ComparedRun, path: Path, *, category: str, scanned: bool) -> Path:
        """Predictions from a stranger must not bring other files of this machine into a page.

        An image that the dataset's own scan found may lie behind a link to a folder, as such links are part
        of a dataset; any other file, and one that is itself a link, must really lie below the root.
        """
        root = self._roots.get((str(run.run.path), category)) or self._root(run)
        written = (
            not path.is_symlink() and path.is_relative_to(root) and ".." not in path.relative_to(root).parts
        )
        if not (scanned and written) and not path.resolve().is_relative_to(root.resolve()):
            raise AdframeError(f"{path} does not lie below the dataset's root")
        return path

    def _scanned(self, run: ComparedRun, category: str) -> dict[str, Record]:
        """A category's records by path, from the run's own dataset; nothing where it is missing."""
        place = (str(run.run.path), category)
        if place not in self._records:
            try:
                source = self._open_source(run.run.path, self._root(run))
                records = source.scan(category)
                training = {each.path for each in records if each.split == "train"}
                records, _ = with_bits(records, training=training, bits=source.read_options(category).bits)
                self._records[place] = {str(each.path): each for each in records}
                self._roots[place] = Path(source.root)
            except (AdframeError, AttributeError, OSError, TypeError, KeyError):
                self._records[place] = {}
        return self._records[place]

    def _jpeg(self, pixels: Pixels) -> bytes:
        size = tile_size(pixels.shape[:2], width=self.width)
        return encoded(resized(pixels, size), kind="JPEG", quality=72)
