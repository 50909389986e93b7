"""A new feature, metric or model is one file: in a copy of the tree with one of each, all that looks at them passes.

The copy is a process of its own, so that what is declared there stays there.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from support.champions import write_champions
from support.small_model import vectors

ROOT = Path(__file__).parents[2]
FOLDERS = ("features", "models", "training", "serving")
COPIED = (*FOLDERS, "tests", "pyproject.toml", "README.md")
IN_A_FAMILY = '''

@feature("tickets", days=(90, None), unit="callbacks")
def tickets_praised(rows: Rows) -> Aggregate:
    """Tickets that were rated 5 of 5, of those opened in the {days} days before."""
    return count(rows.csat == 5)
'''
A_FAMILY = '''"""Contacts: how a customer is spoken to."""

from __future__ import annotations

import narwhals as nw

from vouch.features.vectors.declare import Aggregate, Rows, Vector, column, count, derived, feature, ratio


@column("touches")
def is_service(rows: Rows) -> nw.Expr:
    """Whether the contact was for service."""
    return rows.kind == "service"


@feature("touches", days=(28, None), unit="greetings")
def service_contacts(rows: Rows) -> Aggregate:
    """Contacts that were for service in the {days} days before."""
    return count(rows.is_service)


@derived(unit="greetings per ticket")
def service_contacts_per_ticket(vector: Vector) -> nw.Expr:
    """Contacts for service in 28 days, per ticket."""
    return ratio(vector.service_contacts_28d, vector.tickets_28d)
'''
A_CHAPTER = '''"""Contacts for service among all contacts."""

from __future__ import annotations

from typing import TYPE_CHECKING

import narwhals as nw

from vouch.features.metrics.catalogue import Example, Row, items, metric
from vouch.features.metrics.estimators import Proportion

if TYPE_CHECKING:
    from collections.abc import Mapping

    from vouch.features.asof import Frame
    from vouch.features.metrics.context import MetricContext

CONTACTS = {"touches": [{"occurred_at": -5, "kind": kind} for kind in ("service", "sales") for _ in range(3)]}


@items("touches")
def contacted(context: MetricContext, days: int | None) -> Frame:
    """Contacts of external customers in the window."""
    rows = context.rows("touches", days)
    return rows.select("customer_id", unit=nw.col("touch_id"), served=(nw.col("kind") == "service").cast(nw.Int64))


@metric(
    "M91", "Share of contacts for service", unit="percent", better="lower", source="Our definition", published=False,
    formula="contacts for service / contacts", items=contacted, kind=Proportion(), days=90,
    example=Example("3 of 6 contacts are for service: 50", CONTACTS, 50.0),
)
def service_share(contact: Row) -> Mapping[str, nw.Expr]:
    """Contacts for service, of all contacts."""
    return {"hit": contact.served}


@metric(
    "M05", "Contacts for service in a month", unit="percent", better="lower", source="Our definition", published=False,
    formula="contacts for service / contacts", items=contacted, kind=Proportion(), days=30,
    example=Example("3 of 6 contacts are for service: 50", CONTACTS, 50.0),
)
def service_share_month(contact: Row) -> Mapping[str, nw.Expr]:
    """Contacts for service in 30 days, of all contacts."""
    return {"hit": contact.served}
'''
A_MODEL = '''"""Will this customer speak up within two months?"""

from __future__ import annotations

from vouch.models.definition import Band, Model, Target
from vouch.models.eligibility import subscriber_status
from vouch.models.outcomes import label_advocacy

MODEL = Model(
    name="speaking",
    question="Will this customer speak up within 60 days?",
    targets=(
        Target(
            name="spoken",
            any_of=("advocacy_acts", "referrals"),
            label=label_advocacy,
            status=subscriber_status,
            horizon_days=60,
            bands=(Band("low", 0.0), Band("high", 0.2)),
        ),
    ),
)
'''
TESTS = (
    "test_added.py",
    "promises/test_golden_files.py",
    "features/vectors/test_words.py",
    "features/vectors/test_declare.py",
    "serving/web/test_translations.py",
    "models/test_definition.py",
    "serving/monitoring/test_guards.py",
    "serving/snapshots/test_files.py",
)
"""What looks at all definitions and takes seconds."""
MORE = (
    "features/families",
    "features/metrics/test_catalogue.py",
    "features/metrics/test_readings.py",
    "features/vectors/test_build.py",
    "promises/test_no_leak.py",
    "promises/test_parity.py",
    "serving/api/test_examples.py",
    "serving/api/test_service.py",
    "serving/api/test_telemetry.py",
    "serving/batch/test_run.py",
    "serving/commands",
    "serving/reports",
    "serving/snapshots/test_movers.py",
    "serving/web/test_pages.py",
    "training/test_run.py",
)
"""What looks at them too, and takes minutes."""


@pytest.fixture
def added(tmp_path) -> Path:
    """A copy of the tree with a feature in a family, a family, a chapter of metrics, and a model more."""
    tree = tmp_path / "tree"
    for name in COPIED:
        path, to = ROOT / name, tree / name
        if path.is_dir():
            shutil.copytree(path, to, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy(path, to)
    with (tree / "features/families/support.py").open("a", encoding="utf-8") as family:
        family.write(IN_A_FAMILY)
    (tree / "features/families/contacts.py").write_text(A_FAMILY, encoding="utf-8")
    (tree / "features/metrics/definitions/contacted.py").write_text(A_CHAPTER, encoding="utf-8")
    (tree / "models/speaking.py").write_text(A_MODEL, encoding="utf-8")
    shutil.copy(tree / "tests/support/checks_of_added.py", tree / "tests/test_added.py")
    names = tree / "names" / "vouch"
    names.mkdir(parents=True)
    for name in FOLDERS:
        (names / name).symlink_to(tree / name)
    (names / "__init__.py").symlink_to(tree / "serving/python/__init__.py")
    return tree


def ran(tree: Path, *words: object, **more: object) -> str:
    """What a command in the copy says, which must end well."""
    names = {
        **os.environ,
        "PYTHONPATH": str(tree / "names"),
        **{name: str(value) for name, value in more.items()},
    }
    command = [sys.executable, *map(str, words)]
    done = subprocess.run(command, cwd=tree, env=names, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout[-4000:] + done.stderr[-4000:]
    return done.stdout


def before(home: Path) -> Path:
    """A home with champions of the tree as it is, and what these say of some vectors."""
    frame = vectors(50).assign(days_since_activity=3.0, tenure_days=400.0, tickets_open=1.0)
    told = {name: champion.score(frame).probability.tolist() for name, champion in write_champions(home).items()}
    (home / "told.json").write_text(json.dumps(told), encoding="utf-8")
    return home


@pytest.mark.slow
def test_one_file_each_passes_all_that_looks_at_definitions(added, tmp_path):
    files = [f"tests/{name}" for name in TESTS]
    said = ran(added, "-m", "pytest", "-q", "-p", "no:cacheprovider", *files, HOME_BEFORE=before(tmp_path / "home"))
    section = said[said.index("added, and not in the reviewed texts yet: make golden") :]
    for name in ("tickets_praised_90d", "touches.is_service", "service_contacts_28d", "service_share", "M91"):
        assert name in section
    missing = ran(added, "tests/support/wordings.py").splitlines()
    assert "warning: ko: no words yet for feature 'Contacts that were for service {span}'" in missing
    assert "warning: ro: no words yet for text metric.service_share" in missing
    assert "warning: en: no words yet for text models.speaking" in missing
    assert "definitions.txt: added: touches.is_service | col(kind).__eq__(service)" in ran(
        added, "tests/support/golden_files.py"
    )
    assert ran(added, "tests/support/golden_files.py") == "", "what is written once is reviewed from then on"


@pytest.mark.nightly
def test_one_file_each_passes_what_takes_minutes_too(added, tmp_path):
    files = [f"tests/{name}" for name in MORE]
    ran(added, "-m", "pytest", "-q", "-p", "no:cacheprovider", *files)
