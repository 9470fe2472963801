"""Classes clustered by what is predicted together."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from attar.errors import BadInput
from attar.ops.class_sets import cluster_classes, covariance

every_way = pytest.mark.parametrize("clustering", ["online", "batch"])
every_matrix = pytest.mark.parametrize("columns", ["correlation", "covariance"])


def confused(groups: list[int], rows: int = 600, seed: int = 0) -> torch.Tensor:
    """Predictions that confuse the classes of one group with each other."""
    draws = torch.Generator().manual_seed(seed)
    group = torch.tensor([number for number, size in enumerate(groups) for _ in range(size)])
    truth = torch.randint(len(group), (rows,), generator=draws)
    near = (group[truth][:, None] == group).double()
    noise = torch.rand(rows, len(group), generator=draws, dtype=torch.float64)
    said = near * (noise + torch.nn.functional.one_hot(truth, len(group))) + 0.02 * noise
    return (said / said.sum(1, keepdim=True)).float()


def test_covariance_is_numpys_however_it_is_cut():
    said = confused([3, 2, 4])
    expected = np.cov(said.double().numpy(), rowvar=False, bias=True)
    for cut in (1, 7, 600):
        np.testing.assert_allclose(covariance(torch.split(said, cut)).numpy(), expected, atol=1e-12)


@every_way
@every_matrix
def test_classes_that_are_taken_for_each_other_come_together(clustering, columns):
    found = cluster_classes(covariance([confused([3, 3, 3, 3])]), 4, clustering=clustering, columns=columns)
    assert found == ((0, 1, 2), (3, 4, 5), (6, 7, 8), (9, 10, 11))


@every_way
def test_a_rare_group_is_found_by_correlations(clustering):
    said = confused([4, 4, 4])
    weights = torch.where(said[:, 8:].sum(1) > 0.5, 0.1, 1.0)
    keep = torch.rand(len(said), generator=torch.Generator().manual_seed(1)) < weights
    assert 5 < int((keep & (said[:, 8:].sum(1) > 0.5)).sum()) < 30
    found = cluster_classes(covariance([said[keep]]), 3, clustering=clustering)
    assert found == ((0, 1, 2, 3), (4, 5, 6, 7), (8, 9, 10, 11))


@every_way
@every_matrix
@pytest.mark.parametrize("seed", range(3))
def test_without_a_size_the_sets_divide_the_classes_and_none_is_empty(clustering, columns, seed):
    # Classes 3 to 9 are never predicted: their columns are equal, and k-means leaves clusters empty.
    said = torch.cat([confused([3], seed=seed), torch.zeros(600, 7)], dim=1)
    found = cluster_classes(covariance([said]), 6, clustering=clustering, columns=columns, seed=seed)
    assert len(found) == 6 and all(found)
    assert sorted(sum(found, ())) == list(range(10))


@every_way
def test_with_a_size_every_set_has_it_and_sets_may_overlap(clustering):
    said = confused([3, 3, 3])
    found = cluster_classes(covariance([said]), 3, set_size=5, clustering=clustering)
    assert [len(set(one)) for one in found] == [5, 5, 5]
    assert all(any(set(group) <= set(one) for one in found) for group in ((0, 1, 2), (3, 4, 5), (6, 7, 8)))
    assert sum(map(len, found)) > len(set(sum(found, ())))


@every_way
def test_the_same_seed_finds_the_same_and_scale_does_not_matter(clustering):
    matrix = covariance([confused([2, 5, 3, 4], rows=80)])
    one = cluster_classes(matrix, 5, clustering=clustering, seed=4)
    assert one == cluster_classes(matrix, 5, clustering=clustering, seed=4)
    for columns in ("correlation", "covariance"):
        ways = {"clustering": clustering, "seed": 4, "columns": columns}
        assert cluster_classes(matrix, 5, **ways) == cluster_classes(matrix * 2.0**-20, 5, **ways)


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"n_clusters": 1}, "n_clusters"),
        ({"n_clusters": 10}, "n_clusters"),
        ({"set_size": 9}, "set_size"),
        ({"set_size": 0}, "set_size"),
        ({"clustering": "onlin"}, "online"),
        ({"columns": "covarianse"}, "covariance"),
        ({"covariances": torch.full((9, 9), torch.nan)}, "finite"),
    ],
)
def test_errors_name_the_parameter(changes, said):
    settings = {"covariances": torch.eye(9), "n_clusters": 3} | changes
    with pytest.raises(BadInput, match=said):
        getattr(cluster_classes, "__wrapped__", cluster_classes)(**settings)


def test_one_row_has_no_covariance():
    with pytest.raises(BadInput, match="two rows"):
        covariance([torch.ones(1, 3)])


def test_a_class_that_is_never_taken_for_another_is_in_no_set() -> None:
    """Its column is the shortest: by plain distance it was near to every center."""
    groups = torch.block_diag(*[torch.full((4, 4), 0.5) + 0.5 * torch.eye(4)] * 6, torch.eye(30))
    found = cluster_classes(groups, 3, set_size=8, clustering="batch")
    assert all(max(one) < 24 for one in found)
