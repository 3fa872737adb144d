# SPDX-License-Identifier: Apache-2.0
"""`$(eval …)`: arithmetic, comparisons and conditions over literals, and nothing that could do harm."""

from __future__ import annotations

import ast
import operator
from collections.abc import Callable
from typing import Any

from ptr_bringup.launching.errors import LaunchError

LONGEST = 1000  # characters of an expression
LARGEST = 64  # exponent, and copies of a string or a list

BINARY: dict[type[ast.operator], Callable[[Any, Any], Any]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.truediv,
    ast.FloorDiv: operator.floordiv,
    ast.Mod: operator.mod,
    ast.Pow: operator.pow,
}
UNARY: dict[type[ast.unaryop], Callable[[Any], Any]] = {
    ast.Not: operator.not_,
    ast.USub: operator.neg,
    ast.UAdd: operator.pos,
}
COMPARE: dict[type[ast.cmpop], Callable[[Any, Any], bool]] = {
    ast.Eq: operator.eq,
    ast.NotEq: operator.ne,
    ast.Lt: operator.lt,
    ast.LtE: operator.le,
    ast.Gt: operator.gt,
    ast.GtE: operator.ge,
    ast.In: lambda a, b: a in b,
    ast.NotIn: lambda a, b: a not in b,
}


def evaluate_expression(text: str) -> str:
    """Value of a Python expression of literals and operators, as text.

    Raises:
        LaunchError: it isn't an expression, uses something else, or can't be evaluated.
    """
    if len(text) > LONGEST:
        raise LaunchError(f"the expression of $(eval …) is longer than {LONGEST} characters")
    try:
        return str(_value(ast.parse(text.strip(), mode="eval").body))
    except LaunchError:
        raise
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        raise LaunchError(f"$(eval …): {text!r} is not an expression") from None
    except (TypeError, ArithmeticError) as error:
        raise LaunchError(f"$(eval …): {text!r} can't be evaluated: {error}") from None


def _value(node: ast.expr) -> Any:
    if isinstance(node, ast.Constant) and isinstance(node.value, (bool, int, float, str)):
        return node.value
    if isinstance(node, (ast.List, ast.Tuple)):
        return [_value(element) for element in node.elts]
    if isinstance(node, ast.BinOp) and type(node.op) in BINARY:
        return _binary(node)
    if isinstance(node, ast.UnaryOp) and type(node.op) in UNARY:
        return UNARY[type(node.op)](_value(node.operand))
    if isinstance(node, ast.BoolOp):
        return _boolean(node)
    if isinstance(node, ast.IfExp):
        return _value(node.body if _value(node.test) else node.orelse)
    if isinstance(node, ast.Compare) and all(type(op) in COMPARE for op in node.ops):
        return _compare(node)
    raise LaunchError(
        f"$(eval …) does not support {ast.unparse(node)!r} ({type(node).__name__}); "
        "supported: numbers, strings, arithmetic, comparisons, and, or, not, in, x if c else y"
    )


def _binary(node: ast.BinOp) -> Any:
    left, right = _value(node.left), _value(node.right)
    if isinstance(node.op, ast.Mod) and isinstance(left, str):  # which can ask for gigabytes
        raise LaunchError(f"$(eval …): {ast.unparse(node)!r} formats a text; % is for numbers only")
    grows = isinstance(node.op, ast.Pow) or not (_number(left) and _number(right))  # 9**9**9, "a" * 10**9
    if grows and any(_number(value) and abs(value) > LARGEST for value in (left, right)):
        raise LaunchError(f"$(eval …): {ast.unparse(node)!r} is too large")
    value = BINARY[type(node.op)](left, right)
    if isinstance(value, (str, list)) and len(value) > LONGEST:  # "a" * 64 * 64 * 64
        raise LaunchError(f"$(eval …): {ast.unparse(node)!r} is too large")
    return value


def _number(value: Any) -> bool:
    return isinstance(value, (int, float))


def _boolean(node: ast.BoolOp) -> Any:
    stop = isinstance(node.op, ast.Or)
    value: Any = not stop
    for operand in node.values:
        value = _value(operand)
        if bool(value) is stop:
            return value
    return value


def _compare(node: ast.Compare) -> bool:
    left = _value(node.left)
    for op, right_node in zip(node.ops, node.comparators, strict=True):
        right = _value(right_node)
        if not COMPARE[type(op)](left, right):
            return False
        left = right
    return True
