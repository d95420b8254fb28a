"""AffectNet and RAF-DB in their published layouts, against rows that are read by hand, and what is refused in them."""

from __future__ import annotations

import csv
import shutil
from pathlib import Path

import numpy as np
import pytest

from plugins.corpora import affectnet, corpora, rafdb
from tests.support.refusals import Part, refused
from zoo.errors import UserError
from zoo.testing.corpora import plain_picture

LISTS, IMAGES = "Manually_Annotated_file_lists", "Manually_Annotated_Images"
SPECS = {spec.name: spec for spec in corpora()}


@pytest.fixture(scope="module")
def made(tmp_path_factory) -> dict[str, Path]:
    root = tmp_path_factory.mktemp("corpora")
    places = {form: root / form for form in ("csv", "npy", "basic")}
    for form, place in places.items():
        (rafdb if form == "basic" else affectnet).sample(place, form, 60, plain_picture, 0)
    return places


@pytest.fixture
def copy(made, tmp_path):
    """A copy of a made-up corpus to spoil."""
    return lambda form: Path(shutil.copytree(made[form], tmp_path / form))


def test_the_lists_of_affectnet_are_read_row_by_row(made):
    table = affectnet.read(made["csv"])
    wanted = {}
    left = 0
    for part in ("training", "validation"):
        for row in csv.DictReader((made["csv"] / LISTS / f"{part}.csv").open()):
            code, values = int(row["expression"]), (float(row["valence"]), float(row["arousal"]))
            if code > 7:
                left += 1
                continue
            box = [int(row[f"face_{name}"]) for name in ("x", "y", "width", "height")]
            wanted[f"{IMAGES}/{row['subDirectory_filePath']}".encode()] = (code, *values, part == "training", box)
    assert dict(table.left_out) == {"no expression, valence or arousal (none, uncertain, no face)": left}
    assert set(table.files.tolist()) == set(wanted)
    assert table.boxes is not None
    for name, labels, train, box in zip(table.files.tolist(), table.labels, table.train, table.boxes, strict=True):
        code, valence, arousal, in_train, wanted_box = wanted[name]
        np.testing.assert_allclose(labels, [code, valence, arousal], rtol=1e-6)
        assert (bool(train), box.tolist()) == (in_train, wanted_box)


def test_the_arrays_of_affectnet_are_read_number_by_number_also_as_text(made):
    table = affectnet.read(made["npy"])
    kinds = set()
    for i, name in enumerate(table.files.tolist()):
        picture = made["npy"] / name.decode()
        loaded = [
            np.load(picture.parents[1] / "annotations" / f"{picture.stem}_{end}.npy") for end in ("exp", "val", "aro")
        ]
        np.testing.assert_allclose(table.labels[i], [float(value) for value in loaded], rtol=1e-6)
        assert bool(table.train[i]) == (picture.parents[1].name == "train_set")
        kinds |= {value.dtype.kind for value in loaded}
    assert {"U", "f"} <= kinds
    assert table.boxes is None
    assert len(table) == 60


def test_without_contempt_its_expression_is_missing_and_its_values_stay(made):
    whole, seven = affectnet.read(made["csv"]), affectnet.read(made["csv"], classes=7)
    contempt = whole.labels[:, 0] == 7
    assert seven.answers[0].classes == whole.answers[0].classes[:7]
    assert contempt.any()
    assert np.isnan(seven.labels[contempt, 0]).all()
    np.testing.assert_array_equal(seven.labels[:, 1:], whole.labels[:, 1:])


def test_rafdb_is_read_line_by_line(made):
    table, original = rafdb.read(made["basic"]), rafdb.read(made["basic"] / "basic", pictures="original")
    lines = [line.split() for line in (made["basic"] / "basic" / rafdb.LIST).read_text().splitlines()]
    names = ("Surprise", "Fear", "Disgust", "Happiness", "Sadness", "Anger", "Neutral")
    for i, (name, code) in enumerate(lines):
        assert table.files[i].decode() == f"basic/Image/aligned/{name[:-4]}_aligned.jpg"
        assert original.files[i].decode() == f"Image/original/{name}"
        assert table.answers[0].classes[int(table.labels[i, 0])] == names[int(code) - 1]
        assert bool(table.train[i]) == name.startswith("train_")


def edit(path: Path, line: int, change) -> None:
    lines = path.read_text().splitlines()
    lines[line - 1] = change(lines[line - 1])
    path.write_text("\n".join(lines) + "\n")


def field(number: int, value: str):
    return lambda line: ",".join([*line.split(",")[:number], value, *line.split(",")[number + 1 :]])


@pytest.mark.parametrize(
    ("number", "value", "name"),
    [
        (6, "11", "expression"),
        (6, "-1", "expression"),
        (6, "1.5", "expression"),
        (7, "1.01", "valence"),
        (8, "-5", "arousal"),
    ],
)
def test_a_number_out_of_range_is_refused_with_its_line_also_if_partial(copy, number, value, name):
    root = copy("csv")
    edit(root / LISTS / "training.csv", 4, field(number, value))
    for partial in (False, True):
        with refused("corpus-row", file=root / LISTS / "training.csv", line=4, name=name, got=str(float(value))):
            affectnet.read(root, partial=partial)


def test_what_is_no_number_is_refused_or_left_out(copy):
    root = copy("csv")
    before = len(affectnet.read(root))
    edit(root / LISTS / "training.csv", 4, field(7, "none"))
    with refused("corpus-row", line=4, name="valence", got="none"):
        affectnet.read(root)
    rest = affectnet.read(root, partial=True)
    assert len(rest) == before - 1
    assert rest.left_out["row with something that is no number"] == 1


def test_a_face_without_a_box_is_left_out(copy):
    root = copy("csv")
    edit(root / LISTS / "training.csv", 4, field(3, "-1"))
    assert affectnet.read(root).left_out["no box of a face"] == 1


@pytest.mark.parametrize(("number", "name"), [(1, "face_x"), (4, "face_height")])
def test_a_box_far_outside_any_picture_is_refused(copy, number, name):
    root = copy("csv")
    edit(root / LISTS / "training.csv", 4, field(number, "3e9"))
    for partial in (False, True):
        with refused("corpus-row", file=root / LISTS / "training.csv", line=4, name=name, got="3000000000.0"):
            affectnet.read(root, partial=partial)


def test_a_box_larger_than_any_picture_is_refused(copy):
    root = copy("csv")
    edit(root / LISTS / "training.csv", 4, field(3, "30000"))
    edit(root / LISTS / "training.csv", 4, field(4, "30000"))
    with refused("corpus-row", file=root / LISTS / "training.csv", line=4, name="face_width x face_height"):
        affectnet.read(root)


@pytest.mark.parametrize(
    ("line", "name"),
    [(b"1/a.jpg,1", "a line"), (b"1/\xff.jpg,0,0,9,9,,1,0,0", "a line"), (b"1/a.jpg,0,0,9,9,,1,7,0", "valence")],
)
def test_a_wrong_line_is_named_below_an_empty_one_and_a_quoted_header(copy, line, name):
    file = copy("csv") / LISTS / "training.csv"
    lines = file.read_bytes().splitlines()
    quoted = b",".join(b'"%s"' % column for column in lines[0].split(b","))
    file.write_bytes(b"\n".join([quoted, lines[1], b"", line, *lines[2:], b"", b""]))
    with refused("corpus-row", file=file, line=4, name=name):
        affectnet.read(file.parents[1])
    file.write_bytes(b"\n".join([quoted, *lines[1:], b"", b""]))
    assert len(affectnet.read(file.parents[1]))


def test_a_box_may_leave_the_picture(copy):
    root = copy("csv")
    edit(root / LISTS / "training.csv", 2, field(1, "-7"))
    boxes = affectnet.read(root).boxes
    assert boxes is not None
    assert boxes[0].tolist() == [-7, 20, 100, 100]


def test_names_may_have_any_letters(copy, tmp_path):
    root = tmp_path / "in ü"
    copy("csv").rename(root)
    old = (root / LISTS / "training.csv").read_text().splitlines()[1].partition(",")[0]
    new = old.replace(".jpg", "ä顔.jpg")
    (root / IMAGES / old).rename(root / IMAGES / new)
    edit(root / LISTS / "training.csv", 2, lambda line: line.replace(old, new))
    table = affectnet.read(root)
    assert table.path(0) == root / IMAGES / new
    assert table.path(0).is_file()


def test_a_list_without_a_column_is_refused(copy):
    root = copy("csv")
    edit(root / LISTS / "validation.csv", 1, lambda line: line.replace(",valence", "").replace("face_x,", ""))
    with refused("corpus-columns", file=root / LISTS / "validation.csv", names="face_x, valence"):
        affectnet.read(root)


def test_a_picture_without_one_of_its_labels_is_refused(copy):
    root = copy("npy")
    (root / "train_set" / "annotations" / "6_val.npy").unlink()
    with refused("corpus-pictures-missing", count=1, first="6_val.npy"):
        affectnet.read(root)
    rest = affectnet.read(root, partial=True)
    assert len(rest) == 59
    assert dict(rest.left_out) == {"picture without label": 1}


def test_pickled_labels_are_never_loaded_and_wrong_ones_name_their_file(copy):
    root = copy("npy")
    place = root / "train_set" / "annotations" / "6_exp.npy"
    np.save(place, np.array({"a": 1}, dtype=object), allow_pickle=True)
    with refused("corpus-unreadable", file=Part("6_exp.npy")):
        affectnet.read(root)
    np.save(place, np.array("12"))
    with refused("corpus-row", file=place, name="expression", got="12.0"):
        affectnet.read(root)


def test_a_label_with_a_damaged_header_is_named(copy):
    place = copy("npy") / "train_set" / "annotations" / "6_exp.npy"
    data = bytearray(place.read_bytes())
    data[8] = 40
    place.write_bytes(data)
    with refused("corpus-unreadable", file=Part("6_exp.npy")):
        affectnet.read(place.parents[2])


def test_two_pictures_for_one_label_are_refused(copy):
    folder = copy("npy") / "train_set" / "images"
    shutil.copy(folder / "6.jpg", folder / "6.png")
    for partial in (False, True):
        with refused("corpus-label-shared", folder=folder, first="6.jpg", second="6.png"):
            affectnet.read(folder.parents[1], partial=partial)


def test_what_other_systems_add_does_not_matter(copy, made):
    npy, basic = copy("npy"), copy("basic")
    (npy / "train_set" / "annotations" / "._0_exp.npy").write_bytes(b"x")
    assert len(affectnet.read(npy)) == 60
    place = basic / "basic" / rafdb.LIST
    place.write_bytes(b"\xef\xbb\xbf" + place.read_bytes())
    np.testing.assert_array_equal(rafdb.read(basic).files, rafdb.read(made["basic"]).files)


@pytest.mark.parametrize("line", ["train_00001.jpg 8", "train_00001.jpg 0", "train_00001.jpg", "val_1.jpg 3", "a b c"])
def test_a_line_of_rafdb_that_is_not_published_is_refused(copy, line):
    root = copy("basic")
    edit(root / "basic" / rafdb.LIST, 3, lambda _: line)
    with refused("corpus-row", line=3, got=line):
        rafdb.read(root)


def test_copies_with_folders_by_class_are_told_apart(tmp_path):
    (tmp_path / "train" / "1").mkdir(parents=True)
    with refused("corpus-folder", root=tmp_path, hint=Part("folders by class")):
        rafdb.read(tmp_path)
    (tmp_path / "angry").mkdir()
    with refused("corpus-folder", root=tmp_path, hint=Part("angry")):
        affectnet.read(tmp_path)


def test_two_forms_in_one_folder_are_refused(copy, made):
    root = copy("csv")
    shutil.copytree(made["npy"], root, dirs_exist_ok=True)
    with refused("plugin-error", match="two forms"):
        affectnet.read(root)


def test_folders_that_an_archive_doubles_are_found(copy, made, tmp_path):
    root = tmp_path / "root"
    shutil.copytree(made["csv"] / IMAGES, root / "Manually_Annotated" / IMAGES)
    shutil.copytree(made["csv"] / LISTS, root / LISTS)
    with pytest.raises(UserError):
        affectnet.read(root / LISTS)
    table = affectnet.read(root)
    assert table.path(0).is_file()
    assert len(table) == len(affectnet.read(made["csv"]))


@pytest.mark.parametrize(
    ("form", "gone", "wanted"),
    [
        ("basic", "basic/Image", "basic/Image/aligned"),
        ("npy", "train_set/images", "train_set/images"),
        ("npy", "val_set/annotations", "val_set/annotations"),
        ("csv", IMAGES, IMAGES),
    ],
)
def test_labels_without_pictures_and_the_reverse_name_what_is_missing(copy, form, gone, wanted):
    root = copy(form)
    shutil.rmtree(root / gone)
    with refused("corpus-folder", root=root, wanted=Part(wanted)):
        (rafdb if form == "basic" else affectnet).read(root)


def test_labels_of_which_none_is_whole_are_named(copy):
    root = copy("npy")
    for place in (root / "train_set" / "annotations").glob("*_val.npy"):
        place.unlink()
    with refused("corpus-folder", root=root / "train_set" / "annotations", wanted="0_exp.npy"):
        affectnet.read(root, partial=True)


def test_a_label_of_a_newer_format_is_named(copy):
    root = copy("npy")
    place = root / "train_set" / "annotations" / "6_exp.npy"
    with place.open("wb") as file:
        np.lib.format.write_array(file, np.array(3.0), version=(2, 0))
    with refused("corpus-unreadable", file=Part("6_exp.npy")):
        affectnet.read(root)


def test_a_list_of_rafdb_may_end_in_empty_lines_and_may_not_be_empty(copy, made):
    root = copy("basic")
    place = root / "basic" / rafdb.LIST
    place.write_bytes(place.read_bytes() + b"\n  \n\n")
    np.testing.assert_array_equal(rafdb.read(root).files, rafdb.read(made["basic"]).files)
    place.write_bytes(b"\n")
    with refused("corpus-unreadable", file=place, reason="it is empty"):
        rafdb.read(root)
