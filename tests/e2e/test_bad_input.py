"""Whatever a user may type: one line that says what, where and what to do; exit code 2; no run folder."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from omegaconf import DictConfig
from PIL import Image

from adframe.cli.evaluate import run_evaluation
from adframe.cli.train import run_training
from adframe.cli.typed import TypedOverrides
from adframe.config.messages import USER_ERRORS, one_line
from adframe.errors import AdframeError
from adframe.runs.image_scores import read_image_scores
from tests.composing import Composed
from tests.e2e.scripts import COUNTS, Outcome, call, spawn

END_TO_END = {  # override: what the line must say
    "category=weav": "unknown category 'weav' did you mean 'weave'? known: bracket, tray, weave",
    "dataset.root=/a,b": "a list is dataset.root=[/a,b] a name with a comma is 'dataset.root=\"/a,b\"'",
    "hydra.run.dir=/x": "hydra.run.dir is not read paths.run=<folder>",
    "coreset==0.1": "cannot read the override 'coreset==0.1' key=value",
    "[": "cannot read the override '[' key=value",
    "--coreset=0.1": "unknown option '--coreset=0.1' coreset=<value>",
    "corset=0.1": "unknown override 'corset' did you mean 'coreset'? --help",
    "model.coresett=1": "unknown override 'model.coresett' did you mean 'model.coreset'?",
    "~coreset": "coreset is missing",
    "model=null": "must be a string",
    "model=patchcor": "unknown model 'patchcor' did you mean 'patchcore'?",
    "backbone=resnet81": "unknown backbone 'resnet81' did you mean 'resnet18'?",
    "trainer.accelerator=tpu": "trainer: trainer=cpu",
    "paths.run=/proc/nobody/run": "cannot write to /proc/nobody/run another folder with paths.run=",
    "resume=/nowhere": "resume goes on with the run's own configuration",
}
REFUSED = {  # what Hydra composes and the run itself refuses, before any work
    "category=3": "unknown category '3' known: bracket, tray, weave",
    "category=[1e3,weave]": "unknown category '1e3'",
    "category=null": "unknown category 'null'",
    "dataset.root=/a=b": "cannot read the override 'dataset.root=\"/a=b\"'",
    "coreset=nan": "coreset=nan is not possible",
    "model.sigma=nan": "model.sigma=nan is not possible; finite number",
    "model.sigma=inf": "model.sigma=inf is not possible; finite number",
    "calibration.image.q=nan": "calibration.image.q=nan is not possible",
    "+trainer.limit_test_batches=1": "trainer.limit_test_batches=1 leaves out a part of the images",
    "+trainer.limit_train_batches=0.5": "trainer.limit_train_batches=0.5 leaves out",
    "+trainer.limit_val_batches=0": "trainer.limit_val_batches=0 leaves out",
    "+trainer.fast_dev_run=true": "trainer.fast_dev_run=true leaves out",
    "+trainer.overfit_batches=1": "trainer.overfit_batches=1 leaves out",
    "+trainer.max_steps=3": "trainer.max_steps=3 leaves out",
    "+dataset.unlabelled=neu": "unknown override 'dataset.unlabelled'",
    "category=[weave,weave]": "category=[weave,weave] different names",
    "coreset=0": "coreset=0 a share in (0, 1]",
    "coreset=-1": "coreset=-1 a share in (0, 1]",
    "coreset=1.5": "coreset=1.5 a share in (0, 1]",
    "coreset=abc": "coreset=abc a share in (0, 1]",
    "coreset=null": "coreset=null a share in (0, 1]",
    "coreset=": "coreset= a share in (0, 1]",
    "coreset": "cannot read the override 'coreset' key=value",
    "+foo=1": "unknown override 'foo'",
    "+model.coresett=1": "unknown override 'model.coresett' did you mean 'model.coreset'?",
    "+logger.proyect=x": "unknown override 'logger.proyect'",
    "~model.backbone": "model.backbone is missing",
    "model.backbone=3": "model.backbone=3 must be a TimmBackbone",
    "dataset.layout=mvtec_ado": "unknown dataset.layout 'mvtec_ado' did you mean",
    "dataset.size=big": "dataset.size=big a whole number",
    "backbone.model=test_resnett": "unknown timm model 'test_resnett' did you mean 'test_resnet'?",
    "backbone.layers=[layer9]": "unknown backbone layer 'layer9' known: act1, layer1",
    "backbone.layers=layer2": "backbone.layers=layer2 a list",
    "backbone.checkpoint=/nowhere.pth": "/nowhere.pth does not exist",
    "seed=abc": "seed=abc a whole number",
    "seed=1.5": "seed=1.5 a whole number",
    "seed=true": "seed=true a whole number",
    "image_size=abc": "image_size=abc a whole number, or [height,width]",
    "image_size=[64]": "image_size=[64] a whole number, or [height,width]",
    "batch_size=0": "batch_size=0 above 0",
    "num_workers=-1": "num_workers=-1 0 or more",
    "holdout=1": "holdout=1 a share between 0 and 1",
    "refit=maybe": "refit=maybe true or false",
    "scope=foo": "scope=foo per_category or global",
    "model.neighbours=0": "model.neighbours=0",
    "model.neighbours=abc": "model.neighbours=abc a whole number",
    "model.neighbours=1.5": "model.neighbours=1.5 a whole number",
    "model.sigma=abc": "model.sigma=abc a number",
    "metrics.limits=[2]": "limits (0, 1]",
    "metrics.limits=0.3": "metrics.limits=0.3 a list of numbers",
    "calibration.image.q=2": "calibration q=2 between 0 and 1",
    "calibration.image.q=abc": "calibration.image.q=abc a number",
    "callbacks.gallery.pictures=many": "callbacks.gallery.pictures=many a whole number",
    "trainer.devices=abc": "trainer: devices trainer=cpu",
    "model._target_=os.system": "model._target_=os.system is not a part of adframe 'trusted=[os]'",
    "model._target_=adframe.models.patchcore.PatchCor": "is not a part of adframe",
    "trusted=[a-b]": "trusted=[a-b] a list of packages",
    "paths.splits=/proc/nobody": "cannot write to /proc/nobody another folder with paths.splits=",
    "category=${nothing}": "nothing",
}


def refused(outcome: Outcome, words: str = "") -> bool:
    """Exactly one line, an error, with all the words in it, and nothing on standard output."""
    assert outcome.code == 2, outcome
    assert outcome.out == ""
    assert outcome.err.startswith("error: ")
    assert outcome.err.count("\n") == 1, outcome.err
    for word in words.split():
        assert word in outcome.err
    return True


@pytest.mark.parametrize("override", END_TO_END)
def test_an_override_that_cannot_work_is_one_line(override: str, base: list[str], tmp_path: Path) -> None:
    outcome = call("train", *base, "category=weave", f"paths.runs={tmp_path / 'runs'}", override)
    assert refused(outcome, END_TO_END[override])
    assert list(tmp_path.iterdir()) == []


def refuses(
    composed: Composed, work: Callable[[DictConfig, TypedOverrides], object], *overrides: str, words: str
) -> bool:
    """Whether `work` is stopped by what the script would print as one line with all the words in it."""
    with pytest.raises(USER_ERRORS) as caught:
        work(composed.changed(*overrides), TypedOverrides.from_hydra())
    text = one_line(caught.value)
    assert "\n" not in text
    for word in words.split():
        assert word in text
    return True


@pytest.fixture(scope="module")
def given(base: list[str], tmp_path_factory: pytest.TempPathFactory) -> Composed:
    runs = tmp_path_factory.mktemp("given") / "runs"
    return Composed.of("train", *base, "category=weave", f"paths.runs={runs}")


@pytest.mark.parametrize("override", REFUSED)
def test_what_composes_and_cannot_work_stops_the_run(override: str, given: Composed, tmp_path: Path) -> None:
    assert refuses(given, run_training, override, words=REFUSED[override])
    assert not Path(given.config.paths.runs).exists()
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("override", ["corset=0.1", "["])
def test_a_process_of_its_own_says_the_same(override: str, base: list[str], tmp_path: Path) -> None:
    arguments = [*base, "category=weave", "paths.runs=runs", override]
    outcome = spawn("train", *arguments, cwd=tmp_path)
    assert refused(outcome, END_TO_END[override])
    assert outcome == call("train", *arguments)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU here")
def test_a_gpu_that_is_not_there(base: list[str], tmp_path: Path) -> None:
    assert refused(call("train", *base, "trainer=gpu", f"paths.runs={tmp_path / 'runs'}"), "gpu trainer=cpu")
    assert list(tmp_path.iterdir()) == []


def test_mandatory_values_are_asked_for_by_name(toy: Path) -> None:
    outcome = call("train", *COUNTS, f"dataset.root={toy}", "backbone=timm")
    assert refused(outcome, "backbone.model, backbone.layers have no value backbone.model=...")
    assert refused(call("evaluate"), "run has no value run=...")


DataCase = tuple[Callable[[Path], object], str]
DATA: dict[str, DataCase] = {  # a file below the dataset: what happens to it, what the line must say
    "weave/train/good/000.png": (
        lambda p: p.write_bytes(p.read_bytes()[:200]),
        "cannot be decoded truncated",
    ),
    "weave/train/good/001.png": (lambda p: p.write_bytes(b""), "is empty (0 bytes) replace the file"),
    "weave/test/good/000.png": (lambda p: p.write_text("hello"), "cannot be decoded replace the file"),
    "weave/ground_truth/hole/000_mask.png": (
        lambda p: p.unlink(),
        "no ground-truth mask weave/test/hole/000.png",
    ),
    "weave/ground_truth/hole/001_mask.png": (
        lambda p: shutil.copy(p.parents[3] / "small.png", p),
        "32x32 (height x width) 64x64",
    ),
    "weave/test": (shutil.rmtree, "weave has no test images"),
    "weave/train/good": (lambda p: [file.unlink() for file in p.iterdir()], "weave 0 training images"),
}


@pytest.fixture(scope="module")
def on_images() -> Composed:
    view = ("image_size=64", "num_workers=0")
    return Composed.of("train", *view, "category=weave", "dataset=mvtec_ad")


@pytest.mark.parametrize("place", DATA)
def test_a_broken_file_stops_the_run_and_is_named(
    place: str, finished: Path, toy: Path, on_images: Composed, tmp_path: Path
) -> None:
    data = Path(shutil.copytree(toy, tmp_path / "data"))
    Image.new("L", (32, 32)).save(data / "small.png")
    harm, words = DATA[place]
    harm(data / place)
    named = "" if place.endswith(("test", "good")) else Path(place).stem
    paths = (f"dataset.root={data}", f"paths.runs={tmp_path / 'runs'}")
    assert refuses(on_images, run_training, *paths, words=f"{words} {named}")
    assert not (tmp_path / "runs").exists()


@pytest.mark.parametrize(
    ("state", "words"), [("missing", "is not there"), ("empty", "is empty"), ("other", "another layout")]
)
def test_data_that_is_not_there_says_where_to_get_it(
    state: str, words: str, on_images: Composed, tmp_path: Path
) -> None:
    root = tmp_path / "mvtec"
    if state != "missing":
        (root / "holiday" if state == "other" else root).mkdir(parents=True)
    said = f"{root} {words} train/good https://www.mvtec.com dataset.root=<folder>"
    paths = (f"dataset.root={root}", f"paths.runs={tmp_path / 'runs'}")
    assert refuses(on_images, run_training, *paths, words=said)
    assert not (tmp_path / "runs").exists()


def spoil(run: Path, file: str, content: bytes) -> None:
    (run / file).write_bytes(content)


RUNS: dict[str, tuple[Callable[[Path], object], str]] = {
    "corrupt checkpoint": (
        lambda r: spoil(r, "checkpoints/weave.ckpt", b"abc"),
        "weave.ckpt cannot be read safely",
    ),
    "empty checkpoint": (
        lambda r: spoil(r, "checkpoints/weave.ckpt", b""),
        "weave.ckpt cannot be read safely",
    ),
    "no checkpoint": (lambda r: (r / "checkpoints/weave.ckpt").unlink(), "weave.ckpt is not there"),
    "another category's": (
        lambda r: shutil.copy(r / "checkpoints/tray.ckpt", r / "checkpoints/weave.ckpt"),
        "weave.ckpt is of unit tray, and unit weave is needed",
    ),
    "a folder for a checkpoint": (
        lambda r: ((r / "checkpoints/weave.ckpt").unlink(), (r / "checkpoints/weave.ckpt").mkdir()),
        "weave.ckpt cannot be read safely",
    ),
    "a poor environment": (
        lambda r: spoil(r, "environment.json", b"{}"),
        "environment.json lacks model, backbone",
    ),
    "another shape": (
        lambda r: spoil(r, "metrics.json", b"[1]"),
        "metrics.json does not have the shape of a run's",
    ),
    "stopped": (lambda r: (r / "metrics.json").unlink(), "no finished category train.py resume="),
    "damaged metrics": (lambda r: spoil(r, "metrics.json", b"{"), "cannot read metrics.json damaged"),
    "damaged config": (lambda r: spoil(r, "config.yaml", b"a: [b"), "cannot read config.yaml damaged"),
    "another config": (lambda r: spoil(r, "config.yaml", b"a: b"), "no run's configuration lacks dataset"),
    "no config": (lambda r: (r / "config.yaml").unlink(), "is no run's folder"),
    "no environment": (lambda r: (r / "environment.json").unlink(), "cannot read environment.json"),
    "no ledger": (lambda r: (r / "predictions.parquet").unlink(), "cannot read"),
}


@pytest.fixture(scope="module")
def of_run(finished: Path) -> Composed:
    return Composed.of("evaluate", f"run={finished}")


@pytest.mark.parametrize("case", RUNS)
def test_a_run_that_cannot_be_evaluated_says_why(
    case: str, of_run: Composed, finished: Path, tmp_path: Path
) -> None:
    run = Path(shutil.copytree(finished, tmp_path / "run", ignore=shutil.ignore_patterns("evaluations")))
    harm, words = RUNS[case]
    harm(run)
    assert refuses(of_run, run_evaluation, f"run={run}", words=words)
    assert not (run / "evaluations").exists()


@pytest.mark.parametrize(
    "override",
    ["category=bottle", "category=3", "num_workers=-1", "num_workers=abc", "coreset=0.2", "run=null"],
)
def test_an_evaluation_that_cannot_work_is_one_line(override: str, of_run: Composed) -> None:
    assert refuses(of_run, run_evaluation, override, words=override.partition("=")[0])


def test_names_that_are_not_utf8_are_read_and_a_categorys_is_refused(
    base: list[str], toy: Path, tmp_path: Path
) -> None:
    data = Path(shutil.copytree(toy, tmp_path / "data"))
    for folder in ("train", "test"):
        image = data / "weave" / folder / "good" / "000.png"
        image.rename(image.with_name("\udcff000.png"))
    given = [text for text in base if not text.startswith("dataset.")]
    given += ["dataset=mvtec_ad", f"dataset.root={data}"]
    run = ("save_maps=true", f"paths.run={tmp_path / 'run'}")
    assert call("train", *given, "category=weave", *run).code == 0
    assert call("evaluate", f"errors={tmp_path / 'run'}").code == 0
    (data / "weave").rename(data / "we\udcffave")
    assert refused(call("train", *given, f"paths.runs={tmp_path / 'runs'}"), "category not UTF-8; rename it")


def test_a_submission_needs_a_name(finished: Path) -> None:
    assert refused(call("evaluate", f"run={finished}", "submission=."), "submission=. names no new folder")


def test_a_nul_in_a_table_of_scores_is_one_line(toy: Path, tmp_path: Path) -> None:
    (tmp_path / "scores.csv").write_bytes(b"path,score\na\0b,1\n")
    with pytest.raises(AdframeError, match="line 2 has a NUL character in its path"):
        read_image_scores(tmp_path / "scores.csv", images=[], root=toy)
