"""A stand-in of the Hugging Face Hub: the requests of `huggingface_hub` for small files, kept in memory.

It takes every file in the commit itself ("regular"), so that uploads by LFS and Xet are not covered.
"""

from __future__ import annotations

import base64
import contextlib
import hashlib
import json
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import unquote, urlsplit

import pytest

TOKEN = "hf_stand_in"


def sha(content: bytes) -> str:
    return hashlib.sha1(content).hexdigest()


@dataclass
class Repository:
    """Branches and commits: name -> commit, commit -> name of file -> content."""

    visibility: str | None = None
    branches: dict[str, str] = field(default_factory=dict)
    commits: dict[str, dict[str, bytes]] = field(default_factory=dict)
    messages: list[str] = field(default_factory=list)

    def commit(self, branch: str, files: dict[str, bytes], message: str) -> str:
        name = sha(json.dumps([message, len(self.commits), sorted(files)]).encode())
        self.commits[name], self.branches[branch] = files, name
        self.messages.append(message)
        return name


@dataclass
class Hub:
    """The state of the server."""

    repositories: dict[str, Repository] = field(default_factory=dict)
    requests: list[str] = field(default_factory=list)
    url: str = ""

    def add(self, name: str, files: dict[str, bytes]) -> str:
        """Puts files into a repository as anybody could, and returns the commit."""
        repository = self.repositories.setdefault(name, Repository())
        return repository.commit("main", files, "by hand")


class Handler(BaseHTTPRequestHandler):
    """Answers the requests."""

    protocol_version = "HTTP/1.1"
    hub: Hub

    def log_message(self, format: str, *args: Any) -> None:
        self.hub.requests.append(f"{self.command} {self.path}")

    def answer(self, status: int, body: Any = None, **headers: str) -> None:
        content = body if isinstance(body, bytes) else json.dumps(body).encode()
        self.send_response(status)
        for key, value in headers.items():
            self.send_header(key.replace("_", "-"), value)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(content)

    def refuse(self, code: str, status: int = 404) -> None:
        self.answer(status, {"error": code}, X_Error_Code=code)

    def do_HEAD(self) -> None:
        self.do_GET()

    def do_GET(self) -> None:
        parts = [unquote(part) for part in urlsplit(self.path).path.split("/") if part]
        name = "/".join(parts[2:4] if parts[0] == "api" else parts[:2])
        repository = self.hub.repositories.get(name)
        if repository is None:
            return self.refuse("RepoNotFound")
        revision = (parts[5:6] or ["main"])[0] if parts[0] == "api" else parts[3]
        commit = repository.branches.get(revision, revision)
        if commit not in repository.commits:
            return self.refuse("RevisionNotFound")
        files = repository.commits[commit]
        if parts[0] == "api" and parts[4:5] == ["tree"]:
            return self.answer(
                200,
                [
                    {"type": "file", "path": path, "size": len(content), "oid": sha(content)}
                    for path, content in files.items()
                ],
            )
        if parts[0] == "api":
            siblings = [{"rfilename": path} for path in files]
            return self.answer(200, {"id": name, "sha": commit, "siblings": siblings})
        path = "/".join(parts[4:])
        if path not in files:
            return self.refuse("EntryNotFound")
        return self.answer(200, files[path], ETag=f'"{sha(files[path])}"', X_Repo_Commit=commit)

    def do_POST(self) -> None:
        content = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        parts = [unquote(part) for part in urlsplit(self.path).path.split("/") if part]
        if parts == ["api", "validate-yaml"]:
            return self.answer(200, {"errors": [], "warnings": []})
        if self.headers.get("Authorization") != f"Bearer {TOKEN}":
            return self.refuse("NoToken", 401)
        if parts == ["api", "repos", "create"]:
            asked = json.loads(content)
            name = "/".join(filter(None, [asked.get("organization"), asked["name"]]))
            if name in self.hub.repositories:
                return self.answer(409, {"url": f"{self.hub.url}/{name}"})
            self.hub.repositories[name] = Repository(asked.get("visibility"))
            self.hub.repositories[name].commit("main", {".gitattributes": b""}, "initial commit")
            return self.answer(200, {"url": f"{self.hub.url}/{name}", "name": name})
        repository = self.hub.repositories["/".join(parts[2:4])]
        if parts[4] == "branch":
            repository.branches.setdefault(parts[5], repository.branches["main"])
            return self.answer(200, {})
        if parts[4] == "preupload":
            files = json.loads(content)["files"]
            return self.answer(
                200,
                {
                    "files": [
                        {"path": each["path"], "uploadMode": "regular", "shouldIgnore": False}
                        for each in files
                    ]
                },
            )
        return self.take_commit("/".join(parts[2:4]), parts[5], content)

    def take_commit(self, name: str, branch: str, content: bytes) -> None:
        repository = self.hub.repositories[name]
        files, message = dict(repository.commits[repository.branches[branch]]), ""
        for line in content.splitlines():
            entry = json.loads(line)
            value = entry["value"]
            if entry["key"] == "header":
                message = value["summary"]
            elif entry["key"] == "file":
                files[value["path"]] = base64.b64decode(value["content"])
            else:
                assert entry["key"] == "deletedFile", entry["key"]
                del files[value["path"]]
        commit = repository.commit(branch, files, message)
        self.answer(200, {"commitUrl": f"{self.hub.url}/{name}/commit/{commit}", "commitOid": commit})


@contextlib.contextmanager
def stand_in(monkeypatch: pytest.MonkeyPatch, home: str) -> Iterator[Hub]:
    """Runs the server, and lets `adframe` and `huggingface_hub` use it and a cache of its own."""
    hub = Hub()
    server = ThreadingHTTPServer(("127.0.0.1", 0), type("Own", (Handler,), {"hub": hub}))
    hub.url = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
    thread.start()
    import huggingface_hub.constants as constants

    monkeypatch.setenv("HF_ENDPOINT", hub.url)
    monkeypatch.setenv("HF_TOKEN", TOKEN)
    monkeypatch.setattr(constants, "HF_HOME", home)
    monkeypatch.setattr(constants, "HF_HUB_CACHE", f"{home}/hub")
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    try:
        yield hub
    finally:
        server.shutdown()
        server.server_close()
        thread.join(10)
