"""How a task of sequences is drawn and learnt: by the next token, over the prompt, the separator and the answer."""

from abc import abstractmethod
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float, Int
from torch import Tensor

from abruptlab.arguments import require_count
from abruptlab.task.base import NATS, SHARE, Metric, Objective, Segment
from abruptlab.task.counter import BLOCK, by_blocks, generator
from abruptlab.task.examples import Examples
from abruptlab.task.sequence import SequenceTask


@dataclass(frozen=True)
class SequenceBatch(Examples):
    """Whole sequences: what the model sees, and what it is asked for."""

    tokens: Int[Tensor, "example place"]  # [prompt, separator, answer]
    size: tuple[int, int]  # the lengths of the prompt and the answer

    @property
    def prompts(self) -> Int[Tensor, "example prompt"]:
        """The tokens up to the separator, it included."""
        return self.tokens[:, : self.size[0] + 1]

    @property
    def answers(self) -> Int[Tensor, "example answer"]:
        """The tokens after it."""
        return self.tokens[:, self.size[0] + 1 :]


def stream(
    task: SequenceTask, batch: int, seed: int, start: int = 0, device: torch.device | str = "cpu"
) -> Iterator[SequenceBatch]:
    """The batches of the steps from `start` on, without end. Raises `ConfigError` for no number of examples."""
    require_count(batch, "batch")

    def draw(block: int) -> list[SequenceBatch]:
        prompts, answers = task.draw(BLOCK * batch, generator(seed, 0, block, device=device))
        tokens = torch.cat([prompts, torch.full_like(prompts[:, :1], task.separator), answers], 1)
        return [SequenceBatch(part, (task.prompt_length, task.answer_length)) for part in tokens.split(batch)]

    return by_blocks(draw, start)


class Writing(Objective):
    """A decoder's: it learns each next token of [prompt, separator, answer]; what is asked is the answer."""

    @abstractmethod
    def sequences(self, batch: Any) -> Int[Tensor, "example place"]:
        """[prompt, separator, answer] of each example."""

    @abstractmethod
    def sources(self, batch: Any) -> Bool[Tensor, "example answer prompt"]:
        """Of which places of the prompt each one of the answer is made."""

    def inputs(self, batch: Any) -> Int[Tensor, "example place"]:
        """All but the last token, of which nothing is asked."""
        return self.sequences(batch)[:, :-1]

    def useful(self, batch: Any) -> Bool[Tensor, "example query key"]:
        """For each place before one of the answer's, what that one is made of."""
        sources = self.sources(batch)
        answer, prompt = sources.shape[1:]
        return F.pad(sources, (0, answer, prompt, 0))

    def values(
        self, outputs: Float[Tensor, "example place token"], batch: Any
    ) -> tuple[Float[Tensor, "example place"], ...]:
        """The cross-entropy of the next token at each place, or whether the most probable one is right (0 in the
        prompt, of which nobody asks it)."""
        following, prompt = self.sequences(batch)[:, 1:], self.answer - 1
        losses = F.cross_entropy(outputs.flatten(0, 1), following.flatten(), reduction="none").view_as(following)
        right = F.pad((outputs[:, prompt:].argmax(-1) == following[:, prompt:]).float(), (prompt, 0))
        return tuple(right if metric.unit == SHARE else losses for metric in self.metrics)


@dataclass(frozen=True)
class Answer(Writing):
    """Cross-entropy (in nats) of the next token over the whole sequence; apart, that of the prompt's tokens and of the
    answer's; and how many of the answer's are right, each given the true ones before it."""

    task: SequenceTask

    kind = "sequence"
    metrics = (
        Metric("loss", "L", "loss, all tokens", NATS),
        Metric("loss_prompt", "L_prompt", "loss over the prompt", NATS),
        Metric("loss_answer", "L_answer", "loss over the answer", NATS),
        Metric("accuracy", "right", "tokens of the answer that are right", SHARE),
    )
    falling = "loss_answer"
    kept = "loss_answer"
    trivial = "reading nothing"
    story = """A transformer reads a prompt and writes the answer to it, token by token. On a <strong>plateau</strong>
it knows little more than which tokens occur; then, with nothing changed in the training, the loss over the answer
falls within a short time: it has found which tokens of the prompt each one of the answer needs. That is
<strong>abrupt learning</strong>. Move the slider: the curves and the attention maps go to that moment."""

    @property
    def level(self) -> float | None:
        return self.task.level

    @property
    def vocabulary_size(self) -> int:
        return self.task.separator + 1

    @property
    def segments(self) -> tuple[Segment, ...]:
        prompt, answer = self.task.prompt_length, self.task.answer_length
        return (
            Segment("prompt", 0, 1, prompt),
            Segment("SEP", prompt, 1, 1),
            Segment("answer", prompt + 1, 1, answer),
        )

    def sequences(self, batch: SequenceBatch) -> Int[Tensor, "example place"]:
        return batch.tokens

    def sources(self, batch: SequenceBatch) -> Bool[Tensor, "example answer prompt"]:
        return self.task.needs(batch.tokens[:, : batch.size[0]])

    def chosen(self, batch: SequenceBatch) -> tuple[Bool[Tensor, "example place"], ...]:
        places = torch.arange(sum(batch.size), device=batch.tokens.device)
        of_answer = (places >= batch.size[0]).expand(len(batch), -1)
        return torch.ones_like(of_answer), ~of_answer, of_answer, of_answer
