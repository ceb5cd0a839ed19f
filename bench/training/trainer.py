"""The one training loop of every method, on Accelerate.

It trains one or several networks side by side on the same batches with a loss that the method supplies, and
yields predictions after each epoch. Everything random comes from named axes: batch order, dropout, head weights.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np
import torch
from accelerate.utils import find_executable_batch_size
from accelerate.utils.memory import should_reduce_batch_size
from torch import nn
from transformers import get_linear_schedule_with_warmup

from bench.core.seeds import named_generator, named_seed
from bench.training import device
from bench.training.batches import epoch_batches, evaluation_batches, sequential_batches
from bench.training.encoders import Classifier, Encoder, Inputs, Output
from bench.training.recipe import Recipe

__all__ = ["Batch", "Epoch", "PerExample", "Recipe", "Trainer"]

Loss = Callable[[Sequence[Output], "Batch"], "torch.Tensor | PerExample"]


class PerExample(NamedTuple):
    """Losses of K terms with weights: the loss of a batch is the sum over k of Σ_i w_ki l_ki / Σ_i w_ki."""

    losses: torch.Tensor  # [K, B]
    weights: torch.Tensor  # [K, B], >= 0


@dataclass
class Batch:
    """What a loss sees of a batch besides the networks' outputs."""

    indices: torch.Tensor  # int64[B], rows of the training split
    targets: dict[str, torch.Tensor]  # the method's own arrays at these rows, each [B, ...]
    networks: Sequence[nn.Module]  # for losses that classify mixed features
    epoch: int  # from 0
    step: int  # from 0, over the whole run
    total_steps: int
    generator: torch.Generator  # CPU, named by the run and the step
    gather: Callable[[torch.Tensor], tuple[torch.Tensor, slice]]
    """All processes' rows of a tensor [B, ...] (no gradient) and the slice of them that is this process's own."""

    @property
    def progress(self) -> float:
        """Share of the run that lies behind, in [0, 1)."""
        return self.step / self.total_steps


@dataclass
class Epoch:
    """The state after an epoch, M networks."""

    number: int  # from 1
    logits: dict[str, np.ndarray]  # split -> float32[M, N, C]
    features: dict[str, np.ndarray]  # split -> float32[M, N, D]; empty unless asked for
    running: np.ndarray  # float32[N_train, C]: mean over networks, as each text was visited; NaN where none was
    loss: float  # mean training loss of the epoch
    networks: Sequence[Classifier]
    seconds: float = 0.0

    def probabilities(self, split: str) -> np.ndarray:
        """float32[M, N, C] softmax of the logits of a split."""
        return softmax(self.logits[split])

    def ensemble(self, split: str) -> np.ndarray:
        """float32[N, C], mean of the networks' probabilities."""
        return self.probabilities(split).mean(0)


def softmax(logits: np.ndarray) -> np.ndarray:
    """Row-wise softmax over the last axis, computed in float64, returned as float32."""
    shifted = logits.astype(np.float64)
    shifted = np.exp(shifted - shifted.max(-1, keepdims=True))
    return (shifted / shifted.sum(-1, keepdims=True)).astype(np.float32)


class _Side(nn.Module):
    """Networks side by side as one module, so that one wrapper serves DDP, clipping and the optimiser."""

    def __init__(self, networks: Sequence[nn.Module]) -> None:
        super().__init__()
        self.networks = nn.ModuleList(networks)

    def forward(self, **inputs: torch.Tensor) -> list[Output]:
        return [network(**inputs) for network in self.networks]


@dataclass
class Trainer:
    """Trains classifiers of one encoder under one recipe; `axes` name the random draws (data, seed)."""

    encoder: Encoder
    recipe: Recipe
    axes: tuple[str | int, ...]
    progress: Callable[[str, int, int], None] = lambda phase, done, total: None
    track: Callable[[dict[str, float], int], None] | None = None  # gets the loss and the rate of every step
    micro_batch: int | None = None  # found by running out of memory; None = the whole batch at once
    parameters: int = 0  # trainable parameters of the networks of the last fit
    notes: list[str] = field(default_factory=list)

    @property
    def accelerator(self):
        """The process's Accelerator in this recipe's precision."""
        return device.accelerator(self.recipe.precision)

    def classifiers(self, count: int, num_classes: int, name: str) -> list[Classifier]:
        """`count` new classifiers: equal pretrained bodies, each its own head."""
        seeds = [named_seed(*self.axes, name, "head", branch) for branch in range(count)]
        generators = [torch.Generator().manual_seed(seed) for seed in seeds]
        return [self.encoder.classifier(num_classes, self.recipe.dropout, generator) for generator in generators]

    def fit(
        self,
        networks: Sequence[Classifier],
        inputs: Mapping[str, Inputs],
        loss: Loss,
        *,
        targets: Mapping[str, np.ndarray],
        name: str,
        epochs: int | None = None,
        rows: np.ndarray | None = None,
        evaluate: Sequence[str] = ("valid", "test"),
        features: bool = False,
        shuffle: bool = True,
        restarts: bool = False,
    ) -> Iterator[Epoch]:
        """Train `networks` in place on `inputs["train"]`; yield an `Epoch` after each pass.

        `targets` are arrays [N_train, ...] that the loss gets at each batch's rows; they are read at every batch,
        so a method may change them in place between epochs. `rows` restricts training to some rows. `evaluate`
        names the splits to predict after each epoch, with features where asked. Two habits of released code that some
        methods reproduce: `shuffle=False` keeps the rows' order, `restarts=True` starts the learning rate's schedule
        anew at each epoch. Raises FloatingPointError when the loss is not finite.
        """
        recipe, accelerator = self.recipe, self.accelerator
        epochs = epochs or recipe.epochs
        rows = np.arange(len(inputs["train"])) if rows is None else np.asarray(rows)
        if not len(rows):
            raise ValueError("no training rows are left")
        lengths = None if inputs["train"].lengths is None else inputs["train"].lengths[rows]
        side = _Side(networks)
        self.parameters = sum(p.numel() for p in side.parameters() if p.requires_grad)
        adam = torch.optim.AdamW if recipe.weight_decay else torch.optim.Adam
        optimiser = adam(
            side.parameters(),
            lr=recipe.learning_rate,
            eps=recipe.adam_epsilon,
            weight_decay=recipe.weight_decay,
            fused=True,
        )
        steps = -(-len(rows) // recipe.batch_size)
        total = steps * epochs
        raw_optimiser = optimiser

        def linear_schedule():
            for group in raw_optimiser.param_groups:
                group["lr"] = recipe.learning_rate
                group.pop("initial_lr", None)
            return get_linear_schedule_with_warmup(raw_optimiser, round(recipe.warmup * total), total)

        schedule = linear_schedule()
        # Precision and device only: gradients are summed over processes in `device.share_gradients`.
        side = accelerator.prepare_model(side, evaluation_mode=True)
        optimiser = accelerator.prepare_optimizer(optimiser)
        plain_side = accelerator.unwrap_model(side)
        classes = networks[0].head.out_features
        try:
            for epoch in range(epochs):
                started = time.perf_counter()
                running = np.zeros((len(inputs["train"]), classes), np.float32)
                if shuffle:
                    draws = named_generator(*self.axes, name, "order", epoch)
                    order = epoch_batches(lengths, len(rows), recipe.batch_size, draws)
                else:
                    order = sequential_batches(len(rows), recipe.batch_size)
                if restarts and epoch:
                    schedule = linear_schedule()
                losses = []
                side.train()
                for within, chosen in enumerate(order):
                    step = epoch * steps + within
                    make = self._batch_maker(inputs["train"], targets, plain_side.networks, name, epoch, step, total)
                    value, seen, probabilities = self._step(side, optimiser, loss, make, rows[chosen])
                    running[seen] = probabilities
                    losses.append(value)
                    accelerator.unscale_gradients(optimiser)  # once a step: fp16's scaler refuses a second time
                    for network in plain_side.networks:
                        nn.utils.clip_grad_norm_(network.parameters(), recipe.clip)
                    optimiser.step()
                    schedule.step()
                    optimiser.zero_grad(set_to_none=True)
                    if self.track is not None:
                        rate = raw_optimiser.param_groups[0]["lr"]
                        self.track({f"{name}/loss": value, f"{name}/learning_rate": rate}, step + 1)
                    self.progress(name, step + 1, total)
                mean = float(np.mean(losses))
                if not np.isfinite(mean):
                    raise FloatingPointError(
                        f"the training loss became {mean} in epoch {epoch + 1}: lower --learning-rate "
                        f"(now {recipe.learning_rate:g})"
                    )
                predicted = {split: self.predict(networks, inputs[split], features=features) for split in evaluate}
                running = device.sum_over_processes(running)
                running[running.sum(1) == 0] = np.nan
                yield Epoch(
                    number=epoch + 1,
                    logits={split: logits for split, (logits, _) in predicted.items()},
                    features={split: z for split, (_, z) in predicted.items() if z is not None},
                    running=running,
                    loss=mean,
                    networks=networks,
                    seconds=time.perf_counter() - started,
                )
        finally:  # also when a method stops early or fails
            raw_optimiser.state.clear()  # its schedule makes it a cycle, which would hold the networks
            raw_optimiser.param_groups.clear()
            device.release(accelerator)

    def predict(
        self, networks: Sequence[Classifier], inputs: Inputs, *, features: bool = False
    ) -> tuple[np.ndarray, np.ndarray | None]:
        """Evaluation-mode logits float32[M, N, C] and, where asked, features float32[M, N, D]."""
        accelerator = self.accelerator
        count, n = len(networks), len(inputs)
        logits = np.zeros((count, n, networks[0].head.out_features), np.float32)
        z = np.zeros((count, n, networks[0].head.in_features), np.float32) if features else None
        for network in networks:
            network.eval().to(accelerator.device)
        batches = evaluation_batches(inputs.lengths, n)[device.rank() :: device.processes()]
        with torch.no_grad(), accelerator.autocast():
            for rows in batches:
                tensors = _to(inputs.batch(rows), accelerator.device)
                for branch, network in enumerate(networks):
                    output = network(**tensors)
                    logits[branch, rows] = output.logits.float().cpu().numpy()
                    if z is not None:
                        z[branch, rows] = output.features.float().cpu().numpy()
        return device.sum_over_processes(logits), None if z is None else device.sum_over_processes(z)

    def _batch_maker(self, inputs, targets, networks, name, epoch, step, total):
        """A function rows -> (input tensors, Batch): micro-batches of one step share everything else.

        With `fresh`, the step's random draws start from their beginning.
        """
        target = self.accelerator.device
        generator = torch.Generator()

        def make(rows: np.ndarray, *, fresh: bool) -> tuple[dict[str, torch.Tensor], Batch]:
            if fresh:
                generator.manual_seed(named_seed(*self.axes, name, "loss", step))
                # Dropout draws from torch's global stream: named at each step, so that no other run shifts it.
                device.seed_global(named_seed(*self.axes, name, "dropout", step, device.rank()))
            batch = Batch(
                indices=torch.from_numpy(rows),
                targets={key: torch.as_tensor(values[rows], device=target) for key, values in targets.items()},
                networks=networks,
                epoch=epoch,
                step=step,
                total_steps=total,
                generator=generator,
                gather=self._gather,
            )
            return _to(inputs.batch(rows), target), batch

        return make

    def _step(self, side, optimiser, loss: Loss, make, rows: np.ndarray) -> tuple[float, np.ndarray, np.ndarray]:
        """Forward and backward of one batch, in smaller micro-batches once memory has run out.

        Each term is normalised within its micro-batch, and micro-batches count by their size, so losses that weigh
        rows equally get the gradient of the whole batch; small-loss selection works within the micro-batch.
        Returns the loss, the rows that this process visited and their probabilities (mean over networks).
        """
        count, rank = device.processes(), device.rank()
        mine = rows[rank::count]
        share = -(-len(rows) // count)  # rows of the process that has most: all of them make equally many passes

        def run(size: int) -> tuple[float, np.ndarray]:
            optimiser.zero_grad(set_to_none=True)
            total, probabilities = 0.0, []
            for start in range(0, share, size):
                piece, say = mine[start : start + size], 1.0
                if not len(piece):  # more processes than rows: repeat one row with no say in the total
                    piece, say = rows[:1], 0.0
                tensors, batch = make(piece, fresh=start == 0)
                with self.accelerator.autocast():
                    outputs = side(**tensors)
                terms = _as_terms(loss(outputs, batch))
                weights = terms.weights * say
                part = len(rows[start * count : (start + size) * count]) / len(rows)  # over all processes
                value = ((weights * terms.losses).sum(1) / self._total_mass(weights)).sum() * part
                self.accelerator.backward(value)
                total += float(value.detach())
                with torch.no_grad():
                    stacked = torch.stack([torch.softmax(output.logits, -1) for output in outputs])
                    probabilities.append(stacked.mean(0).float().cpu().numpy()[: int(say) * len(piece)])
            device.share_gradients(side.parameters())
            return total, np.concatenate(probabilities)

        size = min(self.micro_batch or share, share)
        result = None
        try:
            result = self._said_to_all(run)(size)
        except RuntimeError as error:
            if size == 1 or not should_reduce_batch_size(error):
                raise
        if result is None:  # outside of `except`, whose traceback keeps what the failed pass had allocated
            result = find_executable_batch_size(self._shrunk(run), starting_batch_size=size // 2)()
        value, probabilities = result
        value = float(device.sum_over_processes(np.array([value], np.float32))[0])
        return value, mine, probabilities

    def _said_to_all(self, run):
        """`run`, whose want of memory the other processes are told, so that they repeat the step with this one."""

        def attempt(size: int):
            try:
                return run(size)
            except device.PeerOutOfMemory:
                raise
            except RuntimeError as error:
                if should_reduce_batch_size(error):
                    device.out_of_memory_here()
                raise

        return attempt

    def _shrunk(self, run):
        """`run` that remembers the batch size it went through with."""

        def attempt(batch_size: int):
            result = self._said_to_all(run)(batch_size)
            self.micro_batch = batch_size
            self.notes.append(f"out of memory: micro-batches of {batch_size}, gradients accumulated")
            return result

        return attempt

    def _total_mass(self, weights: torch.Tensor) -> torch.Tensor:
        """Σ_i w_ki over the rows of all processes, [K], at least a tiny number."""
        return device.sum_tensor(weights.detach().sum(1)).clamp_min(1e-12)

    def _gather(self, rows: torch.Tensor) -> tuple[torch.Tensor, slice]:
        rows = rows.detach()
        if device.processes() == 1:
            return rows, slice(0, len(rows))
        parts = device.gather_rows(rows)
        start = sum(map(len, parts[: device.rank()]))
        return torch.cat(parts), slice(start, start + len(rows))


def _as_terms(value: torch.Tensor | PerExample) -> PerExample:
    if isinstance(value, PerExample):
        return value
    losses = value if value.dim() == 2 else value.unsqueeze(0)
    return PerExample(losses, torch.ones_like(losses))


def _to(tensors: dict[str, torch.Tensor], target: torch.device) -> dict[str, torch.Tensor]:
    return {name: tensor.to(target, non_blocking=True) for name, tensor in tensors.items()}
