"""Gaussian posteriors over networks: against hand computation, drawn networks, and exact risks."""

import math

import pytest
import torch
from scipy.stats import norm
from torch.distributions import Independent, Normal, kl_divergence

from dlparadox.bounds.gaussian import (
    GRID_STEPS,
    GRID_TOP,
    Gaussian,
    Training,
    bounded_loss,
    certify,
    count_weights,
    initial_weights,
    layers,
    minibatches,
    network,
    objective,
    prior_confidence,
    prior_index,
    prior_variance,
    stochastic_error,
    stochastic_network,
    train_network,
    train_posterior,
)
from dlparadox.bounds.pac_bayes import kl_bound, kl_inverse, quadratic_bound
from dlparadox.seeding import generator

WIDTHS = [3, 5, 1]


def blobs(n: int, seed: int = 0) -> tuple[torch.Tensor, torch.Tensor]:
    """Two clouds in three dimensions, with labels 0 and 1."""
    stream = generator(seed, "blobs")
    labels = torch.randint(2, (n,), generator=stream)
    return torch.randn(n, 3, generator=stream) + 1.5 * (2.0 * labels[:, None] - 1.0), labels


def some_posterior(dtype: torch.dtype = torch.float32) -> Gaussian:
    stream = generator(0, "posterior")
    p = count_weights(WIDTHS)
    mean, spread = torch.randn(2, p, generator=stream, dtype=dtype)
    return Gaussian(mean, 0.3 * spread.abs() + 0.05)


def test_weights_are_counted_and_split_by_layer() -> None:
    assert count_weights([784, 600, 1]) == 784 * 600 + 600 + 600 + 1 == 471_601
    weights = torch.arange(26.0)
    first, last = layers(weights, WIDTHS)
    assert first.shape == (4, 5) and last.shape == (6, 1)
    assert torch.equal(torch.cat([first.flatten(), last.flatten()]), weights)
    first[0, 0] = 7.0
    assert weights[0] == 7.0  # views
    for wrong in (25, 27):
        with pytest.raises(ValueError, match=f"have 26 weights; got {wrong}"):
            layers(torch.zeros(wrong), WIDTHS)
    with pytest.raises(ValueError, match=r"at least two numbers.*\[3\]"):
        count_weights([3])
    with pytest.raises(ValueError, match=r"each at least 1; got \[3, 0, 1\]"):
        count_weights([3, 0, 1])


def test_network_by_hand() -> None:
    weights = torch.tensor([1.0, -2.0, 0.5, 3.0, 1.0, -1.0, 2.0, 0.25, -0.5])  # [2 + 1, 2], then [2 + 1, 1]
    x = torch.tensor([[1.0, 1.0], [-1.0, 2.0]])
    hidden = [[max(1 + 0.5 + 1, 0), max(-2 + 3 - 1, 0)], [max(-1 + 1 + 1, 0), max(2 + 6 - 1, 0)]]
    expected = [2 * a + 0.25 * b - 0.5 for a, b in hidden]
    assert network(weights, [2, 2, 1], x).tolist() == pytest.approx(expected)


def test_initial_weights_have_their_variances_and_no_biases() -> None:
    weights = initial_weights([400, 300, 1], generator(0, "w"))
    first, last = layers(weights, [400, 300, 1])
    assert float(first[:-1].var()) == pytest.approx(2 / 400, rel=0.02)
    assert float(last[:-1].var()) == pytest.approx(1 / 300, rel=0.3)
    assert not first[-1].any() and not last[-1].any()


def test_without_noise_the_stochastic_network_is_its_mean() -> None:
    posterior = some_posterior()
    x, _ = blobs(20)
    still = Gaussian(posterior.mean, torch.full_like(posterior.std, 1e-12))
    found = stochastic_network(still, WIDTHS, x, generator(0, "draw"))
    assert torch.allclose(found, network(posterior.mean, WIDTHS, x), atol=1e-5)


def test_drawn_sums_have_the_law_of_drawn_networks() -> None:
    posterior = some_posterior(torch.float64)
    x = torch.tensor([[0.5, -1.0, 2.0]], dtype=torch.float64)
    draws = 20_000
    stream = generator(1, "draws")
    sums = stochastic_network(posterior, WIDTHS, x.expand(draws, 3), stream)
    noise = torch.randn(draws, len(posterior.mean), generator=stream, dtype=torch.float64)
    networks = posterior.mean + posterior.std * noise
    first = networks[:, :20].view(-1, 4, 5)
    hidden = torch.relu(torch.einsum("i,nij->nj", x[0], first[:, :3]) + first[:, 3])
    whole = (hidden * networks[:, 20:25]).sum(1) + networks[:, 25]
    assert float(sums.mean()) == pytest.approx(float(whole.mean()), abs=5 * float(whole.std()) / draws**0.5 * 2**0.5)
    assert float(sums.std()) == pytest.approx(float(whole.std()), rel=0.03)
    quantiles = torch.linspace(0.05, 0.95, 10, dtype=torch.float64)
    assert torch.allclose(sums.quantile(quantiles), whole.quantile(quantiles), atol=0.06 * float(whole.std()))


def test_rows_are_drawn_independently_and_streams_repeat() -> None:
    posterior = some_posterior()
    x = torch.ones(5000, 3)
    one = stochastic_network(posterior, WIDTHS, x, generator(2, "draw"))
    assert torch.equal(one, stochastic_network(posterior, WIDTHS, x, generator(2, "draw")))
    assert abs(float(torch.corrcoef(torch.stack([one[::2], one[1::2]]))[0, 1])) < 5 / 2500**0.5
    assert len(one.unique()) > 4900


def test_error_of_a_linear_classifier_is_exact() -> None:
    posterior = Gaussian(torch.tensor([1.0, -0.5, 0.2, 0.1]), torch.tensor([0.4, 0.6, 0.2, 0.3]))
    x, labels = blobs(200)
    mean = x @ posterior.mean[:3] + posterior.mean[3]
    spread = (x.square() @ posterior.std[:3].square() + posterior.std[3] ** 2).sqrt()
    exact = float(norm.cdf(-(2.0 * labels - 1.0) * mean / spread).mean())
    found = stochastic_error(posterior, [3, 1], x, labels, 400, generator(0, "errors"))
    assert found == pytest.approx(exact, abs=5 * math.sqrt(exact / (400 * 200)))
    with pytest.raises(ValueError, match="passes must be at least 1; got 0"):
        stochastic_error(posterior, [3, 1], x, labels, 0, generator(0, "errors"))


def test_a_network_that_is_always_wrong_has_the_error_one() -> None:
    posterior = Gaussian(torch.tensor([0.0, 0.0, 0.0, 1.0]), torch.full((4,), 1e-6))
    x, labels = blobs(10)[0], torch.zeros(10, dtype=torch.int64)
    assert stochastic_error(posterior, [3, 1], x, labels, 3, generator(0, "errors")) == 1.0
    assert stochastic_error(posterior, [3, 1], x, 1 - labels, 3, generator(0, "errors")) == 0.0


def test_loss_in_bits_is_above_the_error_and_bounded() -> None:
    outputs = torch.tensor([0.0, 3.0, -3.0, 50.0])
    labels = torch.tensor([1, 1, 1, 0])
    each = [float(bounded_loss(outputs[i : i + 1], labels[i : i + 1])) for i in range(4)]
    assert each == pytest.approx([1.0, math.log2(1 + math.exp(-3)), math.log2(1 + math.exp(3)), math.log2(1e4)])
    assert float(bounded_loss(outputs, labels)) == pytest.approx(sum(each) / 4)
    stream = generator(0, "loss")
    outputs, labels = 5 * torch.randn(1000, generator=stream), torch.randint(2, (1000,), generator=stream)
    for output, label in zip(outputs[:100], labels[:100], strict=True):
        assert float(bounded_loss(output[None], label[None])) >= float((output > 0) != (label > 0)) * (1 - 1e-6)


def test_gradient_of_the_stochastic_loss_is_that_of_finite_differences() -> None:
    x, labels = blobs(40)
    x = x.double()
    posterior = some_posterior(torch.float64)

    def loss(mean: torch.Tensor, log_std: torch.Tensor) -> torch.Tensor:
        drawn = stochastic_network(Gaussian(mean, log_std.exp()), WIDTHS, x, generator(3, "same draws"))
        return bounded_loss(drawn, labels)

    inputs = (posterior.mean.requires_grad_(), posterior.std.log().detach().requires_grad_())
    assert torch.autograd.gradcheck(loss, inputs, eps=1e-6, atol=1e-6)


def test_grid_of_priors() -> None:
    assert prior_variance(1) == pytest.approx(0.1 * math.exp(-0.01))
    assert prior_variance(230) == pytest.approx(0.01, rel=0.01)
    for index in (1, 2, 57, 1000):
        assert prior_index(prior_variance(index)) == index
    assert prior_index(5.0) == 1
    assert prior_index(GRID_TOP * math.exp(-7.4 / GRID_STEPS)) == 7
    assert prior_index(GRID_TOP * math.exp(-6.6 / GRID_STEPS)) == 7
    for bad, message in ((0, "index must be at least 1; got 0"), (-3, "got -3")):
        with pytest.raises(ValueError, match=message):
            prior_variance(bad)
    with pytest.raises(ValueError, match="variance must be positive; got 0"):
        prior_index(0.0)


def test_shares_of_all_priors_add_up_to_delta() -> None:
    total = sum(prior_confidence(index, 0.025) for index in range(1, 200_000))
    assert 0.025 * (1 - 1e-5) < total < 0.025
    nats = math.log(0.025 / prior_confidence(300, 0.025))
    assert nats == pytest.approx(2 * math.log(300) + math.log(math.pi**2 / 6))
    with pytest.raises(ValueError, match="index must be at least 1; got 0"):
        prior_confidence(0, 0.025)
    with pytest.raises(ValueError, match="delta must lie between"):
        prior_confidence(1, 1.0)


@pytest.mark.parametrize(("risk", "kl"), [(0.05, 30.0), (0.2, 3.0), (0.0, 0.0)])
def test_objective_is_the_quadratic_bound(risk: float, kl: float) -> None:
    found = objective(torch.tensor(risk, dtype=torch.float64), torch.tensor(kl, dtype=torch.float64), 1000, 0.01)
    assert float(found) == pytest.approx(quadratic_bound(risk, kl, 1000, 0.01), rel=1e-9)


def test_minibatches_cover_each_epoch_once() -> None:
    found = minibatches(10, Training(7, 0.1, 3), generator(0, "order"))
    assert [len(batch) for batch in found] == [3] * 7
    assert len(torch.cat(found[:3]).unique()) == 9 and len(torch.cat(found[3:6]).unique()) == 9
    assert len(minibatches(10, Training(2, 0.1, 50), generator(0, "order"))[0]) == 10


def test_each_epoch_has_an_order_of_its_own() -> None:
    first, second = minibatches(100, Training(2, 0.1, 100), generator(0, "order"))
    assert first.sort().values.tolist() == second.sort().values.tolist() == list(range(100))
    assert not torch.equal(first, second)
    assert torch.equal(first, minibatches(100, Training(1, 0.1, 100), generator(0, "order"))[0])


@pytest.mark.parametrize("steps", [1, 10, 40])
def test_the_step_size_falls_along_a_straight_line(steps: int) -> None:
    """Far on the wrong side the slope of the loss is 1, so Adam moves by its step size: lr (T + 1)/2 in T steps."""
    x, labels = torch.ones(4, 1), torch.ones(4, dtype=torch.int64)
    start = torch.tensor([-512.0, 0.0])
    trained = train_network(start, [1, 1], x, labels, Training(steps, 0.5, 4), generator(0, "order"))
    assert (trained - start).tolist() == pytest.approx([0.5 * (steps + 1) / 2] * 2, abs=1e-3)


def test_an_ordinary_network_learns_and_leaves_its_start_alone() -> None:
    x, labels = blobs(300)
    start = initial_weights(WIDTHS, generator(0, "w"))
    before = start.clone()
    trained = train_network(start, WIDTHS, x, labels, Training(200, 0.02, 50), generator(0, "order"))
    assert torch.equal(start, before)
    assert float(((network(trained, WIDTHS, x) > 0) != (labels > 0)).float().mean()) < 0.05


def test_certificate_by_hand() -> None:
    x, labels = blobs(100)
    posterior, centre = some_posterior(), torch.full((count_weights(WIDTHS),), 0.1)
    found = certify(posterior, centre, 40, WIDTHS, x, labels, generator(5, "c"), passes=7, delta=0.04, delta_draws=0.01)
    error = stochastic_error(posterior, WIDTHS, x, labels, 7, generator(5, "c"))
    mean, std, middle = (part.double() for part in (*posterior, centre))
    spread = torch.full_like(middle, math.sqrt(0.1 * math.exp(-0.4)))
    reference = kl_divergence(Independent(Normal(mean, std), 1), Independent(Normal(middle, spread), 1))
    risk = kl_inverse(error, math.log(2 / 0.01) / 700)
    share = 0.04 * 6 / (math.pi * 40) ** 2
    bound = kl_inverse(risk, (float(reference) + math.log(2 * 10 / share)) / 100)
    assert found.error == error and found.risk == pytest.approx(risk) and found.place == 40
    assert found.kl == pytest.approx(float(reference), rel=1e-12) and found.kl > 0  # in float64
    assert found.share == pytest.approx(share) and found.bound == pytest.approx(bound, rel=1e-6)
    assert found.error < found.risk < found.bound


def test_divergence_is_zero_at_the_prior_and_never_negative() -> None:
    x, labels = blobs(50)
    centre = initial_weights(WIDTHS, generator(0, "w"))
    for index in (1, 100, 500):
        same = Gaussian(centre, torch.full_like(centre, math.sqrt(prior_variance(index))))
        found = certify(
            same, centre, index, WIDTHS, x, labels, generator(0, "c"), passes=1, delta=0.05, delta_draws=0.01
        )
        assert 0.0 <= found.kl < 1e-6
        assert found.bound == pytest.approx(kl_bound(found.risk, found.kl, 50, found.share))


def test_weights_that_are_no_numbers_get_no_certificate() -> None:
    x, labels = blobs(50)
    posterior, centre = some_posterior(), torch.zeros(count_weights(WIDTHS))
    posterior.mean[3] = math.nan
    with pytest.raises(ValueError, match="kl must be at least 0; got nan"):
        certify(posterior, centre, 40, WIDTHS, x, labels, generator(0, "c"), passes=2, delta=0.04, delta_draws=0.01)


def test_a_posterior_is_trained_to_a_better_bound_than_that_of_its_start() -> None:
    x, labels = blobs(1000)
    centre = initial_weights(WIDTHS, generator(0, "w"))
    schedule = Training(300, 0.02, 100)
    posterior, index = train_posterior(centre, WIDTHS, x, labels, schedule, generator(0, "t"), delta=0.025)
    given = {"passes": 20, "delta": 0.025, "delta_draws": 0.01}
    found = certify(posterior, centre, index, WIDTHS, x, labels, generator(0, "c"), **given)
    start = Gaussian(centre, torch.full_like(centre, 0.05))
    before = certify(start, centre, prior_index(0.05**2), WIDTHS, x, labels, generator(0, "c"), **given)
    assert found.bound < 0.5 * before.bound and found.bound < 0.2
    again, same = train_posterior(centre, WIDTHS, x, labels, schedule, generator(0, "t"), delta=0.025)
    assert torch.equal(again.mean, posterior.mean) and torch.equal(again.std, posterior.std) and same == index


def test_a_posterior_that_is_not_moved_is_where_it_was_told_to_start() -> None:
    x, labels = blobs(20)
    centre, start = torch.zeros(4), torch.tensor([1.0, 2.0, 3.0, 4.0])
    still = Training(3, 0.0, 10)
    for given, expected in ((start, start), (None, centre)):
        stream = generator(0, "t")
        found, index = train_posterior(centre, [3, 1], x, labels, still, stream, delta=0.05, start=given, std=0.2)
        assert torch.equal(found.mean, expected) and found.std.tolist() == pytest.approx([0.2] * 4)
        assert index == prior_index(0.2**2)


def test_training_counts_all_samples_and_pays_for_its_prior(monkeypatch: pytest.MonkeyPatch) -> None:
    x, labels = blobs(20)
    seen = []

    def watched(risk: torch.Tensor, kl: torch.Tensor, n: int, confidence: torch.Tensor) -> torch.Tensor:
        seen.append((n, float(confidence.detach())))
        return objective(risk, kl, n, confidence)

    monkeypatch.setattr("dlparadox.bounds.gaussian.objective", watched)
    train_posterior(torch.zeros(4), [3, 1], x, labels, Training(1, 0.0, 5), generator(0, "t"), delta=0.05, std=0.2)
    index = GRID_STEPS * math.log(GRID_TOP / 0.2**2)
    assert seen == [(20, pytest.approx(prior_confidence(index, 0.05)))]


def test_a_prior_wider_than_the_grid_is_trained_as_its_first() -> None:
    x, labels = blobs(20)
    still = Training(3, 0.0, 10)
    _, index = train_posterior(torch.zeros(4), [3, 1], x, labels, still, generator(0, "t"), delta=0.05, std=0.9)
    assert index == 1


def test_the_certificate_of_a_linear_classifier_is_above_its_exact_risk() -> None:
    """Twenty training sets; the risk on the two clouds has a closed form."""
    centre, schedule, failures = torch.zeros(4), Training(60, 0.05, 50), 0
    fresh, fresh_labels = blobs(20_000, seed=999)
    for seed in range(20):
        x, labels = blobs(100, seed=seed)
        posterior, index = train_posterior(centre, [3, 1], x, labels, schedule, generator(seed, "t"), delta=0.025)
        found = certify(
            posterior, centre, index, [3, 1], x, labels, generator(seed, "c"), passes=20, delta=0.025, delta_draws=0.01
        )
        mean = fresh @ posterior.mean[:3] + posterior.mean[3]
        spread = (fresh.square() @ posterior.std[:3].square() + posterior.std[3] ** 2).sqrt()
        exact = float(norm.cdf(-(2.0 * fresh_labels - 1.0) * mean / spread).mean())
        failures += found.bound < exact
        assert found.bound < 0.6
    assert failures <= 2  # each fails with probability at most 0.035; three of twenty: about 3 in 100
