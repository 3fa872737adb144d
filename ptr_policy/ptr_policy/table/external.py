# SPDX-License-Identifier: Apache-2.0
"""Rows of the table that were trained elsewhere: external policies, tried in the same scenes as the methods."""

from __future__ import annotations

import argparse
import re

from ptr_models.common.assets import is_external
from ptr_models.common.errors import PtrError
from ptr_policy.table.methods import METHODS, Method, Recipe
from ptr_policy.table.plan import OWN, TablePlan, read_trials

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,63}")


def external(text: str) -> Method:
    """Type of an argument: NAME=KIND:ADDRESS as a row.

    Raises:
        argparse.ArgumentTypeError: it is something else, or has the name of a method.
    """
    from ptr_models.inference.loading import POLICIES

    name, _, address = text.partition("=")
    kind, _, place = address.partition(":")
    if not (_NAME.fullmatch(name) and is_external(address) and place):
        raise argparse.ArgumentTypeError(f"{text!r} is not an external policy; write NAME=KIND:ADDRESS")
    if name in {method.name for method in METHODS}:
        raise argparse.ArgumentTypeError(f"{name} is the name of a method of the table; choose another one")
    if kind not in POLICIES:
        known = ", ".join(POLICIES.names)
        raise argparse.ArgumentTypeError(f"there is no kind of policy {kind!r}; known: {known}")
    return Method(name, name, Recipe.EXTERNAL, None, address=address)


def require_loadable(plan: TablePlan) -> None:
    """Open each external policy whose trials are missing, before hours of other work.

    Raises:
        PtrError: one can't be loaded, or two have the same name.
    """
    from ptr_models.inference.loading import load_policy

    rows = [method for method in plan.methods if method.recipe is Recipe.EXTERNAL]
    names = [method.name for method in rows]
    if twice := [name for name in names if names.count(name) > 1]:
        raise PtrError(f"two external policies are called {twice[0]}; give each its own name")
    wanted = {
        plan.policy(method, task, seed): method.name
        for method, task, kitchen, seed in plan.cells
        if method in rows and kitchen and not read_trials(plan.run(method, task, seed), OWN)
    }
    for address, name in wanted.items():
        try:
            load_policy(address).close()
        except PtrError as error:
            raise PtrError(f"the external policy {name}: {error}") from error
