"""Settings of the place where trials run, in Python and in a sweep file."""

from __future__ import annotations

import pytest

from mnist_core.errors import SpecError
from search.execution import Execution
from search.spec_file import parse_spec, to_toml

SWEEP = 'name = "small"\ntrials = 2\n[space]\nhidden_size = [8, 9]\n'


def test_a_sweep_runs_on_this_machine_unless_it_says_otherwise() -> None:
    spec = parse_spec(SWEEP)
    assert spec.execution == Execution()
    assert "execution" not in to_toml(spec)


def test_a_sweep_file_names_the_executor_and_its_settings() -> None:
    text = (
        '[execution]\nexecutor = "ray"\naddress = "auto"\ncpus_per_trial = 2\ngpus_per_trial = 0.5\nmax_workers = 7\n'
    )
    spec = parse_spec(SWEEP + text)
    assert spec.execution == Execution("ray", "auto", 2, 0.5, 7)
    assert parse_spec(to_toml(spec)) == spec


@pytest.mark.parametrize(
    ("setting", "words"),
    [
        ('executor = ""', "executor: expected a name such as 'local' or 'ray'"),
        ("executor = 3", "executor: expected a text, received 3"),
        ('executor = "ray"\ncpus_per_trial = -1', "cpus_per_trial: expected 0 or more, received -1"),
        ('executor = "ray"\ncpus_per_trial = nan', "cpus_per_trial: expected 0 or more, received nan"),
        ('executor = "ray"\ngpus_per_trial = true', "gpus_per_trial: expected 0 or more, received True"),
        ('executor = "ray"\ngpus_per_trial = 1.5', "gpus_per_trial: expected a share of one GPU, or whole ones"),
        ('executor = "ray"\ncpus_per_trial = 0', "cpus_per_trial: expected more than 0 where no GPU is asked for"),
        ("max_workers = -1", "max_workers: expected 1 or more, or 0 for as many as fit, received -1"),
        ('address = "auto"', "address: expected executor = 'ray' with it, received 'auto' with 'local'"),
        ("gpus_per_trial = 1", "gpus_per_trial: expected executor = 'ray' with it, received 1 with 'local'"),
        ("workers = 2", "execution.workers: unknown"),
    ],
)
def test_a_setting_that_no_executor_has_is_refused_by_its_name(setting: str, words: str) -> None:
    with pytest.raises(SpecError, match="execution") as caught:
        parse_spec(f"{SWEEP}[execution]\n{setting}\n")
    assert words in str(caught.value)
