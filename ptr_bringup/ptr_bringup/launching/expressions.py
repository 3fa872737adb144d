# SPDX-License-Identifier: Apache-2.0
"""`$(eval …)`: a harmless Python expression of literals and operators."""

from __future__ import annotations

import ast

from ptr_bringup.launching.errors import LaunchError

MAX_LENGTH = 1000  # characters of an expression
SUPPORTED = (
    (ast.Expression, ast.Constant, ast.List, ast.Tuple, ast.Load)
    + (ast.BinOp, ast.UnaryOp, ast.BoolOp, ast.IfExp, ast.Compare)
    + (ast.operator, ast.unaryop, ast.boolop, ast.cmpop)
)
LARGE = (ast.Pow, ast.LShift)
"""Operators that can create numbers of any size."""


def evaluate_expression(text: str) -> str:
    """Value of a Python expression of literals and operators, as text.

    Raises:
        LaunchError: it isn't an expression, uses something unsupported, or can't be evaluated.
    """
    if len(text) > MAX_LENGTH:
        raise LaunchError(f"the expression of $(eval …) has {len(text)} characters; the maximum is {MAX_LENGTH}")
    try:
        tree = ast.parse(text.lstrip(" \t"), mode="eval")
        _check(list(ast.walk(tree)))
        return str(eval(compile(tree, "<launch file>", "eval"), {"__builtins__": {}}))  # literals and operators
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        raise LaunchError(f"$(eval …): {text!r} is not an expression") from None
    except (TypeError, ArithmeticError) as error:
        raise LaunchError(f"$(eval …): {text!r} can't be evaluated: {error}") from None


def _check(nodes: list[ast.AST]) -> None:
    texts = any(isinstance(n, (ast.List, ast.Tuple)) or isinstance(getattr(n, "value", 0), (str, bytes)) for n in nodes)
    for node in nodes:
        if not isinstance(node, SUPPORTED) or isinstance(node, LARGE):
            raise LaunchError(
                f"$(eval …) does not support {type(node).__name__}; supported: "
                "numbers, strings, arithmetic without **, comparisons, and, or, not, in, x if c else y"
            )
        if texts and isinstance(node, (ast.Mult, ast.Mod)):  # which can allocate gigabytes
            raise LaunchError("$(eval …) supports * and % only without strings and lists")
