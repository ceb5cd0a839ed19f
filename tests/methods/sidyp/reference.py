"""SiDyP after stage 1, slow and line by line: one text, one branch, one label, one sample at a time.

Written from the method's description with PyTorch's own layers and scikit-learn's classifier; it shares no code with
methods/sidyp but the draws of random numbers that a test hands to both.
"""

from __future__ import annotations

import math

import numpy as np
import torch
from sklearn.neighbors import KNeighborsClassifier
from torch import nn


def alpha_bar(u):
    angle = 0.5 * math.pi * (u + 1e-4) / (1 + 1e-4)
    return math.cos(angle) ** 2 / math.cos(0.5 * math.pi * 1e-4 / (1 + 1e-4)) ** 2


def point(label, classes, value):
    x = torch.full((classes,), -value, dtype=torch.float64)
    x[label] = value
    return x


def markers(dynamics, labels, noise_rate, classes):
    """bool[M, n] from dynamics [M, E, n, D]."""
    branches, epochs, size, _ = dynamics.shape
    marked = np.zeros((branches, size), dtype=bool)
    for m in range(branches):
        scores = []
        for i in range(size):
            distances = []
            for e in range(epochs):
                same = [dynamics[m, e, k] for k in range(size) if labels[k] == labels[i]]
                distances.append(np.linalg.norm(dynamics[m, e, i] - np.mean(same, axis=0)))
            scores.append(np.mean(distances) + np.std(distances, ddof=1))
        for i in np.argsort(scores)[::-1][: math.floor(noise_rate * size)]:
            marked[m, i] = True
    return marked


def retrieve(embeddings, labels, marked, classes, k, gamma, delta):
    """weights float64[M, n, C] and uncertain bool[M, n]."""
    branches, size = marked.shape
    weights, uncertain = np.zeros((branches, size, classes)), np.zeros((branches, size), dtype=bool)
    for m in range(branches):
        voters = np.flatnonzero(~marked[m])
        vote = KNeighborsClassifier(k, weights="distance", algorithm="kd_tree")
        vote.fit(embeddings[voters], labels[voters])
        found = vote.predict_proba(embeddings)
        for i in range(size):
            votes = np.zeros(classes)
            for column, label in enumerate(vote.classes_):
                votes[label] = found[i, column]
            first, second = np.argsort(-votes, kind="stable")[:2]
            if votes[first] >= gamma - 1e-9:
                weights[m, i, first] = 1
            elif votes[first] + votes[second] >= delta - 1e-9:
                weights[m, i, first] = votes[first] / (votes[first] + votes[second])
                weights[m, i, second] = votes[second] / (votes[first] + votes[second])
                uncertain[m, i] = True
            else:
                weights[m, i] = votes
                uncertain[m, i] = True
    return weights, uncertain


class Net(nn.Module):
    """The denoiser of one branch with PyTorch's layers, its parameters copied from branch m of a stack."""

    def __init__(self, stack, m):
        super().__init__()
        self.project = None if stack.project is None else _linear(stack.project, m)
        self.norm_w = _norm(stack.condition_norm, m)
        self.lin = nn.ModuleList(_linear(layer, m) for layer in stack.layers)
        self.bn = nn.ModuleList(_norm(norm, m) for norm in stack.norms)
        self.emb = nn.ModuleList(nn.Embedding.from_pretrained(table[m].detach().clone(), freeze=False)
                                 for table in stack.times)  # fmt: skip
        self.out = _linear(stack.head, m)

    def forward(self, y, t, a, w):
        g = self.norm_w(w if self.project is None else self.project(w))
        x = self.lin[0](torch.cat([y, a], dim=1)) * self.emb[0](t)
        x = torch.log1p(torch.exp(self.bn[0](x))) * g
        x = torch.log1p(torch.exp(self.bn[1](self.lin[1](x) * self.emb[1](t))))
        x = torch.log1p(torch.exp(self.bn[2](self.lin[2](x) * self.emb[2](t))))
        return self.out(x)


def _linear(layer, m):
    inputs, outputs = layer.weight.shape[1:]
    copy = nn.Linear(inputs, outputs, dtype=layer.weight.dtype)
    copy.weight.data = layer.weight[m].T.detach().clone()
    copy.bias.data = layer.bias[m, 0].detach().clone()
    return copy


def _norm(norm, m):
    copy = nn.BatchNorm1d(norm.weight.shape[-1], dtype=norm.weight.dtype)
    copy.weight.data, copy.bias.data = norm.weight[m, 0].detach().clone(), norm.bias[m, 0].detach().clone()
    copy.running_mean, copy.running_var = norm.running_mean[m, 0].clone(), norm.running_var[m, 0].clone()
    return copy


def chain(net, given, w, noise, config, official):
    """One chain of the reverse process: the final class and simplex point; noise [R, C]."""
    steps, classes = noise.shape
    v = config.simplex_value
    net.eval()
    y = v * noise[steps - 1]
    for r in range(steps - 1, -1, -1):
        t = r if official else math.floor(r * config.train_timesteps / steps)
        with torch.no_grad():
            a = point(given, classes, v)
            logits = net(y[None], torch.tensor([t]), a[None], w[None])[0]
        label = int(logits.argmax())
        x = point(label, classes, v)
        if official:
            x = x.clamp(-1, 1)
        if r > 0:
            signal = alpha_bar((r - 1) / steps)
            y = math.sqrt(signal) * x + math.sqrt(1 - signal) * v * noise[r - 1]
    net.train()
    return label, x


def update(weights, drawn, samples):
    """One text's candidate weights after its drawn classes, in order."""
    weights = weights.clone()
    for label in drawn:
        p = float(weights[label])
        if p > 0:
            increment = (1 - p) / samples
            weights[label] += increment
            weights /= 1 + increment
    return weights


def draw_label(weights, u):
    total = 0.0
    for label, weight in enumerate(weights):
        total += float(weight)
        if u * float(weights.sum()) < total:
            return label
    raise AssertionError("uniform number outside [0, 1)")


def learning_rate(u, config):
    warm = config.warm_up * config.epochs
    if u < warm:
        return config.learning_rate * u / warm
    return config.learning_rate * 0.5 * (1 + math.cos(math.pi * (u - warm) / (config.epochs - warm)))


def train(nets, w, labels, weights, uncertain, config, draws_of_step, order_of_epoch):
    """Train nets in place; returns the losses. `weights` float64[M, n, C] moves. w float64[M, n, d]."""
    official = config.mode == "official"
    branches, size, classes = weights.shape
    adam = torch.optim.Adam([p for net in nets for p in net.parameters()], lr=config.learning_rate)
    for net in nets:
        for parameter in net.parameters():
            parameter.grad = torch.zeros_like(parameter)
    v, losses = config.simplex_value, []
    for e in range(config.epochs):
        warm = e < config.warm_up * config.epochs
        kl = 0.0 if warm or (official and e <= config.warm_up * config.epochs) else config.kl_weight
        order = order_of_epoch(size)
        batches = [order[i : i + config.batch_size] for i in range(0, size, config.batch_size)]
        batches = [batch for batch in batches if len(batch) > 1]
        for q, batch in enumerate(batches):
            for group in adam.param_groups:
                group["lr"] = learning_rate(e + q / len(batches), config)
            draws = draws_of_step((branches, len(batch), classes), warm)
            terms, outputs = [], []
            for m, net in enumerate(nets):
                rows = [(b, int(i)) for b, i in enumerate(batch) if not (warm and uncertain[m, i])]
                if not warm:
                    position = 0
                    for b, i in rows:
                        if not uncertain[m, i]:
                            continue
                        drawn = []
                        for s in range(config.train_samples):
                            noise = draws.refine[m, 0, position] if official else draws.refine[m, s, b]
                            drawn.append(chain(net, labels[i], w[m, i], noise.double(), config, official)[0])
                        weights[m, i] = update(weights[m, i], drawn, config.train_samples)
                        position += 1
                if len(rows) < 2:
                    continue
                target = [draw_label(weights[m, i], float(draws.uniform[m, b])) for b, i in rows]
                noisy, given = [], []
                for (b, i), y in zip(rows, target, strict=True):
                    signal = alpha_bar(int(draws.times[m, b]) / config.train_timesteps)
                    clean = point(y, classes, v)
                    noisy.append(math.sqrt(signal) * clean + math.sqrt(1 - signal) * v * draws.noise[m, b].double())
                    given.append(point(labels[i], classes, v))
                times = torch.stack([draws.times[m, b] for b, _ in rows])
                net.train()
                logits = net(torch.stack(noisy), times, torch.stack(given), w[m, [i for _, i in rows]])
                texts = []
                for k, ((_, i), y) in enumerate(zip(rows, target, strict=True)):
                    texts.append(-float(weights[m, i, y]) * torch.log_softmax(logits[k], 0)[y])
                total = torch.stack(texts).sum()
                terms.append(total if official and not warm else total / len(rows))
                outputs.append(torch.softmax(logits, 1))
            loss = sum(terms) / branches
            if kl:
                mean = sum(outputs) / branches
                for own in outputs:
                    divergence = (mean * (torch.log(mean + 1e-5) - torch.log(own + 1e-5))).sum(1)
                    loss = loss + kl * (divergence.sum() if official else divergence.mean()) / branches
            adam.zero_grad(set_to_none=False)  # a branch left out has gradient 0: its momentum goes on
            loss.backward()
            for m, net in enumerate(nets):
                if not official or m == branches - 1:
                    nn.utils.clip_grad_norm_(net.parameters(), 1.0)
            adam.step()
            losses.append(loss.item())
    return losses


def predict(nets, w, probabilities, noise, config):
    """P float64[N, C]: for each text the loop over branches, given labels and samples; noise [S, N, R, C]."""
    official = config.mode == "official"
    branches, texts, classes = probabilities.shape
    result = torch.zeros(texts, classes, dtype=torch.float64)
    for n in range(texts):
        for m in range(branches):
            for j in range(classes):
                for s in range(len(noise)):
                    _, final = chain(nets[m], j, w[m, n], noise[s, n].double(), config, official)
                    share = torch.softmax(final, 0) / len(noise)
                    result[n] += share * float(probabilities[m, n, j]) / branches
    return result / result.sum(1, keepdim=True)
