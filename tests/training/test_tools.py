"""What a method is lent: draws named by data, seed and axes, never by the method."""

import numpy as np
import pytest
import torch
from scipy.stats import chisquare

from bench.core.seeds import named_seed
from bench.training.recipe import Recipe
from bench.training.stages import StageStore
from bench.training.tools import Tools
from bench.training.toy import ToyEncoder
from methods import base


def cell_tools(seed=1, axes=("trec", "sn@0.3"), **changes):
    encoder = ToyEncoder()
    return Tools(encoder, encoder, Recipe(), StageStore(None), seed, axes, **changes)


def test_the_tools_are_what_methods_know_them_as():
    tools = cell_tools()
    assert isinstance(tools, base.Tools)
    for name in ("trainer", "encoder", "sentence_encoder", "stages", "recipe", "seed", "axes", "oracle_noise_rate"):
        assert hasattr(tools, name)
    for name in ("generator", "torch_generator", "fill", "progress"):
        assert callable(getattr(tools, name))


def test_equal_axes_give_equal_draws_and_any_other_axis_gives_others():
    first = cell_tools().generator("folds", 1).random(4)
    np.testing.assert_array_equal(cell_tools().generator("folds", 1).random(4), first)
    others = [
        cell_tools().generator("folds", 2),
        cell_tools().generator("fold", 1),
        cell_tools(seed=2).generator("folds", 1),
        cell_tools(axes=("trec", "weak")).generator("folds", 1),
        cell_tools(axes=("semeval", "sn@0.3")).generator("folds", 1),
    ]
    assert not any(np.array_equal(other.random(4), first) for other in others)


def test_a_torch_generator_is_seeded_by_the_same_name_and_leaves_the_global_stream_alone():
    torch.manual_seed(0)
    expected_global = torch.rand(1)
    torch.manual_seed(0)
    drawn = torch.rand(3, generator=cell_tools().torch_generator("noise"))
    assert torch.equal(torch.rand(1), expected_global)
    seed = named_seed("trec", "sn@0.3", 1, "noise")
    assert torch.equal(drawn, torch.rand(3, generator=torch.Generator().manual_seed(seed)))
    assert drawn.device.type == "cpu"


@pytest.mark.parametrize("labels", [[0, -1, 2, -1], [-1, -1, -1, -1], [1, 1, 1, 1], []])
def test_filling_replaces_refusals_alone(labels):
    labels = np.array(labels, np.int64)
    filled = cell_tools().fill(labels, "train", 3)
    assert filled.dtype == np.int64
    np.testing.assert_array_equal(filled[labels >= 0], labels[labels >= 0])
    assert ((filled >= 0) & (filled < 3)).all()


def test_a_refusals_class_is_uniform_and_does_not_hang_on_the_other_answers():
    refused = np.full(10_000, -1)
    filled = cell_tools().fill(refused, "train", 5)
    assert chisquare(np.bincount(filled, minlength=5)).pvalue > 0.001
    half = np.where(np.arange(10_000) % 2, -1, 0)
    np.testing.assert_array_equal(cell_tools().fill(half, "train", 5)[1::2], filled[1::2])


def test_the_trainer_trains_this_encoder_with_this_recipe_and_reports_to_whoever_listens_now():
    told = []
    tools = cell_tools()
    assert (tools.trainer.encoder, tools.trainer.recipe) == (tools.encoder, tools.recipe)
    assert tools.trainer.axes == ("trec", "sn@0.3", 1)
    tools.trainer.progress("silent", 1, 2)
    tools.progress = lambda *at: told.append(at)
    tools.trainer.progress("phase", 1, 2)
    assert told == [("phase", 1, 2)]
