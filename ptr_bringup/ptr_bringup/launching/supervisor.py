# SPDX-License-Identifier: Apache-2.0
"""Start processes, show and keep their output, and end all of them together."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, BinaryIO, TextIO, cast

from ptr_bringup.launching.interpreter import Process
from ptr_bringup.launching.parameters import ParameterFile
from ptr_models.common.processes import interrupted_with_parent

ESCALATION = (signal.SIGINT, signal.SIGTERM, signal.SIGKILL)
TIMEOUT = 5.0  # s between the signals
LAST_WORDS = 2.0  # s in which the output of an ended process is still read
CHUNK = 65536
LONGEST_LINE = 1 << 20  # bytes; of a longer one the first part counts as a line
TERMINAL_MARK = "\x02terminal\x03"
"""How lines begin that are for the terminal alone, such as a token: they are not kept, and not shown anywhere else."""
COLOURS = (36, 32, 35, 33, 34, 96, 92, 95, 93, 94)
LISTENED = (0, -signal.SIGINT, 128 + signal.SIGINT)
"""Exit codes of a process that was asked to end, and did."""


@dataclass
class _Running:
    """One process of the plan, and what was seen of it."""

    label: str
    process: Process
    command: Sequence[str]
    log: BinaryIO
    codes: list[int] = field(default_factory=list)


class Supervisor:
    """Runs the processes of one launch file until all have ended.

    Each runs in a session of its own, so that Ctrl-C in the terminal reaches it once, through the supervisor.
    Its output is in `folder/NAME-NUMBER.log`, whether it is shown or not.
    """

    def __init__(self, processes: Sequence[Process], folder: Path, screen: TextIO | None = None) -> None:
        self.folder = folder
        self._screen = screen or sys.stdout
        self._colour = self._screen.isatty()
        self._stopping = asyncio.Event()
        folder.mkdir(parents=True, exist_ok=True)
        self._all = [self._prepare(number, process) for number, process in enumerate(processes, start=1)]

    async def run(self) -> int:
        """Run until every process has ended.

        Returns:
            0 when all ended well, or were ended and listened; 1 otherwise.
        """
        loop = asyncio.get_running_loop()
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            loop.add_signal_handler(number, self.stop, f"got {signal.Signals(number).name}")
        ended_well = await asyncio.gather(*(self._tend(one) for one in self._all))  # which starts them in order
        return 0 if all(ended_well) else 1

    def stop(self, reason: str) -> None:
        """End all processes, with patience."""
        if not self._stopping.is_set():
            self._say(f"ending all processes: {reason}")
            self._stopping.set()

    def _prepare(self, number: int, process: Process) -> _Running:
        label = f"{process.name}-{number}"
        command = []
        for place, word in enumerate(process.command):
            if isinstance(word, ParameterFile):
                file = self.folder / f"{label}-parameters-{place}.yaml"
                file.write_text(word.text)
                word = str(file)
            command.append(word)
        log = (self.folder / f"{label}.log").open("wb", buffering=0)
        return _Running(label, process, command, log)

    async def _tend(self, one: _Running) -> bool:
        """Keep one process running for as long as it should; True when it ended well."""
        try:
            while await self._once(one):
                with contextlib.suppress(asyncio.TimeoutError):
                    await asyncio.wait_for(self._stopping.wait(), one.process.respawn_delay)
                if self._stopping.is_set():
                    break
        finally:
            one.log.close()
        return not one.codes or self._well(one.codes[-1])

    async def _once(self, one: _Running) -> bool:
        """Run it once; True when it should be started again."""
        try:
            handle = subprocess.Popen(
                one.command,
                env={**one.process.environment, "PTR_TERMINAL_MARK": TERMINAL_MARK},
                cwd=one.process.folder,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                start_new_session=True,
                preexec_fn=interrupted_with_parent(),
            )
        except OSError as error:
            self._say(f"{one.label} can't be started: {error.strerror}: {one.command[0]}")
            one.codes.append(127)
            self.stop(f"{one.label} can't be started")
            return False
        self._say(f"{one.label} started, pid {handle.pid}")
        copies = [
            asyncio.ensure_future(self._copy(one, cast("IO[bytes]", handle.stdout), one.process.on_screen)),
            asyncio.ensure_future(self._copy(one, cast("IO[bytes]", handle.stderr), True)),
        ]
        one.codes.append(await self._end_when_stopping(handle))
        _, unfinished = await asyncio.wait(copies, timeout=LAST_WORDS)
        for copy in unfinished:  # somebody else still holds the pipe
            copy.cancel()
        self._report(one, one.codes[-1])
        return one.process.respawn and not self._stopping.is_set()

    def _well(self, code: int) -> bool:
        """Whether a process ended as it should."""
        return code == 0 or (self._stopping.is_set() and code in LISTENED)

    def _report(self, one: _Running, code: int) -> None:
        if self._well(code):
            self._say(f"{one.label} ended")
        elif code < 0:
            self._say(f"{one.label} died of {signal.Signals(-code).name}; its output: {one.log.name}")
        else:
            self._say(f"{one.label} failed with exit code {code}; its output: {one.log.name}")
        if one.process.shutdown_on_exit:
            self.stop(f"{one.label} has ended")

    async def _end_when_stopping(self, handle: subprocess.Popen[bytes]) -> int:
        """Wait for its end; once all have to end: ask, ask firmly, kill. Then kill what it has left behind.

        Returns:
            The exit code, negative for a signal.
        """
        ended = asyncio.ensure_future(_ended(handle))
        stopping = asyncio.ensure_future(self._stopping.wait())
        await asyncio.wait({ended, stopping}, return_when=asyncio.FIRST_COMPLETED)
        stopping.cancel()
        for number in ESCALATION:
            if ended.done():
                break
            with contextlib.suppress(ProcessLookupError):
                handle.send_signal(number)
            await asyncio.wait({ended}, timeout=TIMEOUT)
        await ended
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(handle.pid, signal.SIGKILL)
        return handle.wait()

    async def _copy(self, one: _Running, pipe: IO[bytes], shown: bool) -> None:
        """Copy one stream to the log, and line by line to the screen."""
        stream, rest = asyncio.StreamReader(), b""
        loop = asyncio.get_running_loop()
        await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(stream), pipe)
        while chunk := await stream.read(CHUNK):
            *lines, rest = (rest + chunk).split(b"\n")
            if len(rest) > LONGEST_LINE:
                lines, rest = [*lines, rest], b""
            for line in lines:
                self._pass_on(one, line, shown)
        if rest:
            self._pass_on(one, rest, shown, end=b"")

    def _pass_on(self, one: _Running, line: bytes, shown: bool, end: bytes = b"\n") -> None:
        """Keep a line, and show it; one for the terminal is only shown, and only on a terminal."""
        text = line.decode(errors="replace").rstrip("\r")
        if text.startswith(TERMINAL_MARK):
            if self._screen.isatty():
                self._show(one.label, text.removeprefix(TERMINAL_MARK))
            return
        one.log.write(line + end)
        if shown:
            self._show(one.label, text)

    def _show(self, label: str, line: str) -> None:
        mark = f"[{label}]"
        if self._colour:
            number = int(label.rpartition("-")[2])
            mark = f"\033[{COLOURS[(number - 1) % len(COLOURS)]}m{mark}\033[0m"
        self._write(f"{mark} {line}\n")

    def _say(self, sentence: str) -> None:
        mark = "\033[1m[launch]\033[0m" if self._colour else "[launch]"
        self._write(f"{mark} {sentence}\n")

    def _write(self, text: str) -> None:
        with contextlib.suppress(OSError, ValueError):  # the terminal may have gone; go on ending processes
            self._screen.write(text)
            self._screen.flush()


async def _ended(handle: subprocess.Popen[bytes]) -> None:
    """Return when the process has ended, whoever may still hold its pipes."""
    loop, event = asyncio.get_running_loop(), asyncio.Event()
    descriptor = os.pidfd_open(handle.pid)
    loop.add_reader(descriptor, event.set)
    try:
        await event.wait()
    finally:
        loop.remove_reader(descriptor)
        os.close(descriptor)
