"""The documentation names everything that there is, its links lead somewhere, and its notebooks run."""

from __future__ import annotations

import re
import runpy
import sys
import tomllib
from pathlib import Path

import pytest
import torch
import yaml

import adframe
from adframe.contracts import TrainingFree
from tests.e2e.scripts import ROOT

sys.path.insert(0, str(ROOT / "docs/site"))

from conf_pages import CONF, GROUPS, keys_of, pages

DOCS = ROOT / "docs"
WRITTEN = [
    *sorted(DOCS.rglob("*.md")),
    *(ROOT / f"{name}.md" for name in ("README", "CONTRIBUTING", "CHANGELOG", "adframe/reporting/glossary")),
]
LINK = re.compile(r"(?<!!)\[[^\]]*\]\(([^)\s]+)\)")
NAMED = {  # the page that explains every option of these groups
    "experiment": "studies.md",
    "model": "overrides.md",
    "dataset": "overrides.md",
    "memory": "overrides.md",
    "fusion": "overrides.md",
    "calibration": "overrides.md",
    "postprocess": "overrides.md",
    "tiling": "overrides.md",
    "roi": "overrides.md",
    "study": "overrides.md",
    "launcher": "overrides.md",
    "logger": "overrides.md",
    "trainer": "overrides.md",
    "shift": "data.md",
    "backbone": "weights.md",
}


def test_every_group_and_every_option_has_its_place_in_the_reference() -> None:
    folders = {path.parent.relative_to(CONF).as_posix() for path in CONF.glob("*/**/*.yaml")}
    assert folders == set(GROUPS)
    written = {path: text for path, (_, text) in pages().items()}
    for path in CONF.glob("*/**/*.yaml"):
        group = path.parent.relative_to(CONF).as_posix()
        page = written[f"configuration/groups/{group.replace('/', '_')}.md"]
        assert path.stem == "base" or f"## {path.stem}\n" in page


def test_keys_have_their_comments() -> None:
    text = "# Header\na: 1   # first\n# of both\nb:\n  # more\n  c: [1, 2]  # second\n  d: '# no'\n"
    assert [(key.name, key.value, key.comment) for key in keys_of(text)] == [
        ("a", "1", "first"),
        ("b.c", "[1, 2]", "more second"),
        ("b.d", "'# no'", ""),
    ]


def test_the_pages_explain_every_option() -> None:
    missing = [
        f"{group}={path.stem} in {page}"
        for group, page in NAMED.items()
        for path in sorted((CONF / group).glob("*.yaml"))
        if path.stem not in ("none", "corruption") and not re.search(rf"`{path.stem}[`=]", _shown(page))
    ]
    assert missing == []


def _shown(page: str) -> str:
    """The text of a page, in which a name such as `dinov2_base` may be one of several in a row."""
    return (
        (DOCS / page)
        .read_text()
        .replace("`lora_v11` to `lora_v14`", "`lora_v11` `lora_v12` `lora_v13` `lora_v14`")
    )


def test_python_names_are_in_the_reference() -> None:
    index = (DOCS / "api/index.md").read_text()
    assert [name for name in adframe.__all__ if f"`{name}`" not in index] == []


def test_links_lead_to_files() -> None:
    made = {(DOCS / path).resolve() for path in pages()}
    made |= {DOCS / f"{name}.md" for name in ("contributing", "changelog", "glossary")}
    broken = []
    for page in WRITTEN:
        for link in LINK.findall(re.sub(r"`[^`\n]*`", "", page.read_text())):
            target = (page.parent / link.partition("#")[0]).resolve()
            if not link.startswith(("http", "#", "mailto:")) and not target.exists() and target not in made:
                broken.append(f"{page.relative_to(ROOT)}: {link}")
    assert broken == []


def test_the_version_is_the_same_everywhere() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text())
    newest = re.search(r"^## (\S+)", (ROOT / "CHANGELOG.md").read_text(), re.MULTILINE)
    assert newest is not None
    assert project["version"] == citation["version"] == newest[1]
    assert project["license"] == citation["license"]


def code_of(page: str) -> dict[str, object]:
    """What the first block of Python of a tutorial defines."""
    block = re.search(r"```python\n(.*?)```", (DOCS / f"tutorials/{page}.md").read_text(), re.DOTALL)
    assert block is not None
    defined: dict[str, object] = {"__name__": __name__}
    exec(block[1], defined)
    return defined


def test_the_method_of_the_tutorial_is_one() -> None:
    model = code_of("new_method")["Brightness"]()  # type: ignore[operator]
    assert isinstance(model, TrainingFree)
    model.collect(torch.rand(4, 3, 8, 8))
    model.finalise()
    found = model(torch.ones(2, 3, 8, 8))
    assert (found.score > 0).all()
    assert found.heatmap.shape == (2, 1, 8, 8)


def test_the_dataset_of_the_tutorial_is_one(tmp_path: Path) -> None:
    for folder in ("train", "good", "bad"):
        (tmp_path / "plate" / folder).mkdir(parents=True)
        (tmp_path / "plate" / folder / "0.png").touch()
    source = code_of("new_dataset")["Flat"](root=tmp_path)  # type: ignore[operator]
    assert source.choose("all") == ["plate"]
    assert [(record.split, record.label) for record in source.scan("plate")] == [
        ("train", 0),
        ("test", 0),
        ("test", 1),
    ]


@pytest.mark.slow
@pytest.mark.parametrize("name", ["engineer", "researcher"])
def test_notebooks_run(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    runpy.run_path(str(ROOT / f"examples/{name}.py"))
    assert list(tmp_path.glob("runs/*/report.html"))


@pytest.mark.slow
def test_the_site_is_built_without_warnings_and_loads_nothing_from_elsewhere(tmp_path: Path) -> None:
    build = pytest.importorskip("mkdocs.commands.build")
    from mkdocs.config import load_config

    config = load_config(str(ROOT / "mkdocs.yml"), site_dir=str(tmp_path), strict=True)
    build.build(config)
    html = {path: path.read_text() for path in tmp_path.rglob("*.html")}
    loaded = re.compile(r"<(?:script|link|img|iframe|source)\b[^>]*?(?:src|href)=[\"']?https?://[^>]*>")
    assert {str(path): found for path, text in html.items() if (found := loaded.findall(text))} == {}
    assert not any("class=mermaid" in text or 'class="mermaid"' in text for text in html.values())
