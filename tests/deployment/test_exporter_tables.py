"""Tables of torch's exporter are made once, each export has its own copy, and torch is left as it was."""

from __future__ import annotations

from torch.onnx._internal.exporter import _registration

from attar.deployment.exporter_tables import tables_shared


def test_a_table_is_tables_shared_and_copied_for_each() -> None:
    before = vars(_registration.ONNXRegistry)["from_torchlib"]
    with tables_shared():
        one, other = (_registration.ONNXRegistry.from_torchlib() for _ in range(2))
    assert vars(_registration.ONNXRegistry)["from_torchlib"] is before
    name = next(iter(one.functions))
    assert one.functions[name] == other.functions[name]
    assert one.functions[name][0] is other.functions[name][0]
    one.functions[name].clear()
    assert other.functions[name]
