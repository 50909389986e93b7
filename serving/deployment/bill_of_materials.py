"""A bill of materials (CycloneDX 1.6) and a list of licences of what vouch runs on, from what is installed.

    python -m vouch.serving.deployment.bill_of_materials requirements.lock FOLDER

The packages are those of the lock that are here: a marker leaves some to other systems. Names, versions, licences and
who needs whom are what the packages say of themselves; digests are those that set-up holds each file against. The same
packages give the same bytes: there is no time in it.
"""

from __future__ import annotations

import importlib.metadata
import json
import re
import sys
import uuid
from dataclasses import dataclass
from pathlib import Path
from typing import Any

FORM = "1.6"
BILL, LICENCES = "vouch.cdx.json", "licences.md"
_PIN = re.compile(r"^([a-z0-9][a-z0-9.-]*)(?:\[[a-z,]+\])?==([^\s;]+)")
_HASH = re.compile(r"--hash=sha256:([0-9a-f]{64})")
_NAMED = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")
_CLASSIFIER = re.compile(r"License :: OSI Approved :: (?P<name>.+)")
_TEXTS = {
    "Apache-2.0": "Apache License",
    "MIT": "Permission is hereby granted, free of charge",
    "BSD-3-Clause": "Redistribution and use in source and binary forms",
}
"""Words by which the text of a licence is known, where a package says nothing else."""
_SHORT = 60


@dataclass(frozen=True)
class Package:
    """One package that is installed: what it says of itself, and digests of the files that the lock takes for it."""

    name: str
    version: str
    licence: str | None
    is_expression: bool
    """Whether the licence is one of SPDX's expressions."""
    needs: tuple[str, ...]
    digests: tuple[str, ...]

    @property
    def purl(self) -> str:
        """The package's URL, which is also what it is called by within the bill."""
        return f"pkg:pypi/{self.name}@{self.version}"


def packages(lock: str) -> list[Package]:
    """Return the packages of a lock that are installed here, by name."""
    listed = []
    for line in lock.replace("\\\n", " ").splitlines():
        pin = _PIN.match(line)
        if pin is None:
            continue
        try:
            distribution = importlib.metadata.distribution(pin[1])
        except importlib.metadata.PackageNotFoundError:
            continue
        if distribution.version != pin[2]:  # that of another Python
            continue
        licence, is_expression = licence_of(distribution)
        needs = tuple(sorted(_needs(distribution)))
        listed.append(Package(pin[1], distribution.version, licence, is_expression, needs, tuple(_HASH.findall(line))))
    return sorted(listed, key=lambda package: package.name)


def licence_of(package: importlib.metadata.Distribution) -> tuple[str | None, bool]:
    """Return the licence of a package, and whether it is an SPDX expression; None where it tells none."""
    metadata = package.metadata
    if expressions := metadata.get_all("License-Expression"):
        return str(expressions[0]), True
    named = [_CLASSIFIER.fullmatch(text) for text in metadata.get_all("Classifier") or []]
    if names := sorted(match["name"] for match in named if match):
        return " and ".join(names), False
    first = str((metadata.get_all("License") or [""])[0]).strip().split("\n")[0]
    if first and len(first) < _SHORT and not first.startswith("Copyright"):
        return first, False
    files = [path for path in package.files or [] if path.name.upper().startswith(("LICENSE", "LICENCE", "COPYING"))]
    text = "".join(path.read_text(encoding="utf-8") for path in files)
    return next((name for name, words in _TEXTS.items() if words in text), None), False


def _needs(package: importlib.metadata.Distribution) -> set[str]:
    """Names of the packages that it needs, extras apart."""
    named = [text for text in package.requires or [] if "extra ==" not in text]
    return {_canonical(match[0]) for match in map(_NAMED.match, named) if match}


def _canonical(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def bill(listed: list[Package]) -> dict[str, Any]:
    """Return the bill of materials of some packages, as CycloneDX has it."""
    own = importlib.metadata.distribution("vouch")
    root = f"pkg:pypi/vouch@{own.version}"
    known = {package.name: package.purl for package in listed}
    content: dict[str, Any] = {
        "bomFormat": "CycloneDX",
        "specVersion": FORM,
        "version": 1,
        "metadata": {
            "component": {"type": "application", "bom-ref": root, "name": "vouch", "version": own.version, "purl": root}
            | {"licenses": [{"expression": "Apache-2.0"}]},
        },
        "components": [_component(package) for package in listed],
        "dependencies": [
            {"ref": root, "dependsOn": sorted(known[name] for name in _needs(own) if name in known)},
            *(
                {"ref": package.purl, "dependsOn": sorted(known[name] for name in package.needs if name in known)}
                for package in listed
            ),
        ],
    }
    serial = uuid.uuid5(uuid.NAMESPACE_URL, json.dumps(content, sort_keys=True))
    return {**content, "serialNumber": f"urn:uuid:{serial}"}


def _component(package: Package) -> dict[str, Any]:
    named = {"expression": package.licence} if package.is_expression else {"license": {"name": package.licence}}
    return {
        "type": "library",
        "bom-ref": package.purl,
        "name": package.name,
        "version": package.version,
        "purl": package.purl,
        **({"licenses": [named]} if package.licence else {}),
        "properties": [{"name": "vouch:sha256", "value": digest} for digest in package.digests],
    }


def licence_list(listed: list[Package]) -> str:
    """Return the licences as a page: each with the packages that are under it."""
    lines = [f"- {package.name} {package.version}: {package.licence or 'tells none'}" for package in listed]
    return "\n".join(["# Licences of what vouch runs on", "", *lines, ""])


def main() -> None:
    """Write both into a folder."""
    lock, folder = map(Path, sys.argv[1:])
    listed = packages(lock.read_text(encoding="utf-8"))
    folder.mkdir(parents=True, exist_ok=True)
    (folder / BILL).write_text(json.dumps(bill(listed), indent=1) + "\n", encoding="utf-8")
    (folder / LICENCES).write_text(licence_list(listed), encoding="utf-8")
    print(f"{len(listed)} packages: {folder / BILL}, {folder / LICENCES}")


if __name__ == "__main__":
    main()
