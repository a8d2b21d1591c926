"""Specifications of models whose weights are loaded on this machine."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar, get_args, Literal

from clinspan.lms.errors import ModelError
from clinspan.lms.templates import TEMPLATES

Quantization = Literal["4bit", "8bit"]
LocalEngineName = Literal["packed", "generate"]
DeviceMap = Literal["auto", "balanced", "balanced_low_0", "sequential"]
Dtype = Literal["auto", "float32", "bfloat16", "float16"]
_TOGETHER = 4


@dataclass(frozen=True, kw_only=True)
class Loadable:
    """A model whose weights are loaded on this machine.

    Attributes:
        name: The model's name in tables.
        hub_id: Its repository on the Hugging Face hub.
        revision: The commit of that repository.
        path: A folder with the model, or a GGUF file; it takes precedence over everything else.
        adapter: A folder with a LoRA adapter of the model, as `programs.finetune` or peft saves it.
        package: `distribution==version` of a package that contains the weights, or `module:folder` of an installed one.
        device: `auto` (CUDA if there is one, else Apple's `mps`, else `cpu`), `cpu`, `mps`, `cuda`, `cuda:1`, ...
        batch_size: Number of answers that are decoded at once, or of sentences that are read together.
    """

    task: ClassVar[str]
    name: str
    hub_id: str | None = None
    revision: str | None = None
    path: str | None = None
    adapter: str | None = None
    package: str | None = None
    device: str = "auto"
    batch_size: int = 16

    @property
    def price(self) -> None:
        return None


@dataclass(frozen=True, kw_only=True)
class LocalModel(Loadable):
    """A causal language model that runs on this machine, with transformers.

    Attributes:
        template: `chat`, `plain`, `alpaca`, `universalner`, or `auto`: the tokenizer's chat template, else `plain`.
        chat_options: Further arguments of the chat template, such as `enable_thinking: false` of Qwen 3.
        engine: `packed` (`lms.local.engine`), or `generate`: transformers' own generation (`lms.local.generate_engine`), which is
            slower and computes any architecture. Without ties between tokens, both give the same answers.
        dtype: `auto`, `float32`, `bfloat16` or `float16`; `lms.weights.placement.dtype_of` says what `auto` is.
        device_map: How transformers spreads the layers over several GPUs: `auto`, `balanced`, `balanced_low_0` or `sequential`.
            Layers that GPUs have no memory for are put into the CPU's memory, and then on the disk. Null: one device.
        quantization: `4bit` or `8bit` by bitsandbytes on CUDA, or null.
        stop: Strings at which an answer without a grammar ends, in addition to the template's own.
        share_prefix: Whether to compute the common prefix of prompts only once; of no effect with `engine=generate`.
        states_gib: Memory for the KV cache in GiB: half for shared prefixes, half for the rows of a batch.
    """

    task: ClassVar[str] = "CAUSAL_LM"
    name: str = ""
    template: str = "chat"
    chat_options: Mapping[str, Any] = field(default_factory=dict)
    engine: LocalEngineName = "packed"
    dtype: Dtype = "auto"
    device_map: DeviceMap | None = None
    quantization: Quantization | None = None
    stop: tuple[str, ...] | list[str] = ()
    share_prefix: bool = True
    states_gib: float = 1.5

    def __post_init__(self) -> None:
        if self.template not in ("auto", *TEMPLATES):
            raise ModelError(f"model.template={self.template} is not known: use auto or one of {', '.join(TEMPLATES)}")
        if not self.name:
            if not (self.hub_id or self.path or self.package):
                raise ModelError("model=hf needs model.hub_id=ORG/NAME, or model.path=FOLDER or FILE.gguf")
            object.__setattr__(self, "name", Path(str(self.path or self.hub_id or self.package)).stem)
        if self.engine not in get_args(LocalEngineName):
            raise ModelError(f"model.engine={self.engine} is not known: use {' or '.join(get_args(LocalEngineName))}")
        if self.dtype not in get_args(Dtype):
            raise ModelError(f"model.dtype={self.dtype} is not known: use {_listed(Dtype)}")
        self._check_device_map()
        if self.quantization not in (None, "4bit", "8bit"):
            raise ModelError(f"model.quantization={self.quantization} is not known: use 4bit, 8bit or null")
        if self.batch_size < 1 or self.states_gib <= 0:
            raise ModelError("model.batch_size must be at least 1 and model.states_gib positive")

    def _check_device_map(self) -> None:
        if self.device_map not in (None, *get_args(DeviceMap)):
            raise ModelError(f"model.device_map={self.device_map} is not known: use {', '.join(get_args(DeviceMap))} or null")
        if self.device_map is not None and self.device != "auto":
            raise ModelError(f"model.device_map={self.device_map} chooses devices by itself: leave model.device={self.device} out")

    @property
    def concurrency(self) -> int:
        """Number of requests taken together: more than `batch_size`, so that a finished row gets the next request."""
        return self.batch_size * _TOGETHER

    @property
    def endpoints(self) -> tuple[str, ...]:
        """Empty: a local model sends nothing anywhere."""
        return ()

    @property
    def remote_host(self) -> None:
        return None


@dataclass(frozen=True, kw_only=True)
class ClassifierModel(Loadable):
    """A model that gives every word a class, without a prompt: an encoder, or a decoder that reads in both directions.

    Its adapter contains the head too. Without `path`, `hub_id` and `package`, the adapter's tuning note names the base model.
    """

    task: ClassVar[str] = "TOKEN_CLS"
    batch_size: int = 32

    def __post_init__(self) -> None:
        if self.batch_size < 1:
            raise ModelError("model.batch_size must be at least 1")


def _listed(names: Any) -> str:
    *most, last = get_args(names)
    return f"{', '.join(most)} or {last}"
