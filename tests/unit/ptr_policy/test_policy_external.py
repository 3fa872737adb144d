# SPDX-License-Identifier: Apache-2.0
"""A policy behind openpi's protocol, where a checkpoint would be: in the policy server, and in simulated trials."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from openpi_server import OpenPiServer, file_for, openpi_server

from ptr_models import cli
from ptr_models.contract import Contract, ContractError
from ptr_models.episodes.sampling import Observation
from ptr_policy.server.loading import LoadRequest, load
from ptr_policy.server.run import Run, RunOptions

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "integration"))
from untrained import TASK, write_checkpoint  # noqa: E402

RISES = np.tile([0.0, 0.0, 0.02, 0.0, 0.0, 0.0, 1.0], (10, 1))


@pytest.fixture
def server() -> Iterator[OpenPiServer]:
    with openpi_server(RISES) as running:
        yield running


def observation() -> Observation:
    camera = Contract().cameras[0]
    images = np.zeros((1, camera.height, camera.width, 3), np.uint8)
    return Observation(images, np.zeros(7, np.float32), (10,), 11)


def test_the_server_runs_it_like_a_checkpoint(server: OpenPiServer, tmp_path: Path) -> None:
    loaded = load(LoadRequest(f"openpi:{file_for(server, tmp_path)}", new_task="fold_towel"))
    run = Run(loaded.policy, RunOptions("fold the towel", "", max_steps=3, max_holds=3))
    steps = [run.step(observation) for _ in range(3)]
    assert [step.reason for step in steps] == ["", "", ""]
    assert steps[0].decision.action.tolist() == pytest.approx(RISES[0].tolist(), abs=1e-7)
    assert server.seen[-1]["prompt"] == "fold the towel"
    loaded.policy.close()


def test_a_critic_values_its_actions(server: OpenPiServer, tmp_path: Path) -> None:
    write_checkpoint(tmp_path / "critic")
    loaded = load(LoadRequest(f"openpi:{file_for(server, tmp_path, 'critic: critic')}"))
    decision = Run(loaded.policy, RunOptions(TASK, "", 3, 3)).step(observation).decision
    assert np.isfinite([decision.q, decision.q_spread]).all()
    loaded.policy.close()


def test_one_of_another_contract_is_refused_and_let_go(server: OpenPiServer, tmp_path: Path) -> None:
    (tmp_path / "fast.json").write_text(Contract(control_rate=10.0).to_json())
    with pytest.raises(ContractError, match="control_rate"):
        load(LoadRequest(f"openpi:{file_for(server, tmp_path, 'contract: fast.json')}"))


def test_simulated_trials_run_it(server: OpenPiServer, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = ["--task", "put_corn_in_pot", "--kitchen", "toykitchen2", "--trials", "1", "--max-steps", "3"]
    assert cli.main(["sim", "evaluate", "--checkpoint", f"openpi:{file_for(server, tmp_path)}", *words]) == 0
    assert "0/1" in capsys.readouterr().out
    assert server.seen[-1]["prompt"] == "put corn in pot"
    heights = [float(seen["observation/state"][2]) for seen in server.seen]
    assert len(heights) == 1  # three steps of one chunk


def test_what_is_no_kind_of_policy_is_looked_for_as_a_folder(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["sim", "evaluate", "--checkpoint", "other:act", "--task", "put_corn_in_pot"]) == 2
    assert "other:act does not exist" in capsys.readouterr().err
