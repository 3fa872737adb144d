# SPDX-License-Identifier: Apache-2.0
"""Policies of LeRobot itself: trained on an exported data set for some steps, saved, and run by the suite."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

pytest.importorskip(
    "lerobot", reason="runs LeRobot's policies: docs/how-to/external-policies.md says how to install it"
)
pytest.importorskip("av", reason="LeRobot data sets need pyarrow and av: pip install './models[lerobot]'")

from lerobot.policies.diffusion.configuration_diffusion import DiffusionConfig  # noqa: E402
from lerobot_sets import write_bag  # noqa: E402
from lerobot_training import tiny_act, train  # noqa: E402

from ptr_models.common.errors import PtrError  # noqa: E402
from ptr_models.contract import Contract  # noqa: E402
from ptr_models.exchange.lerobot.exporting import Options, export_lerobot  # noqa: E402
from ptr_models.inference.lerobot_loading import load  # noqa: E402
from ptr_models.inference.loading import load_policy  # noqa: E402

SIZE = (96, 128)


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A data set of two bags, images of 128x96."""
    place = tmp_path_factory.mktemp("set")
    for seed in range(2):
        write_bag(place / "bags", seed, steps=12, size=SIZE)
    export_lerobot([place / "bags"], place / "set", Options(workers=1))
    return place / "set"


@pytest.fixture(scope="module")
def act(root: Path) -> Path:
    torch.manual_seed(0)
    losses = train(root, root.parent / "act", tiny_act(), 12, batch=4)
    assert np.isfinite(losses).all() and np.mean(losses[-4:]) < np.mean(losses[:4])
    return root.parent / "act"


def scene() -> tuple[np.ndarray, np.ndarray]:
    generator = np.random.default_rng(3)
    image = generator.integers(0, 256, (*SIZE, 3), dtype=np.uint8)
    return image, generator.normal(0.0, 0.1, 7).astype(np.float32)


def observation(image: np.ndarray, state: np.ndarray) -> dict[str, Any]:
    """As LeRobot's own loop makes it (`prepare_observation_for_inference`)."""
    return {
        "observation.state": torch.from_numpy(state)[None],
        "observation.images.over_shoulder": torch.from_numpy(image).permute(2, 0, 1)[None].float() / 255.0,
        "task": "put corn in pot",
    }


def test_an_act_policy_acts_as_in_lerobots_own_loop(act: Path, root: Path) -> None:
    image, state = scene()
    (act.parent / "act.yaml").write_text("policy: act\ndataset: set\nexecute: 5\n")
    served = load_policy(f"lerobot:{act.parent / 'act.yaml'}")
    assert served.contract == Contract().with_image_size(*SIZE)
    actions = np.stack([served.act(image, state, "put_corn_in_pot").action for _ in range(5)])
    served.close()
    own = load(act, "cpu")
    expected = [own.after(own.policy.select_action(own.before(observation(image, state))))[0] for _ in range(5)]
    assert np.abs(actions - torch.stack(expected).numpy()).max() < 1e-6
    stats = json.loads((root / "meta/stats.json").read_text())["action"]
    assert np.abs(actions[:, 6]).max() <= 3.0 * max(stats["max"][6], 1.0)  # in the data set's units, not normalized


def test_a_diffusion_policy_keeps_its_history_of_observations(root: Path) -> None:
    config = DiffusionConfig(
        device="cpu",
        down_dims=(16, 32),
        n_groups=4,
        diffusion_step_embed_dim=16,
        spatial_softmax_num_keypoints=4,
        num_train_timesteps=4,
        crop_shape=(64, 64),
        use_group_norm=True,
    )
    train(root, root.parent / "diffusion", config, 2, batch=2)
    image, state = scene()
    served = load_policy(f"lerobot:{root.parent / 'diffusion'}")
    own = load(root.parent / "diffusion", "cpu")
    seen = [observation(image, state), observation(image[::-1].copy(), -state), observation(image, 2.0 * state)]
    served.reset()
    torch.manual_seed(1)
    actions = [
        served.act(image, numbers, "put_corn_in_pot").action
        for image, numbers in ((image, state), (image[::-1].copy(), -state), (image, 2.0 * state))
    ]
    own.policy.reset()
    torch.manual_seed(1)
    expected = [own.after(own.policy.select_action(own.before(one)))[0].numpy() for one in seen]
    assert np.abs(np.stack(actions) - np.stack(expected)).max() < 1e-6
    served.close()


def test_weights_of_another_architecture_are_refused(act: Path) -> None:
    path = act / "config.json"
    kept = path.read_text()
    try:
        path.write_text(json.dumps(json.loads(kept) | {"dim_model": 32}))
        with pytest.raises(PtrError, match=r"LeRobot can't load .*act: RuntimeError: "):
            load_policy(f"lerobot:{act}")
    finally:
        path.write_text(kept)


def test_weights_of_a_backbone_are_never_fetched(act: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A trained policy's config still names the weights that its backbone began with."""
    path = act / "config.json"
    kept = path.read_text()
    fetch = "torchvision.models._api.load_state_dict_from_url"
    monkeypatch.setattr(fetch, lambda *_, **__: pytest.fail("a download"))
    try:
        path.write_text(
            json.dumps(json.loads(kept) | {"pretrained_backbone_weights": "ResNet18_Weights.IMAGENET1K_V1"})
        )
        load_policy(f"lerobot:{act}").close()
    finally:
        path.write_text(kept)
