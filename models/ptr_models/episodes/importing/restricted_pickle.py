# SPDX-License-Identifier: Apache-2.0
"""Pickles of plain data, read without running anything that they name.

A pickle is a program that may call any function. Here its opcodes are only parsed (`pickletools`), and a small
stack machine builds numbers, strings, lists, dictionaries and numpy arrays from them. Any other name in a pickle
raises an error that names it. What an array declares must agree with the bytes that are there.
"""

from __future__ import annotations

import math
import pickletools
import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, Literal

import numpy as np

from ptr_models.episodes.errors import EpisodeError
from ptr_models.input_limits import MAX_NUMPY_BYTES, MAX_PICKLE_BYTES, MAX_PICKLE_OPCODES

ADVICE = "it holds more than plain numbers and is not read"
_ARRAYS = {f"numpy.{core}.multiarray._reconstruct" for core in ("core", "_core")}
_SCALARS = {f"numpy.{core}.multiarray.scalar" for core in ("core", "_core")}
_BUFFERS = {f"numpy.{core}.numeric._frombuffer" for core in ("core", "_core")}
_BYTES = {"_codecs.encode", "__builtin__.bytes"}
"""How protocol 2 writes bytes; __builtin__.bytes stands for empty ones."""
_KNOWN = {"numpy.ndarray", "numpy.dtype", *_BYTES, *_ARRAYS, *_SCALARS, *_BUFFERS}
_DTYPE = re.compile(r"[<>=|]?(?:b1|[iu][1248]|f[248]|O8?)|\?|bool")
_PLAIN_DATA = {
    *("INT", "BININT", "BININT1", "BININT2", "LONG", "LONG1", "LONG4", "FLOAT", "BINFLOAT"),
    *("STRING", "BINSTRING", "SHORT_BINSTRING", "UNICODE", "BINUNICODE", "SHORT_BINUNICODE", "BINUNICODE8"),
    *("BINBYTES", "SHORT_BINBYTES", "BINBYTES8", "BYTEARRAY8"),
}
_CONSTANTS: dict[str, Any] = {"NONE": None, "NEWTRUE": True, "NEWFALSE": False, "EMPTY_TUPLE": ()}
_NO_MEANING = {"PROTO", "FRAME"}
ByteOrder = Literal["<", ">", "=", "|"]


class PickleError(EpisodeError):
    """A pickle is damaged, too large, or holds more than plain data."""


@dataclass
class _Name:
    """A function or class that the pickle mentions; it stays a name."""

    name: str


@dataclass
class _Dtype:
    """A numpy dtype under construction: one of a few plain kinds."""

    code: str
    order: ByteOrder = "="

    def made(self) -> np.dtype[Any]:
        return np.dtype(self.code).newbyteorder(self.order)


class _Array:
    """A numpy array under construction; `value` once its state is known."""

    value: Any = None


class _Mark:
    """The start of the newest group of items on the stack."""


def read_pickle(path: Path) -> Any:
    """What a file holds: numbers, strings, bytes, lists, tuples, dictionaries with names as keys, numpy arrays.

    Raises:
        PickleError: it is damaged, too large, or holds anything else.
    """
    size = path.stat().st_size
    if size > MAX_PICKLE_BYTES:
        raise PickleError(f"{path} has {size} bytes; at most {MAX_PICKLE_BYTES} are read")
    with path.open("rb") as file:
        return load(file, str(path))


def load(file: BinaryIO, name: str) -> Any:
    """The same for an open file, from its current position.

    Args:
        name: of the file in messages.
    Raises:
        PickleError: as in `read_pickle`.
    """
    try:
        return _Machine().run(file)
    except PickleError as error:
        raise PickleError(f"{name}: {error}") from None
    except (ValueError, TypeError, LookupError, ArithmeticError, AttributeError, MemoryError, RecursionError) as error:
        raise PickleError(f"{name} is not an intact pickle ({type(error).__name__})") from error


class _Machine:
    """The stack and the memo of one pickle."""

    def __init__(self) -> None:
        self._stack: list[Any] = []
        self._memo: dict[int, Any] = {}

    def run(self, file: BinaryIO) -> Any:
        """Process the opcodes one by one until the last one."""
        for number, (opcode, argument, _) in enumerate(pickletools.genops(file)):
            if number >= MAX_PICKLE_OPCODES:
                raise PickleError(f"more than {MAX_PICKLE_OPCODES} opcodes; {ADVICE}")
            if opcode.name == "STOP":
                return _finished(self._pop())
            self._step(opcode.name, argument)
        raise PickleError("it is cut off")

    def _step(self, name: str, argument: Any) -> None:
        if name in _PLAIN_DATA:
            self._stack.append(argument)
        elif name in _CONSTANTS:
            self._stack.append(_CONSTANTS[name])
        elif name in _NO_MEANING:
            return
        elif (action := _ACTIONS.get(name)) is not None:
            action(self, argument)
        else:
            raise PickleError(f"it uses {name}; {ADVICE}")

    def _pop(self) -> Any:
        value = self._stack.pop()
        if isinstance(value, _Mark):
            raise ValueError("a mark where a value should be")
        return value

    def _pop_group(self) -> list[Any]:
        """Remove the newest mark, and return the items above it."""
        place = len(self._stack) - 1
        while not isinstance(self._stack[place], _Mark):
            place -= 1
            if place < 0:
                raise ValueError("no mark")
        items = [_finished(item) for item in self._stack[place + 1 :]]
        del self._stack[place:]
        return items

    def _mark(self, _: Any) -> None:
        self._stack.append(_Mark())

    def _list(self, _: Any) -> None:
        self._stack.append([])

    def _dict(self, _: Any) -> None:
        self._stack.append({})

    def _list_of_group(self, _: Any) -> None:
        self._stack.append(self._pop_group())

    def _tuple_of_group(self, _: Any) -> None:
        self._stack.append(tuple(self._pop_group()))

    def _dict_of_group(self, _: Any) -> None:
        items = self._pop_group()
        self._stack.append({})
        self._fill(items)

    def _tuple(self, length: int) -> None:
        self._stack.append(tuple(reversed([_finished(self._pop()) for _ in range(length)])))

    def _append(self, _: Any) -> None:
        value = _finished(self._pop())
        self._list_on_top().append(value)

    def _extend(self, _: Any) -> None:
        items = self._pop_group()
        self._list_on_top().extend(items)

    def _set(self, _: Any) -> None:
        value, key = _finished(self._pop()), _finished(self._pop())
        self._fill([key, value])

    def _set_many(self, _: Any) -> None:
        self._fill(self._pop_group())

    def _fill(self, items: list[Any]) -> None:
        target = self._stack[-1]
        if type(target) is not dict:
            raise PickleError(f"it fills something other than a dictionary; {ADVICE}")
        for key, value in zip(items[::2], items[1::2], strict=True):
            if not isinstance(key, str):
                raise PickleError(f"a dictionary has a key of type {type(key).__name__}; names are needed")
            target[key] = value

    def _list_on_top(self) -> list[Any]:
        if type(self._stack[-1]) is not list:
            raise PickleError(f"it appends to something other than a list; {ADVICE}")
        return self._stack[-1]

    def _put(self, place: Any) -> None:
        self._memo[int(place)] = self._stack[-1]

    def _memoize(self, _: Any) -> None:
        self._memo[len(self._memo)] = self._stack[-1]

    def _get(self, place: Any) -> None:
        self._stack.append(self._memo[int(place)])

    def _discard(self, _: Any) -> None:
        self._stack.pop()

    def _duplicate(self, _: Any) -> None:
        self._stack.append(self._stack[-1])

    def _global(self, names: str) -> None:
        self._name(*names.split(" ", 1))

    def _stack_global(self, _: Any) -> None:
        name, module = self._pop(), self._pop()
        self._name(module, name)

    def _name(self, module: str, name: str) -> None:
        whole = f"{module}.{name}"
        if whole not in _KNOWN:
            raise PickleError(f"it names {whole[:100]!r}; {ADVICE}")
        self._stack.append(_Name(whole))

    def _reduce(self, _: Any) -> None:
        given, function = self._pop(), self._pop()
        if not isinstance(function, _Name) or not isinstance(given, tuple):
            raise PickleError(f"it calls something; {ADVICE}")
        self._stack.append(_called(function.name, given))

    def _build(self, _: Any) -> None:
        state = self._pop()
        target = self._stack[-1]
        if isinstance(target, _Dtype):
            target.order = _byte_order(state)
        elif isinstance(target, _Array) and target.value is None:
            _, shape, dtype, fortran, data = state
            target.value = _array(shape, dtype, data, "F" if fortran else "C")
        else:
            raise PickleError(f"it sets the state of an object; {ADVICE}")


_ACTIONS: dict[str, Callable[[_Machine, Any], None]] = {
    "MARK": _Machine._mark,
    "EMPTY_LIST": _Machine._list,
    "EMPTY_DICT": _Machine._dict,
    "LIST": _Machine._list_of_group,
    "TUPLE": _Machine._tuple_of_group,
    "DICT": _Machine._dict_of_group,
    "TUPLE1": lambda machine, _: machine._tuple(1),
    "TUPLE2": lambda machine, _: machine._tuple(2),
    "TUPLE3": lambda machine, _: machine._tuple(3),
    "APPEND": _Machine._append,
    "APPENDS": _Machine._extend,
    "SETITEM": _Machine._set,
    "SETITEMS": _Machine._set_many,
    "PUT": _Machine._put,
    "BINPUT": _Machine._put,
    "LONG_BINPUT": _Machine._put,
    "MEMOIZE": _Machine._memoize,
    "GET": _Machine._get,
    "BINGET": _Machine._get,
    "LONG_BINGET": _Machine._get,
    "POP": _Machine._discard,
    "DUP": _Machine._duplicate,
    "GLOBAL": _Machine._global,
    "STACK_GLOBAL": _Machine._stack_global,
    "REDUCE": _Machine._reduce,
    "BUILD": _Machine._build,
}


def _finished(value: Any) -> Any:
    """A value as it is stored in a container: only complete arrays, and no bare names of functions."""
    if isinstance(value, _Array):
        if value.value is None:
            raise ValueError("an array without its state")
        return value.value
    return value


def _called(function: str, given: tuple[Any, ...]) -> Any:
    """The result of one of the few known functions, without calling it."""
    if function in _ARRAYS:
        return _Array()
    if function == "numpy.dtype":
        return _dtype(given[0])
    if function in _SCALARS:
        dtype, data = given
        return _array((1,), dtype, data, "C")[0].item()
    if function in _BUFFERS:
        data, dtype, shape, order = given
        return _array(shape, dtype, data, order)
    if function == "_codecs.encode" and isinstance(given[0], str) and given[1:] == ("latin1",):
        return given[0].encode("latin1")
    if function == "__builtin__.bytes" and not given:
        return b""
    raise PickleError(f"it calls {function}; {ADVICE}")


def _dtype(code: Any) -> _Dtype:
    if not isinstance(code, str) or not _DTYPE.fullmatch(code):
        shown = code[:40] if isinstance(code, str) else type(code).__name__
        raise PickleError(f"an array of {shown!r}; numbers are needed")
    return _Dtype(code)


def _byte_order(state: Any) -> ByteOrder:
    """From the state of a dtype: version, byte order, and seven fields that plain numbers leave empty."""
    order, *structure = state[1:5]
    if order not in ("<", ">", "=", "|") or structure != [None, None, None]:
        raise PickleError("an array of a structured type; numbers are needed")
    return order


def _array(shape: Any, dtype: Any, data: Any, order: Any) -> Any:
    """An array whose bytes are all there, or the list that an array of objects stands for."""
    sides = shape if isinstance(shape, tuple) else (shape,)
    if not isinstance(dtype, _Dtype) or len(sides) > 8 or not all(_is_side(side) for side in sides):
        raise PickleError("an array without a valid type or shape")
    kind, items = dtype.made(), math.prod(sides)
    if kind.hasobject:
        if not isinstance(data, list) or len(data) != items or len(sides) != 1:
            raise PickleError("an array of objects that is not a list")
        return data
    if isinstance(data, str):  # bytes of Python 2
        data = data.encode("latin1")
    if not isinstance(data, bytes | bytearray) or len(data) != items * kind.itemsize or order not in ("C", "F"):
        size = len(data) if isinstance(data, bytes | bytearray) else 0
        raise PickleError(f"an array declares {items} items of {kind.itemsize} bytes and has {size} bytes")
    return np.frombuffer(data, kind).reshape(sides, order=order) if items else np.zeros(sides, kind)


def _is_side(side: Any) -> bool:
    return type(side) is int and 0 <= side <= MAX_NUMPY_BYTES
