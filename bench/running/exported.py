"""An exported model: what `bench export` writes, and how it is loaded and used again. Nothing is unpickled."""

from __future__ import annotations

import functools
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from pydantic import BaseModel, ConfigDict, Field, ValidationError
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file

from bench.core.errors import UsageError, first_problem
from bench.core.files import write_atomically
from bench.training.batch import softmax
from bench.training.encoders import Encoder, load_encoder
from bench.training.find_encoder import split_mode
from bench.training.inputs import Inputs
from bench.training.networks import Classifier
from bench.training.recipe import Recipe
from bench.training.trainer import Trainer
from methods.calibration import apply_temperature
from methods.dirichlet_vae import Correction, DirichletVAE

FACTS, WEIGHTS, HEADS, CORRECTION = "bench.json", "networks.safetensors", "heads.safetensors", "correction.safetensors"
STOCK = {
    "bert": ("bert.pooler.dense", "classifier"),
    **dict.fromkeys(("roberta", "xlm-roberta", "camembert", "mpnet"), ("classifier.dense", "classifier.out_proj")),
}
"""Architectures of transformers whose classifier computes what ours does ([CLS], dense, tanh, linear): model type ->
names of its two layers."""


class Facts(BaseModel):
    """What an export consists of, in `bench.json`."""

    model_config = ConfigDict(extra="forbid")

    format: Literal["noisy-label-bench model"] = "noisy-label-bench model"
    version: Literal[1] = 1
    kind: Literal["transformers", "networks", "heads"]
    """A model of transformers; networks of ours, fine-tuned; heads of ours on sentence embeddings."""
    label_names: list[str]
    encoder: str  # name, or folder, of the pretrained encoder
    encoder_revision: str
    pooling: Literal["cls", "mean"]
    max_length: int  # tokens at which texts are cut
    scaling: str | None = None  # of heads: what is done to a sentence embedding
    networks: int = Field(1, ge=1)  # their mean predicts; with branches M, those after every epoch, M at a time
    branches: int | None = Field(None, ge=1)  # of npc and dygen: M networks, corrected by the VAE in `CORRECTION`
    temperature: float | None = None  # of the mean's log-probabilities
    precision: Literal["no", "bf16", "fp16"] = "no"
    cell: str = ""  # hash of the cell
    method: str = ""


SCALING = "unit length, then times the square root of its width"


@dataclass
class Exported:
    """A model that was exported from a cell. Make it with `load_exported`.

    Attributes
    ----------
    facts : Facts
        What its folder says of it: classes, encoder, method, the cell that it comes from.
    encoder : Encoder
        The pretrained encoder that its networks are made on.
    networks : sequence of Classifier
        Their mean is the prediction.
    correction : Correction or None
        Of npc and dygen: what corrects the networks' probabilities.
    """

    facts: Facts
    encoder: Encoder
    networks: Sequence[Classifier]
    correction: Correction | None = None

    @property
    def label_names(self) -> tuple[str, ...]:
        """The classes, in the order of the columns of `predict`."""
        return tuple(self.facts.label_names)

    @functools.cached_property
    def _trainer(self) -> Trainer:
        return Trainer(self.encoder, Recipe(precision=self.facts.precision), ())

    def predict(self, texts: Sequence[str]) -> np.ndarray:
        """Class probabilities of texts.

        Parameters
        ----------
        texts
            N texts of any content and length; long ones are cut as in training.

        Returns
        -------
        ndarray
            float32[N, C], rows sum to 1.
        """
        if not len(texts):
            return np.zeros((0, len(self.label_names)), np.float32)
        frozen = self.encoder.mode == "frozen"
        arrays = {"embeddings": self.encoder.embed(texts)} if frozen else self.encoder.tokenise(texts)
        inputs = self.encoder.inputs(arrays)
        return predicted(self._trainer, self.networks, inputs, self.correction, self.facts.temperature)


def predicted(
    trainer: Trainer,
    networks: Sequence[Classifier],
    inputs: Inputs,
    correction: Correction | None,
    temperature: float | None,
) -> np.ndarray:
    """float32[N, C]: the mean of the networks' probabilities, or the last ones' corrected; with a temperature."""
    logits, features = trainer.predict(networks, inputs, features=correction is not None)
    if correction is None or features is None:
        found = softmax(logits).mean(0)
    else:
        found = correction.predict(features, softmax(logits[-len(correction.shift) :]))
    return found if temperature is None else apply_temperature(found, temperature)


def save_exported(
    facts: Facts,
    encoder: Encoder,
    networks: Sequence[Classifier],
    folder: Path,
    correction: Correction | None = None,
) -> Facts:
    """Write a model into an empty folder; returns the facts as written, whose kind says in which form.

    A single network that a stock architecture of transformers can compute becomes one of these; not where a temperature
    would be rounded into weights of less precision. Raises OSError.
    """
    stock = facts.kind == "networks" and len(networks) == 1 and (facts.temperature is None or facts.precision == "no")
    model = stock_model(facts, networks[0]) if stock else None
    if model is not None:
        facts = facts.model_copy(update={"kind": "transformers", "temperature": None})
        model.save_pretrained(folder)
    else:
        name = HEADS if facts.kind == "heads" else WEIGHTS
        tensors = {f"{at}.{key}": value for at, net in enumerate(networks) for key, value in net.state_dict().items()}
        save_file({key: value.detach().cpu().contiguous() for key, value in tensors.items()}, folder / name)
        if facts.kind == "networks":
            networks[0].body.model.config.save_pretrained(folder)  # type: ignore[union-attr, operator]
    if correction is not None:
        own = {**correction.vae.state_dict(), "shift": correction.shift, "scale": correction.scale}
        save_file({key: value.detach().cpu().contiguous() for key, value in own.items()}, folder / CORRECTION)
    if facts.kind != "heads":
        encoder.tokenizer.model_max_length = encoder.longest
        encoder.tokenizer.save_pretrained(folder)
    for path in folder.iterdir():
        path.chmod(0o644)
    write_atomically(folder / FACTS, facts.model_dump_json(indent=1).encode())
    write_atomically(folder / "README.md", readme(facts).encode())
    return facts


def stock_model(facts: Facts, network: Classifier) -> Any:
    """The network as a sequence classifier of transformers; None where no architecture is found to compute the same."""
    from transformers import AutoModelForSequenceClassification

    body: Any = network.body.model
    if facts.pooling != "cls" or body.config.model_type not in STOCK:
        return None
    names = dict(enumerate(facts.label_names))
    config = type(body.config).from_dict(body.config.to_dict())
    config.id2label, config.label2id = names, {name: at for at, name in names.items()}
    config.problem_type = "single_label_classification"
    model = AutoModelForSequenceClassification.from_config(config).eval()
    model.base_model.load_state_dict(body.state_dict(), strict=False)
    dense, out = (model.get_submodule(name) for name in STOCK[config.model_type])
    dense.load_state_dict(network.pooler.state_dict())
    temperature = facts.temperature or 1.0
    out.load_state_dict({key: value / temperature for key, value in network.head.state_dict().items()})
    ids = torch.randint(config.vocab_size, (4, 8), generator=torch.Generator().manual_seed(0))
    mask = (torch.arange(8) < torch.tensor([[8], [6], [3], [1]])).long()
    network = network.cpu().eval()
    with torch.no_grad():
        ours = network(input_ids=ids, attention_mask=mask).logits / temperature
        theirs = model(input_ids=ids, attention_mask=mask).logits
    return model if torch.allclose(ours, theirs, atol=1e-4) else None


def load_exported(folder: str | Path, encoder: str | None = None) -> Exported:
    """A model that `bench export` wrote.

    Parameters
    ----------
    folder
        The folder.
    encoder
        Where the pretrained encoder lies, if that is another place than where it lay at the export: a name or folder.
        Only heads on a frozen encoder need it; a fine-tuned model holds its own.

    Returns
    -------
    Exported
        Its `predict(texts)` gives class probabilities float32[N, C], its `label_names` the classes.

    Raises
    ------
    UsageError
        For a folder that is not an export, or is damaged; for another revision of the encoder.
    Unavailable
        Where the encoder is not here; the message says how to get it.
    """
    folder = Path(folder)
    facts = _facts(folder)
    if facts.kind == "heads":
        found = load_encoder(f"{split_mode(encoder or facts.encoder)[0]}:frozen", facts.max_length)
        if found.revision != facts.encoder_revision:
            raise UsageError(
                f"'{folder}' was exported with revision {facts.encoder_revision} of encoder {facts.encoder}, here is "
                f"{found.revision}: name the folder of the right one with --encoder (encoder= in Python)"
            )
    else:
        found = Encoder(str(folder), "fine-tuned", str(folder), "", facts.pooling, facts.max_length)
    try:
        return Exported(facts, found, _networks(folder, facts, found), _correction(folder, facts))
    except (OSError, SafetensorError, RuntimeError, KeyError, ValueError) as error:
        raise UsageError(
            f"'{folder}' is damaged: {str(error).strip().partition(chr(10))[0]}: export it again"
        ) from None


def _facts(folder: Path) -> Facts:
    try:
        return Facts.model_validate(json.loads((folder / FACTS).read_bytes()))
    except OSError:
        raise UsageError(
            f"'{folder}' is not an exported model: it has no {FACTS}; make one with `bench export`"
        ) from None
    except ValidationError as error:
        raise UsageError(f"{folder / FACTS}: {first_problem(error)}") from None
    except (ValueError, RecursionError) as error:
        raise UsageError(f"{folder / FACTS} is not JSON: {error}") from None


def _networks(folder: Path, facts: Facts, encoder: Encoder) -> list[Classifier]:
    from transformers import AutoConfig, AutoModel, AutoModelForSequenceClassification

    classes, draws = len(facts.label_names), torch.Generator()
    if facts.kind == "transformers":
        model: Any = AutoModelForSequenceClassification.from_pretrained(
            folder, use_safetensors=True, dtype=torch.float32, local_files_only=True, trust_remote_code=False
        )
        encoder.model = model.base_model.eval()
        network = encoder.classifier(classes, 0.0, draws)
        dense, out = (model.get_submodule(name) for name in STOCK[model.config.model_type])
        network.pooler.load_state_dict(dense.state_dict())
        network.head.load_state_dict(out.state_dict())
        return [network]
    if facts.kind == "networks":
        config = AutoConfig.from_pretrained(folder, local_files_only=True, trust_remote_code=False)
        encoder.model = AutoModel.from_config(config, trust_remote_code=False).eval()
    tensors = load_file(folder / (HEADS if facts.kind == "heads" else WEIGHTS))
    networks = [encoder.classifier(classes, 0.0, draws) for _ in range(facts.networks)]
    for at, network in enumerate(networks):
        prefix = f"{at}."
        own = {key.removeprefix(prefix): value for key, value in tensors.items() if key.startswith(prefix)}
        network.load_state_dict(own)
    return networks


def _correction(folder: Path, facts: Facts) -> Correction | None:
    if facts.branches is None:
        return None
    own = load_file(folder / CORRECTION)
    shift, scale = own.pop("shift"), own.pop("scale")
    width = own["features"].shape[-1]
    if shift.shape != scale.shape or shift.shape[:2] != (facts.branches, facts.networks // facts.branches):
        raise ValueError(f"{CORRECTION} is not of {facts.networks} networks, {facts.branches} at a time")
    if shift.shape[1:].numel() != width:
        raise ValueError(f"{CORRECTION} is of {width} features, and standardises {shift.shape[1:].numel()}")
    vae = DirichletVAE(facts.branches, width, len(facts.label_names), torch.Generator())
    vae.load_state_dict(own)
    return Correction(vae, shift, scale)


def readme(facts: Facts) -> str:
    """How the folder is used, for its next reader."""
    ours = "`bench predict THIS_FOLDER new.csv --out predictions.csv`, or in Python\n\n"
    ours += "    import bench\n    model = bench.load_exported('THIS_FOLDER')\n    model.predict(['a text'])\n"
    if facts.kind != "transformers":
        return f"A text classifier of noisy-label-bench. Use it with {ours}"
    stock = "    from transformers import pipeline\n"
    stock += "    classify = pipeline('text-classification', 'THIS_FOLDER')\n"
    stock += f"    classify(['a text'], truncation=True, max_length={facts.max_length})"
    return f"A text classifier of noisy-label-bench, in the format of transformers:\n\n{stock}\n\nor with {ours}"
