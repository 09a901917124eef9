"""The trainer's settings, with TRL's names where TRL has one."""

from __future__ import annotations

from dataclasses import asdict, dataclass, fields
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field

from grpo.advantages import Aggregation, ScaleRewards
from grpo.losses import KLEstimator, Loss, LossType
from grpo.sampling import Sampling
from grpo.turn_advantages import CreditBy
from ranker import ConfigurationError
from ranker.secrets import bare_url
from ranker.validation import check

Count = Annotated[int, Field(ge=1)]
Whole = Annotated[int, Field(ge=0)]
Amount = Annotated[float, Field(ge=0, allow_inf_nan=False)]
Seconds = Annotated[float, Field(gt=0)]
Text = Annotated[str, Field(min_length=1)]
AsTuple = BeforeValidator(lambda value: tuple(value) if isinstance(value, list) else value)
Names = Annotated[tuple[str, ...], AsTuple]


@dataclass(frozen=True, slots=True, kw_only=True)
class GRPOConfig:
    """The trainer's settings.

    Values that a setting does not take, and settings that contradict each other, are
    refused when the object is made.

    Attributes:
        num_generations: attempts at each example, G; at least 2, as an advantage is relative to the others of the group.
        groups_per_step: groups that one optimizer step learns from, over all processes.
        max_steps: optimizer steps, not counting the further ones of `num_iterations`.
        num_iterations: optimizer steps on the same groups (μ of GRPO).
        max_completion_length: tokens of one reply of the policy.
        temperature, top_p, top_k, min_p: how the policy samples; log-probs follow. The temperature is above 0,
            since without chance all attempts are the same.
        learning_rate, weight_decay, adam_beta1, adam_beta2, adam_epsilon, max_grad_norm: AdamW.
        lr_scheduler_type, warmup_steps: any schedule transformers has; the steps are counted as in `max_steps`.
        loss_type: "dapo", "grpo", "bnpo", "dr_grpo" or "cispo": what is clipped and what divides.
        importance_sampling_level: ratio of each "token" or of the whole "sequence" (GSPO).
        epsilon, epsilon_high: clipping range; `epsilon_high` is `epsilon` if not given. For "cispo" it
            is the largest weight, e.g. 5.
        delta: upper bound of the ratio also where the advantage is negative.
        beta: weight of the KL to the reference; 0 leaves it out and saves its forward.
        kl_estimator: "k1", "k2" or "k3", all with the gradient of the KL; "k3_naive" differentiates
            the estimate, as TRL does.
        scale_rewards: divide advantages by the deviation of the "group", of the "batch", or not ("none").
        multi_objective_aggregation: how several reward functions are added, see `grpo.advantages.mix`.
        credit: what an advantage is given to: the whole "trajectory"; to each turn what reward functions said of it
            ("process": `rank_group` with credit="turns", or a function that returns rewards of turns); or to each turn what
            attempts with the same beginning got ("branch"). docs/training.md has the formulas.
        turn_weight: of what turns add to the advantage of their attempt. None: 0.3 with "process", 1 with "branch"
            (docs/turns-study.md). Where only turns have rewards, it has nothing to weigh against.
        mask_truncated_completions: leave attempts out of the loss that were cut off.
        dynamic_sampling_rounds: how often a step may sample fresh groups in the place of groups without
            signal (tied, failed); 0 leaves the step smaller (DAPO's dynamic sampling).
        max_pending_groups: groups that may be sampled ahead while others wait for their judge, which
            hides its latency; they are trained on up to ceil(max_pending_groups / groups_per_step) steps
            later, with the ratio corrected for it. None: as many as `groups_per_step`. 0: strictly
            on-policy.
        reward_timeout: seconds after which a reward function counts as hung.
        anchor_share: share of the groups, 0 to 1, in which the judge is also shown an anchor: an attempt of the policy as
            it was at the start, never trained on, which `win_rate` is measured by (docs/training.md). None: 0.25 where
            adapters are trained and a reward function is `rank_group`, else 0. Above 0 without adapters, a copy of the
            weights is kept.
        max_failed_share: the run stops when more than this share of the latest groups failed.
        lora_r: rank of LoRA adapters; 0 trains all weights.
        lora_alpha, lora_target_modules: of the adapters; "all-linear", or a list of names.
        dtype: of the weights when the model is loaded by name: "float32", "bfloat16" or "auto".
        bf16: compute in bfloat16, keeping the weights as they are.
        gradient_checkpointing: compute activations twice, keep few.
        fsdp: shard weights, gradients and optimizer state over all processes (FSDP2).
        max_tokens_per_forward: tokens of one packed forward and backward, and of prompts read together; less needs less memory.
        max_num_seqs: replies that decode together; with a server, requests that each process has open.
        vllm_server_base_url: sample from this vLLM server, or from several (docs/integrations/servers.md);
            None samples in this process.
        vllm_server_timeout: seconds for which a server may be away, or take for one reply, before the run
            stops.
        vllm_adapter_folder: where the servers read the policy's adapters or weights, under the same path; a folder of
            this run's own. None: `adapters` in the run folder.
        shuffle_dataset: draw examples in random order, each once an epoch.
        seed: of sampling, of the order of examples, of new weights.
        save_steps: steps between checkpoints; 0 keeps none but the end.
        save_total_limit: checkpoints kept; None keeps all.
        report_to: of "tensorboard", "wandb", "trackio".
    """

    num_generations: Annotated[int, Field(ge=2)] = 8
    groups_per_step: Count = 4
    max_steps: Whole = 100
    num_iterations: Count = 1
    max_completion_length: Count = 256
    temperature: Annotated[float, Field(gt=0, allow_inf_nan=False)] = 1.0
    top_p: Annotated[float, Field(gt=0, le=1)] = 1.0
    top_k: Whole = 0
    min_p: Annotated[int | float, Field(ge=0, lt=1)] | None = None
    learning_rate: Amount = 1e-6
    weight_decay: Amount = 0.0
    adam_beta1: Annotated[float, Field(ge=0, lt=1)] = 0.9
    adam_beta2: Annotated[float, Field(ge=0, lt=1)] = 0.999
    adam_epsilon: Amount = 1e-8
    max_grad_norm: Amount = 1.0
    lr_scheduler_type: str = "linear"
    warmup_steps: Whole = 0
    loss_type: LossType = "dapo"
    importance_sampling_level: Literal["token", "sequence"] = "token"
    epsilon: Annotated[float, Field(ge=0, lt=1)] = 0.2
    epsilon_high: Annotated[int | float, Field(ge=0, allow_inf_nan=False)] | None = None
    delta: int | float | None = None
    beta: Amount = 0.0
    kl_estimator: KLEstimator = "k3"
    scale_rewards: ScaleRewards = "group"
    multi_objective_aggregation: Aggregation = "sum_then_normalize"
    credit: CreditBy = "trajectory"
    turn_weight: Annotated[int | float, Field(ge=0, allow_inf_nan=False)] | None = None
    mask_truncated_completions: bool = False
    dynamic_sampling_rounds: Whole = 0
    max_pending_groups: Whole | None = None
    reward_timeout: Seconds = 600.0
    anchor_share: Annotated[int | float, Field(ge=0, le=1)] | None = None
    max_failed_share: Annotated[float, Field(gt=0, le=1)] = 0.5
    lora_r: Whole = 0
    lora_alpha: Count = 32
    lora_target_modules: str | Names = "all-linear"
    dtype: Literal["float32", "bfloat16", "auto"] = "float32"
    bf16: bool = False
    gradient_checkpointing: bool = False
    fsdp: bool = False
    max_tokens_per_forward: Count = 4096
    max_num_seqs: Count = 64
    vllm_server_base_url: Text | Annotated[tuple[Text, ...], AsTuple, Field(min_length=1)] | None = None
    vllm_server_timeout: Seconds = 600.0
    vllm_adapter_folder: str | None = None
    shuffle_dataset: bool = True
    seed: Whole = 0
    save_steps: Whole = 50
    save_total_limit: Count | None = 2
    report_to: Annotated[tuple[Literal["tensorboard", "wandb", "trackio"], ...], AsTuple] = ()

    def __post_init__(self) -> None:
        values = check(type(self), {f.name: getattr(self, f.name) for f in fields(self)})
        for name, value in values.items():
            object.__setattr__(self, name, value)
        if self.loss_type == "cispo" and (self.epsilon_high is None or self.epsilon_high < 1):
            raise ConfigurationError(
                "loss_type cispo caps the ratio itself at epsilon_high, which must be at least 1: set "
                "epsilon_high = 5.0."
            )
        if self.delta is not None and self.loss_type == "cispo":
            raise ConfigurationError("delta has no meaning with loss_type cispo; leave it out.")
        if self.delta is not None and not self.delta > 1 + self.high:
            raise ConfigurationError(
                f"delta is {self.delta}, but clipping already ends at 1 + epsilon_high = {1 + self.high}; "
                "set delta above it, or leave it out."
            )
        if self.servers and self.sampling.truncates and not self.top_k:
            raise ConfigurationError(
                "The loss needs the tokens that top_p and min_p leave, and a vLLM server lists them only up to a "
                "number: set top_k too (e.g. 20), or sample with the temperature alone."
            )

    @property
    def high(self) -> float:
        """The upper clipping range."""
        return self.epsilon if self.epsilon_high is None else self.epsilon_high

    @property
    def weight_of_turns(self) -> float:
        """What turns add is multiplied by it."""
        usual = 0.3 if self.credit == "process" else 1.0
        return usual if self.turn_weight is None else float(self.turn_weight)

    @property
    def ahead(self) -> int:
        """How many groups are sampled ahead of the step that trains on them."""
        return self.groups_per_step if self.max_pending_groups is None else self.max_pending_groups

    @property
    def servers(self) -> tuple[str, ...]:
        """Addresses of rollout servers; none where sampling is in this process."""
        named = self.vllm_server_base_url
        return () if named is None else (named,) if isinstance(named, str) else named

    @property
    def loss(self) -> Loss:
        return Loss(**{f.name: getattr(self, f.name) for f in fields(Loss)})

    @property
    def sampling(self) -> Sampling:
        return Sampling(**{f.name: getattr(self, f.name) for f in fields(Sampling)})

    def to_dict(self) -> dict[str, Any]:
        return asdict(self)

    def to_record(self) -> dict[str, Any]:
        """The same for what is written and shown: addresses of servers without keys in them."""
        named = self.vllm_server_base_url
        bare = named and (bare_url(named) if isinstance(named, str) else tuple(map(bare_url, named)))
        return {**self.to_dict(), "vllm_server_base_url": bare}
