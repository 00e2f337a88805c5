"""`adframe predict`: inspects images with the model of a run."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import TextIO

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from adframe.config.load_detector import load_detector
from adframe.errors import AdframeError
from adframe.inference.detector import TrainedDetector
from adframe.inference.images import InputImage, input_images
from adframe.inference.output import ResultFiles
from adframe.inference.page import PredictionPage
from adframe.inference.prediction_log import PredictionLog
from adframe.inference.results import ANOMALOUS, ERROR, TRAINED, ImageResult
from adframe.inference.watch import FolderWatch
from adframe.reporting.format import counted
from adframe.reporting.notes import quieten

FOUND_ANOMALY, UNREADABLE = 1, 3  # exit codes


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """The arguments of `adframe predict`, see its help."""

    run: Path
    images: tuple[str, ...] = ()
    out: Path | None = None
    pictures: tuple[str, ...] = ()
    page: bool = False
    jsonl: bool = False
    fail_on_anomaly: bool = False
    watch: Path | None = None
    interval: float = 1.0
    resume: bool = False
    log: Path | None = None
    log_parquet: bool = False
    category: str | None = None
    calibration: str = TRAINED
    batch_size: int = 8
    threads: int = 2
    device: str = "auto"
    trusted: tuple[str, ...] = ()

    def check(self) -> None:
        """Checks that the arguments fit together.

        Raises:
            AdframeError: they do not.
        """
        if self.watch is None and not self.images:
            raise AdframeError("give images or folders, or - to read paths from standard input, or --watch")
        if self.watch is not None and self.images:
            raise AdframeError("give either images or --watch, not both")
        if self.log_parquet and self.log is None:
            raise AdframeError("--log-parquet is the kind of a log; give its folder with --log")
        if self.out is None:
            names = {"picture": self.pictures, "page": self.page, "resume": self.resume}
            for name in (name for name, given in (names | {"watch": self.watch}).items() if given):
                raise AdframeError(f"--{name} writes files; give their folder with --out")


def run_prediction(request: Request, *, listed: TextIO) -> int:
    """Inspects images, prints one line per image, and writes the files that were asked for.

    Args:
        request: the arguments.
        listed: where paths are read from for `-`.

    Returns:
        The exit code.

    Raises:
        AdframeError: the arguments do not fit together, the model cannot be loaded, or a file cannot be
            written.
    """
    request.check()
    quieten()
    # A wrong path is reported before the model is loaded, which takes seconds.
    images = [] if request.watch is not None else _listed_images(request.images, listed)
    detector = load_detector(
        request.run,
        category=request.category,
        calibration=request.calibration,
        device=request.device,
        trusted=request.trusted,
    )
    files = None
    if request.out is not None:
        resume = request.resume or request.watch is not None
        files = ResultFiles(request.out, detector, pictures=request.pictures, resume=resume)
    page = PredictionPage(detector, run=request.run) if request.page else None
    log = None
    if request.log is not None:
        log = PredictionLog(request.log, model=detector.category, parquet=request.log_parquet)
    work = _Work(request, detector, files, page, log)
    try:
        if request.watch is None:
            work.inspect_all(images)
        else:
            work.inspect_arriving(request.watch)
    except KeyboardInterrupt as error:
        error.add_note(f"{counted(sum(work.counts.values()), 'image')} inspected")
        raise
    finally:
        if log is not None:
            log.close()
        if page is not None and files is not None:
            page.write(files.folder, files.done)
    work.print_summary()
    if request.fail_on_anomaly and work.counts[ANOMALOUS]:
        return FOUND_ANOMALY
    return UNREADABLE if work.counts[ERROR] else 0


@dataclass(slots=True)
class _Work:
    """Passes images to the model, and its results to the terminal, the files, the page and the log."""

    request: Request
    detector: TrainedDetector
    files: ResultFiles | None
    page: PredictionPage | None
    log: PredictionLog | None = None
    counts: Counter[str] = field(default_factory=Counter)
    console: Console = field(default_factory=lambda: Console(soft_wrap=True, highlight=False, markup=False))

    def inspect_all(self, images: Iterable[InputImage]) -> None:
        done = {} if self.files is None else self.files.done
        pending = [image for image in images if image.name not in done]
        for image, result in zip(
            pending, self._shown(self._stream(pending), total=len(pending)), strict=True
        ):
            self._take(image, result)

    def inspect_arriving(self, folder: Path) -> None:
        assert self.files is not None
        watch = FolderWatch(folder, done=self.files.done)
        self.console.print(f"watching {folder}; Ctrl-C ends", style=None)
        for images in watch.batches(interval=self.request.interval, ended=lambda: False):
            for image, result in zip(images, self._stream(images), strict=True):
                self._take(image, result)

    def print_summary(self) -> None:
        inspected = sum(self.counts.values()) - self.counts[ERROR]
        line = f"{self.counts[ANOMALOUS]} of {counted(inspected, 'image')} anomalous"
        if self.counts[ERROR]:
            line += f"; {counted(self.counts[ERROR], 'image')} could not be read"
        Console(stderr=True, highlight=False, markup=False, soft_wrap=True).print(line)

    def _stream(self, images: Iterable[InputImage]) -> Iterator[ImageResult]:
        return self.detector.stream(images, batch_size=self.request.batch_size, threads=self.request.threads)

    def _take(self, image: InputImage, result: ImageResult) -> None:
        row = result.row()
        self.counts[row["decision"]] += 1
        if self.log is not None:
            self.log.add(row)
        if self.request.jsonl:
            self.console.print(json.dumps(result.record()))
        else:
            score = "" if row["score"] is None else f"{row['score']:.4g}"
            rest = row["error"] or (f"({row['warnings']})" if row["warnings"] else "")
            # The error of a file names it already.
            name = "" if row["error"] and result.name in row["error"] else result.name
            self.console.print(
                " ".join(part for part in (f"{row['decision']:<9}", f"{score:>8}", name, rest) if part)
            )
        pixels = self.detector.decoder(image)
        if self.files is not None:
            self.files.add(image, result, pixels=pixels)
        if self.page is not None:
            self.page.add(image, result, pixels=pixels)

    def _shown(self, results: Iterator[ImageResult], *, total: int) -> Iterator[ImageResult]:
        """Shows a progress bar where standard error is a terminal and standard output is not."""
        console = Console(stderr=True)
        shown = console.is_terminal and not self.console.is_terminal
        columns = (TextColumn("inspecting"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
        with Progress(*columns, console=console, transient=True, disable=not shown) as bar:
            task = bar.add_task("inspecting", total=total)
            for result in results:
                yield result
                bar.advance(task)


def _listed_images(names: Iterable[str], listed: TextIO) -> list[InputImage]:
    paths: list[str] = []
    for name in names:
        paths += [line.rstrip("\r\n") for line in listed if line.strip()] if name == "-" else [name]
    found, _ = input_images(paths)
    if not found:
        raise AdframeError("standard input lists no image")
    return found
