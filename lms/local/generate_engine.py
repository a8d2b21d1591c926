"""The DSPy engine on transformers' own `generate`: slower than packed passes, for any architecture and release of PyTorch.

Prompts are padded on the left and answered in batches. Every token is computed by the model's own code, with its own attention and
cache. A logits processor leaves the tokens that the grammar allows; where a request asks for sampling, it leaves the one that is
drawn by the same random number as in `TransformersEngine`. Drafts and shared prefixes are not used: they change no answer.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor
from transformers import GenerationConfig, LogitsProcessor, LogitsProcessorList, StoppingCriteria, StoppingCriteriaList

from clinspan.lms.errors import GrammarError
from clinspan.lms.local.choices import compared, TokenTree, trees
from clinspan.lms.local.encoding import end_ids, PlainTokens, spelt_controls
from clinspan.lms.local.engine import TransformersEngine
from clinspan.lms.local.oom import token_bytes
from clinspan.lms.local.probe import PROBE, rounding, same_logits
from clinspan.lms.local.sequence import Answer, Done, Prompt, SequenceState

_FILLER = 0


class GenerateEngine(TransformersEngine):
    """A loaded model behind DSPy's engine interface: requests and answers are those of `TransformersEngine`.

    Args:
        spec: Which model and how; `share_prefix` has no effect.
    """

    remedy = "serve it and use model=openai"

    def _new_decoder(self, memory: int) -> Any:
        return GenerateDecoder(self.model, self.tokenizer, context=self.context)


class GenerateDecoder:
    """Decodes batches with `generate`. Not safe for threads: one batch at a time.

    Args:
        model: A transformers causal language model in evaluation mode. Its own settings of generation are dropped.
        tokenizer: Its tokenizer.
        context: Most tokens of a prompt and its answer.
    """

    def __init__(self, model: Any, tokenizer: Any, *, context: int) -> None:
        self.model, self.tokenizer, self.context = model, tokenizer, context
        self.ends = end_ids(model, tokenizer)
        self.plain = PlainTokens(tokenizer)
        self._special = spelt_controls(tokenizer, self.plain)
        self.vocabulary = int(model.config.get_text_config().vocab_size)
        self.token_bytes = token_bytes(model)
        model.generation_config = GenerationConfig()  # a model's own may sample, punish repetitions or suppress tokens
        self._batches_hold = same_logits(self._probe(PROBE, 2 * PROBE), self._probe(PROBE), rounding(model))
        """Whether a longer prompt beside a short one changes nothing. Some models read the padding, or mix up rows."""

    def shared(self, prompts: Sequence[Prompt]) -> int:
        """How many leading tokens are read once for all prompts: none."""
        return 0

    def forget(self) -> None:
        """Free what is kept between batches: nothing."""

    def decode(self, prompts: Sequence[Prompt], *, rows: int | None = None, done: Done | None = None) -> list[Answer | Exception]:
        """One answer a prompt, in order; what is wrong with one of them is its own result and harms no other.

        Args:
            prompts: They are answered in this order, batch after batch.
            rows: Most rows of a batch; None: as many as there are. Where a batch would change answers, each prompt is alone.
            done: Told of each result when its batch is done: the prompt's number and the result.
        """
        results: list[Answer | Exception] = []
        for batch in self._batches(prompts, (rows or len(prompts)) if self._batches_hold else 1):
            for result in self._generate(batch):
                if done is not None:
                    done(len(results), result)
                results.append(result)
        return results

    def compare(self, prompts: Sequence[Prompt], *, done: Done | None = None) -> list[Answer | Exception]:
        """The probabilities of the prompts' choices, in order: each branch is read by a pass of its own, with its whole prompt.

        Args:
            prompts: All have `choices`.
            done: Told of each result as soon as it is there.
        """
        results: list[Answer | Exception] = []
        for number, prompt in enumerate(prompts):
            try:
                grown = list(trees(prompt.ids, prompt.choices or ()))
                passes = sum(len(tree.branchings) for tree in grown)
                results.append(compared(grown, [self._tree_logprobs(tree) for tree in grown], passes=passes))
            except GrammarError as error:
                results.append(error)
            if done is not None:
                done(number, results[-1])
        return results

    @torch.inference_mode()
    def _tree_logprobs(self, tree: TokenTree) -> list[float]:
        """Logarithms of the probabilities that a tree wants, from passes over the tokens that lead to each branching."""
        rows: dict[int, Tensor] = {}
        for branching in tree.branchings:
            path = tree.path(branching.node)
            ids = torch.tensor([[tree.tokens[node] for node in path]], device=self.model.device)
            logits = self.model(input_ids=ids, use_cache=False).logits[0, tree.tail - 1 :].float().log_softmax(-1)
            rows |= dict(zip(path[tree.tail - 1 :], logits, strict=True))
        return [float(rows[node][token]) for node, token in tree.wanted()]

    def _batches(self, prompts: Sequence[Prompt], size: int) -> Iterator[Sequence[Prompt]]:
        """Cut into batches in which no row leaves the context, not even one that waits for the longest answer of its batch."""
        start = 0
        for end in range(1, len(prompts) + 1):
            more = prompts[start : end + 1]
            if len(more) > size or end == len(prompts) or _width(more) + _budget(more) > self.context:
                yield prompts[start:end]
                start = end

    def _generate(self, prompts: Sequence[Prompt]) -> list[Answer | Exception]:
        rows = _Rows([self._begun(prompt) for prompt in prompts], _width(prompts))
        if rows.active:
            self._run(
                [prompt.ids for prompt in prompts],
                rows.width,
                {"max_new_tokens": _budget(prompts)},
                logits_processor=LogitsProcessorList([_Restrict(rows)]),
                stopping_criteria=StoppingCriteriaList([_Follow(rows)]),
            )
        return [row if isinstance(row, Exception) else row.answer() for row in rows.sequences]

    def _probe(self, *rows: Sequence[int]) -> Tensor:
        """Logits of the first row in the first two steps, shape (steps, vocabulary)."""
        settings = {"max_new_tokens": 2, "return_dict_in_generate": True, "output_logits": True}
        steps = self._run(rows, max(map(len, rows)), settings).logits
        return torch.stack([step[0] for step in steps])

    @torch.inference_mode()
    def _run(self, rows: Sequence[Sequence[int]], width: int, settings: Mapping[str, Any], **hooks: Any) -> Any:
        """Call `generate` with these rows, padded on the left to `width` tokens."""
        missing = [width - len(ids) for ids in rows]
        return self.model.generate(
            torch.tensor([[_FILLER] * n + list(ids) for n, ids in zip(missing, rows, strict=True)], device=self.model.device),
            attention_mask=torch.tensor([[0] * n + [1] * (width - n) for n in missing], device=self.model.device),
            generation_config=GenerationConfig(do_sample=False, use_cache=True, **settings),
            **hooks,
        )

    def _begun(self, prompt: Prompt) -> SequenceState | GrammarError:
        options = {"tokenizer": self.tokenizer, "vocabulary": self.vocabulary, "ends": self.ends, "special": self._special}
        try:
            return SequenceState(prompt, 0, **options)
        except GrammarError as error:
            return error


class _Rows:
    """The rows of a batch, whose answers begin at column `width`; one that failed is its error."""

    def __init__(self, sequences: list[SequenceState | GrammarError], width: int) -> None:
        self.sequences, self.width = sequences, width
        self.logits = torch.empty(0)
        """Of the tokens that were allowed last, else minus infinity; shape (rows, vocabulary)."""

    @property
    def active(self) -> Mapping[int, SequenceState]:
        return {i: row for i, row in enumerate(self.sequences) if isinstance(row, SequenceState) and not row.finish}


class _Restrict(LogitsProcessor):
    """Sets the logits of all tokens that cannot come next to minus infinity."""

    def __init__(self, rows: _Rows) -> None:
        self.rows = rows

    def __call__(self, input_ids: Tensor, scores: Tensor) -> Tensor:
        place = input_ids.shape[1] - self.rows.width
        logits = scores.float().cpu()
        allowed = torch.full_like(logits, float("-inf"))
        drawn: dict[int, int] = {}
        for number, sequence in self.rows.active.items():
            if place < len(sequence.output_ids):  # the grammar forces it
                allowed[number, sequence.output_ids[place]] = 0.0
                continue
            sequence.plan()
            point = sequence.decision_points[0]
            tokens = slice(None) if point.allowed is None else torch.from_numpy(point.allowed)
            allowed[number, tokens] = logits[number, tokens]
            if point.sampling is not None and point.uniform is not None:
                drawn[number] = point.sampling.draw(allowed[number].numpy(), point.uniform)
        self.rows.logits = allowed
        left = allowed.clone()
        for number, token in drawn.items():
            left[number] = float("-inf")
            left[number, token] = 0.0
        return left.to(scores.device)


class _Follow(StoppingCriteria):
    """Takes in the token that was chosen in each row, and says which rows have ended."""

    def __init__(self, rows: _Rows) -> None:
        self.rows = rows

    def __call__(self, input_ids: Tensor, scores: Any, **kwargs: Any) -> Tensor:
        place = input_ids.shape[1] - self.rows.width - 1
        chosen = input_ids[:, -1].tolist()
        for number, sequence in self.rows.active.items():
            sequence.passes += 1
            if place < len(sequence.output_ids):
                continue
            logits, token = self.rows.logits[number], chosen[number]
            try:
                sequence.take(token, float(logits[token] - logits.logsumexp(-1)))
            except GrammarError as error:
                self.rows.sequences[number] = error
        active = self.rows.active
        return torch.tensor([number not in active for number in range(len(chosen))], device=input_ids.device)


def _width(prompts: Sequence[Prompt]) -> int:
    return max(len(prompt.ids) for prompt in prompts)


def _budget(prompts: Sequence[Prompt]) -> int:
    return max(prompt.budget for prompt in prompts)
