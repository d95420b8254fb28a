"""The catalogue of encoders: one light spec each; the networks lie beside it."""

from __future__ import annotations

from zoo import api


@api.hookimpl
def encoders() -> list[api.EncoderSpec]:
    """The built-in encoders."""
    return [
        api.EncoderSpec(
            "lite0",
            "plugins.encoders.lite0:Lite0",
            "EfficientNet-Lite0, ImageNet weights from an installed package: needs no download.",
            {"size": api.Option(112, "side of the picture in pixels (the weights saw 224)")},
            paper="Tan & Le 2019, arXiv:1905.11946",
            license="Apache-2.0",
            passport="plugins.encoders.lite0:passport",
        ),
        api.EncoderSpec(
            "timm",
            "plugins.encoders.timm_models:TimmEncoder",
            "Any image model of timm with its published weights, its classifier left out.",
            {
                "size": api.Option(
                    None,
                    "side of the picture in pixels; none: 112, or a fixed-size model's own (224 for those over 256)",
                    type=int,
                )
            },
            paper="Wightman 2019, doi:10.5281/zenodo.4414861",
            license="Apache-2.0",
            passport="plugins.encoders.timm_models:passport",
            argument="name of a timm model, with or without its weights' tag: resnet18, resnet18.tv_in1k",
        ),
        api.EncoderSpec(
            "hsemotion",
            "plugins.encoders.hsemotion:HsEmotion",
            "HSEmotion's face networks, trained on AffectNet: EfficientNet-B0, B2, MobileViT.",
            {
                "size": api.Option(
                    None, "side of the picture in pixels; none: what the weights saw, 224 or 260", type=int
                )
            },
            paper="Savchenko et al. 2022, doi:10.1109/TAFFC.2022.3188390",
            license="Apache-2.0; its training data AffectNet is for research only",
            passport="plugins.encoders.hsemotion:passport",
            scores="plugins.encoders.hsemotion:own_scores",
            argument="one of HSEmotion's networks",
            names=(
                "enet_b0_8_best_vgaf",
                "enet_b0_8_best_afew",
                "enet_b0_8_va_mtl",
                "enet_b2_8",
                "enet_b2_7",
                "mobilevit_va_mtl",
            ),
        ),
        api.EncoderSpec(
            "fer",
            "plugins.encoders.fer:Fer",
            "The package fer's mini-XCEPTION on 64 x 64 grey faces; predicts seven expressions by itself.",
            paper="Arriaga et al. 2017, arXiv:1710.07557",
            streams=("face",),
            passport="plugins.encoders.fer:card",
            scores="plugins.encoders.fer:own_scores",
        ),
        api.EncoderSpec(
            "checkpoint",
            "plugins.encoders.checkpoint:Checkpoint",
            "A network of your own: a file of weights for an architecture that timm has.",
            {
                "model": api.Option("resnet50", "timm's name of the architecture"),
                "size": api.Option(224, "side of the picture in pixels"),
                "mean": api.Option((0.485, 0.456, 0.406), "of R, G, B, for pixels from 0 to 1"),
                "std": api.Option((0.229, 0.224, 0.225), "of R, G, B"),
                "strict": api.Option(True, "every name must match; false: nine tenths of the numbers, the rest random"),
                "classes": api.Option(
                    (),
                    "the classes of its last layer in order, valence and arousal last: it then predicts by itself",
                ),
                "saw": api.Option((), "the data it was trained on; Aff-Wild2 among them is marked in tables"),
                "sha256": api.Option(None, "the file's digest, to be compared with", type=str),
                "ema": api.Option(False, "take the averaged weights of a file that has those of the last step too"),
            },
            license="as the file's owner says",
            passport="plugins.encoders.checkpoint:passport",
            scores="plugins.encoders.checkpoint:own_scores",
            argument="a file: .pt, .pth, .pth.tar or .safetensors",
        ),
        api.EncoderSpec(
            "places365",
            "plugins.encoders.places365:Places365",
            "A ResNet trained to tell 365 kinds of scenes, for the context.",
            {"size": api.Option(224, "side of the picture in pixels (the weights saw 224)")},
            paper="Zhou et al. 2017, doi:10.1109/TPAMI.2017.2723009",
            license="CC BY",
            passport="plugins.encoders.places365:passport",
            argument="which of the published networks",
            names=("resnet50", "resnet18"),
        ),
        api.EncoderSpec(
            "melcnn",
            "plugins.encoders.melcnn:MelCnn",
            "Log-mel spectrogram and a small CNN, read at each frame's time; trained in place.",
            {
                "channels": api.Option(16, "filters of the first layer; the second has twice as many"),
                "dim": api.Option(64, "features a frame"),
            },
            paper="Hershey et al. 2017, arXiv:1609.09430 (the family: CNNs on log-mel)",
            streams=("audio",),
            kind="sound",
        ),
        api.EncoderSpec(
            "ssl",
            "plugins.encoders.ssl:SpeechModel",
            "wav2vec 2.0, HuBERT or WavLM, their transformer's blocks averaged or one of them.",
            {
                "layer": api.Option("mean", "a block's number from 1, mean, or learned (weights; with --finetune)"),
                "window": api.Option(4.0, "seconds of sound that are encoded together"),
            },
            paper="arXiv:2006.11477 (wav2vec 2.0), arXiv:2106.07447 (HuBERT), arXiv:2110.13900 (WavLM)",
            streams=("audio",),
            kind="sound",
            passport="plugins.encoders.ssl:passport",
            argument="which network; tiny is a small one with random weights, for tests",
            names=("wav2vec2_base", "hubert_base", "wavlm_base_plus", "wavlm_large", "tiny"),
        ),
        api.EncoderSpec(
            "vggish",
            "plugins.encoders.vggish:VGGish",
            "VGGish: a VGG network on 0.96 s of log-mel spectrogram around a frame.",
            {"hop": api.Option(0.24, "seconds between patches; a frame lies between two")},
            paper="Hershey et al. 2017, arXiv:1609.09430",
            license="Apache-2.0",
            streams=("audio",),
            kind="sound",
            passport="plugins.encoders.vggish:passport",
        ),
        api.EncoderSpec(
            "resemblyzer",
            "plugins.encoders.resemblyzer:Resemblyzer",
            "The package resemblyzer's voice encoder: states of its LSTM, read at each frame's time.",
            paper="Wan et al. 2018, arXiv:1710.10467",
            license="Apache-2.0",
            streams=("audio",),
            kind="sound",
            passport="plugins.encoders.resemblyzer:card",
        ),
        api.EncoderSpec(
            "mel_timm",
            "plugins.encoders.mel_timm:MelTimm",
            "An image model of timm with its ImageNet weights, on log-mel pictures of seconds of sound.",
            {
                "seconds": api.Option(10.0, "of sound that a picture shows, the frame in its middle"),
                "bands": api.Option(128, "mel bands, the picture's height"),
                "every": api.Option(16, "columns of 11.6 ms from one picture to the next; a frame lies between two"),
                "time_mask": api.Option(0, "most columns that are masked in training (SpecAugment)"),
                "band_mask": api.Option(0, "most bands that are masked in training"),
            },
            paper="Antoniadis et al. 2021, arXiv:2107.03465",
            license="Apache-2.0",
            streams=("audio",),
            kind="sound",
            passport="plugins.encoders.mel_timm:card",
            argument="name of a timm model of any picture size: resnet50.tv_in1k",
        ),
        api.EncoderSpec(
            "egemaps",
            "plugins.encoders.egemaps:EGeMaps",
            "88 numbers of voice and prosody around a frame, by openSMILE: pip install abaw-zoo[opensmile].",
            {
                "window": api.Option(1.0, "seconds around a frame that are analysed; under 0.1 it is 0.1"),
                "hop": api.Option(0.1, "seconds between windows; a frame lies between two"),
            },
            paper="Eyben et al. 2016, doi:10.1109/TAFFC.2015.2457417",
            license="audEERING research licence: non-commercial research only, also for the features",
            streams=("audio",),
            kind="sound",
            fixed=True,
        ),
        api.EncoderSpec(
            "features",
            "plugins.encoders.ready_features:ReadyFeatures",
            "Features that somebody else extracted: npy, npz, parquet or safetensors, one file a video.",
            license="as the folder's features.toml says",
            kind="vectors",
            argument="a folder with a features.toml, which says what the features are, their width and rate",
            fixed=True,
            reader="plugins.encoders.ready_features:FeatureReader",
        ),
    ]
