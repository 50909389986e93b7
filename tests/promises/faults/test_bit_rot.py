"""Bytes that change on disk: in every kind of file that vouch reads again, it is found, or what is read is the same."""

from __future__ import annotations

import random
import shutil
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pyarrow as pa
import pytest

from support.champions import write_champions
from support.faults import MONDAY, NOW
from vouch.features.errors import BundleError, SnapshotError, VouchError
from vouch.features.ingest.stage import open_tables, stage
from vouch.features.instants import parse_instant
from vouch.features.project import Project
from vouch.models.predictor import Predictor, champion_folder, load_champion
from vouch.models.registry.champions import install, promotion
from vouch.serving.api.state import ServingState
from vouch.serving.batch.run import score_weeks
from vouch.serving.snapshots import files as snapshot
from vouch.serving.store.connection import Database
from vouch.serving.store.digests import drop_damaged
from vouch.serving.store.weeks import bring, read_batches, stored_weeks

pytestmark = pytest.mark.nightly
FLIPS, CUTS, MUTANTS = 500, 200, 500


@pytest.fixture(scope="module")
def sound(small_company, tmp_path_factory):
    """A home with a published week, a champion of each kind that is a file of numbers, staged tables and a store."""
    home = tmp_path_factory.mktemp("sound")
    workshop = tmp_path_factory.mktemp("workshop")
    for name, champion in write_champions(workshop).items():
        with promotion(home, name) as folder:
            install(folder, champion_folder(workshop, name) / "bundle", "card", champion.content_hash)
    project = Project(home=home, location=str(small_company))
    score_weeks(project, [parse_instant(MONDAY)], parse_instant(NOW))
    database = Database(home)
    assert bring(database, home, parse_instant(NOW)) == []
    database.close()
    return project


def tables_of(found) -> dict[str, pa.Table]:
    names = (path.stem for path in sorted(found.folder.glob("*.parquet")))
    return {name: found.table(name) for name in names}


def read_again(project, path: Path) -> object:
    """What a file belongs to, decoded as it is used; raises what reading raises."""
    kind = path.relative_to(project.home).parts[0]
    if kind == "snapshots":
        return tables_of(snapshot.read_snapshot(project.home))
    if kind == "champions":
        return {name: load_champion(project.home, name).content_hash for name in ("churn", "advocacy")}
    frames = open_tables(stage(project, parse_instant(NOW)), "polars").frames
    return {name: frame.collect("pyarrow").to_native() for name, frame in frames.items()}


def stored(home) -> dict[str, object]:
    """What the service reads of the newest week; one that the file has lost is brought again from the disk."""
    database = Database(home)
    try:
        assert bring(database, home, parse_instant(NOW)) == []
        with database.reading() as connection:
            (week,) = stored_weeks(connection, with_customers=True)
            return {"manifest": week.manifest} | {
                name: pa.Table.from_batches(read_batches(connection, week.snapshot_id, name))
                for name in ("scores", "customers", "changes", "metrics")
            }
    finally:
        database.close()


def files_of(home) -> list[Path]:
    roots = [home / "snapshots", home / "staged", home / "champions"]
    files = [path for root in roots for path in sorted(root.rglob("*")) if path.is_file() and path.stat().st_size]
    return [path for path in files if path.name not in (".lock", "gate.json", "card.md", "report.json")]


def damaged(draw, whole: bytes, cut: bool) -> bytes:
    place = draw.randrange(len(whole))
    return whole[:place] if cut else whole[:place] + bytes([whole[place] ^ draw.randrange(1, 256)]) + whole[place + 1 :]


def test_one_flipped_byte_or_a_cut_in_any_file_is_found_or_changes_nothing(sound):
    draw, seen = random.Random(5), Counter()
    files = files_of(sound.home)
    wanted = {path: read_again(sound, path) for path in files}
    for trial in range(FLIPS + CUTS):
        path = draw.choice(files)
        whole = path.read_bytes()
        path.write_bytes(damaged(draw, whole, trial >= FLIPS))
        kind = "cut" if trial >= FLIPS else "flip"
        try:
            is_same = read_again(sound, path) == wanted[path]
        except VouchError:
            seen[f"{kind}: found"] += 1
        else:
            assert is_same, path
            seen[f"{kind}: the same data"] += 1
        finally:
            path.write_bytes(whole)
    print(f"\n{len(files)} files: {dict(seen)}")
    assert sum(seen.values()) == FLIPS + CUTS


def test_one_flipped_byte_in_the_store_is_found_or_changes_nothing_and_is_put_right(sound):
    wanted, draw, seen = stored(sound.home), random.Random(6), Counter()
    path = sound.home / "serving" / "store.sqlite"
    whole = path.read_bytes()
    for trial in range(FLIPS + CUTS):
        path.write_bytes(damaged(draw, whole, trial >= FLIPS))
        for beside in ("-wal", "-shm"):
            path.with_name(path.name + beside).unlink(missing_ok=True)
        try:
            assert stored(sound.home) == wanted, trial
            seen["the same data"] += 1
        except VouchError as error:
            seen["found"] += 1
            if isinstance(error, SnapshotError):
                database = Database(sound.home)
                assert drop_damaged(database) == 1
                database.close()
                assert stored(sound.home) == wanted, trial
                seen["brought again"] += 1
        finally:
            path.write_bytes(whole)
    print(f"\nstore: {dict(seen)}")
    assert seen["found"] + seen["the same data"] == FLIPS + CUTS


CHILD = """
import random, sys
from pathlib import Path
from vouch.serving.scoring.score import champion
from vouch.serving.api.state import ServingState
from vouch.serving.batch.run import score_weeks
home, seed, trials = Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3])
store = ServingState(home)
store.refresh()
first = store.champions["churn"]
bundle = home / "champions" / "churn" / "bundle"
files = [path for path in sorted(bundle.resolve().rglob("*")) if path.is_file()]
draw, kept, taken = random.Random(seed), 0, 0
for trial in range(trials):
    path = draw.choice(files)
    whole = path.read_bytes()
    place = draw.randrange(len(whole))
    flipped = whole[:place] + bytes([whole[place] ^ draw.randrange(1, 256)]) + whole[place + 1 :]
    path.write_bytes(whole[:place] if trial % 4 == 0 else flipped)
    store._seen_champions = object()
    store.refresh()
    found = store.champions["churn"]
    same = found.content_hash == first.content_hash
    assert same, (path, place)
    kept += found is first
    taken += found is not first
    path.write_bytes(whole)
print(kept, taken)
"""


def lightgbm_champion(home) -> Predictor:
    """A champion of boosted trees, fitted on made-up rows of the first features."""
    import lightgbm
    import numpy as np
    import pandas as pd

    from vouch.features.vectors.declare import load_families
    from vouch.models.predictor import champion_folder, write_bundle
    from vouch.models.scoring.calibration import Calibrator
    from vouch.models.scoring.feature_matrix import Column

    families = load_families()
    names = [name for name, feature in families.items() if not feature.is_category][:12]
    rows = np.random.default_rng(0).normal(size=(600, len(names))).astype(np.float32)
    data = lightgbm.Dataset(rows, (rows[:, 0] + rows[:, 1] > 0.5).astype(float), feature_name=names)
    fixed = {"objective": "binary", "verbosity": -1, "num_threads": 1, "deterministic": True, "seed": 0}
    booster = lightgbm.train(fixed, data, 20)
    return write_bundle(
        champion_folder(home, "churn") / "bundle", model="churn", target="contract", kind="lightgbm",
        content=booster.model_to_string(), columns=[Column(name, families[name].family) for name in names],
        calibrator=Calibrator(), golden=pd.DataFrame(rows[:8], columns=names), facts={},
    )  # fmt: skip


def test_mutated_model_files_never_bring_the_service_down_and_none_is_taken_with_other_scores(sound, tmp_path):
    home = shutil.copytree(sound.home, tmp_path / "home", symlinks=True)
    shutil.rmtree(home / "champions" / "churn")
    lightgbm_champion(home)
    done = subprocess.run(
        [sys.executable, "-c", CHILD, str(home), "7", str(MUTANTS)], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr[-2000:]
    kept, taken = map(int, done.stdout.split())
    print(f"\nmutants: {kept} refused, {taken} taken with the same content")
    assert kept + taken == MUTANTS
    store = ServingState(home)
    store.refresh()
    assert store.champions["churn"].predictor is not None


def test_a_mutant_whose_digests_were_made_to_fit_is_another_model_and_brings_nobody_down(sound, tmp_path):
    """One that still gives its golden rows their scores loads; promotion, which knows the hash, does not take it."""
    import json

    from vouch.models.scoring.bundle import write_files

    home = shutil.copytree(sound.home, tmp_path / "home", symlinks=True)
    shutil.rmtree(home / "champions" / "churn")
    good = lightgbm_champion(home)
    bundle = (home / "champions" / "churn" / "bundle").resolve()
    manifest = json.loads((bundle / "manifest.json").read_bytes())
    files = {path.name: path.read_bytes() for path in bundle.iterdir() if path.name != "manifest.json"}
    draw, seen = random.Random(8), Counter()
    for trial in range(20):
        mutant = dict(files)
        (model,) = [name for name in files if name.endswith(".txt")]
        mutant[model] = damaged(draw, files[model], trial % 4 == 0)
        folder = tmp_path / f"mutant-{trial}"
        facts = {name: value for name, value in manifest.items() if name not in ("files", "digest", "content_hash")}
        write_files(folder, facts, mutant)
        try:
            found = Predictor.load(folder)
        except BundleError:
            seen["refused"] += 1
        else:
            assert found.content_hash != good.content_hash
            seen["loaded, as another one"] += 1
            with promotion(home, "churn") as champion, pytest.raises(BundleError, match="has the hash"):
                install(champion, folder, "card", good.content_hash)
        assert load_champion(home, "churn").content_hash == good.content_hash
    print(f"\nresealed mutants: {dict(seen)}")
