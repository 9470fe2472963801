"""That layers and networks are timed at all; how long they take is the machine's business."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest

from attar.evidence.layer_timer import LayerTimer, layer_graph, time_network
from attar.pruning.latency import LayerShape

CONV = LayerShape("Conv", (6, 5), (3, 3), (2, 2), (1, 1), (1, 1), 1, 8, 8)
GEMM = LayerShape("Gemm", (), (), (), (), (), 1, 8, 8)
MATMUL = LayerShape("MatMul", (7,), (), (), (), (), 1, 8, 8)


@pytest.mark.parametrize(
    ("shape", "given", "gives"),
    [
        (CONV, (2, 3, 6, 5), (2, 16, 1, 1)),
        (replace(CONV, groups=0), (2, 3, 6, 5), (2, 16, 1, 1)),
        (replace(CONV, size=(9,), kernel=(3,), stride=(1,), padding=(1,), dilation=(1,)), (2, 3, 9), (2, 16, 1)),
        (GEMM, (2, 3), (2, 1)),
        (MATMUL, (2, 7, 3), (2, 7, 1)),
    ],
)
@pytest.mark.parametrize("inputs", [3, 0])
def test_each_copy_has_a_layer_behind_it(
    shape: LayerShape, given: tuple[int, ...], gives: tuple[int, ...], inputs: int
):
    outputs = 3 if shape.groups == 0 else 4
    graph, rows = layer_graph(shape, inputs, outputs, batch=2, copies=3)
    channels = 1 if shape.operator == "Conv" else -1
    wanted = list(given)
    wanted[channels] = inputs or outputs
    assert rows.shape == tuple(wanted)
    answers = onnxruntime.InferenceSession(graph, providers=["CPUExecutionProvider"]).run(None, {"x": rows})
    assert [one.shape for one in answers] == [gives] * 3
    assert not np.array_equal(answers[0], answers[1])


@pytest.mark.parametrize("shape", [CONV, GEMM, MATMUL], ids=["Conv", "Gemm", "MatMul"])
def test_a_layer_is_timed(shape: LayerShape):
    timer = LayerTimer(seconds=0.001)
    times = timer(shape, [(8, 8), (4, 8)])
    assert len(times) == 2 and all(0 < time < 1e4 for time in times)
    assert timer.conditions() == {
        "runtime": "onnxruntime",
        "version": onnxruntime.__version__,
        "batch": 1,
        "threads": 1,
    }


def test_a_network_is_timed_in_parts(tmp_path: Path):
    # The layer takes many times as long as a call does, whatever disturbs the processor while both are timed.
    graph, rows = layer_graph(replace(CONV, size=(60, 50)), 32, 32, batch=2, copies=1)
    model = onnx.load_from_string(graph)
    model.graph.node.append(onnx.helper.make_node("Sigmoid", ["z0"], ["end"]))
    model.graph.output[0].name = "end"
    onnx.save(model, tmp_path / "model.onnx")
    time = time_network(tmp_path / "model.onnx", rows, seconds=0.01)
    assert 0 < time.layers and 0 <= time.others and time.layers + time.others <= time.total
    assert time.unit_ms > 0
