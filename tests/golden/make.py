"""Makes the golden folders again: `python -m tests.golden.make`, from the root of a checkout.

Every run and sweep is made with the toy set in one fixed place, so that no path of a machine is in the
files, and is packed without what no study reads. Then all are read, and `expected/` holds the tables.
"""

from __future__ import annotations

import os
import shutil
import sys
import tarfile
import tempfile
from pathlib import Path

import numpy as np

from tests.e2e.scripts import BACKBONE, call
from tests.golden.replay import CASES, EXPECTED, FOLDER, replay, unpack

PLACE = Path("/tmp/adframe-golden")  # no user's folder, and gone when all is made
BUDGET = 3_500_000  # bytes of all archives and tables
COUNTS = ("dataset.size=64", "dataset.train=12", "dataset.validation=6", "dataset.test_good=8")
PLAIN = (
    *COUNTS, "dataset.test_bad=12", "image_size=64", "num_workers=0", "logger=none",
    "callbacks.gallery.pictures=2", f"paths.runs={PLACE}",
)  # fmt: skip
BASE = (*PLAIN, *BACKBONE)
ROOTED = (*BASE, f"paths.data={PLACE / 'data'}")  # or the paths of images are those below the working folder
TOKENS = (
    *PLAIN, f"paths.data={PLACE / 'data'}", "backbone=timm", "backbone.model=test_vit",
    "backbone.layers=[blocks.1]", "backbone.source=random", "holdout=0.34", "batch_size=4",
)  # fmt: skip
TWO, ONE = "category=[weave,tray]", "category=weave"
SWEEPS: dict[str, tuple[str, ...]] = {
    "ablation": (*BASE, TWO, "coreset=0.05,0.3,1.0", "seed=0,1"),
    "failed": (*BASE, ONE, "coreset=0.1,2,0.5"),
    "datasets": (*BASE, "category=tray", "dataset=toy,toy_loco", "coreset=0.1,0.5"),
    "search": (
        *BASE, ONE, "search=optuna", "search.trials=3", "search.metric=val/calibration/threshold",
        "search.direction=minimize", "coreset=interval(0.05,0.9)", "memory=greedy,random",
    ),
    "domain_shift": ("experiment=domain_shift", *BASE, TWO),
    "severity": ("experiment=shift_severity", *BASE, ONE, "model=patchcore"),
    "cross_shift": (
        "experiment=cross_shift", *BASE, ONE, "shift=none,photometric",
        "~shift@domains.geometric",
    ),
    "cross_category": (
        "experiment=cross_category", *BASE, "model=patchcore", "callbacks.patches.count=40",
        "study.permutations=20",
    ),
    "global_model": ("experiment=global_model", *BASE, TWO),
    "efficiency": (
        "experiment=efficiency", *BASE, ONE, "callbacks.latency.images=4", "coreset=0.1,1.0",
        "model.reduce=none,pca", "model.dimensions=16",
    ),
    "features": (
        "experiment=features", *PLAIN, TWO, "backbone=timm", "backbone.model=test_resnet,test_vit",
        "backbone.source=random", "backbone.layers=pyramid", "callbacks.patches.count=30",
        "callbacks.patches.rollouts=1",
    ),
}  # fmt: skip
RUNS: dict[str, tuple[str, ...]] = {
    "patchcore": (*ROOTED, TWO),
    "padim": (*ROOTED, TWO, "model=padim"),
    "loco": (*ROOTED, "category=tray", "dataset=toy_loco"),
    "loco_random": (*ROOTED, "category=tray", "dataset=toy_loco", "memory=random"),
    "ad2": (*ROOTED, ONE, "dataset.layout=mvtec_ad2"),
    "calibrated": (
        *ROOTED, TWO, "split=mvtec_shift_protocol", "split.anomalies=0.5", "calibration=f1",
        "calibration.zones=2", "calibration.probability=platt", "calibration.normalisation=ecdf",
        "calibration/rule@calibration.pixel=quantile",
    ),
    "sit": (
        *TOKENS, "model=sit", "category=tray", "learning.epochs=3", "learning.optimizer.lr=1e-3",
        "model.scoring.blocks=[1,2]",
    ),
    "lora": (*TOKENS, "model=dinov2_lora", "category=tray", "learning.epochs=2"),
}  # fmt: skip
LEFT_OUT = (
    "checkpoints", "figures", "tables", "leaderboard.*", "*.wandb", "wandb_sweep.yaml", "multirun.yaml",
    "study.html", "reconstructions", "*.png", "*.svg",
)  # fmt: skip
# The page of a finished run, without which it does not count as finished.
STUB = "<!doctype html><title>left out</title>\n"


def _call(script: str, *overrides: str, code: int = 0) -> None:
    outcome = call(script, *overrides)
    if outcome.code != code:
        raise SystemExit(f"{script} {' '.join(overrides)}\n{outcome.out}\n{outcome.err}")


def _pack(folder: Path) -> Path:
    """One archive; arrays lie in it uncompressed, because xz makes them smaller than zip does."""
    for pattern in LEFT_OUT:
        for path in list(folder.rglob(pattern)):
            shutil.rmtree(path) if path.is_dir() else path.unlink(missing_ok=True)
    for path in folder.rglob("heatmaps/**/*.jpg"):
        path.unlink()
    for path in folder.rglob("report.html"):
        path.write_text(STUB)
    for path in folder.rglob("*.npz"):
        with np.load(path) as stored:
            arrays = dict(stored)
        np.savez(path, allow_pickle=False, **arrays)
    archive = FOLDER / f"{folder.name}.tar.xz"
    with tarfile.open(archive, "w:xz", preset=9) as packed:
        packed.add(folder, folder.name, filter=_anonymous)
    return archive


def _anonymous(member: tarfile.TarInfo) -> tarfile.TarInfo:
    """Without who made it, and when."""
    member.uid = member.gid = member.mtime = 0
    member.uname = member.gname = ""
    return member


def main(names: list[str]) -> None:
    """Makes the archives named, or all, and then the tables of all; any other name makes tables only."""
    shutil.rmtree(PLACE, ignore_errors=True)
    PLACE.mkdir()
    os.chdir(PLACE)
    for name, given in RUNS.items():
        if not names or name in names:
            _call("train", *given, f"paths.run={PLACE / name}")
            if name == "patchcore":
                _call("evaluate", f"run={PLACE / name}", "shift=severe")
            print(_pack(PLACE / name), flush=True)
    for name, given in SWEEPS.items():
        if not names or name in names:
            _call("sweep", "-m", *given, f"hydra.sweep.dir={PLACE / name}", code=2 if name == "failed" else 0)
            print(_pack(PLACE / name), flush=True)
    shutil.rmtree(PLACE)
    with tempfile.TemporaryDirectory() as place:
        os.chdir(place)
        shutil.rmtree(EXPECTED, ignore_errors=True)
        for name in CASES:
            unpack(Path(place), CASES[name])
            for table, text in replay(name, Path(place)).items():
                (EXPECTED / name / table).parent.mkdir(parents=True, exist_ok=True)
                (EXPECTED / name / table).write_text(text)
    size = sum(path.stat().st_size for path in FOLDER.rglob("*") if path.suffix in (".xz", ".csv"))
    print(f"{size / 1e6:.2f} MB")
    if size > BUDGET:
        raise SystemExit(f"that is more than {BUDGET / 1e6:.0f} MB")


if __name__ == "__main__":
    main(sys.argv[1:])
