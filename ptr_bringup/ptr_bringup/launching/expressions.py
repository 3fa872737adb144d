# SPDX-License-Identifier: Apache-2.0
"""`$(eval …)`: a Python expression of literals and operators, which can't do harm."""

from __future__ import annotations

import ast

from ptr_bringup.launching.errors import LaunchError

LONGEST = 1000  # characters of an expression
SUPPORTED = (
    (ast.Expression, ast.Constant, ast.List, ast.Tuple, ast.Load)
    + (ast.BinOp, ast.UnaryOp, ast.BoolOp, ast.IfExp, ast.Compare)
    + (ast.operator, ast.unaryop, ast.boolop, ast.cmpop)
)
LARGE = (ast.Pow, ast.LShift)
"""Operators that make numbers of any size."""


def evaluate_expression(text: str) -> str:
    """Value of a Python expression of literals and operators, as text.

    Raises:
        LaunchError: it isn't an expression, uses something else, or can't be evaluated.
    """
    if len(text) > LONGEST:
        raise LaunchError(f"the expression of $(eval …) is longer than {LONGEST} characters")
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
                "numbers, texts, arithmetic without **, comparisons, and, or, not, in, x if c else y"
            )
        if texts and isinstance(node, (ast.Mult, ast.Mod)):  # which can ask for gigabytes
            raise LaunchError("$(eval …) supports * and % only where there are no texts and lists")
