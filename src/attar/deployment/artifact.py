"""The artifact: a folder with the files that a runtime executes and a manifest that says what they are.

`deploy` writes one and `load` reads it. Nothing in it is ever unpickled, every file is named with its SHA-256, and the
folder appears whole or not at all.
"""

from __future__ import annotations

import logging
import math
import os
import shutil
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from importlib.metadata import version
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.parameter import is_lazy

from attar.deployment.checked import TOLERANCE, answers, checked, tolerance_of
from attar.deployment.export import INPUT, OUTPUT, to_openvino
from attar.deployment.int8 import GRID, quantize_onnxruntime, quantize_openvino
from attar.deployment.manifest import (
    BITS,
    FORMAT,
    MANIFEST,
    MODEL,
    PACKED,
    RUNTIMES,
    WEIGHTS,
    described,
    model_of,
    read_manifest,
    rebuilt_from_packed,
    verify,
)
from attar.deployment.packed.container import CODERS, FLOATS, read_packed, write_packed
from attar.deployment.packed.graph import missing_weights, with_weights
from attar.deployment.packed.low_bits import ACCURACY_LEVELS, to_low_bits, width
from attar.deployment.prepared import Form, Prepared, QuantizedForm, prepared
from attar.deployment.refused import DeploymentError, telling
from attar.deployment.runtimes import Array, Runner, open_onnxruntime, open_openvino, open_torch
from attar.errors import BadInput, CorruptFile, Words, must, near, shown
from attar.models.rebuild import edits_from_json, spec_from_json
from attar.network.copying import copied
from attar.network.fitting import build_to_fit
from attar.network.float32 import number_types
from attar.network.spec import Spec
from attar.network.weights import digest, fill, read_tensors, save_weights
from attar.quantization.attach import input_formats, is_quantized
from attar.quantization.edit import Quantize
from attar.records import to_text
from attar.tables.columns import Columns
from attar.workspace import new_folder, write_file

log = logging.getLogger(__name__)

_OTHER_FLOATS = {torch.float16, torch.bfloat16, torch.float64}

_CHECKED_ROWS = 256
"""How many calibration rows a deployment is run on before it counts as written."""


_ASKED_WHEN_OPENED = 2**22
"""Numbers of one input at most for which an artifact is asked once when it is opened, before its first call."""

_VALUES: Mapping[str, Sequence[Any]] = {"coder": CODERS, "floats": FLOATS, "accuracy_level": ACCURACY_LEVELS}
"""What settings of packed files and of low-bit execution can be."""


@dataclass(frozen=True)
class Candidate:
    """One way to deploy a student.

    Attributes:
        name: What reports call it, unique among `candidates`.
        runtime: ``torch``, ``onnxruntime`` or ``openvino``.
        precision: ``fp32`` or ``int8``; for students that `quantize` made also ``packed``, where the file has
            low-bit codes that are expanded to float32 when it is opened, and ``w2``, ``w4`` and ``w8``, in which ONNX
            Runtime executes linear layers. ``fp32`` and ``int8`` deploy the weights of such a student and leave the
            formats of its activations out.
        settings: What else distinguishes it: the settings of its quantizer; ``coder`` and ``floats`` of a packed file,
            see `write_packed`; ``accuracy_level`` of low-bit execution, see `to_low_bits`.
    """

    name: str
    runtime: str
    precision: str = "fp32"
    settings: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Refuse what no runtime can do.

        Raises:
            BadInput: If the runtime, the precision or a setting is unknown.
        """
        if self.runtime not in RUNTIMES:
            raise must("runtime", "Candidate", "a known runtime", self.runtime, near(self.runtime, RUNTIMES))
        precisions = ["fp32", *(["int8"] if self.runtime in GRID else []), "packed"]
        precisions += BITS if self.runtime == "onnxruntime" else []
        if self.precision not in precisions:
            rule = f"what {self.runtime} can do"
            raise must("precision", "Candidate", rule, self.precision, near(self.precision, precisions))
        grid = GRID[self.runtime].values() if self.precision == "int8" else ()
        known = {key for settings in grid for key in settings}
        known |= {"coder", "floats"} if self.precision == "packed" else set()
        known |= {"accuracy_level"} if self.precision in BITS else set()
        for key in self.settings:
            if key not in known:
                rule = f"settings of {self.runtime} {self.precision}"
                raise must("settings", "Candidate", rule, key, near(key, known or ("(none)",)))
        for key, valid in _VALUES.items():
            if (value := self.settings.get(key, valid[0])) not in valid:
                choices = ", ".join(map(str, valid))
                raise must(
                    key, f"settings of {self.name!r}", f"one of {choices}", value, near(str(value), map(str, valid))
                )

    def __str__(self) -> str:
        return self.name


def candidates(
    runtimes: Sequence[str] = RUNTIMES, int8: bool = True, student: nn.Module | None = None
) -> list[Candidate]:
    """Every way to deploy that is worth measuring on the machine at hand.

    Args:
        runtimes: Which runtimes to consider.
        int8: Whether to add the int8 settings of those runtimes that have them.
        student: What is to be deployed. If `quantize` made it, its packed files are added, and low-bit execution where
            ONNX Runtime has it for all quantized weights.

    Raises:
        BadInput: If a runtime is unknown, or none is given.

    Example:
        >>> [candidate.name for candidate in candidates(["torch", "onnxruntime"], int8=False)]
        ['torch fp32', 'onnxruntime fp32']
    """
    if not runtimes:
        raise must("runtimes", "candidates", "at least one runtime", list(runtimes), near("", RUNTIMES))
    found = []
    for runtime in dict.fromkeys(runtimes):
        found.append(Candidate(f"{runtime} fp32", runtime))
        if int8:
            settings = GRID.get(runtime, {})
            found += [Candidate(f"{runtime} {name}", runtime, "int8", chosen) for name, chosen in settings.items()]
        if student is not None and is_quantized(student):
            found.append(Candidate(f"{runtime} packed", runtime, "packed"))
            bits = width(student) if runtime == "onnxruntime" else None
            found += [Candidate(f"{runtime} w{bits}", runtime, f"w{bits}")] if bits else []
    return found


@dataclass(frozen=True)
class Artifact:
    """A deployed student: a folder, what its manifest says, and a function on arrays.

    Calling it gives logits. Its runtime is opened at the first call and kept.

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

    @property
    def candidate(self) -> Candidate:
        """What it was deployed as."""
        named = self.manifest
        return Candidate(named["candidate"], named["runtime"], named["precision"], dict(named["settings"]))

    @property
    def classes(self) -> tuple[str, ...]:
        """Names of the classes, in the order of the logits."""
        return tuple(self.manifest["output"]["classes"])

    @property
    def files(self) -> tuple[str, ...]:
        """Names, inside the folder, of what the runtime needs."""
        return tuple(file["name"] for file in self.manifest["files"] if file["needed"])

    @property
    def size_bytes(self) -> int:
        """Bytes on disk of `files`; the manifest and weights kept for rebuilding the network do not count."""
        return sum((self.folder / name).stat().st_size for name in self.files)

    def open(self, threads: int | None = None) -> Runner:
        """A fresh runner: logits of float32 ``[batch, ...]`` arrays, with nothing checked.

        Args:
            threads: Threads inside one operation; by default those of the artifact.

        Raises:
            CorruptFile: If the runtime cannot read its file, or gives another number of outputs than there are names.
            MissingExtra: If the runtime is not installed.
        """
        run = self._runner(threads)
        shape = self.manifest["input"]["shape"][1:]
        if math.prod(shape) <= _ASKED_WHEN_OPENED:
            try:
                outputs = run(np.zeros((1, *shape), np.float32))
            except Exception as error:  # each runtime raises types of its own
                raise CorruptFile(
                    f"{self.folder} cannot run an input of shape {shape}, which its {MANIFEST} says it takes "
                    f"({shown(str(error).strip())}). Deploy again."
                ) from error
            self._check_outputs(outputs)
        return run

    def _check_outputs(self, outputs: Array) -> None:
        if outputs.ndim != 2 or outputs.shape[1] != len(self.classes):
            raise CorruptFile(
                f"{self.folder} gives outputs of shape {list(outputs.shape)}, and its {MANIFEST} names "
                f"{len(self.classes)} classes. Deploy again."
            )

    def _runner(self, threads: int | None) -> Runner:
        count = self.threads if threads is None else threads
        runtime = self.manifest["runtime"]
        if runtime == "torch":
            return open_torch(self.network(), count, own=True)
        if self.manifest["precision"] == "packed":
            return self._expanded(runtime, count)
        opener = {"onnxruntime": open_onnxruntime, "openvino": open_openvino}[runtime]
        return opener(self.folder / model_of(runtime, self.manifest["precision"]), count)

    def network(self) -> nn.Module:
        """The student as a torch module again, built from its spec and filled with the saved weights.

        Raises:
            BadInput: If the artifact carries no spec and no network was given to `load`, if the spec names a function
                outside of the packages that `load` was allowed, or if the weights are another network's.
            CorruptFile: If the saved weights were removed or are damaged.
        """
        document = self.manifest["network"]
        if self._network is None and "reference" not in document:
            raise must(
                "network",
                str(self.folder),
                "given, because the student was deployed without a spec",
                None,
                "Pass network=, built by the code that built the student, to load",
            )
        few = rebuilt_from_packed(self.manifest["precision"])
        path = self.folder / (PACKED if few else WEIGHTS)
        if not path.is_file():
            raise CorruptFile(f"{path} is missing, and the network cannot be rebuilt without it. Deploy again.")
        packed = read_packed(path) if few else None
        weights = read_tensors(path)[0] if packed is None else packed.shaped()
        if self._network is None:
            network = build_to_fit(spec_from_json(document, self._allow), weights, path)
        else:
            network = copied(self._network)
            for edit in edits_from_json(document.get("edits")):
                network = edit.apply(network)
        if number_types(network) and not {tensor.dtype for tensor in weights.values()} & _OTHER_FLOATS:
            network = network.float()  # as it was deployed
        return fill(network, weights if packed is None else packed.state(), path).eval()

    def _expanded(self, runtime: str, threads: int) -> Runner:
        """The graph of a packed file, with the weights that its codes stand for."""
        path = self.folder / PACKED
        packed = read_packed(path)
        if packed.graph is None:
            raise CorruptFile(f"{path} has no graph for {runtime}. Restore it, or deploy again.")
        state = packed.state()
        if runtime == "onnxruntime":
            weights = missing_weights(packed.graph, state, path)
            return open_onnxruntime(path, threads, graph=packed.graph, weights=weights)
        return open_openvino(path, threads, graph=with_weights(packed.graph, state, path).SerializeToString())

    @cached_property
    def columns(self) -> Columns | None:
        """The columns of the table whose rows it takes; None for anything but tables."""
        described = self.manifest["input"].get("columns")
        return None if described is None else Columns.from_json(described)

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
        if self.columns is None:
            remedy = "Give an array of numbers"
            raise must("inputs", self.folder.name, "an array or a tensor", type(table).__name__, remedy)
        return self.columns.encode(table, unseen=self.manifest["input"]["unseen"]).astype(np.float32)

    def __call__(self, inputs: Any) -> Array:
        """Logits, float32 ``[batch, classes]``, of inputs ``[batch, ...]`` as the student was trained on them.

        Args:
            inputs: Floating numbers, array or tensor; anything but float32 is converted to it. Where the artifact takes
                rows of a table also what `encode` takes.

        Returns:
            Logits, or the values of a regression.

        Raises:
            BadInput: If the shape or the type is not that of the manifest.
        """
        if isinstance(inputs, Tensor):
            rows = inputs.detach().cpu().numpy()
        elif isinstance(inputs, np.ndarray | list | tuple) and np.asarray(inputs).dtype.kind in "biuf":
            rows = np.asarray(inputs)
        else:
            rows = self.encode(inputs)
        if rows.dtype.kind in "iu" and self.columns is not None:
            rows = rows.astype(np.float32)
        shape = tuple(self.manifest["input"]["shape"][1:])
        if rows.shape[1:] != shape or rows.ndim != len(shape) + 1:
            hint = "Add the batch dimension: inputs[None]" if rows.shape == shape else "Give inputs as in training"
            rule = f"of shape (batch, {', '.join(map(str, shape))})"
            raise must("inputs", self.folder.name, rule, rows.shape, hint)
        if not np.issubdtype(rows.dtype, np.floating):
            hint = "Scale as in training first: pixels are divided by 255"
            raise must("inputs", self.folder.name, "floating numbers", str(rows.dtype), hint)
        if not self._opened:
            self._opened.append(self.open())
        outputs = self._opened[0](np.ascontiguousarray(rows, dtype=np.float32))
        self._check_outputs(outputs)
        return outputs

    def predict(self, inputs: Any) -> Array:
        """Logits (or values); another name for calling the artifact."""
        return self(inputs)

    def predict_proba(self, inputs: Any) -> Array:
        """Probabilities, float32 ``[batch, classes]``: the softmax of the logits.

        Raises:
            BadInput: If the artifact is a regression's.
        """
        self._must_classify("predict_proba")
        logits = self(inputs)
        raised = np.exp(logits - logits.max(axis=1, keepdims=True))
        probabilities: Array = raised / raised.sum(axis=1, keepdims=True)
        return probabilities

    def predict_classes(self, inputs: Any) -> list[str]:
        """The name of the most probable class of each input.

        Raises:
            BadInput: If the artifact is a regression's.
        """
        self._must_classify("predict_classes")
        names = self.classes
        return [names[index] for index in self(inputs).argmax(axis=1).tolist()]

    def _must_classify(self, verb: str) -> None:
        if self.manifest["output"].get("kind", "logits") != "logits":
            remedy = "Call the artifact itself: it gives the values"
            raise must("the artifact", verb, "a classifier", Words("a regression"), remedy)

    def __str__(self) -> str:
        shape = ", ".join(map(str, self.manifest["input"]["shape"][1:]))
        return (
            f"{self.manifest['candidate']}: {self.size_bytes:,} bytes in {', '.join(self.files)}"
            f"{' (packed; float32 when opened)' if self.manifest['precision'] == 'packed' else ''}; "
            f"float32 [batch, {shape}] -> {len(self.classes)} classes; {self.folder}"
        )


def deploy(
    student: nn.Module,
    candidate: Candidate | str,
    folder: Path | str,
    *,
    example: Tensor,
    classes: Sequence[str],
    calibration: Tensor | None = None,
    spec: Spec | None = None,
    columns: Columns | None = None,
    unseen: Literal["error", "missing"] = "error",
    output: Literal["logits", "values"] = "logits",
) -> Artifact:
    """Write a student as files that one runtime executes, and make sure that it does.

    Before this returns, the runtime has opened the files and run the example and up to 256 calibration rows, together,
    in parts, in another order and alone. A row must be answered the same each time, by torch and by the runtime. Logits
    must be finite, and in float32 equal those of torch within 0.001 of the largest. The same
    holds for packed files (on nine rows of ten where activations are rounded); those with floats of 16 bits, and
    layers executed with low-bit weights, must be within 0.05 of the largest.

    Args:
        student: Any module from ``[batch, ...]`` to logits ``[batch, classes]``, alone or among other outputs. It is
            not changed. Numbers of another type than float32 are deployed in float32, if the network runs in it.
        candidate: One of `candidates`, its name, or a runtime's name (which means float32).
        folder: Where to write; made if need be. An artifact that is there is replaced.
        example: One input, ``[1, ...]`` float32, of the shape that the student takes.
        classes: Names of the classes, in the order of the logits; of the outputs in a regression.
        calibration: Training inputs, ``[rows, ...]`` float32, from which int8 ranges are taken; needed for int8.
        spec: How to build the student's network again; needed for ``torch``. The formats that are attached to the
            student need not be among its edits.
        columns: Of the table whose rows the student takes as ``[rows, columns]``; NaN then means missing. With them the
            artifact takes tables, too.
        unseen: What the artifact does with a name that ``columns`` do not have: an error, or as if it were missing.
        output: Whether the student gives logits of classes, or the values of a regression.

    Raises:
        BadInput: If an argument breaks its rule.
        MissingExtra: If the runtime or its quantizer is not installed.
        DeploymentError: If this student cannot be deployed this way, or not at all, since it answers at random or by
            the rest of the batch; the message has the size of the difference.
    """
    _check_student(student)
    _check_named(candidate, classes)
    with prepared(student, example) as ready:
        return deploy_prepared(
            ready,
            candidate,
            folder,
            classes=classes,
            calibration=calibration,
            spec=spec,
            columns=columns,
            unseen=unseen,
            output=output,
        )


def deploy_prepared(
    student: Prepared,
    candidate: Candidate | str,
    folder: Path | str,
    *,
    classes: Sequence[str],
    calibration: Tensor | None = None,
    spec: Spec | None = None,
    columns: Columns | None = None,
    unseen: Literal["error", "missing"] = "error",
    output: Literal["logits", "values"] = "logits",
) -> Artifact:
    """Do what `deploy` does for one of several candidates of a student, which share its graph and its codes.

    The arguments are those of `deploy`.

    Raises:
        AttarError: As `deploy`.
    """
    example = student.example
    calibration = None if calibration is None else torch.as_tensor(calibration)
    chosen = _find(candidate) if isinstance(candidate, str) else candidate
    if chosen.precision == "int8" and calibration is None:
        raise must("calibration", "deploy", f"given for {chosen.name!r}", None, "Pass some hundred training inputs")
    _check_rows("example", example, None, missing=columns is not None)
    if calibration is not None:
        _check_rows("calibration", calibration, example, missing=columns is not None)
    if columns is not None and tuple(example.shape[1:]) != (len(columns),):
        rule = f"of the example's {list(example.shape[1:])} values"
        raise must("columns", "deploy", rule, f"{len(columns)} columns", "Pass the columns of the training table")
    if chosen.runtime == "torch" and spec is None:
        raise DeploymentError(
            f"{type(student.student).__name__} cannot be deployed to torch without a spec, because nothing is ever "
            "unpickled. Pass spec=Spec('package.module:function', {...}), or choose another runtime."
        )
    on_cpu = student.on_cpu
    if rebuilt_from_packed(chosen.precision) and not is_quantized(on_cpu):
        rule = f"quantized for {chosen.name!r}"
        kind = type(student.student).__name__
        raise must("student", "deploy", rule, kind, "Pass what quantize() gave, or choose fp32")
    # What packed files and low-bit execution are held against is the student itself, with its formats.
    form = student.form(chosen.precision)
    network = form.network
    rows = torch.cat([example] if calibration is None else [example, calibration[:_CHECKED_ROWS]]).detach().cpu()
    expected = answers(network, rows, len(classes))

    target = Path(folder)
    _refuse_foreign(target)
    with new_folder(target) as unfinished:
        needed = _write(form, chosen, unfinished, calibration)
        rebuilding = WEIGHTS
        if isinstance(form, QuantizedForm):
            rebuilding = PACKED
            if PACKED not in needed:
                write_packed(form.content, unfinished / PACKED)
            network = form.rebuilt(chosen.settings.get("floats", FLOATS[0]))
        elif WEIGHTS not in needed:
            save_weights(network, unfinished / WEIGHTS)
        manifest: dict[str, Any] = {
            "format": FORMAT,
            "attar": version("attar"),
            "candidate": chosen.name,
            "runtime": chosen.runtime,
            "precision": chosen.precision,
            "settings": dict(chosen.settings),
            "input": {
                "name": INPUT,
                "shape": ["batch", *example.shape[1:]],
                "dtype": "float32",
                "seen": _range(rows),
                "note": "as the student was trained on them; 'seen' is the range of the rows used here",
            },
            "output": {
                "name": OUTPUT,
                "shape": ["batch", len(classes)],
                "dtype": "float32",
                "classes": list(classes),
                "kind": output,
            },
            "files": [described(unfinished / name, name in needed) for name in dict.fromkeys((*needed, rebuilding))],
            "network": {**_rebuilt_by(spec, network), "weights": rebuilding, "digest": digest(network)},
        }
        if columns is not None:
            manifest["input"] |= {"columns": columns.to_json(), "unseen": unseen}
        notes = [_NOTES[chosen.precision]] if chosen.precision in _NOTES else []
        if form.converted:
            notes.append(f"The student has numbers of {' and '.join(form.converted)}; it is deployed in float32.")
        if is_quantized(on_cpu) and not rebuilt_from_packed(chosen.precision):
            notes.append("The student was quantized: these are its quantized weights, without formats of activations.")
        recurrent = [name for name, layer in network.named_modules() if isinstance(layer, nn.RNNBase)]
        if recurrent and chosen.precision == "int8" and chosen.runtime == "onnxruntime":
            notes.append(
                f"Recurrent layers ({', '.join(recurrent)}) stay in float32: its quantizer has no form for them."
            )
        if spec is None:
            notes.append("Deployed without a spec: the network cannot be rebuilt in torch from this folder alone.")
        if notes:
            manifest["note"] = " ".join(notes)
        allow = ("attar",) if spec is None else ("attar", spec.reference.partition(":")[0].partition(".")[0])
        rounds = rebuilt_from_packed(chosen.precision) and bool(input_formats(on_cpu))
        artifact = Artifact(unfinished, manifest, _allow=allow)
        manifest["checked"] = checked(
            chosen.name,
            _opened(artifact),
            rows.numpy(),
            expected.numpy(),
            precision=chosen.precision,
            rounds=rounds,
            coarse=chosen.settings.get("floats") == "float16" or tolerance_of(network) > TOLERANCE,
        )
        write_file(unfinished / MANIFEST, to_text(manifest, indent=2))
    return Artifact(target, manifest, _allow=allow)


def _rebuilt_by(spec: Spec | None, network: nn.Module) -> dict[str, Any]:
    """How the deployed network is built again: its weights are decoded, and only formats of inputs are attached."""
    edits = () if spec is None else spec.without_edits(Quantize).edits
    inputs = input_formats(network)
    edits += (Quantize(inputs=inputs),) if inputs else ()
    if spec is None:
        return {"edits": [edit.to_json() for edit in edits]}
    return replace(spec, edits=edits).to_json()


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
    """
    _check_path(path)
    folder = Path(path).parent if Path(path).name == MANIFEST else Path(path)
    manifest = read_manifest(folder)
    for file in manifest["files"]:
        verify(folder, file)
    artifact = Artifact(folder, manifest, threads, network, tuple(allow))
    if manifest["runtime"] == "torch" and network is None and "reference" in manifest["network"]:
        spec_from_json(manifest["network"], allow)  # refuse now what `open` would refuse later
    return artifact


def _check_path(path: object) -> None:
    if not isinstance(path, str | os.PathLike):
        raise must("path", "load", "the path of a folder", type(path).__name__, "Pass the folder that `deploy` wrote")


def _check_named(candidate: object, classes: object) -> None:
    if not isinstance(candidate, str | Candidate):
        remedy = "Pass one of attar.candidates(), or a runtime's name such as 'onnxruntime'"
        raise must("candidate", "deploy", "a Candidate or a name", candidate, remedy)
    if isinstance(classes, str) or not isinstance(classes, Sequence) or not all(isinstance(c, str) for c in classes):
        remedy = "Pass dataset.classes, or ['a', 'b']"
        raise must("classes", "deploy", "the names of the classes, a list of texts", classes, remedy)


def _find(name: str) -> Candidate:
    known = {candidate.name: candidate for candidate in candidates()}
    packed = [Candidate(f"{runtime} packed", runtime, "packed") for runtime in RUNTIMES]
    few = [Candidate(f"onnxruntime {precision}", "onnxruntime", precision) for precision in BITS]
    known |= {one.name: one for one in (*packed, *few)}
    known |= {runtime: known[f"{runtime} fp32"] for runtime in RUNTIMES}
    if name not in known:
        raise must("candidate", "deploy", "a known name", name, near(name, known))
    return known[name]


def _range(rows: Tensor) -> list[float] | None:
    """Smallest and largest number; None where all are missing."""
    known = rows[~rows.isnan()]
    return [float(known.min()), float(known.max())] if len(known) else None


def _check_rows(name: str, rows: Tensor, like: Tensor | None, *, missing: bool) -> None:
    """Rows are float32, finite (or NaN where values may be missing), shaped like the example, which is a single one."""
    got = f"{rows.dtype} {list(rows.shape)}"
    if rows.dtype != torch.float32 or rows.dim() < 2 or len(rows) == 0:
        raise must(name, "deploy", "float32 [rows, ...]", got, "Pass inputs as the student was trained on them")
    if like is None and len(rows) != 1:
        raise must(name, "deploy", "a single input, [1, ...]", got, "Pass inputs[:1]")
    if like is not None and rows.shape[1:] != like.shape[1:]:
        raise must(name, "deploy", f"[rows, ...] like the example {list(like.shape)}", got, "Pass training inputs")
    if not bool((rows.isfinite() | (rows.isnan() & missing)).all()):
        raise must(name, "deploy", "finite", Words("NaN or infinity"), "Clean the inputs")


def _check_student(student: object) -> None:
    """It is a network whose weights are all there."""
    if not isinstance(student, nn.Module):
        hint = "Pass the network itself, such as fit(...).model"
        raise must("student", "deploy", "a torch.nn.Module", type(student).__name__, hint)
    for name, weight in student.named_parameters():
        if is_lazy(weight):
            raise BadInput(
                f"{type(student).__name__} has no weights yet in {name!r}, as its lazy layers have seen no input. "
                "Train it, or run it once, before it is deployed."
            )


def _opened(artifact: Artifact) -> Runner:
    """What runs the files that were just written.

    Raises:
        DeploymentError: If the runtime cannot open them; they are not damaged.
    """
    try:
        return artifact._runner(None)
    except CorruptFile as error:
        reason = telling(error.__cause__ or error)
        raise DeploymentError(
            f"{artifact.candidate} cannot run the student's graph: {reason}. Choose another runtime, or change the "
            "part of the network that this is about."
        ) from error


def _write(form: Form, candidate: Candidate, folder: Path, calibration: Tensor | None) -> tuple[str, ...]:
    """Write what the runtime needs into ``folder``, and give the names of those files."""
    if isinstance(form, QuantizedForm):
        if candidate.precision in BITS:
            path = folder / MODEL[candidate.runtime]
            bits = BITS[candidate.precision]
            to_low_bits(form.network, form.content, bits, lambda: form.graph, path, **candidate.settings)
            return (path.name,)
        packed = form.content if candidate.runtime == "torch" else form.content_with_graph
        write_packed(packed, folder / PACKED, **candidate.settings)
        return (PACKED,)
    if candidate.runtime == "torch":
        save_weights(form.network, folder / WEIGHTS)
        return (WEIGHTS,)
    if candidate.precision == "int8":
        assert calibration is not None  # deploy has refused that
        quantize = quantize_onnxruntime if candidate.runtime == "onnxruntime" else quantize_openvino
        quantize(form.graph, folder / MODEL[candidate.runtime], calibration, **candidate.settings)
    elif candidate.runtime == "onnxruntime":
        for file in sorted(form.graph.parent.glob("model.onnx*")):
            shutil.copyfile(file, folder / file.name)
    else:
        to_openvino(form.graph, folder / MODEL["openvino"])
    return tuple(sorted(file.name for file in folder.iterdir() if file.name.startswith("model.")))


_NOTES = {
    "packed": "The weights are packed on disk and expanded to float32 when the file is opened: this saves bytes of the "
    "file, and neither memory nor time.",
    **dict.fromkeys(BITS, "Linear layers are executed with low-bit weights by ONNX Runtime's MatMulNBits."),
}
"""What the manifest says of a precision."""


def _refuse_foreign(target: Path) -> None:
    """Only an empty folder or an artifact may be replaced."""
    if target.is_dir() and any(target.iterdir()) and not (target / MANIFEST).is_file():
        raise must("folder", "deploy", "new, empty or an artifact", target, "Choose another folder")
    if target.exists() and not target.is_dir():
        raise must("folder", "deploy", "a folder", target, "Choose another name")
