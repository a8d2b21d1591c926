"""Tests of the exact prompts: one golden file for each template and format. `make golden` rewrites the files."""

from __future__ import annotations

from pathlib import Path

import pytest

from clinspan.corpora import Label
from clinspan.lms.templates import TEMPLATES
from clinspan.programs.config.composition import group_option
from clinspan.programs.formats import BioLines, Entities, Format, Inline
from clinspan.programs.tagging import instructions as prompts
from conftest import ROOT

LABELS = [Label("Disease", "a disease that is not rare"), Label("RareDisease", "a disease that affects few people")]
ADVICE = group_option("corpus", "raremini").advice
DEMO = {"tokens": ["No", "asthma", "."], "tags": ["O", "B-Disease", "O"]}
FORMATS: dict[str, Format] = {
    "bio_lines": BioLines(labels=LABELS),
    "bio_lines_newline": BioLines(labels=LABELS, separator="newline"),
    "inline": Inline(labels=LABELS),
    "entities": Entities(labels=LABELS),
    "entities_by_type": Entities(labels=LABELS, per_type=True),
}


class ChatMarks:
    """Stand-in for a tokenizer with a minimal chat template, so that no weights are needed."""

    chat_template = "marks"

    def apply_chat_template(self, turns: list[dict[str, str]], tokenize: bool, add_generation_prompt: bool) -> str:
        return "".join(f"<{turn['role']}>{turn['content']}</{turn['role']}>\n" for turn in turns) + "<assistant>"


@pytest.mark.parametrize("template", TEMPLATES)
@pytest.mark.parametrize("name", FORMATS)
def test_golden_prompt(name: str, template: str, request: pytest.FixtureRequest) -> None:
    form = FORMATS[name]
    question = form.questions(["Fabry", "disease", "."], ["A passage."])[-1]
    system, turns = form.messages(prompts.handwritten(LABELS, ADVICE), [DEMO], question)
    text = TEMPLATES[template]([("system", system), *turns], ChatMarks())
    path = ROOT / "tests" / "golden" / f"{template}-{name}.txt"
    if request.config.getoption("--rewrite-golden"):
        path.write_text(text, encoding="utf-8")
    assert text == Path(path).read_text(encoding="utf-8")


def test_the_bare_prompt_names_the_labels_and_nothing_about_them() -> None:
    assert prompts.bare(LABELS) == "Tag the mentions of Disease, RareDisease in the sentence with BIO tags."
