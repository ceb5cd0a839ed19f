import pytest
import torch
from torch import nn

from methods.sidyp.denoiser import BranchLinear, BranchNorm, Denoiser
from tests.methods.sidyp import reference, toy


def batch(net, size, seed=0, width=15):
    generator = torch.Generator().manual_seed(seed)
    shape = (net.branches, size, net.num_classes)
    noisy, given = (torch.randn(shape, generator=generator, dtype=torch.float64) for _ in range(2))
    times = torch.randint(20, shape[:2], generator=generator)
    features = torch.randn(net.branches, size, width, generator=generator, dtype=torch.float64)
    return noisy, times, given, features


@pytest.mark.parametrize("width", [6, "full"])
def test_a_stack_is_its_branches_side_by_side(width):
    """Training and evaluation outputs, gradients and running statistics, to 1e-6 and better."""
    config = toy.config(branches=3, width=width)
    net = toy.denoiser(config)
    singles = [reference.Net(net, m) for m in range(3)]
    for step in range(3):
        noisy, times, given, features = batch(net, 8, step)
        net.train()
        logits = net(noisy, times, given, net.condition(features))
        logits.square().sum().backward()
        for m, single in enumerate(singles):
            single.train()
            own = single(noisy[m], times[m], given[m], features[m])
            own.square().sum().backward()
            torch.testing.assert_close(logits[m], own, rtol=0, atol=1e-9)
    net.eval()
    noisy, times, given, features = batch(net, 5, 9)
    for m, single in enumerate(singles):
        torch.testing.assert_close(net.layers[1].weight.grad[m], single.lin[1].weight.grad.T, rtol=1e-6, atol=1e-9)
        torch.testing.assert_close(net.times[2].grad[m], single.emb[2].weight.grad, rtol=1e-6, atol=1e-9)
        torch.testing.assert_close(net.norms[0].running_var[m, 0], single.bn[0].running_var, rtol=0, atol=1e-9)
        torch.testing.assert_close(net.condition_norm.running_mean[m, 0], single.norm_w.running_mean)
        single.eval()
        with torch.no_grad():
            own = single(noisy[m], times[m], given[m], features[m])
            torch.testing.assert_close(net(noisy, times, given, net.condition(features))[m], own, rtol=0, atol=1e-9)


def test_masked_statistics_are_those_of_the_rows_in_the_mask():
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(2, 10, 4, generator=generator, dtype=torch.float64)
    mask = torch.rand(2, 10, generator=generator) < 0.6
    norm = BranchNorm(2, 4).double().train()
    out = norm(x, mask)
    for m in range(2):
        own = nn.BatchNorm1d(4, dtype=torch.float64).train()
        torch.testing.assert_close(out[m][mask[m]], own(x[m][mask[m]]))
        torch.testing.assert_close(norm.running_var[m, 0], own.running_var)


def test_a_branch_with_one_row_keeps_its_statistics_and_stays_finite():
    norm = BranchNorm(2, 3).train()
    mask = torch.tensor([[True, True, True, False], [True, False, False, False]])
    out = norm(torch.randn(2, 4, 3, generator=torch.Generator().manual_seed(0)), mask)
    assert out.isfinite().all()
    assert (norm.running_mean[1] == 0).all()
    assert (norm.running_mean[0] != 0).all()


def test_initial_values_are_those_of_pytorchs_layers():
    layer = BranchLinear(4, 100, 50, torch.Generator().manual_seed(0))
    for values in (layer.weight, layer.bias):
        assert values.abs().max() <= 0.1
        assert abs(values.std().item() - 0.1 / 3**0.5) < 0.005
    assert not torch.equal(layer.weight[0], layer.weight[1])


def test_folded_evaluation_layers_equal_the_forward_pass():
    net = toy.denoiser(toy.config()).eval()
    noisy, _, given, features = batch(net, 7)
    gate = net.condition(features)
    x = torch.cat([noisy, given], dim=-1)
    for index, (scale, shift) in enumerate(net.at_time(13)):
        x = nn.functional.softplus(net.layers[index].product(x) * scale + shift)
        x = x * gate if index == 0 else x
    times = torch.full(noisy.shape[:2], 13)
    torch.testing.assert_close(net.head(x), net(noisy, times, given, gate))


def test_bfloat16_products_stay_close_and_normalisation_stays_float32():
    generator = torch.Generator().manual_seed(0)
    net = Denoiser(
        branches=2, num_classes=4, condition_width=15, width=32, train_timesteps=20, generator=generator
    ).train()
    noisy, times, given, features = (x.float() if x.is_floating_point() else x for x in batch(net, 16))
    exact = net(noisy, times, given, net.condition(features))
    rounded = net.compute_in(torch.bfloat16)(noisy, times, given, net.condition(features))
    assert rounded.dtype == torch.float32
    assert 0 < (rounded - exact).abs().max().item() < 0.1
    rounded.sum().backward()
    assert net.layers[1].weight.grad.dtype == torch.float32
