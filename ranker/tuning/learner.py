"""A LoRA on a local model, trained on groups whose order is known."""

from __future__ import annotations

import math
import random
import warnings
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from copy import deepcopy
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import torch

from ranker.errors import ConfigurationError, ContextLengthError
from ranker.judges.local.forward import scores_of, shares
from ranker.judges.local.hidden_states import hidden_tails, plain_tails
from ranker.judges.local.model import LocalModel, cores
from ranker.judges.local.ways import LETTERS, Shown, Way, fit, question
from ranker.prompting.template import ASK, ASK_BLOCKS, load_template
from ranker.prompting.truncation import estimate_tokens
from ranker.tuning.examples import Example, apart
from ranker.tuning.lora import TARGETS, Lora, with_lora
from ranker.tuning.losses import LOSSES
from ranker.tuning.process_labels import ProcessLabels, label_loss

__all__ = ["TARGETS", "Learner", "Lora"]

Tensor = Any
EAGER = 1_500  # tokens up to which a CPU is faster with attention written out than with SDPA under a mask
TRAIN_PACK = 320
LABEL_WEIGHT = 0.5  # of the loss on process labels
JOINT: tuple[Way, ...] = (
    "first_token",
    "pointwise_in_context",
)  # all attempts in one sequence, each named by a letter
# Tokens of one sequence, and of the attempts of one group that one step trains on, on a CPU: memory for the gradient
# grows with both. A GPU takes the model's window, and GROUP_GPU tokens.
SEQUENCE, JOINT_SEQUENCE, GROUP, GROUP_GPU = 2_048, 4_096, 6_144, 24_576


class Learner:
    """A model with an adapter that can be trained, scores groups, and steps.

    Args:
        base: the model, as `local:` takes it.
        way: how every group is asked about.
        adapter: a folder to continue from, instead of a fresh adapter.
        workers: groups processed at once on a CPU, each by one core; None for all cores.
        most_tokens: per sequence; longer texts are truncated in the middle. None: `SEQUENCE` on a CPU
            (`JOINT_SEQUENCE` in a way of `JOINT`), the model's window on a GPU.
        template: instead of `ask.v1`.

    Attributes:
        tokens: read so far.
        updates: steps taken so far.
        updating: whether a step is changing the adapter, so that its state is neither old nor new.

    Raises:
        ConfigurationError: peft is not installed, there is no such way, or the model cannot be loaded or tuned.
    """

    def __init__(
        self,
        base: str | None,
        way: Way,
        *,
        lora: Lora = Lora(),  # noqa: B008 - frozen
        adapter: Path | None = None,
        loss: str = "pairwise",
        learning_rate: float = 5e-4,
        seed: int = 0,
        workers: int | None = None,
        most_tokens: int | None = None,
        template: str | None = None,
    ):
        if way == "generated":
            raise ConfigurationError(
                "A judge that writes its verdict cannot be tuned: choose the way pointwise, pointwise_in_context, "
                "first_token or expected_digit."
            )
        local = LocalModel(base)
        self.label = local.label
        loaded = local.load()
        on_cpu = loaded.model.device.type == "cpu"
        # Written out, attention is a quarter faster than SDPA for a few hundred tokens on a CPU.
        if on_cpu:
            loaded.model.set_attn_implementation("eager")
        self.model = with_lora(loaded.model, lora, adapter, seed).eval()
        usual = loaded.window if not on_cpu else JOINT_SEQUENCE if way in JOINT else SEQUENCE
        window = min(loaded.window, most_tokens or usual)
        self.loaded = replace(loaded, model=self.model, window=window)
        with torch.inference_mode():
            self._shared = shares(self.loaded)  # as the judge will read it
        self.way = way
        self.template = load_template(template or ASK, None, ASK_BLOCKS)
        self.loss = LOSSES[loss]
        self.params = [p for p in self.model.parameters() if p.requires_grad]
        self.optimizer = torch.optim.AdamW(self.params, lr=learning_rate, betas=(0.9, 0.98), weight_decay=0.0)
        self.workers = workers or cores() if on_cpu else 1
        # Threads, one a core: a group's products are too small to be shared by cores, and torch works without
        # holding Python's lock.
        one_thread = partial(torch.set_num_threads, 1) if self.workers > 1 else None
        self._pool = ThreadPoolExecutor(self.workers, "ranker-tune", initializer=one_thread)
        self._threads = torch.get_num_threads()
        self._room = GROUP if on_cpu else GROUP_GPU
        self.tokens = 0
        self.updates = 0
        self.updating = False

    def fits(self, one: Example) -> bool:
        """Whether a group fits the context window, its texts truncated if need be."""
        if self.way in JOINT and len(one.truths_G) > len(LETTERS):
            return False
        try:
            fit(one.shown, self.way, self.loaded.window, self.loaded.count)
        except ContextLengthError:
            return False
        return True

    def prepare(self, examples: Sequence[Example]) -> None:
        """Choose the attention implementation for groups of this length: the memory of eager attention grows with the
        square of a text's length."""
        if self.model.device.type != "cpu":
            return
        longest = max(
            max(map(estimate_tokens, [e.shown.opening, *e.shown.attempts]), default=0) for e in examples
        )
        if self.way in JOINT:
            longest = max(sum(map(estimate_tokens, e.shown.attempts)) for e in examples)
        how = "eager" if min(longest, self.loaded.window) <= EAGER else "sdpa"
        self.model.get_base_model().set_attn_implementation(how)

    def scores(self, texts: Shown, rng: random.Random | None = None) -> Tensor:
        """One score per attempt, shape (G,), in the order of `texts`; shown in an order drawn by `rng`."""
        return self._read(texts, rng)[0]

    def _read(
        self, texts: Shown, rng: random.Random | None, labels: Sequence[ProcessLabels] = ()
    ) -> tuple[Tensor, Tensor | None]:
        """Scores as above, and the loss on process labels, if there are any."""
        n = len(texts.attempts)
        order = rng.sample(range(n), n) if rng else list(range(n))
        fitted = fit(texts.only(order), self.way, self.loaded.window, self.loaded.count)
        segments = question(fitted, self.way, self.template, self.loaded.frame, self.loaded.encode)
        labelled = self.way not in JOINT and any(one.points or one.passages for one in labels)
        questions = segments
        if labelled:  # every token of the attempts is needed
            segments = tuple(replace(s, tail=len(s)) if s.tail else s for s in segments)
        self.tokens += sum(map(len, segments))
        tails = (
            hidden_tails(self.model, segments, TRAIN_PACK)
            if self._shared
            else plain_tails(self.model, segments)
        )
        ends = [s.tail for s in questions if s.tail]
        read = [tail[-end:] for tail, end in zip(tails, ends, strict=True)]
        scores_G = scores_of(self.loaded, read, questions, self.way, n)
        back = torch.empty(n, dtype=torch.long, device=scores_G.device)
        back[torch.tensor(order, device=scores_G.device)] = torch.arange(n, device=scores_G.device)
        parts = None
        if labelled:
            attempts = [s for s in segments if s.tail]
            parts = label_loss(self.loaded, tails, attempts, fitted.attempts, [labels[i] for i in order])
        return scores_G[back], parts

    def step(self, batch: Sequence[Example], rate: float, seed: str) -> tuple[float, list[list[float]]]:
        """One step of AdamW with learning rate `rate` on the mean loss of a few groups.

        Of a group whose texts do not fit into memory, some attempts are drawn by `seed`.

        Returns:
            The mean loss, and the scores of each group before the step; NaN for attempts that were left out.

        Raises:
            ConfigurationError: the loss or its gradient is not finite (the adapter is unchanged), or a group does not
                fit into memory.
        """

        def one(k: int, example: Example) -> tuple[float, list[float], Sequence[Tensor]]:
            rng = random.Random(f"{seed}/{k}")  # noqa: S311 - not secret
            chosen = self._choose(example, rng)
            labels = [example.labels_G[i] for i in chosen] if example.labels_G else []
            scores_K, parts = self._read(example.shown.only(chosen), rng, labels)
            truths_K = torch.tensor([example.truths_G[i] for i in chosen], device=scores_K.device)
            loss = self.loss(scores_K, truths_K)
            if parts is not None:
                loss = loss + LABEL_WEIGHT * parts
            scores = [math.nan] * len(example.truths_G)
            for i, score in zip(chosen, scores_K.tolist(), strict=True):
                scores[i] = score
            return loss.item(), scores, torch.autograd.grad(loss, self.params)

        results = self._each(one, batch)
        loss = sum(loss for loss, _, _ in results) / len(results)
        for i, param in enumerate(self.params):
            param.grad = torch.stack([grads[i] for _, _, grads in results]).mean(0)
        norm = torch.nn.utils.clip_grad_norm_(self.params, 1.0)
        if not (math.isfinite(loss) and bool(torch.isfinite(norm))):
            raise ConfigurationError(
                f"After {self.updates} steps the loss or its gradient is not finite. Choose a lower --learning-rate, and "
                "another folder."
            )
        for group in self.optimizer.param_groups:
            group["lr"] = rate
        self.updating = True
        self.optimizer.step()
        self.updates += 1
        self.updating = False
        self.optimizer.zero_grad()
        return loss, [scores for _, scores, _ in results]

    def measure(
        self, examples: Sequence[Example], report: Callable[[int], None] = lambda _: None
    ) -> list[list[float]]:
        """Scores of each group without gradients, its attempts shown in a drawn order; `report` is called with the number
        of groups done."""

        def one(_: int, example: Example) -> list[float]:
            with torch.inference_mode():
                order = random.Random(f"measure/{example.id}")  # noqa: S311 - not secret
                return self.scores(example.shown, order).tolist()  # type: ignore[no-any-return]

        return self._each(one, examples, report)

    def _each(
        self,
        one: Callable[[int, Example], Any],
        examples: Sequence[Example],
        report: Callable[[int], None] = lambda _: None,
    ) -> list[Any]:
        """`one` of each index and example, in order, computed by the pool's threads. Long groups start first, so that
        no thread waits for one that started a long group at the end."""
        order = sorted(range(len(examples)), key=lambda i: -_length(examples[i].shown))
        results: list[Any] = [None] * len(examples)
        try:
            computed = self._pool.map(one, order, [examples[i] for i in order])
            for done, (i, result) in enumerate(zip(order, computed, strict=True), start=1):
                results[i] = result
                report(done)
        except (MemoryError, RuntimeError) as error:
            raise ConfigurationError(
                f"{self.label} failed on a group: {str(error).strip()[:300]} If memory ran out, set a lower "
                f"--most-tokens (now {self.loaded.window}) or use a smaller model."
            ) from error
        return results

    def _choose(self, one: Example, rng: random.Random) -> list[int]:
        """The attempts of a group that a step trains on: all of them, if they fit into memory."""
        n = len(one.truths_G)
        sizes = [min(estimate_tokens(text), self.loaded.window) for text in one.shown.attempts]
        if self.way in JOINT or sum(sizes) <= self._room:
            return list(range(n))
        order = apart(one.truths_G, rng)
        chosen, total = order[:2], sum(sizes[i] for i in order[:2])
        for i in order[2:]:
            if total + sizes[i] <= self._room:
                chosen.append(i)
                total += sizes[i]
        return sorted(chosen)

    def save(self, folder: Path) -> None:
        """Write the adapter in PEFT's format, in bfloat16.

        Raises:
            ConfigurationError: it cannot be written.
        """
        weights = {
            name: value.detach().to(torch.bfloat16)
            for name, value in self.model.state_dict().items()
            if "lora_" in name
        }
        # Paths of this machine do not belong in the file.
        self.model.peft_config["default"].base_model_name_or_path = self.label.partition("@")[0]
        try:
            folder.mkdir(parents=True, exist_ok=True)
            with warnings.catch_warnings():
                warnings.filterwarnings("ignore")
                self.model.save_pretrained(folder, state_dict=weights)
            (folder / "README.md").unlink(missing_ok=True)  # an empty template
        except Exception as error:  # safetensors has errors of its own
            raise ConfigurationError(
                f"The adapter cannot be written into {folder}: {error}. Free some space and run it again."
            ) from None

    def state(self) -> dict[str, Any]:
        """Everything a resumed run needs from the learner."""
        return {
            "params": [p.detach().clone() for p in self.params],
            "optimizer": deepcopy(self.optimizer.state_dict()),
            "updates": self.updates,
        }

    def restore(self, state: dict[str, Any]) -> None:
        with torch.no_grad():
            for param, value in zip(self.params, state["params"], strict=True):
                param.copy_(value)
        self.optimizer.load_state_dict(state["optimizer"])
        self.updates = state["updates"]

    def close(self) -> None:
        self._pool.shutdown(cancel_futures=True)
        torch.set_num_threads(self._threads)  # the workers' setting is that of every later thread


def _length(texts: Shown) -> int:
    """Characters to be read."""
    return len(texts.opening) + len(texts.task) + len(texts.rubric) + sum(map(len, texts.attempts))
