"""Reads and writes files of tensors and plain values with a checksum and an identity inside."""

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
    """The error for a file that exists and must not be used; its text has the reason without the file name.

    Example:
        >>> Path("damaged").write_bytes(b"no tensors")
        10
        >>> read_sealed(Path("damaged"), identity={})
        Traceback (most recent call last):
        adframe.io.checksummed.UnusableError: cannot be read safely ...
    """


def write_sealed(path: Path, content: Mapping[str, Any], *, identity: Mapping[str, str]) -> None:
    """Writes a file completely or not at all, with its identity and a checksum inside.

    Args:
        path: the file.
        content: tensors and plain values by name, nested to any depth.
        identity: identifies the content; a reader that expects another identity refuses the file.

    Raises:
        AdframeError: if the file cannot be written.
    """
    named = {**content, IDENTITY: dict(identity)}
    buffer = io.BytesIO()
    torch.save(named | {CHECKSUM: checksum(named)}, buffer)
    write_whole(path, buffer.getvalue())


def read_sealed(
    path: Path, *, identity: Mapping[str, str], device: torch.device | str = "cpu"
) -> dict[str, Any]:
    """Reads a file of `write_sealed`, without running code from the file.

    Args:
        path: the file.
        identity: the expected identity.
        device: device of the tensors.

    Returns:
        The content by name.

    Raises:
        FileNotFoundError: if the file does not exist.
        UnusableError: if it is damaged, has no checksum, or has another identity.
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
    stored_sum = stored.pop(CHECKSUM)
    if stored_sum != checksum(stored):
        raise UnusableError("is damaged: its checksum is wrong")
    for name, own in identity.items():
        if (found := stored[IDENTITY].get(name)) != own:
            raise UnusableError(f"is of {name} {found}, and {name} {own} is needed")
    return stored if str(device) == "cpu" else _to_device(stored, torch.device(device))


def checksum(node: Any) -> str:
    """Computes SHA-256 over names, types, shapes and values of a nested structure.

    Args:
        node: mappings, lists, tensors and plain values.

    Returns:
        The hexadecimal digest.
    """
    digest = hashlib.sha256()
    _update_digest(digest, node)
    return digest.hexdigest()


def _update_digest(digest: Any, node: Any) -> None:
    if isinstance(node, Tensor):
        digest.update(f"tensor {node.dtype} {list(node.shape)}\0".encode())
        digest.update(node.detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy().data)
    elif isinstance(node, Mapping):
        digest.update(f"mapping {len(node)}\0".encode())
        for name, value in node.items():
            digest.update(f"{name!r}\0".encode())
            _update_digest(digest, value)
    elif isinstance(node, _LISTS):
        digest.update(f"list {len(node)}\0".encode())
        for value in node:
            _update_digest(digest, value)
    else:
        digest.update(f"{type(node).__name__} {node!r}\0".encode("utf-8", "backslashreplace"))


def _to_device(node: Any, device: torch.device) -> Any:
    if isinstance(node, Tensor):
        return node.to(device)
    if isinstance(node, dict):
        return {name: _to_device(value, device) for name, value in node.items()}
    return node
