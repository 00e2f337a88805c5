"""How often drift gives a false alarm, and how late it finds a shift, on simulated streams.

    python -m benchmarks.drift                                # all tables of docs/drift.md
    python -m benchmarks.drift --streams 200 --length 2000    # a quick look
    python -m benchmarks.drift --parts real --run <run> --clean <run>/predictions.parquet \\
        --shifted <run>/evaluations/<time>/predictions.parquet ...

Normal scores are independent standard normal numbers, new for every stream, also for its calibration; ranks
are all that the conformal form sees, so that its false alarms are those of any continuous distribution. The
bets and the mixture are those of `adframe drift`; only the ranks are computed for all streams side by side.
Delays are counted from the first shifted image; a stream without an alarm counts as longer than its length.
"""

from __future__ import annotations

import argparse
import math
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from rich.console import Console

from adframe.inference.prediction_log import read_rows
from adframe.inference.run_reference import run_reference
from adframe.results.run_folder import RunFolder
from adframe.stats.betting import ChangeMixture, ShiftBets
from adframe.stats.drift_monitor import BOUNDS_SHARE, DriftMonitor, DriftSettings, RobustBets

CALIBRATIONS = (32, 100, 1000)
SHIFTS = (0.5, 1.0, 2.0)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--streams", type=int, default=2000)
    parser.add_argument("--length", type=int, default=10_000)
    parser.add_argument("--delay-streams", type=int, default=500)
    parser.add_argument("--delay-length", type=int, default=3000)
    parser.add_argument("--parts", nargs="+", default=["false", "adversary", "delay"])
    parser.add_argument("--run", type=Path, help="for the part real: a run with one model")
    parser.add_argument("--clean", type=Path, help="predictions of normal images like those of validation")
    parser.add_argument(
        "--shifted", type=Path, nargs="+", default=[], help="the same under a shift, per file"
    )
    parser.add_argument("--orders", type=int, default=400)
    options = parser.parse_args()
    console = Console(highlight=False, soft_wrap=True)
    parts = {"false": _false_alarms, "adversary": _adversaries, "delay": _delays, "real": _real}
    for part in options.parts:
        start = time.perf_counter()
        for line in parts[part](options):
            console.print(line)
        console.print(f"({part}: {time.perf_counter() - start:.0f} s)\n")


def _false_alarms(options: argparse.Namespace) -> list[str]:
    """Counts alarms on streams in which nothing changes."""
    lines = [
        f"False alarms, {options.streams} streams of {options.length} images:",
        "| form | n | alpha | alarms | share | standard error |",
        "|---|---|---|---|---|---|",
    ]
    for settings, name in _forms():
        for count in CALIBRATIONS:
            highest = _highest(settings, _normal(options.streams, count, options.length, seed=1), count)
            for alpha in (0.1, 0.05, 0.01) if not settings.share else (settings.alpha,):
                found = int((highest >= _limit(settings, alpha)).sum())
                error = math.sqrt(alpha * (1 - alpha) / options.streams)
                share = f"{found / options.streams:.4f}"
                lines.append(f"| {name} | {count} | {alpha} | {found} | {share} | {error:.4f} |")
    return lines


def _adversaries(options: argparse.Namespace) -> list[str]:
    """Counts alarms of the robust form with a share of anomalies that are as high, or as low, as can be."""
    lines = [
        f"The stated share of anomalies is there, {options.streams} streams of {options.length} images:",
        "| expected share | anomalies | n | alpha | robust: alarms | conformal: alarms |",
        "|---|---|---|---|---|---|",
    ]
    for share in (0.01, 0.05):
        for kind, value in (("highest", 1e6), ("lowest", -1e6)):
            for count in CALIBRATIONS:
                scores = _normal(options.streams, count, options.length, seed=2)
                draws = np.random.default_rng(3)
                anomalous = draws.random((options.streams, options.length)) < share
                scores[:, count:][anomalous] = value
                robust = DriftSettings(alpha=0.05, share=share)
                alarms = [
                    int((_highest(settings, scores, count) >= _limit(settings, 0.05)).sum())
                    for settings in (robust, DriftSettings(alpha=0.05))
                ]
                lines.append(f"| {share:.0%} | {kind} | {count} | 0.05 | {alarms[0]} | {alarms[1]} |")
    return lines


def _delays(options: argparse.Namespace) -> list[str]:
    """Measures the delay until a shift is found, which begins at once or after 1,000 normal images."""
    lines = [
        f"Delay in images, alpha 0.01, {options.delay_streams} streams, {options.delay_length} images "
        "after the shift: median (90 % of streams), share found where below 100 %:",
        "| form | n | shift begins after | " + " | ".join(f"{shift:g} std" for shift in SHIFTS) + " |",
        "|---|---|---|" + "---|" * len(SHIFTS),
    ]
    for settings, name in _forms():
        for count in CALIBRATIONS:
            for clean in (0, 1000):
                cells = []
                for shift in SHIFTS:
                    length = clean + options.delay_length
                    scores = _normal(options.delay_streams, count, length, seed=4)
                    scores[:, count + clean :] += shift
                    first = _first_alarm(settings, scores, count)
                    # An alarm before the shift is a false one; such a stream says nothing about the delay.
                    delays = first[first > clean] - clean
                    cells.append(_cell(delays, longest=options.delay_length))
                lines.append(f"| {name} | {count} | {clean} | " + " | ".join(cells) + " |")
    return lines


def _real(options: argparse.Namespace) -> list[str]:
    """Measures false alarms and delays on scores of real normal images, in random orders."""
    [unit] = RunFolder.read(options.run).metrics["val"]
    known = run_reference(options.run, unit=unit).scores
    clean, *shifted = (_normal_scores(path) for path in (options.clean, *options.shifted))
    draws = np.random.default_rng(6)
    half, orders = len(known) // 2, options.orders
    lines = [f"{len(known)} validation scores, {len(clean)} clean images, {orders} random orders"]
    for direction in ("both", "up"):
        for share in (0.0, 0.05):
            settings = {"direction": direction, "share": share}
            divided = [draws.permutation(known) for _ in range(orders)]
            halves = [_alarm(each[:half], each[half:], alpha=0.1, **settings) for each in divided]
            plain = [_alarm(known, draws.permutation(clean), alpha=0.1, **settings) for _ in range(orders)]
            counts = [sum(each is not None for each in found) for found in (halves, plain)]
            lines.append(
                f"{settings}, alpha 0.1: alarms on one half of the validation scores against the other "
                f"{counts[0]}, on clean images {counts[1]}"
            )
            for path, scores in zip(options.shifted, shifted, strict=True):
                for before in (0, len(clean)):
                    delays = np.full(orders, len(scores) + 1)
                    for order in range(orders):
                        stream = [*draws.permutation(clean)[:before], *draws.permutation(scores)]
                        found = _alarm(known, np.array(stream), alpha=0.01, **settings)
                        if found is not None and found > before:
                            delays[order] = found - before
                    cell = _cell(delays, longest=len(scores))
                    lines.append(f"    {path.parent.name} after {before} clean images, alpha 0.01: {cell}")
    return lines


def _normal_scores(path: Path) -> np.ndarray:
    return np.array([row["score"] for row in read_rows(path) if not row.get("label")])


def _alarm(
    reference: np.ndarray, stream: np.ndarray, *, alpha: float, direction: str, share: float
) -> int | None:
    monitor = DriftMonitor(reference, DriftSettings(alpha=alpha, direction=direction, share=share))
    for score in stream.tolist():
        monitor.update(score)
    return monitor.alarm_at


def _cell(delays: np.ndarray, *, longest: int) -> str:
    middle, late = (np.quantile(delays, q, method="higher") for q in (0.5, 0.9))
    texts = [f"{int(value)}" if value <= longest else f"> {longest}" for value in (middle, late)]
    found = float((delays <= longest).mean())
    return f"{texts[0]} ({texts[1]})" + (f", {found:.0%}" if found < 1 else "")


def _forms() -> list[tuple[DriftSettings, str]]:
    return [
        (DriftSettings(direction="both"), "conformal, both"),
        (DriftSettings(direction="up"), "conformal, up"),
        (DriftSettings(direction="up", share=0.001), "robust 0.1 %, up"),
        (DriftSettings(direction="up", share=0.05), "robust 5 %, up"),
    ]


def _normal(streams: int, count: int, length: int, *, seed: int) -> np.ndarray:
    return np.random.default_rng(seed).standard_normal((streams, count + length))


def _limit(settings: DriftSettings, alpha: float) -> float:
    return -math.log(alpha * (1 - BOUNDS_SHARE if settings.share else 1))


def _highest(settings: DriftSettings, scores: np.ndarray, count: int) -> np.ndarray:
    mixture, bets = _followed(settings, scores, count)
    for log_bets in bets:
        mixture.update(log_bets)
    return mixture.log_highest


def _first_alarm(settings: DriftSettings, scores: np.ndarray, count: int) -> np.ndarray:
    """Returns the number of the image at the alarm of each stream; a huge number without one."""
    mixture, bets = _followed(settings, scores, count)
    first = np.full(len(scores), np.iinfo(np.int64).max)
    limit = _limit(settings, settings.alpha)
    for log_bets in bets:
        found = (mixture.update(log_bets) >= limit) & (first > mixture.seen)
        first[found] = mixture.seen
    return first


def _followed(
    settings: DriftSettings, scores: np.ndarray, count: int
) -> tuple[ChangeMixture, Iterator[np.ndarray]]:
    if settings.share:
        robust = RobustBets(scores[:, :count].T, settings, delta=BOUNDS_SHARE * settings.alpha)
        mixture = ChangeMixture(bettors=robust.count, streams=len(scores))
        return mixture, (robust.log(column) for column in scores[:, count:].T)
    bets = ShiftBets(settings.direction)
    mixture = ChangeMixture(bettors=bets.count, streams=len(scores))
    return mixture, (bets.log(p) for p in conformal_p_values(scores, count))


def conformal_p_values(scores: np.ndarray, count: int) -> Iterator[np.ndarray]:
    """Yields the p values of all streams, image by image: one Fenwick tree per stream, updated side by side.

    Args:
        scores: (S, n + length) calibration scores, then those of the stream.
        count: n.

    Yields:
        (S,) p values.
    """
    streams, total = scores.shape
    ranks = np.empty(scores.shape, dtype=np.int64)  # ties are kept: equal scores get their lowest rank
    for row, rank in zip(scores, ranks, strict=True):
        rank[:] = np.searchsorted(np.sort(row), row) + 1
    tree = np.zeros((total + 1, streams), dtype=np.int32)
    place, draws = np.arange(streams), np.random.default_rng(5)
    for number in range(total):
        rank = ranks[:, number]
        if number >= count:
            not_above, below = _prefix(tree, rank, place), _prefix(tree, rank - 1, place)
            above, equal = number - not_above, not_above - below + 1
            yield (above + (1 - draws.random(streams)) * equal) / (number + 1)
        node = rank.copy()
        while (inside := node <= total).any():
            tree[node[inside], place[inside]] += 1
            node += node & -node


def _prefix(tree: np.ndarray, rank: np.ndarray, place: np.ndarray) -> np.ndarray:
    found, node = np.zeros(len(place), dtype=np.int64), rank.copy()
    while node.any():
        found += tree[node, place]  # the entry of node 0 is always 0
        node -= node & -node
    return found


if __name__ == "__main__":
    main()
