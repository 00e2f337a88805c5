import errno
import hashlib
import io
import shutil
import socket
import tarfile
import threading
import zipfile
from collections.abc import Iterator, Sequence
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from adframe.data.download import Archive, fetch
from adframe.errors import AdframeError
from adframe.io.archive import Limits

PIXELS = bytes(range(256)) * 1200  # what an image holds here: 300 kB, more than a socket's buffers swallow
IMAGES = {f"bottle/train/good/{i}.png": PIXELS for i in range(3)} | {"readme.txt": b"hello"}


class Server:
    """Files at an address; `cuts` says for each request after how many bytes the connection breaks."""

    def __init__(self) -> None:
        self.files: dict[str, bytes] = {}
        self.cuts: list[int | None] = []
        self.statuses: list[int] = []
        self.ranges = True
        self.asked: list[str | None] = []
        self.http = ThreadingHTTPServer(("127.0.0.1", 0), self._handler())

    def _handler(server) -> type[BaseHTTPRequestHandler]:  # noqa: N805
        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                wanted = self.headers.get("Range")
                server.asked.append(wanted)
                content = server.files.get(self.path)
                status = server.statuses.pop(0) if server.statuses else 200 if content is not None else 404
                if content is None or status != 200:
                    return self.send_error(status)
                start = (
                    int(wanted.removeprefix("bytes=").removesuffix("-")) if wanted and server.ranges else 0
                )
                if wanted and start >= len(content):
                    self.send_response(416)
                    self.send_header("Content-Range", f"bytes */{len(content)}")
                    return self.end_headers()
                self.send_response(206 if start else 200)
                if start:
                    self.send_header("Content-Range", f"bytes {start}-{len(content) - 1}/{len(content)}")
                self.send_header("Content-Length", str(len(content) - start))
                self.end_headers()
                cut = server.cuts.pop(0) if server.cuts else None
                self.wfile.write(content[start:] if cut is None else content[start : start + cut])
                return None

            def log_message(self, *args: Any) -> None:
                pass

        return Handler

    def put(self, name: str, content: bytes, **fields: Any) -> Archive:
        self.files[f"/{name}"] = content
        return archive_of(f"http://127.0.0.1:{self.http.server_port}/{name}", content, **fields)


def archive_of(url: str, content: bytes, **fields: Any) -> Archive:
    return Archive(url=url, sha256=hashlib.sha256(content).hexdigest(), **fields)


@pytest.fixture(autouse=True)
def no_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("no_proxy", "127.0.0.1")


@pytest.fixture
def server() -> Iterator[Server]:
    server = Server()
    thread = threading.Thread(target=server.http.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield server
    server.http.shutdown()
    server.http.server_close()
    thread.join()


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return tmp_path / "data" / "mvtec_ad"


def get(
    *archives: Archive,
    root: Path,
    waits: Sequence[float] = (0.0, 0.0),
    timeout: float = 5.0,
    **settings: Any,
) -> None:
    fetch(
        archives,
        root=root,
        name="mvtec_ad",
        licence="CC BY-NC-SA 4.0",
        homepage="https://home.page",
        waits=waits,
        timeout=timeout,
        **settings,
    )


def tarred(
    members: dict[str, bytes] = IMAGES, *, mode: str = "w", odd: tarfile.TarInfo | None = None
) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode=mode) as tar:  # type: ignore[call-overload]
        for name, content in members.items():
            info = tarfile.TarInfo(name)
            info.size = len(content)
            tar.addfile(info, io.BytesIO(content))
        if odd is not None:
            tar.addfile(odd)
    return buffer.getvalue()


def zipped(members: dict[str, bytes] = IMAGES, *, mode: int = 0) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in members.items():
            info = zipfile.ZipInfo(name)
            info.external_attr = mode << 16
            archive.writestr(info, content, zipfile.ZIP_DEFLATED)
    return buffer.getvalue()


def below(root: Path) -> dict[str, bytes]:
    return {p.relative_to(root).as_posix(): p.read_bytes() for p in root.rglob("*") if p.is_file()}


@pytest.mark.parametrize("kind", ["tar", "tar.gz", "tar.xz", "zip"])
def test_an_archive_of_any_kind_comes_whole_and_leaves_nothing_else(
    kind: str, server: Server, root: Path
) -> None:
    content = zipped() if kind == "zip" else tarred(mode="w:" + kind[4:])
    get(server.put(f"set.{kind}", content), root=root)
    assert below(root) == IMAGES
    assert sorted(p.name for p in root.iterdir()) == ["bottle", "readme.txt"]


def test_the_licence_comes_before_the_first_request(server: Server, root: Path) -> None:
    said: list[tuple[str, int]] = []
    get(server.put("set.tar", tarred()), root=root, say=lambda line: said.append((line, len(server.asked))))
    line, requests = said[0]
    assert "CC BY-NC-SA 4.0" in line
    assert "https://home.page" in line
    assert requests == 0
    assert [line.split()[0] for line, _ in said[1:]] == ["downloading", "checking", "unpacking"]


def test_progress_grows_to_the_full_size(server: Server, root: Path) -> None:
    content = tarred()
    seen: list[tuple[str, int, int]] = []
    get(server.put("set.tar", content), root=root, progress=lambda *step: seen.append(step))
    for what in ("downloading set.tar", "checking set.tar", "unpacking set.tar"):
        done = [done for step, done, total in seen if step == what and total == len(content)]
        assert done == sorted(done)
        assert done[-1] > 0.9 * len(content)
    assert all(done <= total for _, done, total in seen)


def test_a_cut_connection_goes_on_where_it_stopped(server: Server, root: Path) -> None:
    archive = server.put("set.tar", tarred())
    server.cuts = [400_000]
    get(archive, root=root)
    assert server.asked == [None, "bytes=400000-"]
    assert below(root) == IMAGES


def test_the_next_call_goes_on_too(server: Server, root: Path) -> None:
    archive = server.put("set.tar", tarred())
    server.cuts = [400_000]
    with pytest.raises(
        AdframeError, match=r"ended after 0\.4 MB .* run again .* by hand from https://home\.page"
    ):
        get(archive, root=root, waits=())
    assert below(root) == {".download/set.tar.part": tarred()[:400_000]}
    get(archive, root=root, waits=())
    assert server.asked == [None, "bytes=400000-"]
    assert below(root) == IMAGES


def test_a_download_that_is_complete_is_not_asked_for_again(server: Server, root: Path) -> None:
    archive = server.put("set.tar", tarred())
    (root / ".download").mkdir(parents=True)
    (root / ".download/set.tar.part").write_bytes(tarred())
    get(archive, root=root, waits=())
    assert below(root) == IMAGES


def test_without_ranges_it_starts_over(server: Server, root: Path) -> None:
    archive = server.put("set.tar", tarred())
    server.ranges, server.cuts = False, [400_000]
    get(archive, root=root)
    assert below(root) == IMAGES


def test_a_connection_that_always_breaks_ends_after_the_last_wait(server: Server, root: Path) -> None:
    archive = server.put("set.tar", tarred())
    server.ranges, server.cuts = False, [400_000] * 10
    with pytest.raises(AdframeError, match="the connection ended"):
        get(archive, root=root)
    assert server.asked == [None, "bytes=400000-", "bytes=400000-"]


def test_what_gets_on_may_break_more_often_than_there_are_waits(server: Server, root: Path) -> None:
    archive = server.put("set.tar", tarred())
    server.cuts = [150_000] * 5
    get(archive, root=root, waits=(0.0,))
    assert len(server.asked) == 6
    assert below(root) == IMAGES


def test_a_stale_part_larger_than_the_file_is_started_anew(server: Server, root: Path) -> None:
    archive = server.put("set.tar", tarred())
    (root / ".download").mkdir(parents=True)
    (root / ".download/set.tar.part").write_bytes(tarred() + b"more")
    get(archive, root=root)
    assert server.asked == [f"bytes={len(tarred()) + 4}-", None]
    assert below(root) == IMAGES


def test_a_busy_server_is_asked_again_and_a_missing_file_is_not(server: Server, root: Path) -> None:
    archive = server.put("set.tar", tarred())
    server.statuses = [503]
    get(archive, root=root)
    assert len(server.asked) == 2
    with pytest.raises(AdframeError, match=r"404.*put it at .*\.download/gone\.tar$"):
        get(archive_of(archive.url.replace("set", "gone"), b""), root=root)
    assert len(server.asked) == 3


def test_a_server_that_is_not_there_is_one_line_and_leaves_no_folder(root: Path) -> None:
    with pytest.raises(AdframeError, match=r"cannot download http://127\.0\.0\.1:9/set\.tar: ") as error:
        get(archive_of("http://127.0.0.1:9/set.tar", b""), root=root)
    assert "\n" not in str(error.value)
    assert not root.exists()


def test_a_wrong_sum_names_both_and_the_next_try_starts_clean(server: Server, root: Path) -> None:
    archive = server.put("set.tar", tarred())
    server.files["/set.tar"] = other = tarred({"bottle/a.png": b"another"})
    with pytest.raises(AdframeError, match=archive.sha256) as error:
        get(archive, root=root)
    assert hashlib.sha256(other).hexdigest() in str(error.value)
    assert not root.exists()
    server.files["/set.tar"] = tarred()
    get(archive, root=root)
    assert server.asked == [None, None]


def special(name: str, kind: bytes, link: str = "") -> tarfile.TarInfo:
    info = tarfile.TarInfo(name)
    info.type, info.linkname = kind, link
    return info


HOSTILE = {
    "above.tar": (tarred({"../evil": b"x"}), "../evil"),
    "deep.tar": (tarred({"bottle/../../evil": b"x"}), "bottle/../../evil"),
    "absolute.tar": (tarred({"/tmp/evil": b"x"}), "/tmp/evil"),
    "symlink.tar": (tarred(odd=special("bottle/out", tarfile.SYMTYPE, "/etc")), "bottle/out"),
    "inside.tar": (tarred(odd=special("bottle/in", tarfile.SYMTYPE, "train")), "bottle/in': it is a link"),
    "hardlink.tar": (tarred(odd=special("bottle/hard", tarfile.LNKTYPE, "/etc/passwd")), "bottle/hard"),
    "device.tar": (tarred(odd=special("bottle/null", tarfile.CHRTYPE)), "bottle/null"),
    "pipe.tar": (tarred(odd=special("bottle/pipe", tarfile.FIFOTYPE)), "bottle/pipe"),
    "above.zip": (zipped({"../evil": b"x"}), "../evil"),
    "absolute.zip": (zipped({"/tmp/evil": b"x"}), "/tmp/evil"),
    "drive.zip": (zipped({"C:/evil": b"x"}), "C:/evil"),
    "backslash.zip": (zipped({"bottle\\..\\evil": b"x"}), r"bottle\\..\\evil"),
    "symlink.zip": (zipped({"bottle/out": b"/etc"}, mode=0o120777), "bottle/out"),
    "twice.zip": (zipped({"bottle/a": b"x", "bottle/./a": b"y"}), "bottle/./a"),
    "both.tar": (tarred({"bottle": b"x", "bottle/a": b"y"}), "bottle/a"),
}


@pytest.mark.parametrize("file", HOSTILE)
def test_a_hostile_archive_is_refused_by_the_members_name(file: str, server: Server, root: Path) -> None:
    content, member = HOSTILE[file]
    with pytest.raises(AdframeError) as error:
        get(server.put(file, content), root=root)
    assert f"member '{member}" in str(error.value)
    assert "\n" not in str(error.value)
    assert below(root.parents[1]) == {}
    assert not root.exists()


def test_dropping_leading_parts_does_not_hide_a_way_out(server: Server, root: Path) -> None:
    archive = server.put("set.tar", tarred({"../../evil/bottle/a.png": b"x"}), strip=3)
    with pytest.raises(AdframeError, match="leaves the folder"):
        get(archive, root=root)


@pytest.mark.parametrize("kind", ["tar", "zip", "tar.xz", "tar.gz"])
@pytest.mark.parametrize("keep", [0.0, 0.5, 0.9])
def test_a_truncated_archive_is_one_line_and_leaves_nothing(
    kind: str, keep: float, server: Server, root: Path
) -> None:
    content = zipped() if kind == "zip" else tarred(mode="w:" + kind[4:])
    with pytest.raises(AdframeError, match=r"is broken|has no files") as error:
        get(server.put(f"set.{kind}", content[: int(len(content) * keep)]), root=root)
    assert "\n" not in str(error.value)
    assert not root.exists()


@pytest.mark.parametrize(
    ("limits", "why"),
    [
        (Limits(total=500_000), "more than 500000 bytes"),
        (Limits(members=2), "more than 2 members"),
        (Limits(ratio=2.0), "unpacks to more than"),
    ],
)
def test_a_bomb_is_refused(
    limits: Limits, why: str, server: Server, root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("adframe.io.archive.FREE_RATIO", 1000 if limits.ratio == 2.0 else 10**9)
    with pytest.raises(AdframeError, match=why):
        get(server.put("set.zip", zipped()), root=root, limits=limits)
    assert not root.exists()


def test_leading_parts_are_dropped_and_a_subfolder_is_added(server: Server, root: Path) -> None:
    images = {f"Set_transformed/{name}": content for name, content in IMAGES.items()}
    images |= {
        "licence.txt": b"",
        "__MACOSX/Set_transformed/1.png": b"x",
        "Set_transformed/bottle/._1.png": b"x",
    }
    get(server.put("set.zip", zipped(images), strip=1, into="a/b"), root=root)
    assert below(root) == {f"a/b/{name}": content for name, content in IMAGES.items()}


def test_archives_a_category_come_together_or_not_at_all(server: Server, root: Path) -> None:
    first = server.put("bottle.tar", tarred())
    second = server.put("cable.tar", tarred({"cable/train/good/0.png": PIXELS, "readme.txt": b"other"}))
    held = server.files.pop("/cable.tar")
    with pytest.raises(AdframeError, match="404"):
        get(first, second, root=root)
    assert below(root) == {".download/bottle.tar": tarred()}  # checked, and not downloaded again
    server.files["/cable.tar"] = held
    get(first, second, root=root)
    assert server.asked == [None] * 3
    assert (root / "readme.txt").read_bytes() == b"hello"
    assert (root / "bottle/train/good/0.png").read_bytes() == (root / "cable/train/good/0.png").read_bytes()


def test_a_category_that_is_there_is_not_overwritten(server: Server, root: Path) -> None:
    (root / "bottle").mkdir(parents=True)
    (root / "bottle/mine.txt").write_bytes(b"mine")
    with pytest.raises(AdframeError, match=r"mvtec_ad/bottle would be overwritten"):
        get(server.put("set.tar", tarred({"apple/a.png": b"x"} | IMAGES)), root=root)
    assert (root / "bottle/mine.txt").read_bytes() == b"mine"
    assert not (root / "apple").exists()


def test_a_lone_file_that_is_there_stays(server: Server, root: Path) -> None:
    root.mkdir(parents=True)
    (root / "readme.txt").write_bytes(b"mine")
    get(server.put("set.tar", tarred()), root=root)
    assert below(root) == IMAGES | {"readme.txt": b"mine"}


def test_a_server_that_says_nothing_is_given_up(root: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        address = f"http://127.0.0.1:{silent.getsockname()[1]}/set.tar"
        with pytest.raises(AdframeError, match="timed out"):
            get(archive_of(address, b""), root=root, waits=(), timeout=0.1)


def test_a_full_disk_leaves_no_half_written_set(
    server: Server, root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    archive = server.put("set.tar", tarred())

    def full(*args: Any, **settings: Any) -> None:
        (settings["into"] / "bottle").mkdir()
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr("adframe.data.download.unpack", full)
        with pytest.raises(AdframeError, match=r"No space left .* free some disk space, then run again"):
            get(archive, root=root)
    assert below(root) == {".download/set.tar": tarred()}
    get(archive, root=root)
    assert len(server.asked) == 1
    assert (root / "bottle/train/good/2.png").is_file()


def test_too_little_room_is_said_before_the_download(
    server: Server, root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shutil, "disk_usage", lambda path: shutil._ntuple_diskusage(10, 10, 1000))
    with pytest.raises(AdframeError, match=r"no room .* 0\.9 MB are missing and .* 0\.0 MB free"):
        get(server.put("set.tar", tarred()), root=root)
    assert not root.exists()


def test_a_move_that_fails_halfway_is_taken_back(
    server: Server, root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rename = Path.rename

    def fail_at_second(self: Path, target: Path) -> Path:
        if self.name == "readme.txt":
            raise OSError(errno.EACCES, "Permission denied")
        return rename(self, target)

    monkeypatch.setattr(Path, "rename", fail_at_second)
    with pytest.raises(AdframeError, match="Permission denied"):
        get(server.put("set.tar", tarred()), root=root)
    assert list(below(root)) == [".download/set.tar"]


def test_an_archive_put_there_by_hand_is_checked_and_kept(root: Path) -> None:
    archive = archive_of("http://127.0.0.1:9/set.tar", tarred())
    said: list[str] = []
    (root / ".download").mkdir(parents=True)
    (root / ".download/set.tar").write_bytes(b"an error page")
    with pytest.raises(AdframeError, match=f"expected {archive.sha256}; delete it"):
        get(archive, root=root)
    (root / ".download/set.tar").write_bytes(tarred())
    get(archive, root=root, say=said.append)
    assert below(root) == IMAGES | {".download/set.tar": tarred()}
    assert "is kept" in said[-1]


def test_a_file_address_is_read_where_it_lies(root: Path, tmp_path: Path) -> None:
    (tmp_path / "my set.tar").write_bytes(tarred())
    get(archive_of((tmp_path / "my set.tar").as_uri(), tarred()), root=root)
    assert below(root) == IMAGES
    assert (tmp_path / "my set.tar").is_file()


def test_two_runs_at_once_do_not_mix(server: Server, root: Path) -> None:
    archive = server.put("set.tar", tarred())
    errors: list[AdframeError] = []

    def second(what: str, done: int, total: int) -> None:
        if not errors:
            with pytest.raises(AdframeError, match="another run is downloading") as error:
                get(archive, root=root)
            errors.append(error.value)

    get(archive, root=root, progress=second)
    assert len(errors) == 1
    assert below(root) == IMAGES


@pytest.mark.parametrize(
    "fields",
    [
        {"url": "ftp://host/set.tar"},
        {"url": "/data/set.tar"},
        {"url": "https://host/"},
        {"sha256": "d41d8cd98f00b204e9800998ecf8427e"},
        {"strip": -1},
        {"into": "../up"},
        {"into": "/tmp"},
        {"into": "."},
    ],
)
def test_an_archive_that_cannot_be_right_is_refused(fields: dict[str, Any]) -> None:
    good: dict[str, Any] = {"url": "https://host/set.tar", "sha256": "a" * 64}
    Archive(**good)
    with pytest.raises(AdframeError, match=next(iter(fields))):
        Archive(**good | fields)
