"""Arguments held against signatures before anything is built."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import pytest
from omegaconf import OmegaConf

from adframe.config.signatures import check_arguments
from adframe.errors import AdframeError


class Part:
    def __init__(self, whole: int, *, share: float = 0.5, on: bool = True) -> None: ...


@dataclass
class Machine:
    part: Part
    names: Sequence[str] = ()
    size: tuple[int, int] = (1, 1)
    place: str | Path | None = None
    kind: Literal["a", "b"] = "a"


def check(**values: Any) -> None:
    part = {"_target_": f"{__name__}.Part", "whole": 3}
    machine = {"_target_": f"{__name__}.Machine", "part": part, **values}
    check_arguments(OmegaConf.create({"top": 7, "machine": machine}), "machine")


@pytest.mark.parametrize("values", [
    {}, {"names": ["a"]}, {"names": []}, {"size": [3, 4]}, {"place": None}, {"place": "x"}, {"kind": "b"},
    {"part": {"_target_": f"{__name__}.Part", "whole": 3, "share": 1, "on": False}},
])  # fmt: skip
def test_what_fits_passes(values: dict[str, Any]) -> None:
    check(**values)


@pytest.mark.parametrize(("values", "words"), [
    ({"names": "abc"}, "machine.names=abc is not possible; machine.names must be a list of texts"),
    ({"names": [3]}, "machine.names=[3] is not possible"),
    ({"size": [3]}, "must be a list of 2, each a whole number"),
    ({"size": [3, 4.5]}, "machine.size=[3,4.5] is not possible"),
    ({"place": 3}, "must be text or a path or null"),
    ({"kind": "c"}, "machine.kind must be one of a, b"),
    ({"part": 3}, "machine.part must be a Part"),
    ({"part": {"_target_": f"{__name__}.Part", "whole": 3.5}}, "machine.part.whole=3.5 is not possible"),
    ({"part": {"_target_": f"{__name__}.Part", "whole": True}}, "machine.part.whole=true is not possible"),
    ({"part": {"_target_": f"{__name__}.Part", "whole": 3, "on": 1}}, "must be true or false"),
    ({"part": {"_target_": f"{__name__}.Part"}}, "machine.part.whole is missing; it must be a whole number"),
    ({"nams": []}, "unknown override 'machine.nams'; did you mean 'machine.names'?"),
])  # fmt: skip
def test_what_does_not_fit_names_the_key_and_what_would(values: dict[str, Any], words: str) -> None:
    with pytest.raises(AdframeError) as caught:
        check(**values)
    assert words in str(caught.value)


def test_an_interpolated_value_is_named_as_a_person_types_it() -> None:
    part = {"_target_": f"{__name__}.Part", "whole": "${top}"}
    with pytest.raises(AdframeError, match=r"^top=abc is not possible; top must be a whole number$"):
        check_arguments(OmegaConf.create({"top": "abc", "part": part}), "part")


def test_what_the_code_adds_need_not_be_in_the_configuration() -> None:
    part = {"_target_": f"{__name__}.Part"}
    check_arguments(OmegaConf.create({"part": part}), "part", given=["whole"])


@pytest.mark.parametrize("name", ["nowhere.Part", f"{__name__}.Nothing", "tests", "no_dots", ""])
def test_a_target_that_is_not_there_is_named(name: str) -> None:
    with pytest.raises(AdframeError, match=r"^part\._target_=.* cannot be made: ") as caught:
        check_arguments(OmegaConf.create({"part": {"_target_": name}}), "part")
    assert len(str(caught.value).splitlines()) == 1


@pytest.mark.parametrize("value", [None, 7])
def test_a_part_without_keys_is_one_line(value: Any) -> None:
    with pytest.raises(AdframeError, match=r"machine=(null|7) is not possible; keep the keys below machine"):
        check_arguments(OmegaConf.create({"machine": value}), "machine")
