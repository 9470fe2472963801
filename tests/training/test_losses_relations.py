"""Terms on relations between examples: against loops, and what they are blind to."""

import itertools

import numpy as np
import pytest
import torch

from attar.errors import BadInput
from attar.training.batch import Batch
from attar.training.features import Features
from attar.training.losses.relations import RelationalAngles, RelationalDistances

LAYERS = {"student_layer": "a", "teacher_layer": "b"}


def normal(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def huber(difference: float) -> float:
    return difference**2 / 2 if abs(difference) <= 1 else abs(difference) - 0.5


def distances_by_loops(student: np.ndarray, teacher: np.ndarray) -> list[float]:
    tables = []
    for points in (student, teacher):
        table = np.array([[np.linalg.norm(a - b) for b in points] for a in points])
        tables.append(table / table[table > 0].mean())
    n = len(student)
    return [sum(huber(tables[0][i, j] - tables[1][i, j]) for j in range(n)) / n for i in range(n)]


def angles_by_loops(student: np.ndarray, teacher: np.ndarray) -> list[float]:
    def cosine(points: np.ndarray, i: int, j: int, k: int) -> float:
        one, other = points[j] - points[i], points[k] - points[i]
        return 0.0 if i in (j, k) else one @ other / np.linalg.norm(one) / np.linalg.norm(other)

    n = len(student)
    pairs = list(itertools.product(range(n), repeat=2))
    return [sum(huber(cosine(student, i, *p) - cosine(teacher, i, *p)) for p in pairs) / n**2 for i in range(n)]


KINDS = {RelationalDistances: distances_by_loops, RelationalAngles: angles_by_loops}


@pytest.mark.parametrize(("term", "loops"), KINDS.items())
@pytest.mark.parametrize("scale", [1.0, 30.0])
def test_relations_of_a_layer_are_those_of_loops(term, loops, scale):
    student, teacher = normal(7, 3, 2) ** 3 * scale, normal(7, 11, seed=1)
    batch = Batch(inputs=torch.zeros(7, 1), features=Features(student, teacher))
    losses = term(**LAYERS)(torch.full((7, 4), torch.nan), batch)
    np.testing.assert_allclose(losses.numpy(), loops(student.flatten(1).numpy(), teacher.numpy()), rtol=1e-10)


@pytest.mark.parametrize(("term", "loops"), KINDS.items())
def test_relations_of_outputs_are_those_of_centered_logits(term, loops):
    student, teacher = normal(7, 4), normal(7, 4, seed=1)
    batch = Batch(inputs=torch.zeros(7, 1), targets=teacher + normal(7, 1, seed=2))
    losses = term()(student + normal(7, 1, seed=3), batch)
    centered = [(x - x.mean(1, keepdim=True)).numpy() for x in (student, teacher)]
    np.testing.assert_allclose(losses.numpy(), loops(*centered), rtol=1e-10)


@pytest.mark.parametrize("term", KINDS)
def test_a_turned_and_scaled_copy_of_the_teachers_geometry_is_perfect(term):
    teacher = normal(6, 5)
    turn, _ = torch.linalg.qr(normal(5, 5, seed=1))
    batch = Batch(inputs=torch.zeros(6, 1), features=Features(4 * teacher @ turn + 1, teacher))
    assert term(**LAYERS)(torch.zeros(6, 2), batch).abs().max() < 1e-20


@pytest.mark.parametrize("term", KINDS)
def test_sequences_are_related_as_wholes(term):
    student, teacher = normal(5, 3, 4), normal(5, 3, 4, seed=1)
    batch = Batch(inputs=torch.zeros(5, 3, 1), targets=teacher)
    assert term()(student, batch).shape == (5,)
    positions = torch.ones(5, 3, dtype=torch.bool)
    with pytest.raises(BadInput, match=f"mask of {term.__name__} must be one value per example"):
        term()(student, Batch(inputs=torch.zeros(5, 3, 1), targets=teacher, mask=positions))


@pytest.mark.parametrize("term", KINDS)
@pytest.mark.parametrize("layers", [{"student_layer": "a"}, {"teacher_layer": "a"}])
def test_one_layer_needs_the_other(term, layers):
    with pytest.raises(BadInput, match=f"_layer of {term.__name__} must be the name of a layer; got None"):
        term(**layers)
