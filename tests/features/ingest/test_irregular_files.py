"""What is neither a file nor a folder is never opened: a pipe would be waited on for ever, a device has no end."""

from __future__ import annotations

import os
import socket
import subprocess
from pathlib import Path

import pytest

from support.faults import forked


def pipe(path: Path) -> None:
    os.mkfifo(path)


def unix_socket(path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as listener:
        here = Path.cwd()
        os.chdir(path.parent)  # the name of a socket is short
        listener.bind(path.name)
        os.chdir(here)


def device(path: Path) -> None:
    path.symlink_to("/dev/zero")


def link_to_a_pipe(path: Path) -> None:
    os.mkfifo(path.with_name("elsewhere"))
    path.symlink_to(path.with_name("elsewhere"))


def link_to_nothing(path: Path) -> None:
    path.symlink_to(path.with_name("nowhere"))


def link_to_itself(path: Path) -> None:
    path.symlink_to(path)


KINDS = (pipe, unix_socket, device, link_to_a_pipe, link_to_nothing, link_to_itself)


def in_a_folder(folder: Path, make) -> list[str]:
    table(folder / "usage_events.csv")
    make(folder / "feedback.csv")
    return ["check", str(folder)]


def in_place_of_a_table(folder: Path, make) -> list[str]:
    make(folder / "usage_events.parquet")
    return ["check", str(folder)]


def as_a_part(folder: Path, make) -> list[str]:
    (folder / "usage_events").mkdir()
    table(folder / "usage_events" / "part-1.csv")
    make(folder / "usage_events" / "part-0.csv")
    return ["check", str(folder)]


def as_a_named_source(folder: Path, make) -> list[str]:
    make(folder / "given.csv")
    (folder / "vouch.toml").write_text('[source]\ngiven = "given.csv"\n[tables.usage_events]\nfrom = "given"\n')
    return ["check", str(folder / "vouch.toml")]


def as_the_project_file(folder: Path, make) -> list[str]:
    make(folder / "vouch.toml")
    return ["check", str(folder / "vouch.toml")]


def as_the_database(folder: Path, make) -> list[str]:
    make(folder / "warehouse.duckdb")
    return ["check", str(folder / "warehouse.duckdb")]


def as_a_back_up(folder: Path, make) -> list[str]:
    make(folder / "vouch.backup")
    return ["restore", str(folder / "vouch.backup")]


def as_one_of_a_pattern(folder: Path, make) -> list[str]:
    make(folder / "given_1.csv")
    (folder / "vouch.toml").write_text('[source]\ngiven = "given_*.csv"\n[tables.usage_events]\nfrom = "given"\n')
    return ["check", str(folder / "vouch.toml")]


def as_what_is_looked_at(folder: Path, make) -> list[str]:
    table(folder / "usage_events.csv")
    make(folder / "orders_2.csv")
    return ["init", str(folder), "--yes", "--out", str(folder / "vouch.toml")]


PLACES = (
    in_a_folder, in_place_of_a_table, as_a_part, as_a_named_source, as_one_of_a_pattern, as_the_project_file,
    as_the_database, as_what_is_looked_at, as_a_back_up,
)  # fmt: skip


def table(path: Path) -> None:
    path.write_text("event_id,customer_id,occurred_at,event\ne1,a,2026-01-02,login\n")


def ended(tmp_path: Path, place, make) -> subprocess.CompletedProcess[str]:
    folder = tmp_path / make.__name__
    folder.mkdir()
    (folder / "customers.csv").write_text("customer_id,created_at\na,2025-01-01\n")
    return forked(tmp_path / f"home of {make.__name__}", *place(folder, make))


@pytest.mark.parametrize("place", PLACES)
def test_what_is_no_file_is_told_or_left_out_and_never_waited_for(tmp_path, place):
    for make in KINDS:
        done = ended(tmp_path, place, make)
        assert "Traceback" not in done.stderr, make
        wanted = {0} if place in {in_a_folder, as_a_part} else {1, 2}
        wanted |= {0} if place is as_what_is_looked_at else set()
        assert done.returncode in wanted, (make, done.stderr)
