"""The pages of the service in a real browser: a picture is dropped, and its verdict appears."""

from __future__ import annotations

import base64

import pytest

from tests.serving.browser import CHROMIUM, Tab, open_tab
from tests.serving.serving import picture, running

pytestmark = pytest.mark.skipif(
    CHROMIUM is None, reason="no chromium, chromium-browser or google-chrome in the path"
)
DROP = """(() => {{
  const bytes = Uint8Array.from(atob("{content}"), (letter) => letter.charCodeAt(0));
  const data = new DataTransfer();
  data.items.add(new File([bytes], "{name}", {{ type: "image/png" }}));
  const event = new DragEvent("drop", {{ dataTransfer: data, bubbles: true }});
  document.getElementById("drop").dispatchEvent(event);
}})()"""


def drop(tab: Tab, name: str, content: bytes) -> None:
    tab.evaluate(DROP.format(name=name, content=base64.b64encode(content).decode()))


def test_a_dropped_picture_gets_its_verdict_and_overlay() -> None:
    with running() as service, open_tab(f"http://127.0.0.1:{service.port}/") as tab:
        tab.wait_for("document.getElementById('model')?.value === 'mean'")
        for value, verdict in ((200, "Anomalous"), (50, "Normal")):
            drop(tab, f"p{value}.png", picture(value, size=(60, 40)))
            tab.wait_for(f"document.getElementById('verdict').textContent === '{verdict}'")
            facts = tab.evaluate("document.getElementById('facts').textContent")
            assert facts.startswith(f"p{value}.png: score {value}")
            size = tab.wait_for(
                "(() => { const p = document.getElementById('picture'); "
                "const done = !p.hidden && p.complete && p.naturalWidth; "
                "return done ? [p.naturalWidth, p.naturalHeight] : null; })()"
            )
            assert size == [60, 40]
        drop(tab, "text.png", b"no picture")
        tab.wait_for("document.getElementById('verdict').textContent === 'Not inspected'")
        assert "no PNG" in tab.evaluate("document.getElementById('facts').textContent")
        # The browser itself reports the one refused request; nothing else went wrong.
        assert [each for each in tab.complaints if "422" not in each] == []


def test_the_token_is_asked_for_and_used() -> None:
    token = "a-long-enough-token"
    with running(token=token) as service, open_tab(f"http://127.0.0.1:{service.port}/") as tab:
        tab.wait_for("document.getElementById('token-row')?.hidden === false")
        tab.evaluate(
            f"(() => {{ const t = document.getElementById('token'); t.value = '{token}'; "
            "t.dispatchEvent(new Event('change')); })()"
        )
        tab.wait_for("document.getElementById('model').value === 'mean'")
        drop(tab, "a.png", picture(10))
        tab.wait_for("document.getElementById('verdict').textContent === 'Normal'")


def test_the_interface_is_described_without_the_internet() -> None:
    with running() as service, open_tab(f"http://127.0.0.1:{service.port}/docs") as tab:
        tab.wait_for("document.querySelectorAll('h2').length > 5")
        text = tab.evaluate("document.body.innerText")
        assert "POST /v1/models/{name}/predict" in text
        assert "multipart/form-data" in text
        assert tab.complaints == []
