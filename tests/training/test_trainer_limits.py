"""The training loop at its limits: memory, one text, batch mates, several processes."""

import numpy as np
import pytest
import torch

from bench.core.errors import Unavailable
from bench.training import distributed, loop
from bench.training.encoders import load_encoder
from bench.training.networks import Output
from bench.training.recipe import Recipe
from bench.training.trainer import Trainer
from tests.training.fitting import AXES, CLASSES, fit, trainer, weights


class Scarce(torch.nn.Module):
    """A body that has memory for `limit` texts."""

    def __init__(self, body, limit, error):
        super().__init__()
        self.body, self.limit, self.error = body, limit, error

    def forward(self, features):
        if self.training and len(features) > self.limit:
            raise self.error
        return self.body(features)


@pytest.mark.parametrize(
    "error", [torch.OutOfMemoryError("CUDA out of memory."), RuntimeError("CUDA out of memory. Tried to allocate")]
)
def test_out_of_memory_means_smaller_micro_batches_and_the_same_result(inputs, labels, error):
    results = {}
    for limit in (45, 5):
        run = trainer(batch_size=16)
        networks = run.classifiers(2, CLASSES, "test")
        for network in networks:
            network.body = Scarce(network.body, limit, error)
        epochs = fit(run, networks, inputs, labels)
        results[limit] = (run, [weights(network) for network in networks], epochs)
    (whole, whole_weights, whole_epochs), (pieces, weights_of_pieces, pieces_epochs) = results.values()
    for a, b in zip(whole_weights, weights_of_pieces, strict=True):
        torch.testing.assert_close(a, b, rtol=0, atol=1e-5)
    for a, b in zip(whole_epochs, pieces_epochs, strict=True):
        np.testing.assert_allclose(a.running, b.running, atol=1e-5)
        assert a.loss == pytest.approx(b.loss, rel=1e-5)
    assert (whole.notes, whole.micro_batch) == ([], None)
    assert pieces.micro_batch <= 5
    assert pieces.notes == [
        f"out of memory: going on with micro-batches of {pieces.micro_batch} and accumulated gradients"
    ]


def test_out_of_memory_with_one_text_is_an_error_and_others_pass_through(inputs, labels):
    for limit, error in ((0, torch.OutOfMemoryError("CUDA out of memory.")), (5, RuntimeError("something else"))):
        run = trainer()
        networks = run.classifiers(1, CLASSES, "test")
        networks[0].body = Scarce(networks[0].body, limit, error)
        with pytest.raises(RuntimeError):
            fit(run, networks, inputs, labels)


def test_one_text_and_a_last_batch_of_one_train(inputs, labels):
    run = trainer(batch_size=4)
    epochs = fit(run, run.classifiers(1, CLASSES, "test"), inputs, labels, rows=np.array([7]))
    assert np.isfinite(epochs[-1].logits["test"]).all()


def test_a_prediction_does_not_depend_on_its_batch_mates():
    """Real weights: padding to the longest text of a batch changes nothing beyond rounding."""
    try:
        encoder = load_encoder("minilm")
    except Unavailable as error:
        pytest.skip(str(error))
    lines = ["good film", "a day of rain " * 12, "it was the best of times, it was the worst of times", "no"]
    run = Trainer(encoder, Recipe(), AXES)
    networks = run.classifiers(1, CLASSES, "test")
    together, z = run.predict(networks, encoder.inputs(encoder.tokenise(lines)), features=True)
    for row, line in enumerate(lines):
        alone, z_alone = run.predict(networks, encoder.inputs(encoder.tokenise([line])), features=True)
        np.testing.assert_allclose(alone[0, 0], together[0, row], atol=1e-5)
        np.testing.assert_allclose(z_alone[0, 0], z[0, row], atol=1e-5)


def test_progress_and_parameters_are_told(inputs, labels):
    told = []
    run = trainer(epochs=2, batch_size=20)
    run.progress = lambda *at: told.append(at)
    networks = run.classifiers(2, CLASSES, "test")
    fit(run, networks, inputs, labels)
    assert told == [("test", step, 6) for step in range(1, 7)]
    assert run.parameters == sum(p.numel() for network in networks for p in network.parameters())
    assert isinstance(networks[0](**inputs["test"].batch(np.arange(2))), Output)


def test_a_process_without_rows_of_its_own_does_not_count_another_s_row_again(monkeypatch):
    """It repeats one so as to take part in the pass: among small losses, its copy must not take the row's place."""
    first = torch.tensor([0.9, 0.4])
    monkeypatch.setattr(distributed, "processes", lambda: 2)
    monkeypatch.setattr(distributed, "rank", lambda: 1)
    monkeypatch.setattr(distributed, "gather_rows", lambda rows: [first, rows])
    everywhere, mine = loop.gather(torch.tensor([0.1]))
    assert (everywhere.tolist(), everywhere[mine].tolist()) == (pytest.approx([0.9, 0.4, 0.1]), pytest.approx([0.1]))
    everywhere, mine = loop.gather(torch.tensor([0.1]), idle=True)
    assert (everywhere.tolist(), len(everywhere[mine])) == (pytest.approx([0.9, 0.4]), 1)
