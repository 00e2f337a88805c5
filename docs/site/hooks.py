"""What MkDocs runs while it builds the site: it adds the pages that come from other files."""

from __future__ import annotations

import re
import sys
from pathlib import Path
from typing import Any

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE))

from conf_pages import pages  # noqa: E402

ROOT = HERE.parents[1]
# Files of the repository that are pages too, and the page of each.
COPIED = {
    "CONTRIBUTING.md": "contributing.md",
    "CHANGELOG.md": "changelog.md",
    "adframe/reporting/glossary.md": "glossary.md",
}


def on_config(config: MkDocsConfig) -> MkDocsConfig:
    """Adds the pages of the configuration to the navigation.

    Args:
        config: the content of mkdocs.yml.
    """
    for part in config.nav or []:
        if "Configuration" in part:
            part["Configuration"] = [
                path if path.endswith("index.md") else {title: path} for path, (title, _) in pages().items()
            ]
    return config


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Adds the pages that are not files below docs/.

    Args:
        files: the files found there.
        config: the content of mkdocs.yml.
    """
    for path, (_, text) in pages().items():
        files.append(File.generated(config, path, content=text))
    for source, path in COPIED.items():
        files.append(File.generated(config, path, content=links_in_docs((ROOT / source).read_text())))
    return files


def on_page_markdown(markdown: str, **kwargs: Any) -> str:
    """Keeps a number and its unit on one line.

    Args:
        markdown: the content of a page.
        kwargs: not used.
    """
    del kwargs
    lines = [
        line
        if line.startswith("    ") or "`" in line
        else re.sub(r"(\d) (%|MB|GB|MiB|s\b)", "\\1\u00a0\\2", line)
        for line in markdown.splitlines()
    ]
    return "\n".join([*lines, ""])


def links_in_docs(text: str) -> str:
    """Turns links of a file in the root of the repository into links of a page of the site.

    Args:
        text: the content of the file, in Markdown.
    """
    text = re.sub(r"(?<!\])\(docs/(\w+)\.md\)", r"([\1](\1.md))", text)
    text = re.sub(r"\]\(docs/", "](", text)
    for source, path in COPIED.items():
        text = text.replace(f"]({source}", f"]({path}")
    return text
