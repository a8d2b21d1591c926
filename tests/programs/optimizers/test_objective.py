"""Tests of the optimizers' objective, the elimination of candidates, voting programs and label names in prompts."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from clinspan.corpora import Corpus, InputError, Label
from clinspan.corpora.build import build_corpus, build_document, Cutting, Policies
from clinspan.corpora.types import Entity
from clinspan.metrics import Counts
from clinspan.metrics.seqeval_f1 import sentence_score
from clinspan.programs.formats import BioLines
from clinspan.programs.optimizers import CandidateEvaluator, Halving, SeqevalF1
from clinspan.programs.optimizers.coverage import coverage
from clinspan.programs.optimizers.search import read_space
from clinspan.programs.tagging.label_names import present_labels
from clinspan.programs.tagging.votes import vote


@pytest.fixture
def corpus() -> Corpus:
    documents = []
    for n in range(9):
        text = f"Fabry disease number {n} hurts. Fever comes."
        marks = [Entity("Disease", ((0, 13),)), Entity("Sign", ((text.index("Fever"), text.index("Fever") + 5),))]
        documents.append(build_document(f"d{n}", text, marks, cutting=Cutting(), policies=Policies())[0])
    return build_corpus("tiny", {"train": documents[:3], "dev": documents[3:]})


def objective(target: Any = "micro") -> SeqevalF1:
    return SeqevalF1(("Disease", "Sign"), "conlleval", target, {})


def test_programs_are_ranked_by_counts_of_all_sentences_and_not_by_their_mean() -> None:
    pairs = [(["B-Sign"], ["O"]), (["B-Sign", "B-Sign", "B-Sign"], ["B-Sign", "B-Sign", "B-Sign"]), (["O"], ["B-Disease"])]
    assert objective().corpus_f1(pairs) == pytest.approx(6 / 8)
    assert objective("macro").corpus_f1(pairs) == pytest.approx(6 / 7)
    with pytest.raises(InputError, match="target=mean is not known"):
        objective("mean")


def test_a_sentence_has_a_score_between_0_and_1_that_falls_with_every_error() -> None:
    for gold in range(4):
        scores = [sentence_score(Counts(m, m, gold)) for m in range(gold + 1)]
        assert scores == sorted(scores) and scores[-1] == 1.0 and scores[0] > 0
        scores_with_inventions = [sentence_score(Counts(gold, gold + extra, gold)) for extra in range(4)]
        assert scores_with_inventions == sorted(scores_with_inventions, reverse=True)


def test_sentences_without_entities_give_no_demonstration() -> None:
    example, right = {"tags": ["O", "O"]}, {"tags": ["O", "O"]}
    assert objective()(example, right) == 1.0
    assert objective()(example, right, trace=[]) == 0.0


class Recorded(CandidateEvaluator):
    """Evaluator that takes the F1 for each sample size from the candidate instead of predictions."""

    def __init__(self, corpus: Corpus, tmp_path: Path, halving: Halving) -> None:
        super().__init__(
            list(corpus.sentences("dev")),
            objective(),
            lm=None,
            concurrency=1,
            halving=halving,
            folder=tmp_path,
            seed=0,
            watch=lambda *progress: None,
        )
        self.measured: list[tuple[str, int]] = []

    def measure(self, trial: Any, size: int) -> float:
        if size not in trial.f1:
            self.measured.append((trial.candidate.name, size))
            trial.f1[size] = trial.candidate.f1[self.sizes.index(size)]
        return float(trial.f1[size])


class Fake:
    """Candidate with known F1 scores."""

    def __init__(self, name: str, *f1: float) -> None:
        self.name, self.f1, self.by, self.lm = name, f1, name, None

    def dump(self) -> dict[str, Any]:
        return {"name": self.name}


def test_hopeless_candidates_are_dropped_and_the_rest_ranked_on_all_of_dev(corpus: Corpus, tmp_path: Path) -> None:
    evaluator = Recorded(corpus, tmp_path, Halving(rungs=2, keep=2, least=4))
    assert evaluator.sizes == [6, 12]
    ranking = evaluator.rank([Fake("a", 0.5, 0.1), Fake("b", 0.4, 0.3), Fake("c", 0.3, 0.9), Fake("d", 0.9, 0.2)])  # type: ignore[list-item]
    assert [trial.candidate.by for trial in ranking] == ["d", "a", "b", "c"]
    assert ("c", 12) not in evaluator.measured
    assert [trial.candidate.by for trial in evaluator.complete] == ["d", "a"]


def test_a_candidate_already_measured_on_all_of_dev_has_no_advantage(corpus: Corpus, tmp_path: Path) -> None:
    evaluator = Recorded(corpus, tmp_path, Halving(rungs=2, keep=2, least=4))
    evaluator.score(Fake("start", 0.1, 0.05), whole=True)  # type: ignore[arg-type]
    ranking = evaluator.rank([Fake("start", 0.1, 0.05), Fake("a", 0.5, 0.4)])  # type: ignore[list-item]
    assert [trial.candidate.by for trial in ranking] == ["a", "start"]
    assert evaluator.best_f1 == 0.4


def test_single_candidates_are_dropped_if_earlier_ones_scored_higher(corpus: Corpus, tmp_path: Path) -> None:
    evaluator = Recorded(corpus, tmp_path, Halving(rungs=2, keep=2, least=4))
    assert evaluator.score(Fake("a", 0.5, 0.4)) == 0.4  # type: ignore[arg-type]
    assert evaluator.score(Fake("b", 0.45, 0.9)) < 0.4  # type: ignore[arg-type]
    assert ("b", 12) not in evaluator.measured
    assert evaluator.score(Fake("b", 0.45, 0.9), whole=True) == 0.9  # type: ignore[arg-type]
    assert evaluator.best_f1 == 0.9


def test_dev_is_sampled_by_whole_documents(corpus: Corpus, tmp_path: Path) -> None:
    evaluator = Recorded(corpus, tmp_path, Halving())
    documents = [sentence.document for sentence in evaluator.sentences]
    assert documents == [name for name, n in Counter(documents).items() for _ in range(n)]
    assert sorted(documents) == sorted(s.document for s in corpus.sentences("dev"))


def test_coverage_prefers_sentences_with_the_labels_of_errors(corpus: Corpus) -> None:
    first = next(iter(corpus.sentences("train")))
    assert coverage(first, {("missed", "Disease"): 4}) == 4
    assert coverage(first, {("missed", "Sign"): 4}) == 0
    assert coverage(first, {("invented", "Sign"): 4, ("invented", "Disease"): 2}) == 4


def test_programs_vote_by_majority() -> None:
    assert vote([["B-A", "O"], ["B-B", "O"], ["O", "B-A"]]) == (["O", "O"], [None, None])
    assert vote([["B-A", "I-A"], ["B-A", "I-A"], ["B-A", "O"]])[0] == ["B-A", "I-A"]
    assert vote([["B-A"], ["B-A"], ["O"], ["O"]]) == (["O"], [None])  # half of the votes are no majority
    assert vote([["B-A"], ["B-A"], ["B-A"], ["O"]]) == (["B-A"], [0.75])


def test_labels_have_other_names_in_prompts_and_their_own_names_in_tags(corpus: Corpus) -> None:
    labels, called = present_labels(corpus, "rare", "upper")
    assert [label.name for label in labels] == ["DISEASE", "SIGN"]
    form = BioLines(labels=labels, called=called)
    demo = {"tokens": ["Fever"], "tags": ["B-Sign"]}
    _, turns = form.messages("", [demo], form.questions(["Fever"], ())[0])
    assert turns[1] == ("assistant", "Fever : B-SIGN")
    clashing = Corpus("x", {}, (Label("RareDisease"), Label("Rare_Disease")))
    with pytest.raises(InputError, match="gives two labels the same name"):
        present_labels(clashing, "corpus", "snake")
    with pytest.raises(InputError, match="label_order=odd is not known"):
        present_labels(corpus, "odd", "corpus")


def test_search_spaces_are_read_or_refused() -> None:
    assert read_space(["a.b=1,x", "c=true"]) == {"a.b": [1, "x"], "c": [True]}
    with pytest.raises(InputError, match="which is not key=value"):
        read_space(["a"])
    with pytest.raises(InputError, match=r"optimizer\.space is empty"):
        read_space([])
