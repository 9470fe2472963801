"""Figures of one model: against hand-worked values, scikit-learn, scipy and slow loops."""

import inspect
import json

import numpy as np
import pytest
import sklearn.metrics
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor, nn

import attar
import attar.evidence.measure as measuring
from attar.data.datasets import Split
from attar.deployment.artifact import Artifact
from attar.deployment.deploy import deploy
from attar.errors import AttarError, BadInput
from attar.evidence.evidence import Evidence, Parity
from attar.evidence.latency import Latency
from attar.evidence.measure import measure, parity, predict_all
from attar.tasks.classification import Classification, ClassificationQuality, ClassQuality

CLASSES = ("ant", "bee", "cat")
TASK = Classification(CLASSES)
TWO = Classification(("no", "yes"))


def split(n: int, *, seed: int = 0, labels: bool = True) -> Split:
    generator = torch.Generator().manual_seed(seed)
    inputs = torch.randn(n, 4, generator=generator)
    known = torch.randint(0, 3, (n,), generator=generator) if labels else None
    return Split(inputs, known, torch.arange(n), TASK)


# --- two runs of one network


def test_parity_hand_worked():
    result = parity(np.array([[1.0, 3.0], [2.0, 0.0]]), np.array([[1.5, 3.0], [0.0, 1.0]]), TWO)
    assert result == Parity(max_difference=2.0, mean_difference=3.5 / 4, top1_agreement=0.5)


def test_parity_tolerance_grows_with_the_logits():
    first = np.array([[100.0, 0.0]])
    assert parity(first, first + 0.05, TWO, tolerance=1e-3).max_difference == pytest.approx(0.05)
    with pytest.raises(
        AttarError, match=r"must agree within 0\.001 of the largest; outputs differ by .* deploy it again"
    ):
        parity(first, first + 0.15, TWO, tolerance=1e-3)
    with pytest.raises(AttarError, match="must agree"):
        parity(first / 1000, first / 1000 + 0.002, TWO, tolerance=1e-3)


def test_parity_refuses_what_cannot_be_compared():
    good = np.zeros((2, 2))
    with pytest.raises(BadInput, match="one shape"):
        parity(good, np.zeros((3, 2)), TWO)
    with pytest.raises(BadInput, match="outputs_b of parity must be finite"):
        parity(good, np.array([[0.0, np.nan], [0.0, 0.0]]), TWO)
    with pytest.raises(BadInput, match="one shape"):
        TWO.agreement(good[:0], good[:0])


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
    given_ = Split(pixels, None, torch.arange(2), TASK)
    assert predict_all(np.copy, given_) == pytest.approx(np.array([[0.0, 0.2], [1.0, 0.4]]))
    with pytest.raises(BadInput, match="must be floating numbers; got 'uint8'"):
        predict_all(np.copy, pixels)


@pytest.mark.parametrize(
    ("runner", "rows", "batch", "match"),
    [
        (np.copy, 0, 4, "at least one example"),
        (np.copy, 3, 0, "batch of predict_all"),
        (lambda x: x[:1], 3, 4, r"outputs of the runner must be \[3, \.\.\.\]"),
        (lambda x: x.sum(axis=1), 3, 4, r"outputs of the runner must be \[3, \.\.\.\]"),
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
    ClassificationQuality,
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
    quality=ClassificationQuality(1000, 0.9, (0.88, 0.92), {"a": ClassQuality(1000, 0.9)}, 0.3, 0.02, 0.27),
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
    return deploy(linear, "onnxruntime", folder, example=torch.zeros(1, 4), task=TASK)


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
    bare = inspect.unwrap(measure)  # what checks annotations would speak first
    with pytest.raises(BadInput, match=r"model of measure must be a model, not where it lies; .* Pass attar\.load\("):
        bare("runs/one", some_rows())
    with pytest.raises(BadInput, match=r"model of measure must be an artifact, .*; got int"):
        bare(3, some_rows())
