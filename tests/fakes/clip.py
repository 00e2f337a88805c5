"""Tiny CLIP and SigLIP with random weights, in folders as those of the hub."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from tokenizers import Tokenizer, models, pre_tokenizers, processors
from transformers import (
    CLIPConfig,
    CLIPImageProcessor,
    CLIPModel,
    PreTrainedTokenizerFast,
    SiglipConfig,
    SiglipImageProcessor,
    SiglipModel,
)

WORDS = [
    "a",
    "photo",
    "of",
    "the",
    "flawless",
    "broken",
    "screw",
    "metal",
    "nut",
    "object",
    "dark",
    "with",
    "defect",
]
MEAN, STD = [0.4, 0.5, 0.6], [0.2, 0.3, 0.4]


def write_tokenizer(folder: Path) -> None:
    """One token for each word, between a start and an end."""
    vocabulary = {word: place for place, word in enumerate(("<start>", "<end>", "<other>", ".", *WORDS))}
    tokenizer = Tokenizer(models.WordLevel(vocabulary, unk_token="<other>"))
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    tokenizer.post_processor = processors.TemplateProcessing(
        single="<start> $A <end>", special_tokens=[("<start>", 0), ("<end>", 1)]
    )
    PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        bos_token="<start>",
        eos_token="<end>",
        pad_token="<end>",
        unk_token="<other>",
    ).save_pretrained(folder)


def write_towers(folder: Path, family: str, *, seed: int = 0, tokenizer: bool = True) -> Any:
    """Writes a folder that `backbone.checkpoint=` takes; returns the network."""
    text = {"hidden_size": 32, "intermediate_size": 48, "num_hidden_layers": 2, "num_attention_heads": 2,
            "vocab_size": 24, "max_position_embeddings": 16, "projection_size": 32, "pad_token_id": 1,
            "bos_token_id": 0, "eos_token_id": 1}  # fmt: skip
    vision = {"hidden_size": 32, "intermediate_size": 48, "num_hidden_layers": 2, "num_attention_heads": 4,
              "image_size": 64, "patch_size": 16}  # fmt: skip
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        network: Any
        if family == "clip":
            network = CLIPModel(CLIPConfig(text_config=text, vision_config=vision, projection_dim=20))
        else:
            network = SiglipModel(SiglipConfig(text_config=text, vision_config=vision))
        with torch.no_grad():  # the library's initialisation is so small that all images look alike
            for parameter in network.vision_model.parameters():
                parameter.add_(0.1 * torch.randn_like(parameter))
    network.eval().save_pretrained(folder)
    if tokenizer:
        write_tokenizer(folder)
    processor = CLIPImageProcessor if family == "clip" else SiglipImageProcessor
    processor(image_mean=MEAN, image_std=STD).save_pretrained(folder)
    return network
