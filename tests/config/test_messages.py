"""Every error as one line."""

from __future__ import annotations

import errno

import pytest

from adframe.config.messages import is_user_error, one_line
from adframe.errors import AdframeError


def test_an_error_of_a_loading_process_loses_its_traceback() -> None:
    text = "Caught AdframeError in DataLoader worker process 0.\nTraceback ...\n"
    error = AdframeError(text + "adframe.contracts.AdframeError: image x is empty\n")
    assert one_line(error) == "image x is empty"


def test_a_note_stands_behind_the_error() -> None:
    error = AdframeError("the disk is full")
    error.add_note("go on with resume=x")
    assert one_line(error) == "the disk is full; go on with resume=x"


@pytest.mark.parametrize(
    ("number", "words"), [(errno.ENOSPC, "the disk is full (x)"), (errno.EACCES, "Permission denied (x)")]
)
def test_the_system_s_errors_name_the_file(number: int, words: str) -> None:
    error = OSError(number, "Permission denied", "x")
    assert is_user_error(error)
    assert one_line(error).startswith(words)


def test_a_bug_is_nothing_that_a_user_can_mend() -> None:
    assert not is_user_error(KeyError("x"))
    assert not is_user_error(ValueError("x"))
    assert one_line(KeyError("x")) == "KeyError: 'x'"


@pytest.mark.parametrize("text", [
    "[enforce fail at alloc_cpu.cpp:117] err == 0. DefaultCPUAllocator: can't allocate memory: you tried ...",
    "CUDA out of memory. Tried to allocate 2.00 GiB",
])  # fmt: skip
def test_an_allocation_that_fails_is_a_memory_that_is_full(text: str) -> None:
    assert is_user_error(RuntimeError(text))
    assert one_line(RuntimeError(text)).startswith(
        "the memory is full; lower batch_size, image_size or coreset"
    )
    assert not is_user_error(RuntimeError("shapes do not fit"))
