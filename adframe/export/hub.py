"""Bundles on the Hugging Face Hub: tensors and JSON, downloaded file by file and never run as code."""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from adframe.errors import AdframeError
from adframe.export.manifest import VALIDATION, is_bundle, read_manifest
from adframe.export.standalone import MANIFEST

PREFIX = "hub:"
CARD = "README.md"
_KINDS = {".json", ".onnx", ".xml", ".bin", ".png", ".md", ".html"}  # of files that are up- and downloaded
_FILE = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]*")
_REPOSITORY = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*(/[A-Za-z0-9][A-Za-z0-9._-]*)?")
_COMMIT = re.compile(r"[0-9a-f]{40}")
_MOST_MANIFEST_BYTES = 1 << 20


@dataclass(frozen=True, slots=True)
class HubAddress:
    """A bundle on the Hub.

    Attributes:
        repository: `owner/name`.
        revision: a branch, a tag or a commit.
    """

    repository: str
    revision: str

    @classmethod
    def of(cls, text: str) -> HubAddress:
        """Reads an address.

        Args:
            text: `hub:owner/name@revision`; without a revision it is that of `main`.

        Returns:
            The address.

        Raises:
            AdframeError: it is no address of a repository.

        Example:
            >>> HubAddress.of("hub:plant/screw@v1")
            HubAddress(repository='plant/screw', revision='v1')
        """
        repository, _, revision = text.removeprefix(PREFIX).partition("@")
        if not _REPOSITORY.fullmatch(repository):
            raise AdframeError(f"{text} is no address on the Hub; write hub:<owner>/<name>@<revision>")
        return cls(repository, revision or "main")

    def __str__(self) -> str:
        return f"{PREFIX}{self.repository}@{self.revision}"


def local_copy(place: str | Path) -> Path:
    """Returns a folder or file as it is, and the downloaded copy of a bundle on the Hub.

    Args:
        place: a path, or `hub:<owner>/<name>@<revision>`.

    Returns:
        A path on this machine.

    Raises:
        AdframeError: the bundle cannot be downloaded.
    """
    return download(HubAddress.of(str(place))) if str(place).startswith(PREFIX) else Path(place)


def download(address: HubAddress) -> Path:
    """Downloads a bundle: first `bundle.json`, then the files that it lists, none of which holds code.

    A commit that was downloaded before is not downloaded again, and needs no network.

    Args:
        address: where it is.

    Returns:
        The folder of the copy, whose files are checked against their hashes when it is loaded.

    Raises:
        AdframeError: the Hub cannot be reached, it has no such repository or revision, the repository holds
            no bundle, or `huggingface_hub` is not installed.
    """
    hub = _library()
    home = Path(hub.constants.HF_HOME) / "adframe" / address.repository.replace("/", "--")
    if _COMMIT.fullmatch(address.revision) and (home / address.revision / ".complete").is_file():
        return home / address.revision
    with _readable_errors(hub, str(address)):
        commit = str(_api(hub).model_info(address.repository, revision=address.revision).sha)
    if not _COMMIT.fullmatch(commit):  # it becomes the name of a folder
        raise AdframeError(f"{address}: the server gave no commit")
    folder = home / commit
    if (folder / ".complete").is_file():
        return folder

    def fetch(names: list[str]) -> None:
        with _readable_errors(hub, str(address)):
            hub.snapshot_download(
                address.repository, revision=commit, local_dir=folder, allow_patterns=names,
                endpoint=_endpoint(),
            )  # fmt: skip

    fetch([MANIFEST])
    fetch(_listed(folder, address))
    (folder / ".complete").touch()
    return folder


def upload(
    bundle: Path,
    repository: str,
    *,
    card: str,
    revision: str | None = None,
    private: bool = False,
    message: str = "",
) -> HubAddress:
    """Uploads a bundle with a model card, as one commit.

    Args:
        bundle: the folder; its program predict.py stays here, so that the repository holds no code.
        repository: `owner/name`; it is created where it does not exist.
        card: the content of README.md.
        revision: a branch, which is created where it does not exist; None for `main`.
        private: whether a new repository is private.
        message: of the commit; "" for one that names the category.

    Returns:
        The address with the new commit.

    Raises:
        AdframeError: the bundle is damaged, the Hub cannot be reached or refuses, or `huggingface_hub` is not
            installed.
    """
    hub = _library()
    HubAddress.of(f"{PREFIX}{repository}")
    category = read_manifest(bundle).category
    with tempfile.TemporaryDirectory(prefix="adframe-push-") as temporary:
        stage(bundle, Path(temporary), card=card)
        api = _api(hub)
        with _readable_errors(hub, repository):
            api.create_repo(repository, private=private or None, exist_ok=True)
            if revision is not None:
                api.create_branch(repository, branch=revision, exist_ok=True)
            done = api.upload_folder(
                repo_id=repository,
                folder_path=temporary,
                revision=revision,
                commit_message=message or f"Bundle of {category}",
                # Files of an earlier bundle that this one does not have.
                delete_patterns=["network.*", "roi.png", VALIDATION],
            )
    return HubAddress(repository, str(done.oid))


def stage(bundle: Path, to: Path, *, card: str) -> None:
    """Copies what is uploaded: tensors, pictures, pages and JSON, with a list of their hashes.

    Args:
        bundle: the folder.
        to: an empty folder.
        card: the content of README.md.
    """
    manifest = json.loads((bundle / MANIFEST).read_text(encoding="utf-8"))
    files: dict[str, str] = {}
    for name, digest in manifest["files"].items():
        if Path(name).suffix in _KINDS and name != CARD:
            shutil.copyfile(bundle / name, to / name)
            files[name] = digest
    content = card.encode()
    (to / CARD).write_bytes(content)
    files[CARD] = hashlib.sha256(content).hexdigest()
    text = json.dumps(manifest | {"files": dict(sorted(files.items()))}, indent=2)
    (to / MANIFEST).write_text(text, encoding="utf-8")


def _listed(folder: Path, address: HubAddress) -> list[str]:
    """Returns the names in a downloaded manifest; a name that is more than the name of a file is refused."""
    if not is_bundle(folder):
        raise AdframeError(f"{address} is no bundle: it has no {MANIFEST}")
    path = folder / MANIFEST
    try:
        if path.stat().st_size > _MOST_MANIFEST_BYTES:
            raise ValueError("too large")
        names = [str(name) for name in json.loads(path.read_text(encoding="utf-8"))["files"]]
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise AdframeError(f"{address} is no bundle: its {MANIFEST} cannot be read: {error!r}") from error
    for name in names:
        if not _FILE.fullmatch(name) or Path(name).suffix not in _KINDS:
            raise AdframeError(f"{address} lists {name!r}, which is no file that a shared bundle may have")
    return names


def _library() -> Any:
    try:
        import huggingface_hub
    except ImportError as error:
        raise AdframeError("huggingface_hub is missing; pip install 'adframe[hub]'") from error
    return huggingface_hub


def _endpoint() -> str | None:
    return os.environ.get("HF_ENDPOINT") or None


def _api(hub: Any) -> Any:
    return hub.HfApi(endpoint=_endpoint(), library_name="adframe")


@contextmanager
def _readable_errors(hub: Any, place: str) -> Iterator[None]:
    """Turns the errors of the library into one line each."""
    errors = hub.errors
    try:
        yield
    except AdframeError:
        raise
    except errors.RevisionNotFoundError as error:
        raise AdframeError(f"{place}: the repository has no such revision") from error
    except errors.GatedRepoError as error:
        raise AdframeError(f"{place}: ask its owner for access, and log in with `hf auth login`") from error
    except errors.RepositoryNotFoundError as error:
        raise AdframeError(
            f"{place}: there is no such repository, or it is private and needs `hf auth login`"
        ) from error
    except errors.HfHubHTTPError as error:
        status = getattr(error.response, "status_code", None)
        hint = "; log in with `hf auth login`" if status in (401, 403) else ""
        raise AdframeError(f"{place}: the Hub refuses with status {status}{hint}") from error
    except errors.HFValidationError as error:
        raise AdframeError(f"{place}: {' '.join(str(error).split())}") from error
    except Exception as error:  # the library connects through one that it may change, with its own exceptions
        reason = (" ".join(str(error).split()) or type(error).__name__)[:200]
        if isinstance(error, OSError) or type(error).__module__.startswith(("httpx", "httpcore", "requests")):
            hint = f"{PREFIX}<owner>/<name>@<commit> needs it only once"
            raise AdframeError(f"{place}: the Hub cannot be reached ({reason}); {hint}") from error
        raise AdframeError(f"{place}: {type(error).__name__}: {reason}") from error
