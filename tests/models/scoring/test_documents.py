"""A bundle whose digests fit and whose documents have any other form is a BundleError, and nothing else."""

from __future__ import annotations

import json

import pytest

from support.small_model import COLUMNS, EFFECTS, ISOTONIC, LOGISTIC, RULES, written
from support.spoilt_documents import NO_DOCUMENT, spoilt
from vouch.features.errors import BundleError, UsageError
from vouch.models.predictor import Predictor, champion_folder, load_champion
from vouch.models.quality.drift import Histogram
from vouch.models.scoring.bundle import as_bytes, read_files, write_files
from vouch.models.scoring.documents import checked_digest
from vouch.models.scoring.hazard import Hazard

SOON = Hazard(4, (-4.5, -4.6, -4.7, -4.8), (0.9, 0.8, 0.7, 0.6), (0.3, 0.2), 26)


@pytest.fixture
def bundle(tmp_path):
    """A logistic champion with every document that there is."""
    folder = champion_folder(tmp_path, "churn") / "bundle"
    written(folder, "logistic", LOGISTIC, ISOTONIC, effects=EFFECTS)
    manifest, files, _ = read_files(folder)
    files["hazard.json"] = as_bytes(SOON.as_json())
    counted = [Histogram(c.name, c.family, (1, 2), (), None) for c in COLUMNS]
    files["reference.json"] = as_bytes({"histograms": [of.as_json() for of in counted]})
    plain = {name: value for name, value in manifest.items() if name != "files"}
    write_files(folder, plain, files)
    assert load_champion(tmp_path, "churn") is not None
    return folder


def is_taken(folder):
    """Whether a bundle loads and scores, or is refused as it should; whatever else is raised ends the test."""
    try:
        found = Predictor.load(folder)
    except BundleError:
        return False
    assert found.names
    return True


def resealed(folder, name, content: bytes):
    manifest, files, _ = read_files(folder, verify=False)
    plain = {key: value for key, value in manifest.items() if key != "files"}
    write_files(folder, plain, {**files, name: content})


DOCUMENTS = ("manifest.json", "features.json", "golden.json", "calibrator.json", "model.json", "hazard.json",
             "reference.json", "effects.json")  # fmt: skip


@pytest.mark.parametrize("name", DOCUMENTS)
def test_any_wrong_value_anywhere_is_a_bundle_error_or_changes_nothing_that_is_read(bundle, name, monkeypatch):
    monkeypatch.setattr("os.fsync", lambda _: None)
    whole = {path: path.read_bytes() for path in bundle.iterdir()}
    content = json.loads((bundle / name).read_bytes())
    refused = tried = 0
    for document in spoilt(content):
        body = json.dumps(document).encode()
        if name == "manifest.json":
            (bundle / name).write_bytes(body)
        else:
            resealed(bundle, name, body)
        tried += 1
        refused += not is_taken(bundle)
        for path, good in whole.items():
            path.write_bytes(good)
    assert refused > tried / 2


@pytest.mark.parametrize("name", DOCUMENTS)
@pytest.mark.parametrize("body", NO_DOCUMENT)
def test_what_is_no_document_is_a_bundle_error(bundle, name, body):
    if name == "manifest.json":
        (bundle / name).write_bytes(body)
    else:
        resealed(bundle, name, body)
    with pytest.raises(BundleError):
        Predictor.load(bundle)


def test_a_feature_that_stands_twice_is_refused(bundle):
    features = json.loads((bundle / "features.json").read_bytes())
    features["features"][1] = features["features"][0]
    resealed(bundle, "features.json", json.dumps(features).encode())
    with pytest.raises(BundleError, match="twice"):
        Predictor.load(bundle)


def test_a_rule_and_a_regression_that_do_not_fit_their_features_are_refused(tmp_path):
    for kind, numbers, key in (("logistic", LOGISTIC, "terms"), ("rules", RULES, "parts")):
        folder = tmp_path / kind
        written(folder, kind, numbers)
        turned = [*numbers[key][:3], *numbers[key][:2:-1]]  # what is meant for a number stands for a category
        for wrong in ({**numbers, key: turned}, {**numbers, key: numbers[key][:-1]}):
            resealed(folder, "model.json", as_bytes(wrong))
            with pytest.raises(BundleError, match="does not fit"):
                Predictor.load(folder)


@pytest.mark.parametrize("listed", ["../model.json", "/etc/passwd", "a/b.json", "..", "model.json\n", "golden.json/"])
def test_a_bundle_lists_files_of_its_own_alone(bundle, listed):
    manifest = json.loads((bundle / "manifest.json").read_bytes())
    manifest["files"][listed] = "0" * 64
    (bundle / "manifest.json").write_text(json.dumps(manifest))
    with pytest.raises(BundleError, match=r"manifest\.json is not sound"):
        Predictor.load(bundle)


def test_a_bundle_of_a_newer_release_says_so(bundle):
    manifest = json.loads((bundle / "manifest.json").read_bytes())
    (bundle / "manifest.json").write_text(json.dumps({**manifest, "format": 99}))
    with pytest.raises(BundleError, match="newer vouch"):
        Predictor.load(bundle)


def test_the_champion_of_one_model_is_not_another_model(bundle, tmp_path):
    other = champion_folder(tmp_path, "advocacy")
    other.mkdir()
    bundle.rename(other / "bundle")
    with pytest.raises(BundleError, match="is a model of 'churn'"):
        load_champion(tmp_path, "advocacy")


@pytest.mark.parametrize("name", ["..", "../x", "a/b", "", "*", "Churn", "churn\n", "x" * 100])
def test_a_name_of_a_model_is_no_path(tmp_path, name):
    with pytest.raises(UsageError, match="name of a model"):
        champion_folder(tmp_path, name)


@pytest.mark.parametrize("text", [None, "", "f" * 63, "F" * 64, "../../../../pwnd" + "f" * 48, "f" * 64 + "\n", 5])
def test_a_content_hash_is_64_digits(text):
    with pytest.raises(BundleError, match="64"):
        checked_digest(text)
