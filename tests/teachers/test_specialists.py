"""A generalist and specialists as one teacher, and how they are trained and kept."""

from __future__ import annotations

import copy
import json
import math
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from attar.data.split import Split
from attar.data.transfer_set import TransferSet
from attar.errors import BadInput, CorruptFile, StaleStore
from attar.network.architectures import convnet, mlp
from attar.network.standardize import Standardize
from attar.network.weights import digest
from attar.records import to_text
from attar.tasks.classification import Classification
from attar.tasks.labels import ABSENT
from attar.teachers import NetworkTeacher, Teacher
from attar.teachers.specialists.head import find_head, specialized
from attar.teachers.specialists.mixture import Mixture
from attar.teachers.specialists.specialist import Specialist
from attar.teachers.specialists.specialists import Inference, Specialists
from attar.teachers.specialists.specialize import specialize
from attar.training.batch import Batch
from attar.training.settings import Training

CLASSES = 6
BRIEF = Training(epochs=2, batch_size=32, learning_rate=0.05)


class Rows:
    """Examples in memory; the epoch shows in the inputs, so that a test can see which one was asked for."""

    def __init__(self, inputs: Tensor, labels: Tensor) -> None:
        self.inputs, self.labels = inputs, labels

    def __len__(self) -> int:
        return len(self.inputs)

    def batch(self, rows: Tensor, epoch: int) -> Batch:
        return Batch(inputs=self.inputs[rows] + 0.001 * epoch, labels=self.labels[rows], ids=rows)


def blobs(count: int = 240, seed: int = 0) -> Rows:
    draws = torch.Generator().manual_seed(seed)
    centers = torch.randn(CLASSES, 4, generator=torch.Generator().manual_seed(7)) * 1.2
    labels = torch.arange(count) % CLASSES
    return Rows(centers[labels] + torch.randn(count, 4, generator=draws) * 0.6, labels)


def network(seed: int = 0, classes: int = CLASSES) -> nn.Module:
    torch.manual_seed(seed)
    return mlp(4, classes, [12]).eval()


class Says:
    """A teacher whose logits are a function of its inputs; it counts the rows that it was asked about."""

    def __init__(self, table: Tensor) -> None:
        self.table, self.classes, self.asked = table, table.shape[1], 0

    def predict(self, inputs: Tensor) -> Tensor:
        self.asked += len(inputs)
        return self.table[inputs[:, 0].long()]

    def fingerprint(self) -> str:
        return str(self.table.tolist())


def made(correction: str = "none", top: int = 1) -> Specialists:
    """A generalist that cannot tell 0 from 1 nor 2 from 3, and two specialists that can."""
    general = torch.tensor(
        [[0.45, 0.45, 0.05, 0.05], [0.45, 0.45, 0.05, 0.05], [0.05, 0.05, 0.5, 0.4], [0.05, 0.05, 0.5, 0.4]]
    ).log()
    one = torch.tensor([[0.9, 0.05, 0.05], [0.05, 0.9, 0.05], [0.05, 0.05, 0.9], [0.05, 0.05, 0.9]]).log()
    other = torch.tensor([[0.05, 0.05, 0.9], [0.05, 0.05, 0.9], [0.9, 0.05, 0.05], [0.05, 0.9, 0.05]]).log()
    return Specialists(
        Says(general),
        [
            Specialist(classes=(0, 1), teacher=Says(one), share=0.25),
            Specialist(classes=(2, 3), teacher=Says(other), share=0.25),
        ],
        Inference(correction=correction, top=top),  # type: ignore[arg-type]
    )


INPUTS = torch.arange(4.0)[:, None]


# -- the teacher -------------------------------------------------------------------------------------------------------


def test_specialists_tell_apart_what_the_generalist_does_not():
    teacher = made()
    assert isinstance(teacher, Teacher)
    assert teacher.predict(INPUTS).argmax(1).tolist() == [0, 1, 2, 3]
    assert teacher.generalist.predict(INPUTS).argmax(1).tolist() == [0, 0, 2, 2]


def test_a_specialist_runs_on_its_rows_only():
    teacher = made()
    teacher.predict(INPUTS)
    assert [one.teacher.asked for one in teacher.specialists] == [2, 2]
    teacher.predict(INPUTS[:2])
    assert [one.teacher.asked for one in teacher.specialists] == [4, 2]
    wide = made(top=3)
    wide.predict(INPUTS)
    assert [one.teacher.asked for one in wide.specialists] == [4, 4]


def test_nobody_asked_means_the_generalist():
    teacher = made()
    lone = Specialists(teacher.generalist, teacher.specialists[:1])
    expected = torch.log_softmax(teacher.generalist.predict(INPUTS), 1)
    torch.testing.assert_close(lone.predict(INPUTS)[2:], expected[2:])
    assert not torch.allclose(lone.predict(INPUTS)[:2], expected[:2])


def test_order_of_rows_and_specialists_does_not_matter():
    teacher = made(top=3)
    other = Specialists(teacher.generalist, teacher.specialists[::-1], teacher.inference)
    torch.testing.assert_close(other.predict(INPUTS), teacher.predict(INPUTS))
    torch.testing.assert_close(other.predict(INPUTS.flip(0)).flip(0), teacher.predict(INPUTS))
    assert other.fingerprint() == teacher.fingerprint()


def test_fingerprint_tells_specialists_and_settings_apart():
    teacher = made()
    prints = {
        teacher.fingerprint(),
        made("literal").fingerprint(),
        made("exact").fingerprint(),
        made(top=2).fingerprint(),
        Specialists(teacher.generalist, teacher.specialists[:1]).fingerprint(),
        Specialists(
            teacher.specialists[0].teacher, [Specialist(classes=(0,), teacher=Says(torch.zeros(4, 2)), share=0.5)]
        ).fingerprint(),
        teacher.changed(tolerance=1e-3).fingerprint(),
    }
    assert len(prints) == 7
    assert teacher.changed(top=2).fingerprint() == made(top=2).fingerprint()


def test_corrections_undo_the_sampling():
    one = Specialist(classes=(0,), teacher=Says(torch.zeros(1, 2)), share=0.1, special_fraction=0.5)
    assert one.shift("none") == 0
    assert one.shift("literal") == pytest.approx(math.log(0.5 / 0.1))
    assert one.shift("exact") == pytest.approx(math.log(0.9 / 0.1))
    # They differ by log(2 (1 - share)), which is at most log 2.
    assert one.shift("exact") - one.shift("literal") == pytest.approx(math.log(2 * 0.9))
    # Bayes: a posterior under the mixed sampling becomes that under the true one.
    density = {True: 0.7, False: 0.2}
    mixed = math.log(density[False] * 0.5) - math.log(density[True] * 0.5)
    assert mixed + one.shift("exact") == pytest.approx(math.log(density[False] * 0.9) - math.log(density[True] * 0.1))
    third = Specialist(classes=(0,), teacher=Says(torch.zeros(1, 2)), share=0.1, special_fraction=0.25)
    assert third.shift("exact") == pytest.approx(math.log(0.9 / 0.75) - math.log(0.1 / 0.25))
    with pytest.raises(BadInput, match="exact"):
        getattr(Specialist.shift, "__wrapped__", Specialist.shift)(one, "exac")


def test_the_correction_takes_mass_from_the_special_classes():
    plain, corrected = made().predict(INPUTS).exp(), made("exact").predict(INPUTS).exp()
    assert float(corrected[0, :2].sum()) < float(plain[0, :2].sum())


def test_what_does_not_fit_is_named():
    general = Says(torch.zeros(4, 4))
    good = Specialist(classes=(0, 1), teacher=Says(torch.zeros(4, 3)), share=0.25)
    with pytest.raises(BadInput, match="one or more"):
        Specialists(general, [])
    with pytest.raises(BadInput, match="not all"):
        Specialists(Says(torch.zeros(4, 2)), [good])
    with pytest.raises(BadInput, match="not all"):
        Specialists(Says(torch.zeros(4, 3)), [Specialist(classes=(3,), teacher=Says(torch.zeros(4, 2)), share=0.25)])
    with pytest.raises(BadInput, match="top"):
        Specialists(general, [good], Inference(top=5))
    with pytest.raises(BadInput, match="max_steps"):
        Specialists(general, [good], Inference(max_steps=0))
    with pytest.raises(BadInput, match="of 3 logits"):
        Specialist(classes=(0, 1), teacher=Says(torch.zeros(4, 2)), share=0.25)
    with pytest.raises(BadInput, match="share"):
        Specialist(classes=(0, 1), teacher=Says(torch.zeros(4, 3)), share=1.0)


# -- the last layer ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("build", "example"),
    [
        (lambda: mlp(4, CLASSES, [CLASSES, CLASSES]), torch.randn(2, 4)),
        (lambda: nn.Linear(4, CLASSES), torch.randn(2, 4)),
        (lambda: nn.Linear(4, CLASSES, bias=False), torch.randn(2, 4)),
        (lambda: Standardize(convnet(CLASSES, [4, 8]), [0.5], [2.0]), torch.randn(2, 1, 8, 8)),
    ],
    ids=["layers of one size", "a layer itself", "no bias", "images"],
)
def test_special_logits_begin_as_the_generalists(build, example):
    torch.manual_seed(3)
    generalist = build().eval()
    head = find_head(generalist, CLASSES, example)
    before = digest(generalist)
    changed = specialized(generalist, head, [4, 1]).eval()
    said, logits = changed(example), generalist(example)
    torch.testing.assert_close(said[:, :2], logits[:, [4, 1]])
    rest = logits[:, [0, 2, 3, 5]]
    torch.testing.assert_close(said[:, 2], rest.mean(1) + math.log(4))
    assert bool((said[:, 2] <= rest.logsumexp(1) + 1e-5).all())
    assert digest(generalist) == before and all(parameter.requires_grad for parameter in changed.parameters())


def test_a_network_that_ends_otherwise_is_refused():
    scaled = nn.Sequential(nn.Linear(4, CLASSES), nn.Softmax(1))
    with pytest.raises(BadInput, match=r"nn\.Linear with 6"):
        find_head(scaled, CLASSES, torch.randn(2, 4))


# -- what they learn from ----------------------------------------------------------------------------------------------


def test_half_of_an_epoch_is_special_and_the_rest_changes_by_seed_and_epoch_alone():
    data = blobs()
    mixture = Mixture(data, data.labels, [4, 1], of=CLASSES, seed=3)
    rows = torch.arange(len(mixture))
    assert len(mixture) == 160
    batch = mixture.batch(rows, 2)
    assert batch.labels is not None and batch.ids is not None
    assert torch.bincount(batch.labels).tolist() == [40, 40, 80]
    assert torch.equal(data.labels[batch.ids[batch.labels == 0]], torch.full((40,), 4))
    others = batch.ids[batch.labels == 2]
    assert len(others.unique()) == 80 and not set(data.labels[others].tolist()) & {1, 4}
    assert torch.equal(batch.inputs, data.batch(batch.ids, 2).inputs)
    again = Mixture(data, data.labels, [4, 1], of=CLASSES, seed=3)
    again.batch(rows, 0)
    assert torch.equal(again.batch(rows.flip(0), 2).ids.flip(0), batch.ids)
    assert not torch.equal(mixture.batch(rows, 3).ids, batch.ids)
    assert not torch.equal(Mixture(data, data.labels, [4, 1], of=CLASSES, seed=4).batch(rows, 2).ids, batch.ids)


def test_validation_is_the_same_in_every_epoch_and_unknown_labels_are_left_out():
    data = blobs()
    labels = data.labels.clone()
    labels[::2] = ABSENT
    mixture = Mixture(data, labels, [1], of=CLASSES, fixed=True)
    rows = torch.arange(len(mixture))
    one, other = mixture.batch(rows, 0), mixture.batch(rows, 5)
    assert torch.equal(one.ids, other.ids) and torch.equal(one.inputs, other.inputs)
    assert not bool((labels[one.ids] == ABSENT).any())


@pytest.mark.parametrize(("fraction", "others"), [(0.25, 120), (0.8, 10), (0.1, 360)])
def test_any_fraction_also_when_the_others_are_too_few(fraction, others):
    data = blobs()
    mixture = Mixture(data, data.labels, [0], of=CLASSES, fraction=fraction)
    assert len(mixture) == 40 + others
    ids = mixture.batch(torch.arange(len(mixture)), 0).ids
    counts = torch.bincount(ids, minlength=len(data))[data.labels != 0]
    assert int(counts.max()) - int(counts.min()) <= 1 and int(counts.sum()) == others


# -- the verb ----------------------------------------------------------------------------------------------------------


def same(one: Specialists, other: Specialists) -> bool:
    return one.fingerprint() == other.fingerprint()


def test_they_learn_their_task_and_the_generalist_is_left_alone():
    data, validation, generalist = blobs(), blobs(120, seed=1), network()
    before = digest(generalist)
    made_ = specialize(
        generalist,
        data,
        data.labels,
        class_sets=[[0, 1], [2, 3, 4]],
        validation=validation,
        top=2,
        settings=Training(epochs=8, batch_size=32, learning_rate=0.1),
    )
    assert digest(generalist) == before and all(p.requires_grad for p in generalist.parameters())
    assert [one.classes for one in made_.specialists] == [(0, 1), (2, 3, 4)]
    assert made_.inference.top == 2 and made_.classes == CLASSES
    assert [one.share for one in made_.specialists] == pytest.approx([2 / 6, 3 / 6])
    assert all(one.score is not None and one.score > 0.8 for one in made_.specialists)
    right = [
        float((teacher.predict(validation.inputs).argmax(1) == validation.labels).float().mean())
        for teacher in (made_.generalist, made_)
    ]
    assert right[1] > right[0] + 0.2  # an untrained generalist


def test_the_same_with_a_folder_and_again_from_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    data, generalist = blobs(), network()
    call = {"n_clusters": 3, "settings": BRIEF}
    one = specialize(generalist, data, data.labels, **call)
    kept = specialize(generalist, data, data.labels, folder=tmp_path / "kept", **call)
    assert same(one, kept)
    assert sorted(number for each in one.specialists for number in each.classes) == list(range(CLASSES))
    assert not list(tmp_path.rglob("*checkpoint*")) and not list(tmp_path.rglob("*.part"))

    def never(*_: object, **__: object) -> None:
        raise AssertionError("trained again")

    with monkeypatch.context() as patch:
        patch.setattr("attar.training.fit.fit", never)
        assert same(one, specialize(generalist, data, data.labels, folder=tmp_path / "kept", **call))
    assert same(one, Specialists.load(tmp_path / "kept", network(5)))


@pytest.mark.slow
def test_processes_train_the_same_specialists(tmp_path: Path):
    made_up, generalist = blobs(), network()
    classes = tuple("abcdef")
    # Processes must be able to import what they are given, which this file's own classes are not.
    data = TransferSet(
        Split(made_up.inputs, made_up.labels, torch.arange(len(made_up)), Classification(tuple(classes)))
    )
    call = {"class_sets": [[0, 1], [2, 3], [4, 5]], "settings": BRIEF}
    alone = specialize(generalist, data, made_up.labels, **call)
    together = specialize(generalist, data, made_up.labels, folder=tmp_path / "kept", jobs=2, **call)
    for one, other in zip(alone.specialists, together.specialists, strict=True):
        torch.testing.assert_close(one.teacher.predict(made_up.inputs), other.teacher.predict(made_up.inputs))


def test_a_damaged_or_missing_specialist_is_trained_anew_and_only_that(tmp_path: Path):
    data, generalist = blobs(), network()
    call = {"class_sets": [[0, 1], [2, 3]], "settings": BRIEF, "folder": tmp_path / "kept"}
    whole = specialize(generalist, data, data.labels, **call)
    weights = [tmp_path / "kept" / f"specialist-00{index}" / "weights.safetensors" for index in range(2)]
    times = [path.stat().st_mtime_ns for path in weights]
    weights[1].write_bytes(weights[1].read_bytes()[:-1] + b"\x7f")
    with pytest.raises(CorruptFile, match="specialist-001"):
        Specialists.load(tmp_path / "kept", generalist)
    assert same(whole, specialize(generalist, data, data.labels, **call))
    assert weights[0].stat().st_mtime_ns == times[0] and weights[1].stat().st_mtime_ns != times[1]


def test_other_settings_train_anew_and_another_generalist_is_refused(tmp_path: Path):
    data, generalist = blobs(), network()
    call = {"class_sets": [[0, 1]], "folder": tmp_path / "kept"}
    one = specialize(generalist, data, data.labels, settings=BRIEF, **call)
    longer = Training(epochs=3, batch_size=32, learning_rate=0.05)
    assert not same(one, specialize(generalist, data, data.labels, settings=longer, **call))
    with pytest.raises(StaleStore, match="generalist"):
        specialize(network(1), data, data.labels, settings=BRIEF, **call)
    with pytest.raises(StaleStore, match="sets"):
        specialize(generalist, data, data.labels, class_sets=[[0, 2]], settings=BRIEF, folder=tmp_path / "kept")
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "letter.txt").write_text("dear")
    with pytest.raises(BadInput, match="empty"):
        specialize(generalist, data, data.labels, class_sets=[[0]], settings=BRIEF, folder=tmp_path / "other")


def test_saved_and_loaded_they_say_the_same(tmp_path: Path):
    data = blobs()
    one = specialize(network(), data, data.labels, class_sets=[[0, 1], [1, 5]], settings=BRIEF, top=2)
    one.save(tmp_path / "saved")
    other = Specialists.load(tmp_path / "saved", network(9))
    assert same(one, other) and torch.equal(one.predict(data.inputs), other.predict(data.inputs))
    assert other.inference == one.inference and other.specialists[1].history == one.specialists[1].history
    with pytest.raises(BadInput, match="empty"):
        one.save(tmp_path / "saved")
    with pytest.raises(BadInput, match=r"tensor|network"):
        Specialists.load(tmp_path / "saved", mlp(4, CLASSES, [7]))
    (tmp_path / "saved" / "specialists.json").write_text("{")
    with pytest.raises(CorruptFile):
        Specialists.load(tmp_path / "saved", network())
    with pytest.raises(CorruptFile):
        Specialists.load(tmp_path / "nowhere", network())


def test_an_altered_generalist_or_list_of_sets_is_noticed(tmp_path: Path):
    data = blobs()
    specialize(network(), data, data.labels, class_sets=[[0, 1]], settings=BRIEF, folder=tmp_path / "kept")
    about = json.loads((tmp_path / "kept" / "specialists.json").read_text())
    for change in ({"generalist": "0" * 64}, {"sets": [[0, 2]]}):
        (tmp_path / "kept" / "specialists.json").write_text(to_text(about | change))
        with pytest.raises(CorruptFile):
            Specialists.load(tmp_path / "kept", network())


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({}, "n_clusters"),
        ({"class_sets": [[0]], "n_clusters": 2}, "given alone"),
        ({"class_sets": []}, "one or more"),
        ({"class_sets": [list(range(CLASSES))]}, "each once"),
        ({"class_sets": [[0, 0]]}, "each once"),
        ({"class_sets": [[0]], "special_fraction": 1.0}, "special_fraction"),
        ({"class_sets": [[0]], "jobs": 0}, "jobs"),
        ({"class_sets": [[0]], "labels": torch.zeros(3, dtype=torch.int64)}, "labels"),
        ({"class_sets": [[0]], "labels": torch.full((240,), 6)}, "below 6"),
        ({"class_sets": [[5]], "labels": torch.zeros(240, dtype=torch.int64)}, r"examples of the classes \[5\]"),
        ({"class_sets": [[0]], "labels": torch.zeros(240, dtype=torch.int64)}, "other classes"),
    ],
)
def test_errors_name_the_parameter(change, said, tmp_path: Path):
    data = blobs()
    call = {"labels": data.labels, "settings": BRIEF, "folder": tmp_path / "kept"} | change
    with pytest.raises(BadInput, match=said):
        specialize(network(), data, **call)
    assert not (tmp_path / "kept").exists()


def test_the_network_of_a_teacher_is_not_frozen_twice():
    data, generalist = blobs(), network()
    frozen = NetworkTeacher(copy.deepcopy(generalist), classes=CLASSES)
    call = {"class_sets": [[0, 1]], "settings": BRIEF}
    assert same(specialize(frozen.module, data, data.labels, **call), specialize(generalist, data, data.labels, **call))


def test_a_generalist_with_the_same_weights_and_other_layers_is_another(tmp_path: Path):
    data, generalist = blobs(), network()
    call = {"class_sets": [[0, 1]], "settings": BRIEF, "folder": tmp_path / "kept"}
    one = specialize(generalist, data, data.labels, **call)
    other = copy.deepcopy(generalist)
    for name, layer in generalist.named_modules():
        if isinstance(layer, nn.ReLU):
            other.set_submodule(name, nn.Tanh())
    assert digest(other) == digest(generalist)
    with pytest.raises(StaleStore, match="layers of the generalist"):
        specialize(other, data, data.labels, **call)
    with pytest.raises(BadInput, match=r"network of Specialists\.load"):
        Specialists.load(tmp_path / "kept", other)
    # Earlier versions did not name the layers.
    path = tmp_path / "kept" / "specialists.json"
    about = json.loads(path.read_text())
    del about["network"]
    path.write_text(to_text(about))
    assert same(one, Specialists.load(tmp_path / "kept", generalist))
    assert same(one, specialize(generalist, data, data.labels, **call))
