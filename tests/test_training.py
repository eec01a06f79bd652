"""Training against independent computations: plain loops, gradients by hand, closed forms."""

import copy
import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from dlparadox.models import initialize, linear, mlp
from dlparadox.seeding import generator
from dlparadox.training import Divergence, Epoch, Schedule, accuracy, fit


def problem(n: int = 30, d: int = 6, k: int = 3, seed: int = 0) -> tuple[Tensor, Tensor]:
    """Inputs without structure, and labels that cycle through the classes."""
    return torch.randn(n, d, generator=generator(seed, "x")), torch.arange(n) % k


def network(d: int = 6, k: int = 3, widths: tuple[int, ...] = (8,), seed: int = 0) -> nn.Sequential:
    model = mlp(d, widths, k)
    initialize(model, generator(seed, "init"))
    return model


def schedule(**changes: Any) -> Schedule:
    return Schedule(**{"epochs": 4, "lr": 0.1, "batch_size": 8, "stop_when_fitted": False, **changes})


def same(one: nn.Module, other: nn.Module) -> bool:
    return all(torch.equal(a, b) for a, b in zip(one.parameters(), other.parameters(), strict=True))


def plain_loop(model: nn.Module, x: Tensor, y: Tensor, plan: Schedule, stream: torch.Generator) -> list[float]:
    """The textbook loop, with formulas instead of an optimizer: v <- mu v + g + c w, w <- w - lr v.

    A sample left over would be a batch of its own here; no plan of the tests leaves one.
    """
    velocity = [torch.zeros_like(parameter) for parameter in model.parameters()]
    losses = []
    for epoch in range(plan.epochs):
        order, total = torch.randperm(len(x), generator=stream), 0.0
        for start in range(0, len(x), plan.batch_size):
            batch = order[start : start + plan.batch_size]
            loss = -torch.log_softmax(model(x[batch]), dim=1)[range(len(batch)), y[batch]].mean()
            gradients = torch.autograd.grad(loss, list(model.parameters()))
            with torch.no_grad():
                for v, w, g in zip(velocity, model.parameters(), gradients, strict=True):
                    v.mul_(plan.momentum).add_(g + plan.weight_decay * w)
                    w -= plan.lr * plan.decay**epoch * v
            total += float(loss.detach()) * len(batch)
        losses.append(total / len(x))
    return losses


PLANS = {
    "plain": {"momentum": 0.0},
    "momentum": {"momentum": 0.9},
    "decay": {"decay": 0.5},
    "weight decay": {"weight_decay": 0.1},
    "all": {"momentum": 0.8, "decay": 0.7, "weight_decay": 0.01, "batch_size": 7},
    "one batch": {"batch_size": 100},
    "single samples": {"batch_size": 1, "lr": 0.01},
}


@pytest.mark.parametrize("changes", PLANS.values(), ids=PLANS)
def test_against_a_plain_loop(changes: dict[str, Any]) -> None:
    (x, y), plan = problem(), schedule(**changes)
    x, model = x.double(), network().double()
    twin = copy.deepcopy(model)
    history = fit(model, x, y, plan, generator=generator(0, "order"))
    losses = plain_loop(twin, x, y, plan, generator(0, "order"))
    for ours, theirs in zip(model.parameters(), twin.parameters(), strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-9, atol=1e-12)
    assert [epoch.loss for epoch in history[1:]] == pytest.approx(losses, rel=1e-6)


@pytest.mark.parametrize("changes", PLANS.values(), ids=PLANS)
def test_bit_for_bit_against_the_optimizer_of_pytorch(changes: dict[str, Any]) -> None:
    (x, y), plan = problem(), schedule(**changes)
    model = network()
    twin = copy.deepcopy(model)
    fit(model, x, y, plan, generator=generator(0, "order"))
    optimizer = torch.optim.SGD(twin.parameters(), plan.lr, plan.momentum, weight_decay=plan.weight_decay, fused=True)
    decay = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda epoch: plan.decay**epoch)
    stream = generator(0, "order")
    for _ in range(plan.epochs):
        for batch in torch.randperm(len(x), generator=stream).split(plan.batch_size):
            optimizer.zero_grad()
            cross_entropy(twin(x[batch]), y[batch]).backward()
            optimizer.step()
        decay.step()
    assert same(model, twin)


@hypothesis_settings(max_examples=15)
@given(st.integers(1, 12), st.integers(1, 6), st.integers(2, 4), st.integers(0, 99))
def test_one_step_by_hand(n: int, d: int, k: int, seed: int) -> None:
    x = torch.randn(n, d, generator=generator(seed, "x"), dtype=torch.float64)
    y = torch.randint(k, (n,), generator=generator(seed, "y"))
    model = linear(d, k).double()
    initialize(model, generator(seed, "init"))
    w, b = (parameter.detach().numpy().copy() for parameter in model.parameters())
    fit(
        model,
        x,
        y,
        schedule(epochs=1, lr=0.3, batch_size=n, weight_decay=0.2),
        generator=generator(seed, "order"),
    )
    scores = np.exp(x.numpy() @ w.T + b)
    slope = (scores / scores.sum(axis=1, keepdims=True) - np.eye(k)[y.numpy()]) / n
    np.testing.assert_allclose(
        model[0].weight.detach(), w - 0.3 * (slope.T @ x.numpy() + 0.2 * w), rtol=1e-9, atol=1e-12
    )
    np.testing.assert_allclose(model[0].bias.detach(), b - 0.3 * (slope.sum(axis=0) + 0.2 * b), rtol=1e-9, atol=1e-12)


def test_the_trajectory_counts_and_measures() -> None:
    (x, y), (x_test, y_test) = problem(30), problem(11, seed=1)
    model, untrained = network(), network()
    history = fit(model, x, y, schedule(epochs=3, batch_size=8), generator=generator(0, "order"), test=(x_test, y_test))
    assert [epoch.epoch for epoch in history] == [0, 1, 2, 3]
    assert [epoch.steps for epoch in history] == [0, 4, 8, 12]  # the last batch of an epoch may be smaller
    assert history[0].loss == pytest.approx(float(cross_entropy(untrained(x), y).detach()), rel=1e-6)
    for epoch, measured in [(history[0], untrained), (history[-1], model)]:
        assert epoch.train_accuracy == float((measured(x).argmax(1) == y).double().mean())
        assert epoch.test_accuracy == pytest.approx(float((measured(x_test).argmax(1) == y_test).double().mean()))


def test_the_mean_loss_weighs_every_sample_alike() -> None:
    x, y = problem(9)
    model = network()
    # With a step size that changes nothing, the mean over batches of 8 and 1 is the loss of the whole set.
    history = fit(model, x, y, schedule(epochs=1, lr=1e-12, batch_size=8), generator=generator(0, "order"))
    assert history[1].loss == pytest.approx(history[0].loss, rel=1e-6)


def test_no_test_data_no_test_accuracy() -> None:
    assert {e.test_accuracy for e in fit(network(), *problem(), schedule(), generator=generator(0, "o"))} == {None}


def test_every_epoch_sees_every_sample_once_in_a_new_order() -> None:
    n = 20
    x, y = torch.arange(float(n))[:, None], torch.zeros(n, dtype=torch.long)
    seen: list[float] = []

    class Spy(nn.Linear):
        def forward(self, batch: Tensor) -> Tensor:
            if torch.is_grad_enabled():
                seen.extend(batch[:, 0].tolist())
            return super().forward(batch)

    fit(Spy(1, 2), x, y, schedule(epochs=3, lr=1e-6, batch_size=6), generator=generator(0, "order"))
    epochs = [seen[i : i + n] for i in range(0, 3 * n, n)]
    assert all(sorted(epoch) == list(range(n)) for epoch in epochs)
    assert len({tuple(epoch) for epoch in epochs}) == 3


def test_it_stops_when_the_data_are_fitted() -> None:
    x, y = problem(12)
    plan = schedule(epochs=500, lr=0.2, batch_size=4, stop_when_fitted=True)
    model = network(widths=(64,))
    history = fit(model, x, y, plan, generator=generator(0, "order"))
    assert history[-1].train_accuracy == 1.0 == accuracy(model, x, y)
    assert all(epoch.train_accuracy < 1.0 for epoch in history[:-1])
    assert 1 < len(history) < 500
    assert len(fit(model, x, y, plan, generator=generator(1, "order"))) == 1  # nothing left to do
    longer = fit(
        network(widths=(64,)),
        x,
        y,
        schedule(epochs=60, lr=0.2, batch_size=4),
        generator=generator(0, "order"),
    )
    assert len(longer) == 61 and longer[: len(history)] == history


def test_labels_that_change_every_epoch() -> None:
    x, y = problem(40)
    drawn = {epoch: torch.randint(3, (40,), generator=generator(epoch, "y")) for epoch in range(1, 5)}
    asked: list[int] = []

    def relabel(epoch: int) -> Tensor:
        asked.append(epoch)
        return drawn[epoch]

    model = network()
    twin = copy.deepcopy(model)
    history = fit(model, x, y, schedule(), generator=generator(0, "order"), relabel=relabel)
    assert asked == [1, 2, 3, 4]
    assert history[0].train_accuracy == accuracy(twin, x, y)
    assert history[-1].train_accuracy == accuracy(model, x, drawn[4])
    stream = generator(0, "order")
    for epoch in range(1, 5):  # without momentum between them, epochs are fits of their own
        fit(twin, x, drawn[epoch], schedule(epochs=1, momentum=0.0), generator=stream)
    other = network()
    fit(other, x, y, schedule(momentum=0.0), generator=generator(0, "order"), relabel=relabel)
    assert same(other, twin)


def test_progress_is_reported_epoch_by_epoch() -> None:
    reported: list[Epoch] = []
    history = fit(network(), *problem(), schedule(), generator=generator(0, "order"), report=reported.append)
    assert reported == history[1:]


@pytest.mark.parametrize("lr", [1e30, 1e38])
def test_divergence_names_the_step_size(lr: float) -> None:
    with pytest.raises(
        Divergence, match=r"the training loss is (nan|inf) in epoch \d+ at step size 1e\+3.; use a smaller"
    ):
        fit(network(), *problem(), schedule(lr=lr, epochs=9), generator=generator(0, "order"))


def test_divergence_names_the_step_size_of_its_epoch() -> None:
    x, y = problem()
    labels: Callable[[int], Tensor] = lambda epoch: y  # noqa: E731
    x = x.clone()

    def poison(epoch: Epoch) -> None:
        if epoch.epoch == 2:
            x[:] = math.nan

    with pytest.raises(Divergence, match=r"nan in epoch 3 at step size 0\.025"):
        fit(network(), x, y, schedule(decay=0.5), generator=generator(0, "o"), relabel=labels, report=poison)


def test_accuracies_are_measured_without_dropout_and_training_goes_on_with_it() -> None:
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(6, 3), nn.Dropout(0.9999))
    history = fit(model, *problem(), schedule(epochs=1, lr=1e-12), generator=generator(0, "order"))
    x, y = problem()
    clean = float((model[0](x).argmax(1) == y).double().mean())
    assert clean != float((y == 0).double().mean())  # what scores of zero would give
    assert history[0].train_accuracy == history[1].train_accuracy == accuracy(model, x, y) == clean
    assert history[1].loss == pytest.approx(math.log(3), abs=1e-6)  # met with dropout: all scores zero
    assert model.training


def test_measuring_accuracy_does_not_train() -> None:
    model = nn.Sequential(nn.Unflatten(1, (6, 1, 1)), nn.BatchNorm2d(6), nn.Flatten(), nn.Linear(6, 3))
    before = {name: value.clone() for name, value in model.state_dict().items()}
    accuracy(model, *problem())
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())
    assert model.training


def normalized_network() -> nn.Sequential:
    """Batch normalization of one value per sample and channel: what a single sample cannot be normalized by."""
    torch.manual_seed(0)
    return nn.Sequential(nn.Unflatten(1, (6, 1, 1)), nn.BatchNorm2d(6), nn.Flatten(), nn.Linear(6, 3))


def test_the_first_loss_is_measured_without_training() -> None:
    x, y = problem()
    model, twin = normalized_network(), normalized_network().eval()
    states: list[dict[str, Tensor]] = []

    def relabel(epoch: int) -> Tensor:
        states.append({name: value.clone() for name, value in model.state_dict().items()})
        return y

    history = fit(model, x, y, schedule(epochs=1), generator=generator(0, "order"), relabel=relabel)
    assert all(torch.equal(value, states[0][name]) for name, value in twin.state_dict().items())
    assert history[0].loss == pytest.approx(float(cross_entropy(twin(x), y).detach()), rel=1e-6)
    dropping = nn.Sequential(nn.Linear(6, 3), nn.Dropout(0.9999))
    with torch.no_grad():
        clean = float(cross_entropy(dropping[0](x), y))
    assert fit(dropping, x, y, schedule(epochs=1), generator=generator(0, "o"))[0].loss == pytest.approx(clean)


@pytest.mark.parametrize(("n", "sizes"), [(9, [9]), (17, [8, 9]), (18, [8, 8, 2]), (8, [8]), (1, [1])])
def test_a_sample_left_over_joins_the_batch_before_it(n: int, sizes: list[int]) -> None:
    x, y = problem(n)
    met: list[int] = []

    class Spy(nn.Linear):
        def forward(self, batch: Tensor) -> Tensor:
            if torch.is_grad_enabled():
                met.append(len(batch))
            return super().forward(batch)

    history = fit(Spy(6, 3), x, y, schedule(epochs=1), generator=generator(0, "order"))
    assert met == sizes
    assert history[1].steps == len(sizes)
    if n > 1:
        trained = fit(normalized_network(), x, y, schedule(epochs=2), generator=generator(0, "order"))
        assert len(trained) == 3


def test_accuracy_by_hand() -> None:
    model = nn.Identity()
    scores = torch.tensor([[2.0, 1.0], [0.0, 3.0], [5.0, 4.0]])
    assert accuracy(model, scores, torch.tensor([0, 1, 1])) == 2 / 3
    assert accuracy(model, scores, torch.tensor([0, 1, 1]), batch_size=1) == 2 / 3
    assert accuracy(model.eval(), scores, torch.tensor([0, 1, 0])) == 1.0
    assert not model.training
    with pytest.raises(ValueError, match="no samples"):
        accuracy(model, scores[:0], torch.zeros(0, dtype=torch.long))


def test_training_leaves_data_and_global_generators_alone() -> None:
    x, y = problem()
    kept, model, before = (x.clone(), y.clone()), network(), torch.get_rng_state()
    fit(model, x, y, schedule(), generator=generator(0, "order"))
    assert torch.equal(x, kept[0]) and torch.equal(y, kept[1])
    assert torch.equal(before, torch.get_rng_state())


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"epochs": 0}, "epochs must be at least 1; got 0"),
        ({"batch_size": 0}, "batch_size must be at least 1; got 0"),
        ({"weight_decay": -0.1}, r"weight_decay must be at least 0\.0; got -0\.1"),
        ({"momentum": -1.0}, r"momentum must be at least 0\.0; got -1\.0"),
        ({"lr": 0.0}, r"lr must be positive; got 0\.0"),
        ({"lr": math.nan}, "lr must be positive; got nan"),
        ({"decay": 0.0}, r"decay must be positive; got 0\.0"),
        ({"momentum": math.nan}, "momentum must be at least"),
    ],
)
def test_a_schedule_refuses_what_makes_no_sense(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        schedule(**changes)


def test_inputs_and_labels_must_agree_in_number() -> None:
    x, y = problem()
    for wrong in [(x, y[:-1]), (x[:0], y[:0])]:
        with pytest.raises(ValueError, match="x and y must have the same number of samples, at least one; got"):
            fit(network(), *wrong, schedule(), generator=generator(0, "order"))
