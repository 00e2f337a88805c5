"""The tree of stages says what is done, what runs, and how long the rest takes by what was measured."""

from __future__ import annotations

import io

import pytest
from rich.console import Console

from adframe.callbacks.stages import StageTree, current_stages, run_stages


class Clock:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


def drawn(tree: StageTree, *, width: int = 80) -> str:
    file = io.StringIO()
    Console(file=file, width=width).print(tree)
    return file.getvalue()


def work(tree: StageTree, clock: Clock, name: str, stage: str, *, steps: int, of: int, each: float) -> None:
    for step in range(steps):
        clock.now += each
        tree.step(name, stage, done=step + 1, total=of)


def test_a_run_of_one_model_shows_its_stages() -> None:
    clock = Clock()
    tree = StageTree(["tray"], clock=clock)
    work(tree, clock, "tray", "training images", steps=4, of=4, each=3.0)
    work(tree, clock, "tray", "validation", steps=2, of=6, each=5.0)
    text = drawn(tree)
    assert "training images       12 s" in text
    assert "2 of 6, about 20 s left" in text
    assert "models done" not in text


def test_no_time_is_estimated_without_a_basis() -> None:
    clock = Clock()
    tree = StageTree(["screw", "tray"], clock=clock)
    work(tree, clock, "screw", "test", steps=1, of=1000, each=0.5)
    assert "left" not in drawn(tree)


def test_the_rest_of_a_run_is_estimated_from_the_finished_models() -> None:
    clock = Clock()
    tree = StageTree(["a", "b", "c"], clock=clock)
    work(tree, clock, "a", "test", steps=2, of=2, each=30.0)
    tree.finish("a")
    work(tree, clock, "b", "test", steps=1, of=2, each=20.0)
    assert tree.left() == pytest.approx(60 + 40)
    assert drawn(tree).splitlines()[0] == "1 of 3 models done, about 2 min left"


def test_a_model_of_an_earlier_part_is_done_and_says_nothing_of_time() -> None:
    clock = Clock()
    tree = StageTree(["a", "b", "c"], clock=clock)
    tree.finish("a")
    work(tree, clock, "b", "test", steps=1, of=2, each=5.0)
    text = drawn(tree)
    assert text.splitlines()[0] == "1 of 3 models done"
    assert "0.0 s" not in text


def test_many_finished_models_are_counted() -> None:
    clock = Clock()
    tree = StageTree([f"category {place}" for place in range(15)], clock=clock)
    for place in range(12):
        work(tree, clock, f"category {place}", "test", steps=1, of=1, each=2.0)
        tree.finish(f"category {place}")
    text = drawn(tree)
    assert "8 earlier ones" in text
    assert "category 11" in text
    assert len(text.splitlines()) < 8


def test_a_stage_that_begins_again_starts_from_nothing() -> None:
    clock = Clock()
    tree = StageTree(["tray"], clock=clock)
    work(tree, clock, "tray", "validation", steps=3, of=3, each=4.0)
    work(tree, clock, "tray", "validation", steps=1, of=3, each=2.0)
    assert tree.units["tray"].stages["validation"].left() == pytest.approx(4.0)


def test_a_training_that_goes_on_is_estimated_from_its_own_steps() -> None:
    clock = Clock()
    tree = StageTree(["tray"], clock=clock)
    clock.now = 2.0
    tree.step("tray", "training", done=9000, total=10_000, before=9000)
    assert tree.units["tray"].stages["training"].left() is None
    clock.now = 4.0
    tree.step("tray", "training", done=9002, total=10_000, before=9000)
    assert tree.units["tray"].stages["training"].left() == pytest.approx(2 * 998)


def test_tests_under_another_name_belong_to_the_model_that_runs() -> None:
    tree = StageTree(["global"], clock=Clock())
    tree.step("tray", "test", done=1, total=2)
    assert list(tree.units) == ["global"]
    assert "tray, test" in drawn(tree)


@pytest.mark.parametrize("width", [80, 100])
def test_no_line_is_longer_than_the_terminal(width: int) -> None:
    clock = Clock()
    tree = StageTree(["a category with a name that is rather long for a terminal", "b"], clock=clock)
    name = next(iter(tree.units))
    work(tree, clock, name, "a stage whose name is long as well", steps=9, of=123_456, each=700.0)
    assert all(len(line) <= width for line in drawn(tree, width=width).splitlines())
    assert "9 of 123,456" in drawn(tree, width=width)


def test_a_run_has_one_tree() -> None:
    with run_stages(["tray"]) as tree:
        assert current_stages() is tree
    assert current_stages() is not tree
