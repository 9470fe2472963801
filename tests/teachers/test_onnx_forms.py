"""ONNX files of all the forms that exporters and converters write, and of some that nobody should."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
import torch
from onnx import TensorProto, helper, numpy_helper

from attar.errors import BadInput, CorruptFile
from attar.teachers import as_teacher
from attar.teachers.onnx import OnnxTeacher
from attar.teachers.onnx_file import OnnxFile
from attar.teachers.trial import trial

WEIGHT = np.random.default_rng(0).normal(size=(6, 3)).astype(np.float32)
ROWS = torch.randn(12, 6, generator=torch.Generator().manual_seed(0))
LOGITS = ROWS @ torch.from_numpy(WEIGHT)

FLOAT, HALF, DOUBLE, INT = TensorProto.FLOAT, TensorProto.FLOAT16, TensorProto.DOUBLE, TensorProto.INT64


def written(
    path: Path,
    nodes: Sequence[onnx.NodeProto] = (),
    *,
    inputs: Sequence[tuple[str, int, list[Any]]] = (("input", FLOAT, ["batch", 6]),),
    outputs: Sequence[tuple[str, int, list[Any]]] = (("logits", FLOAT, ["batch", 3]),),
    weights: dict[str, np.ndarray] | None = None,
) -> Path:
    """A file with ``z = input @ weight`` and the nodes behind it."""
    dtype = helper.tensor_dtype_to_np_dtype(inputs[0][1])
    first = [helper.make_node("MatMul", [inputs[0][0], "weight"], ["z"])] if dtype != np.int64 else []
    graph = helper.make_graph(
        [*first, *(nodes or [helper.make_node("Identity", ["z"], [outputs[0][0]])])],
        "made",
        [helper.make_tensor_value_info(*one) for one in inputs],
        [
            helper.make_tensor_value_info(*one) if one[1] else helper.make_empty_tensor_value_info(one[0])
            for one in outputs
        ],
        [
            numpy_helper.from_array(WEIGHT.astype(dtype if dtype != np.int64 else np.float32), "weight"),
            *(numpy_helper.from_array(array, name) for name, array in (weights or {}).items()),
        ],
    )
    sets = [helper.make_opsetid("", 18), helper.make_opsetid("ai.onnx.ml", 3)]
    onnx.save(helper.make_model(graph, opset_imports=sets, ir_version=10), path)
    return path


def node(kind: str, *names: str, **attributes: Any) -> onnx.NodeProto:
    domain = "ai.onnx.ml" if kind == "ZipMap" else ""
    return helper.make_node(kind, [*names[:-1]], [names[-1]], domain=domain, **attributes)


@pytest.mark.parametrize(
    "names", [("x", "y"), ("input", "output"), ("linear_1", "add_3"), ("serving_default", "logits:0")]
)
def test_any_names(tmp_path, names):
    one, two = names
    path = written(tmp_path / "t.onnx", inputs=[(one, FLOAT, ["n", 6])], outputs=[(two, FLOAT, ["n", 3])])
    torch.testing.assert_close(as_teacher(path).predict(ROWS), LOGITS)
    both = as_teacher([path, written(tmp_path / "u.onnx")])
    torch.testing.assert_close(both.predict(ROWS).softmax(1), LOGITS.softmax(1))


ENDS = {
    "Softmax": ([node("Softmax", "z", "logits", axis=1)], "probabilities"),
    "Softmax behind others": (
        [node("Softmax", "z", "p"), node("Cast", "p", "c", to=FLOAT), node("Identity", "c", "logits")],
        "probabilities",
    ),
    "LogSoftmax": ([node("LogSoftmax", "z", "logits")], "log_probabilities"),
    "Sigmoid": ([node("Sigmoid", "z", "logits")], "sigmoids"),
    # Nothing in the graph says so, as with what converters write.
    "exp over sum": (
        [
            node("Exp", "z", "e"),
            node("ReduceSum", "e", "axes", "s", keepdims=1),
            node("Div", "e", "s", "logits"),
        ],
        "probabilities",
    ),
}


@pytest.mark.parametrize("name", ENDS)
@pytest.mark.parametrize("rows", [1, 12])
def test_what_a_file_gives_is_found_out(tmp_path, name, rows):
    nodes, kind = ENDS[name]
    teacher = as_teacher(written(tmp_path / "t.onnx", nodes, weights={"axes": np.array([1])}))
    said = teacher.predict(ROWS[:rows])
    assert teacher.output_reader.kind == kind
    # Noise a hundred times as large as the rows makes exp(z) overflow: such rows say nothing.
    torch.testing.assert_close(said.softmax(1), LOGITS[:rows].softmax(1), rtol=1e-4, atol=1e-6)
    assert said.half().isfinite().all()
    assert teacher.fingerprint() != "" and bool(teacher.output_reader.remarks) == (kind != "log_probabilities")


def test_percentages_are_probabilities_in_other_units(tmp_path):
    nodes = [node("Softmax", "z", "p", axis=1), node("Mul", "p", "hundred", "logits")]
    weights = {"hundred": np.array(100.0, np.float32)}
    teacher = as_teacher(written(tmp_path / "t.onnx", nodes, weights=weights))
    torch.testing.assert_close(teacher.predict(ROWS).softmax(1), LOGITS.softmax(1), rtol=1e-4, atol=1e-6)
    assert teacher.output_reader.remarks[0].startswith("'t.onnx' gives probabilities times 100, and not logits: ")
    torch.testing.assert_close(teacher.predict(ROWS[:2]).softmax(1), LOGITS[:2].softmax(1), rtol=1e-4, atol=1e-6)


def test_logits_that_add_up_to_the_same_for_some_rows_stay_logits(tmp_path):
    rows = torch.tensor([[1.0, 3.0], [2.0, 2.0], [3.0, 1.0]]).repeat(4, 1)
    assert as_teacher(torch.nn.Identity(), classes=2).predict(rows).equal(rows)


def test_a_softmax_over_an_axis_of_one_is_warned_of(tmp_path, caplog):
    nodes = [node("Unsqueeze", "z", "two", "u"), node("Softmax", "u", "logits", axis=2)]
    path = written(
        tmp_path / "t.onnx", nodes, outputs=[("logits", FLOAT, ["batch", 3, 1])], weights={"two": np.array([2])}
    )
    trial(as_teacher(path), ROWS)
    assert "The teacher 't.onnx' gives the same for all of the 12 rows that it was asked about: there is" in caplog.text


def test_a_softmax_over_another_axis_is_none_of_the_classes(tmp_path):
    file = OnnxFile.read(written(tmp_path / "t.onnx", [node("Softmax", "z", "logits", axis=0)]))
    assert file.kinds == {"logits": None}


@pytest.mark.parametrize("nodes", [[], [node("Sigmoid", "z", "logits")]], ids=["logit", "probability"])
def test_one_number_for_two_classes(tmp_path, nodes):
    column = WEIGHT[:, :1]
    one = [node("MatMul", "input", "column", "w"), *(nodes and [node("Sigmoid", "w", "logits")])]
    one = one if nodes else [node("MatMul", "input", "column", "logits")]
    path = written(tmp_path / "t.onnx", one, outputs=[("logits", FLOAT, ["n", 1])], weights={"column": column})
    said = as_teacher(path, classes=2).predict(ROWS)
    torch.testing.assert_close(said[:, 1] - said[:, 0], LOGITS[:, 0], rtol=1e-4, atol=1e-5)
    assert as_teacher(path).classes == (2 if nodes else 1), "a sigmoid has two classes, a bare number may be a value"


@pytest.mark.parametrize("kind", [HALF, DOUBLE])
def test_other_floats(tmp_path, kind):
    path = written(tmp_path / "t.onnx", inputs=[("x", kind, ["n", 6])], outputs=[("y", kind, ["n", 3])])
    teacher = as_teacher(path)
    torch.testing.assert_close(teacher.predict(ROWS), LOGITS, rtol=0, atol=2e-2)
    trial(teacher, ROWS)


def test_integers(tmp_path):
    nodes = [node("Cast", "tokens", "f", to=FLOAT), node("MatMul", "f", "weight", "logits")]
    teacher = as_teacher(written(tmp_path / "t.onnx", nodes, inputs=[("tokens", INT, ["n", 6])]))
    whole = torch.tensor([[1.0, 2.0, 3.0, 0.0, 7.0, 5.0]])
    torch.testing.assert_close(teacher.predict(whole), whole @ torch.from_numpy(WEIGHT))
    with pytest.raises(
        BadInput, match=r"'t.onnx' takes int64 inputs, and the data are numbers that this type does not"
    ):
        teacher.predict(whole / 2)


def _converted(path: Path, labels: dict[str, Any], *, beside: bool = True) -> Path:
    """As scikit-learn's converters write a classifier: labels, and a dictionary of probabilities for each row."""
    nodes = [
        node("Softmax", "z", "p", axis=1),
        node("ArgMax", "z", "output_label", axis=1, keepdims=0),
        node("ZipMap", "p", "output_probability", **labels),
    ]
    outputs = [("output_label", INT, ["n"]), ("output_probability", 0, [])]
    return written(path, nodes, outputs=outputs if beside else outputs[1:])


@pytest.mark.parametrize("beside", [True, False])
def test_labels_and_dictionaries(tmp_path, beside):
    path = _converted(tmp_path / "t.onnx", {"classlabels_int64s": [0, 1, 2]}, beside=beside)
    torch.testing.assert_close(as_teacher(path).predict(ROWS).softmax(1), LOGITS.softmax(1))


def test_classes_named_in_the_file_come_in_the_order_of_the_data(tmp_path):
    path = _converted(tmp_path / "t.onnx", {"classlabels_strings": ["ant", "bee", "cat"]})
    same, other = (as_teacher(path, classes=names) for names in (["ant", "bee", "cat"], ["cat", "ant", "bee"]))
    torch.testing.assert_close(other.predict(ROWS).softmax(1), LOGITS.softmax(1)[:, [2, 0, 1]])
    assert same.fingerprint() != other.fingerprint()


def test_several_outputs(tmp_path):
    nodes = [node("Relu", "z", "hidden"), node("Identity", "z", "logits"), node("Softmax", "z", "probabilities")]
    outputs = [(name, FLOAT, ["n", 3]) for name in ("hidden", "probabilities", "logits")]
    path = written(tmp_path / "t.onnx", nodes, outputs=outputs)
    torch.testing.assert_close(as_teacher(path).predict(ROWS), LOGITS)
    named = as_teacher(path, output_name="hidden")
    torch.testing.assert_close(named.predict(ROWS), LOGITS.relu())
    assert named.fingerprint() != as_teacher(path).fingerprint()
    with pytest.raises(
        BadInput, match=r"output_name of OnnxTeacher\('t.onnx'\) must be an output .*Did you mean 'hidden'"
    ):
        as_teacher(path, output_name="hiden")
    twice = [node("Relu", "z", "a"), node("Identity", "z", "b")]
    path = written(tmp_path / "u.onnx", twice, outputs=[("a", FLOAT, ["n", 3]), ("b", FLOAT, ["n", 3])])
    with pytest.raises(BadInput, match=r"'u.onnx' has 2 outputs \('a', .*Say which with output_name"):
        as_teacher(path)
    wide = [node("MatMul", "input", "wide", "a"), node("Identity", "z", "b")]
    path = written(
        tmp_path / "v.onnx",
        wide,
        outputs=[("a", FLOAT, ["n", 9]), ("b", FLOAT, ["n", 3])],
        weights={"wide": np.zeros((6, 9), np.float32)},
    )
    torch.testing.assert_close(as_teacher(path, classes=3).predict(ROWS), LOGITS)


def test_images_with_the_channels_last(tmp_path):
    nodes = [node("Reshape", "images", "flat", "rows"), node("MatMul", "rows", "weight", "logits")]
    graph = helper.make_graph(
        nodes,
        "keras",
        [helper.make_tensor_value_info("images", FLOAT, ["n", 1, 2, 3])],
        [helper.make_tensor_value_info("logits", FLOAT, ["n", 3])],
        [numpy_helper.from_array(np.array([-1, 6]), "flat"), numpy_helper.from_array(WEIGHT, "weight")],
    )
    path = tmp_path / "k.onnx"
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10), path)
    images = ROWS.reshape(12, 1, 2, 3).permute(0, 3, 1, 2)
    with pytest.raises(
        BadInput, match=r"takes inputs of shape \[1, 2, 3\].*gets \[3, 1, 2\].*channels last.*size=lambda"
    ):
        as_teacher(path).predict(images)
    said = as_teacher(path, size=lambda images: images.permute(0, 2, 3, 1)).predict(images)
    torch.testing.assert_close(said, LOGITS)


def test_a_failure_of_onnx_runtime_is_one_sentence(tmp_path):
    nodes = [node("Reshape", "z", "fixed", "r"), node("Reshape", "r", "back", "logits")]
    path = written(tmp_path / "t.onnx", nodes, weights={"fixed": np.array([1, 3]), "back": np.array([-1, 3])})
    with pytest.raises(BadInput) as caught:
        as_teacher(path).predict(ROWS)
    said = str(caught.value)
    assert "ONNX Runtime cannot run 't.onnx' on inputs of shape [12, 6]: " in said and "requested shape:{1,3}" in said
    assert ".cc" not in said and ".h:" not in said and "\n" not in said


def test_a_file_that_onnx_runtime_refuses_is_one_sentence_without_its_sources(tmp_path):
    path = written(tmp_path / "t.onnx")
    model = onnx.load(path)
    model.ir_version = 99
    path.write_bytes(model.SerializeToString())
    with pytest.raises(
        CorruptFile, match=r"is no file that ONNX Runtime can read: Unsupported model IR version: 99, max"
    ):
        as_teacher(path)


def test_a_file_without_an_input_is_refused(tmp_path):
    nodes = [node("Identity", "fixed", "logits")]
    path = written(tmp_path / "t.onnx", nodes, weights={"fixed": WEIGHT})
    model = onnx.load(path)
    del model.graph.input[:], model.graph.node[0]
    path.write_bytes(model.SerializeToString())
    with pytest.raises(BadInput, match=r"'t\.onnx' takes no input, so that it gives the same for every row\."):
        as_teacher(path)


def test_chance_in_a_file_is_refused_or_averaged(tmp_path):
    nodes = [node("RandomNormalLike", "z", "noise"), node("Add", "z", "noise", "logits")]
    path = written(tmp_path / "t.onnx", nodes)
    assert OnnxFile.read(path).chance == ("RandomNormalLike",)
    with pytest.raises(BadInput, match=r"The teacher 't.onnx' gives other outputs for the same rows each time"):
        trial(as_teacher(path), ROWS)
    averaged = as_teacher(path, samples=64)
    trial(averaged, ROWS)
    assert float((averaged.predict(ROWS).softmax(1) - LOGITS.softmax(1)).abs().max()) < 0.35


# Weights beside the graph


def outside(folder: Path, location: str | None = None, **entries: str) -> Path:
    """A file whose weights lie beside it, or wherever it says, and as it says."""
    folder.mkdir(exist_ok=True)
    path = written(folder / "t.onnx")
    onnx.save(onnx.load(path), path, save_as_external_data=True, location="t.onnx.data", size_threshold=0)
    if location is not None or entries:
        entries |= {} if location is None else {"location": location}
        model = onnx.load(path, load_external_data=False)
        for tensor in model.graph.initializer:
            for entry in tensor.external_data:
                entry.value = entries.get(entry.key, entry.value)
        path.write_bytes(model.SerializeToString())
    return path


def test_a_graph_that_goes_round_or_lacks_inputs_is_refused(tmp_path):
    for nodes in (
        [node("Identity", "back", "logits"), node("Identity", "logits", "back")],
        [helper.make_node("Identity", [], ["logits"])],
        [helper.make_node("ZipMap", [], ["logits"], domain="ai.onnx.ml")],
    ):
        with pytest.raises(CorruptFile, match=r"is no file that ONNX Runtime can read"):
            OnnxTeacher(written(tmp_path / "t.onnx", nodes))


def test_weights_beside_the_graph_count(tmp_path):
    path = outside(tmp_path / "a")
    teacher = as_teacher(path)
    data = path.with_name("t.onnx.data")
    assert teacher.size_bytes == path.stat().st_size + data.stat().st_size > path.stat().st_size
    torch.testing.assert_close(teacher.predict(ROWS), LOGITS)


@pytest.mark.parametrize(
    "location", ["../secret.bin", "/etc/hostname", "a/../../secret.bin", "..\\secret.bin", "C:\\secret.bin", "link.bin"]
)
def test_weights_outside_of_the_folder_are_refused(tmp_path, location):
    (tmp_path / "secret.bin").write_bytes(WEIGHT.tobytes())
    path = outside(tmp_path / "a", location)
    (tmp_path / "a" / "link.bin").symlink_to(tmp_path / "secret.bin")
    with pytest.raises(BadInput, match=r"names .* as the file of its weights, which lies outside of its own folder"):
        as_teacher(path)


def test_weights_that_are_missing(tmp_path):
    path = outside(tmp_path / "a")
    path.with_name("t.onnx.data").unlink()
    with pytest.raises(CorruptFile, match=r"needs the file of weights 't.onnx.data', which is not beside it"):
        OnnxTeacher(path)


@pytest.mark.parametrize(
    ("location", "entries", "message"),
    [
        (
            None,
            {"offset": "4096"},
            r"needs 4,168 bytes of the file of weights 't\.onnx\.data', for its tensor 'weight', and",
        ),
        (None, {"length": "9" * 15}, r"and there are 72\. It was cut short, or is of another graph: copy both files"),
        (None, {"offset": "-8"}, r"the tensor 'weight' has '72' bytes from '-8' on, which are no numbers"),
        (None, {"length": "9" * 10_000}, r"has '99999999999999999999' bytes from '0' on, which are no numbers"),
        ("t.onnx", {}, r"it names itself as the file of its weights"),
    ],
)
def test_weights_that_are_not_where_the_graph_says(tmp_path, location, entries, message):
    with pytest.raises(CorruptFile, match=message):
        OnnxTeacher(outside(tmp_path / "a", location, **entries))


def test_a_file_of_weights_that_was_cut_short(tmp_path):
    path = outside(tmp_path / "a")
    path.with_name("t.onnx.data").write_bytes(WEIGHT.tobytes()[:40])
    with pytest.raises(
        CorruptFile, match=r"needs 72 bytes of the file of weights .* and there are 40\. It was cut short"
    ):
        OnnxTeacher(path)
