"""Requests and replies: what pydantic checks and the OpenAPI document shows, under the names that it shows.

Fields that a model does not name are ignored. Replies are written by `ranker.files.dump_line`, whose JSON can hold any
string that came in (lone surrogates too, which pydantic cannot write); their models are for the document.
"""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    Field,
    InstanceOf,
    NonNegativeInt,
    StrictInt,
    model_validator,
)
from pydantic.json_schema import SkipJsonSchema

MAX_PASSES = 64
MAX_GROUP = 256
_INT64 = 2**63 - 1


def _printable(name: str) -> str:
    if not name or not name.isprintable():
        raise ValueError("a group's id must be printable text")
    return name


def _decimal(text: str) -> str:
    if not (text.isascii() and text.isdigit()):
        raise ValueError(f"must be a whole number from 2 to {MAX_GROUP}")
    return text


Text = InstanceOf[str]  # pydantic's own `str` refuses lone surrogates
JsonObject = InstanceOf[dict[str, Any]]  # as it came, not copied
Share = Annotated[float, Field(ge=0, le=1)]
TurnShare = Annotated[float, Field(ge=-1, le=1)]
GroupSize = Annotated[int, Field(ge=2, le=MAX_GROUP), BeforeValidator(_decimal)]
GROUP_SIZE = (
    "OpenRLHF 0.9 and later send attempts one by one: how many form a group (n_samples_per_prompt). Each waits for the "
    "others of its group."
)


class Trajectory(BaseModel):
    messages: list[JsonObject] = Field(
        min_length=1, description="Chat messages in OpenAI format, tool calls included."
    )
    id: Text | None = Field(
        None, description="A name of yours; rewards come under it. Default: the position, from 0."
    )
    tools: list[JsonObject] | None = Field(None, description="The tool definitions this attempt had.")
    histories: list[list[JsonObject]] | None = Field(
        None, description="Further message lists of the same attempt (sub-agents)."
    )
    ground_truth: float | None = Field(
        None, strict=True, allow_inf_nan=False, description="Never shown to a judge."
    )
    metadata: JsonObject | None = Field(None, description="Never shown to a judge.")


class Group(BaseModel):
    trajectories: list[Trajectory] = Field(min_length=1)
    id: Annotated[Text, AfterValidator(_printable)] | None = Field(
        None, description="Comes back with the reply."
    )
    task: Text | None = Field(None, description="What was asked, where the messages do not say it.")
    rubric: Text | None = Field(None, description="What to prefer; default: the server's --rubric.")
    reference: Text | None = Field(
        None, description="A right answer, for judges that weigh attempts by its likelihood."
    )
    metadata: JsonObject | None = Field(None, description="Never shown to a judge.")
    passes: StrictInt | None = Field(
        None, ge=1, le=MAX_PASSES, description="How often to ask the judge, in balanced orders."
    )
    seed: StrictInt | None = Field(
        None,
        ge=-_INT64,
        le=_INT64,
        description="Same seed and group: same prompts, and verdicts from the cache.",
    )


class Usage(BaseModel):
    calls: NonNegativeInt
    cached_calls: NonNegativeInt
    failed_calls: NonNegativeInt
    prompt_tokens: NonNegativeInt
    completion_tokens: NonNegativeInt
    cost_usd: float | None = Field(description="null: unknown.")


class Ranked(BaseModel):
    id: str | SkipJsonSchema[None] = Field(None, description="The group's id, if it has one.")
    ranking: list[list[str]] = Field(description="Tiers of trajectory ids, best first.")
    rewards: dict[str, Share] = Field(description="By trajectory id.")
    reasons: dict[str, str] = Field(description="By trajectory id.")
    judge: str
    prompt_id: str | None = Field(description="Template name, version and hash.")
    usage: Usage
    consistency: float | SkipJsonSchema[None] = Field(
        None, description="Agreement between passes (Kendall's W)."
    )
    cut: dict[str, NonNegativeInt] | SkipJsonSchema[None] = Field(
        None, description="Characters that the judge did not see, by trajectory id."
    )
    warnings: list[str] | SkipJsonSchema[None] = None
    turn_rewards: dict[str, list[TurnShare | None]] | SkipJsonSchema[None] = Field(
        None,
        description="With --credit turns, by trajectory id: for each assistant message from -1 (hurt) to 1 (helped), or null.",
    )


class Attempts(BaseModel):
    query: list[Text] = Field(min_length=1, description="Prompt and response as one text.")
    prompts: list[Text] = Field(description="Attempts with equal prompts form a group.")
    labels: list[Any] | None = Field(None, description="Not used; no judge sees them.")

    @model_validator(mode="after")
    def _one_of_each(self) -> Attempts:
        sizes = {len(column) for column in (self.query, self.prompts, self.labels) if column is not None}
        if len(sizes) > 1:
            raise ValueError(
                f'"query" holds {len(self.query)} entries and "prompts" {len(self.prompts)}; each attempt has one of '
                'each, and one of "labels" if there are any'
            )
        return self


class Rewards(BaseModel):
    rewards: list[Share]
    scores: list[float] = Field(description="The rewards again.")
    extra_logs: dict[str, list[float]]


class Health(BaseModel):
    live: bool
    ready: bool | SkipJsonSchema[None] = None


class ErrorDetail(BaseModel):
    type: str
    message: str
    retryable: bool = Field(description="Whether the same request may work later.")


class Error(BaseModel):
    error: ErrorDetail


GROUP_EXAMPLE = {
    "task": "What is 6 × 7?",
    "trajectories": [
        {"id": "a", "messages": [{"role": "assistant", "content": "42"}]},
        {"id": "b", "messages": [{"role": "assistant", "content": "I do not know."}]},
    ],
}
ATTEMPTS_EXAMPLE = {
    "query": ["What is 6 × 7? 42", "What is 6 × 7? No idea."],
    "prompts": ["What is 6 × 7?", "What is 6 × 7?"],
    "labels": ["42", "42"],
}
