"""Bundles go to a stand-in of the Hub and come back, and what does not belong there is refused."""

from __future__ import annotations

import json
import pickle
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import yaml

import adframe
from adframe.cli.push import run_push
from adframe.export.hub import HubAddress, local_copy
from adframe.inference.detector import TrainedDetector
from tests.fakes.bundles import noise, write_bundle
from tests.sharing.hub_server import Hub, stand_in


@pytest.fixture(scope="module")
def packed(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, TrainedDetector]:
    folder = tmp_path_factory.mktemp("sharing") / "plate"
    return folder, write_bundle(folder)


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Hub]:
    with stand_in(monkeypatch, str(tmp_path / "home")) as found:
        yield found


def files_of(bundle: Path, **changes: object) -> dict[str, bytes]:
    """The files of a bundle as a repository holds them, with changes of its manifest."""
    manifest = json.loads((bundle / "bundle.json").read_text()) | changes
    names = [name for name in manifest["files"] if name != "predict.py" and (bundle / name).is_file()]
    manifest["files"].pop("predict.py", None)
    return {name: (bundle / name).read_bytes() for name in names} | {
        "bundle.json": json.dumps(manifest).encode()
    }


def test_a_bundle_comes_back_as_the_same_model(
    packed: tuple[Path, TrainedDetector], hub: Hub, capsys: pytest.CaptureFixture[str]
) -> None:
    folder, before = packed
    address = run_push(folder, "plant/plate", private=True, message="first")
    assert f'adframe.load("{address}")' in capsys.readouterr().out
    repository = hub.repositories["plant/plate"]
    assert repository.visibility == "private"
    assert repository.messages == ["initial commit", "first"]
    files = repository.commits[address.revision]
    assert {Path(name).suffix for name in files} == {".json", ".onnx", ".md", ".html", ""}
    assert "predict.py" not in files
    image = noise(9, spot=True)
    for text in (str(address), "hub:plant/plate", "hub:plant/plate@main"):
        detector = adframe.load(text)
        assert detector.predict(image).score == pytest.approx(before.predict(image).score, rel=1e-5)
        assert (detector.threshold, detector.category) == (before.threshold, "plate")
    asked = len(hub.requests)
    np.testing.assert_array_equal(adframe.load(str(address)).predict(image).mask, before.predict(image).mask)
    assert len(hub.requests) == asked  # a commit is downloaded once, and then needs no network


def test_a_second_push_replaces_the_files_of_the_first_and_may_have_a_branch(
    packed: tuple[Path, TrainedDetector], hub: Hub
) -> None:
    folder, _ = packed
    hub.add("plant/plate", {"network.bin": b"old", "validation.json": b"{}", "notes.txt": b"by hand"})
    address = run_push(folder, "plant/plate", revision="line2")
    repository = hub.repositories["plant/plate"]
    assert repository.branches["line2"] == address.revision != repository.branches["main"]
    files = repository.commits[address.revision]
    assert "network.bin" not in files
    assert files["notes.txt"] == b"by hand"
    assert files["validation.json"] == (folder / "validation.json").read_bytes()
    assert adframe.load("hub:plant/plate@line2").category == "plate"


def test_the_card_states_threshold_parity_and_limits(packed: tuple[Path, TrainedDetector], hub: Hub) -> None:
    folder, before = packed
    address = run_push(folder, "plant/plate")
    card = hub.repositories["plant/plate"].commits[address.revision]["README.md"].decode()
    _, front, body = card.split("---\n", 2)
    facts = yaml.safe_load(front)
    assert facts["library_name"] == "adframe"
    assert {"anomaly-detection", "onnx", "pixelmean"} <= set(facts["tags"])
    assert f"score above {before.threshold:.6g}" in body
    assert "fixed_fpr 0.1, fitted to 12 normal images of the val split" in body
    assert "no threshold guarantees a false-positive rate below 7.7%" in body
    assert "The bundle carries no test results of its run." in body
    assert "nothing was compared with the run" in body
    assert "8 in colour, shorter side 48 pixels" in body
    assert "24x32 pixels" in body


def test_code_and_pickles_are_never_downloaded(
    packed: tuple[Path, TrainedDetector], hub: Hub, tmp_path: Path
) -> None:
    folder, _ = packed
    touched = tmp_path / "touched"
    bomb = pickle.dumps((exec, (f"open({str(touched)!r}, 'w')",)))
    extra = {"modeling.py": b"raise SystemExit", "model.pkl": bomb, "weights.bin": bomb}
    commit = hub.add("plant/plate", files_of(folder) | extra)
    copy = local_copy(f"hub:plant/plate@{commit}")
    assert adframe.load(copy).category == "plate"
    assert not {path.name for path in copy.iterdir()} & set(extra)
    assert not any(name in request for request in hub.requests for name in extra)
    assert not touched.exists()


@pytest.mark.parametrize("name", ["predict.py", "../x.json", "a/b.json", "model.pkl", "*.json", ".json"])
def test_a_manifest_that_lists_something_else_is_refused(
    packed: tuple[Path, TrainedDetector], hub: Hub, name: str
) -> None:
    folder, _ = packed
    manifest = json.loads((folder / "bundle.json").read_text())
    changed = json.dumps(manifest | {"files": {name: "0" * 64}}).encode()
    hub.add("plant/plate", files_of(folder) | {"bundle.json": changed, name.replace("..", "up"): b"{}"})
    with pytest.raises(adframe.AdframeError, match="which is no file that a shared bundle may have"):
        adframe.load("hub:plant/plate")


def test_a_changed_file_is_refused(packed: tuple[Path, TrainedDetector], hub: Hub) -> None:
    folder, _ = packed
    files = files_of(folder)
    hub.add("plant/plate", files | {"validation.json": files["validation.json"] + b" "})
    with pytest.raises(adframe.AdframeError, match=r"validation\.json was changed"):
        adframe.load("hub:plant/plate")


def test_errors_are_one_line(
    packed: tuple[Path, TrainedDetector], hub: Hub, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder, _ = packed
    hub.add("plant/other", {"config.json": b"{}"})
    hub.add("plant/broken", {"bundle.json": b"[" * 100})
    for address, reason in (
        ("hub:plant/none", "there is no such repository"),
        ("hub:plant/other@v9", "has no such revision"),
        ("hub:plant/other", "is no bundle: it has no bundle.json"),
        ("hub:plant/broken", "is no bundle: its bundle.json cannot be read"),
        ("hub:a/b/c", "is no address on the Hub"),
        ("hub:../x", "is no address on the Hub"),
    ):
        with pytest.raises(adframe.AdframeError, match=reason) as caught:
            adframe.load(address)
        assert "\n" not in str(caught.value)
    monkeypatch.setenv("HF_TOKEN", "hf_wrong")
    with pytest.raises(adframe.AdframeError, match="log in with `hf auth login`"):
        run_push(folder, "plant/plate")
    monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:9")
    with pytest.raises(adframe.AdframeError, match="the Hub cannot be reached"):
        adframe.load("hub:plant/other")
    monkeypatch.setitem(sys.modules, "huggingface_hub", None)
    with pytest.raises(adframe.AdframeError, match=r"pip install 'adframe\[hub\]'"):
        adframe.load("hub:plant/other")


def test_addresses() -> None:
    assert str(HubAddress.of("hub:a/b@" + "0" * 40)) == "hub:a/b@" + "0" * 40
    assert HubAddress.of("a/b").revision == "main"
    assert local_copy("runs/screw") == Path("runs/screw")
