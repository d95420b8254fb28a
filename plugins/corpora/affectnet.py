"""AffectNet, manually annotated, in either of its published forms; which one a folder has is seen from its files.

The form with lists (``csv``) has photographs with the box of a face:

    Manually_Annotated_file_lists/training.csv, validation.csv
    Manually_Annotated_Images/689/00aa11bb22cc.jpg

The form of March 2021 (``npy``) has face crops of 224 x 224 and a small file for each label:

    train_set/images/0.jpg, train_set/annotations/0_exp.npy, 0_val.npy, 0_aro.npy, 0_lnd.npy; val_set/...

Expressions 8 to 10 (none, uncertain, no face) and a valence or arousal of -2 are missing labels, never classes.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from plugins.corpora import _affectnet_arrays as arrays
from plugins.corpora import _affectnet_lists as lists
from plugins.corpora._affectnet_labels import CODES
from zoo.corpora import CorpusTable, Draw, find_below, wrong_folder
from zoo.errors import UserError

LISTS = "Manually_Annotated_file_lists"
INSIDE = ("", "AffectNet", "Manually_Annotated", "AffectNet/Manually_Annotated")
"""Folders in which archives are found unpacked."""
OTHER = ("train_class", "val_class", "angry", "happy", "0", "train/0", "Train/0", "train/anger", "Train/anger")
"""Folders of relabelled or resized copies that circulate under the same name."""


def read(root: Path, partial: bool = False, classes: int = 8) -> CorpusTable:
    """Read AffectNet.

    Args:
        root: Its folder.
        partial: Leave out and count what is incomplete, instead of raising.
        classes: 8 expressions, or 7: contempt is then a missing label.

    Returns:
        The table: expression, valence and arousal.

    Raises:
        UserError: The folder has neither form, or both; a list lacks a column; a row is not what is published; labels
            and pictures do not belong together.
    """
    found_lists = find_below(root, INSIDE, LISTS)
    found_arrays = find_below(root, INSIDE, "train_set")
    if found_lists and found_arrays:
        raise UserError(f"{root}: there are two forms of AffectNet, {found_lists} and {found_arrays}: name one of them")
    if found_lists:
        return lists.read(root, found_lists, partial, classes)
    if found_arrays:
        return arrays.read(root, found_arrays.parent, partial, classes)
    wanted = f"{LISTS}/training.csv or train_set/annotations"
    copy = next((root / name for name in OTHER if (root / name).is_dir()), None)
    hint = f" ({copy.name} belongs to a copy with folders by class, which is other data)" if copy else ""
    raise wrong_folder(root, "AffectNet", wanted, hint)


def sample(root: Path, form: str, count: int, draw: Draw, seed: int) -> None:
    """Write made-up pictures in a published form: every code of an expression occurs, also those without a class."""
    rng = np.random.default_rng(seed)
    rows = []
    for i in range(count):
        code = i % len(CODES) if form == "csv" else i % 8
        known = code < 8
        valence, arousal = (float(x) for x in rng.uniform(-0.25, 0.25, 2) + CENTRES.get(CODES[code], (0.0, 0.0)))
        values = (np.clip(valence, -1, 1), np.clip(arousal, -1, 1)) if known else (-2.0, -2.0)
        rows.append((code, float(values[0]), float(values[1]), i % 5 == 4))
    (lists.write if form == "csv" else arrays.write)(root, rows, draw)


CENTRES = {
    "Happiness": (0.7, 0.2),
    "Sadness": (-0.7, -0.3),
    "Surprise": (0.2, 0.7),
    "Fear": (-0.4, 0.7),
    "Disgust": (-0.7, 0.1),
    "Anger": (-0.5, 0.5),
    "Contempt": (-0.3, -0.5),
}
"""Valence and arousal around which made-up labels of an expression lie; 0, 0 for the others."""
