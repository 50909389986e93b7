"""Looking at a company's files: the proposal of a mapping, from where the files lie to the text of `vouch.toml`."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from vouch.features.discovery.files import find_files
from vouch.features.discovery.further import with_fates, with_tables
from vouch.features.discovery.propose import propose
from vouch.features.discovery.written import project_text
from vouch.features.durable import write_where_asked
from vouch.features.engines import FAILURES, connect, first_line
from vouch.features.errors import DataError
from vouch.features.ingest.own.proposed import further_tables
from vouch.features.ingest.stage import stage
from vouch.features.project import load_project

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from vouch.features.discovery.proposal import Proposal
    from vouch.features.ingest.stage import Staged
    from vouch.features.project import Project


def look(project: Project, places: Sequence[str], answers: Mapping[str, str]) -> Proposal:
    """Look at files and folders, and propose how they feed the contract.

    Raises UsageError where a place is not there or an answer is to nothing, DataError where nothing can be proposed.
    """
    files, unread = find_files([Path(place) for place in places])
    with tempfile.TemporaryDirectory() as folder:
        connection = connect(project, Path(folder))
        try:
            return propose(connection, files, Path(folder) / "rewritten", answers, unread)
        except FAILURES as error:
            raise DataError(f"The files cannot be looked at: {first_line(error)}") from error
        finally:
            connection.close()


def read_through(
    proposal: Proposal, path: Path, now_us: int, step: Callable[[str], None] = lambda what: None
) -> tuple[Proposal, Staged]:
    """Read the tables as a proposal has them: its further tables, and what becomes of their columns.

    The project file at `path`, which the proposal made, is written anew with what is known by then; `step` is told
    what is being done. Raises the errors of who cannot be read.
    """
    step("looking for further tables")
    proposal = with_tables(proposal, further_tables(load_project(str(path))))
    write_where_asked(path, project_text(proposal, path.parent))
    step("reading and checking the tables")
    staged = stage(load_project(str(path)), now_us)
    proposal = with_fates(proposal, staged.own)
    write_where_asked(path, project_text(proposal, path.parent))
    return proposal, staged
