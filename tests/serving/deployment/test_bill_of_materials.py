"""The bill of materials names what is installed, whole, under licences that fit, and the same each time."""

from __future__ import annotations

import importlib.metadata
import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

from vouch.serving.deployment.bill_of_materials import BILL, LICENCES, bill, licence_list, packages

ROOT = Path(__file__).parents[3]
LOCK = (ROOT / "requirements.lock").read_text(encoding="utf-8")
FITS = re.compile(
    r"MIT|BSD|Apache|ISC|PSF|Python Software Foundation|MPL|Mozilla Public License 2\.0|0BSD|Zlib|CC0|HPND|MIT-CMU",
    re.I,
)
"""Licences that a program under Apache-2.0 may run on, unchanged as these are."""
BINDS = re.compile(r"(?<!L)(?<!Lesser )\bA?GPL|GNU (Affero )?General Public|proprietary|commercial", re.I)


@pytest.fixture(scope="module")
def found():
    return packages(LOCK)


def test_it_names_every_package_of_the_lock_that_is_installed_with_its_digests(found):
    pinned = re.findall(r"(?m)^([a-z0-9][a-z0-9.-]*)(?:\[[a-z,]+\])?==([^\s;]+)", LOCK)
    absent = {name for name, _ in pinned} - {package.name for package in found}
    for name in absent:
        with pytest.raises(importlib.metadata.PackageNotFoundError):
            importlib.metadata.distribution(name)
    assert len(found) > 100
    for package in found:
        assert package.version == importlib.metadata.version(package.name)
        assert (package.name, package.version) in pinned
        assert package.digests
        assert all(re.fullmatch(r"[0-9a-f]{64}", digest) for digest in package.digests)


def test_every_licence_is_told_and_fits(found):
    for package in found:
        assert package.licence, package.name
        assert FITS.search(package.licence), (package.name, package.licence)
        assert not BINDS.search(package.licence), (package.name, package.licence)


def test_the_bill_holds_together(found):
    told = bill(found)
    assert (told["bomFormat"], told["specVersion"], told["version"]) == ("CycloneDX", "1.6", 1)
    assert re.fullmatch(r"urn:uuid:[0-9a-f]{8}-[0-9a-f]{4}-[1-5][0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}",
                        told["serialNumber"])  # fmt: skip
    root = told["metadata"]["component"]["bom-ref"]
    refs = [component["bom-ref"] for component in told["components"]]
    assert len(refs) == len(set(refs)) == len(found)
    graph = {entry["ref"]: entry["dependsOn"] for entry in told["dependencies"]}
    assert graph.keys() == {root, *refs}
    assert {ref for of in graph.values() for ref in of} <= set(refs)
    reached, waiting = set(), [root]
    while waiting:
        if (ref := waiting.pop()) not in reached:
            reached.add(ref)
            waiting += graph[ref]
    missed = {ref.partition("@")[0].removeprefix("pkg:pypi/") for ref in set(refs) - reached}
    extras = [
        text.lower() for of in importlib.metadata.distributions() for text in of.requires or [] if "extra" in text
    ]
    optional = {name for name in missed if any(name in text for text in extras)}
    assert missed - optional <= {"setuptools"}, "what nobody needs is not there"


def test_the_command_writes_the_same_twice(found, tmp_path):
    for place in ("one", "two"):
        words = [sys.executable, "-m", "vouch.serving.deployment.bill_of_materials", "requirements.lock"]
        subprocess.run([*words, str(tmp_path / place)], cwd=ROOT, check=True, capture_output=True)
    for name in (BILL, LICENCES):
        assert (tmp_path / "one" / name).read_bytes() == (tmp_path / "two" / name).read_bytes()
    assert json.loads((tmp_path / "one" / BILL).read_text()) == bill(found)
    page = (tmp_path / "one" / LICENCES).read_text()
    assert page == licence_list(found)
    assert all(f"- {package.name} {package.version}: " in page for package in found)
