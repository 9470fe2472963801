"""Models of transformers: from folders and from functions, made here from configurations."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from transformers import BertConfig, BertForSequenceClassification, BertModel, ViTConfig, ViTForImageClassification

from attar.errors import BadInput, CorruptFile
from attar.recipes.compress import label
from attar.recipes.from_data import recipe_from_data, teacher_table
from attar.recipes.plan import plan
from attar.teachers.as_teacher import as_teacher
from attar.teachers.image_inputs import PREPROCESSOR
from attar.teachers.pretrained import in_order, names_in, parameters_in, read_pretrained

ANIMALS = ["cat", "dog", "emu"]
IMAGES = torch.randint(0, 256, (40, 1, 8, 8), generator=torch.Generator().manual_seed(0), dtype=torch.uint8)


def vit(names: list[str] | None = None, **more: Any) -> Any:
    torch.manual_seed(0)
    sizes = {"hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 16}
    called = {} if names is None else {"id2label": dict(enumerate(names))}
    config = ViTConfig(**sizes, image_size=16, patch_size=8, num_labels=3, **called, **more)
    return ViTForImageClassification(config).eval()


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder in which the user is, with a saved model and images."""
    monkeypatch.chdir(tmp_path)
    vit(ANIMALS).save_pretrained(tmp_path / "vit")
    said = {"size": {"height": 16, "width": 16}, "image_mean": [0.5, 0.5, 0.5], "image_std": [0.25, 0.25, 0.25]}
    (tmp_path / "vit" / PREPROCESSOR).write_text(json.dumps(said))
    np.savez(tmp_path / "images.npz", x=IMAGES.numpy(), y=np.arange(40) % 3)
    return tmp_path


def recipe(teacher: str) -> str:
    Path("mine.toml").write_text(f'name = "mine"\ndata.use = "images.npz"\ntransfer.views.count = 1\n{teacher}\n')
    return "mine.toml"


def expected_of(model: Any) -> torch.Tensor:
    """What a model says, by hand."""
    images = (IMAGES.float() / 255).expand(-1, 3, -1, -1)
    images = torch.nn.functional.interpolate(images, (16, 16), mode="bilinear", antialias=True)
    with torch.no_grad():
        return model((images - 0.5) / 0.25).logits


def test_a_saved_model_in_a_recipe(folder: Path) -> None:
    given = recipe('teacher.transformers = "vit"')
    text = str(plan(given))
    assert "sees images 16 x 16 pixels in 3 channels, less a mean of 0.5, 0.5, 0.5 and divided by 0.25" in text
    stored = label(given, "run")
    assert stored.task.names == ("cat", "dog", "emu")  # the data only number them
    logits = stored(None, torch.arange(len(stored)), 0)
    assert isinstance(logits, torch.Tensor)
    expected = expected_of(vit(ANIMALS))
    nearest = (torch.cdist(logits.softmax(1), expected.softmax(1)).amin(1)).max()
    assert float(nearest) < 1e-3
    assert teacher_table("vit") == {"transformers": "vit"}


def test_a_search_knows_the_size_of_a_saved_model(folder: Path) -> None:
    numbers = sum(one.numel() for one in vit().state_dict().values())
    assert parameters_in("vit") == numbers
    asked = plan(recipe('teacher.transformers = "vit"\nbudget.bytes = "0.5x"\nsearch.proposals = 2'))
    (where,) = [line for line in asked.search if line.startswith("in: ")]
    assert where.endswith(f"to {numbers:,}"), "no student is larger than the teacher"
    assert any("is 0.50x of the teacher's" in line for line in asked.search), asked.search
    Path("vit/model.safetensors").write_bytes(b"damaged")
    assert parameters_in("vit") is None


def test_a_function_that_returns_a_model(folder: Path) -> None:
    (folder / "made.py").write_text(
        "from transformers import ViTForImageClassification\n\n\n"
        "def teacher():\n    return ViTForImageClassification.from_pretrained('vit', local_files_only=True)\n"
    )
    text = str(plan(recipe('teacher.use = "made:teacher"')))
    assert "sees images 16 x 16 pixels in 3 channels\n" in text
    stated = "\n[teacher.inputs]\nsize = [16, 16]\nmean = [0.5, 0.5, 0.5]\nstd = [0.25, 0.25, 0.25]"
    stored = label(recipe(f'teacher.use = "made:teacher"{stated}'), "run")
    logits = stored(None, torch.arange(len(stored)), 0)
    assert isinstance(logits, torch.Tensor)
    assert float(torch.cdist(logits.softmax(1), expected_of(vit(ANIMALS)).softmax(1)).amin(1).max()) < 1e-3


def test_a_function_named_on_the_command_line_may_return_a_network(folder: Path) -> None:
    (folder / "made.py").write_text(
        "from torch import nn\n\n\ndef net():\n    made = nn.Sequential(nn.Flatten(), nn.Linear(768, 3))\n"
        "    made.pretrained_cfg = {'input_size': (3, 16, 16), 'mean': (0.5, 0.5, 0.5), 'std': (0.2, 0.2, 0.2)}\n"
        "    return made\n"
    )
    given = recipe_from_data("images.npz", "made:net", ["student.network=tiny"])
    assert "sees images 16 x 16 pixels in 3 channels, less a mean of 0.5, 0.5, 0.5" in str(plan(given))


def test_classes_in_another_order(tmp_path: Path) -> None:
    model = vit(["Dog", "emu", "Cat"])
    teacher = as_teacher(model, classes=ANIMALS, mean=0.5, std=0.25)
    images = IMAGES.float() / 255
    torch.testing.assert_close(teacher.predict(images), expected_of(model)[:, [2, 0, 1]])
    assert teacher.fingerprint() != as_teacher(model, classes=3, mean=0.5, std=0.25).fingerprint()
    with pytest.raises(BadInput, match=r"^ViTForImageClassification calls its classes .*'dove'.* and the data theirs"):
        as_teacher(vit(["dove", "emu", "cat"]), classes=ANIMALS)
    plain = vit()
    assert in_order(plain, ANIMALS) is plain and in_order(model, ["0", "1", "2"]) is model


def test_what_a_configuration_says_counts(tmp_path: Path) -> None:
    prints = {as_teacher(vit(layer_norm_eps=epsilon), classes=3).fingerprint() for epsilon in (1e-12, 0.5)}
    assert len(prints) == 2
    assert as_teacher(vit(), classes=3).fingerprint() in prints


def bert(kind: Any = BertForSequenceClassification) -> Any:
    torch.manual_seed(0)
    sizes = {"hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 16}
    return kind(BertConfig(vocab_size=20, max_position_embeddings=8, num_labels=3, **sizes)).eval()


def test_a_classifier_of_text_gets_its_tokens_by_name(tmp_path: Path) -> None:
    bert().save_pretrained(tmp_path)
    ids = torch.tensor([[5, 6, 7, 0], [8, 9, 0, 0]])
    mask = (ids > 0).long()
    teacher = as_teacher(tmp_path, classes=3)
    with torch.no_grad():
        expected = bert()(input_ids=ids, attention_mask=mask).logits
    torch.testing.assert_close(teacher.predict(torch.stack([ids, mask], 1)), expected)


def test_a_classifier_of_named_inputs_in_another_order_of_classes(folder: Path) -> None:
    model = bert()
    model.config.id2label = {0: "Spam", 1: "ham", 2: "offer"}
    model.save_pretrained("bert")
    ids = np.random.default_rng(0).integers(1, 20, (40, 6))
    types = np.arange(6)[None].repeat(40, 0) % 2
    names = np.array(["ham", "offer", "spam"])[np.arange(40) % 3]
    np.savez("images.npz", **{"x.input_ids": ids, "x.token_type_ids": types, "y": names})
    student = '\nstudent.network.use = "bag:student"'
    Path("bag.py").write_text(
        "from torch import nn\n\n\nclass Bag(nn.Module):\n    def __init__(self):\n        super().__init__()\n"
        "        self.table = nn.EmbeddingBag(20, 3)\n\n    def forward(self, input_ids, token_type_ids):\n"
        "        return self.table(input_ids)\n\n\ndef student():\n    return Bag()\n"
    )
    stored = label(recipe('teacher.transformers = "bert"' + student), "run")
    logits = stored(None, torch.arange(len(stored)), 0)
    assert isinstance(logits, torch.Tensor)
    with torch.no_grad():
        expected = bert()(input_ids=torch.from_numpy(ids), token_type_ids=torch.from_numpy(types)).logits[:, [1, 2, 0]]
    assert float(torch.cdist(logits.softmax(1), expected.softmax(1)).amin(1).max()) < 1e-3


def test_what_is_no_model_or_not_all_of_one(folder: Path) -> None:
    with pytest.raises(BadInput, match=r"^'nowhere' is no folder, where a model of transformers"):
        read_pretrained("nowhere")
    with pytest.raises(BadInput, match=r"has no config\.json"):
        read_pretrained(".")
    bert(BertModel).save_pretrained("plain")
    config = json.loads(Path("plain/config.json").read_text())
    config["architectures"] = ["BertForSequenceClassification"]
    Path("plain/config.json").write_text(json.dumps(config))
    with pytest.raises(BadInput, match=r"no weights for classifier\.bias, classifier\.weight of BertForSequence"):
        read_pretrained("plain")
    for name in ("os", "MadeUp", 5):
        Path("plain/config.json").write_text(json.dumps({**config, "architectures": [name]}))
        with pytest.raises(BadInput, match=r"code that comes with a model is not run"):
            read_pretrained("plain")
    Path("plain/config.json").write_text("{")
    with pytest.raises(CorruptFile, match="cannot be read"):
        names_in("plain")


def test_weights_that_are_not_read(folder: Path) -> None:
    weights = Path("vit/model.safetensors").read_bytes()
    Path("vit/model.safetensors").write_bytes(weights[:500])
    with pytest.raises(CorruptFile, match=r"cannot be read as a ViTForImageClassification"):
        read_pretrained("vit")
    Path("vit/model.safetensors").rename("vit/pytorch_model.bin")
    with pytest.raises(BadInput, match=r"its weights in 'pytorch_model\.bin', which can run code .*save_pretrained"):
        read_pretrained("vit")
    Path("vit/pytorch_model.bin").unlink()
    with pytest.raises(BadInput, match=r"has no weights, model\.safetensors"):
        read_pretrained("vit")
    Path("vit/adapter_config.json").write_text("{}")
    with pytest.raises(BadInput, match=r"holds an adapter"):
        read_pretrained("vit")
