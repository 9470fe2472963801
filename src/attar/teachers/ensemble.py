"""Several teachers as one."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Sequence

import torch
from jaxtyping import Float32
from torch import Tensor, nn

from attar.errors import must, near
from attar.ops.averaging import geometric_mean, mean_of_logits, mean_of_probabilities, mean_of_sigmoids
from attar.ops.subset_mean import check_subsets, mean_of_subsets
from attar.tasks.target import Target
from attar.teachers.resized import ResizedTeacher
from attar.teachers.subset import SubsetTeacher
from attar.teachers.teacher import NetworkTeacher, Teacher, ask, target_of

MEANS: dict[str, Callable[[Tensor, Sequence[float | int] | None], Tensor]] = {
    "probabilities": mean_of_probabilities,
    "logits": mean_of_logits,
    "geometric": geometric_mean,
}
"""The ways to average, by the name that recipes use."""


_OF_ODDS = "sigmoids"
"""The mean of probabilities of which each belongs to one label."""


def mean_for(mean: str, given: Target) -> str:
    """How outputs of a kind are averaged where a user asks for a mean.

    Values are averaged as they are, since they have no probabilities. Of log-odds the mean of the probabilities is that
    of the sigmoids, and both other means are those of the log-odds.

    Args:
        mean: A key of `MEANS`.
        given: What the members give.
    """
    if given == "log_odds" and mean == "probabilities":
        return _OF_ODDS
    return mean if given == "logits" else "logits"


def averaged(mean: str, outputs: Tensor, weights: Sequence[float | int] | None) -> Tensor:
    """The mean of the members' outputs.

    Args:
        mean: What `mean_for` gives.
        outputs: ``[members, batch, classes]``, or ``[members, batch, classes, height, width]``.
        weights: One positive number per member; None counts all the same.
    """
    if mean == _OF_ODDS:
        return mean_of_sigmoids(outputs, weights)
    function = MEANS[mean]
    if outputs.dim() == 3 or function is mean_of_logits:
        return function(outputs, weights)
    return function(outputs.movedim(2, -1), weights).movedim(-1, 1)


def shares(members: int, mean: str, weights: Sequence[float | int] | None, of: str) -> tuple[float, ...]:
    """The members' weights, scaled to sum to 1.

    Args:
        members: How many there are.
        mean: What is averaged; a key of `MEANS`.
        weights: One positive number per member, on any scale; None counts all the same.
        of: Who asks; named in the error.

    Raises:
        BadInput: If ``mean`` or ``weights`` breaks its rule.
    """
    if mean not in MEANS:
        raise must("mean", of, "a known average", mean, near(mean, MEANS))
    # One number per member, run through the average itself, so that its rules about weights are checked here and now.
    MEANS[mean](torch.zeros(members, 1, 1), weights)
    given = [1.0] * members if weights is None else [float(weight) for weight in weights]
    total = float(members) if weights is None else float(sum(weights))
    return tuple(weight / total for weight in given)


def fingerprint_of(members: Sequence[str], mean: str, weights: Sequence[float]) -> str:
    """SHA-256 over the kind of mean and the members' fingerprints and weights, in whatever order they come."""
    pairs = sorted(zip(members, weights, strict=True))
    return hashlib.sha256(json.dumps(["ensemble", mean, pairs]).encode()).hexdigest()


class Ensemble:
    """The weighted average of several teachers, itself a teacher.

    Attributes:
        members: The teachers that are averaged.
        mean: What is averaged; a key of `MEANS`.
        weights: One positive number per member, scaled to sum to 1.
        given: The weights as they were given; None counts all the same. Scaling what is scaled already may round again.
        classes: How many classes all of them tell apart.
        known: The classes that each member knows, where some do not know all (see `SubsetTeacher`); else None.

    References:
        Bucila, Caruana, Niculescu-Mizil, *Model Compression*, 2006, section 3. Hinton, Vinyals, Dean, *Distilling the
        Knowledge in a Neural Network*, 2015, sections 2 and 4.1 (arithmetic or geometric mean of the members'
        predictions).
    """

    def __init__(
        self, members: Sequence[Teacher], mean: str = "probabilities", weights: Sequence[float | int] | None = None
    ) -> None:
        """Average some teachers.

        Args:
            members: One teacher or more. They need not be of one kind, and some may be a `SubsetTeacher`: then
                the distribution is taken from which, restricted to the classes that each knows, the members are least
                far in the weighted sum of Kullback-Leibler divergences (`attar.ops.subset_mean.mean_of_subsets`), which
                is the mean of the probabilities where all know all.
            mean: ``"probabilities"`` (arithmetic mean, the usual ensemble), ``"geometric"`` (normalized geometric mean
                of probabilities) or ``"logits"`` (mean of logits; the geometric one up to a constant per example).
            weights: One positive number per member, on any scale; None counts all the same.

        Raises:
            BadInput: If there is no member, the members' classes differ in number, ``mean`` or ``weights`` breaks its
                rule, or members that know some classes only are to be averaged otherwise than by probabilities, leave
                a class out or share too few.
        """
        self.members = tuple(members)
        if not self.members:
            raise must("members", "Ensemble", "one teacher or more", [], "Give the teachers to average")
        self.known = _known(self.members, mean)
        counts = [len(member.names) if isinstance(member, SubsetTeacher) else member.classes for member in self.members]
        if len(set(counts)) > 1:
            raise must(
                "members",
                "Ensemble",
                "of as many classes each",
                counts,
                "Leave out the members trained on other classes",
            )
        if len({target_of(member) for member in self.members}) > 1:
            remedy = "Average those that give values or log-odds apart from those that give logits"
            got = [target_of(member) for member in self.members]
            raise must("members", "Ensemble", "all classifiers, or all regressors", got, remedy)
        self.mean = mean
        self.weights = shares(len(counts), mean, weights, "Ensemble")
        self.given = None if weights is None else tuple(weights)
        self.classes = counts[0]

    @property
    def target(self) -> Target:
        """What `predict` gives: what its members do."""
        return target_of(self.members[0])

    @property
    def module(self) -> nn.Module | None:
        """The whole ensemble as one module, for export and for measuring; None where a member is not a network."""
        modules = [
            member.module if isinstance(member, NetworkTeacher | Ensemble | ResizedTeacher) else None
            for member in self.members
        ]
        networks = [module for module in modules if module is not None]
        return Averaged(networks, self._mean, self.weights).eval() if len(networks) == len(modules) else None

    def predict(self, inputs: Tensor) -> Float32[Tensor, "batch classes *size"]:
        """Logits of ``[batch, ...]`` inputs: the log of the mean probabilities, or the mean of the logits.

        Raises:
            BadInput: If a member gives anything but ``[batch, classes]``.
        """
        member_logits = []
        for position, member in enumerate(self.members):
            logits = ask(member, inputs)
            wanted = self.classes if self.known is None else len(self.known[position])
            if logits.dim() not in (2, 4) or logits.shape[:2] != (len(inputs), wanted):
                rule = f"a tensor [{len(inputs)}, {wanted}]"
                raise must(
                    "output", f"member {position}, {member!r},", rule, list(logits.shape), "Leave this member out"
                )
            member_logits.append(logits)
        if self.known is not None:
            return mean_of_subsets(member_logits, self.known, self.classes, self.weights)
        return averaged(self._mean, torch.stack(member_logits), self.weights)

    @property
    def _mean(self) -> str:
        """How members are averaged; see `mean_for`."""
        return mean_for(self.mean, self.target)

    def fingerprint(self) -> str:
        """SHA-256 over the kind of mean and the members' fingerprints and weights, in whatever order they come."""
        return fingerprint_of([member.fingerprint() for member in self.members], self.mean, self.weights)

    def __repr__(self) -> str:
        return f"Ensemble of {len(self.members)} ({self.mean})"


def _known(members: Sequence[Teacher], mean: str) -> tuple[tuple[int, ...], ...] | None:
    """The classes that each member knows; None where all know all."""
    names = {member.names for member in members if isinstance(member, SubsetTeacher)}
    if not names:
        return None
    if len(names) > 1:
        got = [list(one)[:4] for one in sorted(names)]
        raise must("members", "Ensemble", "of the same classes", got, "Give all of them the data's names")
    if mean != "probabilities":
        rule = "'probabilities' where members know some of the classes only"
        raise must(
            "mean", "Ensemble", rule, mean, "Other means are not defined for classes that a member does not know"
        )
    (class_names,) = names
    known = tuple(
        member.known if isinstance(member, SubsetTeacher) else tuple(range(member.classes)) for member in members
    )
    if all(len(one) <= len(class_names) for one in known):
        check_subsets(known, len(class_names), class_names)
    return known


class Averaged(nn.Module):
    """Networks that read the same inputs, and the average of what they say, as one module."""

    def __init__(self, networks: Sequence[nn.Module], mean: str, weights: Sequence[float]) -> None:
        """Put networks side by side.

        Args:
            networks: Each maps ``[batch, ...]`` to logits ``[batch, classes]``.
            mean: What is averaged, as `averaged` takes it.
            weights: One positive number per network.
        """
        super().__init__()
        self.networks = nn.ModuleList(networks)
        self.mean = mean
        self.weights = tuple(weights)

    def forward(self, inputs: Tensor) -> Tensor:
        """Logits ``[batch, classes]`` of the whole; each network gets a copy, as it may work in place."""
        return averaged(self.mean, torch.stack([network(inputs.clone()) for network in self.networks]), self.weights)
