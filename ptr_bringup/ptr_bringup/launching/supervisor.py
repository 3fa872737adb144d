# SPDX-License-Identifier: Apache-2.0
"""Starts processes, shows and logs their output, and ends all of them together."""

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
DRAIN_TIMEOUT = 2.0  # s for reading the remaining output of an ended process
CHUNK = 65536
MAX_LINE = 1 << 20  # bytes; a longer line is split
TERMINAL_MARK = "\x02terminal\x03"
"""Prefix of lines for the terminal only, such as a token: they are not logged or shown anywhere else."""
COLORS = (36, 32, 35, 33, 34, 96, 92, 95, 93, 94)
REQUESTED = (0, -signal.SIGINT, 128 + signal.SIGINT)
"""Exit codes of a process that ended as requested."""


@dataclass
class _Running:
    """One process of the plan, with its log and exit codes."""

    label: str
    process: Process
    command: Sequence[str]
    log: BinaryIO
    codes: list[int] = field(default_factory=list)


class Supervisor:
    """Runs the processes of one launch file until all have ended.

    Each runs in its own session, so that Ctrl-C in the terminal reaches it once, through the supervisor. Its output is
    logged in `folder/NAME-NUMBER.log`, whether it is shown or not.
    """

    def __init__(self, processes: Sequence[Process], folder: Path, screen: TextIO | None = None) -> None:
        self.folder = folder
        self._screen = screen or sys.stdout
        self._color = self._screen.isatty()
        self._stopping = asyncio.Event()
        folder.mkdir(parents=True, exist_ok=True)
        self._all = [self._prepare(number, process) for number, process in enumerate(processes, start=1)]

    async def run(self) -> int:
        """Run until every process has ended.

        Returns:
            0 if all succeeded, or ended when requested; 1 otherwise.
        """
        loop = asyncio.get_running_loop()
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            loop.add_signal_handler(number, self.stop, f"got {signal.Signals(number).name}")
        ended_well = await asyncio.gather(*(self._keep_running(one) for one in self._all))  # starts them in order
        return 0 if all(ended_well) else 1

    def stop(self, reason: str) -> None:
        """End all processes gracefully."""
        if not self._stopping.is_set():
            self._announce(f"ending all processes: {reason}")
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

    async def _keep_running(self, one: _Running) -> bool:
        """Run one process, with restarts if requested; True if it succeeded."""
        try:
            while await self._run_once(one):
                with contextlib.suppress(asyncio.TimeoutError):
                    await asyncio.wait_for(self._stopping.wait(), one.process.respawn_delay)
                if self._stopping.is_set():
                    break
        finally:
            one.log.close()
        return not one.codes or self._succeeded(one.codes[-1])

    async def _run_once(self, one: _Running) -> bool:
        """Run it once; True if it should be restarted."""
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
            self._announce(f"can't start {one.label}: {error.strerror}: {one.command[0]}")
            one.codes.append(127)
            self.stop(f"can't start {one.label}")
            return False
        self._announce(f"{one.label} started, pid {handle.pid}")
        copies = [
            asyncio.ensure_future(self._copy(one, cast("IO[bytes]", handle.stdout), one.process.on_screen)),
            asyncio.ensure_future(self._copy(one, cast("IO[bytes]", handle.stderr), True)),
        ]
        one.codes.append(await self._end_when_stopping(handle))
        _, unfinished = await asyncio.wait(copies, timeout=DRAIN_TIMEOUT)
        for copy in unfinished:  # another process still holds the pipe
            copy.cancel()
        self._report(one, one.codes[-1])
        return one.process.respawn and not self._stopping.is_set()

    def _succeeded(self, code: int) -> bool:
        """Whether an exit code means success."""
        return code == 0 or (self._stopping.is_set() and code in REQUESTED)

    def _report(self, one: _Running, code: int) -> None:
        if self._succeeded(code):
            self._announce(f"{one.label} ended")
        elif code < 0:
            self._announce(f"{one.label} was killed by {signal.Signals(-code).name}; its output: {one.log.name}")
        else:
            self._announce(f"{one.label} failed with exit code {code}; its output: {one.log.name}")
        if one.process.shutdown_on_exit:
            self.stop(f"{one.label} has ended")

    async def _end_when_stopping(self, handle: subprocess.Popen[bytes]) -> int:
        """Wait for its end; when stopping, send SIGINT, SIGTERM, SIGKILL. Then kill its remaining children.

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
            if len(rest) > MAX_LINE:
                lines, rest = [*lines, rest], b""
            for line in lines:
                self._log_line(one, line, shown)
        if rest:
            self._log_line(one, rest, shown, end=b"")

    def _log_line(self, one: _Running, line: bytes, shown: bool, end: bytes = b"\n") -> None:
        """Log a line and show it; a line for the terminal is not logged, and only shown on a terminal."""
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
        if self._color:
            number = int(label.rpartition("-")[2])
            mark = f"\033[{COLORS[(number - 1) % len(COLORS)]}m{mark}\033[0m"
        self._write(f"{mark} {line}\n")

    def _announce(self, sentence: str) -> None:
        mark = "\033[1m[launch]\033[0m" if self._color else "[launch]"
        self._write(f"{mark} {sentence}\n")

    def _write(self, text: str) -> None:
        with contextlib.suppress(OSError, ValueError):  # the terminal may be closed; keep ending processes
            self._screen.write(text)
            self._screen.flush()


async def _ended(handle: subprocess.Popen[bytes]) -> None:
    """Return when the process has ended, even if others still hold its pipes."""
    loop, event = asyncio.get_running_loop(), asyncio.Event()
    descriptor = os.pidfd_open(handle.pid)
    loop.add_reader(descriptor, event.set)
    try:
        await event.wait()
    finally:
        loop.remove_reader(descriptor)
        os.close(descriptor)
