"""Catalogue of the built-in encoders: one light spec each; the networks are in the other modules of this package."""

from __future__ import annotations

from zoo import api


@api.hookimpl
def encoders() -> list[api.EncoderSpec]:
    """Return the specs of the built-in encoders."""
    return [
        api.EncoderSpec(
            "lite0",
            "plugins.encoders.lite0:Lite0",
            "EfficientNet-Lite0 with ImageNet weights from an installed package; no download needed.",
            {"size": api.Option(112, "side of the input image in pixels (the weights were trained at 224)")},
            paper="Tan & Le 2019, arXiv:1905.11946",
            license="Apache-2.0",
            passport="plugins.encoders.lite0:passport",
        ),
        api.EncoderSpec(
            "timm",
            "plugins.encoders.timm_models:TimmEncoder",
            "Any image model of timm with its published weights, without its classifier.",
            {
                "size": api.Option(
                    None,
                    "side of the input image in pixels; none: 112, or a fixed-size model's own (224 if over 256)",
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
                    None, "side of the input image in pixels; none: that of the training, 224 or 260", type=int
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
            "The package fer's mini-XCEPTION on 64 x 64 grey faces; has its own predictions of seven expressions.",
            paper="Arriaga et al. 2017, arXiv:1710.07557",
            streams=("face",),
            passport="plugins.encoders.fer:card",
            scores="plugins.encoders.fer:own_scores",
        ),
        api.EncoderSpec(
            "facemesh",
            "plugins.encoders.facemesh:FaceMesh",
            "MediaPipe's 468 face landmarks, normalised for position, size and roll.",
            paper="Kartynnik et al. 2019, arXiv:1907.06724",
            license="Apache-2.0",
            streams=("landmarks",),
            passport="plugins.encoders.facemesh:card",
            fixed=True,
        ),
        api.EncoderSpec(
            "blazepose",
            "plugins.encoders.blazepose:BlazePose",
            "MediaPipe's 33 body landmarks and their visibility, normalised for position and size.",
            paper="Bazarevsky et al. 2020, arXiv:2006.10204",
            license="Apache-2.0",
            streams=("pose",),
            passport="plugins.encoders.blazepose:card",
            cards="plugins.encoders.blazepose:cards",
            fixed=True,
            person_boxes=True,
        ),
        api.EncoderSpec(
            "checkpoint",
            "plugins.encoders.checkpoint:Checkpoint",
            "Your own network: a file of weights for one of timm's architectures.",
            {
                "model": api.Option("resnet50", "timm's name of the architecture"),
                "size": api.Option(224, "side of the input image in pixels"),
                "mean": api.Option((0.485, 0.456, 0.406), "mean of R, G, B, for pixels from 0 to 1"),
                "std": api.Option((0.229, 0.224, 0.225), "standard deviation of R, G, B"),
                "strict": api.Option(
                    True, "true: all names must match; false: 90% of the weights must match, the rest stays random"
                ),
                "classes": api.Option(
                    (),
                    "classes of its last layer in order, valence and arousal last; enables its own predictions",
                ),
                "trained_on": api.Option((), "data it was trained on; tables mark Aff-Wild2", formerly=("saw",)),
                "sha256": api.Option(None, "expected digest of the file", type=str),
                "ema": api.Option(False, "use the averaged weights if the file also has those of the last step"),
            },
            license="as the file's owner says",
            passport="plugins.encoders.checkpoint:passport",
            scores="plugins.encoders.checkpoint:own_scores",
            argument="a file: .pt, .pth, .pth.tar or .safetensors",
        ),
        api.EncoderSpec(
            "places365",
            "plugins.encoders.places365:Places365",
            "A ResNet trained to classify 365 kinds of scenes, for the context.",
            {"size": api.Option(224, "side of the input image in pixels (the weights were trained at 224)")},
            paper="Zhou et al. 2017, doi:10.1109/TPAMI.2017.2723009",
            license="CC BY",
            passport="plugins.encoders.places365:passport",
            argument="one of the published networks",
            names=("resnet50", "resnet18"),
        ),
        api.EncoderSpec(
            "melcnn",
            "plugins.encoders.melcnn:MelCnn",
            "Log-mel spectrogram and a small CNN, sampled at each frame's time; trained from scratch.",
            {
                "channels": api.Option(16, "filters of the first layer; the second has twice as many"),
                "dim": api.Option(64, "features per frame"),
            },
            paper="Hershey et al. 2017, arXiv:1609.09430 (the family: CNNs on log-mel)",
            streams=("audio",),
            kind="sound",
        ),
        api.EncoderSpec(
            "ssl",
            "plugins.encoders.ssl:SpeechModel",
            "wav2vec 2.0, HuBERT or WavLM: the mean of the transformer's blocks, or one block.",
            {
                "layer": api.Option("mean", "a block's number from 1, mean, or learned (weights; with --finetune)"),
                "window": api.Option(4.0, "seconds of sound that are encoded together"),
            },
            paper="arXiv:2006.11477 (wav2vec 2.0), arXiv:2106.07447 (HuBERT), arXiv:2110.13900 (WavLM)",
            streams=("audio",),
            kind="sound",
            passport="plugins.encoders.ssl:passport",
            argument="one of the networks; tiny is a small one with random weights, for tests",
            names=("wav2vec2_base", "hubert_base", "wavlm_base_plus", "wavlm_large", "tiny"),
        ),
        api.EncoderSpec(
            "hf",
            "plugins.encoders.hf:build",
            "Any of 29 types of models of transformers, for pictures, clips, sound or words: uv sync --extra hf.",
            {
                "layer": api.Option(
                    "auto",
                    "last (after the last norm), mean, learned (weights; with --finetune), a number from 1 or a range "
                    "6:12; auto: mean for sound, else last",
                ),
                "pool": api.Option(
                    "auto",
                    "one vector of a picture's, clip's or text's tokens; auto: as the model's authors do",
                    ("auto", "cls", "mean", "mean_std", "pooler", "last"),
                ),
                "size": api.Option(None, "pictures: side in pixels; none: the model's own", type=int),
                "stride": api.Option(None, "clips: frames between their pictures; none: 4", type=int),
                "window": api.Option(
                    None,
                    "seconds of sound encoded together (none: 4, on spectrograms the model's own), or seconds of "
                    "words before a frame (none: 10)",
                    type=float,
                ),
                "ahead": api.Option(None, "words: seconds after a frame that are read too; none: 0", type=float),
                "revision": api.Option(None, "commit, tag or branch of the hub", type=str),
            },
            paper="Wolf et al. 2020, arXiv:1910.03771",
            license="Apache-2.0; the weights' own licences are in their model cards",
            streams=("face", "portrait", "body", "context", "frame", "audio", "text"),
            kind=("frames", "sound", "text"),
            passport="plugins.encoders.hf:passport",
            scores="plugins.encoders.hf:own_scores",
            argument="OWNER/NAME on the model hub, or a folder with config.json and model.safetensors",
        ),
        api.EncoderSpec(
            "vggish",
            "plugins.encoders.vggish:VGGish",
            "VGGish: a VGG network on 0.96 s of log-mel spectrogram around a frame.",
            {"hop": api.Option(0.24, "seconds between patches; frames are interpolated between two")},
            paper="Hershey et al. 2017, arXiv:1609.09430",
            license="Apache-2.0",
            streams=("audio",),
            kind="sound",
            passport="plugins.encoders.vggish:passport",
        ),
        api.EncoderSpec(
            "resemblyzer",
            "plugins.encoders.resemblyzer:Resemblyzer",
            "The package resemblyzer's voice encoder: states of its LSTM at each frame's time.",
            paper="Wan et al. 2018, arXiv:1710.10467",
            license="Apache-2.0",
            streams=("audio",),
            kind="sound",
            passport="plugins.encoders.resemblyzer:card",
        ),
        api.EncoderSpec(
            "mel_timm",
            "plugins.encoders.mel_timm:MelTimm",
            "An image model of timm with its ImageNet weights, on log-mel spectrograms of several seconds of sound.",
            {
                "seconds": api.Option(10.0, "seconds of sound in a spectrogram; the frame is in its middle"),
                "bands": api.Option(128, "mel bands, the spectrogram's height"),
                "every": api.Option(
                    16, "columns (11.6 ms) from one spectrogram to the next; frames are interpolated between two"
                ),
                "time_mask": api.Option(0, "largest number of columns masked in training (SpecAugment)"),
                "band_mask": api.Option(0, "largest number of bands masked in training"),
            },
            paper="Antoniadis et al. 2021, arXiv:2107.03465",
            license="Apache-2.0",
            streams=("audio",),
            kind="sound",
            passport="plugins.encoders.mel_timm:card",
            argument="name of a timm model without fixed input size: resnet50.tv_in1k",
        ),
        api.EncoderSpec(
            "egemaps",
            "plugins.encoders.egemaps:EGeMaps",
            "88 voice and prosody features around a frame, by openSMILE: uv sync --extra opensmile.",
            {
                "window": api.Option(1.0, "seconds of sound around a frame that are analysed, at least 0.1"),
                "hop": api.Option(0.1, "seconds between windows; frames are interpolated between two"),
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
            "Features that were extracted elsewhere, by frame, second or segment; or predictions of a run.",
            license="as the folder's features.toml says",
            kind="vectors",
            argument="a folder with a features.toml, which states name, width and rate of the features; or a run",
            fixed=True,
            runs=True,
            reader="plugins.encoders.ready_features:FeatureReader",
        ),
    ]
