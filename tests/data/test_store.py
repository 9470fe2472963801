"""The store of targets: labelling, going on after a crash, reading, and what it refuses."""

from __future__ import annotations

import errno
import hashlib
import json
import math
import os
import resource
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from labelled import NAMES, ONCE, TWICE, Linear, Says, all_rows, logits, same, split, stored

from attar.data.store import Targets, label, round_through_store
from attar.data.views import Views
from attar.errors import BadInput, CorruptFile, StaleStore
from attar.records import to_text
from attar.tasks.classification import Classification
from attar.workspace import TEMPORARY, is_temporary

pytestmark = pytest.mark.usefixtures("untried")

# What is kept


@given(said=logits(), rows_per_shard=st.integers(1, 15), batch_size=st.integers(1, 15))
@settings(deadline=None, max_examples=30)
def test_round_trip_is_float16_of_the_centred_logits(said, rows_per_shard, batch_size):
    read, _ = stored(said, rows_per_shard=rows_per_shard, batch_size=batch_size)
    expected = (said - said.mean(1, keepdim=True)).half().float()
    assert read.dtype == torch.float32
    assert torch.equal(read, expected)
    assert torch.equal(round_through_store(said), expected)


@given(said=logits())
@settings(deadline=None, max_examples=100)
def test_softmax_is_unchanged_within_float16(said):
    exact, rounded = said.double().log_softmax(1), round_through_store(said).double().log_softmax(1)
    # Half a unit in the last of 11 bits of each centred logit; the same again for the normalizer; 1e-4 for float32.
    largest = (said - said.mean(1, keepdim=True)).abs().max().item()
    torch.testing.assert_close(rounded, exact, rtol=0, atol=2 * largest * 2**-11 + 1e-4)


@given(said=logits(least_classes=2), data=st.data())
@settings(deadline=None, max_examples=40)
def test_top_k_keeps_the_likeliest_and_spreads_the_rest(said, data):
    top_k = data.draw(st.integers(1, said.shape[1] - 1))
    read, targets = stored(said, top_k=top_k)
    assert targets.kind == "top-k" and targets.top_k == top_k
    exact = said.double().log_softmax(1)
    torch.testing.assert_close(read.double().exp().sum(1), torch.ones(len(said), dtype=torch.double), rtol=0, atol=1e-5)
    kept, index = exact.topk(top_k, dim=1)
    # Half a unit in the last of 11 bits of each logarithm, and the same again for the scaling of all together.
    error = 2 * kept.abs().max().item() * 2**-11 + 1e-5
    torch.testing.assert_close(read.double().gather(1, index), kept, rtol=0, atol=error)
    others = torch.ones_like(read, dtype=torch.bool).scatter(1, index, False)
    rest = exact.masked_fill(~others, -math.inf).logsumexp(1, keepdim=True)
    spread = rest - math.log(said.shape[1] - top_k)
    torch.testing.assert_close(read.double()[others], spread.expand_as(exact)[others], rtol=1e-5, atol=1e-5)


def test_top_k_hand_worked():
    # Keep 0.5 and 0.3; the three others share 0.2.
    said = torch.tensor([[0.05, 0.5, 0.1, 0.3, 0.05]]).log()
    read, _ = stored(said, top_k=2)
    third = 0.2 / 3
    torch.testing.assert_close(read.exp(), torch.tensor([[third, 0.5, third, 0.3, third]]), rtol=2e-3, atol=0)


def test_top_1_of_very_many_even_classes():
    # The kept probability is 1e-5, which float32 could not tell from 1 - rest to better than 1 %.
    read, _ = stored(torch.zeros(1, 100_000), top_k=1)
    torch.testing.assert_close(read.exp(), torch.full((1, 100_000), 1e-5), rtol=1e-3, atol=0)


def test_every_view_is_what_the_teacher_says_of_it(tmp_path):
    data, teacher = split(), Linear()
    targets = label(teacher, data, tmp_path, views=TWICE, batch_size=7, rows_per_shard=20)
    for view in range(2):
        said = teacher.predict(TWICE(data.floats(), data.ids, view))
        torch.testing.assert_close(all_rows(targets, view), round_through_store(said), rtol=2**-10, atol=1e-5)
    assert not torch.equal(all_rows(targets, 0), all_rows(targets, 1))


def test_reading_takes_rows_in_any_order(tmp_path):
    targets = label(Linear(), split(), tmp_path, views=TWICE, rows_per_shard=20)
    rows = torch.tensor([49, 0, 20, 19, 0])
    assert torch.equal(targets(None, rows, 1), all_rows(targets, 1)[rows])


def test_what_it_says_about_itself(tmp_path):
    data, teacher = split(), Linear()
    targets = label(teacher, data, tmp_path, views=TWICE)
    assert (len(targets), targets.views, targets.task, targets.kind) == (50, 2, Classification(NAMES), "logits")
    assert torch.equal(targets.ids, data.ids)
    assert targets.size_bytes == sum(file.stat().st_size for file in tmp_path.iterdir())
    assert targets.bytes_per_example == targets.size_bytes / 100
    assert targets.fingerprints == {
        "teacher": teacher.fingerprint(),
        "data": data.fingerprint(),
        "views": TWICE.fingerprint(),
    }
    assert str(targets).startswith("logits of 50 examples in 2 views, 5 classes, ")


def test_other_engines_can_read_the_shards(tmp_path):
    data = split()
    targets = label(Linear(), data, tmp_path, views=TWICE, rows_per_shard=30)
    assert sorted(file.name for file in tmp_path.iterdir()) == [
        "manifest.json",
        *(f"shard-00{view}-0000{number}.parquet" for view in (0, 1) for number in (0, 1)),
    ]
    table = pq.read_table(tmp_path / "shard-001-00001.parquet").to_pydict()
    assert table["id"] == data.ids[30:].tolist() and set(table["view"]) == {1}
    assert np.array_equal(np.array(table["logits"], np.float32), all_rows(targets, 1)[30:].numpy())


def test_size_is_about_two_bytes_for_a_logit(tmp_path):
    targets = label(Linear(classes=5), split(1000), tmp_path)
    assert targets.bytes_per_example < 5 * 2 + 8, "more than the numbers and a plain id take"


def test_teacher_and_data_are_left_as_they_were(tmp_path):
    data = split()
    before = data.fingerprint()
    state = torch.get_rng_state()
    label(Linear(), data, tmp_path, views=TWICE)
    assert data.fingerprint() == before and torch.equal(torch.get_rng_state(), state)


# Reusing, and going on


def test_finished_store_is_reused_without_asking_the_teacher(tmp_path):
    first = label(Linear(), split(), tmp_path, views=TWICE, rows_per_shard=20)
    teacher = Linear()
    # Other sizes of batch and part ask for the same targets.
    again = label(teacher, split(), tmp_path, views=TWICE, batch_size=3, rows_per_shard=7)
    assert teacher.asked == 0 and same(first, again)


@pytest.mark.parametrize("batches", range(1, 6))
def test_pass_that_died_goes_on_at_the_first_missing_part(tmp_path, batches):
    # 50 rows in parts of 20 and batches of 10: parts of 2, 2 and 1 batches.
    with pytest.raises(KeyboardInterrupt):
        label(Linear(dies_after=batches), split(), tmp_path / "a", views=TWICE, batch_size=10, rows_per_shard=20)
    finished = {1: 0, 2: 2, 3: 2, 4: 4, 5: 5}[batches]
    teacher = Linear()
    targets = label(teacher, split(), tmp_path / "a", views=TWICE, batch_size=10, rows_per_shard=20)
    assert teacher.asked == 10 - finished
    assert same(targets, label(Linear(), split(), tmp_path / "b", views=TWICE, batch_size=10, rows_per_shard=20))


KILLED = """
import sys, time
sys.path.insert(0, {tests!r})
import labelled
from attar.data.store import label
class Slow(labelled.Linear):
    def predict(self, inputs):
        time.sleep(0.05)
        return super().predict(inputs)
label(Slow(), labelled.split(), {folder!r}, views=labelled.TWICE, batch_size=2, rows_per_shard=2)
"""


def test_pass_that_was_killed_goes_on(tmp_path):
    script = KILLED.format(tests=str(Path(__file__).parent), folder=str(tmp_path / "a"))
    process = subprocess.Popen([sys.executable, "-c", script], stderr=subprocess.PIPE)
    deadline = time.monotonic() + 60
    while len(list(tmp_path.glob("a/*.parquet"))) < 3 and process.poll() is None and time.monotonic() < deadline:
        time.sleep(0.01)
    process.send_signal(signal.SIGKILL)
    _, complaint = process.communicate()
    assert process.returncode == -signal.SIGKILL, complaint.decode()
    done = len(list(tmp_path.glob("a/*.parquet")))
    assert 3 <= done < 50
    with pytest.raises(BadInput, match=r"holds .* of 50 shards.*Run label again"):
        Targets.open(tmp_path / "a")
    teacher = Linear()
    targets = label(teacher, split(), tmp_path / "a", views=TWICE, batch_size=2, rows_per_shard=2)
    assert teacher.asked in (50 - done, 51 - done), "all parts but perhaps the last were kept"
    assert same(targets, label(Linear(), split(), tmp_path / "b", views=TWICE, batch_size=2, rows_per_shard=2))
    assert sorted({name.suffix for name in (tmp_path / "a").iterdir()}) == [".json", ".parquet"]


def test_killed_while_the_manifest_was_written(tmp_path):
    (tmp_path / f"{TEMPORARY}0-manifest.json").write_text('{"form')
    assert len(label(Linear(), split(), tmp_path)) == 50
    assert not [name for name in tmp_path.iterdir() if is_temporary(name)]


def test_progress_counts_every_example_of_every_view_also_after_a_crash(tmp_path):
    steps: list[int] = []

    @contextmanager
    def counting(title: str, total: int) -> Iterator[object]:
        assert (title, total) == ("label", 100)
        yield steps.append

    with pytest.raises(KeyboardInterrupt):
        label(Linear(dies_after=5), split(), tmp_path, views=TWICE, batch_size=10, rows_per_shard=20)
    label(Linear(), split(), tmp_path, views=TWICE, batch_size=10, rows_per_shard=20, progress=counting)
    assert sum(steps) == 100


# Stale stores


@pytest.mark.parametrize(
    ("changed", "named"),
    [
        ({"teacher": Linear(scale=2.0)}, ["teacher"]),
        ({"split": split(seed=1)}, ["data"]),
        ({"views": Views(count=2, noise=0.25)}, ["views"]),
        ({"top_k": 2}, ["top_k"]),
        ({"split": split(classes=("ant", "bee", "cow", "dog", "eel"))}, ["data", "task"]),
        ({"teacher": Linear(scale=2.0), "split": split(seed=1), "top_k": 1}, ["teacher", "data", "top_k"]),
    ],
    ids=["teacher", "data", "views", "top_k", "classes", "three"],
)
@pytest.mark.parametrize("finished", [True, False], ids=["finished", "unfinished"])
def test_stale_store_says_what_changed(tmp_path, changed, named, finished):
    arguments = {"teacher": Linear(), "split": split(), "folder": tmp_path, "views": TWICE}
    label(**arguments, rows_per_shard=20)
    if not finished:
        (tmp_path / "shard-001-00001.parquet").unlink()
    before = {file.name: file.read_bytes() for file in tmp_path.iterdir()}
    with pytest.raises(StaleStore) as caught:
        label(**{**arguments, **changed}, replace_stale=False)
    message = str(caught.value)
    said = [name for name in ("teacher", "data", "views", "top_k", "task") if f" {name} (stored" in message]
    assert said == named, message
    assert "Choose another folder, or delete this one" in message
    assert {file.name: file.read_bytes() for file in tmp_path.iterdir()} == before


@pytest.mark.parametrize("finished", [True, False], ids=["finished", "unfinished"])
def test_a_stale_store_is_labelled_anew_with_a_warning(tmp_path, finished, caplog):
    label(Linear(), split(), tmp_path / "store", views=TWICE, rows_per_shard=20)
    if not finished:
        (tmp_path / "store" / "shard-001-00001.parquet").unlink()
    (tmp_path / "store" / "notes.txt").write_text("mine")
    fresh = label(Linear(scale=2.0), split(seed=1), tmp_path / "fresh")
    assert same(label(Linear(scale=2.0), split(seed=1), tmp_path / "store"), fresh)
    (warning,) = [record.getMessage() for record in caplog.records if record.levelname == "WARNING"]
    assert "are made again, since something has changed: teacher (stored" in warning
    left = {file.name for file in (tmp_path / "store").iterdir()}
    assert left == {"notes.txt", *(file.name for file in (tmp_path / "fresh").iterdir())}
    with pytest.raises(StaleStore):
        Targets.open(tmp_path / "store", teacher_fingerprint=Linear().fingerprint())


@pytest.mark.parametrize(
    ("asked", "named"),
    [
        ({"split": split(seed=1)}, "data"),
        ({"views": ONCE}, "views"),
        ({"teacher_fingerprint": "another"}, "teacher"),
    ],
)
def test_open_checks_what_it_is_asked_for(tmp_path, asked, named):
    first = label(Linear(), split(), tmp_path, views=TWICE)
    fitting = Targets.open(tmp_path, split(), TWICE, Linear().fingerprint())
    assert same(first, fitting) and same(first, Targets.open(tmp_path))
    with pytest.raises(StaleStore, match=rf"has changed in: {named} \(stored"):
        Targets.open(tmp_path, **asked)


# Damaged stores


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A finished store of three parts."""
    label(Linear(), split(), tmp_path, rows_per_shard=20)
    return tmp_path


def damage(path: Path, how: str) -> None:
    data = bytearray(path.read_bytes())
    if how == "truncated":
        del data[len(data) // 2 :]
    elif how == "empty":
        data.clear()
    else:
        data[int(how) % len(data)] ^= 0x10
    path.write_bytes(data)


@pytest.mark.parametrize("how", ["truncated", "empty", "5", "60", "200", "-1", "-20", "-100"])
def test_damaged_part_is_found_and_computed_anew(folder, how):
    whole = Targets.open(folder)
    part = folder / "shard-000-00001.parquet"
    damage(part, how)
    for read in (lambda: Targets.open(folder), lambda: label(Linear(), split(), folder)):
        with pytest.raises(CorruptFile, match=r"shard-000-00001.parquet.*Delete this file .* label again"):
            read()
    part.unlink()
    teacher = Linear()
    assert same(whole, label(teacher, split(), folder)) and teacher.asked == 1


@pytest.mark.parametrize("how", ["truncated", "empty", "60"])
def test_damaged_part_of_an_unfinished_pass_is_found(tmp_path, how):
    with pytest.raises(KeyboardInterrupt):
        label(Linear(dies_after=2), split(), tmp_path, batch_size=20, rows_per_shard=20)
    damage(tmp_path / "shard-000-00001.parquet", how)
    with pytest.raises(CorruptFile, match=r"shard-000-00001.parquet.*label again"):
        label(Linear(), split(), tmp_path)


def test_part_that_was_written_but_not_yet_named_is_written_again(folder):
    """As a crash between the two leaves it."""
    whole = Targets.open(folder)
    document = json.loads((folder / "manifest.json").read_text())
    del document["shards"]["shard-000-00002.parquet"]
    (folder / "manifest.json").write_text(to_text(document))
    with pytest.raises(BadInput, match=r"holds 2 of 3 shards"):
        Targets.open(folder)
    teacher = Linear()
    assert same(whole, label(teacher, split(), folder)) and teacher.asked == 1


def test_missing_part_of_a_finished_store(folder):
    whole = Targets.open(folder)
    (folder / "shard-000-00001.parquet").unlink()
    with pytest.raises(
        CorruptFile, match=r"shard-000-00001.parquet' of the stored targets cannot be used: it is missing.*label again"
    ):
        Targets.open(folder)
    teacher = Linear()
    assert same(whole, label(teacher, split(), folder)) and teacher.asked == 1
    assert same(whole, Targets.open(folder, split()))


def test_deleted_part_is_forgotten_before_it_is_written_anew(folder):
    """Else a crash between the new part and the new manifest would leave a part that seems to be altered."""
    (folder / "shard-000-00001.parquet").unlink()
    with pytest.raises(KeyboardInterrupt):
        label(Linear(dies_after=0), split(), folder)
    named = json.loads((folder / "manifest.json").read_text())["shards"]
    assert sorted(named) == ["shard-000-00000.parquet", "shard-000-00002.parquet"]


@pytest.mark.parametrize(
    ("change", "why"),
    [
        (lambda table: table.slice(1), "it has 19 rows"),
        (lambda table: table.drop_columns(["view"]), "it has 20 rows of"),
        (lambda table: table.set_column(0, "id", pa.array(range(20))), "it is about other examples or another view"),
        (lambda table: table.set_column(1, "view", pa.array([1] * 20, pa.int32())), "it is about other examples"),
        (lambda table: table.set_column(1, "view", pa.array([0] * 20)), "column 'view' has gaps or is of type int64"),
        (lambda table: table.set_column(0, "id", pa.array([None] * 20, pa.int64())), "column 'id' has gaps"),
        (lambda table: table.set_column(2, "logits", pa.array([[0.0] * 5] * 20)), "column 'logits' .* of type list"),
    ],
    ids=["rows", "columns", "ids", "view", "type", "gaps", "lists"],
)
def test_part_that_another_engine_wrote_otherwise(folder, change, why):
    part = folder / "shard-000-00001.parquet"
    pq.write_table(change(pq.read_table(part)), part)
    document = json.loads((folder / "manifest.json").read_text())
    document["shards"][part.name] = hashlib.sha256(part.read_bytes()).hexdigest()
    (folder / "manifest.json").write_text(to_text(document))
    with pytest.raises(CorruptFile, match=why):
        Targets.open(folder, split())


def test_part_that_another_engine_wrote_alike(folder):
    whole, part = Targets.open(folder), folder / "shard-000-00001.parquet"
    pq.write_table(pq.read_table(part), part, compression="snappy")
    document = json.loads((folder / "manifest.json").read_text())
    document["shards"][part.name] = hashlib.sha256(part.read_bytes()).hexdigest()
    (folder / "manifest.json").write_text(to_text(document))
    assert same(whole, Targets.open(folder, split()))


@pytest.mark.parametrize(
    ("content", "why"),
    [
        ("", "it is not JSON"),
        ('{"format": 1, "rows"', "it is not JSON"),
        ("\x80binary", "it is not UTF-8"),
        ("[1, 2]", "must hold a JSON object"),
        ("{}", "has no 'checksum'"),
        (to_text({}), "it does not say what format it is"),
        (to_text({"format": 4}), "an entry is missing or wrong"),
        (to_text({"format": 4}).replace("4", "5", 1), "its 'checksum' differs"),
    ],
)
def test_manifest_that_is_no_manifest(folder, content, why):
    (folder / "manifest.json").write_text(content, encoding="latin-1")
    for read in (lambda: Targets.open(folder), lambda: label(Linear(), split(), folder)):
        with pytest.raises(CorruptFile, match=rf"manifest.json.*{why}.*Delete the folder and label again"):
            read()


@pytest.mark.parametrize("entry", ["rows", "views", "task", "fingerprints", "top_k", "shards"])
@pytest.mark.parametrize("value", [0, "x", [], {}], ids=str)
def test_manifest_with_a_wrong_entry_is_an_error_of_ours(folder, entry, value):
    document = json.loads((folder / "manifest.json").read_text())
    (folder / "manifest.json").write_text(to_text({**document, entry: value}))
    with pytest.raises(BadInput, match=r"stored targets|complete targets|finished pass"):
        Targets.open(folder)


@pytest.mark.parametrize(
    ("number", "remedy"),
    [
        (1, "it is of an older Attar, so delete the folder, or name another, and label again"),
        (5, "it is of a newer Attar, so install that, or name another folder and label again"),
        ("x", "it is of an older Attar"),
    ],
)
def test_manifest_of_another_version(folder, number, remedy):
    document = json.loads((folder / "manifest.json").read_text())
    del document["task"]  # an older one had classes
    (folder / "manifest.json").write_text(to_text({**document, "format": number}))
    for read in (lambda: Targets.open(folder), lambda: label(Linear(), split(), folder)):
        with pytest.raises(BadInput, match=rf"must be of format 4, and is of {number!r}: {remedy}"):
            read()


# Folders that will not do


def test_folder_that_holds_something_else(tmp_path):
    (tmp_path / "thesis.tex").write_text("precious")
    with pytest.raises(BadInput, match=r"folder of label must be empty, new or written by label; .*thesis.tex in it"):
        label(Linear(), split(), tmp_path)
    assert [file.name for file in tmp_path.iterdir()] == ["thesis.tex"]


def test_folder_without_a_store(tmp_path):
    for folder in (tmp_path, tmp_path / "gone"):
        with pytest.raises(BadInput, match=r"folder of Targets.open must be a folder with a manifest.json"):
            Targets.open(folder)


def test_folder_that_is_a_file(tmp_path):
    (tmp_path / "file").write_text("")
    for folder in (tmp_path / "file", tmp_path / "file" / "below"):
        with pytest.raises(BadInput, match=r"The folder .* of label cannot be written"):
            label(Linear(), split(), folder)


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_folder_without_permission_to_write(tmp_path):
    tmp_path.chmod(0o500)
    with pytest.raises(BadInput, match=r"The folder .* of label cannot be written: Permission denied"):
        label(Linear(), split(), tmp_path)


def test_folder_without_permission_to_write_simulated(tmp_path, monkeypatch):
    def refuse(self: Path, *_: object, **__: object) -> None:
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(self))

    monkeypatch.setattr(Path, "mkdir", refuse)
    with pytest.raises(BadInput, match=r"The folder .* of label cannot be written: Permission denied"):
        label(Linear(), split(), tmp_path / "new")


def test_disk_that_fills_up_keeps_the_finished_shards(tmp_path, monkeypatch):
    fsync, written = os.fsync, []

    def full(descriptor: int) -> None:
        written.append(descriptor)
        # Each file takes two, its own and the folder's: the manifest, the first part, the manifest again.
        if len(written) > 6:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        fsync(descriptor)

    match = r"cannot be written: No space left on device.*the shards that are there are reused"
    with monkeypatch.context() as patch, pytest.raises(BadInput, match=match):
        patch.setattr(os, "fsync", full)
        label(Linear(), split(), tmp_path, rows_per_shard=10)
    assert sorted(file.name for file in tmp_path.iterdir()) == ["manifest.json", "shard-000-00000.parquet"]
    teacher = Linear()
    label(teacher, split(), tmp_path, rows_per_shard=10)
    assert teacher.asked == 4


def test_file_that_may_not_grow(tmp_path):
    """The kernel itself refuses the write half way through a part."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    try:
        resource.setrlimit(resource.RLIMIT_FSIZE, (4000, hard))
        with pytest.raises(BadInput, match=r"of label cannot be written: File too large"):
            label(Linear(), split(900), tmp_path)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert [file.name for file in tmp_path.iterdir()] == ["manifest.json"]
    assert len(label(Linear(), split(900), tmp_path)) == 900


# Teachers and arguments that will not do


@pytest.mark.parametrize("top_k", [None, 2])
@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf, 3e38, 1e6], ids=str)
def test_logits_that_cannot_be_kept_name_teacher_and_id(tmp_path, top_k, value):
    data, said = split(), torch.zeros(50, 5)
    said[33, 1] = value
    said[33, 2] = -value
    with pytest.raises(
        BadInput, match=rf"logits of the teacher Says for the example with id {int(data.ids[33])} must be finite"
    ):
        label(Says(said), data, tmp_path, top_k=top_k, batch_size=8)
    if top_k is None:
        with pytest.raises(BadInput, match="logits of row 33 of round_through_store must be finite"):
            round_through_store(said)
        with pytest.raises(BadInput, match=r"log-odds of row 33 .* must be finite and at most 65504 from 0; got"):
            round_through_store(said, "log_odds")
    if not math.isfinite(value):
        with pytest.raises(BadInput, match="values of row 33 of round_through_store must be finite; got"):
            round_through_store(said, "values")


class Gives(Linear):
    """A teacher that gives what it is told to."""

    def __init__(self, output: object) -> None:
        super().__init__()
        self.output = output

    def predict(self, inputs: Tensor) -> object:
        return self.output


@pytest.mark.parametrize(
    ("output", "got"),
    [
        (torch.zeros(50, 4), r"got \[50, 4\]"),
        (torch.zeros(49, 5), r"got \[49, 5\]"),
        (torch.zeros(50), r"got \[50\]"),
        (torch.zeros(50, 5, 1), r"got \[50, 5, 1\]"),
        (np.zeros((50, 5)), "got ndarray"),
    ],
    ids=["classes", "rows", "rank 1", "rank 3", "numpy"],
)
def test_wrong_output_names_the_teacher(tmp_path, output, got):
    with pytest.raises(BadInput, match=r"output of the teacher Gives must be a tensor \[50, 5\]; " + got):
        label(Gives(output), split(), tmp_path)


@pytest.mark.parametrize(
    ("arguments", "match"),
    [
        ({"top_k": 0}, "top_k of label must be from 1 to 4, for a teacher of 5 classes; got 0"),
        ({"top_k": 5}, "top_k of label must be from 1 to 4, for a teacher of 5 classes; got 5. Leave it out"),
        ({"batch_size": 0}, "batch_size of label must be at least 1"),
        ({"rows_per_shard": 0}, "rows_per_shard of label must be at least 1"),
        ({"split": split(0)}, "split of label must be at least one example"),
        ({"teacher": Linear(classes=7)}, "The teacher Linear tells 7 classes apart, and the data have 5"),
    ],
    ids=lambda value: "" if isinstance(value, str) else "".join(value),
)
def test_bad_arguments(tmp_path, arguments, match):
    with pytest.raises(BadInput, match=match):
        label(**{"teacher": Linear(), "split": split(), "folder": tmp_path, **arguments})
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("view", [-1, 2])
def test_view_that_there_is_not(tmp_path, view):
    targets = label(Linear(), split(), tmp_path, views=TWICE)
    with pytest.raises(BadInput, match="view of Targets must be from 0 to 1"):
        targets(None, torch.tensor([0]), view)
