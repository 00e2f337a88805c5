"""Pages in a real browser: examined by axe-core (contrast, names, tables), by the keyboard, and on paper."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from adframe.reporting.document import Page
from adframe.reporting.page_writer import write_document
from adframe.reporting.run_page import write_page
from tests.fakes.run_folder import write_rich_run
from tests.reporting.test_page_writer import whole
from tests.serving.browser import CHROMIUM, Tab, open_tab

pytestmark = pytest.mark.skipif(
    CHROMIUM is None, reason="no chromium, chromium-browser or google-chrome in the path"
)
_PART = 30_000  # letters of a script in one message to the browser
_RUN = """(async () => {
  const found = await axe.run(document, { resultTypes: ["violations"] });
  return found.violations.map((each) => [each.id, each.impact, each.nodes[0].html.slice(0, 200)]);
})()"""


def load_axe(tab: Tab) -> None:
    package = pytest.importorskip("axe_core_python")
    script = Path(package.__file__).with_name("axe.min.js").read_text(encoding="utf-8")
    for start in range(0, len(script), _PART):
        part = json.dumps(script[start : start + _PART])
        tab.evaluate(f"globalThis.script = (globalThis.script || '') + {part}; 0")
    tab.evaluate("(0, eval)(globalThis.script); 0")


def serious(tab: Tab) -> list[Any]:
    return [each for each in tab.evaluate(_RUN) if each[1] in ("serious", "critical")]


# Parts of a page that paper must not have, and folded content that it must not lack.
_ON_PAPER = """(() => {
  const shown = (each) => each.checkVisibility() && each.getBoundingClientRect().height > 0;
  const all = (name) => [...document.querySelectorAll(name)];
  return {
    useless: all("nav, button, .skip, .files").filter(shown).length,
    folded: all("details > :not(summary)").filter((each) => !shown(each)).length,
    clipped: all(".scroll").filter((each) => getComputedStyle(each).overflowX !== "visible").length,
    dark: getComputedStyle(document.body).backgroundColor !== "rgb(255, 255, 255)",
  };
})()"""
_EXPLAINED = "getComputedStyle(document.querySelector('a.term'), '::after').content"


def press(tab: Tab, key: str, code: int) -> None:
    known = {"key": key, "code": key, "windowsVirtualKeyCode": code}
    text = {"text": "\r"} if key == "Enter" else {}
    tab.call("Input.dispatchKeyEvent", type="keyDown", **known, **text)
    tab.call("Input.dispatchKeyEvent", type="keyUp", **known)


def check_keyboard(tab: Tab) -> None:
    """A term that the keyboard reaches shows its explanation, and leads to it."""
    assert tab.evaluate(_EXPLAINED) == "none"
    for _ in range(40):
        press(tab, "Tab", 9)
        if tab.evaluate("document.activeElement === document.querySelector('a.term')"):
            break
    assert tab.evaluate(f"{_EXPLAINED}.length") > 20
    press(tab, "Enter", 13)
    place = "document.querySelector(':target').getBoundingClientRect().top"
    tab.wait_for(f"document.querySelector(':target') && {place} >= 0 && {place} < innerHeight")


def check_paper(tab: Tab) -> None:
    tab.call("Emulation.setEmulatedMedia", media="print")
    assert tab.evaluate(_ON_PAPER) == {"useless": 0, "folded": 0, "clipped": 0, "dark": False}
    tab.call("Emulation.setEmulatedMedia", media="")


def check(path: Path) -> None:
    with open_tab(path.as_uri()) as tab:
        tab.wait_for("document.readyState === 'complete'")
        check_keyboard(tab)
        check_paper(tab)
        load_axe(tab)
        for scheme in ("light", "dark"):
            feature = {"name": "prefers-color-scheme", "value": scheme}
            tab.call("Emulation.setEmulatedMedia", features=[feature])
            assert serious(tab) == []
        # What axe finds where a text cannot be read: the check above would have seen it.
        tab.evaluate("document.querySelector('h1').style.color = '#333'; 0")
        assert [name for name, *_ in serious(tab)] == ["color-contrast"]


def test_nothing_keeps_readers_from_the_page_of_a_run(tmp_path: Path) -> None:
    check(write_page(write_rich_run(tmp_path / "run")))


def test_nothing_keeps_readers_from_a_page_with_findings_figures_and_tables(tmp_path: Path) -> None:
    page: Page = whole()
    check(write_document(tmp_path, page))
