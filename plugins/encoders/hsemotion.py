"""Face encoders: HSEmotion's networks, trained on AffectNet (Savchenko; now EmotiEffLib).

The published files are whole pickled networks of old timm releases. They are read without running their code
(zoo/weights/torch_files.py) and loaded, strictly, into the current timm network of the same architecture:
tf_efficientnet_b0 and b2, and mobilevitv2_150 for ``mobilevit_va_mtl``, identified by its 9,821,779 parameters (with
batch norms folded) and 768 features. In training the face was resized to the square without keeping its aspect ratio,
in RGB with ImageNet mean and std, as in the repository's facial_analysis.py.

The classifier is kept with the network. Its predictions are those of the published code: logits of seven or eight
classes and, if the file has them, valence and arousal, linear and clipped to [-1, 1].

The URLs name one commit of the repository, so that a file cannot change. The two digests were measured by others at
that commit. The networks were first trained to recognise the people of VGGFace2, then on AffectNet; ``best_vgaf`` and
``best_afew`` name the videos on which the epoch was chosen. For mobilevit_va_mtl the first step is an assumption.
"""

from __future__ import annotations

from dataclasses import dataclass

import timm
import torch
from torch import Tensor, nn

from zoo.api import FrameInput, ModelCard, OwnScores
from zoo.errors import UserError
from zoo.modules import FrameEncoder, OwnClassifier

MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
EIGHT = ("Anger", "Contempt", "Disgust", "Fear", "Happiness", "Neutral", "Sadness", "Surprise")
SEVEN = tuple(name for name in EIGHT if name != "Contempt")
VALUES = ("valence", "arousal")
_COMMIT = "520a051c64cd191521e5934655314e769a319684"
_URL = f"https://raw.githubusercontent.com/sb-ai-lab/EmotiEffLib/{_COMMIT}/models/affectnet_emotions"
_PAPER = "Savchenko, Savchenko & Makarov 2022, IEEE Transactions on Affective Computing, doi:10.1109/TAFFC.2022.3188390"
_MOBILE = "Savchenko 2024, arXiv:2403.11590"


@dataclass(frozen=True)
class Model:
    """One published network: its current timm name, outputs, input side in pixels and, if known, digest and size."""

    net: str
    classes: tuple[str, ...]
    size: int = 224
    sha256: str | None = None
    bytes: int | None = None
    citation: str = _PAPER


MODELS = {
    "enet_b0_8_best_vgaf": Model(
        "tf_efficientnet_b0", EIGHT, 224, "95aafb39b8bb87964f45e208b9ab31e276e3e5278678db4961d18e6a1b42a141", 16_419_305
    ),
    "enet_b0_8_best_afew": Model(
        "tf_efficientnet_b0", EIGHT, 224, "47c1423f3e6f50e3750bf7b0eda7db947c9ce0c2637e1766bf2187eddc652b17", 16_419_305
    ),
    "enet_b0_8_va_mtl": Model("tf_efficientnet_b0", (*EIGHT, "valence", "arousal")),
    "enet_b2_8": Model("tf_efficientnet_b2", EIGHT, 260),
    "enet_b2_7": Model("tf_efficientnet_b2", SEVEN, 260),
    "mobilevit_va_mtl": Model("mobilevitv2_150", (*EIGHT, "valence", "arousal"), citation=_MOBILE),
}


class HsEmotion(FrameEncoder):
    """HSEmotion encoder: (N, 3, size, size) -> (N, dim), the features before the classifier.

    dim is 1280 (b0), 1408 (b2) or 768 (mobilevit). ``argument``: one of MODELS. ``size``: side of the input image in
    pixels; None: that of the training.
    """

    def __init__(self, stream: str, argument: str | None, size: int | None = None) -> None:
        model = MODELS[argument or ""]
        if size is not None and size < 1:
            raise UserError(f"option 'size' of encoder 'hsemotion' must be at least 1 pixel, got {size}")
        net: nn.Module = timm.create_model(model.net, pretrained=False, num_classes=0)
        super().__init__(dim=int(net.num_features), input=FrameInput(size or model.size, MEAN, STD))  # type: ignore[arg-type]
        self.net = net
        self.classifier = OwnClassifier(self.dim, len(model.classes))
        self.classes = len(own_scores(stream, argument).classes)

    def encode(self, images: Tensor) -> Tensor:
        """Encode images (N, 3, H, W) to (N, dim)."""
        features: Tensor = self.net(images)
        return features

    def scores(self, features: Tensor) -> Tensor:
        """Return logits of the classes and, if present, valence and arousal (..., K), for features (..., dim)."""
        out: Tensor = self.classifier(features)
        return torch.cat([out[..., : self.classes], out[..., self.classes :].clamp(-1, 1)], -1)


def passport(stream: str, argument: str | None, size: int | None = None) -> ModelCard:
    """Return the model card of the weights, which is the same for each size."""
    model = MODELS[argument or ""]
    return ModelCard(
        name=f"hsemotion-{argument}",
        sha256=model.sha256,
        license="Apache-2.0; its training data AffectNet is for research only",
        source="github.com/sb-ai-lab/EmotiEffLib",
        url=f"{_URL}/{argument}.pt",
        saw=("VGGFace2", "AffectNet"),
        adapt="plugins.encoders.hsemotion:adapt",
        size=model.bytes,
        classes=model.classes,
        input=f"{model.size} x {model.size} RGB face, ImageNet mean and std",
        citation=model.citation,
    )


def adapt(state: dict[str, Tensor]) -> dict[str, Tensor]:
    """Rename the file's tensors to this encoder's names; the file's classifier is ``classifier.0`` or ``head.fc``."""
    heads = ("classifier.", "head.fc.")
    own = {f"classifier.{name.rpartition('.')[2]}": t for name, t in state.items() if name.startswith(heads)}
    return {**{f"net.{name}": t for name, t in state.items() if not name.startswith(heads)}, **own}


def own_scores(stream: str, argument: str | None, size: int | None = None) -> OwnScores:
    """Return AffectNet's classes in the order of the last layer and, if it has them, valence and arousal."""
    classes = MODELS[argument or ""].classes
    values = tuple(name for name in classes if name in VALUES)
    return OwnScores(tuple(name for name in classes if name not in VALUES), values)
