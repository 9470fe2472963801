"""Where the teachers of a run may come from, and what each of them is known by."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from torch import nn
from whole_runs import Document, model_named, reused, run_of, weights_of

from attar.data.datasets import load_npz
from attar.data.store import Targets
from attar.deployment.export import to_onnx
from attar.errors import BadInput
from attar.network.architectures import convnet, mlp
from attar.network.weights import load_weights, read_tensors, save_weights
from attar.recipes.compress import label
from attar.recipes.read import from_document

pytestmark = pytest.mark.usefixtures("hurried", "undrawn")


def test_cached_and_live_teachers_give_the_same_training(tiny: Document, tmp_path: Path) -> None:
    """With views that move: the store and the live teacher must see the same pixels."""
    tiny["transfer"] = {"views": {"count": 3, "noise": 0.1}}
    tiny["teacher"]["members"] = 2
    cached = run_of(tiny, tmp_path / "cached")
    tiny["transfer"]["cached"] = False
    live = run_of(tiny, tmp_path / "live")
    assert cached.evidence["targets"]["views"] == 3
    assert live.evidence["targets"] is None
    stored, asked = weights_of(cached, "student/0"), weights_of(live, "student/0")
    start = mlp(6, 3, [4]).state_dict()
    assert any(not torch.allclose(stored[name], start[name]) for name in start)
    for name, tensor in stored.items():
        # The teacher runs in batches of another size, whose float32 sums may round to the other float16.
        torch.testing.assert_close(asked[name], tensor, rtol=1e-3, atol=1e-3)


def test_views_of_the_student_change_its_training(tiny: Document, tmp_path: Path) -> None:
    plain = run_of(tiny, tmp_path / "plain")
    tiny["transfer"] = {"views": {"count": 2, "noise": 0.3}}
    moved = run_of(tiny, tmp_path / "moved")
    one, other = weights_of(plain, "student/0"), weights_of(moved, "student/0")
    assert any(not torch.equal(one[name], other[name]) for name in one)


@pytest.fixture
def teacher(tmp_path: Path) -> nn.Module:
    torch.manual_seed(3)
    network = mlp(6, 3, [24]).eval()
    save_weights(network, tmp_path / "teacher.safetensors")
    return network


def test_a_teacher_may_come_as_weights(tiny: Document, teacher: nn.Module, tmp_path: Path) -> None:
    tiny["teacher"]["weights"] = [str(tmp_path / "teacher.safetensors")]
    run = run_of(tiny, tmp_path / "run")
    assert "teacher/0" not in reused(run)  # nothing to train
    dataset = load_npz(tiny["data"]["use"], validation=0.25)
    assert dataset.test.labels is not None
    with torch.no_grad():
        said = teacher(dataset.test.floats())
    expected = float((said.argmax(1) == dataset.test.labels).float().mean())
    assert model_named(run, "teacher torch")["quality"]["accuracy"] == pytest.approx(expected)
    stored = Targets.open(next(run.folder.glob("nodes/targets-*")) / "store")
    with torch.no_grad():
        logits = teacher(dataset.train.floats())
    centered = logits - logits.mean(1, keepdim=True)
    torch.testing.assert_close(stored(None, torch.arange(len(stored)), 0), centered, rtol=2e-3, atol=2e-3)


def test_other_weights_in_the_same_file_are_noticed(tiny: Document, teacher: nn.Module, tmp_path: Path) -> None:
    tiny["teacher"]["weights"] = [str(tmp_path / "teacher.safetensors")]
    run_of(tiny, tmp_path / "run")
    save_weights(mlp(6, 3, [24]), tmp_path / "teacher.safetensors")
    found = reused(run_of(tiny, tmp_path / "run"))
    assert not found["targets"] and not found["student/0"] and found["baseline/0"]


def test_other_arguments_beside_the_same_weights_are_noticed(tiny: Document, tmp_path: Path) -> None:
    torch.manual_seed(3)
    save_weights(convnet(3, [4, 4, 4]), tmp_path / "teacher.safetensors")
    random = np.random.default_rng(3)
    images, labels = random.integers(0, 256, (60, 1, 8, 8), dtype=np.uint8), np.arange(60) % 3
    np.savez(tmp_path / "images.npz", x=images, y=labels)
    tiny["data"]["use"] = str(tmp_path / "images.npz")
    tiny["student"]["network"]["arguments"] = {"inputs": 64, "classes": 3, "hidden": [4]}
    answers = []
    for strides in ([1, 2, 1], [1, 1, 2]):  # the weights have the same shapes whatever these are
        tiny["teacher"] = {
            "network": {
                "use": "attar.network.architectures:convnet",
                "arguments": {"classes": 3, "widths": [4, 4, 4], "strides": strides},
            },
            "weights": [str(tmp_path / "teacher.safetensors")],
        }
        targets = label(from_document(tiny), tmp_path / "run")
        answers.append(targets(None, torch.arange(len(targets)), 0))
    assert not answers[0].equal(answers[1])


def test_members_that_are_averaged_in_another_way_are_another_file(tiny: Document, tmp_path: Path) -> None:
    tiny["teacher"] |= {"members": 2}
    tiny["artifacts"]["runtimes"] = ["onnxruntime"]
    for mean in ("probabilities", "geometric"):
        tiny["teacher"]["mean"] = mean
        run = run_of(tiny, tmp_path / "run")
    assert len(list((run.folder / "nodes" / "artifacts").glob("teacher-onnxruntime-*"))) == 2


def test_statistics_of_the_teacher_and_of_the_student(tiny: Document, teacher: nn.Module, tmp_path: Path) -> None:
    """The weights are of the network behind the statistics; raw inputs go into the artifact."""
    mean, std = [0.5, 0.0, 0.1, 0.2, 0.3, 0.4], [2.0, 1.0, 1.0, 1.0, 1.0, 0.5]
    tiny["teacher"] |= {"weights": [str(tmp_path / "teacher.safetensors")]}
    for section in ("teacher", "student"):
        tiny[section]["network"] |= {"mean": mean, "std": std}
    tiny["baseline"] = False
    run = run_of(tiny, tmp_path / "run")
    dataset = load_npz(tiny["data"]["use"], validation=0.25)
    rows = dataset.test.floats()
    with torch.no_grad():
        said = teacher((rows - torch.tensor(mean)) / torch.tensor(std))
    assert dataset.test.labels is not None
    expected = float((said.argmax(1) == dataset.test.labels).float().mean())
    assert model_named(run, "teacher torch")["quality"]["accuracy"] == pytest.approx(expected)
    trained = mlp(6, 3, [4])
    trained.load_state_dict(
        {k.removeprefix("network."): v for k, v in weights_of(run, "student/0").items() if k.startswith("network.")}
    )
    with torch.no_grad():
        by_hand = trained.eval()((rows - torch.tensor(mean)) / torch.tensor(std))
    np.testing.assert_allclose(run.artifact(rows), by_hand.numpy(), rtol=1e-4, atol=1e-5)


def test_an_onnx_teacher_may_have_any_names_end_in_a_softmax_and_have_its_weights_beside_it(
    tiny: Document, teacher: nn.Module, tmp_path: Path
) -> None:
    to_onnx(nn.Sequential(teacher, nn.Softmax(1)), torch.zeros(1, 6), tmp_path / "plain.onnx")
    model = onnx.load(tmp_path / "plain.onnx")
    names = {"input": "x.1", "logits": "softmax_7"}
    for value in (*model.graph.input, *model.graph.output):
        value.name = names[value.name]
    for node in model.graph.node:
        node.input[:] = [names.get(name, name) for name in node.input]
        node.output[:] = [names.get(name, name) for name in node.output]
    path = tmp_path / "named.onnx"
    onnx.save(model, path, save_as_external_data=True, location="named.onnx.data", size_threshold=0)
    tiny["teacher"] = {"onnx": [str(path)]}
    run = run_of(tiny, tmp_path / "run")
    measured = model_named(run, "teacher onnxruntime")
    assert measured["size_bytes"] == path.stat().st_size + path.with_name("named.onnx.data").stat().st_size
    assert any("gives probabilities, and not logits" in text for text in run.evidence["warnings"])
    blobs = load_npz(tiny["data"]["use"], validation=0.25).train
    with torch.no_grad():
        right = teacher.eval()(blobs.floats()).softmax(1)
    store = next((tmp_path / "run").glob("**/store"))
    said = Targets.open(store)
    torch.testing.assert_close(said(None, torch.arange(len(said)), 0).softmax(1), right, rtol=0, atol=2e-3)


def test_a_teacher_may_come_as_an_onnx_file(tiny: Document, teacher: nn.Module, tmp_path: Path) -> None:
    to_onnx(teacher, torch.zeros(1, 6), tmp_path / "teacher.onnx")
    tiny["teacher"] = {"onnx": [str(tmp_path / "teacher.onnx")]}
    run = run_of(tiny, tmp_path / "run")
    measured = model_named(run, "teacher onnxruntime")
    assert measured["size_bytes"] == (tmp_path / "teacher.onnx").stat().st_size
    dataset = load_npz(tiny["data"]["use"], validation=0.25)
    assert dataset.test.labels is not None
    with torch.no_grad():
        expected = float((teacher(dataset.test.floats()).argmax(1) == dataset.test.labels).float().mean())
    assert measured["quality"]["accuracy"] == pytest.approx(expected)
    # The student runs in torch, its teacher does not: no ratio between two runtimes is made up.
    assert run.evidence["ratios"]["smaller"] is None
    assert run.evidence["ratios"]["faster_batch1"] is None


@pytest.mark.parametrize("detach", [True, False])
def test_a_teacher_may_learn_beside_the_student(tiny: Document, tmp_path: Path, detach: bool) -> None:
    tiny["teacher"] |= {"learns": True, "detach": detach}
    tiny["objective"]["its"] = {"use": "hard_labels", "of": "teacher"}
    run = run_of(tiny, tmp_path / "run")
    (file,) = run.folder.glob("nodes/student/0-*/teacher.safetensors")
    learned = load_weights(mlp(6, 3, [24]), file).eval()
    dataset = load_npz(tiny["data"]["use"], validation=0.25)
    assert dataset.test.labels is not None
    with torch.no_grad():
        accuracy = float((learned(dataset.test.floats()).argmax(1) == dataset.test.labels).float().mean())
    assert model_named(run, "teacher torch")["quality"]["accuracy"] == pytest.approx(accuracy)
    assert accuracy > 0.5  # it did learn: chance is a third
    assert run.evidence["targets"] is None
    assert set(run.evidence["curves"]["student/0"][0]["terms"]) == {"soft", "hard", "its"}
    assert all(reused(run_of(tiny, tmp_path / "run")).values())


def test_a_learning_teacher_begins_at_its_weights_and_other_weights_are_noticed(
    tiny: Document, teacher: nn.Module, tmp_path: Path
) -> None:
    weights = tmp_path / "teacher.safetensors"
    tiny["teacher"] |= {"learns": True, "weights": [str(weights)]}
    tiny["objective"]["its"] = {"use": "hard_labels", "of": "teacher"}
    tiny["student"]["training"] |= {"epochs": 1, "learning_rate": 1e-9}
    run = run_of(tiny, tmp_path / "run")
    (file,) = run.folder.glob("nodes/student/0-*/teacher.safetensors")
    for name, tensor in read_tensors(file)[0].items():
        torch.testing.assert_close(tensor, teacher.state_dict()[name], rtol=0, atol=1e-6)
    save_weights(mlp(6, 3, [24]), weights)
    assert not reused(run_of(tiny, tmp_path / "run"))["student/0"]


def test_a_teacher_that_is_worse_than_the_baseline_is_warned_of(tiny: Document, tmp_path: Path) -> None:
    tiny["teacher"]["training"] |= {"epochs": 1, "learning_rate": 1e-6}
    run = run_of(tiny, tmp_path / "run")
    assert any("not better than the baseline on validation" in text for text in run.evidence["warnings"])


def test_members_may_have_more_or_fewer_votes(tiny: Document, tmp_path: Path) -> None:
    tiny["teacher"] |= {"members": 2, "votes": [1, 0.001]}
    run = run_of(tiny, tmp_path / "run")
    tiny["teacher"] |= {"members": 1}
    del tiny["teacher"]["votes"]
    alone = run_of(tiny, tmp_path / "alone")
    both, one = run.evidence["seeds"]["teacher"], alone.evidence["seeds"]["teacher"]
    assert both == pytest.approx(one, abs=0.03)
    tiny["teacher"] |= {"members": 2, "votes": [1]}
    with pytest.raises(BadInput, match="votes must be one for each of the 2 members"):
        run_of(tiny, tmp_path / "run")


def test_members_are_labelled_apart_and_merged_and_a_new_one_is_asked_alone(tiny: Document, tmp_path: Path) -> None:
    tiny["teacher"]["members"] = 2
    whole = run_of(tiny, tmp_path / "whole")
    tiny["transfer"] = {"per_teacher": True}
    apart = run_of(tiny, tmp_path / "apart")
    stores = [Targets.open(next(run.folder.glob("nodes/targets-*/store"))) for run in (whole, apart)]
    rows = torch.arange(len(stores[0]))
    assert stores[0].fingerprints == stores[1].fingerprints
    torch.testing.assert_close(stores[0](None, rows, 0), stores[1](None, rows, 0), rtol=0, atol=5e-3)
    tiny["teacher"]["members"] = 3
    more = reused(run_of(tiny, tmp_path / "apart"))
    of = {name: found for name, found in more.items() if name.startswith("targets")}
    assert of == {"targets-of/0": True, "targets-of/1": True, "targets-of/2": False, "targets": False}


def test_six_members_labelled_apart_are_the_teacher_that_was_asked_for(tiny: Document, tmp_path: Path) -> None:
    tiny["teacher"] |= {"members": 6}
    tiny["transfer"] = {"per_teacher": True}
    run_of(tiny, tmp_path / "run")


def test_models_that_differ_in_size_and_classes_are_one_teacher(tiny: Document, tmp_path: Path) -> None:
    """One model knows all classes and looks at a quarter of the pixels, another tells two classes apart."""
    draws = np.random.default_rng(3)
    y = np.arange(240) % 3
    x = np.zeros((240, 1, 8, 8), np.float32)
    for number, (row, column) in enumerate([(0, 0), (0, 4), (4, 0)]):
        x[y == number, 0, row : row + 4, column : column + 4] = 1.0
    x += draws.normal(scale=1.0, size=x.shape).astype("float32")
    np.savez(tmp_path / "squares.npz", x=x, y=y, classes=np.array(["ant", "bee", "cat"]))
    whole, pair = mlp(16, 3, hidden=()), mlp(64, 2, hidden=())
    with torch.no_grad():  # each looks at the square of its class
        for layer, side, classes in ((whole[-1], 4, (0, 1, 2)), (pair[-1], 8, (2, 1))):
            weight = torch.zeros(len(classes), side, side)
            for place, number in enumerate(classes):
                half = side // 2
                row, column = half * (number == 2), half * (number == 1)
                weight[place, row : row + half, column : column + half] = 8 / half**2
            layer.weight.copy_(weight.flatten(1))
            layer.bias.zero_()
    for name, network in (("whole", whole), ("pair", pair)):
        save_weights(network, tmp_path / f"{name}.safetensors")

    def network(inputs: int, classes: int) -> Document:
        arguments = {"inputs": inputs, "classes": classes, "hidden": []}
        return {"use": "attar.network.architectures:mlp", "arguments": arguments}

    tiny["data"]["use"] = str(tmp_path / "squares.npz")
    tiny["student"]["network"]["arguments"]["inputs"] = 64
    first = {"network": network(16, 3), "weights": str(tmp_path / "whole.safetensors"), "inputs": {"size": [4, 4]}}
    second = {
        "network": network(64, 2),
        "weights": str(tmp_path / "pair.safetensors"),
        "classes": ["cat", "bee"],
        "vote": 2.0,
    }
    tiny["teacher"] = {"each": [first, second]}
    both = run_of(tiny, tmp_path / "both")
    tiny["teacher"] = {"each": [first]}
    alone = run_of(tiny, tmp_path / "alone")
    assert both.evidence["seeds"]["teacher"] > 0.85 and alone.evidence["seeds"]["teacher"] > 0.85
    stores = [Targets.open(next(run.folder.glob("nodes/targets-*/store"))) for run in (both, alone)]
    one, other = (store(None, torch.arange(len(store)), 0) for store in stores)
    assert isinstance(one, torch.Tensor) and isinstance(other, torch.Tensor)
    assert not torch.allclose(one.softmax(1)[:, 1:], other.softmax(1)[:, 1:], atol=0.05)
    # The second says nothing of ants against the rest.
    torch.testing.assert_close(one.softmax(1)[:, 0], other.softmax(1)[:, 0], atol=2e-3, rtol=0)
    tiny["teacher"] = {"each": [second]}
    with pytest.raises(BadInput, match="ant"):
        run_of(tiny, tmp_path / "pair")
    del first["inputs"]
    tiny["teacher"] = {"each": [first]}
    with pytest.raises(BadInput, match=r"teacher\.each\.0 .*Set inputs.size"):
        run_of(tiny, tmp_path / "size")
    tiny["teacher"] = {"each": [{"network": network(64, 3)}]}
    with pytest.raises(BadInput, match="give network with weights, or onnx"):
        run_of(tiny, tmp_path / "none")


def test_members_in_another_order_are_another_guide(tiny: Document, tmp_path: Path) -> None:
    tiny["teacher"]["members"] = 2
    run_of(tiny, tmp_path / "trained")
    files = [next((tmp_path / "trained").glob(f"nodes/teacher/{index}-*/model.safetensors")) for index in (0, 1)]
    tiny["objective"]["hint"] = {"use": "hidden_match", "student_layer": "2", "teacher_layer": "networks.0.2"}
    tiny["teacher"] = {"network": tiny["teacher"]["network"], "weights": [str(file) for file in files]}
    run_of(tiny, tmp_path / "run")
    tiny["teacher"]["weights"].reverse()
    again = reused(run_of(tiny, tmp_path / "run"))
    assert not again["student/0"] and again["baseline/0"]
