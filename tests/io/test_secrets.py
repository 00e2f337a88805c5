"""What is secret in an override, a configuration or an address is replaced; all else stays as it is."""

from __future__ import annotations

import pytest

from adframe.io.secrets import PLACEHOLDER, hidden_keys, hide_in_text, hide_secrets


@pytest.mark.parametrize(("text", "shown"), [
    ("logger.api_key=hunter2", "logger.api_key=(hidden)"),
    ("+x.password='a b, c'", "+x.password=(hidden)"),
    ("++model.hf_token=hf_abc", "++model.hf_token=(hidden)"),
    ("SECRET=x", "SECRET=(hidden)"),
    ("launcher.address=ray://me:hunter2@host:10001", "launcher.address=ray://(hidden)@host:10001"),
    (r"launcher.address=ray\://me\:hunter2@host", r"launcher.address=ray\://(hidden)@host"),
    ("+dataset.url=https://h/x.zip?token=hunter2&v=1", "+dataset.url=https://h/x.zip?token=(hidden)&v=1"),
    ("+launcher.extra={password: hunter2, a: 1}", "+launcher.extra={password: (hidden), a: 1}"),
    ("+launcher.extra={'api_key':'hunter2'}", "+launcher.extra={'api_key':(hidden)}"),
])  # fmt: skip
def test_a_secret_is_replaced(text: str, shown: str) -> None:
    assert hide_in_text(text) == shown


@pytest.mark.parametrize("text", [
    "model.head=token", "model.scoring.tokens=1", "model.scoring.token_blocks=[2]", "seed=0,1",
    "dataset.root=/data/password/x", "model.scoring.token_network=starting", "https://home.page/a@b",
])  # fmt: skip
def test_what_is_no_secret_stays(text: str) -> None:
    assert hide_in_text(text) == text


def test_a_configuration_loses_its_secrets_at_any_depth_and_says_which() -> None:
    config = {"logger": {"api_key": "hunter2", "mode": "auto"}, "a": [{"pin_password": 1234}], "token": None}
    found = hide_secrets(config)
    assert found == {
        "logger": {"api_key": PLACEHOLDER, "mode": "auto"},
        "a": [{"pin_password": PLACEHOLDER}], "token": None
    }  # fmt: skip
    assert hidden_keys(found) == ["logger.api_key", "a[0].pin_password"]
    assert hidden_keys(config) == []
    assert hide_secrets({"x.api_key": {"values": ["a", "b"]}, "use_token": True}) == {
        "x.api_key": PLACEHOLDER, "use_token": True
    }  # fmt: skip
