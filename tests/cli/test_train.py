"""What the processes of a run are told."""

from __future__ import annotations

from typing import Any

import pytest

from adframe.cli.train import run_training
from adframe.cli.typed import TypedOverrides
from tests.composing import composed


def test_several_processes_are_told_which_keys_are_not_read(monkeypatch: pytest.MonkeyPatch) -> None:
    given: list[Any] = []
    monkeypatch.setattr("adframe.cli.train.print_run", lambda folder: folder)
    monkeypatch.setattr("adframe.cli.train.RunFolder.read", lambda path: path)
    typed = (
        "model=patchcore",
        "dataset=toy",
        "paths.run=x",
        "trainer=ddp_cpu",
        "coreset=0.2",
        "mask_ratio=0.5",
    )
    cfg = composed("train", *typed)
    monkeypatch.setattr("adframe.cli.train.run_together", lambda *found: given.extend(found) or "x")
    run_training(cfg, TypedOverrides(typed, (), {"model": "patchcore"}))
    assert given[-1] == ["mask_ratio was given, but model=patchcore does not read it"]
