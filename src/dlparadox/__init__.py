"""Shared helpers of the executable book *The Deep Learning Paradox*.

Import the submodules (``from dlparadox.training import fit``), never the package root: what a chapter
imports is what decides when it has to run again.
"""
