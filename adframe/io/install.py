"""Installs a dataset: one process at a time, and all of it or nothing."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from adframe.errors import AdframeError

try:
    import fcntl
except ImportError:  # Windows: two runs at once are not excluded there
    fcntl = None  # type: ignore[assignment]


@contextmanager
def exclusive(folder: Path) -> Iterator[None]:
    """Locks a folder against a second run; creates it where it is missing.

    Args:
        folder: folder to lock.

    Raises:
        AdframeError: if another run has locked it.
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
    """Moves the content of the `staged` folders to `root`; undoes all moves where a later one fails.

    A single file (a readme, a licence) that exists already, or that an earlier folder contains, is left out.

    Args:
        staged: folders whose entries are moved.
        root: target folder.

    Raises:
        AdframeError: if a folder exists already, or two archives contain it.
        OSError: if the disk or the permissions do not allow a move.
    """
    moves: dict[Path, Path] = {}
    for entry in (entry for folder in staged for entry in sorted(folder.iterdir())):
        target = root / entry.name
        if entry.is_dir() and target in moves:
            raise AdframeError(f"two archives contain the folder {entry.name}; give them another `into`")
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
    """Checks that no target would be overwritten.

    Args:
        targets: paths to be written.

    Raises:
        AdframeError: if a target exists; the message lists all of them.
    """
    if there := sorted({str(target) for target in targets if target.exists()}):
        raise AdframeError(
            f"{', '.join(there)} would be overwritten; move it away, or choose another folder with "
            "dataset.root=<folder>"
        )


def remove_empty(folder: Path) -> None:
    """Removes an empty folder; leaves any other folder unchanged.

    Args:
        folder: may be missing.
    """
    try:
        folder.rmdir()
    except OSError:
        # It is not empty, or does not exist.
        return
