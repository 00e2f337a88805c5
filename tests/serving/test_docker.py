"""The image of the service, checked without Docker; docker/check.py does its RUN steps."""

from __future__ import annotations

import importlib.metadata
import json
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest
from packaging.requirements import Requirement

from tests.fakes.bundles import environment_without, write_bundle, write_pictures

ROOT = Path(__file__).parents[2]
FOLDER = ROOT / "docker"
# What the service does, without a socket: load, watch drift, inspect, draw.
PROGRAM = """
import json, sys
from pathlib import Path
import adframe.cli.app, adframe.config.messages
import adframe.cli.serve, adframe.serving.app, adframe.serving.server
from adframe.export.bundled_detector import BundledDetector
from adframe.export.manifest import bundle_reference
from adframe.inference.images import InputImage
from adframe.inference.output import overlay
from adframe.serving.models import DriftState
from adframe.stats.drift_monitor import DriftSettings
detector = BundledDetector(Path(sys.argv[1]))
detector.warm_up()
state = DriftState(bundle_reference(Path(sys.argv[1])), DriftSettings(alpha=0.05))
found = []
for text in sys.argv[2:]:
    image = InputImage(text, Path(text))
    [result] = detector.stream([image])
    state.add(result.score, anomalous=result.anomalous)
    found.append([result.anomalous, list(overlay(detector, detector.pixels(image), result).shape)])
print(json.dumps({"found": found, "drift": state.record()["images"], "modules": sorted(
    {name.partition(".")[0] for name, module in sys.modules.items() if getattr(module, "__file__", None)})}))
"""


def named(text: str) -> str:
    return re.sub(r"[-_.]+", "-", re.split(r"[\s=<>!~;\[(]", text.strip())[0]).lower()


def requirements() -> list[str]:
    lines = (FOLDER / "requirements.txt").read_text().splitlines()
    return [named(line) for line in lines if line and not line.startswith("#")]


def with_dependencies(names: list[str]) -> set[str]:
    """The names of packages and of all that they need; extras are not installed."""
    found: set[str] = set()
    waiting = list(names)
    while waiting:
        name = waiting.pop()
        if name in found:
            continue
        found.add(name)
        for text in importlib.metadata.distribution(name).requires or []:
            requirement = Requirement(text)
            if requirement.marker is None or requirement.marker.evaluate({"extra": ""}):
                waiting.append(named(requirement.name))
    return found


def test_every_package_of_the_image_has_an_exact_version_and_none_is_torch() -> None:
    pinned = {named(line) for line in (ROOT / "constraints.txt").read_text().splitlines() if "==" in line}
    closure = with_dependencies(requirements())
    assert set(requirements()) < closure <= pinned
    assert not closure & {"torch", "torchvision", "lightning", "timm", "transformers", "openvino"}


@pytest.mark.slow
def test_the_service_imports_only_packages_of_the_image(tmp_path: Path) -> None:
    before = write_bundle(tmp_path / "bundle")
    pictures = write_pictures(tmp_path / "pictures")
    closure = with_dependencies(requirements())
    packages = importlib.metadata.packages_distributions()
    others = tuple(
        package
        for package, owners in packages.items()
        if not {named(owner) for owner in owners} & {*closure, "adframe"}
    )
    assert "torch" in others
    found = subprocess.run(
        [sys.executable, "-c", PROGRAM, str(tmp_path / "bundle"), *map(str, pictures)],
        env=environment_without(tmp_path / "blocked", others), capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert found.returncode == 0, found.stderr
    facts = json.loads(found.stdout)
    assert facts["found"] == [[result.anomalous, [48, 64, 3]] for result in before.predict(pictures)]
    assert facts["drift"] == 4
    assert not set(facts["modules"]) & {"torch", "sklearn", "pandas", "pyarrow", "lightning"}
    assert "onnxruntime" in facts["modules"]


def test_the_image_is_not_root_and_copies_what_is_there() -> None:
    lines = (FOLDER / "Dockerfile").read_text().splitlines()
    steps = [line.split(None, 1) for line in lines if re.match(r"[A-Z]+ ", line)]
    users = [text for step, text in steps if step == "USER"]
    assert users == ["10001"]
    places = [number for number, (step, _) in enumerate(steps) if step == "FROM"]
    assert all("slim" in steps[place][1] for place in places)
    last = [step for step, _ in steps[places[-1] :]]
    assert last.index("USER") < last.index("ENTRYPOINT")
    assert "RUN" not in last[last.index("USER") :]
    allowed = {line[1:] for line in (ROOT / ".dockerignore").read_text().splitlines() if line[:1] == "!"}
    for step, text in steps:
        if step == "COPY" and not text.startswith("--from"):
            for source in shlex.split(text)[:-1]:
                assert (ROOT / source).exists(), source
                assert source.removeprefix("./") in allowed
    entry = json.loads(next(text for step, text in steps if step == "ENTRYPOINT"))
    assert entry[:2] == ["adframe", "serve"]
