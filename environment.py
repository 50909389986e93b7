"""Make the environment in `.venv`, or bring it up to date: `python environment.py LOCK ...`.

It holds what the locks name, and vouch itself, all compiled. What the machine lacks is said first, with the mend, by
any Python 3 (hence the plain types here). Each step is noted once it is done, so that the next run goes on where an
interrupted one stopped.
"""

import hashlib
import importlib
import json
import platform
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

ROOT = Path(__file__).resolve().parent
VENV = ROOT / ".venv"
NOTES = VENV / "steps.json"
PYTHON = (str(VENV / "bin" / "python"), "-I")  # nothing of the user's own Python takes part
PIP = (*PYTHON, "-m", "pip", "install", "-qq", "--no-input", "--disable-pip-version-check", "--no-compile")
INSTALL = (*PIP, "--no-deps", "--no-build-isolation")
# Wheels alone: nothing need be there to build them. PySpark has none, and is built by setuptools of the first lock.
LOCKED = (*INSTALL, "--require-hashes", "--only-binary", ":all:", "--no-binary", "pyspark", "--requirement")
COMPILE = (*PYTHON, "-W", "ignore", "-m", "compileall", "-qq")
# What every Python has, unless it was built where a library was missing.
MODULES = ("bz2", "ctypes", "lzma", "sqlite3", "ssl", "zlib")
OPENMP = "libgomp.so.1"


def has_module(module: str) -> bool:
    """Whether this Python has a module of the standard library."""
    try:
        importlib.import_module(module)
    except ImportError:
        return False
    return True


def has_openmp() -> bool:
    """Whether the library that LightGBM takes its threads from loads."""
    try:
        importlib.import_module("ctypes").CDLL(OPENMP)
    except OSError:
        return False
    return True


def lacking() -> list:
    """What this machine lacks, each with its mend."""
    missing = []
    text = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    minors = [int(minor) for minor in re.findall(r'"Programming Language :: Python :: 3\.(\d+)"', text)]
    if sys.version_info[1] not in minors:
        missing.append(
            f"Python 3.{min(minors)} to 3.{max(minors)}, and {sys.executable} is {platform.python_version()}: "
            f"name another one, as in `make demo PYTHON=/usr/bin/python3.{min(minors)}`"
        )
    elif not (has_module("venv") and has_module("ensurepip")):
        missing.append(f"Python's own venv: `apt-get install python3.{sys.version_info[1]}-venv`")
    absent = [module for module in MODULES if not has_module(module)]
    if absent:
        missing.append(f"a whole Python, and {sys.executable} was built without {', '.join(absent)}: name another one")
    if sys.platform == "linux" and "ctypes" not in absent and not has_openmp():
        missing.append(f"{OPENMP}, for LightGBM: `apt-get install libgomp1`, or `dnf install libgomp`")
    return missing


def taken_up(environment: str) -> dict:
    """The steps behind the environment that is there; none where it is for another folder or Python, or broken."""
    try:
        steps = json.loads(NOTES.read_text(encoding="utf-8"))
        subprocess.run([*PYTHON, "-c", ""], stderr=subprocess.DEVNULL, check=True)
    except (OSError, ValueError, subprocess.CalledProcessError):
        return {}
    return steps if steps.get("environment") == environment else {}


def commands(environment: str, locks: list) -> list:
    """Each step: its name, the state that it leads to, and the command that does it."""

    def digest(name: str) -> str:
        return hashlib.sha256((ROOT / name).read_bytes()).hexdigest()

    base = getattr(sys, "_base_executable", sys.executable)  # where an environment is active: what that was made of
    return [
        ("environment", environment, (base, "-I", "-m", "venv", "--clear", str(VENV))),
        *((lock, digest(lock), (*LOCKED, lock)) for lock in locks),
        ("vouch", digest("pyproject.toml"), (*INSTALL, "--editable", ".")),
    ]


def forget_half_installed() -> None:
    """What an interrupted pip left without its last file counts as not there: the next one writes over it."""
    for folder in VENV.glob("lib/python*/site-packages/*.dist-info"):
        if not (folder / "INSTALLER").is_file():
            shutil.rmtree(str(folder))


def compile_all(*folders: str) -> None:
    """Compile what is not yet; a file that no compiler takes, or a lack of processes, is no fault of set-up."""
    if subprocess.run([*COMPILE, "-j", "0", *folders], stderr=subprocess.DEVNULL).returncode:
        subprocess.run([*COMPILE, *folders], stderr=subprocess.DEVNULL)


@contextmanager
def timed(doing: str) -> Iterator:
    """Say what is done, and once it is done how many seconds it took."""
    begun = time.monotonic()
    print(f"  {doing} ... ", end="", flush=True)
    yield
    print(f"{time.monotonic() - begun:.0f} s", flush=True)


def make(locks: list) -> None:
    """Take the steps that are not behind the environment yet."""
    environment = f"{ROOT} {sys.version_info[:2]}"
    begun, steps = time.monotonic(), taken_up(environment)
    todo = [step for step in commands(environment, locks) if steps.get(step[0]) != step[1]]
    if todo:
        print(f"Setting up .venv with Python {platform.python_version()}:")
    for name, state, command in todo:
        with timed(name):
            forget_half_installed()
            if subprocess.run(command, cwd=str(ROOT)).returncode:
                raise SystemExit(f"\nvouch: {name} is not installed, as said above; the same command goes on from here")
        steps.pop("compiled", None)
        steps[name] = state
        NOTES.write_text(json.dumps(steps), encoding="utf-8")
    if "compiled" not in steps:
        with timed("compiling it"):
            compile_all(str(VENV / "lib"))
        NOTES.write_text(json.dumps({**steps, "compiled": True}), encoding="utf-8")
    subprocess.run([*COMPILE, *(str(package.parent) for package in ROOT.glob("*/__init__.py"))])
    if todo:
        print(f"  ready after {time.monotonic() - begun:.0f} s", flush=True)


if __name__ == "__main__":
    LACKING = lacking()
    if LACKING:
        sys.exit("\n".join(f"vouch needs {lack}" for lack in LACKING))
    try:
        make(sys.argv[1:])
    except OSError as error:
        sys.exit(f"\nvouch: set-up stopped: {error}")
    except KeyboardInterrupt:
        sys.exit("\nvouch: set-up was interrupted; the same command goes on from here")
