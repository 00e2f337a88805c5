"""Opens CLIP and SigLIP of Hugging Face's transformers: both towers, the tokenizer, the normalisation."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from huggingface_hub import constants
from torch import Tensor
from transformers import (
    AutoConfig,
    AutoImageProcessor,
    AutoTokenizer,
    CLIPConfig,
    CLIPModel,
    SiglipConfig,
    SiglipModel,
)
from transformers.utils import logging as transformers_logging

from adframe.errors import AdframeError, unknown
from adframe.io.network import is_reachable
from adframe.models.weights import REVISION, cached_commit

FAMILIES: dict[str, Any] = {"clip": CLIPModel, "siglip": SiglipModel}  # by `model_type` of config.json
SOURCES = ("hub", "random")
# Of the published processors, for folders without preprocessor_config.json.
_NORMALISATION = {
    "clip": ((0.48145466, 0.4578275, 0.40821073), (0.26862954, 0.26130258, 0.27577711)),
    "siglip": ((0.5, 0.5, 0.5), (0.5, 0.5, 0.5)),
}
_ADVICE = (
    "run once on a machine that reaches the hub and copy its cache (HF_HOME), or give a folder in the format "
    "of transformers (config.json, model.safetensors, the tokenizer's files) with backbone.checkpoint= "
    "(docs/weights.md)"
)
_TEXTS = 64  # that pass through the text tower together
_START, _END = 256, 257  # tokens of the tiny random network, whose other tokens are bytes
_LOADING_ERRORS = (OSError, ValueError, RuntimeError, ImportError, KeyError)


@dataclass(frozen=True, slots=True, kw_only=True)
class TowersSource:
    """Where a CLIP or SigLIP comes from.

    Attributes:
        model: a repository of the hub, such as `openai/clip-vit-base-patch16`.
        source: `hub` (the hub's cache, else a download), or `random`: a tiny untrained network with the
            tokens of bytes, for tests of the code; a SigLIP where the name of the model says so.
        checkpoint: a local folder that is read instead of the hub.
        revision: a branch, a tag or a commit of the hub.

    Example:
        >>> towers = TowersSource(model="clip", source="random").towers()
        >>> type(towers).__name__
        'CLIPModel'
    """

    model: str
    source: str = "hub"
    checkpoint: str | Path | None = None
    revision: str = REVISION

    def towers(self) -> Any:
        """Opens the image tower and the text tower.

        Returns:
            A `CLIPModel` or `SiglipModel` in float32 and evaluation mode.

        Raises:
            AdframeError: the weights are unavailable, incomplete, or of another kind of network.
        """
        if self.source not in SOURCES:
            raise AdframeError(unknown("backbone.source", self.source, SOURCES))
        if self.is_random:
            return _tiny(self.model)
        where = self._where()
        try:
            kind = FAMILIES.get(AutoConfig.from_pretrained(**where).model_type)
            if kind is None:
                raise ValueError("it is neither a CLIP nor a SigLIP")
            with _errors_only():
                network, found = kind.from_pretrained(**where, dtype=torch.float32, output_loading_info=True)
        except _LOADING_ERRORS as error:
            raise self._unusable(error) from error
        # The library initialises what a file lacks with random numbers, and only warns.
        if lacking := sorted({*found["missing_keys"], *(each[0] for each in found["mismatched_keys"])}):
            names = ", ".join(lacking[:3])
            raise AdframeError(
                f"{self.label} lacks {len(lacking)} tensors ({names}, ...), as where it has one tower only; "
                "give the whole model"
            )
        return network.eval().requires_grad_(False)

    def tokenizer(self, *, words: int) -> tuple[Callable[[Sequence[str]], list[list[int]]], int]:
        """Opens the tokenizer.

        Args:
            words: number of different tokens that the text tower knows.

        Returns:
            A function from texts to their tokens, and the token that fills texts up.

        Raises:
            AdframeError: its files are unavailable or cannot be read.
        """
        if self.is_random:
            return lambda texts: [[_START, *text.encode(), _END] for text in texts], _END
        try:
            opened: Any = AutoTokenizer.from_pretrained(**self._where())
        except _LOADING_ERRORS as error:
            raise self._unusable(error, part="the tokenizer of ") from error
        # Without files, the library makes a tokenizer of single characters, and says nothing.
        if opened.pad_token_id is None or not words // 2 < len(opened) <= words:
            raise AdframeError(
                f"the tokenizer of {self.label} does not fit its text tower: it has {len(opened)} tokens "
                f"instead of {words}; are its files missing (tokenizer.json)?"
            )
        return lambda texts: [list(map(int, ids)) for ids in opened(list(texts))["input_ids"]], int(
            opened.pad_token_id
        )

    def normalisation(self, family: str) -> tuple[tuple[float, ...], tuple[float, ...]]:
        """Returns mean and standard deviation by which images are normalised.

        Args:
            family: `clip` or `siglip`, whose published values are taken where there is no
                preprocessor_config.json.
        """
        if self.is_random:
            return _NORMALISATION[family]
        try:
            opener: Any = AutoImageProcessor
            found = opener.from_pretrained(**self._where())
            return tuple(found.image_mean), tuple(found.image_std)
        except _LOADING_ERRORS:
            return _NORMALISATION[family]

    @property
    def is_random(self) -> bool:
        """Tells whether the network is untrained."""
        return self.source == "random" and self.checkpoint is None

    @property
    def label(self) -> str:
        """Returns what a user typed to choose it."""
        return f"backbone.checkpoint={self.checkpoint}" if self.checkpoint else f"backbone.model={self.model}"

    def _where(self) -> dict[str, Any]:
        """Returns the arguments of `from_pretrained`."""
        if self.checkpoint is not None:
            if not Path(self.checkpoint).is_dir():
                raise AdframeError(
                    f"{self.label} must be a folder in the format of transformers, with config.json, "
                    "model.safetensors and the tokenizer's files"
                )
            return {"pretrained_model_name_or_path": str(self.checkpoint), "local_files_only": True}
        cached = cached_commit(self.model, revision=self.revision) is not None
        if not cached and (constants.HF_HUB_OFFLINE or not is_reachable(constants.ENDPOINT)):
            raise AdframeError(
                f"weights of {self.model} are not cached here and the hub cannot be reached; {_ADVICE}"
            )
        return {
            "pretrained_model_name_or_path": self.model,
            "revision": self.revision,
            "local_files_only": cached,
        }

    def _unusable(self, error: Exception, *, part: str = "") -> AdframeError:
        reason = (str(error).splitlines() or [type(error).__name__])[0][:200]
        return AdframeError(
            f"{part}{self.label} cannot be read: {reason}; it must be a CLIP or SigLIP of transformers with "
            f"both towers (timm's CLIP networks have no text tower): {_ADVICE}"
        )


@torch.no_grad()
def encode_texts(where: TowersSource, texts: Sequence[str]) -> Tensor:
    """Computes the embeddings of texts; the text tower is opened for this and closed again.

    Args:
        where: the network.
        texts: one or more.

    Returns:
        (N, E) float32 of unit length, on the CPU.

    Raises:
        AdframeError: the text tower or its tokenizer is unavailable, or a text is too long.
    """
    towers = where.towers()
    config = towers.config.text_config
    read, padding = where.tokenizer(words=int(config.vocab_size))
    tokens, length = read(texts), int(config.max_position_embeddings)
    for text, own in zip(texts, tokens, strict=True):
        if len(own) > length:
            raise AdframeError(
                f"the text '{text}' has {len(own)} tokens, and {where.model} takes {length}: shorten "
                "model.prompts"
            )
    # Filled up to the full length, as SigLIP was trained; CLIP does not see what follows the end of a text.
    ids = torch.tensor([[*own, *[padding] * (length - len(own))] for own in tokens])
    found = [towers.get_text_features(input_ids=part).pooler_output for part in torch.split(ids, _TEXTS)]
    return torch.nn.functional.normalize(torch.cat(found).float(), dim=1)


@contextmanager
def _errors_only() -> Iterator[None]:
    """Silences the library's report about tensors, which are checked here, and its progress bar."""
    library: Any = transformers_logging
    level, bars = library.get_verbosity(), library.is_progress_bar_enabled()
    library.set_verbosity_error()
    library.disable_progress_bar()
    try:
        yield
    finally:
        library.set_verbosity(level)
        if bars:
            library.enable_progress_bar()


def _tiny(model: str) -> Any:
    """Builds the same untrained network at every call."""
    text = {"hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 2, "num_attention_heads": 2,
            "vocab_size": 258, "max_position_embeddings": 128, "projection_size": 32, "pad_token_id": _END,
            "bos_token_id": _START, "eos_token_id": _END}  # fmt: skip
    vision = {"hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 3, "num_attention_heads": 2,
              "image_size": 64, "patch_size": 16}  # fmt: skip
    with torch.random.fork_rng():
        torch.manual_seed(0)
        network: Any
        if "siglip" in model.lower():
            network = SiglipModel(SiglipConfig(text_config=text, vision_config=vision))
        else:
            network = CLIPModel(CLIPConfig(text_config=text, vision_config=vision, projection_dim=24))
    return network.eval().requires_grad_(False)
