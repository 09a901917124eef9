"""Trajectories and the groups they form."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, cast

from ranker import outline
from ranker.errors import GroupError
from ranker.message import plain_messages
from ranker.plain import plain, unarrayed


@dataclass(frozen=True, slots=True)
class Trajectory:
    """One attempt at a task.

    Attributes:
        messages: chat messages in OpenAI format, tool calls included; dicts, or objects with
            ``model_dump()``. Those of LangChain, ShareGPT and OpenAI's Responses are converted.
        tools: the tool definitions this attempt had, in OpenAI format.
        id: a name of yours; the judge never sees it.
        ground_truth: the true reward from a checker; the judge never sees it.
        metadata: anything of yours; the judge never sees it.
        histories: further message lists of the same attempt (sub-agents, earlier contexts),
            shown after `messages`.

    Raises:
        GroupError: no messages, a malformed message, or a ground truth that is not finite.
    """

    messages: Sequence[Any]
    tools: Sequence[Mapping[str, Any]] | None = None
    id: str | None = None
    ground_truth: float | None = None
    metadata: Mapping[str, Any] = field(default_factory=dict)
    histories: Sequence[Sequence[Any]] = ()
    _memo: dict[str, Any] = field(default_factory=dict, init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "id", as_id(self.id, "A trajectory id"))
        name = "trajectory" if self.id is None else f"trajectory {self.id!r}"
        object.__setattr__(self, "messages", _messages(self.messages, name))
        histories = _listed(self.histories, f"{name}: histories must be a list of message lists")
        if histories:
            histories = tuple(_messages(h, f"{name}, history {i}") for i, h in enumerate(histories))
        object.__setattr__(self, "histories", histories)
        if self.tools is not None:
            object.__setattr__(self, "tools", _tools(self.tools, name))
        if self.ground_truth is not None:
            object.__setattr__(self, "ground_truth", _finite(self.ground_truth, name))
        if not isinstance(self.metadata, Mapping):
            raise GroupError(f"{name}: metadata must be a mapping.")

    def __repr__(self) -> str:
        return outline.of_trajectory(self)

    def bare(self) -> Trajectory:
        """The same attempt without what a judge must not see: id, ground truth, metadata."""
        bare = object.__new__(Trajectory)
        hidden: dict[str, Any] = {"id": None, "ground_truth": None, "metadata": {}}
        for name in self.__slots__:  # what is checked already need not be checked again
            object.__setattr__(bare, name, hidden[name] if name in hidden else getattr(self, name))
        return bare


def assistant_turns(trajectory: Trajectory) -> list[Mapping[str, Any]]:
    """Its turns: the assistant's messages in order, those of `messages` first, then those of each of `histories`."""
    return [
        m
        for history in (trajectory.messages, *trajectory.histories)
        for m in history
        if m["role"] == "assistant"
    ]


def _messages(messages: Any, name: str) -> tuple[dict[str, Any], ...]:
    listed = _listed(messages, f"{name}: messages must be a list of chat messages")
    if not listed:
        raise GroupError(f"{name} has no messages; leave the attempt out of the group instead.")
    try:
        return plain_messages(listed, name)
    except RecursionError:
        raise GroupError(f"{name} holds a value that is nested too deeply; leave it out.") from None


def _listed(value: Any, what: str) -> Sequence[Any]:
    """A list, tuple or array as a sequence of what it holds."""
    listed = unarrayed(value)
    if isinstance(listed, (str, bytes, Mapping)) or not isinstance(listed, Sequence):
        raise GroupError(
            f"{what}{'; decode the text with json.loads first' if isinstance(listed, str) else ''}."
        )
    return listed


def _tools(tools: Any, name: str) -> tuple[Mapping[str, Any], ...]:
    definitions = tuple(plain(_listed(tools, f"{name}: tools must be a list of tool definitions")))
    for i, tool in enumerate(definitions):
        if not isinstance(tool, Mapping):
            raise GroupError(f"{name}, tool {i} is a {type(tool).__name__}, not a mapping.")
    return definitions


def as_id(value: Any, what: str) -> str | None:
    """An id as text: an integer is written as one.

    Raises:
        GroupError: neither text nor an integer.
    """
    name = plain(value)
    if isinstance(name, int) and not isinstance(name, bool):
        return str(name)
    if name is not None and not isinstance(name, str):
        raise GroupError(f"{what} must be a string or an integer, not {name!r}.")
    return name


def _finite(value: Any, name: str) -> float:
    value = plain(value)
    try:
        if isinstance(value, (int, float)) and math.isfinite(value):
            return float(value)
    except OverflowError:  # an integer beyond any float
        value = "too large"
    raise GroupError(f"{name}: ground_truth is {value!r}; give a finite number or leave it out.")


@dataclass(frozen=True, slots=True)
class TrajectoryGroup:
    """G trajectories that attempt the same task.

    Attributes:
        trajectories: the attempts, at least one; dicts as in a group file, message lists and (with `task`) strings
            are made into trajectories.
        id: a name of yours, used in output files and for resuming.
        task: what was asked, where the messages do not say it.
        rubric: what to prefer, for this group.
        metadata: anything of yours; the judge never sees it.
        reference: a right answer, used only by judges that weigh attempts by its likelihood.

    Raises:
        GroupError: no trajectories, or two with the same id.
    """

    trajectories: Sequence[Trajectory]
    id: str | None = None
    task: str | None = None
    rubric: str | None = None
    metadata: Mapping[str, Any] = field(default_factory=dict)
    reference: str | None = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "id", as_id(self.id, "A group id"))
        name = "The group" if self.id is None else f"Group {self.id!r}"
        attempts = unarrayed(self.trajectories)
        if isinstance(attempts, (str, bytes, Mapping)) or not (
            attempts is None or isinstance(attempts, Iterable)
        ):
            raise GroupError(f"{name}: trajectories must be a list, not {type(attempts).__name__}.")
        attempts = tuple(attempts or ())
        if not attempts:
            raise GroupError(f"{name} is empty; a group needs at least one trajectory.")
        members = tuple(_member(m, i, self.task) for i, m in enumerate(attempts))
        object.__setattr__(self, "trajectories", members)
        ids = [t.id for t in self.trajectories if t.id is not None]
        if len(ids) != len(set(ids)):
            twice = sorted({i for i in ids if ids.count(i) > 1})
            raise GroupError(f"{name} has trajectory ids that stand twice: {', '.join(map(repr, twice))}.")
        for what, text in (("task", self.task), ("rubric", self.rubric), ("reference", self.reference)):
            if text is not None and not isinstance(text, str):
                raise GroupError(f"{name}: {what} must be a string, not {type(text).__name__}.")

    def __len__(self) -> int:
        return len(self.trajectories)

    def __iter__(self) -> Iterator[Trajectory]:
        return iter(self.trajectories)

    def __repr__(self) -> str:
        return outline.of_group(self)

    def _repr_html_(self) -> str:
        from ranker.pages.card import card

        return card(self)

    @property
    def ids(self) -> list[str]:
        """Trajectory ids, the position standing in for a missing one."""
        taken = {t.id for t in self.trajectories}
        names = []
        for i, trajectory in enumerate(self.trajectories):
            name = trajectory.id if trajectory.id is not None else str(i)
            while trajectory.id is None and name in taken:
                name = f"#{name}"
            taken.add(name)
            names.append(name)
        return names


def as_group(group: Any, task: str | None = None) -> TrajectoryGroup:
    """Make a TrajectoryGroup of what a user may hand in.

    `group` is a TrajectoryGroup, a line of a group file as a dict, or a list of Trajectory, of a line's
    trajectories, of message lists, or of strings (then `task` says what the strings answer).
    """
    if isinstance(group, Mapping) and "trajectories" in group:
        group = group_from_dict(group if task is None else {**group, "task": task})
    if isinstance(group, TrajectoryGroup):
        if task is None or task == group.task:
            return group
        return replace(group, task=task)
    group = unarrayed(group)
    if isinstance(group, (str, bytes, Mapping)) or not isinstance(group, Sequence):
        raise GroupError(
            f'A group cannot be a {type(group).__name__}; give a TrajectoryGroup, a dict with "trajectories", or a '
            "list of trajectories, message lists or strings."
        )
    return TrajectoryGroup(group, task=task)


def group_from_dict(fields: Mapping[str, Any]) -> TrajectoryGroup:
    """Build a group from a line's object; unknown fields are ignored.

    Raises:
        GroupError: no group can be made of it.
    """
    members = unarrayed(fields.get("trajectories"))
    if not isinstance(members, (list, tuple)):
        raise GroupError('the object has no list "trajectories".')
    trajectories = []
    for i, member in enumerate(members):
        try:
            trajectories.append(_as_trajectory(member, fields.get("task")))
        except GroupError as error:
            raise GroupError(f"trajectory {i}: {error}") from None
    return TrajectoryGroup(
        trajectories,
        fields.get("id"),
        fields.get("task"),
        fields.get("rubric"),
        fields.get("metadata") or {},
        fields.get("reference"),
    )


def _member(member: Any, i: int, task: str | None) -> Trajectory:
    try:
        return _as_trajectory(member, task)
    except GroupError as error:
        raise GroupError(f"Member {i} of the group: {error}") from None


def _as_trajectory(member: Any, task: str | None) -> Trajectory:
    if isinstance(member, Trajectory):
        return member
    if isinstance(member, str):
        if task is None:
            raise GroupError('A group of strings needs the task they answer: task="…".')
        return Trajectory([{"role": "assistant", "content": member}])
    if not isinstance(member, Mapping) or "role" in member:
        return Trajectory(cast("Sequence[Any]", member))
    messages = member.get("messages", member.get("conversations"))  # ShareGPT's name of them
    if messages is None:
        raise GroupError('it has no "messages".')
    known = {k: member[k] for k in ("tools", "id", "ground_truth") if k in member}
    return Trajectory(
        messages,
        **known,
        metadata=_or(member.get("metadata"), {}),
        histories=_or(member.get("histories"), ()),
    )


def _or(value: Any, default: Any) -> Any:
    return default if value is None else value
