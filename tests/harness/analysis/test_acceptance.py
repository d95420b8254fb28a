"""`harness data acceptance` on a crumb of the demo set: every step, and nothing in the text that names anybody."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

import pytest

from harness.analysis import acceptance as acceptance_module
from harness.analysis.acceptance import acceptance
from harness.data.affwild2.folder_layout import survey
from zoo.registry.registry import load


def test_the_text_tells_all_and_names_nobody(
    program, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(acceptance_module, "EPOCHS", 1)
    root, out = tmp_path / "data", tmp_path / "a.txt"
    shutil.copytree(program.demo, root)
    names = set(survey(root).videos)
    broken = sorted((root / "videos").iterdir())[0]
    broken.unlink()
    broken.write_bytes(b"no video")
    assert not acceptance(root, load([]), out, track="va", jobs=1)
    text, said = out.read_text(), capsys.readouterr()
    assert broken.name in said.err
    assert not [name for name in names | {str(tmp_path), root.name + "/"} if name in text]
    for line in (r"files that could not be read +1", r"files where these differ +0", r"frames decoded +[1-9]"):
        assert re.search(line, text), line
    assert "abaw-zoo" in text
    assert "rows written and verified, rows and order of the list" in text
    assert "Not every step went through" in text


def test_a_folder_without_annotations_is_told_by_codes(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    assert not acceptance(tmp_path / "empty", load([]), tmp_path / "a.txt")
    text = (tmp_path / "a.txt").read_text()
    assert "FAILED: data-no-track" in text
    assert "no raw videos" in text
    assert str(tmp_path) not in text
