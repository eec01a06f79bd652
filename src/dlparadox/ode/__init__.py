"""Differential equations y' = f(t, y): explicit Runge-Kutta methods, leapfrog, and three kinds of gradients."""

from dlparadox.ode.field import SolverError
from dlparadox.ode.folds import Folds, folds
from dlparadox.ode.hamiltonian import Orbit, leapfrog
from dlparadox.ode.refinement import Convergence, convergence
from dlparadox.ode.solve import GRADIENTS, Solution, odeint
from dlparadox.ode.tableaus import METHODS, Tableau

__all__ = [
    "GRADIENTS",
    "METHODS",
    "Convergence",
    "Folds",
    "Orbit",
    "Solution",
    "SolverError",
    "Tableau",
    "convergence",
    "folds",
    "leapfrog",
    "odeint",
]
