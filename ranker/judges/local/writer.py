"""A verdict generated under token masks: always well-formed, whatever the model.

The JSON around the model's choices is written for it. It chooses freely only inside a reason (up to
a quotation mark), among the ids still to be ranked, and between "tied with" and "better than" what
follows. So the reply is an exact permutation by construction and goes through the ordinary parser.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from functools import lru_cache
from typing import Any

import torch

from ranker.judges.verdict import Form


class Writer:
    """Generates one reply after a prompt, holding the model's key-value cache.

    Args:
        model: a transformers causal LM in eval mode.
        tokenizer: its tokenizer.
        prompt_P: token ids of the prompt, shape (P,).
    """

    def __init__(self, model: Any, tokenizer: Any, prompt_P: torch.Tensor):
        self._model = model
        self._tokenizer = tokenizer
        self._pending: list[int] = prompt_P.tolist()
        self._past: Any = None
        self.written = 0

    def reply(self, ids: Sequence[str], form: Form, reason_tokens: int) -> str:
        """The verdict as JSON text."""
        reasons = []
        self.force('{"reasons": [')
        for i, name in enumerate(ids):
            self.force(f'{", " if i else ""}{{"id": "{name}", "reason": "')
            reasons.append({"id": name, "reason": self.sentence(reason_tokens)})
            self.force('"}')
        if form == "scores":
            return json.dumps({"reasons": reasons, "scores": self._scores(ids)}, ensure_ascii=False)
        return json.dumps({"reasons": reasons, "ranking": self._ranking(ids)}, ensure_ascii=False)

    def _ranking(self, ids: Sequence[str]) -> list[list[str]]:
        self.force('], "ranking": [["')
        left = list(ids)
        tiers: list[list[str]] = [[]]
        while True:
            name = self.choose(left)
            tiers[-1].append(name)
            left.remove(name)
            if not left:
                return tiers
            if self.choose(['"], ["', '", "']) == '"], ["':
                tiers.append([])

    def _scores(self, ids: Sequence[str]) -> list[dict[str, Any]]:
        self.force('], "scores": [')
        scores = []
        for i, name in enumerate(ids):
            self.force(f'{", " if i else ""}{{"id": "{name}", "score": ')
            scores.append({"id": name, "score": float(self.choose([f"{s / 10:.1f}" for s in range(11)]))})
            self.force("}")
        return scores

    def force(self, text: str) -> None:
        """Append text without asking the model; it is read together with the next choice."""
        self._pending += self._encode(text)

    def choose(self, options: Sequence[str]) -> str:
        """The option the model finds likeliest, token by token; where only one is left, the rest is
        appended without asking."""
        paths = [(option, self._encode(option)) for option in options]
        at = 0
        while len(paths) > 1:
            # A path that ends here while others go on competes with what could follow it: no option
            # of ours is the beginning of another, so this happens only with odd tokenizers.
            ended = [p for p in paths if len(p[1]) <= at]
            if ended:
                paths = ended[:1]
                break
            heads = sorted({path[at] for _, path in paths})
            token = heads[0]
            if len(heads) > 1:
                logits_V = self._logits()
                token = heads[int(logits_V[torch.tensor(heads, device=logits_V.device)].argmax())]
            self._pending.append(token)
            paths = [p for p in paths if p[1][at] == token]
            at += 1
        chosen, path = paths[0]
        self._pending += path[at:]
        return chosen

    def sentence(self, most: int) -> str:
        """Free text of at most `most` tokens, up to where the model would close the string."""
        plain_V, closing_V = _masks(self._tokenizer, self._model.get_output_embeddings().weight.shape[0])
        tokens: list[int] = []
        while len(tokens) < most:
            logits_V = self._logits()
            plain_V, closing_V = plain_V.to(logits_V.device), closing_V.to(logits_V.device)
            best = int(logits_V.masked_fill(~(plain_V | closing_V), -torch.inf).argmax())
            if closing_V[best]:
                break
            tokens.append(best)
            self._pending.append(best)
        return str(self._tokenizer.decode(tokens, skip_special_tokens=True)).strip()

    def _encode(self, text: str) -> list[int]:
        return self._tokenizer.encode(text, add_special_tokens=False)  # type: ignore[no-any-return]

    @torch.inference_mode()  # type: ignore[untyped-decorator]
    def _logits(self) -> torch.Tensor:
        """Next-token logits, shape (V,), after everything pending has been read."""
        new_1T = torch.tensor([self._pending], device=self._model.device)
        out = self._model(new_1T, past_key_values=self._past, use_cache=True, logits_to_keep=1)
        self._past = out.past_key_values
        self.written += len(self._pending)
        self._pending = []
        return out.logits[0, -1].float()


@lru_cache(maxsize=4)
def _masks(tokenizer: Any, vocabulary: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Which tokens may stand inside a JSON string as they are, and which would close it; both (V,)."""
    plain_V = torch.zeros(vocabulary, dtype=torch.bool)
    closing_V = torch.zeros(vocabulary, dtype=torch.bool)
    special = set(tokenizer.all_special_ids)
    texts = tokenizer.batch_decode([[i] for i in range(min(len(tokenizer), vocabulary))])
    for i, text in enumerate(texts):
        if i in special or '"' in text:
            closing_V[i] = True
        elif text and "\\" not in text and text.isprintable():
            plain_V[i] = True
    return plain_V, closing_V
