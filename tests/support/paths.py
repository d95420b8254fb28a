"""Paths that tests use."""

from __future__ import annotations

from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
TESTS = ROOT / "tests"
STRANGERS = TESTS / "strangers"
SHARED = ROOT.parent / "shared"
"""Next to the checkout: real videos, real voices, facts. Tests that need them are skipped if it is missing."""
FACTS = SHARED / "facts"
