"""Whatever a user has at hand as a teacher."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from attar.errors import BadInput, must, shown
from attar.named_inputs import NamedInputs
from attar.network.entry_point import entry_point
from attar.network.unpacked import UnpackInputs
from attar.tables.columns import Columns
from attar.teachers.boosters import (
    BoosterClassifier,
    BoosterLabels,
    BoosterRegressor,
    estimator_of_booster,
    is_booster,
)
from attar.teachers.ensemble import Ensemble
from attar.teachers.estimator import EstimatorTeacher, RegressorTeacher
from attar.teachers.estimator_rows import classes_in, predicts_values
from attar.teachers.image_inputs import ChangeImages, ChangeOneImage, ImageInputs, change_to, wanted_by, wanted_in
from attar.teachers.labels import LabelsTeacher, gives_labels
from attar.teachers.model_file import FILES, is_model_file, read_model, refused_file
from attar.teachers.onnx import OnnxTeacher
from attar.teachers.outputs import Output, check_output
from attar.teachers.pretrained import in_order, is_saved_model, read_pretrained
from attar.teachers.resized import Resize, ResizedTeacher
from attar.teachers.sampled import SampledTeacher
from attar.teachers.stated import StatedTeacher
from attar.teachers.subset import SubsetTeacher
from attar.teachers.teacher import NetworkTeacher, Teacher


@entry_point
def as_teacher(
    given: object,
    *,
    classes: int | Sequence[object] | None = None,
    example: Tensor | None = None,
    columns: Columns | None = None,
    mean: Tensor | Sequence[float] | float | int | None = None,
    std: Tensor | Sequence[float] | float | int | None = None,
    device: str | torch.device = "cpu",
    size: int | tuple[int, int] | Callable[[Tensor], Tensor] | None = None,
    channels: int | None = None,
    knows: Sequence[str] | None = None,
    output: Output | None = None,
    output_name: str | None = None,
    samples: int | None = None,
    named: NamedInputs | None = None,
) -> Teacher:
    """A teacher from a network, an ONNX file, an estimator, a list of teachers, or something that is one already.

    Args:
        given: A `torch.nn.Module`, the path of an ``.onnx`` file or of the folder of a model of transformers
            (`read_pretrained`), a fitted estimator as scikit-learn has them (`EstimatorTeacher`, `LabelsTeacher` for
            one of several labels, or `RegressorTeacher` for a regressor), a ``Booster`` of LightGBM or XGBoost, the
            path of a file of skops, LightGBM, XGBoost or CatBoost, a list or tuple of any of these (averaged with
            `Ensemble`), or anything with ``classes``, ``predict`` and ``fingerprint``, which comes back as it is unless
            ``output`` is stated.
        classes: How many classes it has, where that cannot be read off it, or the names of the data's classes in the
            data's order, into which an estimator's are brought.
        example: ``[n, ...]`` inputs to count the classes of a network with.
        columns: What the columns of the inputs of an estimator are, or of an ONNX file that takes them by their names;
            None where they are plain numbers.
        mean: Per-channel mean for networks and ONNX files that want standardized inputs; goes with ``std``.
        std: Per-channel deviation.
        device: Where networks compute.
        size: Height and width that it wants of images, or a function that changes the inputs (`ResizedTeacher`); None
            where it takes them as they are. A network that says itself what it wants, as those of timm and
            transformers do (`wanted_by`), gets that where nothing else is said here.
        channels: 3 for a teacher that wants colors where images may be grey, 1 for the other way.
        knows: Names of the classes that it knows, in the order of its logits, where these are not all of ``classes``,
            which must be the names of all then (`SubsetTeacher`).
        output: What a network, an ONNX file or an object of your own gives: ``"logits"``, ``"probabilities"`` (of a
            softmax or a sigmoid), ``"log_probabilities"``, ``"log_odds"`` of labels of which any may hold, or
            ``"values"`` for a regression, whose numbers are never shifted. None has networks and files tell it
            themselves, and takes the others' for logits. An estimator that is said to give ``"log_odds"`` is one of
            several labels, which most say of themselves.
        output_name: Which output of an ONNX file, where it has several that could be meant.
        samples: How many answers to average of a teacher that answers at random, such as one with dropout switched on;
            None asks once.
        named: What rows of the data hold, where these have several named inputs (``named`` of a data set): a network or
            an ONNX file then gets them by their names.

    Raises:
        BadInput: If nothing can be made of ``given``.
    """
    check_output(output, "as_teacher")
    if knows is not None:
        if classes is None or isinstance(classes, int):
            remedy = "Pass classes=dataset.classes"
            raise must("classes", "as_teacher", "the names of all classes where knows is given", classes, remedy)
        inner = list(knows) if callable(getattr(given, "predict_proba", None)) else len(knows)
        member = as_teacher(
            given,
            classes=inner,
            example=example,
            columns=columns,
            mean=mean,
            std=std,
            device=device,
            size=size,
            channels=channels,
            output=output,
            output_name=output_name,
            samples=samples,
            named=named,
        )
        return SubsetTeacher(member, knows=knows, names=[str(name) for name in classes])
    if isinstance(given, list | tuple) and size is None and channels is None:
        members = [
            as_teacher(
                one,
                classes=classes,
                example=example,
                columns=columns,
                mean=mean,
                std=std,
                device=device,
                output=output,
                output_name=output_name,
                named=named,
            )
            for one in given
        ]
        return Ensemble(members) if samples is None else SampledTeacher(Ensemble(members), samples)
    given, described = _loaded(given)
    change: Callable[[Tensor], Tensor] | None
    change, mean, std = _change_of(given, described, size, channels, mean, std, only=named is None)
    if named is not None and change is not None:
        if not isinstance(change, Resize | ChangeImages):
            rule = "height and width where the data have several inputs"
            raise must("size", "as_teacher", rule, "a function", "Change the image inside the network")
        change = ChangeOneImage(change, named)
        named = change.after
    if change is not None:
        # An example of the data's size is none of the teacher's.
        example = None if example is None else change(example.clone())
    teacher = _network_or_estimator(given, classes, example, columns, mean, std, device, output, output_name, named)
    if change is not None:
        teacher = ResizedTeacher(teacher, change)
    return teacher if samples is None else SampledTeacher(teacher, samples)


def _loaded(given: object) -> tuple[object, ImageInputs]:
    """The model in a folder of transformers, or what was given, and what it says of itself that it wants of images."""
    if isinstance(given, str | Path) and is_saved_model(str(given)):
        model = read_pretrained(given)
        described = wanted_by(model)
        return model, wanted_in(Path(given)).over(described) if described else described
    return given, wanted_by(given) if isinstance(given, nn.Module) else ImageInputs()


Statistic = Tensor | Sequence[float] | float | int | None


def _change_of(
    given: object,
    described: ImageInputs,
    size: int | tuple[int, int] | Callable[[Tensor], Tensor] | None,
    channels: int | None,
    mean: Statistic,
    std: Statistic,
    *,
    only: bool,
) -> tuple[Callable[[Tensor], Tensor] | None, Statistic, Statistic]:
    """What changes the inputs of a teacher, and the statistics that a network then has before it.

    Where images are not the only input, the statistics are a part of the change.
    """
    if callable(size):
        return size, mean, std
    pair = (size, size) if isinstance(size, int) else size
    wanted = ImageInputs(size=pair, channels=channels)
    if isinstance(given, nn.Module):
        if mean is None and std is None:
            mean, std = described.mean, described.std
        wanted = wanted.over(ImageInputs(size=described.size, channels=described.channels))
    if (isinstance(given, str | Path) or not only) and mean is not None and std is not None:
        one, other = (tuple(torch.as_tensor(values).reshape(-1).tolist()) for values in (mean, std))
        wanted = wanted.over(ImageInputs(mean=one, std=other))
        mean, std = (mean, std) if only else (None, None)
    if not wanted:
        return None, mean, std
    return change_to(wanted), mean, std


def _network_or_estimator(
    given: object,
    classes: int | Sequence[object] | None,
    example: Tensor | None,
    columns: Columns | None,
    mean: Tensor | Sequence[float] | float | int | None,
    std: Tensor | Sequence[float] | float | int | None,
    device: str | torch.device,
    output: Output | None,
    output_name: str | None,
    named: NamedInputs | None,
) -> Teacher:
    """The teacher itself."""
    count = classes if classes is None or isinstance(classes, int) else len(classes)
    if isinstance(given, nn.Module):
        given = given if named is None else UnpackInputs(named).apply(given)
        if classes is not None and not isinstance(classes, int):
            given = in_order(given, classes)
        return NetworkTeacher(given, classes=count, example=example, mean=mean, std=std, device=device, output=output)
    if isinstance(given, str | Path) and Path(given).suffix.lower() == ".onnx":
        names = None if isinstance(classes, int) else classes
        return OnnxTeacher(
            given, classes=count, output=output, output_name=output_name, names=names, named=named, columns=columns
        )
    if isinstance(given, list | tuple):
        return Ensemble(
            [
                _network_or_estimator(one, classes, example, columns, mean, std, device, output, output_name, named)
                for one in given
            ]
        )
    if is_booster(given) or (not isinstance(given, Teacher) and not isinstance(given, type) and _methods(given)):
        return estimator_teacher(given, classes=classes, columns=columns, labels=output == "log_odds")
    if isinstance(given, Teacher) and not isinstance(given, type):
        return given if output is None else StatedTeacher(given, output)
    if isinstance(given, str | Path):
        if is_model_file(str(given)):
            model = read_model(given, () if columns is None else columns.names)
            return estimator_teacher(model, classes=classes, columns=columns, labels=output == "log_odds")
        if why := refused_file(str(given)):
            raise BadInput(f"as_teacher got {shown(given)}, which {why}.")
        raise BadInput(
            f"as_teacher takes the path of an .onnx file, or of a fitted model ({', '.join(FILES)}); got "
            f"{shown(given)}. Load any other file where you have its code, and give what was loaded."
        )
    if isinstance(given, Mapping) and any(isinstance(value, Tensor) for value in given.values()):
        raise BadInput(
            "as_teacher got weights without their network. Load them into the network with load_state_dict, and give "
            "that."
        )
    rule = (
        "a module, the path of a file with a model, a fitted estimator, a list of these, or an object with classes, "
        "predict and fingerprint"
    )
    raise must("teacher", "as_teacher", rule, given, "Wrap it in a class with these three")


def estimator_teacher(
    given: Any, *, classes: int | Sequence[object] | None, columns: Columns | None, labels: bool = False
) -> EstimatorTeacher | LabelsTeacher | RegressorTeacher:
    """The teacher that a fitted classifier or regressor is, or a booster.

    Args:
        given: The estimator.
        classes: Of the data: how many, or their names in order; of a regressor how many numbers it predicts.
        columns: What the columns of the inputs are.
        labels: Whether it is known to be of labels of which any may hold, which not every estimator says of itself.

    Raises:
        BadInput: If it is neither, or not fitted.
    """
    count = classes if classes is None or isinstance(classes, int) else len(classes)
    if is_booster(given):
        given = estimator_of_booster(given, () if columns is None else columns.names)
    if isinstance(given, BoosterClassifier | BoosterLabels | BoosterRegressor):
        # Most boosters were trained on numbers: categories come as their codes where they know no names.
        decode = given.trees.categories
        if isinstance(given, BoosterRegressor):
            return RegressorTeacher(given, columns=columns, decode=decode, outputs=1 if count is None else count)
        if isinstance(given, BoosterLabels):
            return LabelsTeacher(given, columns=columns, decode=decode, labels=count)
        # Its numbers may be given in an order of their own; names are numbered in theirs.
        ordered = isinstance(classes, Sequence) and set(classes) == set(given.classes_.tolist())
        numbers = given.classes_.dtype.kind in "iu" and count == len(given.classes_) and not ordered
        return EstimatorTeacher(given, columns=columns, classes=count if numbers else classes, decode=decode)
    _check_type(given)
    if labels or gives_labels(given):
        return LabelsTeacher(given, columns=columns, labels=count)
    # By what they do: an estimator need not be of scikit-learn itself.
    if predicts_values(given) or (_methods(given) == {"predict"} and classes_in(given) is None):
        return RegressorTeacher(given, columns=columns, outputs=1 if count is None else count)
    return EstimatorTeacher(given, columns=columns, classes=classes)


def _methods(given: object) -> set[str]:
    """By which of its methods an estimator can be asked."""
    return {name for name in ("predict_proba", "decision_function", "predict") if callable(getattr(given, name, None))}


def _check_type(given: object) -> None:
    """Raise unless an estimator is a classifier or a regressor, as far as scikit-learn knows.

    Raises:
        BadInput: If it finds clusters or outliers, or changes its inputs.
    """
    if not callable(getattr(given, "fit", None)):
        return
    from sklearn.utils import get_tags

    try:
        kind = get_tags(given).estimator_type
    except (AttributeError, TypeError, ValueError):  # not of scikit-learn's kind
        return
    known = callable(getattr(given, "predict_proba", None)) and classes_in(given) is not None
    if kind in ("classifier", "regressor") or (kind is None and known):
        return
    does = {"clusterer": "finds clusters", "outlier_detector": "finds outliers"}.get(
        str(kind), "is neither a classifier nor a regressor"
    )
    raise BadInput(
        f"{type(given).__name__} {does}, and says nothing that a student could learn. Give a fitted classifier or "
        "regressor."
    )
