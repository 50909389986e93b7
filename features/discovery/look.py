"""Looking at a company's files: the proposal of a mapping, from where the files lie to the text of `vouch.toml`."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from vouch.features.discovery.files import find_files
from vouch.features.discovery.propose import propose
from vouch.features.engines import FAILURES, connect, first_line
from vouch.features.errors import DataError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from vouch.features.discovery.propose import Proposal
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
