"""Stores of several teachers averaged into one: what labelling with their ensemble gives, without asking them."""

import json
import math

import pytest
import torch
from labelled import ONCE, TWICE, Linear, all_rows, same, split

import attar
from attar.data.store import Targets, label, merge, round_through_store
from attar.data.views import Views
from attar.errors import BadInput, CorruptFile, StaleStore
from attar.ops.averaging import mean_of_probabilities
from attar.records import to_text
from attar.teachers.ensemble import MEANS, Ensemble

pytestmark = pytest.mark.usefixtures("untried")

SCALES = (0.3, 0.5, 0.8)
TEACHERS = tuple(Linear(scale=scale) for scale in SCALES)


def members(folder, views: Views = TWICE, **arguments) -> list[Targets]:
    """The stores of three teachers, each in parts of another size."""
    return [
        label(Linear(scale=scale), split(), folder / f"member {scale}", views=views, rows_per_shard=rows, **arguments)
        for scale, rows in zip(SCALES, (20, 50, 7), strict=True)
    ]


@pytest.mark.parametrize("mean", sorted(MEANS))
@pytest.mark.parametrize("weights", [None, [1, 2, 5]])
def test_it_is_what_labelling_with_the_ensemble_gives(tmp_path, mean, weights):
    stores = members(tmp_path)
    merged = merge(stores, tmp_path / "merged", mean=mean, weights=weights, batch_size=11, rows_per_shard=16)
    ensemble = Ensemble(TEACHERS, mean, weights)
    asked = label(ensemble, split(), tmp_path / "asked", views=TWICE)
    for view in range(2):
        # Each of the members was rounded to 11 bits, and their mean is rounded once more.
        largest = float(all_rows(asked, view).abs().max())
        torch.testing.assert_close(all_rows(merged, view), all_rows(asked, view), rtol=0, atol=2.5 * largest * 2**-11)
    assert merged.fingerprints == asked.fingerprints and torch.equal(merged.ids, asked.ids)
    assert (merged.task, merged.views, merged.kind) == (asked.task, 2, "logits")
    assert merged.fingerprints["teacher"] == ensemble.fingerprint()


def test_it_serves_where_the_ensemble_is_asked_for(tmp_path):
    merge(members(tmp_path), tmp_path / "merged")

    class Silent(Ensemble):
        def predict(self, inputs):
            raise AssertionError("asked again")

    reused = label(Silent(TEACHERS), split(), tmp_path / "merged", views=TWICE)
    assert same(reused, Targets.open(tmp_path / "merged", split(), TWICE, Ensemble(TEACHERS).fingerprint()))


def test_stores_may_be_given_as_folders_in_any_order(tmp_path):
    stores = members(tmp_path)
    one = merge(stores, tmp_path / "one", weights=[1, 2, 3])
    other = merge([str(store.folder) for store in stores[::-1]], tmp_path / "other", weights=[3, 2, 1])
    assert one.fingerprints == other.fingerprints
    torch.testing.assert_close(all_rows(one), all_rows(other), rtol=2e-3, atol=1e-6)


def test_it_is_public():
    assert attar.merge is merge


def test_one_store_is_kept_as_it_is(tmp_path):
    store = members(tmp_path)[0]
    merged = merge([store], tmp_path / "merged", mean="logits")
    torch.testing.assert_close(all_rows(merged), all_rows(store), rtol=0, atol=1e-3)
    assert merged.fingerprints["teacher"] == Ensemble(TEACHERS[:1], "logits").fingerprint()


def test_it_is_computed_row_by_row_from_what_the_stores_hold(tmp_path):
    stores = members(tmp_path)
    merged = merge(stores, tmp_path / "merged", batch_size=3)
    expected = round_through_store(mean_of_probabilities(torch.stack([all_rows(store, 1) for store in stores])))
    torch.testing.assert_close(all_rows(merged, 1), expected, rtol=2**-10, atol=1e-6)


def test_int8_stores_merge_into_float16_and_the_other_way_round(tmp_path):
    exact = merge(members(tmp_path / "a"), tmp_path / "merged a")
    coarse = merge(members(tmp_path / "b", dtype="int8"), tmp_path / "merged b", dtype="int8")
    assert (exact.dtype, coarse.dtype) == ("float16", "int8")
    # A step of the members and one of the mean, each of a 255th of the range.
    torch.testing.assert_close(all_rows(coarse), all_rows(exact), rtol=0, atol=2 * 10 / 255)


# Top k


def test_top_k_stores_merge_with_an_even_share_of_the_rest(tmp_path):
    stores = members(tmp_path, top_k=3)
    merged = merge(stores, tmp_path / "merged")
    assert (merged.kind, merged.top_k) == ("top-k", 3)
    mixed = mean_of_probabilities(torch.stack([all_rows(store) for store in stores])).softmax(1)
    kept, index = mixed.topk(3, dim=1)
    torch.testing.assert_close(all_rows(merged).exp().gather(1, index), kept, rtol=5e-3, atol=1e-4)
    rest = (1 - kept.sum(1, keepdim=True)) / 2
    others = torch.ones_like(mixed, dtype=torch.bool).scatter(1, index, False)
    torch.testing.assert_close(all_rows(merged).exp()[others], rest.expand_as(mixed)[others], rtol=5e-3, atol=1e-4)


def test_as_many_are_kept_as_the_stores_keep_unless_it_is_said(tmp_path):
    stores = [
        label(teacher, split(), tmp_path / str(number), top_k=top_k)
        for number, (teacher, top_k) in enumerate(zip(TEACHERS, (1, 3, None), strict=True))
    ]
    assert merge(stores[:2], tmp_path / "a").top_k == 3
    assert merge(stores, tmp_path / "b").top_k is None
    assert merge(stores, tmp_path / "c", top_k=2).top_k == 2


def test_what_is_lost_of_the_mean_is_measured(tmp_path):
    stores = members(tmp_path, views=ONCE)
    merged = merge(stores, tmp_path / "merged", top_k=1, temperature=3.0)
    mixed = mean_of_probabilities(torch.stack([all_rows(store) for store in stores])).double()
    read = all_rows(merged).double().log_softmax(1)
    found = merged.fidelity()
    assert found is not None and merged.fidelity(3.0) is not None
    kl = (mixed.exp() * (mixed - read)).sum(1)
    assert found.kl_mean == pytest.approx(float(kl.mean()), rel=1e-3)
    assert found.kl_largest == pytest.approx(float(kl.max()), rel=1e-3)


# Going on


def test_it_goes_on_at_the_first_missing_part(tmp_path, monkeypatch):
    stores = members(tmp_path)
    whole = merge(stores, tmp_path / "whole", rows_per_shard=20)
    calls = []

    def dying(said, weights):
        calls.append(len(said))
        if len(calls) == 3:
            raise KeyboardInterrupt
        return mean_of_probabilities(said, weights)

    monkeypatch.setitem(MEANS, "probabilities", dying)
    with pytest.raises(KeyboardInterrupt):
        merge(stores, tmp_path / "merged", rows_per_shard=20)  # the first call checks the weights
    with pytest.raises(BadInput, match=r"holds 1 of 6 shards"):
        Targets.open(tmp_path / "merged")
    calls[:] = [0] * 10
    assert same(whole, merge(stores, tmp_path / "merged", rows_per_shard=20))
    assert len(calls) == 10 + 1 + 5
    assert same(whole, merge(stores, tmp_path / "merged")) and len(calls) == 10 + 1 + 5 + 1


def test_one_part_of_each_store_is_in_memory_at_a_time(tmp_path, monkeypatch):
    from attar.data.store import merging

    stores, held = members(tmp_path), []
    read = merging.read_shard

    def counted(folder, manifest, part, ids):
        held.append((folder.name, part.name))
        return read(folder, manifest, part, ids)

    monkeypatch.setattr(merging, "read_shard", counted)
    merge([store.folder for store in stores], tmp_path / "merged", rows_per_shard=10, batch_size=10)
    # Each part once, and those of the first view of the first store once more, for the ids.
    assert len(held) == (3 + 1 + 8) * 2 + 3 and len(set(held)) == (3 + 1 + 8) * 2


# What will not do


@pytest.mark.parametrize(
    ("other", "named"),
    [
        ({"split": split(seed=1)}, "examples"),
        ({"views": Views(count=2, noise=0.25)}, "views"),
        ({"views": ONCE}, "views"),
        ({"split": split(classes=("ant", "bee", "cow", "dog", "eel"))}, "examples and task"),
        ({"split": split(30), "views": ONCE}, "examples and views"),
    ],
    ids=["data", "views", "number of views", "classes", "rows and views"],
)
def test_stores_of_other_things_are_refused(tmp_path, other, named):
    label(Linear(), split(), tmp_path / "one", views=TWICE)
    label(**{"teacher": Linear(), "split": split(), "folder": tmp_path / "two", "views": TWICE, **other})
    match = (
        f"merge needs stores of the same {named}, and those in one and two differ[.] Label the same split with the same"
    )
    with pytest.raises(BadInput, match=match):
        merge([tmp_path / "one", tmp_path / "two"], tmp_path / "merged")
    assert not (tmp_path / "merged").exists()


@pytest.mark.parametrize(
    ("arguments", "match"),
    [
        ({"mean": "probability"}, "mean of merge must be a known average; got 'probability'. Did you mean"),
        ({"weights": [1, 2]}, "weights of mean_of_probabilities must be one number for each of the 3 members"),
        ({"weights": [1, 2, 0]}, "weights of .* must be positive and finite"),
        ({"top_k": 5}, "top_k of merge must be from 1 to 4"),
        ({"dtype": "half"}, "dtype of merge must be 'float16' or 'int8'"),
        ({"batch_size": 0}, "batch_size of merge must be at least 1"),
        ({"rows_per_shard": 0}, "rows_per_shard of merge must be at least 1"),
        ({"temperature": math.inf}, "temperature of merge must be finite"),
        ({"stores": []}, "stores of merge must be one store or more"),
    ],
    ids=lambda value: "" if isinstance(value, str) else "".join(value),
)
def test_bad_arguments(tmp_path, arguments, match):
    with pytest.raises(BadInput, match=match):
        merge(**{"stores": members(tmp_path), "folder": tmp_path / "merged", **arguments})
    assert not (tmp_path / "merged").exists()


def test_a_store_that_is_not_there_or_not_finished(tmp_path):
    with pytest.raises(BadInput, match=r"folder of merge must be a folder with a manifest.json.*Run label first"):
        merge([tmp_path / "gone"], tmp_path / "merged")
    with pytest.raises(KeyboardInterrupt):
        label(Linear(dies_after=1), split(), tmp_path / "half", batch_size=20, rows_per_shard=20)
    with pytest.raises(BadInput, match=r"merge needs complete targets, and .*half' holds 1 of 3 shards"):
        merge([tmp_path / "half"], tmp_path / "merged")


def test_a_damaged_store_is_noticed_and_nothing_wrong_is_written(tmp_path):
    stores = members(tmp_path)
    part = stores[2].folder / "shard-001-00000.parquet"
    part.write_bytes(part.read_bytes()[:-1] + b"?")
    with pytest.raises(
        CorruptFile,
        match=r"shard-001-00000.parquet' of .* cannot be used: its bytes are not those that were written",
    ):
        merge(stores, tmp_path / "merged")
    part.unlink()
    label(Linear(scale=SCALES[2]), split(), stores[2].folder, views=TWICE)
    assert same(merge(stores, tmp_path / "merged"), merge(stores, tmp_path / "again"))


def test_a_member_is_not_written_over(tmp_path):
    stores = members(tmp_path)
    before = {file.name: file.read_bytes() for file in stores[0].folder.iterdir()}
    with pytest.raises(StaleStore, match=r"has changed in: teacher \(stored"):
        merge(stores, stores[0].folder)
    assert {file.name: file.read_bytes() for file in stores[0].folder.iterdir()} == before


def test_a_folder_with_something_else(tmp_path):
    stores = members(tmp_path)
    (tmp_path / "merged").mkdir()
    (tmp_path / "merged" / "thesis.tex").write_text("precious")
    with pytest.raises(BadInput, match=r"folder of merge must be empty, new or written by merge; .*thesis.tex in it"):
        merge(stores, tmp_path / "merged")


def test_progress_counts_every_example_of_every_view(tmp_path):
    from contextlib import contextmanager

    steps: list[int] = []

    @contextmanager
    def counting(title, total):
        assert (title, total) == ("merge", 100)
        yield steps.append

    merge(members(tmp_path), tmp_path / "merged", progress=counting)
    assert sum(steps) == 100
    assert json.loads((tmp_path / "merged" / "manifest.json").read_text())["rows_per_shard"] == 8192


@pytest.mark.parametrize("change", [{"dtype": "int8"}, {"top_k": 3}], ids=str)
def test_a_mean_of_stores_in_another_form_is_not_taken_for_this_one(tmp_path, change):
    merge(members(tmp_path / "a"), tmp_path / "merged", top_k=2)
    others = members(tmp_path / "b", **change)
    with pytest.raises(StaleStore, match=r"changed in: sources"):
        merge(others, tmp_path / "merged", top_k=2)
    # Earlier versions did not say what they had merged: such a store still opens, and is found.
    path = tmp_path / "merged" / "manifest.json"
    document = json.loads(path.read_text())
    assert document.pop("sources") == [["float16", None]] * 3
    path.write_text(to_text(document))
    assert same(Targets.open(tmp_path / "merged"), merge(others, tmp_path / "merged", top_k=2))
