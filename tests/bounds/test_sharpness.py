"""Noise on weights: against networks whose errors are known, another route, and planted faults."""

import math

import pytest
import torch
from scipy.stats import norm
from torch import Tensor

from dlparadox.bounds.sharpness import Perturbation, noise_tolerance
from dlparadox.seeding import generator


def linear(scale: float, draws: int) -> Perturbation:
    """Two scores ±scale x / 2 of one input x = 1; noise on their difference: sqrt(2) σ."""
    weights = [torch.tensor([[-scale / 2], [scale / 2]], dtype=torch.float64)]
    x, y = torch.ones(1, 1, dtype=torch.float64), torch.tensor([1])
    return Perturbation(weights, x, y, draws=draws, generator=generator(0, "noise"))


def test_errors_of_a_linear_classifier_are_normal_tails() -> None:
    perturbation = linear(1.0, 40_000)
    for sigma in (0.3, 1.0, 5.0):
        expected = norm.sf(1 / (math.sqrt(2) * sigma))
        assert float(perturbation.errors(sigma).mean()) == pytest.approx(expected, abs=4 * 0.5 / 200)


@pytest.mark.parametrize("scale", [0.01, 1.0, 40.0])
def test_tolerance_of_a_linear_classifier(scale: float) -> None:
    """P(error) = 0.1 where scale / (sqrt(2) σ) is the upper tenth of the normal distribution."""
    expected = scale / (math.sqrt(2) * norm.isf(0.1))
    assert noise_tolerance(linear(scale, 40_000), rise=0.1) == pytest.approx(expected, rel=0.03)


def test_tolerance_counts_from_the_error_without_noise() -> None:
    """One of three answers is wrong: with a share p of flips the error is 1/3 + p/3, and p = 0.3 at a rise of 0.1."""
    weights = [torch.tensor([[-0.5], [0.5]], dtype=torch.float64)]
    x, y = torch.ones(3, 1, dtype=torch.float64), torch.tensor([1, 1, 0])
    perturbation = Perturbation(weights, x, y, draws=40_000, generator=generator(0, "noise"))
    expected = 1 / (math.sqrt(2) * norm.isf(0.3))
    assert noise_tolerance(perturbation, rise=0.1) == pytest.approx(expected, rel=0.05)


def test_noise_is_that_of_its_stream() -> None:
    first, again, other = (small(generator=generator(seed, "noise")).noise[0] for seed in (0, 0, 1))
    assert torch.equal(first, again) and not torch.equal(first, other)


def test_errors_are_those_of_networks_drawn_one_by_one() -> None:
    stream = generator(1, "network")
    weights = [torch.randn(shape, generator=stream) for shape in ((7, 4), (5, 7), (3, 5))]
    x, y = torch.randn(30, 4, generator=stream), torch.randint(3, (30,), generator=stream)
    perturbation = Perturbation(weights, x, y, draws=6, generator=generator(2, "noise"))
    for draw, found in enumerate(perturbation.errors(0.4)):
        a, b, c = (weight + 0.4 * noise[draw] for weight, noise in zip(weights, perturbation.noise, strict=True))
        scores = torch.relu(torch.relu(x @ a.T) @ b.T) @ c.T
        assert float(found) == pytest.approx(float((scores.argmax(1) != y).double().mean()))
    assert perturbation.errors(0.4).tolist() == perturbation.errors(0.4).tolist()
    assert len(set(perturbation.errors(0.0).tolist())) == 1


def small(**changed: object) -> Perturbation:
    given: dict[str, object] = {
        "weights": [torch.ones(2, 3)],
        "x": torch.ones(4, 3),
        "y": torch.zeros(4, dtype=torch.int64),
        "draws": 2,
        "generator": generator(0, "noise"),
    }
    return Perturbation(**{**given, **changed})  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"draws": 0}, "draws must be at least 1; got 0"),
        ({"weights": [torch.ones(1, 3)]}, "at least two rows"),
        ({"weights": []}, "at least two rows"),
        ({"x": torch.ones(0, 3), "y": torch.ones(0)}, "at least one; got 0 and 0"),
        ({"x": torch.ones(3, 3)}, "the same number of samples, at least one; got 3 and 4"),
    ],
)
def test_bad_arguments(changed: dict[str, Tensor], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        small(**changed)


@pytest.mark.parametrize("rise", [0.0, -0.1, math.nan])
def test_a_rise_is_positive(rise: float) -> None:
    with pytest.raises(ValueError, match="rise must be positive"):
        noise_tolerance(linear(1.0, 10), rise=rise)


def test_a_rise_that_noise_cannot_reach() -> None:
    with pytest.raises(ValueError, match=r"even noise of 1000 does not raise the error by 0\.9"):
        noise_tolerance(linear(1.0, 1000), rise=0.9)
