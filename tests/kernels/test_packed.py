"""Interpolation with half of the matrix: against the whole matrix, scikit-learn, and a count of what is kept."""

import math
from functools import partial

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from sklearn.kernel_ridge import KernelRidge
from torch import Tensor

from dlparadox.kernels import expansion, gaussian_kernel, interpolant, laplace_kernel, linear_kernel, packed_interpolant
from dlparadox.seeding import generator

laplace = partial(laplace_kernel, bandwidth=3.0)
panels = st.integers(1, 50)


def points(n: int, d: int, name: str = "x", seed: int = 0) -> Tensor:
    return torch.randn(n, d, generator=generator(seed, name), dtype=torch.float64)


@given(st.integers(1, 40), st.integers(1, 3), panels, st.sampled_from([0.0, 1e-3, 1.0]), st.integers(0, 999))
def test_the_same_coefficients_as_with_the_whole_matrix(n: int, k: int, panel: int, ridge: float, seed: int) -> None:
    x, y = points(n, 5, seed=seed), points(n, k, "y", seed)
    found = packed_interpolant(laplace, x, y, ridge, panel=panel)
    torch.testing.assert_close(found, interpolant(laplace(x, x), y, ridge), rtol=1e-8, atol=1e-8)


@given(st.integers(1, 30), st.integers(1, 20), panels)
def test_the_expansion_is_the_sum_over_all_samples(n: int, m: int, panel: int) -> None:
    x, z, c = points(n, 4), points(m, 4, "z"), points(n, 2, "c")
    expected = torch.stack(
        [sum(c[j] * math.exp(-math.dist(a, b) / 3) for j, b in enumerate(x.tolist())) for a in z.tolist()]
    )
    torch.testing.assert_close(expansion(laplace, z, x, c, panel=panel), expected, rtol=1e-7, atol=1e-7)


@pytest.mark.parametrize("panel", [1, 7, 30, 100])
def test_it_passes_through_all_points(panel: int) -> None:
    x, y = points(30, 5), points(30, 2, "y")
    c = packed_interpolant(laplace, x, y, panel=panel)
    torch.testing.assert_close(expansion(laplace, x, x, c), y, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("ridge", [1e-4, 1e-2, 1.0])
def test_the_ridge_against_scikit_learn(ridge: float) -> None:
    x, z, y = points(30, 4), points(9, 4, "z"), points(30, 2, "y")
    gaussian = partial(gaussian_kernel, bandwidth=2.0)
    c = packed_interpolant(gaussian, x, y, ridge, panel=8)
    model = KernelRidge(kernel="rbf", gamma=1 / 8, alpha=ridge * 30).fit(x, y)
    np.testing.assert_allclose(c, model.dual_coef_, rtol=1e-8, atol=1e-10)
    np.testing.assert_allclose(expansion(gaussian, z, x, c, panel=4), model.predict(z), rtol=1e-8, atol=1e-10)


def test_only_half_of_the_matrix_is_ever_computed() -> None:
    n, panel, computed = 200, 10, []

    def counted(a: Tensor, b: Tensor) -> Tensor:
        computed.append(len(a) * len(b))
        return laplace(a, b)

    packed_interpolant(counted, points(n, 3), points(n, 1, "y"), panel=panel)
    assert sum(computed) == n * (n + panel) // 2


def test_one_factor_serves_all_targets() -> None:
    x, y = points(25, 3), points(25, 4, "y")
    together = packed_interpolant(laplace, x, y, panel=6)
    for column in range(4):
        alone = packed_interpolant(laplace, x, y[:, [column]], panel=6)
        torch.testing.assert_close(together[:, [column]], alone, rtol=1e-9, atol=1e-9)


def test_arguments_stay_as_they_were() -> None:
    x, y = points(12, 3), points(12, 2, "y")
    kept = x.clone(), y.clone()
    packed_interpolant(laplace, x, y, 0.1, panel=5)
    assert torch.equal(x, kept[0]) and torch.equal(y, kept[1])


@pytest.mark.parametrize("first", [1, 7])
def test_repeated_samples_are_an_error_that_says_where(first: int) -> None:
    x, y = points(12, 3), points(12, 1, "y")
    x[10] = x[first]
    with pytest.raises(ValueError, match=r"matrix of 12 samples .*float64, seen at samples 8 to 11; .*remove repeated"):
        packed_interpolant(laplace, x, y, panel=4)


def test_a_kernel_of_low_rank_cannot_interpolate() -> None:
    x, y = points(20, 4), points(20, 1, "y")
    with pytest.raises(ValueError, match="not positive definite"):
        packed_interpolant(linear_kernel, x, y, panel=7)
    packed_interpolant(linear_kernel, x, y, 1e-3, panel=7)  # the remedy that the error names


def test_errors_name_the_value() -> None:
    x, y = points(4, 2), points(4, 1, "y")
    with pytest.raises(ValueError, match="same number of samples, at least one; got 4 and 3"):
        packed_interpolant(laplace, x, y[:3])
    with pytest.raises(ValueError, match="same number of samples, at least one; got 0 and 0"):
        packed_interpolant(laplace, x[:0], y[:0])
    for ridge in (-1.0, math.nan):
        with pytest.raises(ValueError, match="ridge must be at least 0"):
            packed_interpolant(laplace, x, y, ridge)
    with pytest.raises(ValueError, match=r"panel at least 1; got 0\.0 and 0"):
        packed_interpolant(laplace, x, y, panel=0)
