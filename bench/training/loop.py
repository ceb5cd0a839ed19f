"""One run of the training loop: networks side by side, their optimiser, schedule and order of batches."""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np
import torch
from accelerate.utils import find_executable_batch_size
from accelerate.utils.memory import should_reduce_batch_size
from torch import nn
from transformers import get_linear_schedule_with_warmup

from bench.core.errors import BenchError
from bench.core.seeds import named_generator, named_seed
from bench.training import device, distributed
from bench.training.batch import Batch, Loss, PerExample
from bench.training.batches import epoch_batches, sequential_batches
from bench.training.inputs import Inputs
from bench.training.networks import Classifier

if TYPE_CHECKING:
    from bench.training.trainer import Trainer

MakeBatch = Callable[..., tuple[dict[str, torch.Tensor], Batch]]


class Fit:
    """The state of one `Trainer.fit`; its arguments are described there."""

    def __init__(
        self,
        trainer: Trainer,
        networks: Sequence[Classifier],
        inputs: Inputs,
        loss: Loss,
        targets: Mapping[str, np.ndarray],
        rows: np.ndarray,
        *,
        name: str,
        epochs: int,
        shuffle: bool,
        restarts: bool,
    ) -> None:
        self.trainer, self.inputs, self.loss, self.targets, self.rows = trainer, inputs, loss, targets, rows
        self.name, self.shuffle, self.restarts = name, shuffle, restarts
        self.recipe, self.accelerator = trainer.recipe, trainer.accelerator
        self.classes = networks[0].head.out_features
        self.lengths = None if inputs.lengths is None else inputs.lengths[rows]
        self.steps = -(-len(rows) // self.recipe.batch_size)  # per epoch
        self.total = self.steps * epochs
        self.networks, self.side = networks, nn.ModuleList(networks)
        trainer.parameters = sum(p.numel() for p in self.side.parameters() if p.requires_grad)
        adam = torch.optim.AdamW if self.recipe.weight_decay else torch.optim.Adam
        self.optimiser = adam(
            self.side.parameters(),
            lr=self.recipe.learning_rate,
            eps=self.recipe.adam_epsilon,
            weight_decay=self.recipe.weight_decay,
            fused=True,
        )
        self.schedule = self._linear_schedule()
        # Not Accelerate's `prepare_model`: in mixed precision it makes a cycle, which holds the networks after the fit.
        self.side.to(self.accelerator.device)
        # Torch's own, one per fit: Accelerate keeps one for all, whose scale would tell what ran before, and looks for
        # packages at every step, which is a fifth of a small one. Not enabled, it does nothing.
        kind = self.accelerator.device.type
        self.scaler = torch.amp.GradScaler(kind, enabled=self.recipe.precision == "fp16")

    def close(self) -> None:
        """Let go of the networks: the schedule makes the optimiser a cycle, which would hold them."""
        self.optimiser.state.clear()
        self.optimiser.param_groups.clear()
        device.give_memory_back()

    def epoch(self, number: int) -> tuple[float, np.ndarray]:
        """One pass over the rows, `number` from 0: the mean training loss, and `running` float32[N_train, C].

        That is the mean of the networks' probabilities as this process visited each text; 0 for rows that it did not.
        Raises FloatingPointError when the loss is not finite.
        """
        running = np.zeros((len(self.inputs), self.classes), np.float32)
        if self.restarts and number:
            self.schedule = self._linear_schedule()
        losses = []
        self.side.train()
        for within, chosen in enumerate(self._order(number)):
            value, seen, probabilities = self._step(number, number * self.steps + within, self.rows[chosen])
            running[seen] = probabilities
            losses.append(value)
        mean = float(np.mean(losses))
        if not np.isfinite(mean):
            raise FloatingPointError(
                f"the training loss became {mean} in epoch {number + 1}: lower --learning-rate "
                f"(now {self.recipe.learning_rate:g})"
            )
        return mean, running

    def _linear_schedule(self) -> torch.optim.lr_scheduler.LambdaLR:
        for group in self.optimiser.param_groups:
            group["lr"] = self.recipe.learning_rate
            group.pop("initial_lr", None)
        return get_linear_schedule_with_warmup(self.optimiser, round(self.recipe.warmup * self.total), self.total)

    def _order(self, epoch: int) -> list[np.ndarray]:
        if not self.shuffle:
            return sequential_batches(len(self.rows), self.recipe.batch_size)
        draws = named_generator(*self.trainer.axes, self.name, "order", epoch)
        return epoch_batches(self.lengths, len(self.rows), self.recipe.batch_size, draws)

    def _step(self, epoch: int, step: int, rows: np.ndarray) -> tuple[float, np.ndarray, np.ndarray]:
        """One optimiser step: the loss, the rows that this process visited and their probabilities."""
        value, seen, probabilities = self._gradients(self._batch_maker(epoch, step), rows)
        self.scaler.unscale_(self.optimiser)  # once per step: it refuses a second time
        for network in self.networks:
            nn.utils.clip_grad_norm_(network.parameters(), self.recipe.clip)
        self.scaler.step(self.optimiser)
        self.scaler.update()
        self.schedule.step()
        self.optimiser.zero_grad(set_to_none=True)
        if self.trainer.track is not None:
            rate = self.optimiser.param_groups[0]["lr"]
            self.trainer.track({f"{self.name}/loss": value, f"{self.name}/learning_rate": rate}, step + 1)
        self.trainer.progress(self.name, step + 1, self.total)
        return value, seen, probabilities

    def _batch_maker(self, epoch: int, step: int) -> MakeBatch:
        """A function rows -> (input tensors, Batch): micro-batches of one step share everything else.

        With `fresh`, the step's random draws start from their beginning; with `idle`, the rows are not this process's.
        """
        target = self.accelerator.device
        generator = torch.Generator()

        def make(rows: np.ndarray, *, fresh: bool, idle: bool) -> tuple[dict[str, torch.Tensor], Batch]:
            if fresh:
                axes = self.trainer.axes
                generator.manual_seed(named_seed(*axes, self.name, "loss", step))
                # Dropout draws from torch's global stream: named at each step, so that no other run shifts it.
                device.seed_global(named_seed(*axes, self.name, "dropout", step, distributed.rank()))
            batch = Batch(
                indices=torch.from_numpy(rows),
                targets={key: torch.as_tensor(values[rows], device=target) for key, values in self.targets.items()},
                networks=self.networks,
                epoch=epoch,
                step=step,
                total_steps=self.total,
                generator=generator,
                gather=functools.partial(gather, idle=idle),
            )
            return to_device(self.inputs.batch(rows), target), batch

        return make

    def _gradients(self, make: MakeBatch, rows: np.ndarray) -> tuple[float, np.ndarray, np.ndarray]:
        """Forward and backward of one batch, in smaller micro-batches once memory has run out.

        Each term is normalised within its micro-batch, and micro-batches count by their size, so losses that weigh
        rows equally get the gradient of the whole batch; small-loss selection works within the micro-batch.
        Returns the loss, the rows that this process visited and their probabilities (mean over networks).
        """
        count = distributed.processes()
        mine = rows[distributed.rank() :: count]
        share = -(-len(rows) // count)  # rows of the process that has most: all of them make equally many passes

        def run(size: int) -> tuple[float, np.ndarray]:
            self.optimiser.zero_grad(set_to_none=True)
            total, probabilities = 0.0, []
            for start in range(0, share, size):
                piece, say = mine[start : start + size], 1.0
                if not len(piece):  # more processes than rows: repeat one row with no say in the total
                    piece, say = rows[:1], 0.0
                tensors, batch = make(piece, fresh=start == 0, idle=not say)
                with self.accelerator.autocast():
                    outputs = [network(**tensors) for network in self.networks]
                terms = _as_terms(self.loss(outputs, batch), len(piece))
                weights = terms.weights * say
                part = len(rows[start * count : (start + size) * count]) / len(rows)  # over all processes
                mass = distributed.sum_tensor(weights.detach().sum(1)).clamp_min(1e-12)  # [K], over all processes
                value = ((weights * terms.losses).sum(1) / mass).sum() * part
                self.scaler.scale(value).backward()
                total += float(value.detach())
                with torch.no_grad():
                    stacked = torch.stack([torch.softmax(output.logits, -1) for output in outputs])
                    probabilities.append(stacked.mean(0).float().cpu().numpy()[: int(say) * len(piece)])
            distributed.share_gradients(self.side.parameters())
            return total, np.concatenate(probabilities)

        value, probabilities = self._within_memory(run, min(self.trainer.micro_batch or share, share))
        value = float(distributed.sum_over_processes(np.array([value], np.float32))[0])
        return value, mine, probabilities

    def _within_memory(self, run: Callable[[int], tuple[float, np.ndarray]], size: int) -> tuple[float, np.ndarray]:
        """`run(size)`, and again with ever smaller micro-batches where memory runs out."""

        def attempt(size: int) -> tuple[float, np.ndarray]:
            """`run`, whose want of memory the other processes are told, so that they repeat the step with this one."""
            try:
                return run(size)
            except distributed.PeerOutOfMemory:
                raise
            except RuntimeError as error:
                if should_reduce_batch_size(error):
                    distributed.out_of_memory_here()
                raise

        def shrunk(batch_size: int) -> tuple[float, np.ndarray]:
            result = attempt(batch_size)
            self.trainer.micro_batch = batch_size
            self.trainer.notes.append(
                f"out of memory: going on with micro-batches of {batch_size} and accumulated gradients"
            )
            return result

        try:
            return attempt(size)
        except RuntimeError as error:
            if size == 1 or not should_reduce_batch_size(error):
                raise
        # outside of `except`, whose traceback keeps what the failed pass had allocated
        return find_executable_batch_size(shrunk, starting_batch_size=size // 2)()


def gather(rows: torch.Tensor, *, idle: bool = False) -> tuple[torch.Tensor, slice]:
    """All processes' rows of a tensor [B, ...] without gradient, and the slice of them that is this process's own.

    The rows of an `idle` process are another's: they do not count again, and its slice is as many of the others' rows.
    """
    rows = rows.detach()
    if distributed.processes() == 1:
        return rows, slice(0, len(rows))
    parts = distributed.gather_rows(rows[: 0 if idle else len(rows)])
    start = 0 if idle else sum(map(len, parts[: distributed.rank()]))
    return torch.cat(parts), slice(start, start + len(rows))


def to_device(tensors: dict[str, torch.Tensor], target: torch.device) -> dict[str, torch.Tensor]:
    """Tensors by name on a device."""
    return {name: tensor.to(target, non_blocking=True) for name, tensor in tensors.items()}


def _as_terms(value: torch.Tensor | PerExample, rows: int) -> PerExample:
    """What a loss returned of so many rows, as terms. Raises BenchError where it is not a value per row.

    A tensor [n] of fewer values is of rows that the loss selected.
    """
    if isinstance(value, PerExample):
        shapes = [tuple(part.shape) if isinstance(part, torch.Tensor) else None for part in value]
        if shapes[0] != shapes[1] or shapes[0] is None or len(shapes[0]) != 2 or shapes[0][1] != rows:
            raise BenchError(
                f"a loss returned PerExample of shapes {shapes[0]} and {shapes[1]} for a batch of {rows} rows: losses "
                f"and weights must both be of shape (terms, {rows})"
            )
        return value
    shape = tuple(value.shape) if isinstance(value, torch.Tensor) else ()
    if not ((len(shape) == 1 and shape[0] <= rows) or (len(shape) == 2 and shape[1] == rows)):
        what = f"a tensor of shape {shape}" if isinstance(value, torch.Tensor) else type(value).__name__
        raise BenchError(
            f"a loss returned {what} for a batch of {rows} rows: it must return one value per row, of shape ({rows},) "
            f"or (terms, {rows}), not their mean or sum (in torch's own losses: reduction='none'); to leave rows out, "
            "return PerExample(losses, weights)"
        )
    losses = value if value.dim() == 2 else value.unsqueeze(0)
    return PerExample(losses, torch.ones_like(losses))
