"""The evidence of a run as a table, and read back from its folder."""

import builtins
from pathlib import Path
from typing import Any

import pytest

from attar.errors import BadInput, CorruptFile, MissingExtra
from attar.evidence.document import EvidenceDocument
from attar.records import to_text

MODELS = [
    {
        "name": "teacher torch",
        "kind": "teacher",
        "runtime": "torch",
        "precision": "fp32",
        "quality": {"examples": 400, "accuracy": 0.95, "interval": [0.93, 0.97], "per_class": {"0": {"accuracy": 1.0}}},
        "size_bytes": 900,
        "layers": ["mlp", "head"],
        "latency": {"1": {"median_ms": 0.5, "p90_ms": 0.6}},
        "parity": None,
    },
    {
        "name": "int8",
        "kind": "candidate",
        "runtime": "onnxruntime",
        "precision": "int8",
        "refused": "It is too slow.",
        "parity": {"max_difference": 0.1},
    },
]
RUN = EvidenceDocument(winner="teacher torch", models=MODELS)


def test_models_are_rows_and_figures_within_others_have_long_names() -> None:
    frame = RUN.to_frame()
    assert list(frame.name) == ["teacher torch", "int8"]
    assert list(frame.ships) == [True, False]
    first = frame.iloc[0]
    assert (first.quality_accuracy, first.quality_interval_low, first.quality_interval_high) == (0.95, 0.93, 0.97)
    assert (first.size_bytes, first.latency_1_median_ms) == (900, 0.5)
    assert first.layers == ["mlp", "head"], "two of something else are no interval"
    assert not any("per_class" in column for column in frame.columns)
    assert frame.size_bytes.isna().tolist() == [False, True], "what is not known is missing"
    assert frame.refused[1] == "It is too slow."
    assert "parity" not in frame.columns and frame.parity_max_difference[1] == 0.1, "a table of figures has no column"


def test_without_pandas_a_sentence_names_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    found = builtins.__import__

    def without(name: str, *arguments: Any, **more: Any) -> Any:
        if name == "pandas":
            raise ImportError(name)
        return found(name, *arguments, **more)

    monkeypatch.setattr(builtins, "__import__", without)
    with pytest.raises(MissingExtra, match="pip install pandas"):
        RUN.to_frame()


def test_evidence_is_read_from_the_folder_of_a_run(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="is not the folder of a finished run"):
        EvidenceDocument.read(tmp_path)
    (tmp_path / "evidence.json").write_text(to_text(RUN))
    assert EvidenceDocument.read(tmp_path)["models"] == MODELS
    (tmp_path / "evidence.json").write_text(to_text(RUN).replace("0.95", "0.99"))
    with pytest.raises(CorruptFile):
        EvidenceDocument.read(tmp_path)
