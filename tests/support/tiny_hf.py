"""Tiny models of transformers with random weights, one of every family, as their authors would save them."""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path
from typing import Any

PICTURE: dict[str, Any] = {"image_size": 32, "patch_size": 8}
SMALL: dict[str, Any] = {
    "hidden_size": 16,
    "num_hidden_layers": 3,
    "num_attention_heads": 2,
    "intermediate_size": 24,
}
FACES = ("angry", "disgust", "fear", "happy", "sad", "surprise", "neutral")
WAVE: dict[str, Any] = {
    **SMALL,
    "conv_dim": (8,) * 7,
    "num_conv_pos_embeddings": 8,
    "num_conv_pos_embedding_groups": 2,
    "vocab_size": 8,
}
WORDS: dict[str, Any] = {**SMALL, "vocab_size": 80, "max_position_embeddings": 66, "pad_token_id": 1}
CLIP: dict[str, Any] = {
    "projection_dim": 12,
    "text_config": {**SMALL, "vocab_size": 20},
    "vision_config": {**SMALL, **PICTURE},
}
# folder -> (class of the whole model, class of its configuration, its settings)
MODELS: dict[str, tuple[str, str, dict[str, Any]]] = {
    "vit": ("ViTForImageClassification", "ViTConfig", {**SMALL, **PICTURE, "id2label": dict(enumerate(FACES))}),
    "deit": ("DeiTForImageClassification", "DeiTConfig", {**SMALL, **PICTURE}),
    "vit_mae": (
        "ViTMAEForPreTraining",
        "ViTMAEConfig",
        {
            **SMALL,
            **PICTURE,
            "decoder_hidden_size": 16,
            "decoder_num_hidden_layers": 1,
            "decoder_num_attention_heads": 2,
        },
    ),
    "dinov2": ("Dinov2Model", "Dinov2Config", {**SMALL, **PICTURE}),
    "dinov2_with_registers": ("Dinov2WithRegistersModel", "Dinov2WithRegistersConfig", {**SMALL, **PICTURE}),
    "dinov3_vit": ("DINOv3ViTModel", "DINOv3ViTConfig", {**SMALL, **PICTURE, "num_register_tokens": 4}),
    "beit": ("BeitForImageClassification", "BeitConfig", {**SMALL, **PICTURE, "out_indices": None}),
    "clip": ("CLIPModel", "CLIPConfig", CLIP),
    "siglip": ("SiglipModel", "SiglipConfig", {k: v for k, v in CLIP.items() if k != "projection_dim"}),
    "convnextv2": (
        "ConvNextV2ForImageClassification",
        "ConvNextV2Config",
        {"hidden_sizes": [4, 8, 8, 12], "depths": [1] * 4},
    ),
    "videomae": (
        "VideoMAEForVideoClassification",
        "VideoMAEConfig",
        {**SMALL, **PICTURE, "num_frames": 4, "use_mean_pooling": False},
    ),
    "timesformer": ("TimesformerForVideoClassification", "TimesformerConfig", {**SMALL, **PICTURE, "num_frames": 4}),
    "vivit": (
        "VivitForVideoClassification",
        "VivitConfig",
        {**SMALL, "image_size": 32, "num_frames": 4, "tubelet_size": [2, 8, 8]},
    ),
    "wav2vec2": ("Wav2Vec2ForCTC", "Wav2Vec2Config", WAVE),
    "wav2vec2_large": (
        "Wav2Vec2Model",
        "Wav2Vec2Config",
        {**WAVE, "feat_extract_norm": "layer", "do_stable_layer_norm": True, "conv_bias": True},
    ),
    "wav2vec2_adapter": (
        "Wav2Vec2Model",
        "Wav2Vec2Config",
        {**WAVE, "add_adapter": True, "num_adapter_layers": 1, "output_hidden_size": 16},
    ),
    "hubert": ("HubertModel", "HubertConfig", WAVE),
    "wavlm": ("WavLMModel", "WavLMConfig", {**WAVE, "num_buckets": 16, "max_bucket_distance": 20}),
    "data2vec-audio": (
        "Data2VecAudioModel",
        "Data2VecAudioConfig",
        {**WAVE, "conv_pos_kernel_size": 3, "num_conv_pos_embeddings": 2},
    ),
    "whisper": (
        "WhisperForConditionalGeneration",
        "WhisperConfig",
        {
            "d_model": 16,
            "encoder_layers": 2,
            "decoder_layers": 1,
            "encoder_attention_heads": 2,
            "decoder_attention_heads": 2,
            "encoder_ffn_dim": 24,
            "decoder_ffn_dim": 24,
            "vocab_size": 20,
            "num_mel_bins": 80,
            "max_source_positions": 100,  # 2 s
            "pad_token_id": 1,
            "bos_token_id": 2,
            "eos_token_id": 3,
            "decoder_start_token_id": 2,
        },
    ),
    "ast": ("ASTForAudioClassification", "ASTConfig", {**SMALL, "max_length": 128, "num_mel_bins": 32}),
    "clap": (
        "ClapModel",
        "ClapConfig",
        {
            "projection_dim": 12,
            "text_config": {**SMALL, "vocab_size": 20},
            "audio_config": {
                "patch_embeds_hidden_size": 8,
                "hidden_size": 64,
                "depths": [1, 1, 1, 1],
                "num_attention_heads": [1, 2, 2, 2],
                "enable_fusion": False,
            },
        },
    ),
    "roberta": ("RobertaForSequenceClassification", "RobertaConfig", {**WORDS, "num_labels": 28}),
    "xlm-roberta": ("XLMRobertaForMaskedLM", "XLMRobertaConfig", WORDS),
    "bert": ("BertForMaskedLM", "BertConfig", WORDS),
    "distilbert": (
        "DistilBertModel",
        "DistilBertConfig",
        {"dim": 16, "n_layers": 3, "n_heads": 2, "hidden_dim": 24, "vocab_size": 80, "max_position_embeddings": 66},
    ),
    "modernbert": ("ModernBertModel", "ModernBertConfig", {**WORDS, "local_attention": 8}),
    "deberta-v2": ("DebertaV2Model", "DebertaV2Config", WORDS),
    "qwen3": ("Qwen3ForCausalLM", "Qwen3Config", {**WORDS, "num_key_value_heads": 1, "head_dim": 8}),
}
VIDEO = ("videomae", "timesformer", "vivit")
PROCESSORS = {
    "vit": "ViT",
    "deit": "DeiT",
    "dinov3_vit": "DINOv3ViT",
    "beit": "Beit",
    "clip": "CLIP",
    "siglip": "Siglip",
    "convnextv2": "ConvNext",
    "videomae": "VideoMAE",
    "timesformer": "VideoMAE",
    "vivit": "Vivit",
}
SOUND = (
    "wav2vec2",
    "wav2vec2_large",
    "wav2vec2_adapter",
    "hubert",
    "wavlm",
    "data2vec-audio",
    "whisper",
    "ast",
    "clap",
)
TEXT = ("roberta", "xlm-roberta", "bert", "distilbert", "modernbert", "deberta-v2", "qwen3")


def save(name: str, folder: Path) -> Any:
    """Save a model into a folder, with its preprocessing; return the whole model."""
    import torch
    import transformers

    transformers.utils.logging.set_verbosity_error()
    transformers.utils.logging.disable_progress_bar()
    cls, config, given = MODELS[name]
    torch.manual_seed(0)
    model = getattr(transformers, cls)(getattr(transformers, config)(**given)).eval()
    model.save_pretrained(folder)
    if name in TEXT:
        tokenizer().save_pretrained(folder)
    elif name in SOUND:
        (folder / "preprocessor_config.json").write_text(json.dumps(_sound(name)))
    else:
        (folder / "preprocessor_config.json").write_text(json.dumps(_picture(name)))
    return model


def _picture(name: str) -> dict[str, Any]:
    own: dict[str, Any] = {
        "vivit": {"offset": True, "rescale_factor": 1 / 127.5},
        "convnextv2": {"size": {"shortest_edge": 32}, "crop_pct": 1.0},
    }.get(name, {})
    kind = PROCESSORS.get(name, {"vit_mae": "ViT", "dinov2_with_registers": "Bit", "dinov2": "Bit"}.get(name, name))
    return {
        "size": {"height": 32, "width": 32},
        "image_mean": [0.5, 0.4, 0.3],
        "image_std": [0.2, 0.25, 0.3],
        "do_normalize": True,
        "do_rescale": True,
        "rescale_factor": 1 / 255,
        "do_center_crop": False,
        "image_processor_type": f"{kind}ImageProcessor",
        **own,
    }


def _sound(name: str) -> dict[str, Any]:
    if name == "whisper":
        return {"feature_extractor_type": "WhisperFeatureExtractor", "sampling_rate": 16000, "chunk_length": 2}
    if name == "ast":
        own = {"max_length": 128, "num_mel_bins": 32, "mean": -4.0, "std": 4.0}
        return {"feature_extractor_type": "ASTFeatureExtractor", "sampling_rate": 16000, **own}
    if name == "clap":
        own = {"max_length_s": 2, "truncation": "fusion"}  # as published with models without fusion
        return {"feature_extractor_type": "ClapFeatureExtractor", "sampling_rate": 48000, **own}
    return {
        "feature_extractor_type": "Wav2Vec2FeatureExtractor",
        "sampling_rate": 16000,
        "do_normalize": True,
        "return_attention_mask": name != "wav2vec2" and name != "hubert",
    }


@cache
def tokenizer() -> Any:
    """Return a tokenizer whose tokens are single letters, with a beginning and an end."""
    from tokenizers import Tokenizer, models, pre_tokenizers, processors
    from transformers import PreTrainedTokenizerFast

    letters = "abcdefghijklmnopqrstuvwxyz0123456789'.,!?"
    vocabulary = {token: i for i, token in enumerate(["<s>", "<pad>", "</s>", "<unk>", *letters])}
    rules = Tokenizer(models.BPE(vocab=vocabulary, merges=[], unk_token="<unk>"))
    rules.pre_tokenizer = pre_tokenizers.Whitespace()
    rules.post_processor = processors.TemplateProcessing("<s> $A </s>", None, [("<s>", 0), ("</s>", 2)])
    return PreTrainedTokenizerFast(
        tokenizer_object=rules, bos_token="<s>", eos_token="</s>", unk_token="<unk>", pad_token="<pad>"
    )
