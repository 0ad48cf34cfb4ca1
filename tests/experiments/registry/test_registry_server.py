"""Promotion and rollback on a real tracking server."""

from __future__ import annotations

from pathlib import Path

import pytest
from mlflow import MlflowClient

from experiments import parse_spec, run_sweep
from tests.helpers.sweep_texts import MIXED
from tests.helpers.sweeps import Run, in_process


@pytest.mark.server
def test_runs_are_promoted_and_rolled_back_on_a_tracking_server(
    command: Run, server: str, whole_npz: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", server)
    two = MIXED.partition("    { hidden_layers = 1, hidden_size = 8")[0] + "]\n" + MIXED.partition("]\n")[2]
    finished_sweep = run_sweep(parse_spec(two), in_process(whole_npz))
    assert len(finished_sweep.ranked) == 2
    low = ["--yes", "--no-explain", "--floor", "0.5", "--as", "on-a-server"]
    assert command("promote", f"{finished_sweep.sweep.name}/1", *low)[0] == 0
    assert command("promote", finished_sweep.sweep.name, *low)[0] == 0

    client = MlflowClient(server)
    versions = {alias: client.get_model_version_by_alias("on-a-server", alias) for alias in ("champion", "previous")}
    assert {alias: version.run_id for alias, version in versions.items()} == {
        "champion": finished_sweep.ranked[0].run_id,
        "previous": finished_sweep.ranked[1].run_id,
    }
    # Another test may have recorded a sweep of the same name on this server.
    former = f"passed: no worse than {finished_sweep.sweep.name}/trial-001"
    assert versions["champion"].tags["check.champion"].startswith(former)
    assert versions["champion"].description.startswith(f"# {finished_sweep.ranked[0].title}\n")

    high = ["--yes", "--no-explain", "--floor", "1", "--as", "on-a-server"]
    assert command("promote", f"{finished_sweep.sweep.name}/1", *high)[0] == 1
    assert command("rollback", "--as", "on-a-server", "--reason", "to see it")[0] == 0
    assert dict(client.get_registered_model("on-a-server").aliases) == {"champion": "1", "challenger": "1"}
    code, out, _ = command("registry", "--as", "on-a-server")
    assert code == 0
    assert "version 1 reinstated by" in out
    assert out.rstrip().endswith(": to see it")
    code, _, err = command("rollback", "--as", "on-a-server")
    assert code == 2
    assert "no previous champion" in err
