"""The product families by name."""

from __future__ import annotations

from adframe.data.toy.bracket import BRACKET
from adframe.data.toy.family import Family
from adframe.data.toy.tray import TRAY
from adframe.data.toy.weave import WEAVE

FAMILIES: dict[str, Family] = {"weave": WEAVE, "bracket": BRACKET, "tray": TRAY}
