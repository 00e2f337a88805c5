"""The examples in docstrings are run, and give what they say."""

from __future__ import annotations

import doctest
import importlib
import warnings
from pathlib import Path

import pytest

from adframe.data import toy_source
from adframe.toy.layouts import write_toy
from tests.test_architecture import MODULES, PACKAGE

WITH_EXAMPLES = [path for path in MODULES if ">>>" in path.read_text()]


def module_of(path: Path) -> str:
    inside = path.relative_to(PACKAGE.parent).with_suffix("")
    return ".".join(inside.parts).removesuffix(".__init__")


@pytest.mark.parametrize("path", [pytest.param(path, id=module_of(path)) for path in WITH_EXAMPLES])
def test_examples_give_what_they_say(path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    name = module_of(path)
    if name.startswith("adframe.api."):
        # They draw the toy dataset in its usual size, which takes ten seconds each: fewer and smaller images.
        few = {"image_size": 64, "train": 20, "validation": 2, "test_good": 2, "test_bad": 3}
        monkeypatch.setattr(toy_source, "write_toy", lambda root, **given: write_toy(root, **given | few))
    monkeypatch.chdir(tmp_path)  # an example may write files
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        result = doctest.testmod(
            importlib.import_module(name),
            optionflags=doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE,
        )
    assert result.failed == 0
