"""Puts a dataset where it belongs: one run at a time, everything or nothing."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from adframe.errors import AdframeError

try:
    import fcntl
except ImportError:  # Windows: two runs at once are not kept apart there
    fcntl = None  # type: ignore[assignment]


@contextmanager
def alone(folder: Path) -> Iterator[None]:
    """Keeps a second run out of `folder`, which is made where it is missing.

    Raises:
        AdframeError: another run is in it.
    """
    folder.mkdir(parents=True, exist_ok=True)
    lock = folder / "lock"
    with lock.open("w") as file:
        if fcntl is not None:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError as error:
                raise AdframeError(
                    f"another run is downloading to {folder}; wait for it to end, then run again"
                ) from error
        try:
            yield
        finally:
            lock.unlink(missing_ok=True)


def move_all(staged: Sequence[Path], root: Path) -> None:
    """Moves all that is in the `staged` folders to `root`; what was moved goes back where a later move fails.

    A lone file (a readme, a licence) that is there already, or that an earlier folder brings, is left out.

    Raises:
        AdframeError: a folder is there already, or two archives bring it.
        OSError: the disk or the folder's rights.
    """
    moves: dict[Path, Path] = {}
    for entry in (entry for folder in staged for entry in sorted(folder.iterdir())):
        target = root / entry.name
        if entry.is_dir() and target in moves:
            raise AdframeError(f"two archives bring the folder {entry.name}; give them another `into`")
        if entry.is_dir() or not target.exists():
            moves.setdefault(target, entry)
    refuse_existing(moves)
    done: list[Path] = []
    try:
        for target, entry in moves.items():
            entry.rename(target)
            done.append(target)
    except BaseException:
        for target in done:
            target.rename(moves[target])
        raise


def refuse_existing(targets: Iterable[Path]) -> None:
    """An error that names what is there already, and would be overwritten."""
    if there := sorted({str(target) for target in targets if target.exists()}):
        raise AdframeError(
            f"{', '.join(there)} would be overwritten; move it away, or choose another folder with "
            "dataset.root=<folder>"
        )


def remove_empty(folder: Path) -> None:
    """Removes a folder that holds nothing; leaves any other alone."""
    try:
        folder.rmdir()
    except OSError:
        return  # it holds something, or it never was
