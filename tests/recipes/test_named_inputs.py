"""A recipe whose data have several named inputs, from arrays to an artifact."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import pytest
import torch
from torch import Tensor, nn

import attar
from attar.errors import BadInput

NETWORK = f"{__name__}:both"


class Both(nn.Module):
    """Words, an image and a number."""

    def __init__(self) -> None:
        super().__init__()
        self.words, self.pixels, self.out = nn.Embedding(9, 4), nn.Linear(16, 4), nn.Linear(9, 2)

    def forward(self, ids: Tensor, mask: Tensor, image: Tensor, age: Tensor) -> Tensor:
        words = (self.words(ids) * mask.unsqueeze(2)).sum(1)
        output: Tensor = self.out(torch.cat([words, self.pixels(image.flatten(1)).relu(), age.unsqueeze(1)], 1))
        return output


def both() -> nn.Module:
    return Both()


def inputs(rows: int = 60) -> dict[str, Any]:
    draw = np.random.default_rng(0)
    return {
        "ids": draw.integers(0, 9, (rows, 5)),
        "mask": draw.random((rows, 5)) < 0.7,
        "image": draw.integers(0, 256, (rows, 1, 4, 4), dtype=np.uint8),
        "age": draw.normal(size=rows).astype(np.float32),
    }


def recipe(folder: Path, *changes: str) -> Any:
    x = inputs()
    np.savez(folder / "data.npz", y=(x["age"] > 0).astype(int), **{f"x.{name}": one for name, one in x.items()})
    network = f'network = {{ use = "{NETWORK}" }}\ntraining = {{ epochs = 2 }}\n'
    (folder / "recipe.toml").write_text(
        f'name = "both"\n[data]\nuse = "{folder}/data.npz"\n[teacher]\n{network}[student]\n{network}[artifacts]\n'
        'runtimes = ["torch", "onnxruntime"]\nint8 = false\nseconds = 0.01\n[budget]\nquality_loss = "100%"\n'
    )
    return attar.read_recipe(folder / "recipe.toml", list(changes), allow=["tests"])


@pytest.mark.usefixtures("hurried")
def test_named_inputs_go_from_arrays_to_an_artifact(tmp_path: Path) -> None:
    run = attar.compress(recipe(tmp_path), tmp_path / "run")
    assert "a dict of ids, mask, image, age" in run.evidence["how_to_load"]
    refused = {one["name"]: one["refused"] for one in run.evidence["models"]}
    assert refused["onnxruntime fp32"] is None or "cannot" not in refused["onnxruntime fp32"]
    artifact = attar.load(tmp_path / "run" / "artifact", allow=["attar", __name__.partition(".")[0]])
    x = inputs(7)
    output = artifact.logits(x)
    assert output.shape == (7, 2)
    np.testing.assert_array_equal(artifact.logits(**x), output)
    assert artifact.named is not None
    with torch.no_grad():
        rebuilt = artifact.network()(torch.from_numpy(artifact.named.packed(x, "x")))
    np.testing.assert_allclose(rebuilt.numpy(), output, atol=1e-4)
    (graph,) = (tmp_path / "run" / "nodes").rglob("artifacts/onnxruntime-fp32*/**/model.onnx")
    taken = onnxruntime.InferenceSession(str(graph)).get_inputs()
    assert [(one.name, one.shape[1:]) for one in taken] == [
        ("ids", [5]), ("mask", [5]), ("image", [1, 4, 4]), ("age", [])
    ]  # fmt: skip
    again = attar.compress(recipe(tmp_path), tmp_path / "run")
    assert again.evidence["winner"] == run.evidence["winner"]
    with pytest.raises(BadInput, match="Add age"):
        artifact.logits({name: one for name, one in x.items() if name != "age"})


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ("transfer.views.noise=0.1", "the data have several inputs. Leave them out."),
        ("student.network.mean=[0.0]", "mean"),
        ('student.network.use="attar.network.architectures:mlp"', "mlp"),
    ],
)
def test_what_is_not_for_several_inputs_is_refused_before_anything_is_trained(
    change: str, said: str, tmp_path: Path
) -> None:
    with pytest.raises(BadInput) as caught:
        attar.compress(recipe(tmp_path, change), tmp_path / "run")
    assert said in str(caught.value)
    assert not list((tmp_path / "run").glob("nodes/*"))


def test_a_dict_of_arrays_is_data() -> None:
    x = inputs()
    data = attar.from_arrays("both", {"x": x, "y": np.arange(60) % 2})
    assert data.named is not None and data.named.names == ("ids", "mask", "image", "age")
    assert (
        data.fingerprint() != attar.from_arrays("both", {"x": data.train.inputs, "y": data.train.labels}).fingerprint()
    )
