"""Licences and training corpora of the models of the hub that this field uses.

Read on stored copies of the hub's cards in November 2026; "(not confirmed)" marks what was taken from memory. Other
models are recorded as unknown. Which models the hub has as a pickle only is from memory, but for WavLM.
"""

from __future__ import annotations

from dataclasses import dataclass

UNKNOWN = "unknown: see the model's page"


@dataclass(frozen=True)
class Card:
    """Licence, training corpora and paper of a model; ``pickled``: the hub likely has no safetensors of it."""

    license: str
    trained_on: tuple[str, ...] = ()
    citation: str = ""
    pickled: bool = False


_WAVLM = Card(
    "MIT (not confirmed)",
    ("Libri-Light", "GigaSpeech", "VoxPopuli"),
    "Chen et al. 2022, arXiv:2110.13900",
    pickled=True,
)
_DINOV2 = Card("Apache-2.0 (not confirmed)", ("LVD-142M",), "Oquab et al. 2023, arXiv:2304.07193")
_WHISPER = Card("Apache-2.0 (not confirmed)", ("680,000 h of web audio",), "Radford et al. 2022, arXiv:2212.04356")
_CLIP = Card("MIT (not confirmed)", ("OpenAI's CLIP pairs",), "Radford et al. 2021, arXiv:2103.00020")
_VIDEOMAE = "Tong et al. 2022, arXiv:2203.12602"

KNOWN: dict[str, Card] = {
    "facebook/dinov2-small": _DINOV2,
    "facebook/dinov2-base": _DINOV2,
    "facebook/dinov2-large": _DINOV2,
    "facebook/dinov3-vitb16-pretrain-lvd1689m": Card("DINOv3 licence; gated", ("LVD-1689M",), "arXiv:2508.10104"),
    "google/siglip2-base-patch16-224": Card("Apache-2.0 (not confirmed)", ("WebLI",), "arXiv:2502.14786"),
    "openai/clip-vit-base-patch16": _CLIP,
    "openai/clip-vit-large-patch14": _CLIP,
    "trpakov/vit-face-expression": Card("unconfirmed", ("FER2013 and the like (not confirmed)",)),
    "microsoft/wavlm-large": _WAVLM,
    "microsoft/wavlm-base-plus": _WAVLM,
    "audeering/wav2vec2-large-robust-12-ft-emotion-msp-dim": Card(
        "CC BY-NC-SA 4.0, research only", ("MSP-Podcast",), "Wagner et al. 2023, doi:10.1109/TPAMI.2023.3263585"
    ),
    "facebook/hubert-large-ll60k": Card(
        "Apache-2.0 (not confirmed)", ("Libri-Light",), "Hsu et al. 2021, arXiv:2106.07447", pickled=True
    ),
    "facebook/wav2vec2-base-960h": Card(
        "Apache-2.0 (not confirmed)", ("LibriSpeech",), "Baevski et al. 2020, arXiv:2006.11477"
    ),
    "openai/whisper-tiny": _WHISPER,
    "openai/whisper-small": _WHISPER,
    "openai/whisper-large-v3": _WHISPER,
    "MIT/ast-finetuned-audioset-10-10-0.4593": Card(
        "BSD-3-Clause", ("ImageNet", "AudioSet"), "Gong et al. 2021, arXiv:2104.01778"
    ),
    "laion/clap-htsat-unfused": Card("Apache-2.0 (not confirmed)", ("LAION-Audio-630K",), "arXiv:2211.06687"),
    "MCG-NJU/videomae-base": Card("CC BY-NC 4.0", ("Kinetics-400",), _VIDEOMAE),
    "MCG-NJU/videomae-base-finetuned-kinetics": Card("CC BY-NC 4.0", ("Kinetics-400",), _VIDEOMAE),
    "facebook/timesformer-base-finetuned-k400": Card(
        "CC BY-NC 4.0 (not confirmed)", ("Kinetics-400",), "Bertasius et al. 2021, arXiv:2102.05095", pickled=True
    ),
    "FacebookAI/roberta-base": Card(
        "MIT (not confirmed)", ("BookCorpus", "Wikipedia", "CC-News", "OpenWebText", "Stories"), "arXiv:1907.11692"
    ),
    "FacebookAI/xlm-roberta-base": Card("MIT (not confirmed)", ("CommonCrawl",), "arXiv:1911.02116"),
    "SamLowe/roberta-base-go_emotions": Card("MIT", ("GoEmotions",), "Demszky et al. 2020, arXiv:2005.00547"),
}
"""Name on the hub -> what is known."""
