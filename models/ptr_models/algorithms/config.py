# SPDX-License-Identifier: Apache-2.0
"""Options of the algorithms, as plain data, with PTR's defaults, and the registry `ALGORITHMS`."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol

from ptr_models.algorithms.method_configs import AwrConfig, BetConfig, ContrastiveConfig, IcvfConfig, MaskedConfig
from ptr_models.common.registry import Registry

if TYPE_CHECKING:
    from ptr_models.algorithms import Algorithm
    from ptr_models.networks.config import NetworkConfig


class AlgorithmClass(Protocol):
    """A callable that constructs an algorithm.

    Attributes:
        batches: what it learns from: transitions, windows, clips or intents (`ptr_models.replay`).
    """

    batches: str

    def __call__(
        self, config: AlgorithmConfig, networks: NetworkConfig, tasks: int, device: str = "cpu"
    ) -> Algorithm: ...


ALGORITHMS: Registry[AlgorithmClass] = Registry(
    "algorithm",
    "ptr.algorithms",
    {
        "ptr": "ptr_models.algorithms.cql:CQLAgent",
        "awr": "ptr_models.algorithms.awr:AdvantageWeightedRegression",
        "bc": "ptr_models.algorithms.bc:BehaviorCloning",
        "autoregressive_bc": "ptr_models.algorithms.autoregressive_bc:AutoregressiveCloning",
        "bet": "ptr_models.algorithms.bet:BehaviorTransformerCloning",
        "time_contrastive": "ptr_models.algorithms.time_contrastive:TimeContrastive",
        "masked_autoencoder": "ptr_models.algorithms.masked_autoencoder:MaskedAutoencoder",
        "icvf": "ptr_models.algorithms.icvf:IntentConditionedValues",
    },
)
"""Classes with the interface of `ptr_models.algorithms.Algorithm`."""
BC_LOSSES = ("squared", "likelihood")
ACTOR_CRITICS = ("min", "mean")
CHOICES = ("mode", "sample", "sample_gripper", "argmax_q", "softmax_q")
AUTO = "auto"
"""Target entropy: derived from the data when a run starts."""
UNIFORM_DIMENSIONS = ("all", "varying", "parts")
SINGLE_ACTIONS = ("autoregressive_bc", "bet")
"""Algorithms whose actors can't predict chunks."""
MAX_CHUNK = 64
"""Steps; 12.8 s at 5 Hz."""


@dataclass(frozen=True)
class AlgorithmConfig:
    """Losses and optimizers.

    Attributes:
        name: one of ALGORITHMS; other packages add theirs.
        options: by name, for an algorithm from another package.
        discount: gamma of the returns.
        tau: fraction of the online critic that enters its target in each update (Polyak averaging).
        cql_alpha: weight of the conservative (CQL) term.
        chunk: h, actions that the policy predicts, and the critic values, at once; 1: single actions (PTR). Returns
            within a chunk are those of the data, and targets take the value h steps later.
        chunk_execute: steps of a chunk to execute before the next one takes over; 0: all that `chunk_lead` leaves.
        chunk_lead: the next chunk is computed this many steps before it is needed, see `ptr_models.inference.chunks`.
        chunk_ensemble: m in the weights that average overlapping chunks; None: each chunk replaces the previous one.
        cql_n_actions: actions from the policy, and as many uniform ones, per state.
        target_entropy: nats per action; the temperature is tuned to reach it. `auto`: minus the number of action
            dimensions that vary in the data; a new run stores the number here and fills in `varying_dimensions`.
        init_temperature: initial value of the tuned temperature.
        varying_dimensions: dimensions whose entropy counts; empty: all (PTR).
        cql_uniform_dimensions: dimensions in which the conservative term's uniform actions differ from the data action:
            `all` (PTR), the `varying` ones, or `parts`. With `parts` a third of a state's uniform actions differs in
            all dimensions, a third in translation only, a third in rotation only. Otherwise Q can recognize
            uniform actions by one part and learns little about the others.
        actor_lr, critic_lr, temperature_lr: learning rates of Adam.
        critic_td_lr: the critic's learning rate after `critic_warmup_steps`; 0: `critic_lr`. A low rate keeps what the
            critic learned from the returns.
        bc_weight: weight of an imitation term in the actor's loss (0: PTR).
        bc_gripper_weight: weight of the gripper's squared error or cross-entropy; None: `bc_weight`. Both values of the
            gripper are in the data, so Q can be trusted more there than for the motion.
        gripper_at_mode: whether a two-way gripper follows Q at the mode of the motion, which the policy executes,
            instead of at samples of the motion. A grasp that pays off at the mode often fails 8 mm away from it.
        bc_loss: `squared`: error of the mode, summed over dimensions; `likelihood`: -log pi(a).
            The squared error does not train log_std; a separate likelihood term then fits it to the data.
        bc_std_weight: weight of that likelihood term next to `bc_weight`, where log_std also follows Q and the
            temperature. While the actor only imitates, log_std is always fitted.
        bc_steps: updates at the start in which the actor only imitates (0: PTR).
        entropy_in_bc_steps: whether the entropy term stays in the actor's loss during them, and the temperature is
            tuned (COG; not in PTR).
        critic_in_bc_steps: whether the critic learns during them.
        critic_warmup_steps: first updates of the critic, in which it regresses on the returns of the data (with the
            conservative term) instead of on Bellman targets (0: PTR). If `critic_in_bc_steps` is false, these are the
            last updates of `bc_steps`.
        critic_encoder: initial weights of the critic's image encoder: `random` (PTR), or a copy of the `actor`'s when
            the critic starts to learn, which then needs fewer updates. Useful with `bc_steps`.
        calibrated: bound the values of policy actions in the CQL term from below by the return of the
            demonstration (Cal-QL; off in PTR).
        target_bounds: (lowest, highest) possible return; Bellman targets are clipped to it. Without bounds, the push on
            data actions accumulates along an episode when cql_alpha is large (empty: no bounds, as in PTR).
        max_backup: Bellman targets take the best of `cql_n_actions` next actions (PTR), otherwise a single one.
        next_policy_actions: the CQL term also pushes down `cql_n_actions` policy actions at s' (CQL and COG; not PTR).
        target_subset: number of critics, drawn for each update, whose minimum is the Bellman target (REDQ: 2; 0: all,
            as in PTR).
        actor_q_weight: weight of Q in the actor's loss; with 0 the critic is trained but not used (a control).
        actor_critics: the actor maximizes the `min` (PTR) or the `mean` of the critics (REDQ).
        ema_decay: decay of the exponential moving average of the actor's weights, which the policy uses (0: none, as in
            PTR).
        action_choice, candidates: how the policy chooses an action by default, one of CHOICES, and among how many
            actions the Q-function chooses, including the mode (PTR uses the mode).
        next_algorithm: the algorithm of fine-tuning if it differs. For icvf: the algorithm of the pre-training that
            starts from its encoder. Empty: the same algorithm.
        freeze_backbone: bc only: keep the backbone's weights and train the rest of the actor.
        awr, bet, contrastive, masked, icvf: options of awr, bet, time_contrastive, masked_autoencoder and icvf.
    """

    name: str = "ptr"
    discount: float = 0.96
    tau: float = 0.005
    cql_alpha: float = 10.0
    chunk: int = 1
    chunk_execute: int = 0
    chunk_lead: int = 0
    chunk_ensemble: float | None = None
    cql_n_actions: int = 4
    target_entropy: float | str = -7.0
    init_temperature: float = 1.0
    varying_dimensions: tuple[int, ...] = ()
    cql_uniform_dimensions: str = "all"
    actor_lr: float = 1e-4
    critic_lr: float = 3e-4
    critic_td_lr: float = 0.0
    temperature_lr: float = 3e-4
    bc_weight: float = 0.0
    bc_gripper_weight: float | None = None
    gripper_at_mode: bool = False
    bc_loss: str = "squared"
    bc_std_weight: float = 1.0
    bc_steps: int = 0
    entropy_in_bc_steps: bool = False
    critic_in_bc_steps: bool = True
    critic_warmup_steps: int = 0
    critic_encoder: str = "random"
    calibrated: bool = False
    target_bounds: tuple[float, ...] = ()
    max_backup: bool = True
    next_policy_actions: bool = False
    target_subset: int = 0
    actor_q_weight: float = 1.0
    actor_critics: str = "min"
    ema_decay: float = 0.0
    action_choice: str = "mode"
    candidates: int = 16
    next_algorithm: str = ""
    options: dict[str, Any] = field(default_factory=dict)
    freeze_backbone: bool = False
    awr: AwrConfig = field(default_factory=AwrConfig)
    bet: BetConfig = field(default_factory=BetConfig)
    contrastive: ContrastiveConfig = field(default_factory=ContrastiveConfig)
    masked: MaskedConfig = field(default_factory=MaskedConfig)
    icvf: IcvfConfig = field(default_factory=IcvfConfig)

    def __post_init__(self) -> None:
        for field_name, value in (("name", self.name), ("next_algorithm", self.next_algorithm or self.name)):
            if value not in ALGORITHMS:
                raise ValueError(f"{field_name} is {value!r}; known: {', '.join(ALGORITHMS.names)}")
        named = (
            ("bc_loss", BC_LOSSES),
            ("actor_critics", ACTOR_CRITICS),
            ("action_choice", CHOICES),
            ("cql_uniform_dimensions", UNIFORM_DIMENSIONS),
            ("critic_encoder", ("random", "actor")),
        )
        for field_name, known in named:
            if getattr(self, field_name) not in known:
                raise ValueError(
                    f"{field_name} is {getattr(self, field_name)!r}; known: {', '.join(filter(None, known))}"
                )
        if isinstance(self.target_entropy, str) and self.target_entropy != AUTO:
            raise ValueError(f"target_entropy is {self.target_entropy!r}; it must be a number or {AUTO}")
        if self.critic_td_lr < 0:
            raise ValueError(f"critic_td_lr is {self.critic_td_lr}; it must not be negative")
        if min(self.critic_warmup_steps, self.bc_std_weight, self.actor_q_weight) < 0:
            raise ValueError(
                f"critic_warmup_steps is {self.critic_warmup_steps}, bc_std_weight {self.bc_std_weight} and "
                f"actor_q_weight {self.actor_q_weight}; none may be negative"
            )
        if not self.init_temperature > 0.0 or (self.bc_gripper_weight or 0.0) < 0.0:
            raise ValueError(
                f"init_temperature is {self.init_temperature} and bc_gripper_weight {self.bc_gripper_weight}; "
                "the first must be positive, the second not negative"
            )
        self._require_chunks()
        if not 0.0 <= self.discount < 1.0:
            raise ValueError(f"discount is {self.discount}; it must be in [0, 1)")
        if not 0.0 < self.tau <= 1.0:
            raise ValueError(f"tau is {self.tau}; it must be in (0, 1]")
        if len(self.target_bounds) not in (0, 2) or list(self.target_bounds) != sorted(self.target_bounds):
            raise ValueError(f"target_bounds is {self.target_bounds}; it must be empty or (lowest, highest)")
        if not 0.0 <= self.ema_decay < 1.0:
            raise ValueError(f"ema_decay is {self.ema_decay}; it must be in [0, 1)")
        if min(self.cql_n_actions, self.candidates) < 1 or self.target_subset < 0:
            raise ValueError(
                f"cql_n_actions is {self.cql_n_actions}, candidates {self.candidates}, target_subset "
                f"{self.target_subset}; at least one action per state is needed, and no negative number of critics"
            )

    @property
    def executed(self) -> int:
        """Steps of a chunk to execute before the next one takes over."""
        return self.chunk_execute or self.chunk - self.chunk_lead

    def _require_chunks(self) -> None:
        if not 1 <= self.chunk <= MAX_CHUNK:
            raise ValueError(f"chunk is {self.chunk}; it must be from 1 to {MAX_CHUNK}")
        for name in (self.name, self.next_algorithm):
            if self.chunk > 1 and name in SINGLE_ACTIONS:
                raise ValueError(f"chunk is {self.chunk}, but {name} predicts single actions; set chunk to 1")
        if self.chunk_execute < 0 or not 0 <= self.chunk_lead < self.executed:
            raise ValueError(
                f"chunk_execute is {self.chunk_execute} and chunk_lead {self.chunk_lead}; the first must be 0 or more, "
                "the second from 0 to one less than the executed steps"
            )
        if self.executed + self.chunk_lead > self.chunk:
            raise ValueError(
                f"chunk_execute is {self.chunk_execute} and chunk_lead {self.chunk_lead}, together more than the chunk "
                f"of {self.chunk} steps; make them smaller"
            )
        if self.chunk_ensemble is not None and not 0.0 <= self.chunk_ensemble < math.inf:
            raise ValueError(f"chunk_ensemble is {self.chunk_ensemble}; it must be 0 or more, or null")
