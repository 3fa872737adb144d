# SPDX-License-Identifier: Apache-2.0
"""The YAML file of an external policy of any kind: names, contract, critic, chunks."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

from ptr_models.common.errors import PtrError
from ptr_models.contract import Contract
from ptr_models.inference.acting import BatchPolicy
from ptr_models.inference.chunks import ChunkedPolicy, ChunkOptions, ChunkPredictor
from ptr_models.typed_values import require_types
from ptr_models.yaml_input import read_yaml

File = TypeVar("File", bound="PolicyFile")
_CHUNKS = tuple(entry.name for entry in dataclasses.fields(ChunkOptions))


class PolicyFileError(PtrError):
    """The file of a policy, or something that it names, can't be used."""


@dataclass(frozen=True)
class PolicyFile:
    """The keys that all kinds share; each kind adds its own.

    Attributes:
        images: the contract's cameras, and the policy's name for each image.
        state: the policy's name for the contract's state.
        contract: JSON file of the contract that the policy was trained for; empty: the default of its kind.
        critic: folder of a checkpoint whose Q-function judges the actions; empty: none.
        chunks: options of `ChunkOptions` in the file.
        folder: of the file; its paths are relative to it.
    """

    images: dict[str, str] = field(default_factory=dict)
    state: str = ""
    contract: str = ""
    critic: str = ""
    chunks: Mapping[str, Any] = field(default_factory=dict)
    folder: Path = Path()

    def __post_init__(self) -> None:
        require_types(self, PolicyFileError)

    @classmethod
    def read(cls: type[File], path: Path) -> File:
        """Read the file.

        Raises:
            PolicyFileError: it can't be read, or has an unknown key or a value of the wrong type.
        """
        values = read_yaml(path, "the file of the policy", PolicyFileError)
        values = {} if values is None else values
        own = {entry.name for entry in dataclasses.fields(cls)} - {"chunks", "folder"}
        known = ", ".join(sorted(own | set(_CHUNKS)))
        if not isinstance(values, dict):
            raise PolicyFileError(f"{path} is not a mapping of keys to values; known keys: {known}")
        if unknown := [str(key) for key in values if key not in own and key not in _CHUNKS]:
            raise PolicyFileError(f"{path} has an unknown key {unknown[0]!r}; known: {known}")
        chunks = {key: value for key, value in values.items() if key in _CHUNKS}
        rest = {key: value for key, value in values.items() if key in own}
        try:
            return cls(**rest, chunks=chunks, folder=path.parent)
        except PolicyFileError as error:
            raise PolicyFileError(f"{path}: {error}") from error

    def chunk_options(self, **usual: Any) -> ChunkOptions:
        """How chunks become actions.

        Args:
            usual: defaults for options that the file does not give.
        Raises:
            PtrError: the options are invalid.
        """
        return ChunkOptions(**(usual | dict(self.chunks)))

    def contract_or(self, usual: Contract) -> Contract:
        """The contract that the file names, or the default.

        Raises:
            PtrError: its file can't be read, or is not a contract.
        """
        if not self.contract:
            return usual
        path = self.folder / self.contract
        try:
            return Contract.from_json(path.read_text(encoding="utf-8"))
        except (OSError, UnicodeDecodeError) as error:
            raise PolicyFileError(f"contract file {path} can't be read: {error}") from error

    def judge(self, contract: Contract) -> tuple[BatchPolicy | None, tuple[str, ...]]:
        """The critic that the file names, and its tasks.

        Raises:
            PtrError: it can't be loaded, has another contract, or no Q-function.
        """
        if not self.critic:
            return None, ()
        from ptr_models.inference.policy import Policy

        critic = Policy.load(self.folder / self.critic)
        critic.contract.require(contract, f"the critic {self.critic}")
        if not critic.has_values:
            raise PolicyFileError(f"the critic {self.critic} has no Q-function; give a PTR checkpoint")
        if critic.chunk > 1:
            raise PolicyFileError(
                f"the critic {self.critic} values chunks of {critic.chunk} actions, not single ones; give a checkpoint "
                "with algorithm.chunk 1"
            )
        return critic, critic.tasks

    def acting(self, predictor: ChunkPredictor, options: ChunkOptions, stepwise: bool = False) -> ChunkedPolicy:
        """The policy that acts step by step, with the file's critic; arguments as in `ChunkedPolicy`.

        Raises:
            PtrError: the critic can't be used; the predictor is closed.
        """
        try:
            return ChunkedPolicy(predictor, options, *self.judge(predictor.contract), stepwise=stepwise)
        except PtrError:
            predictor.close()
            raise
