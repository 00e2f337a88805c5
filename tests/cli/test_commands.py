"""The commands of `adframe` that run experiments, as a wheel has them."""

import os
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from adframe.cli import app, experiment_commands
from adframe.io.program import CONF, command_of

ROOT = Path(__file__).parents[2]
SMALL = (
    "dataset.size=64", "dataset.train=6", "dataset.test_good=3", "dataset.test_bad=3", "image_size=64",
    "backbone=timm", "backbone.model=test_resnet", "backbone.layers=[layer2,layer3]",
    "backbone.source=random",
)  # fmt: skip


def typed(monkeypatch, *words: str) -> int:
    monkeypatch.setattr(sys, "argv", ["/bin/adframe", *words])
    with pytest.raises(SystemExit) as left:
        app.main()
    return int(left.value.code or 0)


def test_the_demo_ends_in_a_table_and_says_what_to_try_next(tmp_path, monkeypatch, capsys):
    sizes = ("dataset.train=", "dataset.test_bad=")
    kept = [text for text in experiment_commands._DEMO_SETTINGS if not text.startswith(sizes)]
    monkeypatch.setattr(experiment_commands, "_DEMO_SETTINGS", (*kept, *SMALL))
    out = tmp_path / "it's, a demo"
    assert typed(monkeypatch, "demo", "--out", str(out)) == 0
    printed = capsys.readouterr().out
    report = out / "run1" / "report.html"
    assert report.is_file()
    for text in ("AUROC", str(report), "try next", f"{command_of('train')} dataset=folder"):
        assert text in printed


def test_a_command_explains_itself_and_its_errors(monkeypatch, capsys):
    assert typed(monkeypatch, "train", "modle=x") == 2
    assert "did you mean 'model'? (adframe train --help)" in capsys.readouterr().err
    assert typed(monkeypatch, "train", "-m", "seed=1,2") == 2
    assert "train runs one configuration; adframe sweep -m runs several" in capsys.readouterr().err
    assert typed(monkeypatch, "evaluate", "--help") == 0
    helped = capsys.readouterr().out
    assert "adframe evaluate compare=[<run>,<run>]" in helped
    assert "backbone" not in helped  # it takes what a run has


@pytest.mark.slow
def test_a_wheel_runs_a_sweep_without_the_repository(tmp_path):
    source, installed, work = tmp_path / "source", tmp_path / "installed", tmp_path / "work"
    for name in ("adframe", "conf", "hydra_plugins"):
        shutil.copytree(ROOT / name, source / name, ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("pyproject.toml", "setup.py", "README.md"):
        shutil.copy(ROOT / name, source / name)
    build = f"from setuptools import build_meta; build_meta.build_wheel({str(tmp_path)!r})"
    subprocess.run([sys.executable, "-c", build], cwd=source, check=True, capture_output=True)
    [wheel] = tmp_path.glob("*.whl")
    zipfile.ZipFile(wheel).extractall(installed)
    packaged = installed / "adframe" / "conf"
    assert {file.relative_to(packaged) for file in packaged.rglob("*.yaml")} == {
        file.relative_to(CONF) for file in CONF.rglob("*.yaml")
    }

    work.mkdir()
    done = subprocess.run(
        [sys.executable, "-m", "adframe", "sweep", "-m", "coreset=0.1,0.2", "category=bracket",
         "num_workers=0", "logger=none", "hydra.sweep.dir=sweep", *SMALL],
        cwd=work, env=os.environ | {"PYTHONPATH": str(installed)},
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert "adframe sweep -m coreset=0.1,0.2" in (work / "sweep" / "study.html").read_text()
