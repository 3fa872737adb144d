# SPDX-License-Identifier: Apache-2.0
"""Turns a launch file and its arguments into a list of processes."""

from __future__ import annotations

import math
import os
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from ptr_bringup.launching.arguments import Argument, declared_arguments, require_arguments
from ptr_bringup.launching.documents import Element, read_document
from ptr_bringup.launching.errors import LaunchError, known_names
from ptr_bringup.launching.packages import executable
from ptr_bringup.launching.parameters import ParameterFile, check_parameter, parameter
from ptr_bringup.launching.substitutions import Context, boolean, condition, evaluate, split

MAX_INCLUDES = 1000  # in total: nested files that each include a file many times would take forever
OUTPUTS = ("screen", "log", "both", "own_log", "full")
NAMESPACE = "ros_namespace"
"""The launch variable in which ROS 2's launch keeps the namespace."""
RESERVED = ("emulate_tty", "global_params", "launch-prefix", "ros_remaps", "sigkill_timeout", "sigterm_timeout")
"""Launch variables that change how ROS 2's launch starts and ends processes."""


@dataclass(frozen=True)
class Process:
    """A process to start.

    Attributes:
        name: label of its output lines, before the number.
        command: argument vector; a ParameterFile stands for the path that it will be written to.
        environment: all variables.
        folder: working directory, None for the launcher's.
        on_screen: its standard output is shown (standard error always is).
        shutdown_on_exit: if it ends, all others are ended too.
        respawn: restarted when it ends, after `respawn_delay` seconds.
        namespace: of a node; / if it has none.
    """

    name: str
    command: tuple[str | ParameterFile, ...]
    environment: Mapping[str, str]
    folder: str | None = None
    on_screen: bool = False
    shutdown_on_exit: bool = False
    respawn: bool = False
    respawn_delay: float = 0.0
    namespace: str = "/"


@dataclass
class Plan:
    """The processes to start and the messages to print."""

    processes: list[Process] = field(default_factory=list)
    messages: list[str] = field(default_factory=list)


def interpret(file: Path, given: Mapping[str, str], environment: Mapping[str, str]) -> Plan:
    """Interpret a launch file.

    Args:
        file: an XML launch file.
        given: launch arguments by name.
        environment: for `$(env …)`, and inherited by processes.

    Raises:
        LaunchError: the file or an argument is wrong; nothing has been started.
    """
    root = read(file)
    declared = declared_arguments(root, environment)
    unknown = [name for name in given if name not in declared]
    interpreter = _Interpreter(Context(dict(given), dict(environment), file, file))
    try:
        require_arguments(root, given)
        interpreter.enter(root)
    except RecursionError:
        raise LaunchError(f"{file}: includes and groups are nested too deeply; does a file include itself?") from None
    finally:
        for name in unknown:
            if name not in interpreter.context.asked:
                near = known_names(name, declared, "its arguments")
                raise LaunchError(f"{file.name} has no launch argument {name!r}; {near}")
    return interpreter.plan


def read(file: Path) -> Element:
    """Read a launch file, and check everything that does not depend on substitutions."""
    root = read_document(file)
    _check(root)
    return root


class _Interpreter:
    """Executes the elements in order, with one method per action."""

    def __init__(self, context: Context) -> None:
        self.plan = Plan()
        self.context = context
        self._includes = 0

    def enter(self, root: Element) -> None:
        """Execute a file."""
        outer, self.context.file = self.context.file, root.place.file
        self._run(root)
        self.context.file = outer

    def _run(self, parent: Element) -> None:
        """Execute the children of an element."""
        for element in parent.children:
            if self._applies(element):
                action = element.tag.replace("-", "_")
                getattr(self, f"_{action}")(element)

    def _set(self, name: str, value: str) -> None:
        """Set a launch variable."""
        if name in RESERVED:
            raise LaunchError(
                f"launch variable {name!r} has a special meaning in ROS 2's launch, which is not supported"
            )
        self.context.variables[name] = value

    def _text(self, element: Element, attribute: str) -> str:
        """An attribute with its substitutions evaluated."""
        with element.adding_context(attribute):
            return evaluate(element.templates[attribute], self.context)

    def _optional(self, element: Element, attribute: str) -> str | None:
        """An attribute that may be missing."""
        return self._text(element, attribute) if attribute in element.templates else None

    def _words(self, element: Element, attribute: str) -> list[str]:
        """An attribute as words of a command line."""
        if attribute not in element.templates:
            return []
        with element.adding_context(attribute):
            return [evaluate(word, self.context) for word in split(element.templates[attribute])]

    def _applies(self, element: Element) -> bool:
        """Whether the element's `if` or `unless` holds."""
        for attribute in {"if", "unless"} & element.templates.keys():
            with element.adding_context(attribute):
                return condition(self._text(element, attribute)) is (attribute == "if")
        return True

    def _arg(self, element: Element) -> None:
        argument = Argument.of(element)
        value = self.context.variable(argument.name)
        if value is None:
            value = self._optional(element, "default")
        if value is None:
            raise argument.missing()
        self._set(argument.name, argument.checked(value))

    def _let(self, element: Element) -> None:
        with element.adding_context("name"):
            self._set(self._text(element, "name"), self._text(element, "value"))

    def _group(self, element: Element) -> None:
        context = self.context
        outer = context.variables, context.environment
        if boolean(element.get("scoped", "true")):
            context.variables, context.environment = dict(context.variables), dict(context.environment)
            self._run(element)
            context.variables, context.environment = outer
        else:
            self._run(element)

    def _include(self, element: Element) -> None:
        file = Path(self._text(element, "file"))
        self._includes += 1
        if self._includes > MAX_INCLUDES:
            raise element.place.error(f"more than {MAX_INCLUDES} includes in total")
        self.context.latest = file
        with element.adding_context("file"):
            root = read(file)
            require_arguments(root, [self._text(child, "name") for child in element.children])
        for child in element.children:
            self._let(child)
        self.enter(root)

    def _log(self, element: Element) -> None:
        self.plan.messages.append(self._text(element, "message"))

    def _set_env(self, element: Element) -> None:
        self.context.environment[self._text(element, "name")] = self._text(element, "value")

    def _unset_env(self, element: Element) -> None:
        self.context.environment.pop(self._text(element, "name"), None)

    def _push_ros_namespace(self, element: Element) -> None:
        with element.adding_context("namespace"):
            pushed = join_namespaces(self.context.variable(NAMESPACE), self._text(element, "namespace"))
            self.context.variables[NAMESPACE] = pushed or "/"

    def _executable(self, element: Element) -> None:
        words = self._words(element, "cmd")
        if not words[0]:
            raise element.place.error("'cmd' of <executable> is empty")
        self._add(element, words, self._optional(element, "name"))

    def _node(self, element: Element) -> None:
        with element.adding_context("exec"):
            program = executable(self._text(element, "pkg"), self._text(element, "exec"))
        name = self._optional(element, "name")
        with element.adding_context("name"):
            if name is not None:
                _validate("node_name", name)
        with element.adding_context("namespace"):
            namespace = join_namespaces(self.context.variable(NAMESPACE), self._optional(element, "namespace"))
        words: list[str | ParameterFile] = [str(program), *self._words(element, "args")]
        words += ["--ros-args", *self._words(element, "ros_args")] if "ros_args" in element.attributes else []
        words += ["--ros-args"]
        words += ["-r", f"__node:={name}"] if name is not None else []
        words += ["-r", f"__ns:={namespace}"] if namespace is not None else []
        target = "/**" if name is None or namespace is None else f"{namespace.rstrip('/')}/{name}"
        for child in element.children:
            if child.tag == "param":
                with child.adding_context("value"):
                    words += ["--params-file", parameter(child, target, lambda t: evaluate(t, self.context))]
        for child in element.children:
            if child.tag == "remap":
                words += ["-r", f"{self._text(child, 'from')}:={self._text(child, 'to')}"]
        self._add(element, words, namespace=namespace or "/")

    def _add(
        self, element: Element, words: Sequence[str | ParameterFile], name: str | None = None, namespace: str = "/"
    ) -> None:
        prefix = self._optional(element, "launch-prefix") or ""
        try:
            command = (*shlex.split(prefix), *words)
        except ValueError as error:
            raise element.place.error(f"'launch-prefix' {prefix!r} can't be split into words: {error}") from None
        environment = dict(self.context.environment)
        for child in element.children:
            if child.tag == "env":
                environment[self._text(child, "name")] = self._text(child, "value")
        output = self._optional(element, "output")
        if output not in (None, *OUTPUTS):
            raise element.place.error(f"'output' must be one of {', '.join(OUTPUTS)}, not {output!r}")
        with element.adding_context("respawn"):
            respawn = "respawn" in element.attributes and boolean(self._text(element, "respawn"))
        self.plan.processes.append(
            Process(
                name=os.path.basename(str(command[0])) if name is None else name,
                command=command,
                environment=environment,
                folder=self._optional(element, "cwd"),
                on_screen=output in ("screen", "both", "full"),
                shutdown_on_exit="on_exit" in element.attributes,
                respawn=respawn,
                respawn_delay=float(element.get("respawn_delay", "0")),
                namespace=namespace,
            )
        )


def _check(parent: Element) -> None:
    """Check everything that does not depend on substitutions, also in elements that a condition skips."""
    for element in parent.children:
        for attribute in {"cmd", "args", "ros_args"} & element.templates.keys():
            with element.adding_context(attribute):
                split(element.templates[attribute])
        if element.tag == "param":
            with element.adding_context("value"):
                check_parameter(element)
        if element.tag == "group":
            with element.adding_context("scoped"):
                boolean(element.get("scoped", "true"))
        if (on_exit := element.get("on_exit", "shutdown")) != "shutdown":
            raise element.place.error(f"'on_exit' may only be 'shutdown', not {on_exit!r}")
        delay = element.get("respawn_delay", "0")
        try:
            seconds = float(delay)
        except ValueError:
            seconds = math.nan
        if not 0 <= seconds < math.inf:
            raise element.place.error(f"'respawn_delay' must be seconds, not {delay!r}")
        _check(element)


def join_namespaces(outer: str | None, inner: str | None) -> str | None:
    """The inner namespace within the outer one, absolute; None if there is neither.

    Raises:
        LaunchError: the result is not a valid namespace.
    """
    if inner is None:
        joined = outer
    elif not outer or inner.startswith("/"):
        joined = inner
    else:
        joined = f"{outer.rstrip('/')}/{inner}"
    if joined is None:
        return None
    joined = joined.rstrip("/") if joined != "/" else joined
    joined = joined if joined.startswith("/") else f"/{joined}"
    _validate("namespace", joined)
    return joined


def _validate(kind: str, name: str) -> None:
    """Refuse a name that ROS 2 refuses."""
    from rclpy.exceptions import NameValidationException
    from rclpy.validate_namespace import validate_namespace
    from rclpy.validate_node_name import validate_node_name

    try:
        validate_namespace(name) if kind == "namespace" else validate_node_name(name)
    except NameValidationException as error:
        raise LaunchError(" ".join(str(error).split())) from None
