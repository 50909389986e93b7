"""Listening sockets of a process and of all that it has started, as the system tells it: TCP, UDP, Unix."""

from __future__ import annotations

import ipaddress
from pathlib import Path

import psutil

LISTENS, ACCEPTS, STREAM = "0A", 0x10000, 1
"""The state of a TCP socket that listens; the flag of a Unix socket that does, and the kind that has to."""


def tree(pid: int) -> list[psutil.Process]:
    process = psutil.Process(pid)
    return [process, *process.children(recursive=True)]


def listening(pid: int) -> set[tuple[str, str]]:
    """Protocol and address of each socket of a tree of processes on which others can reach it."""
    found = set()
    for process in tree(pid):
        held = _sockets(process.pid)
        net = Path(f"/proc/{process.pid}/net")
        for protocol in ("tcp", "tcp6", "udp", "udp6", "udplite", "udplite6", "raw", "raw6"):
            for fields in _lines(net / protocol):
                if fields[9] in held and (fields[3] == LISTENS or not protocol.startswith("tcp")):
                    found.add((protocol, _address(fields[1])))
        for fields in _lines(net / "unix"):
            accepts = int(fields[3], 16) & ACCEPTS
            if fields[6] in held and (accepts or (int(fields[4], 16) != STREAM and len(fields) > 7)):
                found.add(("unix", fields[7] if len(fields) > 7 else ""))
    return found


def holder(pid: int, port: int, of: int) -> int | None:
    """Which process of a tree holds the connection to a port from another port of this machine."""
    for process in tree(pid)[1:]:
        held = _sockets(process.pid)
        for fields in _lines(Path(f"/proc/{process.pid}/net/tcp")):
            ends = [int(fields[place].rpartition(":")[2], 16) for place in (1, 2)]
            if ends == [port, of] and fields[9] in held:
                return process.pid
    return None


def _sockets(pid: int) -> set[str]:
    """Inodes of the sockets that a process holds."""
    links = []
    for descriptor in Path(f"/proc/{pid}/fd").iterdir():
        try:
            links.append(str(descriptor.readlink()))
        except FileNotFoundError:  # closed meanwhile
            continue
    return {link.removeprefix("socket:[").removesuffix("]") for link in links if link.startswith("socket:")}


def _lines(path: Path) -> list[list[str]]:
    return [line.split() for line in path.read_text().splitlines()[1:]] if path.exists() else []


def _address(text: str) -> str:
    host, _, port = text.partition(":")
    words = [bytes.fromhex(host[place : place + 8])[::-1] for place in range(0, len(host), 8)]
    return f"{ipaddress.ip_address(b''.join(words))}:{int(port, 16)}"
