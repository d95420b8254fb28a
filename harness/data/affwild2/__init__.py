"""Aff-Wild2: its folder layouts, annotation files and special names. ``build_index`` makes an Index of a folder."""
