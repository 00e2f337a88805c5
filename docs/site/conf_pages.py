"""Writes the pages on `conf/`: every group, every option, its header, its keys and their comments."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import yaml

# An override in a comment, such as `model.robust=5`, `shift@domains.severe=severe` or `backbone=`.
OVERRIDE = re.compile(
    r"(?<![\w`'\"\[{.-])([+~]?[a-z][\w.@/]*=(?:\[[^\]\s]*\]|[\w./<>-]*[\w>](?:,[\w./-]*\w)*)?)(?!\w)"
)
# Parts of a header that begin a paragraph of their own.
PARTS = ("Expect:", "Takes:", "As published:", "The table shows", "The page shows")
LONGEST = 40  # characters of a value in a table
ROOT = Path(__file__).parents[2]
CONF = next(folder for folder in (ROOT / "conf", ROOT / "adframe/conf") if folder.is_dir())

# The folders of conf/, in the order of the pages, with the purpose of each.
GROUPS = {
    "dataset": "The images of a run: where they are, and in which layout.",
    "split": "Makes validation images where a dataset has none.",
    "shift": "Changes images as another lamp, lens or camera would.",
    "shift/transform": "One transform of a shift, as `+shift/transform@shift.transforms.<name>=<option>`.",
    "roi": "The part of an image that is inspected.",
    "tiling": "Cuts large images into tiles.",
    "model": "The method.",
    "backbone": "The network that computes features.",
    "memory": "The contents of the memory bank of `model=patchcore`.",
    "fusion": "How the layers of the backbone are combined.",
    "learning": "The training of methods that are trained by gradient descent; each of them selects its own.",
    "synthesis": "Synthetic anomalies, for training and for choosing settings without a real defect.",
    "synthesis/family": "One family of synthetic anomalies, as part of `synthesis=`.",
    "calibration": "The rule by which the threshold of an image is fitted to validation images.",
    "calibration/rule": "The rules alone, for `calibration/rule@calibration.pixel=<option>`.",
    "postprocess": "Morphology of the predicted masks.",
    "metrics": "What is measured for pixels.",
    "callbacks": "What a run keeps besides its numbers.",
    "store": "Keeps features and coreset selections for later runs.",
    "experiment": "Whole studies by name, for `sweep.py`.",
    "study": "The page at the end of a sweep.",
    "launcher": "Where the runs of a sweep are executed.",
    "search": "Searches for settings instead of sweeping over a grid.",
    "trainer": "The devices of a run.",
    "logger": "Where the numbers of a run are tracked.",
    "paths": "The folders of a run.",
    "hydra": "The settings of Hydra itself; there is rarely a reason to change them.",
}
SCRIPTS = {  # the files directly in conf/, with their command
    "train": "python train.py",
    "sweep": "python sweep.py",
    "evaluate": "python evaluate.py run=<a run>",
    "maps": "python evaluate.py maps=<folder>",
    "explore": "python -m adframe.cli.explore",
}


@dataclass(frozen=True)
class Key:
    """One key of a YAML file.

    Attributes:
        name: with dots where it is inside of others.
        value: as the file has it.
        comment: from its own line, and from the lines directly above it.
    """

    name: str
    value: str
    comment: str


def header_of(text: str) -> list[str]:
    """Returns the comment lines at the top of a file without their signs, and without Hydra's own line.

    Args:
        text: content of a YAML file.
    """
    lines = []
    for line in text.splitlines():
        if not line.startswith("#"):
            break
        if not line.startswith("# @package"):
            lines.append(line[1:].strip())
    return lines


def keys_of(text: str) -> list[Key]:
    """Lists the keys of a file in its order; the list of defaults and the names of classes are left out.

    Args:
        text: content of a YAML file.
    """
    node = yaml.compose(text)
    return list(_walk(node, text.splitlines(), "")) if isinstance(node, yaml.MappingNode) else []


def target_of(text: str) -> str:
    """Returns the class or function that an option builds, or "" where it builds none by itself.

    Args:
        text: content of a YAML file.
    """
    match = re.search(r"^ {0,2}_target_: *(\S+)", text, re.MULTILINE)
    return match[1] if match else ""


def pages() -> dict[str, tuple[str, str]]:
    """Returns title and content of every page by its path, in the order of the navigation."""
    written = {"configuration/index.md": ("Overview", _overview())}
    for name in SCRIPTS:
        written[f"configuration/{name}.md"] = (f"conf/{name}.yaml", _linked(_script_page(name), "../"))
    for group in GROUPS:
        written[_page_of(group)] = (f"{group}=", _linked(_group_page(group), "../../"))
    return written


def _linked(text: str, root: str) -> str:
    """Turns names of pages into links, except in code."""
    lines = [
        line if line.startswith("    ") else re.sub(r"docs/(\w+)\.md", rf"[\1]({root}\1.md)", line)
        for line in text.splitlines()
    ]
    return "\n".join([*lines, ""])


def _walk(node: yaml.MappingNode, lines: list[str], prefix: str) -> Iterator[Key]:
    for key, value in node.value:
        name = f"{prefix}{key.value}"
        if key.value in ("defaults", "_partial_", "_target_", "_convert_"):
            continue
        if isinstance(value, yaml.MappingNode) and value.value and not value.flow_style:
            yield from _walk(value, lines, f"{name}.")
            continue
        first, last = value.start_mark, value.end_mark
        if first.line == last.line:
            shown = lines[first.line][first.column : last.column].strip() or "null"
            behind = lines[first.line][last.column :]
        elif all(isinstance(item, yaml.ScalarNode) for item in getattr(value, "value", [])):
            shown, behind = "[" + ", ".join(str(item.value) for item in value.value) + "]", ""
        else:
            shown, behind = "", ""
        above = []
        for line in reversed(lines[: key.start_mark.line]):
            if not prefix or not line.strip().startswith("#"):
                break
            above.insert(0, line.strip()[1:].strip())
        own = behind.partition("#")[2].strip() if behind.strip().startswith("#") else ""
        yield Key(name, shown, " ".join(part for part in (*above, own) if part))


def _cell(text: str) -> str:
    """Running text of a page: overrides as code, and elsewhere no bar and no angle bracket."""
    parts = OVERRIDE.split(text)  # every second one is an override
    plain = [part.replace("|", "&#124;").replace("<", "&lt;").replace("${", "&#36;{") for part in parts]
    return "".join(
        f"`{part}`" if place % 2 else other
        for place, (part, other) in enumerate(zip(parts, plain, strict=True))
    )


def _bare(name: str) -> str:
    """Name of a key inside of its group, whether or not the file says the group itself."""
    group, _, rest = name.partition(".")
    return rest if rest and group in GROUPS else name


def _value(text: str) -> str:
    return f"`{text.replace('|', '/')}`" if 0 < len(text) <= LONGEST else "see the file"


def _table(keys: list[Key], prefix: str, inherited: Mapping[str, str]) -> list[str]:
    rows = [
        (f"`{prefix}{key.name}`", _value(key.value), _cell(key.comment or inherited.get(_bare(key.name), "")))
        for key in keys
    ]
    return ["| key | value | meaning |", "|---|---|---|", *_lines(rows), ""] if rows else []


def _lines(rows: list[tuple[str, ...]]) -> list[str]:
    return [f"| {' | '.join(row)} |" for row in rows]


def _file(text: str, path: str) -> list[str]:
    """The whole file, folded."""
    lines = [f"    {line}".rstrip() for line in text.splitlines()]
    return [f'??? note "{path}"', "", "    ```yaml", *lines, "    ```", ""]


def _paragraphs(header: list[str]) -> list[str]:
    """Running text, with commands as code blocks of their own."""
    parts: list[str] = []
    code = False
    for line in header:
        command = line.startswith(("python ", "adframe ", "torchrun ", "srun "))
        begins = not parts or command != code or line.startswith(PARTS)
        shown = "    " + re.sub(r" {2,}", "   # ", line) if command else line
        code = command
        if begins:
            parts.append(shown)
        else:
            parts[-1] += f"\n{shown}"
    parts = [part if part.startswith("    ") else _cell(part) for part in parts]
    return [each for part in parts for each in (part, "")]


def _page_of(group: str) -> str:
    return f"configuration/groups/{group.replace('/', '_')}.md"


def _options(group: str) -> list[Path]:
    return sorted(path for path in (CONF / group).glob("*.yaml") if path.stem != "base")


def _key_prefix(text: str, group: str) -> str:
    return "" if "# @package _global_" in text else f"{group.replace('/', '.')}."


def _bases(text: str) -> list[str]:
    """Names of the options of the same group on which an option builds."""
    entries = (yaml.safe_load(text) or {}).get("defaults", [])
    return [item.partition("@")[0] for item in entries if isinstance(item, str) and item != "_self_"]


def _selections(text: str) -> list[str]:
    """Options of other groups that an option selects, as overrides."""
    entries = [item for item in (yaml.safe_load(text) or {}).get("defaults", []) if isinstance(item, dict)]
    pairs = [
        (key.removeprefix("override ").lstrip("/"), value) for item in entries for key, value in item.items()
    ]
    return [f"{key.partition('@_global_')[0]}={value}" for key, value in pairs]


def _relations(text: str) -> list[str]:
    """What an option builds on, what it selects, and what it makes."""
    base, selected, target = _bases(text), _selections(text), target_of(text)
    parts = [
        f"Builds on {_listed(base)}." if base else "",
        f"Selects {_listed(selected)}." if selected else "",
        f"Class or function: `{target}`." if target else "",
    ]
    return [" ".join(part for part in parts if part), ""]


def _listed(names: list[str]) -> str:
    return ", ".join(f"`{name}`" for name in names)


def _comments(group: str, names: list[str]) -> dict[str, str]:
    """Meanings of keys in the files of other options of the group, and in those on which these build."""
    found: dict[str, str] = {}
    for path in (CONF / group / f"{name}.yaml" for name in names):
        if path.is_file():
            text = path.read_text()
            found |= _comments(group, _bases(text))
            found |= {
                _bare(key.name): key.comment for key in keys_of(text) if key.comment[:3] not in ("", "or ")
            }
    return found


def _group_page(group: str) -> str:
    lines = [f"# {group}=", "", GROUPS[group], ""]
    for path in _options(group):
        text = path.read_text()
        lines += [f"## {path.stem}", ""]
        lines += _paragraphs(header_of(text))
        lines += _relations(text)
        if group != "experiment":
            lines += _table(keys_of(text), _key_prefix(text, group), _comments(group, _bases(text)))
        lines += _file(text, f"conf/{path.relative_to(CONF).as_posix()}")
    return "\n".join(lines)


def _script_page(name: str) -> str:
    text = (CONF / f"{name}.yaml").read_text()
    lines = [f"# conf/{name}.yaml", "", f"The keys of `{SCRIPTS[name]}`.", ""]
    lines += _paragraphs(header_of(text))
    lines += _table(keys_of(text), "", {})
    lines += _file(text, f"conf/{name}.yaml")
    return "\n".join(lines)


def _overview() -> str:
    lines = [
        "# Configuration",
        "",
        "These pages are made from the files in `conf/`: the text of an option is the header of its file,",
        "and the meaning of a key is the comment next to it. `group=option` selects an option, and",
        "`group.key=value` changes a key.",
        "`python train.py --cfg job` prints the whole configuration of a run.",
        "",
        "| file | keys of |",
        "|---|---|",
        *(f"| [conf/{name}.yaml]({name}.md) | `{command}` |" for name, command in SCRIPTS.items()),
        "",
        "| group | purpose | options |",
        "|---|---|---|",
    ]
    for group, purpose in GROUPS.items():
        page = _page_of(group).removeprefix("configuration/")
        options = ", ".join(f"[{path.stem}]({page}#{path.stem})" for path in _options(group))
        lines.append(f"| [`{group}=`]({page}) | {purpose} | {options} |")
    return "\n".join([*lines, ""])
