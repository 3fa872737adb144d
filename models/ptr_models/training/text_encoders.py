# SPDX-License-Identifier: Apache-2.0
"""Instructions as vectors, for policies that are given their task in words instead of as a number."""

from __future__ import annotations

import functools
import hashlib
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from ptr_models.common.errors import PtrError
from ptr_models.common.files import sha256

HASHING = "hashing"
"""Name of the encoder that needs no model."""
WIDTH = 128
ARTICLES = frozenset({"a", "an", "the"})
PAIR_WEIGHT = 0.5
"""Weight of two consecutive words; single words have 1. Pairs tell "a on b" from "b on a"."""

PICKLED = frozenset({".bin", ".pt", ".pth", ".pkl", ".pickle", ".ckpt"})
"""Suffixes of files that are never opened."""


class TextEncoderError(PtrError):
    """A text encoder cannot be used."""


class TextEncoder(Protocol):
    """Turns texts into vectors of length 1.

    Attributes:
        name: `hashing`, or the folder of a model.
        width: of the vectors.
        fingerprint: changes when the vectors of the same text do.
    """

    name: str
    width: int
    fingerprint: str

    def encode(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """(N, width)."""


class HashingEncoder:
    """Words and pairs of words, each hashed to one of `WIDTH` dimensions and a sign ("feature hashing").

    Two texts are similar only as far as they share words: "cup" and "mug" are unrelated. Source: Weinberger et al.,
    Feature Hashing for Large Scale Multitask Learning, ICML 2009.
    """

    name = HASHING
    width = WIDTH
    fingerprint = "words-and-pairs-1"

    def encode(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """(N, WIDTH); a text without words is all zeros."""
        vectors = np.zeros((len(texts), self.width), np.float32)
        for vector, text in zip(vectors, texts, strict=True):
            words = [word for word in re.findall(r"[a-z0-9]+", text.lower()) if word not in ARTICLES]
            pairs = [f"{first} {second}" for first, second in zip(words, words[1:], strict=False)]
            for weight, features in ((1.0, words), (PAIR_WEIGHT, pairs)):
                for feature in features:
                    number = int.from_bytes(hashlib.blake2b(feature.encode(), digest_size=8).digest(), "little")
                    vector[number % self.width] += weight if number >> 63 else -weight
        return vectors / np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1e-6)


class SentenceEncoder:
    """A frozen sentence-transformers model from a folder. Nothing is downloaded, and no code from the folder is run.

    Args:
        folder: as `SentenceTransformer.save` writes it, with weights as safetensors.
    Raises:
        TextEncoderError: the folder or the package `sentence-transformers` is missing, or the model cannot be loaded.
    """

    def __init__(self, folder: Path) -> None:
        weights = sorted(folder.rglob("*.safetensors"))
        if not weights:
            raise TextEncoderError(
                f"{folder} holds no model with *.safetensors; give the folder of a sentence-transformers model, or "
                f"use data.text_encoder={HASHING}"
            )
        pickled = sorted(path.name for path in folder.rglob("*") if path.suffix in PICKLED)
        if pickled:
            raise TextEncoderError(
                f"{folder} holds {pickled[0]}, which could run code when loaded; keep only the *.safetensors"
            )
        try:
            from sentence_transformers import SentenceTransformer
        except ImportError:
            raise TextEncoderError(
                f"the text encoder {folder} needs another package: pip install sentence-transformers"
            ) from None
        try:
            self._model = SentenceTransformer(
                str(folder),
                device="cpu",
                local_files_only=True,
                trust_remote_code=False,
                model_kwargs={"use_safetensors": True},
            )
        except (OSError, ValueError, KeyError, RuntimeError) as error:
            raise TextEncoderError(f"the text encoder {folder} cannot be loaded: {error}") from error
        self.name = str(folder.resolve())
        self.width = self._model.encode(["a"]).shape[1]
        self.fingerprint = hashlib.sha256("".join(map(sha256, weights)).encode()).hexdigest()[:16]
        self._known: dict[str, NDArray[np.float32]] = {}

    def encode(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """(N, width); each text is computed once."""
        new = [text for text in dict.fromkeys(texts) if text not in self._known]
        if new:
            found = self._model.encode(new, normalize_embeddings=True, show_progress_bar=False)
            self._known.update(zip(new, np.asarray(found, np.float32), strict=True))
        return np.array([self._known[text] for text in texts], np.float32).reshape(len(texts), self.width)


@functools.cache
def text_encoder(name: str) -> TextEncoder:
    """The encoder `hashing`, or the model in a folder; each is created once per process.

    Raises:
        TextEncoderError: it cannot be used.
    """
    return HashingEncoder() if name == HASHING else SentenceEncoder(Path(name).expanduser())
