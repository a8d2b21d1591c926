"""`python -m programs.init`: write a commented config with all settings, and a short Python script, for this folder.

Both run as they are. They use the corpus of the command line or of the project file. Existing files are not replaced.
"""

from __future__ import annotations

import json
import shlex
from typing import Any

from omegaconf import DictConfig

from clinspan.corpora import InputError
from clinspan.corpora.printable import printable
from clinspan.programs.app.config_text import changed, experiment_text, plain
from clinspan.programs.app.first_steps import first_documents, first_look
from clinspan.programs.app.hydra_app import run_app
from clinspan.programs.config.command_line import quoted
from clinspan.programs.config.composition import chosen_options, folder_path
from clinspan.programs.rundir.errors import writing
from clinspan.programs.rundir.printed_commands import command
from clinspan.programs.rundir.run_folder import write_whole

_LOCAL = "clinspan.lms.LocalModel"


def main(config: DictConfig) -> None:
    """Write both files and print the commands that use them."""
    output, script = folder_path(config.output), folder_path(config.script)
    if output.parent.name != "experiment" or output.suffix != ".yaml":
        raise InputError("is not the file of an experiment", path=output, remedy="Name it output=DIR/experiment/NAME.yaml.")
    for path, key in ((output, "output"), (script, "script")):
        if path.exists():
            raise InputError("exists", path=path, remedy=f"Keep it, and name a new file: {key}=FILE.")
    chosen = chosen_options()
    look = first_look(config, chosen["corpus"])
    for key, value in look.division.items():
        config.corpus[key.partition(".")[2]] = value
    if look.strategy == "zero_shot" and chosen["strategy"] == "few_shot":
        chosen["strategy"] = "zero_shot"
    folder = output.parent.parent
    texts = {
        output: experiment_text(config, chosen, name=output.stem, folder=str(folder), documents=first_documents(look)),
        script: script_text(config, chosen),
    }
    for path, text in texts.items():
        with writing(path):
            path.parent.mkdir(parents=True, exist_ok=True)
            write_whole(path, text.encode())
        print(printable(str(path)))
    fold = [] if look.folds is None else ["corpus.fold=0"]
    run = command("run", "--config-dir", str(folder), f"experiment={output.stem}", *fold)
    print(f"next:\n  {run}\n  {shlex.join(['python', str(script)])}")


def script_text(config: DictConfig, chosen: dict[str, str]) -> str:
    """A script that tags three sentences with a local model and scores them."""
    settings = changed("corpus", chosen["corpus"], config.corpus)
    if settings.get("folds") is not None:
        settings.setdefault("fold", 0)
    local = config.model.get("_target_") == _LOCAL
    model = _arguments(chosen["model"], changed("model", chosen["model"], config.model)) if local else '"smollm2"'
    return f'''"""Tag three test sentences with a local model, and score them. `clinspan run` does more."""

import dspy
from clinspan import load_corpus, local_lm, score, Tagger
from clinspan.programs.formats import Entities

corpus = load_corpus({_arguments(chosen["corpus"], settings)})
sentences = [sentence for sentence in corpus.sentences("test") if set(sentence.tags) != {{"O"}}][:3]
dspy.configure(lm=local_lm({model}), adapter=Entities(labels=corpus.labels))
tagger = Tagger(f"Tag the mentions of {{', '.join(label.name for label in corpus.labels)}} in the sentence.")
predicted = [tagger(tokens=sentence.words, id=sentence.id).tags for sentence in sentences]
print(score([sentence.tags for sentence in sentences], predicted)["micro"])
'''


def _arguments(option: str, settings: dict[str, Any]) -> str:
    """An option and its settings as the arguments of a function."""
    words = (option, *(f"{key}={_word(plain(value))}" for key, value in settings.items()))
    return ", ".join(json.dumps(word, ensure_ascii=False) for word in words)


def _word(value: object) -> str:
    """A value as an override has it."""
    return (
        quoted(value) if isinstance(value, str) and not value.isidentifier() else json.dumps(value, ensure_ascii=False).strip('"')
    )


if __name__ == "__main__":
    run_app("init", main)
