"""The artifact: a folder with the files that a runtime executes and a manifest that says what they are.

`load` reads one that `attar.deployment.deploy` wrote. Nothing in it is ever unpickled, and every file is what its
SHA-256 says. Running it takes what its runtime takes: with ONNX Runtime that is NumPy, and neither torch nor anything
else.
"""

from __future__ import annotations

import math
import os
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from attar import notebook
from attar.deployment.backends.backend import Array, Inputs, Runner
from attar.deployment.candidate import Candidate
from attar.deployment.inputs import ArtifactInputs
from attar.deployment.manifest import MANIFEST, read_manifest, verify
from attar.deployment.torch_needed import need_torch
from attar.errors import CorruptFile, Words, must, shown
from attar.formatting import size
from attar.named_inputs import NamedInputs
from attar.renamed import Renamed
from attar.tables.columns import Columns
from attar.tables.tokens import Tokens
from attar.tasks.target import Target

if TYPE_CHECKING:
    from torch import nn

_ASKED_WHEN_OPENED = 2**22
"""Numbers of one input at most for which an artifact is asked once when it is opened, before its first call."""


_SHOWN = 10
"""Names of classes that a notebook shows at most."""


@dataclass(frozen=True)
class Artifact:
    """A deployed student: a folder, what its manifest says, and a function on arrays.

    Calling it gives the outputs of the network: logits, or the values of a regression. Its runtime is opened at the
    first call and kept.

    Attributes:
        folder: Where it lies.
        manifest: What ``manifest.json`` says, as plain data.
        threads: Threads that it runs with unless `open` is told otherwise.
    """

    folder: Path
    manifest: Mapping[str, Any]
    threads: int = 1
    _network: nn.Module | None = field(default=None, repr=False)
    _allow: tuple[str, ...] = field(default=("attar",), repr=False)
    _opened: list[Runner] = field(default_factory=list, repr=False, compare=False)

    predict_classes = Renamed("predict")

    @property
    def candidate(self) -> Candidate:
        """What it was deployed as."""
        named = self.manifest
        return Candidate(named["candidate"], named["runtime"], named["precision"], dict(named["settings"]))

    @property
    def classes(self) -> tuple[Any, ...]:
        """The classes, in the order of the logits, as the labels of the training had them; names of labels or values.

        Where the user named the classes, these names; else texts, whole numbers, bools or floats.
        """
        return tuple(self._labels.tolist())

    @cached_property
    def _labels(self) -> NDArray[Any]:
        """The classes as an array ``[classes]`` of the type that labels had."""
        output = self.manifest["output"]
        names, dtype = np.asarray(output["classes"], np.str_), output.get("label_dtype", "str")
        if output["kind"] != "logits" or len(output["shape"]) > 2 or dtype == "str":
            return names
        return np.isin(names, ("True", "1")) if dtype == "bool" else names.astype(dtype)

    @property
    def files(self) -> tuple[str, ...]:
        """Names, inside the folder, of what the runtime needs."""
        return tuple(file["name"] for file in self.manifest["files"] if file["needed"])

    @property
    def size_bytes(self) -> int:
        """Bytes on disk of `files`; the manifest and weights kept for rebuilding the network do not count."""
        return sum((self.folder / name).stat().st_size for name in self.files)

    def open(self, threads: int | None = None) -> Runner:
        """A fresh runner: outputs of float32 ``[batch, ...]`` arrays, with nothing checked.

        Args:
            threads: Threads inside one operation; by default those of the artifact.

        Raises:
            CorruptFile: If the runtime cannot read its file, or gives another number of outputs than there are names.
            MissingExtra: If the runtime is not installed.
        """
        run = self.runner(threads)
        shape = self.manifest["input"]["shape"][1:]
        if math.prod(shape) <= _ASKED_WHEN_OPENED:
            try:
                outputs = run(self.examples(1))
            except Exception as error:  # each runtime raises types of its own
                raise CorruptFile(
                    f"{self.folder} cannot run an input of shape {shape}, which its {MANIFEST} says it takes "
                    f"({shown(str(error).strip())}). Deploy again."
                ) from error
            self._check_outputs(outputs)
        if (origin := self.manifest["output"].get("origin")) is None:
            return run
        return lambda inputs: run(inputs) + np.asarray(origin, np.float64)

    def examples(self, count: int) -> Inputs:
        """Inputs that it can be run on, though they mean nothing, of the shape and the type that it takes."""
        return self._inputs.examples(count)

    def _check_outputs(self, outputs: NDArray[Any]) -> None:
        if list(outputs.shape[1:]) != self.manifest["output"]["shape"][1:]:
            raise CorruptFile(
                f"{self.folder} gives outputs of shape {list(outputs.shape)}, and its {MANIFEST} has "
                f"{len(self.classes)} names for outputs of shape {self.manifest['output']['shape']}. Deploy again."
            )

    def runner(self, threads: int | None = None) -> Runner:
        """The runtime itself: it is not asked about one input first, and values are counted from their origin."""
        candidate = self.candidate
        count = self.threads if threads is None else threads
        return candidate.backend.open(self.folder, candidate, count, self.network)

    def network(self) -> nn.Module:
        """The student as a torch module again, built from its spec and filled with the saved weights.

        Raises:
            BadInput: If the artifact carries no spec and no network was given to `load`, if the spec names a function
                outside of the packages that `load` was allowed, or if the weights are another network's.
            CorruptFile: If the saved weights were removed or are damaged.
            MissingExtra: If torch is not installed.
        """
        need_torch("The network of an artifact")
        from attar.deployment.rebuilt import network_of

        return network_of(self.folder, self.manifest["network"], self._network, self._allow)

    @cached_property
    def _inputs(self) -> ArtifactInputs:
        return ArtifactInputs(self.folder.name, self.manifest["input"])

    @property
    def columns(self) -> Columns | None:
        """The columns of the table whose rows it takes; None for anything but tables."""
        return self._inputs.columns

    @property
    def tokens(self) -> Tokens | None:
        """What the sequences of tokens hold that it takes; None for anything else."""
        return self._inputs.tokens

    @property
    def named(self) -> NamedInputs | None:
        """What its inputs are where it takes several; None for one."""
        return self._inputs.named

    def encode(self, table: Any) -> Array:
        """Rows of a table as the runtime takes them: float32 ``[rows, columns]``, names as codes, NaN where missing.

        Args:
            table: Rows with the columns of the manifest: a pandas DataFrame, a pyarrow Table, an array of objects, a
                dict of values (one row) or of lists, a list of dicts, or a Series of pandas (one row). Numbers may be
                written as texts, as they were in training. How many values are missing in columns that had all of
                theirs in training is logged; they count as the column's middle.

        Raises:
            BadInput: If the artifact does not take rows of a table, or the columns differ.
        """
        return self._inputs.encoded(table)

    def __call__(self, inputs: Any = None, **named: Any) -> NDArray[Any]:
        """Logits of inputs ``[batch, ...]`` as the student was trained on them.

        Args:
            inputs: Floating numbers, array or tensor; anything but float32 is converted to it. Where the manifest has a
                ``scale``, as for images, also uint8 numbers, which are divided by it. Where the artifact takes rows of
                a table also what `encode` takes; in an array of numbers, names are codes. Where it takes sequences of
                tokens, a dict of ``ids`` and ``mask``, whole numbers ``[batch, up to length]`` (without a mask all
                tokens count), or both of them stacked; ``input_ids`` and ``attention_mask``, as tokenizers give them,
                are the same.
            named: ``ids`` and ``mask``, or other inputs by their names, in place of ``inputs``, which may be a dict of
                them.

        Returns:
            Logits, or the values of a regression, float32 ``[batch, classes]`` (float64 where the manifest has an
            ``origin``, as float32 does not tell the values apart); of maps ``[batch, classes, height,
            width]``.

        Raises:
            BadInput: If the shape or the type is not that of the manifest.
        """
        return self._run(self._inputs.array(inputs, named))

    def _run(self, rows: Inputs) -> NDArray[Any]:
        if not self._opened:
            self._opened.append(self.open())
        outputs = self._opened[0](rows)
        self._check_outputs(outputs)
        return outputs

    def predict(self, inputs: Any = None, **named: Any) -> NDArray[Any]:
        """What it takes inputs for, in the words of the labels that it was trained on.

        Args:
            inputs: As for a call of the artifact.
            named: As for a call.

        Returns:
            The most probable of `classes`, ``[batch]``, in the type of the labels: texts, whole numbers, bools. Of
            several labels ``[batch, labels]``, 1 where one is probable; of maps the number of the class of each
            position, int64 ``[batch, height, width]``; of a regression its values as a call gives them, ``[batch]``,
            or ``[batch, values]`` where there are several.

        Raises:
            BadInput: If the shape or the type of the inputs is not that of the manifest, or the artifact's maps have no
                classes.
        """
        outputs, about = self(inputs, **named), self.manifest["output"]
        if about["kind"] == "values":
            return outputs[:, 0] if outputs.shape[1:] == (1,) else outputs
        if about["kind"] == "log_odds":
            return (outputs > 0).astype(about.get("label_dtype", "int64"))
        if outputs.shape[1] == 1:
            remedy = "Call logits(inputs): it gives the map"
            raise must("the artifact", "predict", "one that tells classes apart", Words("maps of one number"), remedy)
        chosen: NDArray[Any] = outputs.argmax(axis=1)
        return chosen if outputs.ndim > 2 else self._labels[chosen]

    def logits(self, inputs: Any = None, **named: Any) -> Array:
        """Logits, float32 ``[batch, classes]``, of maps ``[batch, classes, height, width]``; log-odds of labels.

        Raises:
            BadInput: If the artifact is a regression's.
        """
        self._check_probable("logits")
        return self(inputs, **named)

    def predict_proba(self, inputs: Any = None, **named: Any) -> Array:
        """Probabilities, float32 ``[batch, classes]``: the softmax of the logits, of maps at each position.

        Where any of the labels may hold it is the sigmoid of each.

        Raises:
            BadInput: If the artifact is a regression's.
        """
        self._check_probable("predict_proba")
        logits, kind = self(inputs, **named), self.manifest["output"]["kind"]
        with np.errstate(under="ignore"):  # whatever the caller has set: what is no more than 0 is 0
            if kind == "log_odds":
                sigmoids: Array = (0.5 + 0.5 * np.tanh(0.5 * logits)).astype(np.float32)
                return sigmoids
            raised = np.exp(logits - logits.max(axis=1, keepdims=True))
            probabilities: Array = raised / raised.sum(axis=1, keepdims=True)
            return probabilities

    def _check_probable(self, method: str) -> None:
        if self.manifest["output"]["kind"] == "values":
            remedy = "Call predict(inputs): it gives the values"
            raise must("the artifact", method, "a classifier", Words("a regression"), remedy)

    @property
    def _gives(self) -> str:
        target: Target = self.manifest["output"]["kind"]
        one, many = {"logits": ("class", "classes"), "log_odds": ("label", "labels"), "values": ("value", "values")}[
            target
        ]
        return f"{len(self.classes)} {one if len(self.classes) == 1 else many}"

    def __repr__(self) -> str:
        name = self.manifest["candidate"]
        return f"Artifact({name}: {size(self.size_bytes)}, {self._inputs} -> {self._gives}, {str(self.folder)!r})"

    def _repr_html_(self) -> str:
        """What it is, for notebooks."""
        names = ", ".join(map(str, self.classes[:_SHOWN])) + (", ..." if len(self.classes) > _SHOWN else "")
        rows = [
            ["takes", str(self._inputs)],
            ["gives", f"{self._gives}: {names}"],
            ["size", f"{size(self.size_bytes)} in {', '.join(self.files)}"],
            ["folder", str(self.folder)],
        ]
        return notebook.table(f"Artifact of {self.manifest['candidate']}", rows)

    def __str__(self) -> str:
        aside = self.candidate.kind.aside
        return (
            f"{self.manifest['candidate']}: {self.size_bytes:,} bytes in {', '.join(self.files)}"
            f"{f' ({aside})' if aside else ''}; {self._inputs} -> {self._gives}; {self.folder}"
        )


def load(
    path: Path | str,
    threads: int = 1,
    network: nn.Module | None = None,
    allow: Collection[str] = ("attar",),
) -> Artifact:
    """Read an artifact, after checking that every byte is what was written.

    Nothing is unpickled. A torch artifact names the function that builds its network; one outside of ``allow`` is
    neither imported nor called.

    Args:
        path: The folder, or its ``manifest.json``.
        threads: Threads that it runs with.
        network: For a torch artifact: the network to fill with the saved weights (a copy is filled), in place of
            building it from the spec.
        allow: Top-level packages whose functions may build the network.

    Raises:
        BadInput: If there is no artifact, or it names a function or a file that it must not name.
        CorruptFile: If a file is missing, truncated or altered.
        MissingExtra: If torch runs it and is not installed.
    """
    _check_path(path)
    folder = Path(path).parent if Path(path).name == MANIFEST else Path(path)
    manifest = read_manifest(folder)
    for file in manifest["files"]:
        verify(folder, file)
    artifact = Artifact(folder, manifest, threads, network, tuple(allow))
    candidate = artifact.candidate
    if candidate.backend.rebuilds(candidate) and network is None and "reference" in manifest["network"]:
        need_torch(f"Running {candidate.name!r}")
        from attar.models.rebuild import spec_from_json

        spec_from_json(manifest["network"], allow)  # refuse now what `open` would refuse later
    return artifact


def _check_path(path: object) -> None:
    if not isinstance(path, str | os.PathLike):
        raise must("path", "load", "the path of a folder", type(path).__name__, "Pass the folder that `deploy` wrote")
