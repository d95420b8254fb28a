"""Language models as encoders of the words around a frame, with the model's own tokenizer."""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from plugins.encoders._hf_families import Family, create, layers_of, load_library, width_of
from plugins.encoders._hf_files import VOCABULARIES
from plugins.encoders._hf_tokens import Undecayed, choose_layers, pooled
from zoo.api import TextInput
from zoo.errors import UserError, first_line
from zoo.inputs import HOLD
from zoo.modules import Encoder

TOKENS_PER_SECOND = 8  # quick speech has some 4 words, 5 tokens, in a second
ROOM = 8  # tokens
AT_ONCE = 64  # texts encoded together
LONGEST = 600.0  # seconds


class HfText(Undecayed, Encoder):
    """Text encoder: tokens (B, T, L), -1 where there is none -> (B, T, dim).

    Equal texts, as neighbouring frames have, are encoded once. ``window``, ``ahead``: seconds before and after a frame
    whose words are read.
    """

    def __init__(
        self,
        folder: Path,
        family: Family,
        config: Any,
        layer: str,
        pool: str,
        window: float = 10.0,
        ahead: float = 0.0,
    ) -> None:
        # The stream is present for HOLD seconds after a word; a shorter window would then have no text.
        if not (HOLD <= window <= LONGEST and 0 <= ahead <= LONGEST):
            raise UserError(
                f"encoder 'hf': window must be from {HOLD:g} and ahead from 0, both up to {LONGEST:g} s for text, "
                f"got {window} and {ahead}"
            )
        chosen = family.pool if pool == "auto" else pool
        if chosen == "pooler" or (chosen == "cls" and family.pool == "last"):
            raise UserError(f"encoder 'hf': {family.network} cannot be read with pool={chosen}: use mean or last")
        length = 8 * math.ceil((TOKENS_PER_SECOND * (window + ahead) + ROOM) / 8)
        places = int(getattr(config, "max_position_embeddings", length)) - 2  # RoBERTa counts from 2
        self.tokenizer = Tokenizer(folder, min(length, places))
        self.tokenizer.check(int(config.vocab_size))
        super().__init__(
            width_of(config) * (2 if chosen == "mean_std" else 1),
            TextInput(self.tokenizer.length, self.tokenizer, window, ahead),
        )
        self.net = create(family, config)
        self.layers, self.mix = choose_layers(self, "last" if layer == "auto" else layer, layers_of(config))
        self.pool = chosen

    def forward(self, tokens: Tensor) -> Tensor:
        """Encode the texts of all frames."""
        flat = tokens.flatten(0, 1).long()
        texts, of_frame = (flat, None) if flat.is_meta else torch.unique(flat, dim=0, return_inverse=True)
        out = torch.cat([self.encode(part) for part in texts.split(AT_ONCE)])
        return (out if of_frame is None else out[of_frame]).unflatten(0, tokens.shape[:2])

    def encode(self, tokens: Tensor) -> Tensor:
        """Encode texts (N, L) to (N, dim); a text without any token gives zeros."""
        mask = tokens >= 0
        said = mask.any(1, keepdim=True)
        attend = mask | ~said  # a row without a token would give NaN
        ids = torch.where(mask, tokens, self.tokenizer.pad)
        out = self.net(input_ids=ids, attention_mask=attend.long(), output_hidden_states=self.layers.all)
        x = self.layers(out.last_hidden_state, out.hidden_states, self.mix)
        vectors = pooled(x, self.pool, mask=mask)
        return torch.where(said, vectors, torch.zeros_like(vectors))


class Tokenizer:
    """A model's tokenizer: texts (N) -> int32 (N, length). Of longer texts the first words are left out."""

    def __init__(self, folder: Path, length: int) -> None:
        self.folder, self.length = folder, length

    @cached_property
    def _tokenizer(self) -> Any:
        library = load_library()
        if not any((self.folder / name).is_file() for name in VOCABULARIES):  # it would get an empty vocabulary
            raise UserError(f"{self.folder} has no {VOCABULARIES[0]}: get it from the model")
        try:
            found = library.AutoTokenizer.from_pretrained(
                self.folder, local_files_only=True, trust_remote_code=False, truncation_side="left"
            )
        except Exception as error:  # a folder may lack any file
            raise UserError(
                f"{self.folder}: its tokenizer cannot be read ({first_line(error)}): get tokenizer.json from the model"
            ) from error
        return found

    @property
    def pad(self) -> int:
        """A token of the vocabulary for places that are masked."""
        return int(self._tokenizer.pad_token_id or 0)

    def check(self, vocabulary: int) -> None:
        """Raise UserError if the tokenizer cannot be read, or has tokens that the network does not know."""
        most = len(self._tokenizer)
        if most > vocabulary:
            raise UserError(
                f"{self.folder}: the tokenizer has {most} tokens, but the network only {vocabulary}: "
                "get both from one model"
            )

    def __call__(self, texts: Sequence[str]) -> np.ndarray:
        """Return the tokens of texts, -1 where there is none; an empty text has none at all."""
        out = np.full((len(texts), self.length), -1, np.int32)
        said = [i for i, text in enumerate(texts) if text.strip()]
        if said:
            found = self._tokenizer([texts[i] for i in said], truncation=True, max_length=self.length)["input_ids"]
            for i, ids in zip(said, found, strict=True):
                out[i, : len(ids)] = ids
        return out
