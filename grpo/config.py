"""The trainer's settings, with TRL's names where TRL has one."""

from __future__ import annotations

from dataclasses import asdict, dataclass, fields
from typing import Any, Literal, get_args, get_origin, get_type_hints

from grpo.advantages import ScaleRewards
from grpo.losses import KLEstimator, Loss, LossType
from grpo.sampling import Sampling
from ranker import ConfigurationError


@dataclass(frozen=True, slots=True, kw_only=True)
class GRPOConfig:
    """How to train. Settings that contradict each other are refused when the object is made.

    Attributes:
        num_generations: attempts at each row, G.
        groups_per_step: groups that one optimizer step learns from, over all processes.
        max_steps: optimizer steps, not counting the further ones of `num_iterations`.
        num_iterations: optimizer steps on the same groups (μ of GRPO).
        max_completion_length: tokens of one reply of the policy.
        temperature, top_p, top_k, min_p: how the policy samples; log-probs follow.
        learning_rate, weight_decay, adam_beta1, adam_beta2, adam_epsilon, max_grad_norm: AdamW.
        lr_scheduler_type, warmup_steps: any schedule transformers has.
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
        mask_truncated_completions: leave attempts out of the loss that were cut off.
        dynamic_sampling_rounds: how often a step may sample fresh groups in the place of groups without
            signal (tied, failed); 0 leaves the step smaller (DAPO's dynamic sampling).
        max_pending_groups: groups that may be sampled ahead while others wait for their judge, which
            hides its latency; they are trained on up to ceil(max_pending_groups / groups_per_step) steps
            later, with the ratio corrected for it. None: as many as `groups_per_step`. 0: strictly
            on-policy.
        reward_timeout: seconds after which a reward function counts as hung.
        max_failed_share: the run stops when more than this share of the latest groups failed.
        lora_r: rank of LoRA adapters; 0 trains all weights.
        lora_alpha, lora_target_modules: of the adapters; "all-linear", or a list of names.
        dtype: of the weights when the model is loaded by name: "float32", "bfloat16" or "auto".
        bf16: compute in bfloat16, keeping the weights as they are.
        gradient_checkpointing: compute activations twice, keep few.
        fsdp: shard weights, gradients and optimizer state over all processes (FSDP2).
        max_tokens_per_forward: tokens of one packed forward and backward; less needs less memory.
        max_num_seqs: replies that decode together; with a server, requests that each process has open.
        vllm_server_base_url: sample from this vLLM server, or from several (docs/integrations/servers.md);
            None samples in this process.
        vllm_server_timeout: seconds for which a server may be away, or take for one reply, before the run
            stops.
        vllm_adapter_folder: where the servers read the policy's adapters, under the same path; a folder of
            this run's own. None: `adapters` in the run folder.
        shuffle_dataset: draw rows in random order, each once an epoch.
        seed: of sampling, of row order, of new weights.
        save_steps: steps between checkpoints; 0 keeps none but the end.
        save_total_limit: checkpoints kept; None keeps all.
        report_to: of "tensorboard", "wandb", "trackio".
    """

    num_generations: int = 8
    groups_per_step: int = 4
    max_steps: int = 100
    num_iterations: int = 1
    max_completion_length: int = 256
    temperature: float = 1.0
    top_p: float = 1.0
    top_k: int = 0
    min_p: float | None = None
    learning_rate: float = 1e-6
    weight_decay: float = 0.0
    adam_beta1: float = 0.9
    adam_beta2: float = 0.999
    adam_epsilon: float = 1e-8
    max_grad_norm: float = 1.0
    lr_scheduler_type: str = "linear"
    warmup_steps: int = 0
    loss_type: LossType = "dapo"
    importance_sampling_level: Literal["token", "sequence"] = "token"
    epsilon: float = 0.2
    epsilon_high: float | None = None
    delta: float | None = None
    beta: float = 0.0
    kl_estimator: KLEstimator = "k3"
    scale_rewards: ScaleRewards = "group"
    multi_objective_aggregation: Literal["sum_then_normalize", "normalize_then_sum"] = "sum_then_normalize"
    mask_truncated_completions: bool = False
    dynamic_sampling_rounds: int = 0
    max_pending_groups: int | None = None
    reward_timeout: float = 600.0
    max_failed_share: float = 0.5
    lora_r: int = 0
    lora_alpha: int = 32
    lora_target_modules: str | tuple[str, ...] = "all-linear"
    dtype: Literal["float32", "bfloat16", "auto"] = "float32"
    bf16: bool = False
    gradient_checkpointing: bool = False
    fsdp: bool = False
    max_tokens_per_forward: int = 4096
    max_num_seqs: int = 64
    vllm_server_base_url: str | tuple[str, ...] | None = None
    vllm_server_timeout: float = 600.0
    vllm_adapter_folder: str | None = None
    shuffle_dataset: bool = True
    seed: int = 0
    save_steps: int = 50
    save_total_limit: int | None = 2
    report_to: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        for field, kind in get_type_hints(type(self)).items():
            value = getattr(self, field)
            if isinstance(value, list):
                object.__setattr__(self, field, value := tuple(value))
            if kind is float and isinstance(value, int) and not isinstance(value, bool):
                object.__setattr__(self, field, float(value))
            elif not _fits(value, kind):
                raise ConfigurationError(f"{field} cannot be {value!r}; it takes {_told(kind)}.")
        for name, least in _LEAST.items():
            value = getattr(self, name)
            if value is not None and not value >= least:  # NaN is not
                raise ConfigurationError(f"{name} is {value}; the least is {least}.")
            if value == float("inf") and name not in ("reward_timeout", "vllm_server_timeout"):
                raise ConfigurationError(f"{name} is infinite; give a finite number.")
        self._agree()

    def _agree(self) -> None:
        if self.num_generations < 2:
            raise ConfigurationError(
                f"num_generations is {self.num_generations}: an advantage is relative to the other attempts of "
                "the group, so there must be at least 2."
            )
        if not 0 < self.temperature < float("inf"):
            raise ConfigurationError(
                f"temperature is {self.temperature}; it must be above 0 (without chance all attempts are the "
                "same) and finite."
            )
        for name in ("adam_beta1", "adam_beta2"):
            if getattr(self, name) >= 1:
                raise ConfigurationError(f"{name} is {getattr(self, name)}; it must be below 1.")
        if self.reward_timeout == 0:
            raise ConfigurationError("reward_timeout is 0 seconds: every group would fail; give some.")
        if not 0 < self.top_p <= 1:
            raise ConfigurationError(
                f"top_p is {self.top_p}; it is a share of probability, above 0, at most 1."
            )
        if self.min_p is not None and not 0 <= self.min_p < 1:
            raise ConfigurationError(f"min_p is {self.min_p}; it must be at least 0 and below 1.")
        if not 0 < self.max_failed_share <= 1:
            raise ConfigurationError(
                f"max_failed_share is {self.max_failed_share}; it must be above 0, at most 1."
            )
        if self.epsilon >= 1:
            raise ConfigurationError(
                f"epsilon is {self.epsilon}; ratios are clipped at 1 - epsilon, above 0."
            )
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
        if self.vllm_server_timeout == 0:
            raise ConfigurationError("vllm_server_timeout is 0 seconds: every request would fail; give some.")
        if self.vllm_server_base_url is not None and not all(self.servers or ("",)):
            raise ConfigurationError("vllm_server_base_url is empty; give an address, or leave it out.")
        if self.servers and self.sampling.truncates and not self.top_k:
            raise ConfigurationError(
                "The loss needs the tokens that top_p and min_p leave, and a vLLM server lists them only up to a "
                "number: set top_k too (e.g. 20), or sample with the temperature alone."
            )
        unknown = set(self.report_to) - {"tensorboard", "wandb", "trackio"}
        if unknown:
            raise ConfigurationError(
                f"report_to takes tensorboard, wandb and trackio, not {', '.join(sorted(unknown))}."
            )

    @property
    def high(self) -> float:
        """The upper clipping range."""
        return self.epsilon if self.epsilon_high is None else self.epsilon_high

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


_LEAST: dict[str, float] = {
    "groups_per_step": 1, "max_steps": 0, "num_iterations": 1, "max_completion_length": 1, "top_k": 0,
    "learning_rate": 0, "weight_decay": 0, "max_grad_norm": 0, "warmup_steps": 0, "epsilon": 0,
    "epsilon_high": 0, "beta": 0, "dynamic_sampling_rounds": 0, "max_pending_groups": 0, "reward_timeout": 0,
    "lora_r": 0, "lora_alpha": 1, "max_tokens_per_forward": 1, "max_num_seqs": 1, "save_steps": 0,
    "save_total_limit": 1, "seed": 0, "adam_epsilon": 0, "adam_beta1": 0, "adam_beta2": 0,
    "vllm_server_timeout": 0,
}  # fmt: skip


def _fits(value: Any, kind: Any) -> bool:
    options = get_args(kind)
    if get_origin(kind) is Literal:
        return value in options
    if get_origin(kind) is tuple:
        return isinstance(value, tuple) and all(isinstance(v, str) for v in value)
    if options:  # a union
        return any(_fits(value, option) for option in options)
    if kind is float:
        return isinstance(value, (int, float)) and not isinstance(value, bool)
    if kind is int:
        return isinstance(value, int) and not isinstance(value, bool)
    return isinstance(value, kind)


def _told(kind: Any) -> str:
    options = get_args(kind)
    if get_origin(kind) is Literal:
        return ", ".join(repr(o) for o in options)
    if get_origin(kind) is tuple:
        return "a list of names"
    if options:
        return " or ".join(_told(o) for o in options)
    names = {
        int: "a whole number",
        float: "a number",
        bool: "true or false",
        str: "text",
        type(None): "nothing",
    }
    return names.get(kind, str(kind))
