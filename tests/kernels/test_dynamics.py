"""Linear dynamics against loops of gradient descent, an ODE solver, matrix exponentials, and their limits."""

import math
from collections.abc import Callable

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy.integrate import solve_ivp
from scipy.linalg import expm
from torch import Tensor

from dlparadox.kernels.dynamics import LinearDynamics
from dlparadox.seeding import generator

sizes = st.integers(1, 8)
outputs = st.integers(1, 3)
seeds = st.integers(0, 999)
near = {"rtol": 1e-9, "atol": 1e-9}
exact = {"rtol": 1e-12, "atol": 1e-12}


def draw(*shape: int, seed: int = 0, name: str = "x") -> Tensor:
    return torch.randn(*shape, generator=generator(seed, name), dtype=torch.float64)


class Linear:
    """The model f = J θ + f0 at n training and m test points with p parameters for k outputs; a loop trains it."""

    def __init__(self, n: int, k: int, p: int, seed: int = 0, m: int = 3, shared: bool = True) -> None:
        self.shared = shared
        rows = (n, m) if shared else (n * k, m * k)
        self.jacobian, self.jacobian_test = (
            draw(r, p, seed=seed, name=f"J{i}") / math.sqrt(p) for i, r in enumerate(rows)
        )
        self.y, self.f0 = draw(n, k, seed=seed, name="y"), draw(n, k, seed=seed, name="f0")
        self.f0_test = draw(m, k, seed=seed, name="f0 test")
        self.ntk, self.ntk_test = self.jacobian @ self.jacobian.T, self.jacobian_test @ self.jacobian.T
        self.dynamics = LinearDynamics(self.ntk, self.y, self.f0)

    def loop(self, steps: list[int], lr: float) -> list[tuple[Tensor, Tensor]]:
        """Outputs at the training and test points after so many steps of plain gradient descent on θ."""
        f0, y = (t if self.shared else t.reshape(-1, 1) for t in (self.f0, self.y))
        theta, seen = torch.zeros(self.jacobian.shape[1], f0.shape[1], dtype=torch.float64), []
        for step in range(max(steps) + 1):
            change = self.jacobian @ theta
            if step in steps:
                test = self.jacobian_test @ theta
                seen.append((self.f0 + change.reshape(self.f0.shape), self.f0_test + test.reshape(self.f0_test.shape)))
            theta -= lr * self.jacobian.T @ (change + f0 - y)
        return seen


@pytest.mark.parametrize("shared", [True, False])
@pytest.mark.parametrize("n, k, p", [(5, 2, 30), (6, 3, 4), (1, 1, 1)])
@pytest.mark.parametrize("rate", [0.1, 1.0, 1.9])
def test_descent_against_a_loop(n: int, k: int, p: int, shared: bool, rate: float) -> None:
    model = Linear(n, k, p, shared=shared)
    lr = rate / float(model.dynamics.eigenvalues[0])
    counts = torch.tensor([0, 1, 2, 7, 1000, 3001])
    train = model.dynamics.descent(counts, lr)
    test = model.dynamics.descent_at(counts, lr, model.ntk_test, model.f0_test)
    for i, (count, expected) in enumerate(zip(counts.tolist(), model.loop(counts.tolist(), lr), strict=True)):
        torch.testing.assert_close((train[i], test[i]), expected, rtol=1e-11, atol=1e-11)
        torch.testing.assert_close(model.dynamics.descent(count, lr), train[i], **exact)
        alone = model.dynamics.descent_at(count, lr, model.ntk_test, model.f0_test)
        torch.testing.assert_close(alone, test[i], **exact)


def test_descent_beyond_stability_grows_as_the_loop_does() -> None:
    model = Linear(4, 2, 9)
    lr = 2.5 / float(model.dynamics.eigenvalues[0])
    counts = [9, 10, 60]
    for steps, (expected, expected_test) in zip(counts, model.loop(counts, lr), strict=True):
        torch.testing.assert_close(model.dynamics.descent(steps, lr), expected, rtol=1e-9, atol=0.0)
        test = model.dynamics.descent_at(steps, lr, model.ntk_test, model.f0_test)
        torch.testing.assert_close(test, expected_test, rtol=1e-9, atol=0.0)
    assert float(expected.abs().max()) > 1e8


@given(sizes, outputs, st.integers(1, 12), st.floats(0.01, 50), seeds)
def test_flow_against_the_matrix_exponential(n: int, k: int, p: int, time: float, seed: int) -> None:
    model = Linear(n, k, p, seed)
    decay = torch.from_numpy(expm(-time * model.ntk.numpy()))
    torch.testing.assert_close(model.dynamics.flow(time), model.y + decay @ (model.f0 - model.y), **near)


@pytest.mark.parametrize("p", [20, 3])
@pytest.mark.parametrize("shared", [True, False])
def test_flow_against_an_ode_solver(shared: bool, p: int) -> None:
    model, times = Linear(4, 2, p, shared=shared), np.array([0.0, 0.3, 2.0, 20.0])
    ntk, ntk_test = model.ntk.numpy(), model.ntk_test.numpy()
    inner = (-1, 2) if shared else (-1, 1)
    y, f0, f0_test = (t.reshape(inner).numpy() for t in (model.y, model.f0, model.f0_test))

    def slope(_: float, state: np.ndarray) -> np.ndarray:
        error = state[: f0.size].reshape(f0.shape) - y
        return -np.concatenate([(ntk @ error).ravel(), (ntk_test @ error).ravel()])

    start = np.concatenate([f0.ravel(), f0_test.ravel()])
    path = solve_ivp(slope, (0, 20), start, method="DOP853", t_eval=times, rtol=1e-12, atol=1e-12).y.T
    ours = model.dynamics.flow(torch.from_numpy(times))
    np.testing.assert_allclose(ours.reshape(4, -1), path[:, : f0.size], atol=1e-9)
    ours = model.dynamics.flow_at(torch.from_numpy(times), model.ntk_test, model.f0_test)
    np.testing.assert_allclose(ours.reshape(4, -1), path[:, f0.size :], atol=1e-9)


@pytest.mark.parametrize("shared", [True, False])
def test_at_time_zero_nothing_has_moved(shared: bool) -> None:
    model = Linear(5, 3, 9, shared=shared)
    dynamics, lr = model.dynamics, 0.1
    for train in (dynamics.flow(0.0), dynamics.descent(0, lr), dynamics.descent(0, 1 / float(dynamics.eigenvalues[0]))):
        assert torch.equal(train, model.f0)
    for test in (
        dynamics.flow_at(0, model.ntk_test, model.f0_test),
        dynamics.descent_at(0, lr, model.ntk_test, model.f0_test),
    ):
        assert torch.equal(test, model.f0_test)
    at_zero = LinearDynamics(model.ntk, model.y)
    assert not at_zero.flow(0.0).any() and not at_zero.flow_at(0.0, model.ntk_test).any()


@given(st.integers(1, 6), outputs, seeds)
def test_the_limit_is_kernel_regression(n: int, k: int, seed: int) -> None:
    model = Linear(n, k, 40, seed)
    dynamics, lr = model.dynamics, 1 / float(model.dynamics.eigenvalues[0])
    regression = model.f0_test + model.ntk_test @ torch.linalg.solve(model.ntk, model.y - model.f0)
    for train in (dynamics.flow(math.inf), dynamics.flow(1e6), dynamics.descent(math.inf, lr)):
        torch.testing.assert_close(train, model.y, **near)
    for test in (
        dynamics.flow_at(math.inf, model.ntk_test, model.f0_test),
        dynamics.flow_at(1e6, model.ntk_test, model.f0_test),
        dynamics.descent_at(math.inf, 1.9 * lr, model.ntk_test, model.f0_test),
    ):
        torch.testing.assert_close(test, regression, **near)


@given(st.integers(3, 8), outputs, st.integers(1, 2), st.sampled_from([1e-3, 1.0, 1e4]), seeds)
def test_null_directions_never_move(n: int, k: int, rank: int, scale: float, seed: int) -> None:
    model = Linear(n, k, rank, seed)
    ntk, ntk_test = scale * model.ntk, scale * model.ntk_test
    dynamics, lr = LinearDynamics(ntk, model.y, model.f0), 1 / float(torch.linalg.eigvalsh(ntk)[-1])
    assert int((dynamics.eigenvalues > 0).sum()) == rank
    null = torch.linalg.svd(model.jacobian).U[:, rank:]
    inverse = torch.linalg.pinv(ntk, rtol=1e-10, hermitian=True)
    for train in (dynamics.flow(1.0), dynamics.flow(1e30), dynamics.descent(10**9, lr), dynamics.flow(math.inf)):
        torch.testing.assert_close(null.T @ train, null.T @ model.f0, **near)
    torch.testing.assert_close(
        dynamics.flow(math.inf), model.f0 + ntk @ inverse @ (model.y - model.f0), rtol=1e-8, atol=1e-8
    )
    limit = model.f0_test + ntk_test @ inverse @ (model.y - model.f0)
    for time in (1e30, math.inf):
        torch.testing.assert_close(dynamics.flow_at(time, ntk_test, model.f0_test), limit, rtol=1e-7, atol=1e-7)


def test_without_a_kernel_nothing_is_learnt() -> None:
    dynamics = LinearDynamics(torch.zeros(3, 3), torch.ones(3, 2))
    assert not dynamics.flow(math.inf).any() and not dynamics.descent(math.inf, 5.0).any()
    assert not dynamics.flow_at(math.inf, torch.zeros(4, 3)).any()


@given(sizes, outputs, st.integers(1, 12), st.floats(0, 10), st.floats(0, 10), seeds)
def test_flow_is_a_semigroup(n: int, k: int, p: int, first: float, second: float, seed: int) -> None:
    model = Linear(n, k, p, seed)
    middle = LinearDynamics(model.ntk, model.y, model.dynamics.flow(first))
    torch.testing.assert_close(middle.flow(second), model.dynamics.flow(first + second), **near)
    test = middle.flow_at(second, model.ntk_test, model.dynamics.flow_at(first, model.ntk_test, model.f0_test))
    torch.testing.assert_close(test, model.dynamics.flow_at(first + second, model.ntk_test, model.f0_test), **near)


@given(sizes, outputs, st.integers(1, 12), st.floats(1e-6, 1e6), seeds)
def test_a_larger_kernel_is_a_faster_clock(n: int, k: int, p: int, scale: float, seed: int) -> None:
    model, times = Linear(n, k, p, seed), torch.tensor([0.1, 1.0, 30.0], dtype=torch.float64)
    scaled = LinearDynamics(scale * model.ntk, model.y, model.f0)
    torch.testing.assert_close(scaled.flow(times / scale), model.dynamics.flow(times), **near)
    test = scaled.flow_at(times / scale, scale * model.ntk_test, model.f0_test)
    torch.testing.assert_close(test, model.dynamics.flow_at(times, model.ntk_test, model.f0_test), **near)
    steps, lr = torch.tensor([1, 10, 1000]), 1 / float(model.dynamics.eigenvalues[0])
    torch.testing.assert_close(scaled.descent(steps, lr / scale), model.dynamics.descent(steps, lr), **near)


@given(sizes, outputs, st.booleans(), seeds)
def test_training_points_are_points(n: int, k: int, shared: bool, seed: int) -> None:
    model = Linear(n, k, 5, seed, shared=shared)
    dynamics, times = model.dynamics, torch.tensor([0.0, 0.5, 5.0, math.inf], dtype=torch.float64)
    torch.testing.assert_close(dynamics.flow_at(times, model.ntk, model.f0), dynamics.flow(times), **near)
    lr, steps = 1.5 / float(dynamics.eigenvalues[0]), torch.tensor([0.0, 1.0, 40.0, math.inf])
    torch.testing.assert_close(dynamics.descent_at(steps, lr, model.ntk, model.f0), dynamics.descent(steps, lr), **near)


def test_small_steps_tend_to_the_flow() -> None:
    model, time = Linear(6, 2, 20), 2.0
    errors = []
    for steps in (200, 400, 800, 1600):
        train = model.dynamics.descent(steps, time / steps) - model.dynamics.flow(time)
        test = model.dynamics.descent_at(steps, time / steps, model.ntk_test) - model.dynamics.flow_at(
            time, model.ntk_test
        )
        errors.append([float(train.norm()), float(test.norm())])
    slopes = np.diff(np.log2(errors), axis=0)
    np.testing.assert_allclose(slopes, -1.0, atol=0.02)


@pytest.mark.parametrize("k", [1, 3])
def test_all_pairs_of_outputs(k: int) -> None:
    """A kernel [n, n, k, k] is a matrix over samples and outputs; with equal diagonal blocks the outputs share one."""
    n, m, times = 4, 2, torch.tensor([0.2, 3.0, math.inf], dtype=torch.float64)
    pairs = Linear(n, k, 30, m=m, shared=False)
    four = LinearDynamics(pairs.ntk.reshape(n, k, n, k).transpose(1, 2), pairs.y, pairs.f0)
    four_test = pairs.ntk_test.reshape(m, k, n, k).transpose(1, 2)
    torch.testing.assert_close(four.flow(times), pairs.dynamics.flow(times), **exact)
    for kernel in (four_test, pairs.ntk_test):
        torch.testing.assert_close(
            four.flow_at(times, kernel, pairs.f0_test), pairs.dynamics.flow_at(times, pairs.ntk_test, pairs.f0_test)
        )
    shared, eye = Linear(n, k, 30, m=m), torch.eye(k, dtype=torch.float64)
    spread = LinearDynamics(torch.einsum("ab,ij->abij", shared.ntk, eye), shared.y, shared.f0)
    torch.testing.assert_close(spread.flow(times), shared.dynamics.flow(times), **near)
    assert spread.flow_at(1.0, torch.einsum("ab,ij->abij", shared.ntk_test, eye)).shape == (m, k)


def test_shapes_of_results() -> None:
    model = Linear(5, 2, 9, m=3)
    dynamics, one = model.dynamics, torch.tensor(1.0)
    times = torch.linspace(0, 1, 4)
    assert dynamics.flow(1.0).shape == dynamics.flow(one).shape == dynamics.descent(3, 0.1).shape == (5, 2)
    assert dynamics.flow(times).shape == dynamics.descent(torch.arange(4), 0.1).shape == (4, 5, 2)
    assert dynamics.flow_at(one, model.ntk_test).shape == (3, 2)
    assert dynamics.flow_at(times, model.ntk_test).shape == (4, 3, 2)
    assert dynamics.flow(times[:0]).shape == (0, 5, 2)
    assert dynamics.flow_at(1.0, model.ntk_test[:0]).shape == (0, 2)
    assert LinearDynamics(model.ntk.float(), model.y.float()).flow(1).dtype == torch.float32


def test_eigenvalues_descend() -> None:
    model = Linear(7, 2, 30)
    expected = torch.linalg.eigvalsh(model.ntk).flip(0)
    torch.testing.assert_close(model.dynamics.eigenvalues, expected, **exact)


@given(st.floats(1e-12, 1.9999), st.integers(0, 10**7))
def test_single_rates_keep_their_digits(rate: float, steps: int) -> None:
    """With Θ = rate and lr = 1 the output is 1 - (1 - rate)^steps, and at a point with kernel 1 that over the rate."""
    one = torch.ones(1, 1, dtype=torch.float64)
    dynamics = LinearDynamics(rate * one, one)
    train, test = float(dynamics.descent(steps, 1.0)), float(dynamics.descent_at(steps, 1.0, one))
    expected = -math.expm1(steps * math.log1p(-rate)) if rate < 1 else 1 - (1 - rate) ** steps
    assert train == pytest.approx(expected, rel=1e-13, abs=1e-300)
    assert test == pytest.approx(expected / rate, rel=1e-13, abs=1e-300)
    flow = float(dynamics.flow_at(steps, one))
    assert flow == pytest.approx(-math.expm1(-rate * steps) / rate, rel=1e-13, abs=1e-300)


def test_later_changes_of_the_arguments_do_not_reach_it() -> None:
    model = Linear(4, 2, 9)
    model.ntk.requires_grad_()
    dynamics = LinearDynamics(model.ntk, model.y, model.f0)
    before = dynamics.flow(1.0)
    kept = before.clone()
    model.f0.add_(1.0), model.y.add_(1.0), before.add_(1.0)
    assert torch.equal(dynamics.flow(1.0), kept) and not kept.requires_grad


def test_rounding_of_single_precision_needs_a_tolerance() -> None:
    jacobian = draw(30, 10).float()
    ntk, y = (jacobian @ jacobian.T).double(), draw(30, 1, name="y")
    ntk[0, 1] += 1e-7 * float(ntk.max())
    with pytest.raises(ValueError, match=r"ntk must be symmetric; .* mirror images .* larger tolerance"):
        LinearDynamics(ntk, y)
    assert int((LinearDynamics(ntk, y, tolerance=1e-5).eigenvalues > 0).sum()) == 10


def test_kernels_that_are_none() -> None:
    y = torch.ones(2, 1, dtype=torch.float64)
    with pytest.raises(ValueError, match=r"ntk must be symmetric; its entries, of at most 2, .* by up to 1\.0e\+00"):
        LinearDynamics(torch.tensor([[2.0, 1.0], [0.0, 2.0]], dtype=torch.float64), y)
    with pytest.raises(ValueError, match=r"positive semidefinite; its eigenvalues begin at -1, the largest is 3"):
        LinearDynamics(torch.tensor([[1.0, 2.0], [2.0, 1.0]], dtype=torch.float64), y)
    with pytest.raises(ValueError, match=r"ntk must be symmetric; .* nan"):
        LinearDynamics(torch.full((2, 2), math.nan, dtype=torch.float64), y)


@pytest.mark.parametrize(
    "call, message",
    [
        (lambda m: LinearDynamics(m.ntk, m.y[:, 0]), r"y and f0 must both be \[n, k\], n > 0; got \(4,\) and \(4,\)"),
        (lambda m: LinearDynamics(m.ntk, m.y, m.f0[:, :1]), r"must both be \[n, k\], n > 0; got \(4, 2\) and \(4, 1\)"),
        (lambda m: LinearDynamics(m.ntk[:0, :0], m.y[:0]), "n > 0"),
        (
            lambda m: LinearDynamics(m.ntk[:3, :3], m.y),
            r"for targets \[4, 2\] ntk must be \[4, 4\], \[8, 8\] or \[4, 4, 2, 2\]; got \(3, 3\)",
        ),
        (
            lambda m: LinearDynamics(m.ntk, m.y.float()),
            r"of one kind; got torch\.float64, torch\.float32 and torch\.fl",
        ),
        (lambda m: m.dynamics.flow(-0.5), r"time must be at least 0; got -0\.5"),
        (lambda m: m.dynamics.flow(math.nan), "time must be at least 0; got nan"),
        (lambda m: m.dynamics.flow(torch.ones(2, 2)), r"time must be a number or a vector; got the shape \(2, 2\)"),
        (lambda m: m.dynamics.flow_at(torch.tensor([1.0, -2.0]), m.ntk_test), r"time must be at least 0; got -2\.0"),
        (lambda m: m.dynamics.descent(-1, 0.1), r"steps must be at least 0; got -1\.0"),
        (lambda m: m.dynamics.descent(torch.tensor([1.0, 2.5]), 0.1), r"steps must be whole numbers; got 2\.5"),
        (lambda m: m.dynamics.descent(1, 0.0), r"lr must be positive and finite; got 0\.0"),
        (lambda m: m.dynamics.descent(1, math.inf), "lr must be positive and finite; got inf"),
        (lambda m: m.dynamics.flow_at(1.0, m.ntk_test.T), r"ntk_test must be \[m, 4\], .*; got \(4, 3\)"),
        (lambda m: m.dynamics.flow_at(1.0, m.ntk_test[0]), r"ntk_test must be \[m, 4\], .*; got \(4,\)"),
        (lambda m: m.dynamics.flow_at(1.0, m.ntk_test, m.f0), r"f0_test must be \[3, 2\]; got \(4, 2\)"),
        (lambda m: m.dynamics.flow_at(1.0, torch.ones(3, 4, 2, 2).double()), r"ntk_test must be \[m, 4\]"),
    ],
)
def test_errors_name_the_value(call: Callable[[Linear], object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        call(Linear(4, 2, 9))


def test_errors_for_all_pairs_of_outputs() -> None:
    model = Linear(4, 2, 20, shared=False)
    for kernel in (torch.ones(3, 4), torch.ones(5, 8), torch.ones(3, 4, 2, 1)):
        with pytest.raises(ValueError, match=r"ntk_test must be \[m, 4, 2, 2\] or \[m \* 2, 8\]"):
            model.dynamics.flow_at(1.0, kernel.double())


@pytest.mark.parametrize("rate", [2.0, 3.0])
def test_descent_without_a_limit(rate: float) -> None:
    dynamics = LinearDynamics(torch.diag(torch.tensor([0.5, 2.0])), torch.ones(2, 1))
    with pytest.raises(
        ValueError, match=rf"no limit: lr \* largest eigenvalue = {rate / 2:g} \* 2 = {rate:g}; .*below 2"
    ):
        dynamics.descent(math.inf, rate / 2)
    assert bool(dynamics.descent(5, rate / 2).isfinite().all())
    torch.testing.assert_close(dynamics.descent(math.inf, 0.99), torch.ones(2, 1))
