"""Metrics against closed forms, scikit-learn, torchmetrics and slow obvious loops."""

import numpy as np
import pytest
from sklearn.metrics import accuracy_score, f1_score, log_loss

from bench.store.metrics.base import simplex
from bench.store.metrics.calibration import AdaptiveCalibrationError, reliability_bins
from bench.store.scoring import score


def random_case(rows=400, classes=5, seed=0, sharp=2.0):
    """Probabilities that are never exactly 1, and gold drawn half from them."""
    draw = np.random.default_rng(seed)
    logits = sharp * draw.normal(size=(rows, classes))
    p = np.exp(logits) / np.exp(logits).sum(1, keepdims=True)
    gold = np.where(draw.random(rows) < 0.5, p.argmax(1), draw.integers(classes, size=rows))
    return p, gold


def ece_by_loop(p, gold, bins=15):
    total = 0.0
    for k in range(bins):
        low, high = k / bins, (k + 1) / bins
        inside = [i for i in range(len(p)) if low <= p[i].max() < high or (k == bins - 1 and p[i].max() == 1)]
        if inside:
            accuracy = np.mean([p[i].argmax() == gold[i] for i in inside])
            total += len(inside) / len(p) * abs(accuracy - np.mean([p[i].max() for i in inside]))
    return total


@pytest.mark.parametrize("classes", [2, 3, 9])
@pytest.mark.parametrize("seed", [0, 1, 2])
def test_ece_and_mce_agree_with_torchmetrics(classes, seed):
    torch = pytest.importorskip("torch")
    library = pytest.importorskip("torchmetrics.functional.classification")
    p, gold = random_case(classes=classes, seed=seed)
    p, gold_ = torch.tensor(p), torch.tensor(gold)
    ours = score(p.numpy(), gold)
    for name, norm in (("ece", "l1"), ("mce", "max")):
        theirs = library.multiclass_calibration_error(p, gold_, num_classes=classes, n_bins=15, norm=norm)
        assert getattr(ours, name) == pytest.approx(float(theirs), abs=1e-6)


def test_ece_agrees_with_a_slow_loop_and_puts_certainty_in_the_last_bin():
    p, gold = random_case(rows=200, classes=3, sharp=8.0)
    p[:20] = np.eye(3)[gold[:20]]
    p[20:30] = np.eye(3)[(gold[20:30] + 1) % 3]
    assert score(p, gold).ece == pytest.approx(ece_by_loop(p, gold), abs=1e-12)
    bins = reliability_bins(p, gold)
    assert bins.count[-1] >= 30
    assert bins.count.sum() == 200


def test_one_hot_predictions():
    gold = np.array([0, 1, 2, 0])
    right = score(np.eye(3)[gold], gold)
    assert (right.accuracy, right.macro_f1) == (1, 1)
    assert [right.ece, right.adaptive_ece, right.classwise_ece, right.mce, right.brier, right.nll] == [0] * 6
    wrong = score(np.eye(3)[(gold + 1) % 3], gold)
    assert (wrong.accuracy, wrong.macro_f1, wrong.ece, wrong.brier) == (0, 0, 1, 2)
    assert wrong.nll == pytest.approx(24 * np.log(2))


def test_constant_prediction_on_balanced_classes_is_calibrated():
    gold = np.arange(40) % 4
    scores = score(np.full((40, 4), 0.25), gold)
    assert [scores.ece, scores.adaptive_ece, scores.classwise_ece, scores.mce] == pytest.approx([0] * 4)
    assert scores.brier == pytest.approx(0.75)
    assert scores.nll == pytest.approx(np.log(4))


def test_accuracy_f1_nll_agree_with_scikit_learn():
    p, gold = random_case()
    scores = score(p, gold, step=7)
    assert scores.step == 7
    assert scores.accuracy == pytest.approx(accuracy_score(gold, p.argmax(1)))
    assert scores.macro_f1 == pytest.approx(f1_score(gold, p.argmax(1), average="macro"))
    assert scores.nll == pytest.approx(log_loss(gold, p, labels=range(5)))
    assert scores.brier == pytest.approx(np.mean(((p - np.eye(5)[gold]) ** 2).sum(1)))


def test_a_class_neither_present_nor_predicted_is_left_out_of_f1_and_counted():
    p, gold = random_case(classes=3)
    padded = np.hstack([p, np.zeros((len(p), 2))])
    assert score(padded, gold).macro_f1 == pytest.approx(score(p, gold).macro_f1)
    assert score(padded, gold).absent_classes == 2
    predicted_only = np.array([[0.9, 0.1], [0.2, 0.8]])
    assert score(predicted_only, np.array([0, 0])).absent_classes == 0
    assert score(predicted_only, np.array([0, 0])).macro_f1 == pytest.approx(1 / 3)


def test_adaptive_ece_equals_its_definition_without_ties():
    p, gold = random_case(rows=100)
    order = np.argsort(p.max(1))
    parts = np.array_split(order, 15)
    expected = sum(len(i) / 100 * abs((p[i].argmax(1) == gold[i]).mean() - p[i].max(1).mean()) for i in parts)
    assert score(p, gold).adaptive_ece == pytest.approx(expected, abs=1e-12)


def test_adaptive_ece_does_not_depend_on_the_order_of_equal_confidences():
    probabilities = np.tile([0.7, 0.3], (100, 1))
    gold = np.repeat([0, 1], [70, 30])
    for order in (gold, gold[::-1]):
        assert AdaptiveCalibrationError().compute(probabilities, order) == pytest.approx(0, abs=1e-12)


def test_classwise_ece_equals_a_slow_loop():
    p, gold = random_case(rows=150, classes=4)
    total = 0.0
    for c in range(4):
        for k in range(15):
            inside = (p[:, c] >= k / 15) & (p[:, c] < (k + 1) / 15)
            if inside.any():
                total += inside.mean() * abs((gold[inside] == c).mean() - p[inside, c].mean())
    assert score(p, gold).classwise_ece == pytest.approx(total / 4, abs=1e-12)


def test_the_order_of_rows_and_the_names_of_classes_do_not_matter():
    p, gold = random_case()
    base = score(p, gold).model_dump()
    shuffle = np.random.default_rng(3).permutation(len(p))
    assert score(p[shuffle], gold[shuffle]).model_dump() == pytest.approx(base)
    rename = np.random.default_rng(4).permutation(5)
    assert score(p[:, np.argsort(rename)], rename[gold]).model_dump() == pytest.approx(base)


def test_float16_rounding_is_repaired_and_barely_moves_the_scores():
    p, gold = random_case(rows=2000)
    stored = p.astype(np.float16)
    assert np.allclose(simplex(stored).sum(1), 1, atol=1e-15)
    rounded = score(stored, gold)
    assert rounded.accuracy == pytest.approx(score(p, gold).accuracy, abs=0.002)
    assert rounded.nll == pytest.approx(score(p, gold).nll, abs=1e-3)
    assert simplex(np.array([[1.001, -0.001]])).tolist() == [[1, 0]]


def test_what_float16_cannot_hold_costs_as_much_as_the_least_that_it_can():
    least = np.array([[1, 2**-24], [1, 2**-24]], np.float32)
    below = np.array([[1, 2**-24], [1, 2**-26]], np.float32)  # the second becomes 0
    gold = np.array([1, 1])
    assert score(below.astype(np.float16), gold).nll == score(least.astype(np.float16), gold).nll
    assert score(least.astype(np.float16), gold).nll == pytest.approx(24 * np.log(2))


def test_reliability_bins_leave_empty_bins_blank():
    bins = reliability_bins(np.array([[0.95, 0.05], [0.99, 0.01], [0.55, 0.45]]), np.array([0, 1, 0]))
    assert bins.count.tolist() == [0] * 8 + [1] + [0] * 5 + [2]
    assert np.isnan(bins.accuracy[0])
    assert np.isnan(bins.confidence[0])
    assert bins.accuracy[8] == 1
    assert bins.accuracy[14] == pytest.approx(0.5)
    assert bins.confidence[14] == pytest.approx(0.97)
    assert all(array.dtype == np.float32 for array in vars(bins).values())


@pytest.mark.parametrize(
    ("probabilities", "gold", "message"),
    [
        (np.array([0.5, 0.5]), [0], r"shape \[N, C\]"),
        (np.zeros((0, 2)), np.zeros(0, int), r"shape \[N, C\]"),
        (np.array([[0.5, 0.5], [np.nan, 1]]), [0, 1], "row 1 are not finite"),
        (np.array([[0.0, 0.0]]), [0], "row 0 are all zero"),
        (np.array([[0.5, 0.5]]), [0, 1], "1 rows of probabilities"),
        (np.array([[0.5, 0.5]]), [2], r"span 2..2, allowed are 0..1"),
        (np.array([[0.5, 0.5]]), [-1], "span -1..-1"),
        (np.array([[0.5, 0.5]]), [0.5], "must be integers"),
    ],
)
def test_wrong_input_is_refused_by_name(probabilities, gold, message):
    with pytest.raises(ValueError, match=message):
        score(probabilities, np.asarray(gold))
