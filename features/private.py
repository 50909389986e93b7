"""File permissions of what is written: the user alone, or the group of users who share a home.

Set once, where a command or a server starts: from then on the system gives every file and folder that this process and
its children make the right mode. Only what a library makes with a mode of its own is put right by `open_as_usual`.
"""

from __future__ import annotations

import contextlib
import os
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

ALONE, TOGETHER = 0o077, 0o007
"""What is taken from others by `umask`: a file has 0600 then, or 0660, a folder 0700, or 2770."""
_SET_GROUP = 0o2000
_SHARED = 0o2070


def keep_private(home: Path, is_shared: bool) -> int:
    """Let nobody else read what is written from now on; return the mask of before.

    A home that several users share keeps the group of its folder for all that is made in it (`is_shared`, or once it
    has been so). One that others may read is closed to them, where it is ours.
    """
    mode = home.stat().st_mode if home.is_dir() else 0
    together = is_shared or mode & _SHARED == _SHARED
    before = os.umask(TOGETHER if together else ALONE)
    wanted = 0o2770 if together else 0o700
    if together and not mode:
        home.mkdir(parents=True, exist_ok=True)
    if home.is_dir() and mode & 0o7777 != wanted and home.stat().st_uid == os.geteuid():
        with contextlib.suppress(OSError):  # a home that takes no writes is read all the same
            home.chmod(wanted)
    return before


def open_as_usual(path: Path) -> None:
    """Give a file or folder of ours the mode that the system would have given it, whatever mode a library chose."""
    if path.stat().st_uid != os.geteuid():
        return
    mask = os.umask(ALONE)
    os.umask(mask)
    if path.is_dir():
        path.chmod(0o777 & ~mask | path.parent.stat().st_mode & _SET_GROUP)
    else:
        path.chmod(0o666 & ~mask)


def close_all(home: Path) -> int:
    """Close what an earlier release left open to others; return how many files and folders that were."""
    mask, closed = os.umask(ALONE), 0
    os.umask(mask)
    for path in home.rglob("*"):
        with contextlib.suppress(FileNotFoundError):  # what a service replaces meanwhile is made anew, and closed
            status = path.lstat()
            if not path.is_symlink() and status.st_mode & mask and status.st_uid == os.geteuid():
                path.chmod(status.st_mode & 0o7777 & ~mask)
                closed += 1
    return closed
