"""A teacher that is an ONNX file, whatever made it."""

from __future__ import annotations

import hashlib
import json
import re
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt
import torch
from jaxtyping import Float32
from torch import Tensor

from attar.errors import BadInput, CorruptFile, must, near
from attar.named_inputs import NamedInputs
from attar.tables.columns import Columns
from attar.tasks.target import Target
from attar.teachers.onnx_file import OnnxFile, not_readable
from attar.teachers.onnx_inputs import FLOATS, FileInputs
from attar.teachers.output_reader import OutputReader
from attar.teachers.outputs import Output, rows_of

_NAMES = ("logits", "logit", "probabilities", "probability", "output_probability", "probs", "scores")
"""Names by which the output is known that a student is to learn from, the likeliest first."""


class OnnxTeacher:
    """An ONNX file as a teacher, run by ONNX Runtime on the CPU.

    The file must take one tensor of numbers ``[batch, ...]``, or two named inputs of whole numbers, ``ids`` and
    ``mask`` (or ``input_ids`` and ``attention_mask``), which are sequences of tokens; or, of data of several named
    inputs, some of them by these names; or columns of a table, each by its name, of which names are texts.

    Of its outputs the one counts that holds a number for each class, or one number where there are two classes; what it
    is, logits or probabilities, shows in the operators that it ends in, or in the numbers for many rows. Files that
    scikit-learn's converters write, with labels beside probabilities, are taken as well, also those of several labels.

    Attributes:
        path: The file.
        classes: How many classes it tells apart.
        output_reader: How the file's outputs are read as logits.
        file: What the file says of itself.
        inputs: What it takes.
        threads: How many threads one prediction uses.
    """

    runtime: ClassVar[str] = "onnxruntime"
    """What runs it, as reports call it."""

    def __init__(
        self,
        path: str | Path,
        threads: int = 1,
        *,
        classes: int | None = None,
        output: Output | None = None,
        output_name: str | None = None,
        names: Sequence[object] | None = None,
        named: NamedInputs | None = None,
        columns: Columns | None = None,
    ) -> None:
        """Open an ONNX file.

        Args:
            path: The file; external data is looked for beside it, as its own header says.
            threads: How many threads one prediction uses.
            classes: How many classes it has; needed only where the file does not fix the size of its output.
            output: What the file gives; None has it found out. ``"values"`` says that it is no classifier.
            output_name: Which of its outputs, where it has several that could be meant.
            names: Names of the data's classes, into whose order those of the file are brought, where it names its own.
            named: What rows of the data hold, where these have several inputs (``named`` of a data set).
            columns: What the columns of the rows are, where these are of a table: a file that takes texts, or several
                inputs, gets the columns by their names, with names as texts.

        Raises:
            BadInput: If there is no such file, its input or output is not of the form above, it names files outside of
                its folder, or ``classes`` contradicts it.
            CorruptFile: If ONNX Runtime cannot read the file.
        """
        self.path = Path(path)
        if threads < 1:
            raise must("threads", "OnnxTeacher", "at least 1", threads, "Use 1 for timings")
        self.file = OnnxFile.read(self.path)
        self.threads = threads
        self._session = _open(self.file, threads)
        self.inputs = FileInputs.read(self._session, repr(self.path.name), named, columns)
        self._name, width = self._which_output(classes, output_name)
        self._type = next(value.type for value in self._session.get_outputs() if value.name == self._name)
        self._order = self._class_order(names)
        precision = torch.float16 if self.inputs.of_half_precision or "float16" in self._type else None
        self.output_reader = OutputReader(output, self.file.kinds.get(self._name), repr(self.path.name), precision)
        if (fixed := self.inputs.batch) is not None:
            one = "one row at a time" if fixed == 1 else f"{fixed} rows at a time, the last ones filled up"
            self.output_reader.remark(f"{self.path.name!r} takes batches of {fixed} alone: it is asked about {one}")
        if classes is None:
            classes = 2 if width == 1 and self.output_reader.kind == "sigmoids" else width
        if classes is None:
            raise BadInput(
                f"{self.path.name!r} leaves open how many numbers it gives for each row. Pass classes=10, the number "
                "of its classes."
            )
        if classes < 1:
            raise must("classes", repr(self), "at least 1", classes, "Leave it out where the file says it")
        if width not in (None, classes) and not (width == 1 and classes == 2):
            each, every = ("value", "values") if output == "values" else ("class", "classes")
            these = f"these {classes} {every}" if classes > 1 else f"this {each}"
            raise BadInput(
                f"{self.path.name!r} gives {width} number{'s' if width != 1 else ''} for each row, and {classes} "
                f"{'are' if classes > 1 else 'is'} needed, one for each {each}. Use a teacher of {these}, or data of "
                "the teacher's."
            )
        self.classes: int = classes

    @property
    def target(self) -> Target:
        """What `predict` gives."""
        return self.output_reader.target

    def predict(self, inputs: Tensor) -> Float32[Tensor, "batch classes *size"]:
        """Logits of ``[batch, ...]`` inputs, on the device of the inputs.

        Raises:
            BadInput: If the inputs are not of the shape that the file takes, the output is not ``[batch, classes]``, or
                ONNX Runtime fails.
        """
        self.inputs.check(inputs.shape)
        return self.output_reader.logits(self._numbers(inputs), self.classes, inputs, self._numbers).to(inputs.device)

    def of_columns(self, columns: Columns) -> OnnxTeacher:
        """The same for rows of other columns, or of the same ones with other codes; itself where it takes a matrix.

        Raises:
            BadInput: If there is no such column as it takes.
        """
        if self.inputs.columns is None:
            return self
        other = object.__new__(OnnxTeacher)
        other.__dict__.update(self.__dict__)
        other.inputs = FileInputs.read(self._session, repr(self.path.name), None, columns)
        return other

    def runner(self, threads: int) -> Callable[[npt.NDArray[np.float32]], npt.NDArray[np.float32]]:
        """The teacher as a function on arrays, for timing: where it gives logits, ONNX Runtime and nothing else.

        Args:
            threads: How many threads one prediction uses.
        """
        other = object.__new__(OnnxTeacher)
        other.__dict__.update(self.__dict__)
        other.threads, other._session = threads, _open(self.file, threads)
        session, first, wanted = other._session, self.inputs.first, [self._name]
        output = next(value for value in session.get_outputs() if value.name == self._name)
        alone = len(self.inputs.inputs) == 1 and self.inputs.is_fed_as_given and len(output.shape) in (2, 4)
        alone = alone and first.type == output.type == "tensor(float)"
        bare = self.output_reader.kind in ("logits", "log_probabilities", "values") and not self.output_reader.remarks
        if alone and bare and self._order is None and output.shape[1] == self.classes:
            return lambda inputs: session.run(wanted, {first.name: inputs})[0]
        return lambda inputs: other.predict(torch.from_numpy(inputs)).numpy()

    def __getstate__(self) -> dict[str, Any]:
        """What travels to another process, of another machine perhaps: the bytes of its files in place of a session."""
        rest = {name: value for name, value in vars(self).items() if name != "_session"}
        beside = self.path.parent
        return {**rest, "bytes": {str(file.relative_to(beside)): file.read_bytes() for file in self.file.files}}

    def __setstate__(self, state: dict[str, Any]) -> None:
        """Open it there, with no more threads than torch has."""
        files: dict[str, bytes] = state.pop("bytes")
        vars(self).update(state)
        self.threads = min(self.threads, torch.get_num_threads())
        with tempfile.TemporaryDirectory() as folder:
            for name, content in files.items():
                file = Path(folder) / name
                file.parent.mkdir(parents=True, exist_ok=True)
                file.write_bytes(content)
            self._session = _open(replace(self.file, path=Path(folder) / self.path.name), self.threads)

    @property
    def is_coarse(self) -> bool:
        """Whether answers may differ a little with what is asked together: half precision, or ranges chosen then."""
        return self.file.dynamic or self.inputs.of_half_precision or "float16" in self._type

    @property
    def size_bytes(self) -> int:
        """Bytes on disk of the file and of the files beside it that hold its weights."""
        return self.file.size_bytes

    def fingerprint(self) -> str:
        """SHA-256 over the bytes of the file and of its external data files, and over how its output is read.

        Raises:
            CorruptFile: If one of the files is gone.
        """
        total = hashlib.sha256(b"onnx")
        for file in self.file.files:
            try:
                with file.open("rb") as opened:
                    total.update(hashlib.file_digest(opened, "sha256").digest())
            except FileNotFoundError as error:
                raise CorruptFile(f"{self!r} needs the file {str(file)!r}, which is gone. Restore it.") from error
        # What a logit of the file's first output is needs no words: what was stored before there were others is found.
        read = [self.output_reader.mark] if self.output_reader.mark else []
        first = next(iter(self.file.kinds))
        read += [] if self._name == first else [f"output {self._name}"]
        read += [] if self._order is None else [f"order {self._order}"]
        read += [] if self.inputs.named is None else [f"inputs {self.inputs.named}"]
        read += [] if self.inputs.columns is None else [f"columns {json.dumps(self.inputs.columns.to_json())}"]
        if read:
            total.update("|".join(read).encode())
        return total.hexdigest()

    def _numbers(self, inputs: Tensor) -> Float32[Tensor, "batch width *size"]:
        """What the file gives, one row for each of the inputs."""
        if not len(inputs):
            return torch.empty(0, self.classes)
        array, fixed = inputs.detach().cpu().numpy(), self.inputs.batch
        if fixed is None or len(array) == fixed:
            numbers = self._run(array, len(array))
        else:
            chunks = [array[start : start + fixed] for start in range(0, len(array), fixed)]
            # The last part is filled up with its last row.
            filled = [np.concatenate([chunk, np.repeat(chunk[-1:], fixed - len(chunk), axis=0)]) for chunk in chunks]
            numbers = torch.cat([self._run(chunk, fixed) for chunk in filled])[: len(array)]
        return numbers if self._order is None else numbers[:, self._order]

    def _run(self, array: npt.NDArray[Any], batch: int) -> Tensor:
        feed = self.inputs.feed(array)
        try:
            found = self._session.run([self._name], feed)[0]
        except Exception as error:  # ONNX Runtime's exceptions have no common base but this one.
            raise BadInput(
                f"ONNX Runtime cannot run {self.path.name!r} on inputs of shape {list(array.shape)}: "
                f"{useful_line(error)}. Give inputs as the file takes them, or export it again with a free batch size."
            ) from error
        if isinstance(found, list) and isinstance(found[0], dict):  # one for each row
            found = np.array([list(row.values()) for row in found], np.float32)
        found = _of_labels(found, batch)
        numbers = torch.from_numpy(np.ascontiguousarray(found).astype(np.float32, copy=False))
        return rows_of(numbers, batch=batch, classes=getattr(self, "classes", None), of=repr(self.path.name))

    def _which_output(self, classes: int | None, name: str | None) -> tuple[str, int | None]:
        """The name of the output that counts, and how many numbers it has for each row, if that is fixed."""
        outputs = {value.name: value for value in self._session.get_outputs()}
        for mapped, (tensor, _) in self.file.maps.items():
            if tensor in outputs:  # the same numbers without a dictionary for each row
                del outputs[mapped]
                name = tensor if name == mapped else name
        widths = {value.name: self._width(value) for value in outputs.values() if _is_numbers(value)}
        if not widths:
            widths = {value.name: classes for value in outputs.values() if _is_of_labels(value, classes)}
        if name is not None:
            if name not in widths:
                raise must("output_name", repr(self), "an output of numbers", name, near(name, widths or ["(none)"]))
            return name, widths[name]
        fitting = [one for one, width in widths.items() if classes is None or width in (None, classes)]
        fitting = fitting or [one for one, width in widths.items() if classes == 2 and width == 1]
        if not fitting and len(widths) == 1:  # the one that there is, for the sentence about its size
            fitting = [*widths]
        for known in _NAMES:
            if len(fitting) > 1:
                fitting = [one for one in fitting if one.lower() == known] or fitting
        if len(fitting) == 1:
            return fitting[0], widths[fitting[0]]
        listed = ", ".join(f"{value.name!r}, {value.type} {list(value.shape)}" for value in outputs.values())
        if len(widths) == classes and all(len(outputs[one].shape) == 1 for one in widths):
            raise BadInput(
                f"{self.path.name!r} gives a number for each class as an output of its own ({listed}). Export it with "
                "one output for all of them (skl2onnx: options={'zipmap': False})."
            )
        if fitting:
            raise BadInput(
                f"{self.path.name!r} has {len(outputs)} outputs ({listed}), and more than one of them could be the "
                "logits. Say which with output_name."
            )
        raise BadInput(
            f"{self.path.name!r} has no output of numbers [batch, {classes or 'classes'}]; it gives {listed}. Export "
            "the network so that it gives its logits."
        )

    def _width(self, output: Any) -> int | None:
        """How many numbers an output has for each row; None where that is open."""
        if output.type not in FLOATS:
            return len(self.file.maps.get(output.name, ("", ()))[1]) or None
        shape = _without_ones(output)
        width = shape[1] if len(shape) in (2, 4) else 1 if shape else None
        return width if isinstance(width, int) else None

    def _class_order(self, names: Sequence[object] | None) -> list[int] | None:
        """Where each of the data's classes stands among the file's, where it names its own and in another order."""
        labels = next(
            (labels for mapped, (tensor, labels) in self.file.maps.items() if self._name in (mapped, tensor)), ()
        )
        wanted = [] if names is None else [str(name) for name in names]
        if sorted(labels) != sorted(wanted) or len(set(labels)) < len(labels) or list(labels) == wanted:
            return None
        return [labels.index(name) for name in wanted]

    def __repr__(self) -> str:
        return f"OnnxTeacher({self.path.name!r})"


def _of_labels(found: Any, batch: int) -> npt.NDArray[Any]:
    """Probabilities ``[batch, labels]``, where it gives those of no and yes, ``[batch, 2]``, one label after the other.

    So do forests and `MultiOutputClassifier` of scikit-learn for several labels.
    """
    numbers: npt.NDArray[Any] = np.asarray(found)
    if numbers.ndim == 3 and numbers.shape[1:] == (batch, 2):
        return numbers[:, :, 1].T
    return numbers


def _is_of_labels(output: Any, labels: int | None) -> bool:
    """Whether an output may be what `_of_labels` takes: ``[labels, batch, 2]``, or a list of ``[batch, 2]``."""
    if output.type == "seq(tensor(float))":
        return True
    first, *rest = output.shape or [None]
    return isinstance(first, int) and labels in (None, first) and len(rest) == 2 and rest[1] == 2 and rest[0] != first


def _is_numbers(output: Any) -> bool:
    """Whether an output holds numbers for each row."""
    if output.type not in FLOATS:
        return bool(output.type.startswith("seq(map(") and output.type.endswith("float))"))
    return len(_without_ones(output)) <= 2


def _without_ones(output: Any) -> list[Any]:
    """The shape of an output less axes of size 1 behind those of the batch and of the classes."""
    shape = list(output.shape)
    while len(shape) > 2 and shape[-1] == 1:
        shape.pop()
    return shape


def useful_line(error: Exception) -> str:
    """What ONNX Runtime says went wrong, without its codes, its sources and their lines."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    text = lines[0] if lines else type(error).__name__
    text = re.sub(r"^\[ONNXRuntimeError\] : \d+ : \w+ : ", "", text)
    text = re.sub(r"^Load model from .*? failed: ?", "", text)
    text = re.sub(r"^(Deserialize tensor \S+ failed\. ?)?\w+\.(?:h|cc):\d+ \w+ ", "", text)
    node = re.search(r"Name:'([^']*)'", text)
    if "Status Message: " in text:
        text = text.split("Status Message: ")[-1]
        text = _without_source(text)
        text = f"{text.rstrip('. ')}" + (f" (node {node[1]!r})" if node else "")
    return _without_source(text).rstrip(". ")[:400]


def _without_source(text: str) -> str:
    """What stands behind a path of its sources, a line, and a function."""
    return re.sub(r"^\S+\.(?:h|cc|cpp|hpp):\d+ .*?\) ?(?:const )?(?=\S)", "", text) or text


def _open(file: OnnxFile, threads: int) -> Any:
    """A session of ONNX Runtime for a file; tensors that dictionaries are made of come out as they are."""
    # Here, not above: most jobs never open an ONNX teacher, and the import takes a third of a second.
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.log_severity_level = 4  # What goes wrong comes as an exception; nothing else may write to the terminal.
    source: str | bytes = str(file.path)
    if file.maps and not file.beside:
        import onnx

        model = onnx.load(str(file.path))
        there = {value.name for value in model.graph.output}
        for tensor, _ in file.maps.values():
            if tensor not in there:
                model.graph.output.append(onnx.helper.make_empty_tensor_value_info(tensor))
        source = model.SerializeToString()
    try:
        return onnxruntime.InferenceSession(source, options, providers=["CPUExecutionProvider"])
    except Exception as error:  # ONNX Runtime's exceptions have no common base but this one.
        raise not_readable(file.path, useful_line(error)) from error
