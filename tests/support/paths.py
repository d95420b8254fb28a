"""Where things are that tests look for."""

from __future__ import annotations

from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
TESTS = ROOT / "tests"
STRANGERS = TESTS / "strangers"
SHARED = ROOT.parent / "shared"
"""Beside the checkout: real videos, real voices, facts. Tests that want them are skipped where it is absent."""
FACTS = SHARED / "facts"
