"""What storing lost, and how soft the targets were: measured while labelling, against a reading of the whole store."""

import json

import numpy as np
import pytest
import torch
from labelled import TWICE, Linear, Says, all_rows, split

from attar.data.store import Fidelity, Targets, label
from attar.errors import BadInput
from attar.ops.divergence import forward_kl

pytestmark = pytest.mark.usefixtures("untried")


def expected(teacher, data, views, targets, temperature):
    """The same figures, worked out at once from the teacher and the finished store."""
    said = torch.cat([teacher.predict(views(data.floats(), data.ids, view)) for view in range(views.count)]).double()
    read = torch.cat([all_rows(targets, view) for view in range(views.count)]).double()
    kl = forward_kl(read, said, temperature=temperature)
    p = (said / temperature).softmax(1)
    return [kl.mean(), kl.max(), p.amax(1).mean(), -(p * p.log()).sum(1).mean()]


def figures(one: Fidelity) -> list[float]:
    return [one.kl_mean, one.kl_largest, one.top_probability, one.entropy]


@pytest.mark.parametrize("dtype", ["float16", "int8"])
@pytest.mark.parametrize("top_k", [None, 1, 3])
def test_it_is_what_a_reading_of_the_whole_store_gives(tmp_path, top_k, dtype):
    data, teacher = split(), Linear(scale=0.5)
    # Parts and batches of unequal size: means of means would be off.
    sizes = {"rows_per_shard": 17, "batch_size": 5}
    targets = label(teacher, data, tmp_path, views=TWICE, top_k=top_k, dtype=dtype, temperature=4.0, **sizes)
    for temperature in (1.0, 4.0):
        found = targets.fidelity(temperature)
        assert found is not None and found.temperature == temperature
        np.testing.assert_allclose(
            figures(found), expected(teacher, data, TWICE, targets, temperature), rtol=1e-4, atol=1e-11
        )
    assert targets.fidelity() == targets.fidelity(1) and targets.fidelity(2.0) is None


def test_the_less_is_kept_the_more_is_lost(tmp_path):
    lost = []
    for number, (top_k, dtype) in enumerate([(None, "float16"), (None, "int8"), (4, "int8"), (3, "int8"), (1, "int8")]):
        targets = label(Linear(scale=0.5), split(), tmp_path / str(number), top_k=top_k, dtype=dtype)
        found = targets.fidelity()
        assert found is not None and 0 <= found.kl_mean <= found.kl_largest
        lost.append(found.kl_mean)
    assert lost[0] < 1e-5 and lost[1] < 1e-4 and lost[0] < lost[1] and lost[2] < lost[3] < lost[4]


def test_hand_worked(tmp_path):
    # Half of the mass on one class and a quarter on each other; keeping one loses nothing, for the rest is even.
    targets = label(
        Says(torch.tensor([[0.5, 0.25, 0.25]] * 4).log()), split(4, classes=("a", "b", "c")), tmp_path, top_k=1
    )
    found = targets.fidelity()
    assert found is not None
    assert found.top_probability == pytest.approx(0.5) and found.entropy == pytest.approx(1.5 * np.log(2))
    # The logarithm of 0.5 in float16 is scaled back to what the rest leaves.
    assert found.kl_mean == pytest.approx(0, abs=1e-12) and found.kl_largest == pytest.approx(0, abs=1e-12)


def test_nearly_one_hot_targets_show_it(tmp_path):
    sharp = label(Linear(scale=300.0), split(), tmp_path / "a", temperature=100.0)
    one, soft = sharp.fidelity(1.0), sharp.fidelity(100.0)
    assert one is not None and soft is not None
    assert one.top_probability > 0.95 and one.entropy < 0.1
    assert soft.top_probability < one.top_probability and soft.entropy > one.entropy


def test_it_is_kept_in_the_manifest(tmp_path):
    first = label(Linear(), split(), tmp_path, temperature=4.0, rows_per_shard=20)
    again = Targets.open(tmp_path)
    assert again.fidelity(4.0) == first.fidelity(4.0) is not None
    document = json.loads((tmp_path / "manifest.json").read_text())
    assert sorted(document["fidelity"]) == sorted(document["shards"])
    assert [one["temperature"] for one in document["fidelity"]["shard-000-00001.parquet"]] == [1.0, 4.0]


def test_the_temperature_is_no_part_of_what_is_stored(tmp_path):
    label(Linear(), split(), tmp_path, temperature=4.0)
    teacher = Linear()
    reused = label(teacher, split(), tmp_path, temperature=2.0)
    assert teacher.asked == 0 and reused.fidelity(4.0) is not None
    assert reused.fidelity(2.0) is None, "nobody asked the teacher again"


def test_a_pass_that_died_and_went_on_measured_everything(tmp_path):
    arguments = {"views": TWICE, "batch_size": 10, "rows_per_shard": 20, "temperature": 4.0}
    with pytest.raises(KeyboardInterrupt):
        label(Linear(dies_after=5), split(), tmp_path / "a", **arguments)
    one = label(Linear(), split(), tmp_path / "a", **arguments)
    other = label(Linear(), split(), tmp_path / "b", **arguments)
    assert one.fidelity(4.0) == other.fidelity(4.0) is not None


def test_going_on_at_another_temperature_leaves_only_what_all_parts_have(tmp_path):
    with pytest.raises(KeyboardInterrupt):
        label(Linear(dies_after=3), split(), tmp_path, batch_size=20, rows_per_shard=20, views=TWICE, temperature=4.0)
    targets = label(Linear(), split(), tmp_path, views=TWICE, temperature=2.0)
    assert targets.fidelity(1.0) is not None
    assert targets.fidelity(2.0) is None and targets.fidelity(4.0) is None


@pytest.mark.parametrize("temperature", [0.0, -1.0, float("nan"), float("inf")])
def test_a_temperature_that_is_none(tmp_path, temperature):
    with pytest.raises(BadInput, match="temperature of label must be finite and greater than 0"):
        label(Linear(), split(), tmp_path, temperature=temperature)
    assert not list(tmp_path.iterdir())


def test_extreme_logits_are_measured(tmp_path):
    sign = torch.where(torch.arange(20).view(4, 5) % 2 == 0, 1e4, -1e4)
    for number, top_k in enumerate((None, 2)):
        found = label(Says(sign), split(4), tmp_path / str(number), top_k=top_k, temperature=4.0).fidelity(4.0)
        assert found is not None and np.isfinite(figures(found)).all() and found.kl_mean >= 0
