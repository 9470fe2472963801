from __future__ import annotations

import pytest

from attar.deployment.refused import refused, telling

OPENVINO = """Exception from src/inference/src/cpp/core.cpp:84:
Check 'false' failed at src/frontends/common_translators/src/unconverted_ops_report.cpp:151:
FrontEnd API failed with OpConversionFailure:
Model wasn't fully converted. Failed operations detailed log:
-- ReduceMean-20 with a message:
Check '(supported_types.find(ov_input.get_element_type()) != supported_types.end())' failed at src/op/reduce.cpp:134:
While validating ONNX node '<Node(ReduceMean): row_result_41>':
Unsupported input type dynamic

Summary:
-- Conversion is failed for: ReduceMean-20

"""
ERROR = "[ONNXRuntimeError] : 9 : NOT_IMPLEMENTED : "
MISSING = "Could not find an implementation for Gemm(13) node with name 'node_linear'"
ALLOCATION = (
    "[ONNXRuntimeError] : 6 : RUNTIME_EXCEPTION : /onnxruntime_src/onnxruntime/core/framework/bfc_arena.cc:358 "
    "Failed to allocate memory for requested buffer of size 4"
)
TORCH = (
    """No ONNX function found for <OpOverload(op='aten.adaptive_max_pool2d', overload='default')>. Failure message: x"""
)
BRANCH = """Could not guard on data-dependent expression Eq(u0, 1) (unhinted: Eq(u0, 1)).  (Size-like symbols: none)

consider using data-dependent friendly APIs such as guard_or_false.
For more information, run with TORCH_LOGS="dynamic"

The following call raised this error:
  File "/home/somebody/secret/net.py", line 23, in forward
    return self.a(x) if x.sum() > 0 else x


The error above occurred when calling torch.export.export."""


@pytest.mark.parametrize(
    ("given", "reported"),
    [
        (OPENVINO, "ReduceMean: Unsupported input type dynamic"),
        (ERROR + MISSING, MISSING),
        (ALLOCATION, "Failed to allocate memory for requested buffer of size 4"),
        (TORCH, "there is no ONNX form of the operation aten.adaptive_max_pool2d"),
        ("the graph has 2 inputs where it must be one.", "the graph has 2 inputs where it must be one"),
        ("", "RuntimeError"),
    ],
)
def test_the_telling_part_is_told(given: str, reported: str) -> None:
    assert telling(RuntimeError(given)) == reported


def test_the_error_that_it_began_with_is_told() -> None:
    outer = RuntimeError("outer")
    outer.__cause__ = ValueError("inner")
    assert telling(outer) == "inner"


def test_long_ones_end_at_a_word() -> None:
    reported = telling(RuntimeError("word " * 1000))
    assert reported.endswith("word ...") or reported.endswith("word")
    assert len(reported) <= 600


def test_a_branch_is_shown_with_its_line_and_what_to_do() -> None:
    assert str(refused("ONNX", "Net", RuntimeError(BRANCH))) == (
        "Net cannot be deployed to ONNX: its forward branches on the values of its inputs, or takes a size from them, "
        "which a graph cannot do (line 23 of net.py: return self.a(x) if x.sum() > 0 else x). Compute both branches "
        "and choose with torch.where, or move what depends on values out of the network."
    )
