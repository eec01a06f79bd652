"""Measures of memorization against hand-computed values, other routes, and planted faults."""

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn
from torch.nn.functional import cross_entropy, one_hot

from dlparadox.labels import corrupt_labels
from dlparadox.memorization import (
    NamedDropout,
    answers,
    critical_samples,
    gini,
    loss_sensitivity,
    predictions,
    tipping_leverage,
)
from dlparadox.models import initialize, mlp
from dlparadox.seeding import generator


def vector(*values: float) -> torch.Tensor:
    return torch.tensor(values, dtype=torch.float64)


# --- answers ---


def test_answers_count_mislabelled_samples_only() -> None:
    true = torch.tensor([0, 1, 2, 3, 0])
    told = torch.tensor([0, 2, 1, 0, 0])  # the three in the middle are wrong
    said = torch.tensor([3, 1, 1, 2, 3])  # true, given, neither; the ends do not count
    assert answers(said, true, told) == pytest.approx((1 / 3, 1 / 3))


def test_answers_of_the_two_extremes() -> None:
    true = torch.arange(10) % 4
    told = (true + 1) % 4
    assert answers(true, true, told) == (1.0, 0.0)
    assert answers(told, true, told) == (0.0, 1.0)


def test_answers_refuse_clean_labels_and_other_shapes() -> None:
    labels = torch.arange(4)
    with pytest.raises(ValueError, match="none of the 4 given labels is wrong; corrupt some"):
        answers(labels, labels, labels)
    with pytest.raises(ValueError, match=r"one shape; got \(3,\), \(4,\) and \(4,\)"):
        answers(labels[:3], labels, labels)


# --- predictions ---


@pytest.mark.parametrize("training", [True, False])
def test_predictions_have_no_dropout_and_leave_the_model_as_it_was(training: bool) -> None:
    model = nn.Sequential(nn.Linear(3, 3, bias=False), nn.Dropout(0.9)).train(training)
    with torch.no_grad():
        model[0].weight.copy_(torch.eye(3))
    x = torch.tensor([[0.1, 0.3, 0.2], [3.0, -1.0, 2.0]])
    assert predictions(model, x).tolist() == [1, 0]
    assert model.training == model[1].training == training


def test_a_model_that_fails_is_left_as_it_was() -> None:
    model = nn.Sequential(nn.Linear(3, 3), nn.Dropout(0.5)).train()
    with pytest.raises(RuntimeError):
        predictions(model, torch.zeros(1, 4))
    assert model[1].training


# --- the tipping leverage ---


@pytest.mark.parametrize(
    ("corruption", "leverage"), [(0.0, 1 / 2), (0.2, 4 / 9), (0.4, 3 / 8), (0.8, 1 / 6), (1.0, 0.0)]
)
def test_tipping_leverage_by_hand(corruption: float, leverage: float) -> None:
    assert tipping_leverage(corruption) == pytest.approx(leverage)


@pytest.mark.parametrize("corruption", [-0.1, 1.1, math.nan])
def test_tipping_leverage_refuses_what_is_no_probability(corruption: float) -> None:
    with pytest.raises(ValueError, match=r"corruption must lie in \[0, 1\]; got"):
        tipping_leverage(corruption)


def mean_lead(p: float, h: float, draws: int = 4000) -> tuple[float, float]:
    """Mean lead of the true class of one sample that was given a wrong label, over draws of the others, and its error.

    The smoother gives the sample the weight h and shares the rest among 30 others, 20 of them of its class.
    """
    true, k = torch.tensor([0] * 21 + [1] * 10), 5
    weights = torch.full((31,), (1 - h) / 30, dtype=torch.float64)
    weights[0] = h
    leads, stream = [], generator(0, "leads", f"{p} {h}")
    for _ in range(draws):
        told = corrupt_labels(true, p, k, stream).labels
        told[0] = 1
        votes = weights @ one_hot(told, k).double()
        leads.append(float(votes[0] - votes[1]))
    values = torch.tensor(leads)
    return float(values.mean()), float(values.std()) / math.sqrt(draws)


@pytest.mark.parametrize("p", [0.2, 0.6])
@pytest.mark.parametrize("h", [0.05, 0.3])
def test_the_expected_lead_is_that_of_the_theorem(p: float, h: float) -> None:
    """(1 - p) M - (2 - p) h, with M the lead under true labels; a formula that forgets the own vote is caught."""
    clean = h + (1 - h) * (20 - 10) / 30
    mean, error = mean_lead(p, h)
    assert abs(mean - ((1 - p) * clean - (2 - p) * h)) < 4 * error
    assert abs(mean - ((1 - p) * clean - h)) > 4 * error  # the planted fault: the lost true vote left out


# --- the Gini coefficient ---


@pytest.mark.parametrize(
    ("values", "expected"),
    [((3, 3, 3), 0.0), ((0, 0, 0, 5), 3 / 4), ((1, 3), 1 / 4), ((3, 1), 1 / 4), ((7,), 0.0), ((1, 2, 3, 4), 1 / 4)],
)
def test_gini_by_hand(values: tuple[float, ...], expected: float) -> None:
    assert gini(vector(*values)) == pytest.approx(expected)


@settings(deadline=None, max_examples=60)
@given(st.lists(st.floats(0.01, 100.0), min_size=1, max_size=30), st.floats(0.1, 10.0))
def test_gini_is_half_the_mean_difference_and_has_no_unit(values: list[float], scale: float) -> None:
    x = vector(*values)
    differences = (x[:, None] - x).abs().mean()
    assert gini(x) == pytest.approx(float(differences / (2 * x.mean())), abs=1e-9)
    assert gini(scale * x) == pytest.approx(gini(x), abs=1e-9)


def test_gini_is_twice_the_area_above_the_lorenz_curve() -> None:
    x = torch.rand(2000, generator=generator(0, "lorenz"), dtype=torch.float64)
    lorenz = torch.cat([vector(0.0), x.sort().values.cumsum(0) / x.sum()])
    assert gini(x) == pytest.approx(1 - 2 * float(torch.trapezoid(lorenz, dx=1 / len(x))), abs=1e-9)
    assert gini(x) == pytest.approx(1 / 3, abs=0.02)  # of a uniform variable


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ((), "not empty"),
        ((1.0, -2.0), "at least 0; got -2"),
        ((1.0, -0.5), "at least 0; got -0.5"),
        ((1.0, math.nan), "finite"),
        ((1.0, math.inf), "finite"),
        ((0.0, 0.0), "all 2 values are 0"),
    ],
)
def test_gini_refuses_what_has_none(values: tuple[float, ...], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        gini(vector(*values))


# --- loss sensitivity ---


def small() -> nn.Module:
    return initialize(mlp(5, (16,), 3), generator(0, "small")).double()


def test_loss_sensitivity_of_a_linear_classifier_by_hand() -> None:
    """∂L/∂x = Wᵀ(softmax - one-hot): with zero scores for two classes, the half difference of the rows."""
    model = nn.Linear(2, 2, bias=False).double()
    with torch.no_grad():
        model.weight.copy_(torch.tensor([[1.0, -2.0], [0.0, 4.0]]))
    found = loss_sensitivity(model, torch.zeros(2, 2, dtype=torch.float64), torch.tensor([0, 1]))
    assert found.tolist() == pytest.approx([(1 + 6) / 2, (1 + 6) / 2])


def test_loss_sensitivity_is_that_of_each_sample_alone() -> None:
    model, stream = small().requires_grad_(False), generator(0, "inputs")
    x = torch.randn(7, 5, generator=stream, dtype=torch.float64)
    y = torch.randint(3, (7,), generator=stream)
    step, expected = 1e-6, []
    for a, label in zip(x, y, strict=True):
        shifts = step * torch.eye(5, dtype=torch.float64)
        ends = [cross_entropy(model(a + s * shifts), label.expand(5), reduction="none") for s in (1, -1)]
        expected.append(float(((ends[0] - ends[1]) / (2 * step)).abs().sum()))
    assert loss_sensitivity(model, x, y).tolist() == pytest.approx(expected, rel=1e-5)


def test_loss_sensitivity_leaves_the_model_as_it_was() -> None:
    model = nn.Sequential(small(), NamedDropout(0.5, generator(0, "dropped"))).train()
    x, y = torch.ones(4, 5, dtype=torch.float64), torch.zeros(4, dtype=torch.long)
    twice = [loss_sensitivity(model, x, y) for _ in range(2)]
    assert torch.equal(*twice)  # nothing is dropped
    assert model.training
    assert all(parameter.grad is None for parameter in model.parameters())
    assert not x.requires_grad
    with torch.no_grad():
        assert torch.equal(loss_sensitivity(model, x, y), twice[0])


def test_loss_sensitivity_refuses_labels_that_do_not_fit() -> None:
    with pytest.raises(ValueError, match="same number of samples, at least one; got 3 and 2"):
        loss_sensitivity(small(), torch.zeros(3, 5).double(), torch.tensor([0, 1]))
    with pytest.raises(ValueError, match="same number of samples, at least one; got 0 and 0"):
        loss_sensitivity(small(), torch.zeros(0, 5).double(), torch.zeros(0).long())


# --- critical samples ---


class Border(nn.Module):
    """Two classes with a border at 0 in the first coordinate."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return torch.stack([-x[:, 0], x[:, 0]], 1)


@pytest.mark.parametrize("noise", [0.0, 0.2])
def test_critical_samples_are_those_within_reach_of_the_border(noise: float) -> None:
    first = torch.tensor([-2.0, -0.51, -0.49, -0.1, 0.1, 0.49, 0.51, 2.0])
    x = torch.stack([first, torch.zeros(8)], 1)
    found = critical_samples(Border(), x, 0.5, noise=noise, iterations=40, generator=generator(0, "search"))
    assert found.tolist() == [False, False, True, True, True, True, False, False]


def test_no_search_finds_more_than_there_is_and_a_larger_cube_has_no_less() -> None:
    """For a linear model the cube has a point of another class exactly if lead <= radius * |w|₁."""
    model = nn.Linear(6, 2).double()
    initialize(model, generator(1, "linear"))
    x = torch.randn(300, 6, generator=generator(0, "points"), dtype=torch.float64)
    with torch.no_grad():
        scores = model(x)
        lead = (scores[:, 0] - scores[:, 1]).abs()
        reach = (model.weight[0] - model.weight[1]).abs().sum()
    shares = []
    for radius in (0.05, 0.2, 0.5):
        found = critical_samples(model, x, radius, iterations=60, generator=generator(0, "search"))
        exact = lead < radius * reach
        assert not bool((found & ~exact).any())
        assert float(found.double().mean()) == pytest.approx(float(exact.double().mean()), abs=0.02)
        shares.append(float(found.double().mean()))
    assert shares == sorted(shares) and shares[0] < shares[-1]


def test_the_search_follows_the_slope_and_leaves_the_model_as_it_was() -> None:
    x = torch.tensor([[0.45, 0.0]])
    model = Border().train()
    found = critical_samples(model, x, 0.5, noise=0.0, iterations=4, generator=generator(0, "search"))
    assert bool(found) and model.training
    for radius in (0.0, math.inf, math.nan):
        with pytest.raises(ValueError, match="radius, step and iterations must be positive"):
            critical_samples(model, x, radius, generator=generator(0, "search"))


class Plateau(nn.Module):
    """Two classes with a border at 0.1 in the first coordinate, and no slope before 0.05."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return torch.stack([torch.full_like(x[:, 0], 0.05), (x[:, 0] - 0.05).relu()], 1)


class Corner(nn.Module):
    """Two classes, the second where both coordinates are above 0.3: the slope is along the smaller one."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        lead = x.amin(1) - 0.3
        return torch.stack([-lead, lead], 1)


def test_noise_leads_the_search_where_there_is_no_slope() -> None:
    x = torch.zeros(20, 1)
    still, moved = (
        critical_samples(Plateau(), x, 0.5, noise=noise, iterations=60, generator=generator(0, "search"))
        for noise in (0.0, 0.2)
    )
    assert not still.any() and moved.all()


def test_the_search_turns_with_the_slope() -> None:
    x = torch.tensor([[0.0, 0.1]])
    assert critical_samples(Corner(), x, 0.5, noise=0.0, iterations=8, generator=generator(0, "search")).all()


@pytest.mark.parametrize("scale", [2.0**-6, 2.0**6])
def test_the_search_has_no_unit(scale: float) -> None:
    x = torch.linspace(-1, 1, 101)[:, None]
    found, scaled = (
        critical_samples(Border(), c * x, c * 0.5, iterations=2, generator=generator(0, "search")) for c in (1.0, scale)
    )
    assert torch.equal(found, scaled) and 0 < int(found.sum()) < 101


def test_the_search_draws_from_its_own_stream_only() -> None:
    dropped = generator(0, "dropped")
    model = nn.Sequential(Border(), NamedDropout(0.5, dropped)).train()
    before = torch.get_rng_state(), dropped.get_state()
    x = torch.linspace(-1, 1, 101)[:, None]
    found = critical_samples(model, x, 0.5, generator=generator(0, "search"))
    assert torch.equal(torch.get_rng_state(), before[0]) and torch.equal(dropped.get_state(), before[1])
    with torch.no_grad():
        assert torch.equal(critical_samples(model, x, 0.5, generator=generator(0, "search")), found)


@pytest.mark.parametrize("bad", [{"step": 0.0}, {"noise": -1.0}, {"iterations": 0}])
def test_critical_samples_refuse_a_search_that_cannot_be(bad: dict[str, float]) -> None:
    with pytest.raises(ValueError, match="radius, step and iterations must be positive and noise at least 0; got"):
        critical_samples(Border(), torch.zeros(1, 2), 0.5, generator=generator(0, "search"), **bad)  # type: ignore[arg-type]


# --- dropout ---


def test_dropout_keeps_the_mean_and_drops_its_share() -> None:
    layer = NamedDropout(0.4, generator(0, "dropped")).train()
    out = layer(torch.ones(100_000))
    assert out.unique().tolist() == pytest.approx([0.0, 1 / 0.6])
    error = math.sqrt(0.4 * 0.6 / 100_000)
    assert abs(float((out == 0).double().mean()) - 0.4) < 4 * error
    assert float(out.mean()) == pytest.approx(1.0, abs=4 * error / 0.6)


def test_dropout_drops_each_value_by_itself() -> None:
    out = NamedDropout(0.5, generator(0, "dropped")).train()(torch.ones(60, 60))
    assert len(out.unique(dim=0)) == len(out.unique(dim=1)) == 60


def test_dropout_draws_from_its_own_stream_only() -> None:
    x = torch.ones(50)
    before = torch.get_rng_state()
    first, second = (NamedDropout(0.5, generator(3, "dropped")).train() for _ in range(2))
    assert torch.equal(first(x), second(x))
    assert not torch.equal(first(x), NamedDropout(0.5, generator(4, "dropped")).train()(x))
    assert torch.equal(torch.get_rng_state(), before)


def test_dropout_is_a_ridge_on_the_last_layer() -> None:
    """The mean loss over masks is |y - Φw|² + q/(1 - q) Σ_j w_j² |φ_j|², by all masks of four features."""
    stream, q = generator(0, "ridge"), 0.3
    features, w, y = (torch.randn(shape, generator=stream, dtype=torch.float64) for shape in ((6, 4), (4,), (6,)))
    mean = 0.0
    for mask in torch.cartesian_prod(*[torch.tensor([0.0, 1.0], dtype=torch.float64)] * 4):
        chance = float(torch.where(mask > 0, 1 - q, q).prod())
        mean += chance * float((y - features @ (w * mask / (1 - q))).square().sum())
    ridge = q / (1 - q) * float((w.square() * features.square().sum(0)).sum())
    assert mean == pytest.approx(float((y - features @ w).square().sum()) + ridge)


def test_dropout_does_nothing_when_the_model_predicts_or_the_rate_is_zero() -> None:
    x = torch.randn(20, generator=generator(0, "x"))
    assert torch.equal(NamedDropout(0.5, generator(0, "dropped")).eval()(x), x)
    assert torch.equal(NamedDropout(0.0, generator(0, "dropped")).train()(x), x)


@pytest.mark.parametrize("rate", [-0.1, 1.0, math.nan])
def test_dropout_refuses_a_rate_that_is_none(rate: float) -> None:
    with pytest.raises(ValueError, match=r"rate of dropout must lie in \[0, 1\); got"):
        NamedDropout(rate, generator(0, "dropped"))
