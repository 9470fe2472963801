"""Figures of one model: against hand-worked values, scikit-learn, scipy and slow loops."""

import json

import numpy as np
import pytest
import scipy.special
import scipy.stats
import sklearn.metrics
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor, nn

import attar
import attar.evidence.measure as measuring
from attar.deployment.artifact import Artifact
from attar.deployment.deploy import deploy
from attar.errors import AttarError, BadInput
from attar.evidence.latency import Latency
from attar.evidence.measure import (
    BINS,
    ClassQuality,
    Evidence,
    Parity,
    Quality,
    agreement,
    correct,
    measure,
    parity,
    predict_all,
    quality,
    wilson,
)
from attar.transfer.datasets import Split

CLASSES = ("ant", "bee", "cat")


def split(n: int, *, seed: int = 0, labels: bool = True) -> Split:
    generator = torch.Generator().manual_seed(seed)
    inputs = torch.randn(n, 4, generator=generator)
    known = torch.randint(0, 3, (n,), generator=generator) if labels else None
    return Split(inputs, known, torch.arange(n), CLASSES)


# --- intervals


@given(st.integers(1, 5000).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n))), st.sampled_from([0.5, 0.95]))
def test_wilson_equals_scipy(counts, level):
    successes, examples = counts
    expected = scipy.stats.binomtest(successes, examples).proportion_ci(level, method="wilson")
    assert wilson(successes, examples, level=level) == pytest.approx((expected.low, expected.high), abs=1e-12)


@given(st.integers(1, 5000).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n))))
def test_wilson_contains_the_share_and_mirrors(counts):
    successes, examples = counts
    low, high = wilson(successes, examples)
    assert 0 <= low <= successes / examples <= high <= 1
    assert wilson(examples - successes, examples) == pytest.approx((1 - high, 1 - low), abs=1e-12)


@pytest.mark.parametrize("share", [0.5, 0.9, 0.99])
def test_wilson_covers_the_true_share(share):
    draws = np.random.default_rng(0).binomial(500, share, size=2000)
    intervals = {int(k): wilson(int(k), 500) for k in np.unique(draws)}
    covered = np.mean([intervals[int(k)][0] <= share <= intervals[int(k)][1] for k in draws])
    # The exact coverage of the discrete counts lies within 1.5 points of 95%.
    assert covered == pytest.approx(0.95, abs=0.025)


@pytest.mark.parametrize(("successes", "examples"), [(-1, 10), (11, 10), (0, 0)])
def test_wilson_refuses_impossible_counts(successes, examples):
    with pytest.raises(BadInput, match="successes of wilson"):
        wilson(successes, examples)


# --- quality


def test_quality_equals_scikit_learn():
    rng = np.random.default_rng(0)
    logits, labels = rng.normal(0, 3, size=(500, 3)).astype(np.float32), rng.integers(0, 3, 500)
    result = quality(logits, labels, CLASSES)
    probabilities = scipy.special.softmax(logits.astype(np.float64), axis=1)
    assert result.examples == 500
    assert result.accuracy == sklearn.metrics.accuracy_score(labels, logits.argmax(1))
    assert result.log_loss == pytest.approx(sklearn.metrics.log_loss(labels, probabilities), rel=1e-9)
    recalls = sklearn.metrics.recall_score(labels, logits.argmax(1), average=None)
    assert [one.accuracy for one in result.per_class.values()] == pytest.approx(recalls)
    assert [one.examples for one in result.per_class.values()] == np.bincount(labels).tolist()
    assert list(result.per_class) == list(CLASSES)
    assert result.interval == wilson(round(result.accuracy * 500), 500)


def test_rmse_hand_worked_for_two_classes_is_that_of_the_positive_one():
    logits = np.log(np.array([[0.9, 0.1], [0.4, 0.6], [0.5, 0.5]]))
    labels = np.array([0, 0, -1])
    expected = np.sqrt((0.1**2 + 0.6**2) / 2)
    assert quality(logits, labels, ["no", "yes"]).rmse == pytest.approx(expected, rel=1e-9)


def test_calibration_error_hand_worked():
    # Confidence 0.8 four times, right three times: gap 0.05. Confidence 0.6 once, wrong: gap 0.6. Weights 4/5 and 1/5.
    confidence = np.array([0.8, 0.8, 0.8, 0.8, 0.6])
    logits = np.log(np.stack([confidence, 1 - confidence], axis=1))
    result = quality(logits, np.array([0, 0, 0, 1, 1]), ("no", "yes"))
    assert result.calibration_error == pytest.approx(0.8 * 0.05 + 0.2 * 0.6, rel=1e-9)


def test_calibration_error_equals_a_loop_over_bins():
    rng = np.random.default_rng(1)
    logits, labels = rng.normal(0, 2, size=(400, 3)), rng.integers(0, 3, 400)
    probabilities = scipy.special.softmax(logits, axis=1)
    confidence, right = probabilities.max(1), probabilities.argmax(1) == labels
    expected = 0.0
    for index in range(BINS):
        inside = (confidence > index / BINS) & (confidence <= (index + 1) / BINS)
        if inside.any():
            expected += inside.mean() * abs(right[inside].mean() - confidence[inside].mean())
    assert quality(logits, labels, CLASSES).calibration_error == pytest.approx(expected, rel=1e-9)


def test_certain_and_right_is_perfect_even_at_extreme_logits():
    result = quality(np.diag([1e4, 1e4, 1e4]), np.arange(3), CLASSES)
    assert (result.accuracy, result.log_loss, result.calibration_error) == (1.0, 0.0, 0.0)
    assert result.interval[1] == 1.0


def test_certain_and_wrong_stays_finite():
    result = quality(np.array([[1e4, -1e4, 0.0]]), np.array([1]), CLASSES)
    assert (result.accuracy, result.log_loss, result.calibration_error) == (0.0, 2e4, 1.0)


logits_and_labels = st.integers(1, 30).flatmap(
    lambda n: st.tuples(
        st.lists(st.lists(st.floats(-50, 50), min_size=3, max_size=3), min_size=n, max_size=n),
        st.lists(st.integers(0, 2), min_size=n, max_size=n),
    )
)


@given(logits_and_labels, st.floats(-100, 100))
def test_shifting_logits_changes_nothing(example, shift):
    # Multiples of 1/256 are shifted without rounding, so that no tie and no bin is decided by it.
    logits, labels = np.round(np.array(example[0]) * 256) / 256, np.array(example[1])
    first, second = quality(logits, labels, CLASSES), quality(logits + np.round(shift), labels, CLASSES)
    assert first.accuracy == second.accuracy
    assert first.log_loss == pytest.approx(second.log_loss, abs=1e-9)


@given(logits_and_labels)
def test_unknown_labels_are_left_out(example):
    logits, labels = np.array(example[0]), np.array(example[1])
    more = np.concatenate([logits, np.full((4, 3), np.nan)])
    assert quality(more, np.concatenate([labels, np.full(4, -1)]), CLASSES) == quality(logits, labels, CLASSES)
    assert correct(more, np.concatenate([labels, np.full(4, -1)])).tolist() == correct(logits, labels).tolist()


def test_class_without_examples_has_no_accuracy():
    result = quality(np.eye(3)[:2], np.array([0, 1]), CLASSES)
    assert result.per_class["cat"] == ClassQuality(0, None)


@pytest.mark.parametrize(
    ("logits", "labels", "classes", "match"),
    [
        (np.zeros((2, 3)), np.array([0, 3]), CLASSES, "labels of quality must be from 0 to 2, or -1"),
        (np.zeros((2, 3)), np.array([0, -2]), CLASSES, "labels of quality must be from 0 to 2, or -1"),
        (np.zeros((2, 3)), np.array([0]), CLASSES, r"must be \[n, 3\] and \[n\]"),
        (np.zeros((2, 4)), np.array([0, 1]), CLASSES, r"must be \[n, 3\] and \[n\]"),
        (np.zeros((2, 3)), np.array([-1, -1]), CLASSES, "known for at least one example"),
        (np.zeros((0, 3)), np.zeros(0, np.int64), CLASSES, "known for at least one example"),
        (np.zeros((1, 2)), np.array([0]), ("same", "same"), "different names"),
        (np.array([[0.0, 1.0, 2.0], [0.0, np.nan, 0.0]]), np.array([-1, 1]), CLASSES, "finite; got row 1"),
    ],
)
def test_quality_refuses(logits, labels, classes, match):
    with pytest.raises(BadInput, match=match):
        quality(logits, labels, classes)


def test_correct_refuses_other_shapes():
    with pytest.raises(BadInput, match="logits and labels of correct"):
        correct(np.zeros((3, 2)), np.zeros(2, np.int64))


# --- two runs of one network


def test_parity_hand_worked():
    result = parity(np.array([[1.0, 3.0], [2.0, 0.0]]), np.array([[1.5, 3.0], [0.0, 1.0]]))
    assert result == Parity(max_difference=2.0, mean_difference=3.5 / 4, top1_agreement=0.5)


def test_parity_tolerance_grows_with_the_logits():
    first = np.array([[100.0, 0.0]])
    assert parity(first, first + 0.05, tolerance=1e-3).max_difference == pytest.approx(0.05)
    with pytest.raises(
        AttarError, match=r"must agree within 0\.001 of the largest; logits differ by .* deploy it again"
    ):
        parity(first, first + 0.15, tolerance=1e-3)
    with pytest.raises(AttarError, match="must agree"):
        parity(first / 1000, first / 1000 + 0.002, tolerance=1e-3)


def test_parity_refuses_what_cannot_be_compared():
    good = np.zeros((2, 2))
    with pytest.raises(BadInput, match="one shape"):
        parity(good, np.zeros((3, 2)))
    with pytest.raises(BadInput, match="logits_b of parity must be finite"):
        parity(good, np.array([[0.0, np.nan], [0.0, 0.0]]))
    with pytest.raises(BadInput, match="one shape"):
        agreement(good[:0], good[:0])


# --- running


@pytest.mark.parametrize("batch", [1, 3, 7, 100])
def test_predict_all_is_one_big_batch(batch):
    sizes, moved = [], []

    class Bar:
        def __call__(self, title: str, total: int):
            moved.append(total)
            return self

        def __enter__(self):
            return moved.append

        def __exit__(self, *error: object) -> None:
            return None

    def run(inputs: np.ndarray) -> np.ndarray:
        sizes.append(len(inputs))
        assert inputs.dtype == np.float32
        assert inputs.flags.c_contiguous
        return inputs[:, ::2] * 3

    inputs = np.asfortranarray(np.random.default_rng(0).normal(size=(7, 4)))
    logits = predict_all(run, inputs, batch=batch, progress=Bar())
    assert np.array_equal(logits, inputs.astype(np.float32)[:, ::2] * 3)
    assert max(sizes) <= batch
    assert moved[0] == sum(moved[1:]) == 7


def test_predict_all_takes_arrays_tensors_and_splits():
    given_ = split(9)
    results = [predict_all(np.copy, inputs, batch=4) for inputs in (given_, given_.inputs, given_.inputs.numpy())]
    assert all(np.array_equal(result, given_.inputs.numpy()) for result in results)


def test_predict_all_scales_the_pixels_of_a_split():
    pixels = torch.tensor([[0, 51], [255, 102]], dtype=torch.uint8)
    given_ = Split(pixels, None, torch.arange(2), CLASSES)
    assert predict_all(np.copy, given_) == pytest.approx(np.array([[0.0, 0.2], [1.0, 0.4]]))
    with pytest.raises(BadInput, match="must be floating numbers; got 'uint8'"):
        predict_all(np.copy, pixels)


@pytest.mark.parametrize(
    ("runner", "rows", "batch", "match"),
    [
        (np.copy, 0, 4, "at least one example"),
        (np.copy, 3, 0, "batch of predict_all"),
        (lambda x: x[:1], 3, 4, r"logits of the runner must be \[3, classes\]"),
        (lambda x: x.sum(axis=1), 3, 4, r"logits of the runner must be \[3, classes\]"),
    ],
)
def test_predict_all_refuses(runner, rows, batch, match):
    with pytest.raises(BadInput, match=match):
        predict_all(runner, np.zeros((rows, 2), np.float32), batch=batch)


# --- evidence as a document

shares = st.floats(0, 1)
amounts = st.none() | st.integers(0, 2**62)
names = st.text(max_size=8)
qualities = st.none() | st.builds(
    Quality,
    examples=st.integers(1, 10**9),
    accuracy=shares,
    interval=st.tuples(shares, shares),
    per_class=st.dictionaries(
        names, st.builds(ClassQuality, examples=st.integers(0, 10**9), accuracy=st.none() | shares), max_size=4
    ),
    log_loss=st.floats(0, 1e6),
    calibration_error=shares,
    rmse=shares,
)
times_ms = st.floats(0, 1e6)
latencies = st.builds(
    Latency,
    batch=st.integers(1, 4096),
    threads=st.integers(1, 64),
    repeats=st.integers(1, 10**9),
    median_ms=times_ms,
    p90_ms=times_ms,
)
evidences = st.builds(
    Evidence,
    name=names,
    kind=st.sampled_from(["teacher", "baseline", "student", "candidate"]),
    runtime=names,
    precision=names,
    quality=qualities,
    validation=qualities,
    size_bytes=amounts,
    parameters=amounts,
    macs=amounts,
    peak_memory_bytes=amounts,
    latency=st.dictionaries(st.integers(1, 4096), latencies, max_size=3),
    agreement_with_teacher=st.none() | shares,
    parity=st.none() | st.builds(Parity, max_difference=times_ms, mean_difference=times_ms, top1_agreement=shares),
    refused=st.none() | names,
)


@given(evidences)
def test_json_round_trip_is_lossless(evidence):
    text = json.dumps(evidence.to_json(), allow_nan=False)
    assert Evidence.from_json(json.loads(text)) == evidence


@given(evidences)
def test_evidence_prints_its_name_and_refusal(evidence):
    text = str(evidence)
    assert text.startswith(f"{evidence.name} ({evidence.kind}")
    assert ("refused: " in text) or evidence.refused is None


FULL = Evidence(
    name="student",
    kind="student",
    runtime="onnxruntime",
    precision="int8",
    quality=Quality(1000, 0.9, (0.88, 0.92), {"a": ClassQuality(1000, 0.9)}, 0.3, 0.02, 0.27),
    size_bytes=45_300,
    parameters=11_000,
    macs=1_200_000,
    peak_memory_bytes=9_400_000,
    latency={1: Latency(1, 1, 900, 0.05, 0.06), 64: Latency(64, 1, 400, 1.5, 1.9)},
    agreement_with_teacher=0.93,
)


def test_document_has_the_keys_that_readers_rely_on():
    document = FULL.to_json()
    assert document["quality"]["interval"] == [0.88, 0.92]
    assert document["quality"]["per_class"] == {"a": {"examples": 1000, "accuracy": 0.9}}
    assert document["latency"]["64"] == {"batch": 64, "threads": 1, "repeats": 400, "median_ms": 1.5, "p90_ms": 1.9}
    assert document["validation"] is None
    assert document["refused"] is None


def test_evidence_prints_every_figure():
    text = " ".join(str(FULL).split())
    for part in (
        "90.0% right (95% interval 88.0 to 92.0%, 1000 examples)",
        "log loss 0.300 nats",
        "names the teacher's class on 93.0%",
        "45.3 kB on disk, 11.0 k parameters, 1.20 M multiply-adds, 9.40 MB of memory",
        "batch 64: 1.50 ms (p90 1.90 ms), threads: 1",
    ):
        assert part in text


@pytest.mark.parametrize(
    ("change", "match"),
    [
        ({"kind": "pupil"}, "kind of the evidence"),
        ({"size": 3}, "size of the evidence"),
        ({"quality": {"accuracy": 0.5}}, r"quality\.examples of the evidence"),
        ({"latency": {"one": {}}}, "latency"),
        ({"latency": {"1": FULL.latency[1].to_json() | {"mean_ms": 1.0}}}, r"latency\.1\.mean_ms"),
    ],
)
def test_foreign_documents_are_refused(change, match):
    with pytest.raises(BadInput, match=match):
        Evidence.from_json(FULL.to_json() | change)


def test_missing_key_is_named():
    document = FULL.to_json()
    del document["runtime"]
    with pytest.raises(BadInput, match="runtime of the evidence must be as Attar writes it"):
        Evidence.from_json(document)


# --- everything about one model


def test_measure_a_module():
    torch.manual_seed(0)
    network = nn.Sequential(nn.Linear(4, 5), nn.Dropout(0.5), nn.Linear(5, 3))
    test, validation = split(50), split(30, seed=1)
    network.train()
    with torch.no_grad():
        network.eval()
        expected = network(test.inputs).numpy()
        network.train()
    evidence = measure(
        network, test, kind="teacher", validation=validation, teacher=expected, reference=expected, seconds=0.01
    )
    assert (evidence.name, evidence.kind, evidence.runtime, evidence.precision) == (
        "Sequential",
        "teacher",
        "torch",
        "fp32",
    )
    assert evidence.parameters == 4 * 5 + 5 + 5 * 3 + 3
    assert evidence.macs == 4 * 5 + 5 * 3
    assert evidence.quality.accuracy == sklearn.metrics.accuracy_score(test.labels, expected.argmax(1))
    assert evidence.validation.examples == 30
    assert evidence.agreement_with_teacher == 1.0
    assert evidence.parity.max_difference < 1e-5
    assert set(evidence.latency) == {1, 64}
    assert (evidence.size_bytes, evidence.peak_memory_bytes) == (None, None)
    # It was in training mode with dropout, and is again.
    assert network.training and network[1].training


def test_measure_a_function():
    def identity(inputs: np.ndarray) -> np.ndarray:
        return inputs[:, :3]

    evidence = measure(identity, split(20), batches=())
    assert (evidence.name, evidence.runtime, evidence.precision) == ("identity", "python", "unknown")
    assert evidence.latency == {}
    assert evidence.quality.examples == 20
    assert evidence.agreement_with_teacher is None


@pytest.fixture(scope="module")
def linear() -> nn.Module:
    torch.manual_seed(0)
    return nn.Linear(4, 3)


@pytest.fixture(scope="module")
def artifact(linear, tmp_path_factory) -> Artifact:
    folder = tmp_path_factory.mktemp("artifacts") / "linear"
    return deploy(linear, "onnxruntime", folder, example=torch.zeros(1, 4), classes=CLASSES)


def test_measure_an_artifact(linear, artifact):
    test = split(40)
    reference = predict_all(lambda x: linear(torch.from_numpy(x)).detach().numpy(), test)
    evidence = measure(artifact, test, name="winner", reference=reference, batches=(1,), seconds=0.01, memory=False)
    assert (evidence.name, evidence.runtime, evidence.precision) == ("winner", "onnxruntime", "fp32")
    assert evidence.size_bytes == artifact.size_bytes == (artifact.folder / "model.onnx").stat().st_size
    assert evidence.quality.accuracy == sklearn.metrics.accuracy_score(test.labels, reference.argmax(1))
    assert evidence.parity.max_difference < 1e-5
    assert evidence.latency[1].batch == 1


def test_measured_memory_is_that_of_the_folder(artifact, monkeypatch):
    asked = []

    def peak_memory(folder, *, threads, allow):
        asked.append((folder, threads, allow))
        return 12345

    monkeypatch.setattr(measuring, "peak_memory", peak_memory)
    evidence = measure(artifact, split(5), batches=(), threads=2, allow=("attar", "mine"))
    assert evidence.peak_memory_bytes == 12345
    assert asked == [(artifact.folder, 2, ("attar", "mine"))]


def test_network_elsewhere_is_refused():
    with pytest.raises(BadInput, match="model of measure must be on the CPU; got meta"):
        measure(nn.Linear(4, 3, device="meta"), split(5))


def test_measure_needs_labels():
    with pytest.raises(BadInput, match="split of measure must be labelled"):
        measure(np.copy, split(5, labels=False))
    with pytest.raises(BadInput, match="split of measure must be labelled"):
        measure(np.copy, split(5), validation=split(5, labels=False))


# ---- models as they come ---------------------------------------------------------------------------------------------


class Shifts(nn.Module):
    """Works in place, as much user code does."""

    def __init__(self, inplace: bool) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.inplace, self.out = inplace, nn.Linear(6, 3)

    def forward(self, rows: Tensor) -> Tensor:
        if self.inplace:
            rows -= 0.5
            return self.out(rows.relu_())  # type: ignore[no-any-return]
        return self.out((rows - 0.5).relu())  # type: ignore[no-any-return]


def some_rows() -> Split:
    rows = torch.randn(40, 6, generator=torch.Generator().manual_seed(0))
    labels = (rows[:, 0] > 0).long() + (rows[:, 1] > 0.5).long()
    return attar.from_arrays("d", {"x": rows, "y": labels, "classes": ["a", "b", "c"]}).train


def test_a_network_that_works_in_place_leaves_the_split_alone_and_is_measured_the_same_twice() -> None:
    split = some_rows()
    before = split.inputs.clone()
    found = [measure(Shifts(inplace), split, batches=(1,), seconds=0.01) for inplace in (True, True, False)]
    assert torch.equal(split.inputs, before)
    assert found[0].quality == found[1].quality == found[2].quality


def test_a_function_that_works_in_place_leaves_the_inputs_alone() -> None:
    def doubled(rows: np.ndarray) -> np.ndarray:
        rows *= 2
        return rows

    rows = np.ones((3, 2), np.float32)
    for inputs in (rows, torch.from_numpy(rows)):
        assert predict_all(doubled, inputs, batch=2).tolist() == [[2.0, 2.0]] * 3
        assert rows.tolist() == [[1.0, 1.0]] * 3


def test_a_model_that_answers_at_random_is_refused() -> None:
    network = nn.Sequential(nn.Linear(6, 3), _Always())
    with pytest.raises(BadInput, match=r"^Sequential answers at random: asked twice about the same 29 inputs"):
        measure(network, some_rows(), batches=())


class _Always(nn.Module):
    def forward(self, rows: Tensor) -> Tensor:
        return nn.functional.dropout(rows, 0.5)


def test_a_model_whose_answers_depend_on_the_batch_is_refused() -> None:
    network = nn.Sequential(nn.BatchNorm1d(6, track_running_stats=False), nn.Linear(6, 3))
    with pytest.raises(BadInput, match=r"^Sequential gives answers that depend on the rest of the batch"):
        measure(network, some_rows(), batches=(), name="mine")
    with pytest.raises(BadInput, match="depend on the rest of the batch"):
        measure(lambda rows: rows[:, :3] - rows[:, :3].mean(0), some_rows(), batches=())


@pytest.mark.parametrize("kind", [torch.float64, torch.bfloat16])
def test_networks_of_other_numbers_are_measured(kind: torch.dtype) -> None:
    network = Shifts(False)
    expected = measure(network, some_rows(), batches=())
    found = measure(network.to(kind), some_rows(), batches=())
    assert found.quality is not None and expected.quality is not None
    assert found.quality.accuracy == pytest.approx(expected.quality.accuracy, abs=0.05)
    assert found.macs == expected.macs == 18


def test_a_view_after_a_convolution_is_measured_and_keeps_its_layout() -> None:
    class Viewed(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.convolution, self.out = nn.Conv2d(1, 4, 3), nn.Linear(64, 3)

        def forward(self, rows: Tensor) -> Tensor:
            maps = self.convolution(rows)
            return self.out(maps.view(maps.size(0), -1))  # type: ignore[no-any-return]

    network = Viewed()
    images = torch.randn(40, 1, 6, 6, generator=torch.Generator().manual_seed(0))
    data = attar.from_arrays("d", {"x": images, "y": torch.arange(40) % 3, "classes": ["a", "b", "c"]})
    measure(network, data.train, batches=(1,), seconds=0.01)
    assert network.convolution.weight.is_contiguous()
    assert network(images).shape == (40, 3)


def test_what_is_no_model_is_told() -> None:
    bare = getattr(measure, "__wrapped__", measure)
    with pytest.raises(BadInput, match=r"model of measure must be a model, not where it lies; .* Pass attar\.load\("):
        bare("runs/one", some_rows())
    with pytest.raises(BadInput, match=r"model of measure must be an artifact, .*; got int"):
        bare(3, some_rows())
