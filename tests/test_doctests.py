"""The examples in docstrings are run, and give what they say."""

from __future__ import annotations

import doctest
import importlib
import warnings
from pathlib import Path

import pytest

from tests.test_architecture import MODULES, PACKAGE

WITH_EXAMPLES = [path for path in MODULES if ">>>" in path.read_text()]


def module_of(path: Path) -> str:
    inside = path.relative_to(PACKAGE.parent).with_suffix("")
    return ".".join(inside.parts).removesuffix(".__init__")


def example(path: Path) -> object:
    """Examples of the public face draw the toy images in full size, which takes ten seconds each."""
    name = module_of(path)
    return pytest.param(path, id=name, marks=pytest.mark.slow if name.startswith("adframe.api.") else ())


@pytest.mark.parametrize("path", [example(path) for path in WITH_EXAMPLES])
def test_examples_give_what_they_say(path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)  # an example may write files
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        result = doctest.testmod(
            importlib.import_module(module_of(path)),
            optionflags=doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE,
        )
    assert result.failed == 0
