#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Change single places of modules at random, and count how many of these mutants the unit tests notice ("kill").

    .venv/bin/python scripts/mutants.py ptr_bringup/ptr_bringup/arm/gate --count 4 --out mutants.jsonl
    .venv/bin/python scripts/mutants.py ptr_bringup/ptr_bringup/arm/gate --count 4 --out mutants.jsonl --survivors

A mutant differs in a comparison, an operator, `and` or `or`, a `not`, a constant, a returned value, or lacks a call or
an assignment to self; texts of errors and logs are left alone. Against it run the tests of at most ten files that
import its module, fastest first, for about --budget seconds of CPU time; with --survivors also those of files that
import it indirectly, or its package. Tests that take longer, or fail without mutants, are left out. A mutant is
killed, too, when its tests need five times as much CPU time, or ten times as long, as without it. One that survives
may be equivalent: it does the same as the module in all that matters.

All happens in a temporary copy of the repository: the working tree is never touched. --out gets a line of JSON for
each mutant, and the same command goes on where it was interrupted.

Neither mutmut 3 (all mutants of functions only, after the whole suite) nor Cosmic Ray (mutates the files in place, one
test command for all modules) takes a sample and the tests near it.
"""

from __future__ import annotations

import argparse
import ast
import contextlib
import functools
import importlib
import json
import multiprocessing
import os
import random
import resource
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any, NamedTuple

os.environ.update(dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1"))
import pytest  # noqa: E402

ROOT = Path(__file__).resolve().parent.parent
PACKAGES = ("models", "ptr_bringup", "ptr_teleop", "ptr_policy")
IMPORTED_ONCE = ("torch", "torchvision", "scipy.stats", "cv2", "mujoco", "rclpy", "rosbags", "hypothesis", "matplotlib")
"""What tests import, and takes long: they run in forks of this process."""
FIRST = {"ptr_models", "ptr_bringup", "ptr_teleop", "ptr_policy"}  # names of what is imported from them
FILES = 10  # of tests, at most
UNTESTED = {"debug", "info", "warning", "error", "exception", "print", "warn"}  # calls for texts
OTHERS: dict[type[ast.AST], type[ast.AST]] = {
    **{ast.Lt: ast.LtE, ast.LtE: ast.Lt, ast.Gt: ast.GtE, ast.GtE: ast.Gt, ast.Eq: ast.NotEq, ast.NotEq: ast.Eq},
    **{ast.Is: ast.IsNot, ast.IsNot: ast.Is, ast.In: ast.NotIn, ast.NotIn: ast.In, ast.And: ast.Or, ast.Or: ast.And},
    **{ast.Add: ast.Sub, ast.Sub: ast.Add, ast.Mult: ast.Div, ast.Div: ast.Mult, ast.FloorDiv: ast.Mult},
    **{ast.Mod: ast.Mult, ast.Pow: ast.Mult, ast.BitAnd: ast.BitOr, ast.LShift: ast.RShift, ast.RShift: ast.LShift},
}


class Mutant(NamedTuple):
    """One change of a module: `before` at bytes start to end of the source, and what is there instead."""

    line: int
    start: int
    end: int
    before: str
    after: str


def mutants_of(source: bytes) -> list[Mutant]:
    """All mutants of a module that the kinds in the text above allow."""
    lines = [0]
    for line in source.splitlines(keepends=True):
        lines.append(lines[-1] + len(line))
    found = []
    for node, after in changes(ast.parse(source)):
        start = lines[node.lineno - 1] + node.col_offset
        end = lines[node.end_lineno - 1] + node.end_col_offset
        found.append(Mutant(node.lineno, start, end, source[start:end].decode(), after))
    return found


def changes(node: ast.AST, returns: ast.expr | None = None) -> Iterator[tuple[Any, str]]:
    """Nodes below `node`, in a function that returns `returns`, with the text of another one in their place."""
    if isinstance(node, (ast.Raise, ast.JoinedStr)) or (isinstance(node, ast.Call) and _name(node.func) in UNTESTED):
        return  # messages
    if isinstance(node, ast.Assign) and any(_name(target) == "__all__" for target in node.targets):
        return
    if isinstance(node, ast.If) and ast.unparse(node.test) in ("TYPE_CHECKING", "__name__ == '__main__'"):
        return
    if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
        returns = node.returns
    if isinstance(node, ast.Compare):
        for i, operator in enumerate(node.ops):
            ops = [*node.ops[:i], OTHERS[type(operator)](), *node.ops[i + 1 :]]
            yield node, f"({ast.unparse(ast.Compare(node.left, ops, node.comparators))})"  # type: ignore[arg-type]
    elif isinstance(node, ast.BinOp) and type(node.op) in OTHERS and not any(map(_is_text, (node.left, node.right))):
        yield node, f"({ast.unparse(ast.BinOp(node.left, OTHERS[type(node.op)](), node.right))})"  # type: ignore[arg-type]
    elif isinstance(node, ast.BoolOp):
        yield node, f"({ast.unparse(ast.BoolOp(OTHERS[type(node.op)](), node.values))})"  # type: ignore[arg-type]
    elif isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.Not):
        yield node, f"({ast.unparse(node.operand)})"
    elif isinstance(node, ast.Constant) and isinstance(node.value, (bool, int, float)):
        old = node.value
        yield node, repr(not old if isinstance(old, bool) else old + (old if isinstance(old, float) and old else 1))
    elif isinstance(node, ast.Return) and node.value and ast.unparse(node.value) != "None":
        text = ast.unparse(node.value)
        yield node, f"return not ({text})" if returns and ast.unparse(returns) == "bool" else "return None"
    elif isinstance(node, ast.Expr) and isinstance(node.value, ast.Call) and _name(node.value.func) not in UNTESTED:
        yield node, "pass"
    elif isinstance(node, (ast.Assign, ast.AugAssign, ast.AnnAssign)) and node.value:
        target = node.targets[0] if isinstance(node, ast.Assign) else node.target
        if isinstance(target, ast.Attribute) and isinstance(target.value, ast.Name) and target.value.id == "self":
            yield node, "pass"
    for field, value in ast.iter_fields(node):
        if field not in ("annotation", "returns", "decorator_list"):
            for child in value if isinstance(value, list) else [value]:
                if isinstance(child, ast.AST):
                    yield from changes(child, returns)


def _name(node: ast.AST) -> str:
    return node.attr if isinstance(node, ast.Attribute) else node.id if isinstance(node, ast.Name) else ""


def _is_text(node: ast.AST) -> bool:
    return isinstance(node, ast.JoinedStr) or (isinstance(node, ast.Constant) and isinstance(node.value, str))


def module_name(file: Path) -> str:
    """`ptr_models.replay.store` for its file; the plain name for a file of the tests."""
    parts = file.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[1:] if parts[0] in PACKAGES else parts[-1:]).removesuffix(".__init__")


def imports(file: Path) -> set[str]:
    """The modules that a file imports, and `module.name` for each name that it imports from one."""
    names: set[str] = set()
    for node in ast.walk(ast.parse(file.read_bytes())):
        if isinstance(node, ast.Import):
            names.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            names.update({node.module}, (f"{node.module}.{alias.name}" for alias in node.names))
    return names


@functools.cache
def imported_by() -> dict[str, set[str]]:
    """What each module of the suite and each file of the unit tests imports."""
    files = [file for package in PACKAGES for file in (ROOT / package).glob("ptr_*/**/*.py")]
    return {module_name(file): imports(file) for file in [*files, *(ROOT / "tests" / "unit").rglob("*.py")]}


@functools.cache
def near_tests(module: str, wide: bool) -> list[str]:
    """Files of unit tests that import the module, or else one that imports it, or else its package; wide: all three."""
    graph = imported_by()
    users = {name for name, imported in graph.items() if module in imported}
    package, _, last = module.rpartition(".")
    ranked = []
    for file in (ROOT / "tests" / "unit").rglob("test_*.py"):
        imported = graph[module_name(file)]
        near = (module in imported, users & imported, any(f"{name}.".startswith(f"{package}.") for name in imported))
        if any(near):
            rank = [bool(one) for one in near].index(True)
            ranked.append((rank, not file.stem.endswith(last), file.stat().st_size, str(file.relative_to(ROOT))))
    return [file for rank, *_, file in sorted(ranked)[:FILES] if wide or rank == min(ranked)[0]]


class Watcher:
    """A plugin for pytest: runs some tests only, and tells how each ended and what time it took."""

    def __init__(self, out: Connection, only: set[str] | None) -> None:
        self.out, self.only, self.began = out, only, (0.0, 0.0)

    def pytest_collection_modifyitems(self, items: list[pytest.Item]) -> None:  # noqa: D102
        if self.only is not None:
            items[:] = [item for item in items if item.nodeid in self.only]

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_protocol(self) -> Iterator[None]:  # noqa: D102
        self.began, self.failed = (sum(os.times()[:4]), time.monotonic()), False
        return (yield)

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:  # noqa: D102
        self.failed |= report.failed
        if report.when == "teardown" or report.failed:
            spent = (sum(os.times()[:4]) - self.began[0], time.monotonic() - self.began[1])
            self.out.send((report.nodeid, not self.failed, *spent))


def run(copy: Path, files: list[str], only: set[str] | None, cpu: float, wall: float) -> tuple[list[tuple], str]:
    """Run tests in a fork: what Watcher told, and how it ended: "passed", "failed" or "timeout"."""

    def tests() -> None:
        os.setsid()
        for descriptor in (0, 1, 2):
            os.dup2(os.open(os.devnull, os.O_RDWR), descriptor)
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
        resource.setrlimit(resource.RLIMIT_CPU, (int(cpu) + 1, int(cpu) + 2))
        os.chdir(copy)
        os.environ["PYTHONPATH"] = os.pathsep.join(str(copy / package) for package in PACKAGES)
        options = ["-o", "addopts=", "-q", "-p", "no:cacheprovider", "--tb=no", *(["-x"] if only is not None else [])]
        code = pytest.main([*options, *files], [Watcher(sender, only)])
        suite = [module for name, module in sys.modules.items() if name.split(".")[0] in FIRST]
        os._exit(int(code != 0) if all(str(copy) in (module.__file__ or str(copy)) for module in suite) else 3)

    receiver, sender = multiprocessing.Pipe(duplex=False)
    child = multiprocessing.get_context("fork").Process(target=tests)
    child.start()
    sender.close()
    told, deadline = [], time.monotonic() + wall
    try:
        with contextlib.suppress(EOFError):
            while receiver.poll(max(deadline - time.monotonic(), 0)):
                told.append(receiver.recv())
        child.join(max(deadline - time.monotonic(), 0))
        code = child.exitcode
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(child.pid or 0, signal.SIGKILL)  # with all that the tests have started
        child.join()
    if code == 3:
        sys.exit(f"error: the tests in {copy} import the suite from elsewhere")
    return told, "timeout" if code is None or code == -signal.SIGXCPU else "failed" if code else "passed"


class Trial:
    """Tests in a copy of the repository in `copy`, with one mutant at a time."""

    def __init__(self, copy: Path, budget: float, wide: bool) -> None:
        self.copy, self.budget, self.wide, self.version = copy, budget, wide, 10**9
        self.known: dict[str, dict[str, tuple[float, float]]] = {}  # file: test: s of CPU time, s
        listed = subprocess.check_output(["git", "ls-files", "-zco", "--exclude-standard"], cwd=ROOT, text=True)
        for name in filter(None, listed.split("\0")):
            if (ROOT / name).is_file():
                (copy / name).parent.mkdir(parents=True, exist_ok=True)
                shutil.copy(ROOT / name, copy / name)

    def tests(self, module: str) -> tuple[list[str], set[str], float, float]:
        """For a module: files of tests, fastest first, tests in them, and the CPU time and time that they take."""
        chosen: dict[str, dict[str, tuple[float, float]]] = {}
        spent = 0.0
        for file in near_tests(module, self.wide):
            if file not in self.known:
                told, _ = run(self.copy, [file], None, 2 * self.budget + 10, 10 * self.budget + 120)
                failed = {test for test, passed, *_ in told if not passed}
                self.known[file] = {test: (cpu, wall) for test, _, cpu, wall in told if test not in failed}
            for test, (cpu, wall) in sorted(self.known[file].items(), key=lambda item: item[1]):
                if spent + cpu <= self.budget:
                    chosen.setdefault(file, {})[test] = cpu, wall
                    spent += cpu
            if spent > 0.8 * self.budget:
                break
        files = sorted(chosen, key=lambda file: sum(cpu for cpu, _ in chosen[file].values()))
        wall = sum(wall for times in chosen.values() for _, wall in times.values())
        return files, {test for times in chosen.values() for test in times}, spent, wall

    def killer(self, file: str, mutant: Mutant, tests: tuple[list[str], set[str], float, float]) -> str:
        """The test that notices a mutant, "timeout", "crash" (also in the import), or ""."""
        files, only, cpu, wall = tests
        source = (ROOT / file).read_bytes()
        try:
            self._write(file, source[: mutant.start] + mutant.after.encode() + source[mutant.end :])
            told, end = run(self.copy, files, only, 5 * cpu + 10, 10 * wall + 60)
        finally:
            self._write(file, source)
        failed = [test for test, passed, *_ in told if not passed]
        return failed[0] if failed else {"passed": "", "failed": "crash"}.get(end, end)

    def _write(self, file: str, source: bytes) -> None:
        self.version += 2  # s: byte code is made again
        (self.copy / file).write_bytes(source)
        os.utime(self.copy / file, (self.version, self.version))


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("modules", nargs="+", type=Path, help="files, or folders of them")
    parser.add_argument("--count", type=int, default=4, help="mutants of each module (4)")
    parser.add_argument("--seed", type=int, default=0, help="of the choice of mutants (0)")
    parser.add_argument("--budget", type=float, default=10.0, help="s of CPU time for the tests of a mutant (10)")
    parser.add_argument("--out", type=Path, required=True, help="JSON lines; the last one of a mutant counts")
    parser.add_argument("--survivors", action="store_true", help="try those that survived once more, with more tests")
    arguments = parser.parse_args()
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # removes the copy
    done: dict[tuple, dict] = {}
    for line in arguments.out.read_text().splitlines() if arguments.out.exists() else []:
        record = json.loads(line)
        done[tuple(record[key] for key in ("module", "line", "column", "after"))] = record
    for name in IMPORTED_ONCE:
        with contextlib.suppress(ImportError):
            importlib.import_module(name)
    files = [file for path in arguments.modules for file in (sorted(path.rglob("*.py")) if path.is_dir() else [path])]
    files = [str(file.resolve().relative_to(ROOT)) for file in files if file.name != "__init__.py"]
    with tempfile.TemporaryDirectory(prefix="mutants-") as folder:
        trial = Trial(Path(folder).resolve(), arguments.budget, arguments.survivors)
        for file in files:
            source, module = (ROOT / file).read_bytes(), module_name(ROOT / file)
            every = mutants_of(source)
            chosen = random.Random(f"{arguments.seed} {module}").sample(every, min(arguments.count, len(every)))
            for mutant in sorted(chosen):
                column = mutant.start - source.rfind(b"\n", 0, mutant.start)
                key = (module, mutant.line, column, mutant.after)
                if key in done and not (arguments.survivors and not done[key]["killed"]):
                    continue
                began, tests = time.monotonic(), trial.tests(module)
                if not tests[1]:
                    print(f"{file}: no unit test is near", file=sys.stderr)
                    break
                by = trial.killer(file, mutant, tests)
                done[key] = {"module": module, "line": mutant.line, "column": column, "before": mutant.before}
                done[key] |= {"after": mutant.after, "killed": bool(by), "by": by, "tests": len(tests[1])}
                done[key] |= {"seconds": round(time.monotonic() - began, 1)}
                with arguments.out.open("a") as out:
                    out.write(json.dumps(done[key]) + "\n")
                change = f"{mutant.before[:60]!r} -> {mutant.after[:60]!r}"
                print(f"{file}:{mutant.line}: {change}: {by or 'SURVIVED'}", flush=True)
    modules = [module_name(ROOT / file) for file in files]
    print(f"\n{'module':50} mutants killed share")
    for name, of in [*((module, {module}) for module in modules), ("all", set(modules))]:
        killed = [record["killed"] for record in done.values() if record["module"] in of]
        if killed:
            print(f"{name:50} {len(killed):7} {sum(killed):6} {sum(killed) / len(killed):5.0%}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
