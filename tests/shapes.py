"""Calls every function that takes tensors, with the shapes of its signature checked at run time.

Run in a process of its own, because the check has to be in place before the modules are imported.
"""

from beartype import BeartypeConf, beartype
from jaxtyping import TypeCheckError, install_import_hook

#: An integer is a real number too, as the typing rules have it.
checked = beartype(conf=BeartypeConf(is_pep484_tower=True))


def right_shapes() -> None:
    """Every function with shapes in its signature, on sizes that all differ."""
    import torch

    from dlparadox import data, expressivity, kernels, labels, models, neighbours, ode, training
    from dlparadox.bounds import rademacher
    from dlparadox.seeding import generator

    stream = generator(0, "shapes")
    x, x_test = torch.randn(7, 12, generator=stream), torch.randn(4, 12, generator=stream)
    y, y_test = torch.arange(7) % 3, torch.arange(4) % 3
    labels.corrupt_labels(y, 0.5, 3, stream)
    labels.pixel_permutation(12, stream)
    for kind in labels.INPUTS:
        labels.corrupt_inputs(kind, x, x_test, 0)
    for name in models.NETWORKS:
        network = models.build_network(name, (3, 2, 2), 3, width=5)
        models.initialize(network, stream)
        plan = training.Schedule(epochs=2, lr=0.01, batch_size=4)
        training.fit(network, x, y, plan, generator=stream, test=(x_test, y_test), relabel=lambda epoch: y)
        models.count_parameters(network)
    for name in models.PARAMETERIZATIONS:
        network = models.initialize(models.wide_mlp(12, (5, 6), 3, parameterization=name, activation="erf"), stream)
        targets = torch.nn.functional.one_hot(y, 3).float()
        training.descend(network, x, targets, lr=1e-3, at=[0, 2], observe=lambda model, step: model(x))
    ntk = kernels.empirical_ntk(network, x)
    assert kernels.empirical_ntk(network, x, x_test).shape == (7, 4, 3, 3)
    kernels.infinite_width(x, x_test, depth=2)
    kernels.shallow_ntk(x, x_test)
    kernels.LinearDynamics(ntk.double(), targets.double()).flow(1.0)
    ode.odeint(lambda t, y: -y, x, [0.0, 1.0])
    ode.leapfrog(lambda p: p, lambda q: -q, x, x, [0.0, 1.0], steps=4)
    ode.convergence(lambda t, y: -y, x, steps=(2, 4), readout=lambda y: y[:, :3], labels=y)
    ode.folds(lambda t, y: -y, x, steps=2)
    neighbours.majority(y[neighbours.nearest(x, x_test, 3)], 3)
    neighbours.interpolating_accuracy(1, 0, 10)
    x, x_test, signs = x.double(), x_test.double(), rademacher.random_signs(7, stream)
    scale = kernels.median_distance(x)
    for kernel in (kernels.gaussian_kernel, kernels.laplace_kernel):
        kernel(x_test, x, scale)
        kernels.rkhs_norm(kernel(x, x, scale), kernels.interpolant(kernel(x, x, scale), x[:, :2]))
    kernels.linear_kernel(x_test, x)
    network = expressivity.interpolating_network(x, signs, stream)
    assert network.hidden(x_test).shape == (4, 7)
    expressivity.backward_error(network, x, signs)
    rademacher.correlation(network(x), signs)
    rademacher.threshold_supremum(x[:, 0], signs)
    data.standardized(x)
    digits = data.load("digits", n_train=20, n_test=10)
    assert digits.x_train.shape == (20, 64)


def wrong_shapes() -> None:
    """The check itself can fail."""
    import torch

    from dlparadox import kernels, labels

    for call in (
        lambda: kernels.linear_kernel(torch.zeros(3, 4), torch.zeros(3, 5)),
        lambda: labels.corrupt_labels(torch.zeros(3), 0.5, 2, torch.Generator()),  # not integers
    ):
        try:
            call()
        except TypeCheckError:
            continue
        raise AssertionError("a wrong shape went unnoticed")


if __name__ == "__main__":
    with install_import_hook("dlparadox", "shapes.checked"):
        right_shapes()
        wrong_shapes()
