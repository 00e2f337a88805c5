"""Maps names of classes in configurations of older runs to the names of today."""

from __future__ import annotations

from typing import Any

RENAMED = {  # old module of a `_target_` -> its current module
    "adframe.app.clusters": "adframe.sweeps.cluster",
    "adframe.app.launchers": "adframe.sweeps.local",
    "adframe.app.leaderboard": "adframe.sweeps.leaderboard",
    "adframe.app.searching": "adframe.sweeps.optuna_search",
    "adframe.app.studies.ablation": "adframe.analysis.studies.ablation",
    "adframe.app.studies.cross_category": "adframe.analysis.studies.cross_category",
    "adframe.app.studies.cross_shift": "adframe.analysis.studies.cross_shift",
    "adframe.app.studies.domain_shift": "adframe.analysis.studies.domain_shift",
    "adframe.app.studies.efficiency": "adframe.analysis.studies.efficiency",
    "adframe.app.studies.features": "adframe.analysis.studies.features",
    "adframe.app.studies.global_model": "adframe.analysis.studies.global_model",
    "adframe.callbacks.latency": "adframe.diagnostics.latency",
    "adframe.callbacks.patches": "adframe.diagnostics.patch_survey",
    "adframe.data.several": "adframe.data.multi_dataset",
    "adframe.models.transformers_vit": "adframe.models.hf_vit",
    "adframe.ops.shift.camera": "adframe.transforms.shift.camera",
    "adframe.ops.shift.corruptions": "adframe.transforms.shift.corruptions",
    "adframe.ops.shift.geometric": "adframe.transforms.shift.geometric",
    "adframe.ops.shift.illumination": "adframe.transforms.shift.illumination",
    "adframe.ops.shift.photometric": "adframe.transforms.shift.photometric",
    "adframe.ops.shift.shift": "adframe.transforms.shift.shift",
    "adframe.ops.store": "adframe.io.feature_cache",
    "adframe.ops.synthesis.patches": "adframe.transforms.synthesis.patches",
    "adframe.ops.synthesis.perlin": "adframe.transforms.synthesis.perlin",
    "adframe.ops.synthesis.stages": "adframe.transforms.synthesis.stages",
    "adframe.ops.synthesis.synthesis": "adframe.transforms.synthesis.synthesis",
}

# Full names: `model=patchcore` names the function that extends the class where a setting asks for it.
_RENAMED_TARGETS = {
    "adframe.models.patchcore.PatchCore": "adframe.models.extended_patchcore.create_patchcore",
}


def current_target(target: str) -> str:
    """Returns the current name of a `_target_`.

    Args:
        target: a name, possibly from an older release.

    Returns:
        The current name; an unknown name is returned unchanged.

    Example:
        >>> current_target("adframe.ops.store.Store")
        'adframe.io.feature_cache.Store'
    """
    if target in _RENAMED_TARGETS:
        return _RENAMED_TARGETS[target]
    module, _, name = target.rpartition(".")
    return f"{RENAMED.get(module, module)}.{name}" if module else target


def with_current_targets(node: Any) -> Any:
    """Copies a stored configuration with every `_target_` replaced by its current name.

    Args:
        node: plain data: dicts, lists and values.

    Returns:
        The copy.
    """
    if isinstance(node, dict):
        found = {key: with_current_targets(child) for key, child in node.items()}
        if isinstance(target := node.get("_target_"), str):
            found["_target_"] = current_target(target)
        return found
    return [with_current_targets(child) for child in node] if isinstance(node, list) else node
