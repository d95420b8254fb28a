"""Faces: HSEmotion's networks, trained on AffectNet (Savchenko; now EmotiEffLib).

The published files are whole pickled networks of old timm releases. They are read without their code
(zoo/weights/torch_files.py) and loaded, strictly, into today's timm network of the same architecture:
tf_efficientnet_b0 and b2, and for ``mobilevit_va_mtl`` mobilevitv2_150, which its 9,821,779 parameters (with batch
norms folded) and 768 features single out. The face was pressed to the square without keeping its sides, RGB, ImageNet
mean and std, as facial_analysis.py of the repository does.

Their classifier is kept beside the network: what it predicts is what the published code gives (logits of seven or
eight classes; where the file has them valence and arousal, as the layer gives them, cut to [-1, 1]).

The addresses name one commit of the repository, so that a file cannot change; the two digests are those that others
measured at that commit. The networks were first trained to tell VGGFace2's people apart, then on AffectNet;
``best_vgaf`` and ``best_afew`` say on which videos the epoch was chosen. For mobilevit_va_mtl the first step is
assumed.
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
    """One published network: today's timm name, what it answers, the picture's side, and its file where known."""

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
    """(N, 3, size, size) -> (N, dim): the features before the classifier; 1280 (b0), 1408 (b2), 768 (mobilevit).

    ``argument``: one of MODELS. ``size``: side of the picture in pixels; none: what the weights saw."""

    def __init__(self, stream: str, argument: str | None, size: int | None = None) -> None:
        model = MODELS[argument or ""]
        if size is not None and size < 1:
            raise UserError(f"option 'size' of encoder 'hsemotion' is pixels, 1 or more, not {size}")
        net: nn.Module = timm.create_model(model.net, pretrained=False, num_classes=0)
        super().__init__(dim=int(net.num_features), input=FrameInput(size or model.size, MEAN, STD))  # type: ignore[arg-type]
        self.net = net
        self.classifier = OwnClassifier(self.dim, len(model.classes))
        self.classes = len(own_scores(stream, argument).classes)

    def encode(self, images: Tensor) -> Tensor:
        """(N, 3, H, W) -> (N, dim)."""
        features: Tensor = self.net(images)
        return features

    def scores(self, features: Tensor) -> Tensor:
        """(..., dim) -> (..., K): logits of the classes; valence and arousal where the file has them."""
        out: Tensor = self.classifier(features)
        return torch.cat([out[..., : self.classes], out[..., self.classes :].clamp(-1, 1)], -1)


def passport(stream: str, argument: str | None, size: int | None = None) -> ModelCard:
    """What is known of the weights, the same for every size."""
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
    """The file's names under this encoder's; the classifier is ``classifier.0`` or ``head.fc`` there."""
    heads = ("classifier.", "head.fc.")
    own = {f"classifier.{name.rpartition('.')[2]}": t for name, t in state.items() if name.startswith(heads)}
    return {**{f"net.{name}": t for name, t in state.items() if not name.startswith(heads)}, **own}


def own_scores(stream: str, argument: str | None, size: int | None = None) -> OwnScores:
    """AffectNet's classes, as its own last layer has them, and values where it has them too."""
    classes = MODELS[argument or ""].classes
    values = tuple(name for name in classes if name in VALUES)
    return OwnScores(tuple(name for name in classes if name not in VALUES), values)
