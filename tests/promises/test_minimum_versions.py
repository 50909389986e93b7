"""No library is older than the version that mended a known hole: an offline table, held against what is there.

Holes without a mended version are dealt with in the code: a LightGBM model is read only after its hash is checked,
MLflow never loads a pickle, and the service takes JSON alone and depends on no other service.
"""

from __future__ import annotations

import re
from importlib import metadata
from pathlib import Path

import pytest
from packaging.version import Version

ROOT = Path(__file__).parents[2]

# name -> the oldest version without the hole, and the hole
MINIMUM = {
    "bentoml": ("1.4.39", "CVE-2026-44345 and -44346, base image injected into a Dockerfile; all older ones before it"),
    "mlflow": ("3.17.1", "GHSA-h7x2-h6g9-p789, the gateway asks any address; CVE-2026-2635, a shipped password"),
    "mlflow-skinny": ("3.17.1", "as mlflow"),
    "pyarrow": ("23.0.1", "CVE-2026-25087, use after free in IPC files; CVE-2023-47248, code in Parquet and IPC files"),
    "pyspark": ("4.0.0", "CVE-2025-55039, RPC encryption without authentication"),
    "python-multipart": ("0.0.27", "CVE-2026-42561 and CVE-2026-40347"),
    "skops": ("0.13.0", "CVE-2025-54886, a model card falls back to joblib"),
    "starlette": ("0.25.0", "multipart forms without bound stop the server"),
}


def locked(name: str) -> set[str]:
    text = "".join(lock.read_text(encoding="utf-8") for lock in ROOT.glob("requirements*.lock"))
    return set(re.findall(rf"^{re.escape(name)}==(\S+)", text, re.MULTILINE))


@pytest.mark.parametrize("name", MINIMUM)
def test_the_lock_holds_no_version_with_a_known_hole(name):
    minimum, hole = MINIMUM[name]
    assert locked(name), f"{name} is not in the lock: take it from this table"
    assert all(Version(version) >= Version(minimum) for version in locked(name)), hole


@pytest.mark.parametrize("name", MINIMUM)
def test_what_is_installed_has_no_known_hole(name):
    minimum, hole = MINIMUM[name]
    installed = {distribution.name.lower(): distribution.version for distribution in metadata.distributions()}
    if name == "pyspark" and name not in installed:
        pytest.skip("needs spark: PySpark is not installed")
    assert Version(installed[name]) >= Version(minimum), hole
