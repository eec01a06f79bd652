"""Named streams: reproducible anywhere, apart from one another, no trace in the global generators."""

import hashlib
import random
import subprocess
import sys

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from dlparadox.seeding import generator, stream_seed

names = st.lists(st.text(st.characters(exclude_characters="\x1f"), max_size=6), min_size=1, max_size=3)


@given(st.integers(0, 2**80), names)
def test_a_seed_fits_every_generator(seed: int, stream: list[str]) -> None:
    value = stream_seed(seed, *stream)
    assert 0 <= value < 2**63
    assert value == stream_seed(seed, *stream)
    torch.Generator().manual_seed(value)


@given(st.tuples(st.integers(0, 50), names), st.tuples(st.integers(0, 50), names))
def test_different_streams_have_different_seeds(one: tuple[int, list[str]], other: tuple[int, list[str]]) -> None:
    same = stream_seed(one[0], *one[1]) == stream_seed(other[0], *other[1])
    assert same == (one == other)


def test_streams_are_what_they_were_when_results_were_recorded() -> None:
    # The first eight bytes of SHA-256("0<unit separator>labels"), shifted right by one bit, and so on.
    assert stream_seed(0, "labels") == 4077875240692719063
    assert stream_seed(7, "random pixels", "train") == 7014879503516152256
    digest = hashlib.sha256(b"0\x1flabels").hexdigest()
    assert stream_seed(0, "labels") == int(digest[:16], 16) // 2


def test_another_process_draws_the_same_numbers() -> None:
    code = "from dlparadox.seeding import stream_seed; print(stream_seed(3, 'labels'))"
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert int(run.stdout) == stream_seed(3, "labels")


def test_streams_are_uncorrelated() -> None:
    n = 20_000
    draws = torch.stack([torch.randn(n, generator=generator(seed, name)) for seed in (0, 1) for name in ("a", "b")])
    correlations = torch.corrcoef(draws) - torch.eye(4)
    assert correlations.abs().max() < 5 / n**0.5


def test_global_generators_are_left_alone() -> None:
    before = torch.get_rng_state(), np.random.get_state()[1].copy(), random.getstate()
    torch.rand(3, generator=generator(0, "labels"))
    assert torch.equal(before[0], torch.get_rng_state())
    assert (before[1] == np.random.get_state()[1]).all()
    assert before[2] == random.getstate()


@pytest.mark.parametrize("seed", [True, 1.0, "1", None])
def test_a_seed_is_an_integer(seed: object) -> None:
    with pytest.raises(TypeError, match="seed must be an integer; got"):
        stream_seed(seed, "labels")  # type: ignore[arg-type]


def test_errors_name_the_value_and_the_remedy() -> None:
    with pytest.raises(ValueError, match="seed must be at least 0; got -1"):
        generator(-1, "labels")
    with pytest.raises(ValueError, match="name the stream"):
        generator(0)
