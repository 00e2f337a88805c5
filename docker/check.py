"""Does the RUN steps of the Dockerfile in a virtual environment and asks the service, where no Docker is.

    python docker/check.py <bundle> <picture>

Downloads the packages of requirements.txt. It prints the size of the packages, the seconds from the start of
the command to the first answer of /readyz, the milliseconds of the first requests, and the memory of the
service. It does not check the base image, the user, the volume or the health check, which need Docker.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
import venv
from pathlib import Path

ROOT = Path(__file__).parents[1]
PORT = 8765


def main() -> None:
    """Builds, starts, asks, stops."""
    bundle, picture = Path(sys.argv[1]).resolve(), Path(sys.argv[2]).read_bytes()
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        venv.create(folder / "image", with_pip=True)
        bare = sum(path.stat().st_size for path in (folder / "image").rglob("*") if path.is_file())
        source = folder / "source"  # as the first stage has it
        shutil.copytree(ROOT / "adframe", source / "adframe", ignore=shutil.ignore_patterns("__pycache__"))
        for name in ("pyproject.toml", "README.md", "LICENSE"):
            shutil.copy(ROOT / name, source)
        environment = {key: value for key, value in os.environ.items() if not key.startswith("PYTHON")}
        environment["PYTHONDONTWRITEBYTECODE"] = "1"
        pip = [str(folder / "image" / "bin" / "pip"), "--quiet", "--disable-pip-version-check"]
        steps = [
            ["wheel", "--no-cache-dir", "--no-deps", "--wheel-dir", str(folder / "wheels"), str(source)],
            [
                "install", "--no-cache-dir", "--no-compile", "--requirement",
                str(ROOT / "docker" / "requirements.txt"), "--constraint", str(ROOT / "constraints.txt"),
            ],
        ]  # fmt: skip
        for step in steps:
            subprocess.run([*pip, *step], check=True, cwd=folder, env=environment)
        [wheel] = (folder / "wheels").glob("*.whl")
        subprocess.run(
            [*pip, "install", "--no-cache-dir", "--no-compile", "--no-deps", str(wheel)],
            check=True,
            env=environment,
        )
        size = sum(path.stat().st_size for path in (folder / "image").rglob("*") if path.is_file())
        print(f"packages: {(size - bare) / 1e6:.0f} MB")
        command = [str(folder / "image" / "bin" / "adframe"), "serve", "--port", str(PORT), str(bundle)]
        start = time.monotonic()
        service = subprocess.Popen(command, cwd=folder, env=environment)
        try:
            while not is_ready():
                assert service.poll() is None, "the service ended"
                time.sleep(0.02)
            print(f"ready after {time.monotonic() - start:.2f} s")
            for _ in range(3):
                start = time.perf_counter()
                answer = ask(f"/v1/models/{bundle.name}/predict", picture)
                print(f"answer after {1000 * (time.perf_counter() - start):.1f} ms: {answer[:120]!r}")
            print(f"overlay: {ask(f'/v1/models/{bundle.name}/predict', picture, 'image/png')[:8]!r}")
            status = Path(f"/proc/{service.pid}/status").read_text()
            print(next(line for line in status.splitlines() if line.startswith("VmHWM")))
        finally:
            service.terminate()
            print("exit code", service.wait(30))


def is_ready() -> bool:
    """Tells whether the service takes pictures."""
    try:
        ask("/readyz")
    except urllib.error.URLError:
        return False
    return True


def ask(path: str, body: bytes | None = None, accept: str = "application/json") -> bytes:
    """Sends a request and returns the body of the answer."""
    headers = {"Content-Type": "application/octet-stream", "Accept": accept}
    request = urllib.request.Request(f"http://127.0.0.1:{PORT}{path}", body, headers)
    with urllib.request.urlopen(request, timeout=30) as answer:
        content: bytes = answer.read()
    return content


if __name__ == "__main__":
    main()
