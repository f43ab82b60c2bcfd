"""The mean of networks' weights.

Of several that were trained from the same ones it mostly knows more than each (Wortsman et al., 2022, arXiv
2203.05482); half-way from one to what came of it by training, less is lost of what that one knew (the same, arXiv
2109.01903).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from safetensors.torch import save_file
from torch import Tensor

from streamderain.errors import TrainingError
from streamderain.networks import weights

State = Mapping[str, Tensor]


def mean_of(states: Sequence[State], shares: Sequence[float]) -> dict[str, Tensor]:
    """The mean of state dicts that `are_alike`, by shares of any sum; dtypes and whole numbers are the first one's."""

    def mixed(name: str, value: Tensor) -> Tensor:
        parts = [state[name].double() * (share / sum(shares)) for state, share in zip(states, shares, strict=True)]
        return sum(parts[1:], parts[0]).to(value.dtype)

    return {name: mixed(name, value) if value.is_floating_point() else value for name, value in states[0].items()}


def are_alike(states: Sequence[State]) -> bool:
    """Whether state dicts are of networks of one shape, which what they count, such as frames, is part of."""
    first, *others = (
        {name: tuple(value.shape) if value.is_floating_point() else value.tolist() for name, value in state.items()}
        for state in states
    )
    return all(other == first for other in others)


def write_mean(shares: Mapping[str, float], path: Path) -> None:
    """The mean of the weights that are called so, bundled ones or files, as the file `path`.

    Raises TrainingError where they are of different shapes, WeightsError where there are none.
    """
    states = [weights.read(weights.find(model)) for model in shares]
    if not are_alike(states):
        raise TrainingError(f"{', '.join(shares)} are of different shapes; take weights of one network for a mean")
    path.parent.mkdir(parents=True, exist_ok=True)
    beside = path.with_suffix(".new")
    save_file(mean_of(states, tuple(shares.values())), beside)
    beside.replace(path)
