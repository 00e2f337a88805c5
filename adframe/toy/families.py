"""Lists the product families by name."""

from __future__ import annotations

from adframe.toy.bracket import BRACKET
from adframe.toy.family import ProductFamily
from adframe.toy.tray import TRAY
from adframe.toy.weave import WEAVE

FAMILIES: dict[str, ProductFamily] = {"weave": WEAVE, "bracket": BRACKET, "tray": TRAY}
