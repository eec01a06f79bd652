"""Differential equations: `dlparadox.ode.odeint` against other solvers, forward and backward. The field is a network
64-64-64 with tanh, the state 256 samples that are solved as one system from t = 0 to 1, in float32; the loss is the
mean square of the end. All use Dormand and Prince's method of order 5 (`dopri5`) with steps of their choice.

Most of the time goes into the network: a solution with its gradient cannot cost less than its evaluations and their
backward passes. What differs is how many there are, and what is done around them. Ours ends its last step at the end of
the interval. torchdiffeq steps over it and interpolates, at a loss of accuracy; its adjoint solves a second equation
backwards. torchode takes steps for every sample by itself unless all are flattened into one. diffrax is compiled, which
takes seconds before the first call and is not counted; it evaluates the network twice, to save memory, as ours does
where the gradient is found from the states at the start of the steps alone.

Ten solutions in a row are timed as one, as training asks for them. Timed one by one in turns, each finds the memory as
another solver has left it, and the shortest lose most: the ratio to torchdiffeq's adjoint at equal accuracy was 5.7.

At the same tolerance, accuracies differ. So the second table gives each solver the loosest tolerance, among the half
powers of ten, at which all its gradients are within 1e-5 of the exact ones, relative to their norm.
"""

import os

os.environ.setdefault("XLA_FLAGS", "--xla_cpu_multi_thread_eigen=false intra_op_parallelism_threads=1")
os.environ.setdefault("JAX_PLATFORMS", "cpu")

from side_by_side import Benchmark  # isort: skip  (sets the number of threads first)

import copy
import importlib
from collections.abc import Callable
from importlib.metadata import version
from typing import Any

import torch
from torch import Tensor, nn

from dlparadox.models import initialize
from dlparadox.ode import odeint
from dlparadox.seeding import generator

BATCH, SIZE, ACCURACY = 256, 64, 1e-5
#: Solutions in a row that are timed as one.
CALLS = 10
#: From a tolerance to the end of the solution and the gradients in the start and the parameters.
Solver = Callable[[float], tuple[Tensor, list[Tensor]]]


class Field(nn.Module):
    """Two linear layers with tanh between them; the time plays no part."""

    def __init__(self) -> None:
        super().__init__()
        layers = nn.Sequential(nn.Linear(SIZE, SIZE), nn.Tanh(), nn.Linear(SIZE, SIZE))
        self.layers = initialize(layers, generator(0, "weights"))

    def forward(self, t: Tensor, y: Tensor) -> Tensor:
        return self.layers(y)


def with_gradients(solve: Callable[[float], Tensor], field: Field, y0: Tensor) -> Solver:
    """A solver written in torch, from a function that gives the end."""

    def run(tolerance: float) -> tuple[Tensor, list[Tensor]]:
        y = solve(tolerance)
        return y.detach(), list(torch.autograd.grad(y.square().mean(), [y0, *field.parameters()]))

    return run


def ours(field: Field, y0: Tensor, **options: Any) -> Solver:
    """Through the solver unless the options say otherwise."""
    return with_gradients(lambda tol: odeint(field, y0, [0.0, 1.0], rtol=tol, atol=tol, **options).y[-1], field, y0)


def of_torchdiffeq(field: Field, y0: Tensor) -> dict[str, Solver]:
    """Through the solver, and by its continuous adjoint."""
    library, t = importlib.import_module("torchdiffeq"), torch.tensor([0.0, 1.0])

    def through(name: str) -> Solver:
        solve = getattr(library, name)
        return with_gradients(lambda tol: solve(field, y0, t, rtol=tol, atol=tol, method="dopri5")[-1], field, y0)

    return {"`odeint`": through("odeint"), "`odeint_adjoint`": through("odeint_adjoint")}


def of_torchode(field: Field, y0: Tensor) -> dict[str, Solver]:
    """Through the solver, with all samples as one system, and each by itself."""
    library = importlib.import_module("torchode")

    def solver(joint: bool) -> Solver:
        shape = (1, BATCH * SIZE) if joint else (BATCH, SIZE)
        term = library.ODETerm(lambda t, y: field(t, y.view(BATCH, SIZE)).view(shape))
        method, span = library.Dopri5(term=term), torch.zeros(shape[0])

        def solve(tolerance: float) -> Tensor:
            control = library.IntegralController(atol=tolerance, rtol=tolerance, term=term)
            problem = library.InitialValueProblem(y0=y0.view(shape), t_start=span, t_end=span + 1)
            return library.AutoDiffAdjoint(method, control).solve(problem).ys[:, -1].view(BATCH, SIZE)

        return with_gradients(solve, field, y0)

    return {"all as one": solver(True), "each by itself": solver(False)}


def of_diffrax(field: Field, y0: Tensor) -> dict[str, Solver]:
    """Its default, recursive checkpointing, compiled once for every tolerance."""
    library, jax = importlib.import_module("diffrax"), importlib.import_module("jax")
    start, weights = jax.numpy.asarray(y0.detach().numpy()), [p.detach().numpy() for p in field.parameters()]
    weights = [jax.numpy.asarray(weight) for weight in weights]

    def slope(t: Any, y: Any, w: Any) -> Any:
        return jax.numpy.tanh(y @ w[0].T + w[1]) @ w[2].T + w[3]

    def loss(y: Any, w: Any, tolerance: Any) -> Any:
        control = library.PIDController(rtol=tolerance, atol=tolerance)
        term, method = library.ODETerm(slope), library.Dopri5()
        found = library.diffeqsolve(term, method, 0.0, 1.0, None, y, args=w, stepsize_controller=control, max_steps=256)
        return jax.numpy.mean(found.ys[-1] ** 2), found.ys[-1]

    compiled = jax.jit(jax.value_and_grad(loss, argnums=(0, 1), has_aux=True))

    def run(tolerance: float) -> tuple[Tensor, list[Tensor]]:
        (_, end), (in_start, in_weights) = jax.block_until_ready(compiled(start, weights, tolerance))
        return torch.from_dlpack(end), [torch.from_dlpack(one) for one in (in_start, *in_weights)]

    return {"compiled": run}


RIVALS = {"torchdiffeq": of_torchdiffeq, "torchode": of_torchode, "diffrax": of_diffrax}
#: By how much we set out to be faster.
TARGETS = {
    "torchdiffeq": {"`odeint`": 2.0, "`odeint_adjoint`": 6.0},
    "torchode": {"all as one": 1.0, "each by itself": 1.0},
    "diffrax": {"compiled": 1.0},
}
SAME = f"gradients within {ACCURACY:g}"


def errors(solver: Solver, tolerance: float, exact: tuple[Tensor, list[Tensor]]) -> tuple[float, float]:
    """Of the end, and the largest of the gradients, relative to their norms."""
    end, gradients = solver(tolerance)
    found = [float((a - b).norm() / b.norm()) for a, b in zip([end, *gradients], [exact[0], *exact[1]], strict=True)]
    return found[0], max(found[1:])


def loosest(solver: Solver, exact: tuple[Tensor, list[Tensor]]) -> float:
    """The largest half power of ten as tolerance at which the gradients are accurate enough, and stay so for less."""
    tolerances = [10 ** (-half / 2) for half in range(4, 14)]
    fits = [errors(solver, tolerance, exact)[1] <= ACCURACY for tolerance in tolerances]
    first = next((i for i in range(len(fits)) if all(fits[i : i + 2])), None)
    if first is None:
        raise ValueError(f"no tolerance gives gradients within {ACCURACY:g}")
    return tolerances[first]


def repeated(solver: Solver, tolerance: float) -> Callable[[], None]:
    """So many solutions as are timed as one."""

    def run() -> None:
        for _ in range(CALLS):
            solver(tolerance)

    return run


def main() -> None:
    """At the same tolerance, then at the same accuracy."""
    benchmark, field = Benchmark(__file__), Field()
    y0 = torch.randn(BATCH, SIZE, generator=generator(0, "benchmark")).requires_grad_()
    exact_field, exact_y0 = copy.deepcopy(field).double(), y0.detach().double().requires_grad_()
    exact = ours(exact_field, exact_y0)(1e-11)
    rivals: dict[str, dict[str, Solver]] = {}
    for name, make in RIVALS.items():
        try:
            rivals[name] = make(field, y0)
        except ModuleNotFoundError as error:
            print(f"{name} is skipped: {error}")
    mine, kept = ours(field, y0), ours(field, y0, gradient="discrete")
    tolerances = {solver: 1e-5 for found in rivals.values() for solver in found.values()} | {mine: 1e-5, kept: 1e-5}
    for title in ("rtol = atol = 1e-5", SAME):
        benchmark.group(f"batch 256, 64 dimensions, float32; {title}")
        for name, found in rivals.items():
            for kind, solver in found.items():
                against = f"{name} {version(name)}, {kind}"
                for label, own in (("autograd", mine), ("discrete", kept)):
                    if own is kept and kind != "`odeint_adjoint`" and name != "diffrax":
                        continue
                    a, b = tolerances[own], tolerances[solver]
                    (end, one), (_, other) = errors(own, a, exact), errors(solver, b, exact)
                    assert end < 1e-4 and one <= max(ACCURACY, other), (end, one, other)
                    about = f'`gradient="{label}"`; error of its gradients {one:.0e}, of theirs {other:.0e}'
                    # The targets are for equal accuracy.
                    target = TARGETS[name].get(kind) if own is mine and benchmark.title.endswith(SAME) else None
                    benchmark.compare(
                        about, repeated(own, a), repeated(solver, b), against=against, per=CALLS, at_least=target
                    )  # fmt: skip
        tolerances = {solver: loosest(solver, exact) for solver in tolerances}
    benchmark.save()


if __name__ == "__main__":
    main()
