# SPDX-License-Identifier: Apache-2.0
"""From a launch file and its arguments to a list of processes."""

from __future__ import annotations

import math
import os
import shlex
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from ptr_bringup.launching.arguments import Argument, declared_arguments, resolve, unknown_argument
from ptr_bringup.launching.documents import Element, read_document
from ptr_bringup.launching.errors import LaunchError
from ptr_bringup.launching.packages import executable
from ptr_bringup.launching.parameters import ParameterFile, parameter
from ptr_bringup.launching.substitutions import Context, substitute, truth

DEEPEST = 20  # includes within includes
MOST_INCLUDES = 1000  # in all: files that include one file many times each would never end
OUTPUTS = ("screen", "log", "both", "own_log", "full")


@dataclass(frozen=True)
class Process:
    """A process to start.

    Attributes:
        name: what its output lines are marked with, before the number.
        command: argument vector; a ParameterFile stands for the path that it will be written to.
        environment: all variables.
        folder: working directory, None for the launcher's.
        on_screen: its standard output is shown (standard error always is).
        shutdown_on_exit: when it ends, all others are ended too.
        respawn: started again when it ends, after `respawn_delay` seconds.
    """

    name: str
    command: tuple[str | ParameterFile, ...]
    environment: Mapping[str, str]
    folder: Path | None = None
    on_screen: bool = False
    shutdown_on_exit: bool = False
    respawn: bool = False
    respawn_delay: float = 0.0


@dataclass
class Plan:
    """Everything that a launch file asks for."""

    processes: list[Process] = field(default_factory=list)
    messages: list[str] = field(default_factory=list)


def interpret(file: Path, given: Mapping[str, str], environment: Mapping[str, str]) -> Plan:
    """Interpret a launch file.

    Args:
        file: an XML launch file.
        given: launch arguments by name.
        environment: what `$(env …)` sees and processes inherit.

    Raises:
        LaunchError: the file or an argument is wrong; nothing has been started.
    """
    root = read_document(file)
    declared = declared_arguments(root, environment)
    for name in given:
        if name not in declared:
            raise unknown_argument(name, file, declared)
    interpreter = _Interpreter()
    try:
        interpreter.run(root, _Scope(dict(given), dict(environment), "", file, 0))
    except RecursionError:
        raise LaunchError(f"{file}: includes and groups are nested too deeply") from None
    return interpreter.plan


@dataclass
class _Scope:
    """What holds at one place of the file; an include shares its includer's variables, as in ROS 2."""

    variables: dict[str, str]
    environment: dict[str, str]
    namespace: str
    file: Path
    depth: int

    def child(self) -> _Scope:
        """A copy, for a scoped group."""
        return _Scope(dict(self.variables), dict(self.environment), self.namespace, self.file, self.depth)

    def text(self, element: Element, attribute: str, default: str = "") -> str:
        """An attribute with its substitutions evaluated."""
        try:
            context = Context(self.variables, self.environment, self.file)
            return substitute(element.get(attribute, default), context)
        except LaunchError as error:
            raise element.place.error(f"{attribute!r} of <{element.tag}>: {error}") from None

    def flag(self, element: Element, attribute: str, default: str) -> bool:
        """An attribute that is true or false."""
        text = self.text(element, attribute, default)
        try:
            return truth(text)
        except LaunchError as error:
            raise element.place.error(f"{attribute!r} of <{element.tag}>: {error}") from None

    def applies(self, element: Element) -> bool:
        """Whether the element's `if` or `unless` lets it happen."""
        if "if" in element.attributes:
            return self.flag(element, "if", "true")
        return not ("unless" in element.attributes and self.flag(element, "unless", "false"))


class _Interpreter:
    """Walks the elements in order; every action is one method."""

    def __init__(self) -> None:
        self.plan = Plan()
        self._includes = 0

    def run(self, parent: Element, scope: _Scope) -> None:
        """Carry out the children of an element."""
        for element in parent.children:
            if scope.applies(element):
                action = element.tag.replace("-", "_")
                getattr(self, f"_{action}")(element, scope)

    def _arg(self, element: Element, scope: _Scope) -> None:
        argument = Argument.of(element)
        default = scope.text(element, "default") if argument.default is not None else None
        scope.variables[argument.name] = resolve(argument, default, scope.variables.get(argument.name))

    def _let(self, element: Element, scope: _Scope) -> None:
        scope.variables[scope.text(element, "name")] = scope.text(element, "value")

    def _group(self, element: Element, scope: _Scope) -> None:
        self.run(element, scope.child() if scope.flag(element, "scoped", "true") else scope)

    def _include(self, element: Element, scope: _Scope) -> None:
        file = Path(scope.text(element, "file"))
        if scope.depth >= DEEPEST:
            raise element.place.error(f"more than {DEEPEST} nested includes; does {file} include itself?")
        self._includes += 1
        if self._includes > MOST_INCLUDES:
            raise element.place.error(f"more than {MOST_INCLUDES} includes in all")
        for child in element.children:
            scope.variables[scope.text(child, "name")] = scope.text(child, "value")
        try:
            root = read_document(file)
        except LaunchError as error:
            raise element.place.error(str(error)) from None
        outer, scope.file, scope.depth = scope.file, file, scope.depth + 1
        self.run(root, scope)
        scope.file, scope.depth = outer, scope.depth - 1

    def _log(self, element: Element, scope: _Scope) -> None:
        self.plan.messages.append(scope.text(element, "message"))

    def _set_env(self, element: Element, scope: _Scope) -> None:
        scope.environment[scope.text(element, "name")] = scope.text(element, "value")

    def _unset_env(self, element: Element, scope: _Scope) -> None:
        scope.environment.pop(scope.text(element, "name"), None)

    def _push_ros_namespace(self, element: Element, scope: _Scope) -> None:
        scope.namespace = join_namespaces(scope.namespace, scope.text(element, "namespace"))

    def _executable(self, element: Element, scope: _Scope) -> None:
        words = self._split(element, "cmd", scope)
        if not words:
            raise element.place.error("'cmd' of <executable> is empty")
        name = scope.text(element, "name") or os.path.basename(words[0])
        self._add(element, scope, name, words)

    def _node(self, element: Element, scope: _Scope) -> None:
        package, program = scope.text(element, "pkg"), scope.text(element, "exec")
        try:
            path = executable(package, program)
        except LaunchError as error:
            raise element.place.error(str(error)) from None
        name, namespace = scope.text(element, "name"), scope.text(element, "namespace")
        namespace = join_namespaces(scope.namespace, namespace)
        namespace = f"/{namespace.strip('/')}" if namespace.strip("/") else ""
        words: list[str | ParameterFile] = [str(path), *self._split(element, "args", scope), "--ros-args"]
        words += self._split(element, "ros_args", scope)
        words += ["-r", f"__node:={name}"] if name else []
        words += ["-r", f"__ns:={namespace}"] if namespace else []
        for child in element.children:
            if child.tag == "param":
                target = f"{namespace}/{name}" if name else "/**"
                words += ["--params-file", parameter(child, target, scope.text)]
            elif child.tag == "remap":
                words += ["-r", f"{scope.text(child, 'from')}:={scope.text(child, 'to')}"]
        self._add(element, scope, program, words)

    def _add(self, element: Element, scope: _Scope, name: str, words: list[str | ParameterFile]) -> None:
        prefix = self._split(element, "launch-prefix", scope)
        environment = dict(scope.environment)
        for child in element.children:
            if child.tag == "env":
                environment[scope.text(child, "name")] = scope.text(child, "value")
        on_exit, output = scope.text(element, "on_exit"), scope.text(element, "output", "log")
        if on_exit not in ("", "shutdown"):
            raise element.place.error(f"'on_exit' may only be 'shutdown', not {on_exit!r}")
        if output not in OUTPUTS:
            raise element.place.error(f"'output' must be one of {', '.join(OUTPUTS)}, not {output!r}")
        delay = scope.text(element, "respawn_delay", "0")
        try:
            seconds = float(delay)
        except ValueError:
            seconds = math.nan
        if not 0 <= seconds < math.inf:
            raise element.place.error(f"'respawn_delay' must be seconds, not {delay!r}")
        folder = scope.text(element, "cwd")
        self.plan.processes.append(
            Process(
                name=name,
                command=(*prefix, *words),
                environment=environment,
                folder=Path(folder) if folder else None,
                on_screen=output in ("screen", "both", "full"),
                shutdown_on_exit=bool(on_exit),
                respawn=scope.flag(element, "respawn", "false"),
                respawn_delay=seconds,
            )
        )

    @staticmethod
    def _split(element: Element, attribute: str, scope: _Scope) -> list[str]:
        try:
            return shlex.split(scope.text(element, attribute))
        except ValueError as error:
            raise element.place.error(f"{attribute!r} of <{element.tag}>: {error}") from None


def join_namespaces(outer: str, inner: str) -> str:
    """The inner namespace within the outer one; an absolute inner one replaces it."""
    if not inner or inner.startswith("/"):
        return inner.rstrip("/") or outer
    return f"{outer.rstrip('/')}/{inner.strip('/')}"
