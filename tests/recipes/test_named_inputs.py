"""A recipe whose data have several named inputs, from arrays to an artifact."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import pytest
import torch
from sklearn.naive_bayes import GaussianNB
from torch import Tensor, nn

import attar
from attar.data.views import Views
from attar.errors import BadInput
from attar.recipes.plan import plan
from attar.recipes.start import open_run
from attar.recipes.students import Trainings, train_all
from attar.training import fit as fitting

NETWORK, OF_WIDTH, FOREST = f"{__name__}:both", f"{__name__}:of_width", f"{__name__}:forest"


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


def forest() -> object:
    return GaussianNB().fit([[0.0], [1.0]], [0, 1])


def of_width(width: int = 8) -> nn.Module:
    class Wide(Both):
        def __init__(self) -> None:
            super().__init__()
            self.out = nn.Sequential(nn.Linear(9, width), nn.ReLU(), nn.Linear(width, 2))  # type: ignore[assignment]

    return Wide()


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


@pytest.fixture
def undrawn(monkeypatch: pytest.MonkeyPatch) -> None:
    """Runs whose page is not drawn, which takes longer than to train such networks."""
    monkeypatch.setattr("attar.report.page.render", lambda _, path: path.write_text("a page", encoding="utf-8"))


@pytest.mark.usefixtures("hurried")
def test_named_inputs_go_from_arrays_to_an_artifact(tmp_path: Path, request: pytest.FixtureRequest) -> None:
    run = attar.compress(recipe(tmp_path, "baseline=false"), tmp_path / "run")
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
    request.getfixturevalue("undrawn")
    again = attar.compress(recipe(tmp_path, "baseline=false"), tmp_path / "run")
    assert again.evidence["winner"] == run.evidence["winner"]
    with pytest.raises(BadInput, match="Add age"):
        artifact.logits({name: one for name, one in x.items() if name != "age"})


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ("transfer.views.shift=4", "shift of the recipe (transfer.views) must be less than the 4 x 4 pixels"),
        (f'teacher={{estimator="{FOREST}"}}', "teacher.estimator of the recipe must be a network where the data have"),
        (
            f'teacher={{estimator="{FOREST}", fit=true}}',
            "teacher.estimator of the recipe must be left out where the data have",
        ),
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


def test_a_function_that_is_called_an_estimator_may_return_a_network_of_several_inputs(tmp_path: Path) -> None:
    assert plan(recipe(tmp_path, f'teacher={{estimator="{NETWORK}"}}')).teacher_macs


def test_a_dict_of_arrays_is_data() -> None:
    x = inputs()
    data = attar.from_arrays("both", {"x": x, "y": np.arange(60) % 2})
    assert data.named is not None and data.named.names == ("ids", "mask", "image", "age")
    assert (
        data.fingerprint() != attar.from_arrays("both", {"x": data.train.inputs, "y": data.train.labels}).fingerprint()
    )


def test_an_image_among_others_is_varied_and_the_others_are_not() -> None:
    data = attar.from_arrays("both", {"x": inputs(), "y": np.arange(60) % 2})
    views = Views(count=3, flip=True, shift=1, noise=0.1)
    rows = torch.tensor([7, 2, 40])
    assert data.named is not None
    seen, plain = (data.named.unpacked(one.numpy()) for one in (views.of(data.train, rows, 1), data.train.floats(rows)))
    for name in ("ids", "mask", "age"):
        np.testing.assert_array_equal(seen[name], plain[name])
    alone = views(torch.from_numpy(plain["image"]), data.train.ids[rows], 1)
    np.testing.assert_array_equal(seen["image"], alone.numpy())
    assert not np.array_equal(seen["image"], plain["image"])
    assert torch.equal(views.of(data.train, slice(2, 3), 1), views.of(data.train, torch.tensor([2]), 1))


@pytest.mark.parametrize(("names", "found"), [(("ids", "age"), "none is"), (("image", "other"), "several are")])
def test_views_want_one_image(names: tuple[str, ...], found: str) -> None:
    x = inputs() | {"other": inputs()["image"]}
    data = attar.from_arrays("both", {"x": {name: x[name] for name in names}, "y": np.arange(60) % 2})
    with pytest.raises(BadInput, match=rf"views of TransferSet change an image, .* {found} one \[channels, height, wi"):
        attar.TransferSet(data.train, Views(shift=1))


def test_a_teacher_may_see_a_larger_image_beside_the_others() -> None:
    class Seen(nn.Module):
        def forward(self, image: Tensor, age: Tensor) -> Tensor:
            assert image.shape[1:] == (3, 8, 6)
            return torch.stack((image.mean((1, 2, 3)), age), 1)

    x = {name: one for name, one in inputs().items() if name in ("image", "age")}
    data = attar.from_arrays("both", {"x": x, "y": np.arange(60) % 2})
    teacher = attar.as_teacher(Seen(), classes=2, named=data.named, size=(8, 6), channels=3, mean=[0.5], std=[2.0])
    found = teacher.predict(data.train.floats())
    assert data.named is not None
    plain = data.named.unpacked(data.train.inputs.numpy())
    resized = nn.functional.interpolate(torch.from_numpy(plain["image"]), (8, 6), mode="bilinear", antialias=True)
    torch.testing.assert_close(found[:, 0], (resized.mean((1, 2, 3)) - 0.5) / 2)
    torch.testing.assert_close(found[:, 1], torch.from_numpy(plain["age"]))
    assert teacher.fingerprint() != attar.as_teacher(Seen(), classes=2, named=data.named, size=(8, 6)).fingerprint()


STEPS = (
    '{use="distill", training={epochs=2}}, {use="prune", to={macs="0.7x"}}, '
    '{use="quantize", weights={use="uniform", bits=4}}, {use="distill", training={epochs=2}}'
)


def test_pruned_and_quantized_and_gone_on_with_after_a_kill(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    student = f'student={{network={{use="{OF_WIDTH}"}}, steps=[{STEPS}]}}'
    read = recipe(tmp_path, student, "transfer.views.shift=1", "transfer.views.count=2")

    def trained(out: str) -> Trainings:
        with open_run(read, tmp_path / out, "cpu", fitting.silent) as context:
            return train_all(context)

    left_alone = trained("alone").students[0].network
    finished, ended = [], fitting._Run._finish_epoch

    def killed(run: Any) -> None:
        ended(run)
        finished.append(run)
        if len(finished) == 7:  # two of the teacher, two of the student, and three while it is cut
            run._save(run.job.checkpoint_file)
            raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(fitting._Run, "_finish_epoch", killed)
        with pytest.raises(KeyboardInterrupt):
            trained("killed")
    assert list((tmp_path / "killed").rglob("checkpoint.safetensors"))
    again = trained("killed").students[0].network
    for one, other in zip(again.state_dict().values(), left_alone.state_dict().values(), strict=True):
        assert torch.equal(one, other)


@pytest.mark.usefixtures("hurried", "undrawn")
@pytest.mark.parametrize("strategy", ["random", "n2n"])
def test_a_search_finds_a_student_of_several_inputs(strategy: str, tmp_path: Path) -> None:
    space = "" if strategy == "n2n" else f', space={{use="{OF_WIDTH}", arguments={{width=[2, 4]}}}}'
    search = f'search={{strategy="{strategy}", proposals=2, epochs=1, finalists=1, seeds=1, pareto=0{space}}}'
    student = ["student={training={epochs=1}}", 'artifacts.runtimes=["torch"]', f'teacher.network.use="{OF_WIDTH}"']
    run = attar.compress(recipe(tmp_path, search, *student), tmp_path / "run", workers=1)
    assert "trained" in [trial["state"] for trial in run.evidence["search"]["trials"]]
    assert attar.load(tmp_path / "run" / "artifact", allow=["attar", "tests"]).logits(inputs(3)).shape == (3, 2)
