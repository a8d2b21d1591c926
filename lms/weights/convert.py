"""`python -m clinspan.lms.weights.convert MODEL FOLDER`: saves a model with pickled weights as safetensors.

Pickled weights are loaded with torch's restricted loader, which builds tensors and calls nothing else.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

from clinspan.lms.errors import ModelError
from clinspan.lms.weights.find import has_head


def convert(place: str, folder: Path) -> None:
    """Load a model and its tokenizer and save them into a new folder.

    Args:
        place: A folder, or a repository id on the Hugging Face hub.
        folder: Where to save; it must not exist.

    Raises:
        ModelError: The model cannot be loaded, or the folder exists.
    """
    from transformers import AutoModel, AutoModelForCausalLM, AutoModelForTokenClassification, AutoTokenizer

    if folder.exists():
        raise ModelError(f"{folder} is there already: name a new folder")
    kinds: list[Any] = [AutoModelForTokenClassification] if has_head(Path(place)) else [AutoModelForCausalLM, AutoModel]
    problem = ""
    for kind in kinds:
        try:
            model = kind.from_pretrained(place, use_safetensors=False, weights_only=True, trust_remote_code=False)
        except (OSError, ValueError, KeyError, RuntimeError) as error:
            problem = problem or (str(error).strip().splitlines() or [type(error).__name__])[0][:200]
            continue
        model.save_pretrained(folder)
        AutoTokenizer.from_pretrained(place).save_pretrained(folder)
        return
    raise ModelError(f"{place} cannot be loaded ({problem})")


def main() -> None:
    """Convert the model that the command line names."""
    if len(sys.argv) != 3:
        print("usage: python -m clinspan.lms.weights.convert MODEL FOLDER", file=sys.stderr)
        sys.exit(2)
    try:
        convert(sys.argv[1], Path(sys.argv[2]))
    except ModelError as error:
        print(f"clinspan: {error}", file=sys.stderr)
        sys.exit(2)
    print(f"model.path={sys.argv[2]}")


if __name__ == "__main__":
    main()
