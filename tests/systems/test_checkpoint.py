import errno
import pickle
from pathlib import Path

import pytest
import torch

from adframe.data.base import Source
from adframe.errors import AdframeError
from adframe.io.checksummed import write_sealed
from adframe.models.backbones import TimmBackbone
from adframe.systems.checkpoint import load_checkpoint, save_checkpoint
from adframe.systems.training_free import TrainingFreeSystem
from tests.fakes.backbones import PixelBackbone, tiny_backbone
from tests.fakes.runs import fit, measure, system_of

OF = {"unit": "tray", "seed": "0"}
QUERY = torch.rand(3, 3, 64, 64, generator=torch.Generator().manual_seed(0))


@pytest.fixture(scope="module")
def fitted(toy_ad: Source) -> TrainingFreeSystem:
    return fit(system_of(), toy_ad)


@pytest.fixture
def file(fitted: TrainingFreeSystem, tmp_path: Path) -> Path:
    save_checkpoint(fitted, tmp_path / "checkpoints" / "tray.ckpt", of=OF)
    return tmp_path / "checkpoints" / "tray.ckpt"


def rewrite(file: Path, *, identity: dict[str, str] | None = None, **content: object) -> None:
    """Changes a part of a checkpoint, with a right checksum."""
    stored = torch.load(file, weights_only=True)
    del stored["checksum"]
    of = stored.pop("identity") | (identity or {})
    write_sealed(file, stored | content, identity=of)


def refused(path: Path, text: str, system: TrainingFreeSystem | None = None) -> None:
    with pytest.raises(AdframeError, match=text) as error:
        load_checkpoint(system or system_of(), path, of=OF)
    assert len(str(error.value).splitlines()) == 1
    assert str(path) in str(error.value)


def test_a_reload_gives_equal_scores_and_numbers(
    fitted: TrainingFreeSystem, file: Path, toy_ad: Source
) -> None:
    fresh = system_of(coreset=0.01)
    load_checkpoint(fresh, file, of=OF)
    assert torch.equal(fresh.detector(QUERY).score, fitted.detector(QUERY).score)
    assert torch.equal(fresh.detector(QUERY).heatmap, fitted.detector(QUERY).heatmap)
    assert fresh.calibrator.fitted == fitted.calibrator.fitted
    assert measure(fresh, toy_ad) == measure(fitted, toy_ad)


def test_saving_what_was_loaded_keeps_every_tensor(file: Path, tmp_path: Path) -> None:
    fresh = system_of()
    load_checkpoint(fresh, file, of=OF)
    save_checkpoint(fresh, tmp_path / "again.ckpt", of=OF)
    first, second = (torch.load(path, weights_only=True) for path in (file, tmp_path / "again.ckpt"))
    assert first["state"].keys() == second["state"].keys()
    assert all(
        torch.equal(first["state"][n], t) for n, t in second["state"].items() if isinstance(t, torch.Tensor)
    )
    assert {k: v for k, v in first.items() if k != "state"} == {
        k: v for k, v in second.items() if k != "state"
    }


def test_the_frozen_backbone_is_named_and_not_stored(file: Path) -> None:
    stored = torch.load(file, weights_only=True)
    assert not any("backbone" in name for name in stored["state"])
    assert stored["identity"]["backbone"].startswith("test_resnet layer2,layer3 sha256:")


def test_another_backbone_is_refused_in_one_line(file: Path) -> None:
    refused(
        file,
        "is of backbone test_resnet .* backbone test_resnet .* is needed",
        system_of(tiny_backbone(seed=1)),
    )
    layers = TimmBackbone("test_resnet", layers=["layer2"], source="random")
    refused(
        file,
        "is of backbone test_resnet layer2,layer3 .* and backbone test_resnet layer2 ",
        system_of(layers),
    )
    refused(file, "and backbone pixels pixels .* is needed", system_of(PixelBackbone()))


def test_another_method_is_refused_in_one_line(file: Path) -> None:
    rewrite(file, identity={"method": "Padim"})
    refused(file, "is of method Padim, and method PatchCore is needed; fit the model again")


@pytest.mark.parametrize(("name", "value"), [("unit", "weave"), ("seed", "1"), ("format", "1")])
def test_another_categorys_checkpoint_in_its_place_is_refused(name: str, value: str, file: Path) -> None:
    rewrite(file, identity={name: value})
    refused(file, f"is of {name} {value}, and {name} .* is needed")


def test_a_checkpoint_without_a_checksum_is_refused(file: Path) -> None:
    stored = torch.load(file, weights_only=True)
    torch.save({"format": 1, "method": "PatchCore", "backbone": "", "state": stored["state"]}, file)
    refused(file, "has no checksum: it was written by an older adframe")


@pytest.mark.slow
def test_a_flipped_bit_anywhere_is_found_or_changes_nothing(file: Path, fitted: TrainingFreeSystem) -> None:
    data, found = file.read_bytes(), 0
    places = [*range(0, len(data), len(data) // 97), *range(len(data) - 400, len(data), 7)]
    for place in places:
        file.write_bytes(data[:place] + bytes([data[place] ^ 0x40]) + data[place + 1 :])
        fresh = system_of()
        try:
            load_checkpoint(fresh, file, of=OF)
        except AdframeError:
            found += 1
            continue
        assert torch.equal(fresh.detector(QUERY).heatmap, fitted.detector(QUERY).heatmap)
    assert found > 80


def test_a_tensor_too_few_or_too_many_is_refused(file: Path) -> None:
    stored = torch.load(file, weights_only=True)
    fewer = {name: value for name, value in stored["state"].items() if name != "detector.memory.memory.norms"}
    rewrite(file, state=fewer)
    refused(file, r"does not fit: .*detector\.memory\.memory\.norms")
    rewrite(file, state=stored["state"] | {"detector.extra": torch.zeros(1)})
    refused(file, r"does not fit: .*detector\.extra")
    calibration = stored["state"]["calibrator._extra_state"] | {"newer": 1}
    rewrite(file, state=stored["state"] | {"calibrator._extra_state": calibration})
    refused(file, "does not fit: .*newer")


class Code:
    def __init__(self, mark: Path) -> None:
        self.mark = mark

    def __reduce__(self) -> tuple[object, ...]:
        return Path.touch, (self.mark,)


@pytest.mark.filterwarnings("ignore:Detected pickle protocol")
def test_a_file_with_code_is_refused_and_does_not_run(file: Path, tmp_path: Path) -> None:
    stored, mark = torch.load(file, weights_only=True), tmp_path / "mark"
    torch.save(stored | {"evil": Code(mark)}, file)
    refused(file, "cannot be read safely")
    file.write_bytes(pickle.dumps(Code(mark)))
    refused(file, "cannot be read safely")
    assert not mark.exists()


@pytest.mark.filterwarnings("ignore:Detected pickle protocol")
def test_a_damaged_or_strange_file_is_one_line(file: Path) -> None:
    data = file.read_bytes()
    for broken in (b"", b"hello", data[:50], data[: len(data) // 2], b"}\x8e1", bytes(99), b"\x80\x02c\x80"):
        file.write_bytes(broken)
        refused(file, "cannot be read safely")
    for strange in ([1, 2], {"format": 99}, {"state_dict": {}}, {"checksum": 1}):
        torch.save(strange, file)
        refused(file, "has no checksum")
    file.unlink()
    file.mkdir()
    refused(file, "cannot be read safely")
    file.rmdir()
    refused(file, "does not exist; was the run finished")


def test_a_full_disk_leaves_the_older_file(
    fitted: TrainingFreeSystem, file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = file.read_bytes()

    def full(self: Path, data: bytes) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(Path, "write_bytes", full)
    with pytest.raises(AdframeError, match="No space left on device"):
        save_checkpoint(fitted, file, of=OF)
    assert file.read_bytes() == before
    assert list(file.parent.iterdir()) == [file]
