"""A folder from a stranger names classes; none but adframe's own and trusted ones are imported or run."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from hydra.utils import get_object
from omegaconf import OmegaConf

from adframe.config.build import build, build_source
from adframe.config.trust import TORCH_TARGETS, check_targets, own_parts
from adframe.errors import AdframeError


def evil(mark: Path) -> dict[str, Any]:
    return {"_target_": "pathlib.Path.touch", "_args_": [{"_target_": "pathlib.Path", "_args_": [str(mark)]}]}


def forms(mark: Path) -> dict[str, Any]:
    """The same code as a part itself, in a list, in `_args_`, behind an interpolation, as a partial."""
    good = {"_target_": "adframe.calibration.rules.Quantile", "q": 0.995}
    return {
        "part": evil(mark),
        "list": good | {"q": [evil(mark)]},
        "args": {"_target_": "adframe.calibration.rules.Quantile", "_args_": [evil(mark)]},
        "link": good | {"q": "${hidden}"},
        "name": {"_target_": "${word}", "_args_": [str(mark)]},
        "partial": evil(mark) | {"_partial_": True},
        "method": {"_target_": "hydra.utils.get_method", "path": "os.system"},
        "inner": {"_target_": "adframe.runs.provenance.subprocess.run", "args": ["touch", str(mark)]},
        "own_function": {"_target_": "adframe.io.files.write_whole", "path": str(mark), "content": ""},
        "no_text": {"_target_": {"_target_": "os.getcwd"}},
    }


@pytest.mark.parametrize("form", forms(Path()))
def test_foreign_code_is_refused_in_every_place_and_does_not_run(form: str, tmp_path: Path) -> None:
    mark = tmp_path / "mark"
    cfg = OmegaConf.create({"model": forms(mark)[form], "hidden": evil(mark), "word": "os.remove"})
    with pytest.raises(AdframeError, match=r"_target_=.* on the command line: 'trusted=\[") as caught:
        build(cfg, "model")
    assert len(str(caught.value).splitlines()) == 1
    assert not mark.exists()


def test_a_module_is_not_imported_before_it_is_trusted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "their_part.py").write_text("open('imported', 'w')\ndef made(): return 7\n")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.chdir(tmp_path)
    cfg = {"model": {"_target_": "their_part.made"}}
    with pytest.raises(AdframeError, match=r"model\._target_=their_part\.made .*'trusted=\[their_part\]'"):
        build(OmegaConf.create(cfg), "model")
    assert not (tmp_path / "imported").exists()
    assert build(OmegaConf.create(cfg | {"trusted": ["their_part"]}), "model") == 7


def test_a_package_is_trusted_by_whole_names_only() -> None:
    check_targets({"_target_": "their.part.Made"}, key="model", trusted=["their.part"])
    for name in ("their.partial.Made", "theirs.part.Made", "their.part"):
        with pytest.raises(AdframeError, match="is not a part of adframe"):
            check_targets({"_target_": name}, key="model", trusted=["their.part"])


def test_what_is_hidden_from_the_check_by_an_escape_is_refused(tmp_path: Path) -> None:
    own = {"_target_": "adframe.calibration.rules.Quantile", "q": r"\${hidden}"}
    cfg = OmegaConf.create({"model": own, "hidden": evil(tmp_path / "mark")})
    with pytest.raises(AdframeError, match="after it was resolved"):
        build(cfg, "model")
    assert not (tmp_path / "mark").exists()


def test_every_allowed_name_is_a_class_or_function_where_it_is_defined() -> None:
    assert "adframe.models.extended_patchcore.create_patchcore" in own_parts()
    for name in own_parts():
        assert get_object(name).__module__ == name.rpartition(".")[0]
    for name in TORCH_TARGETS:
        assert isinstance(get_object(name), type)


def toy(root: Path, **more: Any) -> Any:
    names = {"name": "toy", "homepage": "", "licence": "", "tree": "", "size": 64, "train": 2, "test_bad": 1}
    counts = {"validation": 1, "test_good": 1, "products": ["weave"]}
    dataset = {"_target_": "adframe.data.toy_source.Toy", "root": str(root), **names, **counts}
    return OmegaConf.create({"dataset": dataset, "category": "all", **more})


def test_a_strangers_configuration_draws_nothing_outside_of_the_working_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    with pytest.raises(AdframeError, match="neither downloads nor draws data outside"):
        build_source(toy(tmp_path / "there", fetch=False))
    assert not (tmp_path / "there").exists()
    assert build_source(toy(tmp_path / "here" / "toy", fetch=False)).found() == ["weave"]
    assert build_source(toy(tmp_path / "there", fetch=False), root_given=True).found() == ["weave"]


def test_a_strangers_configuration_fetches_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("adframe.data.base.fetch", lambda *_, **__: pytest.fail("it downloads"))
    plain = {"name": "x", "homepage": "", "licence": "", "tree": "", "root": str(tmp_path), "download": True}
    inner = plain | {"_target_": "adframe.data.mvtec_ad.MvtecAd"}
    several = {"_target_": "adframe.data.multi_dataset.Several", "members": {"a": inner}, **plain}
    for dataset in (inner, several):
        cfg = OmegaConf.create({"dataset": dataset, "category": "all", "fetch": False})
        assert build_source(cfg, root_given=True).found() == []
