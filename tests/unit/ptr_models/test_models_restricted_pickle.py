# SPDX-License-Identifier: Apache-2.0
"""Pickles of plain data are read; what else a pickle holds ends in one sentence, and nothing of it runs."""

from __future__ import annotations

import builtins
import collections
import datetime
import io
import os
import pickle
import struct
import subprocess
import tracemalloc
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ptr_models.episodes.importing import restricted_pickle
from ptr_models.episodes.importing.restricted_pickle import PickleError, load, read_pickle


def loads(data: bytes) -> Any:
    return load(io.BytesIO(data), "it.pkl")


PLAIN = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text() | st.binary(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner) | st.tuples(inner, inner),
    max_leaves=20,
)


@settings(max_examples=100)
@given(PLAIN, st.integers(0, 5))
def test_plain_data_comes_back_from_every_protocol(value: Any, protocol: int) -> None:
    assert loads(pickle.dumps(value, protocol)) == (value if protocol else pickle.loads(pickle.dumps(value, 0)))


ARRAYS = {
    "float64": np.arange(14.0).reshape(2, 7),
    "float32": np.float32([[1, 2], [3, 4]]),
    "column-major": np.asfortranarray(np.arange(6.0).reshape(2, 3)),
    "uint8": np.arange(256, dtype=np.uint8),
    "bool": np.array([True, False]),
    "big-endian": np.arange(3, dtype=">i4"),
    "a slice": np.arange(20.0).reshape(4, 5)[:2],
    "empty": np.zeros((0, 7)),
    "a number": np.array(3.5),
}


@pytest.mark.parametrize("protocol", range(2, 6))
@pytest.mark.parametrize("array", ARRAYS.values(), ids=ARRAYS)
def test_arrays_come_back_bit_for_bit(array: np.ndarray, protocol: int) -> None:
    found = loads(pickle.dumps({"a": array, "again": [array]}, protocol))
    for copy in (found["a"], found["again"][0]):
        assert copy.dtype == array.dtype and copy.shape == array.shape
        np.testing.assert_array_equal(copy, array)


@pytest.mark.parametrize("protocol", range(2, 6))
def test_numpy_scalars_and_arrays_of_dictionaries_come_back(protocol: int) -> None:
    found = loads(pickle.dumps([np.float64(1.5), np.bool_(True), np.int32(-3)], protocol))
    assert found == [1.5, True, -3]
    steps = np.array([{"state": [1.0]}, {"state": [2.0]}], dtype=object)
    assert loads(pickle.dumps(steps, protocol)) == [{"state": [1.0]}, {"state": [2.0]}]


class Gadget:
    """What an attacker writes: on loading, `pickle` calls a function with arguments."""

    def __init__(self, function: Callable[..., Any], *given: Any) -> None:
        self._call = (function, given)

    def __reduce__(self) -> Any:
        return self._call


class OwnClass:
    pass


HOSTILE: dict[str, tuple[Callable[[Path], Any], str]] = {
    "os.system": (lambda path: Gadget(os.system, f"touch {path}"), "names 'posix.system'"),
    "eval": (lambda path: Gadget(builtins.eval, f"open({str(path)!r}, 'w')"), "names 'builtins.eval'"),
    "exec": (lambda path: Gadget(builtins.exec, f"open({str(path)!r}, 'w')"), "names 'builtins.exec'"),
    "getattr": (lambda path: Gadget(builtins.getattr, "a", "upper"), "names 'builtins.getattr'"),
    "open": (lambda path: Gadget(builtins.open, str(path), "w"), "names '_?io.open'"),
    "subprocess": (lambda path: Gadget(subprocess.Popen, ["touch", str(path)]), "names 'subprocess.Popen'"),
    "numpy.load": (lambda path: Gadget(np.load, str(path)), "names 'numpy.load'"),
    "numpy.save": (lambda path: Gadget(np.save, str(path), 1), "names 'numpy.save'"),
    "numpy.fromfile": (lambda path: Gadget(np.fromfile, "/dev/zero"), "names 'numpy.*fromfile'"),
    "numpy.memmap": (lambda path: Gadget(np.memmap, str(path), "u1", "w+", 0, (9,)), "names 'numpy.*memmap'"),
    "numpy.zeros": (lambda path: Gadget(np.zeros, (10**12,)), "names 'numpy.zeros'"),
    "numpy.ndarray": (lambda path: Gadget(np.ndarray, (2**40,)), "calls numpy.ndarray"),
    "a codec": (lambda path: Gadget(__import__("_codecs").encode, b"x", "zip"), "calls _codecs.encode"),
    "an object": (lambda path: OwnClass(), "names '.*OwnClass'"),
    "a set": (lambda path: {1, 2}, "uses EMPTY_SET|names 'builtins.set'"),
    "an ordered dictionary": (lambda path: collections.OrderedDict(a=1), "names 'collections.OrderedDict'"),
    "a date": (lambda path: datetime.date(2022, 1, 1), "names 'datetime.date'"),
    "keys that are no names": (lambda path: {3: 4}, "a key of type int"),
    "a structured array": (lambda path: np.zeros(2, "i4,f8"), "an array of 'V12'"),
    "an array of text": (lambda path: np.array(["a"]), "an array of '.?U1'"),
    "an array of arrays of objects": (lambda path: np.zeros((2, 2), object), "an array of objects that is not a list"),
}


@pytest.mark.parametrize("protocol", [3, 4, 5])
@pytest.mark.parametrize(("make", "words"), HOSTILE.values(), ids=HOSTILE)
def test_what_is_more_than_plain_data_is_refused_and_nothing_runs(
    tmp_path: Path, make: Callable[[Path], Any], words: str, protocol: int
) -> None:
    trap = tmp_path / "trap"
    (tmp_path / "it.pkl").write_bytes(pickle.dumps([1, {"a": make(trap)}], protocol))
    with pytest.raises(PickleError, match=f"it.pkl: .*({words})") as refusal:
        read_pickle(tmp_path / "it.pkl")
    assert not trap.exists()
    assert "\n" not in str(refusal.value)


def array_pickle(shape: str, data: str) -> bytes:
    """An array of float64 in protocol 0 with a shape and bytes of one's choice."""
    head = "cnumpy.core.multiarray\n_reconstruct\n(cnumpy\nndarray\n(I0\ntS'b'\ntR"
    kind = "cnumpy\ndtype\n(S'f8'\nI00\nI01\ntR(I3\nS'<'\nNNNI-1\nI-1\nI0\ntb"
    return f"{head}(I1\n{shape}{kind}I00\n{data}tb.".encode()


CRAFTED = {
    "a name in an instance": (b"(S'x'\nios\nsystem\n.", "uses INST"),
    "an object by its class": (b"(cnumpy\nndarray\nS'x'\no.", "uses OBJ"),
    "a new object": (b"\x80\x02cnumpy\nndarray\n)\x81.", "uses NEWOBJ"),
    "a persistent id": (b"Psomething\n.", "uses PERSID"),
    "an extension code": (b"\x80\x02\x82\x01.", "uses EXT1"),
    "a buffer from outside": (b"\x80\x05\x97.", "uses NEXT_BUFFER"),
    "a dotted name": (b"\x80\x04\x8c\x05numpy\x8c\x0cndarray.dump\x93.", "names 'numpy.ndarray.dump'"),
    "a name of no text": (b"\x80\x04K\x01K\x02\x93.", "names '1.2'"),
    "a call of text": (b"S'os.system'\n(S'ls'\ntR.", "calls something"),
    "a state of a list": (b"](S'a'\ntb.", "sets the state of an object"),
    "an entry of a list's": (b"]S'a'\nI1\ns.", "fills something other than a dictionary"),
    "an item of a dictionary's": (b"}I1\na.", "appends to something other than a list"),
    "an array larger than its bytes": (array_pickle("(I1000000000000\nt", "S''\n"), "without a valid type or shape"),
    "an array of 8 GB": (array_pickle("(I1000000000\nt", "S''\n"), "declares 1000000000 items .* has 0 bytes"),
    "an array of many sides": (array_pickle("(" + "I9\n" * 40 + "t", "S''\n"), "without a valid type or shape"),
    "a negative shape": (array_pickle("(I-1\nt", "S'12345678'\n"), "without a valid type or shape"),
    "an array without a state": (array_pickle("(I1\nt", "N")[:60].split(b"tR")[0] + b"tR.", "not an intact pickle"),
    "no mark": (b"I1\nt.", "not an intact pickle"),
    "an empty stack": (b"0.", "not an intact pickle"),
    "an unknown memo": (b"g7\n.", "not an intact pickle"),
    "an unknown opcode": (b"\xff.", "not an intact pickle"),
    "cut off": (pickle.dumps([1, 2, 3])[:-1], "not an intact pickle"),
    "nothing": (b"", "not an intact pickle"),
}


@pytest.mark.parametrize(("data", "words"), CRAFTED.values(), ids=CRAFTED)
def test_a_crafted_pickle_ends_in_one_sentence(data: bytes, words: str) -> None:
    with pytest.raises(PickleError, match=words):
        loads(data)


HUGE = {
    "bytes": b"\x80\x05\x8e" + struct.pack("<Q", 2**40) + b"x.",
    "a byte array": b"\x80\x05\x96" + struct.pack("<Q", 2**40) + b"x.",
    "a text": b"\x80\x04\x8d" + struct.pack("<Q", 2**40) + b"x.",
    "a place in the memo": b"N" + b"r\xff\xff\xff\x7f" + b".",
    "a frame": b"\x80\x04\x95" + struct.pack("<Q", 2**40) + b"N.",
}


@pytest.mark.parametrize("data", HUGE.values(), ids=HUGE)
def test_sizes_that_are_only_claimed_take_no_memory(data: bytes) -> None:
    tracemalloc.start()
    try:
        loads(data)
    except PickleError:
        pass
    finally:
        _, peak = tracemalloc.get_traced_memory()
        tracemalloc.stop()
    assert peak < 2**22


def test_too_many_opcodes_or_bytes_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(restricted_pickle, "MAX_PICKLE_OPCODES", 1000)
    with pytest.raises(PickleError, match="more than 1000 opcodes"):
        loads(b"]" * 2000 + b".")
    monkeypatch.setattr(restricted_pickle, "MAX_PICKLE_BYTES", 100)
    (tmp_path / "it.pkl").write_bytes(pickle.dumps(list(range(200))))
    with pytest.raises(PickleError, match="at most 100 are read"):
        read_pickle(tmp_path / "it.pkl")


@settings(max_examples=300)
@given(st.binary(max_size=80), st.integers(0, 300))
def test_any_bytes_are_data_or_a_pickle_error(noise: bytes, place: int) -> None:
    sound = pickle.dumps({"full_state": np.arange(7.0), "time_stamp": [1.0, 2.0]}, 4)
    for data in (noise, sound[:place] + noise + sound[place + len(noise) :]):
        try:
            loads(data)
        except PickleError:
            pass
