"""Files of tensors and plain values that tell by themselves whether they are whole, and what they are of."""

from __future__ import annotations

import hashlib
import io
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from adframe.io.files import write_whole

CHECKSUM, IDENTITY = "checksum", "identity"
_LISTS = (list, tuple)


class UnusableError(Exception):
    """A file that is there and must not be used; the text says why, without the file's name."""


def write_sealed(path: Path, content: Mapping[str, Any], *, identity: Mapping[str, str]) -> None:
    """Writes a file whole or not at all, with its identity and a checksum inside.

    Args:
        path: where it goes.
        content: tensors and plain values by name, as deep as they go.
        identity: what the file is of; a reader that expects something else refuses it.

    Raises:
        AdframeError: the file cannot be written.
    """
    named = {**content, IDENTITY: dict(identity)}
    buffer = io.BytesIO()
    torch.save(named | {CHECKSUM: checksum(named)}, buffer)
    write_whole(path, buffer.getvalue())


def read_sealed(
    path: Path, *, identity: Mapping[str, str], device: torch.device | str = "cpu"
) -> dict[str, Any]:
    """What `write_sealed` wrote, without running code of the file.

    Args:
        path: the file.
        identity: what it must be of.
        device: where tensors go.

    Raises:
        FileNotFoundError: it is not there.
        UnusableError: it is damaged, without a checksum, or of something else.
    """
    try:
        stored: Any = torch.load(path, map_location="cpu", weights_only=True)
    except FileNotFoundError:
        raise
    except Exception as error:  # a damaged file can make the unpickler fail in any way
        reason = (str(error).splitlines() or [type(error).__name__])[0][:200]
        raise UnusableError(f"cannot be read safely ({reason})") from error
    if not isinstance(stored, dict) or CHECKSUM not in stored or not isinstance(stored.get(IDENTITY), dict):
        raise UnusableError("has no checksum: it was written by an older adframe, or by something else")
    noted = stored.pop(CHECKSUM)
    if noted != checksum(stored):
        raise UnusableError("is damaged: its checksum is wrong")
    for name, own in identity.items():
        if (found := stored[IDENTITY].get(name)) != own:
            raise UnusableError(f"is of {name} {found}, and {name} {own} is needed")
    return stored if str(device) == "cpu" else _moved(stored, torch.device(device))


def checksum(node: Any) -> str:
    """SHA-256 over names, kinds, shapes and values of a nested structure."""
    digest = hashlib.sha256()
    _feed(digest, node)
    return digest.hexdigest()


def _feed(digest: Any, node: Any) -> None:
    if isinstance(node, Tensor):
        digest.update(f"tensor {node.dtype} {list(node.shape)}\0".encode())
        digest.update(node.detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy().data)
    elif isinstance(node, Mapping):
        digest.update(f"mapping {len(node)}\0".encode())
        for name, value in node.items():
            digest.update(f"{name!r}\0".encode())
            _feed(digest, value)
    elif isinstance(node, _LISTS):
        digest.update(f"list {len(node)}\0".encode())
        for value in node:
            _feed(digest, value)
    else:
        digest.update(f"{type(node).__name__} {node!r}\0".encode("utf-8", "backslashreplace"))


def _moved(node: Any, device: torch.device) -> Any:
    if isinstance(node, Tensor):
        return node.to(device)
    if isinstance(node, dict):
        return {name: _moved(value, device) for name, value in node.items()}
    return node
