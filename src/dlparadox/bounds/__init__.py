"""Generalization bounds and capacity measures: one function per theorem, named for it."""
