# SPDX-License-Identifier: Apache-2.0
"""`--set KEY=VALUE`, an option of every training command."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from typing import Any

from ptr_models.common import arguments
from ptr_models.training.renamed_keys import RENAMED, both_names, now_called, present_assignment, present_key


def add_settings(parser: argparse.ArgumentParser, about: str, dest: str = "set") -> None:
    """Add `--set`, which may be repeated. The parsed assignments have present keys, in the given order.

    Args:
        about: help text.
        dest: name of the attribute.
    """
    parser.add_argument(
        "--set", dest=dest, type=arguments.setting, action=_AddSetting, default=[], metavar="KEY=VALUE", help=about
    )


class _AddSetting(argparse.Action):
    """Collects assignments. A former key is replaced by the present one, with a message. Both names are an error."""

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self._given: set[str] = set()

    def __call__(
        self,
        parser: argparse.ArgumentParser,
        namespace: argparse.Namespace,
        values: str | Sequence[Any] | None,
        option_string: str | None = None,
    ) -> None:
        """Add one assignment."""
        assignment = str(values)
        key = assignment.partition("=")[0]
        if not getattr(namespace, self.dest):
            self._given.clear()  # the parser parses another command line
        if key in RENAMED and key not in self._given:
            print(now_called(key), file=sys.stderr)
        self._given.add(key)
        for former in self._given & RENAMED.keys():
            if present_key(former) in self._given:
                raise argparse.ArgumentError(self, both_names(former))
        setattr(namespace, self.dest, [*getattr(namespace, self.dest), present_assignment(assignment)])
