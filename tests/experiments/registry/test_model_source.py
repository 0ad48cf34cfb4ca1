"""The champion of the registry as the service reads it, and its export to a file."""

from __future__ import annotations

import json
import re
import signal
import subprocess
import sys
import urllib.request
from collections.abc import Callable
from pathlib import Path

import pytest
from mlflow import MlflowClient

from experiments import SweepResult, open_store
from experiments.registry.champion_history import ChampionChange, ChangeKind
from experiments.registry.model_source import RegistryModelSource
from experiments.registry.version_export import export_version, find_version
from experiments.registry.versions import register, set_champion
from experiments.tracking.artifacts import sha256_of
from experiments.tracking.records import Alias, Tag, VersionTag
from experiments.tracking.store import Store
from mnist_core.data.sources import DataSource, Origin
from mnist_core.errors import ModelError, NotFoundError
from mnist_core.models.export_formats import ExportFormat
from serving.model_manager import ModelManager, load_predictor

NAME = "served"  # a registered model of these tests, in the shared store

Promote = Callable[[int], int]


@pytest.fixture
def store(finished_sweep: SweepResult) -> Store:
    return open_store(finished_sweep.tracking_uri)


@pytest.fixture
def promote(finished_sweep: SweepResult, store: Store) -> Promote:
    """A function that makes the run of a rank the champion and returns its version."""

    def promote(rank: int) -> int:
        run = finished_sweep.ranked[rank]
        tags = {VersionTag.SWEEP: "small", VersionTag.TEST_ACCURACY: "0.9123", VersionTag.MODEL_ID: run.model_id or ""}
        version = register(store, NAME, run.run_id, run.model_id or "", tags, "")
        set_champion(store, version, ChampionChange.now(version.version, ChangeKind.PROMOTED))
        return version.version

    return promote


def test_without_a_store_there_is_no_champion(tmp_path: Path) -> None:
    assert RegistryModelSource(f"sqlite:///{tmp_path}/mlflow.db").current() is None
    assert not (tmp_path / "mlflow.db").exists()


def test_without_a_promotion_there_is_no_champion(store: Store) -> None:
    assert RegistryModelSource(store.uri, "never-promoted").current() is None


def test_the_champion_of_the_registry_is_served_and_replaced_by_the_next_one(
    finished_sweep: SweepResult, store: Store, promote: Promote
) -> None:
    manager = ModelManager(RegistryModelSource(store.uri, NAME), load_predictor)
    for rank in (0, 1):
        version, run = promote(rank), finished_sweep.ranked[rank]
        manager.check()
        assert manager.problem is None
        assert manager.champion is not None
        facts = manager.champion.info
        assert (facts.name, facts.version, facts.run) == (NAME, str(version), run.title)
        assert (facts.sweep, facts.test_accuracy, facts.val_accuracy) == ("small", 0.9123, None)
        assert facts.sha256 == run.tags[Tag.MODEL_SHA256]
        assert facts.run_url is not None
        assert facts.run_url.endswith(f"/#/experiments/{store.experiment_id}/runs/{run.run_id}")


def test_without_the_alias_there_is_no_champion(store: Store, promote: Promote) -> None:
    source = RegistryModelSource(store.uri, NAME)
    version = str(promote(0))
    assert source.current() == version
    store.client.delete_registered_model_alias(NAME, Alias.CHAMPION)
    assert source.current() is None
    store.client.set_registered_model_alias(NAME, Alias.CHAMPION, version)
    assert source.current() == version


@pytest.mark.server
def test_a_tracking_server_without_the_model_or_the_alias_has_no_champion(server: str) -> None:
    client = open_store(server, create=True).client
    source = RegistryModelSource(server, "of-nobody")
    assert source.current() is None
    client.create_registered_model("of-nobody")
    assert source.current() is None


def test_each_check_without_a_change_is_one_call_of_the_store(
    store: Store, promote: Promote, monkeypatch: pytest.MonkeyPatch
) -> None:
    promote(0)
    manager = ModelManager(RegistryModelSource(store.uri, NAME), load_predictor)
    manager.check()
    champion, calls = manager.champion, count_calls(store.client, monkeypatch)
    for _ in range(3):
        manager.check()
    assert (manager.champion, manager.problem) == (champion, None)
    assert calls == ["get_model_version_by_alias"] * 3


def count_calls(client: MlflowClient, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """A list that grows by the name of each reading call of any MLflow client."""
    calls: list[str] = []

    def counted(name: str, method: Callable[..., object]) -> Callable[..., object]:
        def call(self: MlflowClient, *args: object, **keywords: object) -> object:
            calls.append(name)
            return method(self, *args, **keywords)

        return call

    for name, method in vars(type(client)).items():
        if name.startswith(("get_", "search_", "list_")) and callable(method):
            monkeypatch.setattr(type(client), name, counted(name, method))
    return calls


def test_an_altered_file_is_refused(
    finished_sweep: SweepResult, store: Store, promote: Promote, tmp_path: Path
) -> None:
    identity = str(promote(0))
    place = Path(
        store.client.get_logged_model(finished_sweep.ranked[0].model_id).artifact_location.removeprefix("file://")
    )
    file = place / "data" / "model.keras"
    content = file.read_bytes()
    file.write_bytes(content[:-1] + b"x")
    try:
        with pytest.raises(ModelError, match="altered after it was logged"):
            RegistryModelSource(store.uri, NAME).fetch(identity, tmp_path)
    finally:
        file.write_bytes(content)


def test_a_version_is_served_with_its_own_model_after_the_tags_of_its_run_changed(
    finished_sweep: SweepResult, finished_store: Store, tmp_path: Path
) -> None:
    run, other = finished_sweep.ranked[:2]
    own = run.tags[Tag.MODEL_SHA256]
    tags = {VersionTag.MODEL_ID: run.model_id or "", VersionTag.MODEL_SHA256: own}
    register(finished_store, NAME, run.run_id, run.model_id or "", tags, "")
    for tag in (Tag.MODEL_ID, Tag.MODEL_SHA256):
        finished_store.client.set_tag(run.run_id, tag, other.tags[tag])
    artifact = RegistryModelSource(finished_store.uri, NAME).fetch("1", tmp_path)
    assert artifact.info.sha256 == sha256_of(artifact.file) == own


def test_an_unknown_version_cannot_be_fetched(store: Store, promote: Promote, tmp_path: Path) -> None:
    promote(0)
    with pytest.raises(NotFoundError, match="served: no version 99 in"):
        RegistryModelSource(store.uri, NAME).fetch("99", tmp_path)


def test_an_export_is_recorded_with_its_version_and_logged_to_its_run(
    store: Store, promote: Promote, tmp_path: Path
) -> None:
    number = promote(0)
    version = find_version(store, NAME, "champion")
    assert version.version == number
    assert find_version(store, NAME, str(number)).version == number
    done = export_version(store, version, ExportFormat.KERAS, False, tmp_path / "out", DataSource(Origin.SAMPLE))
    assert done.path == tmp_path / "out" / f"served-{number}.keras"
    assert done.agreement.images == 1000
    assert done.size == done.path.stat().st_size
    recorded = store.client.get_model_version(NAME, str(number)).tags["export.keras"]
    assert "same prediction for 100.00% of 1000 images" in recorded
    kept = [file.path for file in store.client.list_artifacts(version.run_id, "exports")]
    assert kept == [f"exports/served-{number}.keras"]


def test_the_error_for_an_unknown_version_lists_the_known_ones(store: Store, promote: Promote) -> None:
    promote(0)
    with pytest.raises(NotFoundError, match=r"no version '99' in .*it has: .*1"):
        find_version(store, NAME, "99")
    with pytest.raises(NotFoundError, match=r"promote a run first \(mnist-search promote SWEEP\)"):
        find_version(store, "never-promoted", "champion")


def test_the_command_serves_until_it_is_interrupted(finished_uri: str, promote: Promote) -> None:
    version = promote(0)
    words = ["serve", "--port", "0", "--as", NAME]
    process = subprocess.Popen(
        [sys.executable, "-m", "experiments", *words], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    try:
        champion, page = process.stdout.readline(), process.stdout.readline()
        assert champion.startswith(f"champion   served version {version}, small/trial-")
        (url,) = re.findall(r"http://127\.0\.0\.1:\d+", page)
        with urllib.request.urlopen(f"{url}/health") as answer:
            assert json.load(answer)["status"] == "serving"
        process.send_signal(signal.SIGINT)
        assert process.communicate(timeout=30) == ("", "")
    finally:
        process.kill()
        process.communicate()
