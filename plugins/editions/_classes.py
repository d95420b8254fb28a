"""Classes (in the order of the competition), values and action units of all tracks, and their annotation folders."""

from __future__ import annotations

from zoo.api import Answer

NO_VALUE, NO_CLASS, NO_UNIT = -5.0, -1.0, -1.0

VA = (Answer("valence", "value", NO_VALUE), Answer("arousal", "value", NO_VALUE))
SEVEN = ("Neutral", "Anger", "Disgust", "Fear", "Happiness", "Sadness", "Surprise")
EIGHT = (*SEVEN, "Other")
EXPR7 = (Answer("expression", "class", NO_CLASS, classes=SEVEN),)
EXPR8 = (Answer("expression", "class", NO_CLASS, classes=EIGHT),)
UNITS = ("AU1", "AU2", "AU4", "AU6", "AU7", "AU10", "AU12", "AU15", "AU23", "AU24", "AU25", "AU26")
AU12 = tuple(Answer(unit, "binary", NO_UNIT) for unit in UNITS)

VA_HEADER = "valence,arousal"
VA_FOLDERS = ("VA_Set", "VA_Estimation_Challenge")
EXPR_FOLDERS = ("EXPR_Set", "EXPR_Classification_Challenge", "EXPR_Recognition_Challenge")
AU_FOLDERS = ("AU_Set", "AU_Detection_Challenge")
MTL_FOLDERS = ("MTL_Challenge",)

COMPOUND = (
    "Fearfully_Surprised",
    "Happily_Surprised",
    "Sadly_Surprised",
    "Disgustedly_Surprised",
    "Angrily_Surprised",
    "Sadly_Fearful",
    "Sadly_Angry",
)
CE = (Answer("compound", "class", NO_CLASS, classes=COMPOUND),)
LSD = (
    Answer("expression", "class", NO_CLASS, classes=("Anger", "Disgust", "Fear", "Happiness", "Sadness", "Surprise")),
)
UNITS8 = ("AU1", "AU2", "AU4", "AU6", "AU12", "AU15", "AU20", "AU25")
AU8 = tuple(Answer(unit, "binary", NO_UNIT) for unit in UNITS8)
ERI = tuple(
    Answer(name, "value", NO_VALUE, low=0.0, high=1.0)
    for name in ("Adoration", "Amusement", "Anxiety", "Disgust", "Empathic-Pain", "Fear", "Surprise")
)
EMI = tuple(
    Answer(name, "value", NO_VALUE, low=0.0, high=1.0)
    for name in ("Admiration", "Amusement", "Determination", "Empathic Pain", "Excitement", "Joy")
)
AH = (Answer("ambivalence", "class", NO_CLASS, classes=("absence", "presence")),)
VD = (Answer("violence", "class", NO_CLASS, classes=("non-violent", "violent")),)
