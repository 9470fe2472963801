"""Models of the package transformers: read from a folder, nothing of which is run, and what they say of themselves.

The package is imported where a folder is read, and nowhere else.
"""

from __future__ import annotations

import json
import math
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor, nn

from attar.errors import BadInput, CorruptFile, missing_extra, shown
from attar.network.forward import output_of
from attar.network.named import taking_one
from attar.network.unpacked import Unpacked

CONFIG, WEIGHTS = "config.json", "model.safetensors"
"""The files of a saved model."""

_SPLIT = WEIGHTS + ".index.json"
_MOST_BYTES = 10_000_000

_OF_THE_FILE = ("transformers_version", "_name_or_path", "dtype", "torch_dtype", "id2label", "label2id")
"""What a configuration says that no answer depends on."""


def is_saved_model(text: str) -> bool:
    """Whether a path is a folder with a model of transformers."""
    return (Path(text) / CONFIG).is_file()


def read_pretrained(folder: str | Path) -> nn.Module:
    """The model that ``save_pretrained`` wrote into a folder, in float32 on the CPU.

    Weights are read from safetensors alone, code that comes with a model is not run, and nothing is looked for
    elsewhere.

    Raises:
        BadInput: If there is no such folder, its weights are pickles or not all there, or it needs code of its own.
        CorruptFile: If a file cannot be read.
        MissingExtra: If transformers is not installed.
    """
    folder = Path(folder)
    config = _config_in(folder)
    _check_files(folder, config)
    try:
        import transformers
    except ImportError as error:
        raise missing_extra("transformers", "transformers", f"Reading {str(folder)!r}") from error
    names = config.get("architectures") or []
    kind = getattr(transformers, names[0], None) if names and isinstance(names[0], str) else None
    if not isinstance(kind, type) or not issubclass(kind, transformers.PreTrainedModel):
        raise BadInput(
            f"{str(folder)!r} is of the architecture {shown(names[0] if names else None)}, which transformers "
            f"{transformers.__version__} does not have; code that comes with a model is not run. Export it to ONNX, or "
            "return it from a function of yours with teacher.use."
        )
    with _quiet(transformers):
        try:
            model, found = kind.from_pretrained(  # type: ignore[attr-defined]
                folder,
                output_loading_info=True,
                use_safetensors=True,
                local_files_only=True,
                trust_remote_code=False,
                attn_implementation="eager",  # a file may name code of others here
                dtype=torch.float32,
            )
        except Exception as error:  # of many kinds, by which file is wrong
            lines = [line.strip() for line in str(error).splitlines() if line.strip()]
            why = f"{type(error).__name__}: {shown(lines[0].rstrip('.'), 160)}" if lines else type(error).__name__
            raise CorruptFile(
                f"{str(folder)!r} cannot be read as a {kind.__name__} ({why}). Save it again: "
                "model.save_pretrained(folder)."
            ) from error
    if lacking := sorted(found["missing_keys"]):
        more = ", ..." if len(lacking) > 3 else ""
        raise BadInput(
            f"{str(folder)!r} has no weights for {', '.join(lacking[:3])}{more} of {kind.__name__}, which would be "
            "drawn by chance. Train it for your classes first, and save it then."
        )
    assert isinstance(model, nn.Module)
    return model.eval()


def names_in(folder: str | Path) -> tuple[str, ...] | None:
    """What a saved model calls its classes, in order; None where it has no names for them.

    Raises:
        BadInput: If there is no model.
        CorruptFile: If its configuration cannot be read.
    """
    return _names(_config_in(Path(folder)).get("id2label"))


def parameters_in(folder: str | Path) -> int | None:
    """How many numbers the weights of a saved model are, by the headers of its files; None where these say nothing."""
    total = 0
    for path in Path(folder).glob("*.safetensors"):
        try:
            with safe_open(path, framework="numpy") as file:
                total += sum(math.prod(file.get_slice(name).get_shape()) for name in file.keys())
        except (SafetensorError, OSError):
            return None
    return total or None


def names_of(model: nn.Module) -> tuple[str, ...] | None:
    """What a model of transformers calls its classes, in order; None where it has no names, and for other models."""
    return _names(getattr(getattr(model, "config", None), "id2label", None)) if of_transformers(model) else None


def of_transformers(model: object) -> bool:
    """Whether it is a model of transformers, which is not imported for that."""
    package = sys.modules.get("transformers")
    return package is not None and isinstance(model, package.PreTrainedModel)


def config_key(network: nn.Module) -> list[str]:
    """What the answers of a model of transformers, or of one inside of a network, depend on beside its weights."""
    model = next((one for one in network.modules() if of_transformers(one)), None)
    if model is None:
        return []
    described = {name: value for name, value in model.config.to_dict().items() if name not in _OF_THE_FILE}  # type: ignore[union-attr,operator]
    return [json.dumps(described, sort_keys=True, default=str)]


class Reordered(nn.Module):
    """A network whose outputs are brought into the order of the data's classes.

    Attributes:
        network: The network.
    """

    def __init__(self, network: nn.Module, order: Sequence[int]) -> None:
        """Put an order behind a network.

        Args:
            network: Gives ``[batch, classes]``, alone or in what `output_of` knows.
            order: For each of the data's classes its place among the network's.
        """
        super().__init__()
        self.network = taking_one(network)
        self.order: Tensor
        self.register_buffer("order", torch.tensor(list(order)))

    def forward(self, inputs: Tensor) -> Tensor:
        """``[batch, classes]`` in the order of the data."""
        return output_of(self.network(inputs), type(self.network).__name__)[:, self.order]


def in_order(model: nn.Module, classes: Sequence[object]) -> nn.Module:
    """A model of transformers that gives its outputs in the order of the data's classes; others as they are.

    Args:
        model: The model, or one that takes named inputs as one; where it only numbers its classes, or the data do,
            their order is taken to be the same.
        classes: Names of the data's classes, in their order.

    Raises:
        BadInput: If both have names, and these are others.
    """
    inner = model.network if isinstance(model, Unpacked) else model
    own, wanted = names_of(inner), [str(one) for one in classes]
    if own is None or list(own) == wanted or only_numbers(wanted) or len(own) != len(wanted):
        return model
    spelt = [name.casefold() for name in own]
    if len(set(spelt)) == len(spelt) and set(spelt) == {name.casefold() for name in wanted}:
        order = [spelt.index(name.casefold()) for name in wanted]
        return model if order == sorted(order) else Reordered(model, order)
    raise BadInput(
        f"{type(inner).__name__} calls its classes {shown(list(own), 80)}, and the data theirs {shown(wanted, 80)}, so "
        "that nothing says which is which. Set id2label of its configuration to the data's names, in the order of its "
        "outputs; in a recipe teacher.classes."
    )


def only_numbers(names: Sequence[str]) -> bool:
    """Whether classes are called by their numbers, as where data have no names for them."""
    return list(names) == [str(place) for place in range(len(names))]


def _names(id2label: Any) -> tuple[str, ...] | None:
    if not isinstance(id2label, Mapping):
        return None
    by_number = {str(key): str(name) for key, name in id2label.items()}
    names = tuple(by_number.get(str(place), "") for place in range(len(by_number)))
    unnamed = tuple(f"LABEL_{place}" for place in range(len(by_number)))
    return None if names == unnamed or len(set(names)) < len(names) or "" in names else names


def _config_in(folder: Path) -> dict[str, Any]:
    """What the configuration in a folder says."""
    path = folder / CONFIG
    if not path.is_file():
        what = f"has no {CONFIG}" if folder.is_dir() else "is no folder"
        raise BadInput(
            f"{str(folder)!r} {what}, where a model of transformers is to be read. Name the folder that "
            "model.save_pretrained wrote."
        )
    try:
        if path.stat().st_size > _MOST_BYTES:
            raise ValueError(f"it has {path.stat().st_size} bytes")
        config = json.loads(path.read_text(encoding="utf-8"))
        if not isinstance(config, dict):
            raise ValueError("it is no object")
    except (ValueError, RecursionError) as error:
        raise CorruptFile(f"{str(path)!r} cannot be read: {shown(str(error), 80)}. Save the model again.") from error
    return config


def _check_files(folder: Path, config: Mapping[str, Any]) -> None:
    """Raise unless a folder holds weights that can be read as they are."""
    if "quantization_config" in config or (folder / "adapter_config.json").is_file():
        what = "an adapter" if "quantization_config" not in config else "a quantized model"
        raise BadInput(
            f"{str(folder)!r} holds {what}, of which the weights are not all there as numbers. Merge it and save the "
            "full model, or return it from a function of yours with teacher.use."
        )
    if (folder / WEIGHTS).is_file() or (folder / _SPLIT).is_file():
        return
    pickles = sorted(one.name for one in folder.iterdir() if one.suffix in (".bin", ".pt", ".pth", ".ckpt", ".h5"))
    if pickles:
        raise BadInput(
            f"{str(folder)!r} has its weights in {pickles[0]!r}, which can run code when it is read. Load the model "
            "where you trust it, and save it again: model.save_pretrained(folder)."
        )
    raise BadInput(f"{str(folder)!r} has no weights, {WEIGHTS}. Save the model again: model.save_pretrained(folder).")


@contextmanager
def _quiet(transformers: Any) -> Iterator[None]:
    """Within it, transformers shows no bars of its own."""
    shows = transformers.utils.logging.is_progress_bar_enabled()
    transformers.utils.logging.disable_progress_bar()
    try:
        yield
    finally:
        if shows:
            transformers.utils.logging.enable_progress_bar()
