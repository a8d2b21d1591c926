"""Overrides are checked before Hydra composes them: messages name the nearest names, and no more than a screen holds."""

from __future__ import annotations

import re

import pytest

from clinspan.conf import CONF
from clinspan.corpora import InputError
from clinspan.programs.config.overrides import check_option, check_words
from conftest import ROOT


@pytest.mark.parametrize("group", ["corpus", "format", "metric", "model", "prompt", "retriever", "strategy", "tracing", "tracking"])
@pytest.mark.parametrize("value", ["null", "{option},null"])
def test_a_group_without_an_option_is_refused_with_the_cause_of_hydra(group: str, value: str) -> None:
    option = min(path.stem for path in (CONF / group).glob("*.yaml"))
    with pytest.raises(InputError, match=f"{group}=null chooses nothing: .*must be a string or a list. Got NoneType. Options: "):
        check_words("run", [f"{group}={value.format(option=option)}"])


def test_overrides_become_what_hydra_accepts_and_records() -> None:
    words = ["experiment=null,table2", "strategy=[knn]", "format=glob(e*)", "limit=null", "~tracking"]
    accepted = ["experiment=[],table2", "strategy=knn", "format=choice(entities,entities_by_type)", "limit=null", "~tracking"]
    assert check_words("run", words) == accepted
    assert check_words("run", accepted) == accepted
    assert check_words("run", ["model=[gpt4,hf]"]) == ["model=[gpt4,hf]"]


@pytest.mark.parametrize("word", ["@x=1", "+x", "x", "", " ", "=", "=1", "~", "model.=1", ".limit=1", "+", "++=1"])
def test_words_that_are_no_overrides_are_refused(word: str) -> None:
    with pytest.raises(InputError, match="Write overrides as key=value"):
        check_words("run", [word])


@pytest.mark.parametrize(
    ("word", "remedy"),
    [
        ("limits=3", "Did you mean limit?"),
        ("+limits=3", "Did you mean limit?"),
        ("top_k=3", "Did you mean retriever.top_k?"),
        ("adapter=x", "Did you mean model.adapter?"),
        ("modle.path=x", "Did you mean model.path?"),
        ("model.temlate=x", "Did you mean model.template?"),
        ("path=x", "Did you mean model.path or retriever.embedder.path?"),
        ("zzzzzzz=3", "--help-all lists the settings, --cfg job the keys of the chosen options."),
        ("qqqqq.zzz=3", "--help-all lists the settings, --cfg job the keys of the chosen options."),
        ("model.zzz=3", "Keys of model: adapter, batch_size, "),
        ("model=smollm", "Did you mean model=smollm2?"),
        ("strategy=zzzz", "Known: few_shot, knn, knn_few_shot, rag, rag_few_shot, zero_shot."),
        ("strategy=", "Known: few_shot, knn, knn_few_shot, rag, rag_few_shot, zero_shot."),
        ("strategy=few_shot,zzzz", "there is no strategy=zzzz. Known: "),
        ("strategy=glob(zz*)", "no option matches strategy=glob(zz*). Known: "),
        ("experiment=choice(table2,null)", "TypeError while evaluating 'choice(table2,null)'"),
        ("hydra/sweeper=zzzz", "Known: basic, cells."),
        ("hydra/launcher=zzzz", "Known: basic, "),
    ],
)
def test_a_message_names_the_nearest_names_and_not_all(word: str, remedy: str) -> None:
    with pytest.raises(InputError) as caught:
        check_words("run", [word])
    said = str(caught.value)
    assert remedy in said
    assert len(said) < 400 and "__pycache__" not in said and "_target_" not in said


def test_a_long_list_of_options_is_cut() -> None:
    with pytest.raises(InputError, match="Known: (n.., ){29}n29 and 20 more") as caught:
        check_option("model", "zzz", [f"n{n:02}" for n in range(50)])
    assert len(str(caught.value)) < 400


def test_missing_packages_are_named_as_users_of_the_package_install_them() -> None:
    with pytest.raises(InputError, match=re.escape("pip install 'clinspan[sweep]'")):
        check_option("hydra/launcher", "submitit_slurm", ["basic"])
    rooms = [room.resolve() for room in (ROOT / "clinspan").iterdir() if room.is_dir()]
    texts = [path.read_text(encoding="utf-8") for room in rooms for path in room.rglob("*.py")]
    assert len(texts) > 200 and not [text for text in texts if re.search(r"pip install (--editable|-e) ", text)]
