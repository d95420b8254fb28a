"""Catalogue of the built-in corpora of labelled pictures. It is light: the readers are imported when they read."""

from __future__ import annotations

from zoo import api


@api.hookimpl
def corpora() -> list[api.CorpusSpec]:
    """Return the specs of the built-in corpora."""
    return [
        api.CorpusSpec(
            "affectnet",
            "plugins.corpora.affectnet:read",
            "AffectNet, manually annotated: 0.29 million faces, expression, valence and arousal; both published forms.",
            {
                "classes": api.Option(8, "expressions to learn: 8, or 7 without contempt", choices=(8, 7)),
            },
            paper="Mollahosseini et al. 2017, doi:10.1109/TAFFC.2017.2740923",
            data="AffectNet",
            terms="research only, on request from its authors",
            targets=("expr", "va"),
            split="the official training and validation parts; there is no public test part, and no names of people",
            forms=("csv", "npy"),
            sample="plugins.corpora.affectnet:sample",
        ),
        api.CorpusSpec(
            "rafdb",
            "plugins.corpora.rafdb:read",
            "RAF-DB, basic: 15,339 faces of seven expressions.",
            {
                "pictures": api.Option(
                    "aligned", "aligned faces, or the original photographs", choices=("aligned", "original")
                )
            },
            paper="Li et al. 2017, doi:10.1109/CVPR.2017.277",
            data="RAF-DB",
            terms="non-commercial research, on request from its authors",
            targets=("expr",),
            split="the official training and test parts, by the beginning of a file's name; no names of people",
            forms=("basic",),
            sample="plugins.corpora.rafdb:sample",
        ),
    ]
