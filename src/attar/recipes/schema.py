"""What a recipe may say. Each table is one class; the families of choices are the literal dicts below."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any, Literal, get_args, get_type_hints

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    PlainSerializer,
    PlainValidator,
    TypeAdapter,
    ValidationError,
    model_validator,
)

from attar.errors import near, shown
from attar.network.describe import Spec
from attar.quantization.format import Format, Ranged
from attar.quantization.formats.named import from_table, to_table
from attar.teachers.ensemble import MEANS
from attar.training.losses.decoupled import Decoupled, StandardizedLogits
from attar.training.losses.features import AttentionMaps, HiddenMatch
from attar.training.losses.outputs import CenteredLogits, HardLabels, SoftTargets, SquaredError
from attar.training.losses.relations import RelationalAngles, RelationalDistances
from attar.training.objective import Objective, Term
from attar.training.reading import reads_layers
from attar.training.schedule import Ramp
from attar.training.settings import Training
from attar.transfer.views import Views

LOSSES: dict[str, type[Any]] = {
    "soft_targets": SoftTargets,
    "hard_labels": HardLabels,
    "centered_logits": CenteredLogits,
    "squared_error": SquaredError,
    "decoupled": Decoupled,
    "standardized_logits": StandardizedLogits,
    "hidden_match": HiddenMatch,
    "attention_maps": AttentionMaps,
    "relational_distances": RelationalDistances,
    "relational_angles": RelationalAngles,
}
"""The loss terms, by the name that ``use`` gives."""

Runtime = Literal["torch", "onnxruntime", "openvino"]
"""What can execute an artifact."""


class Section(BaseModel):
    """A table of a recipe: unknown keys are errors, and numbers are not read from strings."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True, arbitrary_types_allowed=True)


def _floats(value: Any) -> Any:
    """TOML writes 1 where 1.0 is meant; strict reading would refuse it."""
    if not isinstance(value, int) or isinstance(value, bool):
        return value
    try:
        return float(value)
    except OverflowError as error:
        raise ValueError(f"must be a number that fits into a float; got {shown(value)}") from error


Number = Annotated[float, BeforeValidator(_floats), Field(allow_inf_nan=False)]
Seed = Annotated[int, Field(ge=0, lt=2**32)]
Fraction = Annotated[Number, Field(ge=0, le=1)]


class DataSection(Section):
    """Where examples come from."""

    use: str = Field(
        description="digits, fashion-mnist, mnist, glyphs, letter, letter.p1, letter.p2, a path to .npz, .csv or "
        ".parquet, or package.module:function"
    )
    target: str | None = Field(None, description="the column of a .csv or .parquet file that holds the classes")
    nominal: list[str] = Field(default_factory=list, description="columns of numbers that are names of something")
    validation: Annotated[Number, Field(gt=0, lt=1)] = Field(0.1, description="share of the training data held out")
    test: Annotated[Number, Field(gt=0, lt=1)] = Field(
        0.2, description="share held out where the source has no test part"
    )
    classes: list[str] | None = Field(None, description="keep only these classes")
    limit: Annotated[int, Field(gt=0)] | None = Field(None, description="keep at most so many examples of each part")


class NetworkSection(Section):
    """A torch module: the function that builds it, and its arguments."""

    use: str = Field(description="package.module:function that returns a torch.nn.Module")
    arguments: dict[str, Any] = Field(default_factory=dict)
    mean: list[Number] | None = Field(None, description="per channel, taken from the inputs before the network")
    std: list[Number] | None = Field(None, description="per channel, by which the inputs are divided")

    @model_validator(mode="after")
    def _statistics_come_together(self) -> NetworkSection:
        if (self.mean is None) != (self.std is None):
            raise ValueError("mean and std must be given together; give both or neither")
        return self

    def spec(self) -> Spec:
        """The network as plain data."""
        return Spec(self.use, self.arguments, self.mean, self.std)


class ViewsSection(Section):
    """How training examples are varied."""

    count: Annotated[int, Field(ge=1)] = Field(
        1, description="different views of each example; the epochs go round them"
    )
    flip: bool = Field(False, description="mirror left and right")
    shift: Annotated[int, Field(ge=0)] = Field(0, description="largest move in pixels")
    noise: Annotated[Number, Field(ge=0)] = Field(0.0, description="standard deviation of added noise")

    def views(self, seed: int) -> Views:
        """The rule that draws them."""
        return Views(count=self.count, flip=self.flip, shift=self.shift, noise=self.noise, seed=seed)


def build(kind: type[Any], document: Any) -> Any:
    """A dataclass of the library from a table: its fields are the keys, its own checks the rules.

    Raises:
        ValueError: If a key is unknown or a value has the wrong type; the message names the key.
    """
    if isinstance(document, kind):
        return document
    if not isinstance(document, Mapping):
        raise ValueError(f"must be a table; got {shown(document)}")
    hints = get_type_hints(kind)
    values = {}
    for key, value in document.items():
        if key not in hints:
            raise ValueError(f"unknown key {key!r}. {near(str(key), hints)}")
        if isinstance(value, Mapping) and Ramp in get_args(hints[key]):
            value = build(Ramp, value)
        try:
            values[key] = TypeAdapter(hints[key]).validate_python(value, strict=True)
        except ValidationError as error:
            raise ValueError(f"{key}: {error.errors()[0]['msg']}; got {shown(value)}") from error
        if isinstance(value, list):
            values[key] = tuple(value)
    missing = [f.name for f in dataclasses.fields(kind) if _required(f) and f.name not in values]
    if missing:
        raise ValueError(f"missing key {missing[0]!r}")
    return kind(**values)


def _required(field: dataclasses.Field[Any]) -> bool:
    return field.default is dataclasses.MISSING and field.default_factory is dataclasses.MISSING


def _plain(value: Any) -> Any:
    """A dataclass of the library as a table again, defaults included, absent values left out."""
    table = dataclasses.asdict(value)
    return {key: list(item) if isinstance(item, tuple) else item for key, item in table.items() if item is not None}


def _training(table: Any) -> Any:
    if isinstance(table, Mapping) and "seed" in table:
        raise ValueError("unknown key 'seed'. Seeds are said once: seed at the top, or teacher.seed")
    return build(Training, table)


def _plain_training(settings: Training) -> dict[str, Any]:
    return {key: value for key, value in _plain(settings).items() if key != "seed"}


TrainingSettings = Annotated[Training, PlainValidator(_training), PlainSerializer(_plain_training)]


class LibrarySection(Section):
    """Many models trained here, of which an ensemble is selected on validation data."""

    families: list[str] | None = Field(
        None, description="families of models to train; all that are installed if left out"
    )
    size: Literal["small", "full"] = Field("small", description="how fine the grids of settings are")
    metric: Literal["rmse", "log_loss", "brier", "accuracy", "auc"] = Field("rmse", description="what is selected by")
    sorted_init: Annotated[int, Field(ge=0)] | Literal["best"] = Field(
        "best", description="how many of the best models a selection begins with; best takes as many as help"
    )
    bags: Annotated[int, Field(ge=1)] = Field(20, description="selections from random parts of the library, averaged")
    bag_fraction: Annotated[Number, Field(gt=0, le=1)] = Field(0.5, description="share of the library in each part")
    max_steps: Annotated[int, Field(ge=1)] = Field(100, description="models added in each selection, at most")


class SpecialistsSection(Section):
    """Specialists that are trained here for classes that the teacher's network takes for each other."""

    clusters: Annotated[int, Field(ge=2)] | None = Field(None, description="how many; their classes are found")
    sets: Annotated[list[Annotated[list[str], Field(min_length=1)]], Field(min_length=1)] | None = Field(
        None, description="the classes of each, where they are not to be found"
    )
    set_size: Annotated[int, Field(ge=1)] | None = Field(
        None, description="classes of each, which overlap; if left out, the classes are divided"
    )
    columns: Literal["correlation", "covariance"] = Field(
        "correlation", description="of the predictions; its columns are clustered"
    )
    clustering: Literal["online", "batch"] = Field("online", description="how they are clustered")
    special_fraction: Annotated[Number, Field(gt=0, lt=1)] = Field(
        0.5, description="share of its own classes in what a specialist is trained on"
    )
    correction: Literal["literal", "exact", "none"] | None = Field(
        None, description="what makes up for that share; chosen on validation if left out"
    )
    top: Annotated[int, Field(ge=1)] | None = Field(
        None, description="likeliest classes that choose who is asked; chosen on validation if left out"
    )
    training: TrainingSettings = Field(default_factory=Training, description="how each is trained")
    jobs: Annotated[int, Field(ge=1)] = Field(1, description="processes that train at once")

    @model_validator(mode="after")
    def _sets_are_found_or_given(self) -> SpecialistsSection:
        if (self.clusters is None) == (self.sets is None):
            raise ValueError("give clusters, or the sets themselves; one of them, not both")
        if self.sets is not None and self.set_size is not None:
            raise ValueError("set_size is for sets that are found; leave it out")
        return self


class MemberSection(Section):
    """One given model of a teacher whose models differ: in what they take, or in the classes that they know."""

    network: NetworkSection | None = Field(None, description="its architecture; goes with weights")
    weights: str | None = Field(None, description="safetensors file")
    onnx: str | None = Field(None, description="ONNX file instead of a network")
    size: Annotated[list[Annotated[int, Field(ge=1)]], Field(min_length=2, max_length=2)] | None = Field(
        None, description="height and width that it takes, where the data have others"
    )
    classes: list[str] | None = Field(None, description="names of the classes it knows, in the order of its logits")
    vote: Annotated[Number, Field(gt=0)] = Field(1.0, description="weight in the average")

    @model_validator(mode="after")
    def _network_with_weights_or_file(self) -> MemberSection:
        if (self.network is None) == (self.onnx is None) or (self.network is None) != (self.weights is None):
            raise ValueError("give network with weights, or onnx")
        return self


class TeacherSection(Section):
    """The frozen source of targets: networks (given or trained here), ONNX files, an estimator, or a library of models.

    Networks and ONNX files are averaged if there are several.
    """

    network: NetworkSection | None = Field(None, description="architecture of the members")
    members: Annotated[int, Field(ge=1)] = Field(1, description="networks to train, from different seeds")
    weights: list[str] = Field(default_factory=list, description="safetensors files, one per member; none: train them")
    onnx: list[str] = Field(default_factory=list, description="ONNX files instead of networks")
    each: Annotated[list[MemberSection], Field(min_length=1)] | None = Field(
        None, description="given models that differ in what they take or know, one table each"
    )
    estimator: str | None = Field(
        None, description="package.module:function that returns a fitted model with predict_proba, for rows of a table"
    )
    library: LibrarySection | None = Field(None, description="models trained here for rows of a table, and a selection")
    mean: Literal["probabilities", "logits", "geometric"] = Field("probabilities", description="what is averaged")
    votes: list[Annotated[Number, Field(gt=0)]] | None = Field(
        None, description="weight of each member in the average; all the same if left out"
    )
    training: TrainingSettings = Field(default_factory=Training, description="how members are trained")
    views: ViewsSection = ViewsSection()
    seed: Seed = Field(0, description="first member's seed; the teacher does not depend on the run's seed")
    learns: bool = Field(False, description="teacher and student learn together, from scratch or from the weights")
    detach: bool = Field(True, description="while learning together, the student's terms leave the teacher alone")
    specialists: SpecialistsSection | None = Field(None, description="the network is a generalist, and has specialists")

    @model_validator(mode="after")
    def _one_origin(self) -> TeacherSection:
        given = [name for name in ("network", "onnx", "each", "estimator", "library") if getattr(self, name)]
        if len(given) != 1:
            raise ValueError(
                "give one of network (with weights, or to be trained here), onnx, each, estimator and library; "
                f"got {' and '.join(given) or 'none'}"
            )
        if self.estimator is not None or self.library is not None:
            if self.learns or self.weights or self.members != 1:
                raise ValueError("an estimator or a library has no learns, weights or members; leave them out")
        if self.weights and self.members not in (1, len(self.weights)):
            raise ValueError(
                f"members ({self.members}) must be the number of weights ({len(self.weights)}); leave it out"
            )
        if self.onnx and self.members not in (1, len(self.onnx)):
            raise ValueError(
                f"members ({self.members}) must be the number of onnx files ({len(self.onnx)}); leave it out"
            )
        if self.each is not None and (self.weights or self.members != 1 or self.learns or self.votes is not None):
            raise ValueError("each says weights and vote of a model itself; leave out weights, members, votes, learns")
        if self.votes is not None and len(self.votes) != self.count:
            raise ValueError(f"votes must be one for each of the {self.count} members; got {len(self.votes)}")
        if self.votes is not None and self.count == 1:
            raise ValueError("votes are for several members that are averaged; leave them out")
        if self.learns and (self.onnx or self.count > 1):
            raise ValueError("learns = true needs one network as teacher; leave out onnx and members")
        if self.specialists is not None and (self.network is None or self.count > 1 or self.learns):
            raise ValueError("specialists need one network that does not learn along; leave out members and learns")
        return self

    @property
    def count(self) -> int:
        """How many members there are."""
        return len(self.onnx) or len(self.weights) or len(self.each or ()) or self.members


class SynthesisSection(Section):
    """Rows made from the training rows, for the teacher to label: tables only."""

    method: Literal["munge", "random", "nbe"] = Field("munge", description="how rows are made")
    rows: Annotated[int, Field(ge=1)] = Field(description="how many")
    p: Annotated[Number, Field(gt=0, le=1)] | None = Field(
        None, description="MUNGE: chance that a value changes; chosen on validation if left out"
    )
    s: Annotated[Number, Field(gt=0)] | None = Field(
        None, description="MUNGE: how tightly new values follow the neighbor's; chosen on validation if left out"
    )
    neighbors: Literal["dynamic", "static"] = Field(
        "dynamic", description="MUNGE: neighbors in the changing copy or not"
    )
    components: Annotated[int, Field(ge=1)] | None = Field(
        None, description="NBE: components of the mixture; by held-out likelihood if left out"
    )
    original: bool = Field(True, description="the training rows themselves are imitated too")

    @model_validator(mode="after")
    def _settings_are_of_the_method(self) -> SynthesisSection:
        if self.method != "munge" and (self.p is not None or self.s is not None):
            raise ValueError("p and s belong to method = 'munge'; leave them out")
        if self.method != "nbe" and self.components is not None:
            raise ValueError("components belongs to method = 'nbe'; leave it out")
        return self


class TransferSection(Section):
    """What the student imitates the teacher on."""

    views: ViewsSection = ViewsSection()
    cached: bool = Field(True, description="label once and store; false asks the teacher in every step")
    top_k: Annotated[int, Field(ge=1)] | None = Field(None, description="store only the k largest; all if left out")
    codes: Literal["float16", "int8"] = Field("float16", description="store a number in two bytes, or in one")
    per_teacher: bool = Field(
        False,
        description="label with each member of the teacher apart and average: a new member is asked alone",
    )
    labels: bool = Field(True, description="false hides the labels: the student hears the teacher only")
    only: list[str] | None = Field(None, description="imitate on the training examples of these classes only")
    without: list[str] | None = Field(None, description="imitate on the training examples of all classes but these")
    share: Annotated[Number, Field(gt=0, le=1)] = Field(1.0, description="share of the training examples imitated on")
    unlabeled: str | None = Field(
        None, description=".npz file with x, or package.module:function: inputs that are imitated on without labels"
    )
    label_views: bool = Field(True, description="false labels each example once, as it is, for all of its views")
    synthesis: SynthesisSection | None = Field(None, description="rows made from the training rows")

    @model_validator(mode="after")
    def _synthesis_has_no_views(self) -> TransferSection:
        if self.synthesis is not None and self.views != ViewsSection():
            raise ValueError("views are for pictures and synthesis for tables; leave one of them out")
        if self.synthesis is not None and not self.cached:
            raise ValueError("synthesis needs stored targets; leave cached out")
        if self.synthesis is not None and (self.partial or self.unlabeled is not None):
            raise ValueError("synthesis makes rows from all training rows; leave only, without, share, unlabeled out")
        return self

    @model_validator(mode="after")
    def _one_filter(self) -> TransferSection:
        if self.only is not None and self.without is not None:
            raise ValueError("only and without say the same in two ways; leave one of them out")
        return self

    @property
    def partial(self) -> bool:
        """Whether some of the training examples are left out."""
        return self.only is not None or self.without is not None or self.share < 1


def _term(document: Any) -> Any:
    """One table of the objective: some keys are the term's own, the others belong to its loss."""
    if isinstance(document, Term):
        return document
    if not isinstance(document, Mapping):
        raise ValueError(f"must be a table; got {shown(document)}")
    use = document.get("use")
    if not isinstance(use, str) or use not in LOSSES:
        raise ValueError(f"use must name a loss; got {shown(use)}. {near(str(use), LOSSES)}")
    own = {field.name for field in dataclasses.fields(Term)} - {"loss"}
    settings = {field.name for field in dataclasses.fields(LOSSES[use])}
    for key in document.keys() - own - settings - {"use"}:
        raise ValueError(f"unknown key {key!r}. {near(str(key), own | settings)}")
    loss = build(LOSSES[use], {key: document[key] for key in document.keys() & settings})
    half = build(_TermSettings, {key: document[key] for key in document.keys() & own})
    return Term(loss=loss, **vars(half))


@dataclass(frozen=True, kw_only=True)
class _TermSettings:
    """The keys of `Term` other than its loss."""

    weight: float | Ramp = 1.0
    start_epoch: int = 0
    end_epoch: int | None = None
    of: Literal["student", "teacher"] = "student"


def _plain_term(term: Term) -> dict[str, Any]:
    names = {kind: name for name, kind in LOSSES.items()}
    table = {key: value for key, value in _plain(term).items() if key != "loss"}
    return {"use": names[type(term.loss)], **table, **_plain(term.loss)}


TermTable = Annotated[Term, PlainValidator(_term), PlainSerializer(_plain_term)]


def _formats(document: Any) -> Any:
    """One format for all, or patterns of layers and tensors with a format each."""
    if isinstance(document, Format) or not isinstance(document, Mapping) or isinstance(document.get("use"), str):
        return document if isinstance(document, Format) else from_table(document)
    if not document:
        raise ValueError("must be a format, or patterns with a format each; got an empty table")
    return {str(name): from_table(form) if isinstance(form, Mapping) else form for name, form in document.items()}


def _plain_formats(given: Any) -> Any:
    if given is None:
        return None
    return {name: to_table(form) for name, form in given.items()} if isinstance(given, Mapping) else to_table(given)


FormatTable = Annotated[Any, PlainValidator(_formats), PlainSerializer(_plain_formats)]
"""A `Format`, a mapping of patterns to such, or None."""


class DistilStep(Section):
    """The student is trained: distilled from the teacher, or on labels where the objective has nothing else."""

    use: Literal["distil"]
    training: TrainingSettings | None = Field(
        None, description="how; what it leaves out is as student.training has it, and all of it if it is left out"
    )
    objective: Annotated[dict[str, TermTable], Field(min_length=1)] | None = Field(
        None, description="the terms of this step; those of the recipe if left out"
    )
    learn: Literal["all", "points"] = Field(
        "all", description="points trains what formats learn and nothing else: differentiable quantization"
    )
    statistics: Literal["follow", "restore"] = Field(
        "follow", description="restore leaves the running statistics of batch normalization as they were before"
    )
    hears: Literal["teacher", "itself"] = Field(
        "teacher", description="itself takes the student as it was before it was quantized for the teacher"
    )


class QuantizeStep(Section):
    """Numbers of few bits from here on: formats ride on the weights, and on what goes into the layers."""

    use: Literal["quantize"]
    weights: FormatTable = Field(
        None, description='a format such as { use = "uniform", bits = 4 }, or patterns of layers with a format each'
    )
    activations: FormatTable = Field(None, description="the same for what goes into the layers")
    skip: list[str] = Field(
        default_factory=list, description="patterns of layers or tensors that stay as they are; first and last too"
    )
    tensors: Literal["weights", "all"] = Field("weights", description="all are biases and batch normalization too")
    calibration: Annotated[int, Field(ge=1)] = Field(
        512, description="training examples on which ranges of activations are measured"
    )
    share_points: bool = Field(False, description="all tensors of a codebook have the same points")
    allocation: Literal["equal", "gradient"] = Field(
        "equal", description="gradient gives more points, or bits, to tensors with long gradients"
    )
    allocation_batches: Annotated[int, Field(ge=1)] = Field(
        5, description="batches over which these gradients are averaged"
    )

    @model_validator(mode="after")
    def _something_is_quantized(self) -> QuantizeStep:
        if self.weights is None and self.activations is None:
            raise ValueError("give weights or activations a format; both are left out")
        for of in ("weights", "activations"):
            for form in self.formats(of):
                if of not in form.serves:
                    raise ValueError(f"{of} must have a format that is made for {of}; got {to_table(form)['use']!r}")
        uses = {to_table(form)["use"] for form in self.formats("weights")}
        if self.share_points and (uses != {"codebook"} or isinstance(self.weights, Mapping)):
            raise ValueError("share_points needs one codebook for all weights; set weights, or leave it out")
        if self.allocation == "gradient":
            if isinstance(self.weights, Mapping) or not uses <= {"codebook", "uniform"} or not uses:
                raise ValueError('allocation = "gradient" needs one codebook or uniform format for all weights')
            if self.share_points or getattr(self.weights, "points", None) is not None:
                raise ValueError('allocation = "gradient" gives each tensor its own points; leave out what sets them')
        return self

    def formats(self, of: str) -> list[Any]:
        """The formats of ``weights`` or ``activations``."""
        given = getattr(self, of)
        return [] if given is None else list(given.values()) if isinstance(given, Mapping) else [given]

    @property
    def measures(self) -> bool:
        """Whether the range of an activation has to be measured on examples."""
        return any(isinstance(form, Ranged) and form.measures for form in self.formats("activations"))


Step = Annotated[DistilStep | QuantizeStep, Field(discriminator="use")]
"""One thing that is done to the student."""


class StudentSection(Section):
    """The network that is trained, and how."""

    network: NetworkSection
    training: TrainingSettings = Field(default_factory=Training)
    steps: Annotated[list[Step], Field(min_length=1)] | None = Field(
        None, description="what is done to it, in this order; one distil if left out"
    )
    seeds: Annotated[int, Field(ge=1, le=20)] = Field(
        1, description="trainings from different seeds; the best on validation ships"
    )
    shift_absent: bool = Field(
        False,
        description="shift the logits of classes that the transfer set lacks; how much is chosen on validation",
    )
    choose_by: Literal["accuracy", "log_loss", "brier"] = Field(
        "accuracy", description="score on validation by which epochs, seeds and settings of a synthesis are chosen"
    )

    @model_validator(mode="before")
    @classmethod
    def _steps_inherit(cls, table: Any) -> Any:
        """What the training of a step leaves out is as the student's."""
        if not isinstance(table, Mapping) or not isinstance(table.get("steps"), list):
            return table
        usual = table.get("training", {})
        if isinstance(usual, Training):
            usual = _plain_training(usual)
        steps = [dict(step) if isinstance(step, Mapping) else step for step in table["steps"]]
        for step in steps:
            if isinstance(step, dict) and isinstance(usual, Mapping) and isinstance(step.get("training"), Mapping):
                step["training"] = {**usual, **step["training"]}
        return {**table, "steps": steps}

    @model_validator(mode="after")
    def _steps_follow_each_other(self) -> StudentSection:
        distilled = riding = False
        for place, step in enumerate(self.steps or ()):
            if isinstance(step, QuantizeStep):
                if step.measures and not distilled:
                    raise ValueError(
                        f"steps.{place}: ranges of activations must be measured on a trained student; "
                        'put a distil step before it, or use { use = "clipped" }, whose range is fixed'
                    )
                riding = True
                continue
            if step.learn == "points" and not riding:
                raise ValueError(f"steps.{place}: learn = 'points' needs a quantize step before it; add one")
            if step.hears == "itself" and not (distilled and riding):
                raise ValueError(f"steps.{place}: hears = 'itself' needs a distil and a quantize step before it")
            distilled = True
        if self.steps and not distilled:
            raise ValueError("steps must train the student; add a distil step")
        return self

    @property
    def course(self) -> list[DistilStep | QuantizeStep]:
        """The steps, also where they are left out."""
        return self.steps or [DistilStep(use="distil")]


def labels_alone(objective: Objective) -> Objective:
    """The hard labels of an objective at full weight, and nothing else."""
    terms = objective.terms.values()
    hard = [term.loss for term in terms if isinstance(term.loss, HardLabels) and term.of == "student"]
    return Objective({"hard": Term(loss=hard[0] if hard else HardLabels())})


def _check_pauses(objective: Objective, epochs: int) -> None:
    """A pause between the terms would stop the training at that epoch."""
    ends = (term.end_epoch for term in objective.terms.values() if term.end_epoch is not None)
    for epoch in {0, *(end for end in ends if end < epochs)}:
        objective.at(float(epoch))


class KeepSection(Section):
    """What must be kept, and what is wanted of the artifact; every choice is made on validation data."""

    accuracy_loss: Fraction = Field(
        0.01, description="accuracy that may be lost against the teacher, 0.01 is one point"
    )
    smaller: Annotated[Number, Field(gt=0)] | None = Field(None, description="times smaller than the teacher, at least")
    faster: Annotated[Number, Field(gt=0)] | None = Field(
        None, description="times faster at batch 1, same runtime, at least"
    )
    prefer: Literal["latency", "size"] = Field(
        "latency", description="what decides among candidates that keep the accuracy"
    )


class ArtifactsSection(Section):
    """Which candidates are made and how they are timed."""

    runtimes: Annotated[list[Runtime], Field(min_length=1)] = ["torch", "onnxruntime", "openvino"]
    int8: bool = Field(True, description="also try the int8 grid of each runtime")
    calibration: Annotated[int, Field(ge=1)] = Field(512, description="training examples that calibrate int8")
    threads: Annotated[int, Field(ge=1)] = Field(1, description="threads of every timed runtime")
    seconds: Annotated[Number, Field(gt=0)] = Field(
        1.0, description="time spent on timing each candidate, per batch size"
    )


class Recipe(Section):
    """A whole run."""

    name: str = Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*(/[A-Za-z0-9][A-Za-z0-9._-]*)*$")
    title: str = Field("", description="one line on what the recipe shows")
    seed: Seed = Field(0, description="of the split, the views and the first student")
    threads: Annotated[int, Field(ge=0)] = Field(0, description="threads for training; 0 leaves it to torch")
    data: DataSection
    teacher: TeacherSection
    transfer: TransferSection = TransferSection()
    student: StudentSection
    objective: Annotated[dict[str, TermTable], Field(min_length=1)]
    control: bool = Field(True, description="train the same student without the teacher beside it")
    keep: KeepSection = KeepSection()
    artifacts: ArtifactsSection = ArtifactsSection()

    @model_validator(mode="after")
    def _terms_fit_the_teacher(self) -> Recipe:
        if not self.teacher.learns and any(term.of == "teacher" for term in self.objective.values()):
            raise ValueError('of = "teacher" in objective needs a teacher that learns; set teacher.learns = true')
        if all(term.of == "teacher" for term in self.objective.values()):
            raise ValueError("objective must have a term that judges the student; add one, or drop an of")
        self._check_labels(self.objective, "objective")
        for key, given in (("top_k", self.transfer.top_k is not None), ("codes", self.transfer.codes != "float16")):
            if given and (self.teacher.learns or not self.transfer.cached):
                raise ValueError(
                    f"transfer.{key} needs stored targets; leave it out, or set cached = true and learns = false"
                )
        _check_pauses(self.terms, self.student.training.epochs)
        return self

    @model_validator(mode="after")
    def _steps_fit_the_teacher(self) -> Recipe:
        distils = [step for step in self.student.course if isinstance(step, DistilStep)]
        if self.teacher.learns and len(distils) > 1:
            raise ValueError("student.steps must have one distil step where the teacher learns along; leave out others")
        if self.teacher.learns and distils[0].hears == "itself":
            raise ValueError("student.steps: a student that hears itself has no teacher that learns along")
        for step in distils:
            if step.objective is None:
                continue
            if not self.teacher.learns and any(term.of == "teacher" for term in step.objective.values()):
                raise ValueError('of = "teacher" in a step needs a teacher that learns; set teacher.learns = true')
            if all(term.of == "teacher" for term in step.objective.values()):
                raise ValueError("the objective of a step must have a term that judges the student; add one")
            self._check_labels(step.objective, "a step")
        for step in distils:
            _check_pauses(self.objective_of(step), self.training_of(step).epochs)
        return self

    @model_validator(mode="after")
    def _transfer_fits_the_teacher(self) -> Recipe:
        teacher, transfer = self.teacher, self.transfer
        frozen_only = {
            "transfer.only": transfer.only is not None,
            "transfer.without": transfer.without is not None,
            "transfer.share": transfer.share < 1,
            "transfer.unlabeled": transfer.unlabeled is not None,
            "transfer.label_views": not transfer.label_views,
            "transfer.per_teacher": transfer.per_teacher,
            "transfer.synthesis": transfer.synthesis is not None,
            "student.shift_absent": self.student.shift_absent,
        }
        for key, given in frozen_only.items():
            if teacher.learns and given:
                raise ValueError(f"{key} needs a teacher that does not learn; leave it out")
        if transfer.per_teacher:
            if not transfer.cached:
                raise ValueError("transfer.per_teacher needs stored targets; leave it out, or set cached = true")
            if teacher.count == 1:
                raise ValueError("transfer.per_teacher needs a teacher of several members; leave it out")
            if any(one.classes is not None for one in teacher.each or ()):
                raise ValueError(
                    "transfer.per_teacher needs members that know all classes; leave it out, or teacher.each.classes"
                )
        if self.student.shift_absent and transfer.synthesis is not None:
            raise ValueError("student.shift_absent is for classes left out, and synthesis leaves none out; drop one")
        if teacher.specialists is not None and any(reads_layers(objective) for objective, _ in self.trainings):
            raise ValueError(
                "teacher.specialists are no one network whose layers a term could read; leave one of them out"
            )
        return self

    def _check_labels(self, objective: Mapping[str, Term], where: str) -> None:
        """Terms that hear labels must have some."""
        for name, kind in (("hard_labels", HardLabels), ("decoupled", Decoupled)):
            if not self.transfer.labels and any(isinstance(term.loss, kind) for term in objective.values()):
                raise ValueError(f"{name} in {where} needs labels; drop the term or set transfer.labels = true")

    def objective_of(self, step: DistilStep) -> Objective:
        """What a step minimizes."""
        return self.terms if step.objective is None else Objective(step.objective)

    def training_of(self, step: DistilStep) -> Training:
        """How a step trains."""
        return step.training or self.student.training

    @property
    def trainings(self) -> list[tuple[Objective, Training]]:
        """Objective and settings of all trainings of a student, in order."""
        distils = (step for step in self.student.course if isinstance(step, DistilStep))
        return [(self.objective_of(step), self.training_of(step)) for step in distils]

    @property
    def terms(self) -> Objective:
        """The objective that the loop minimizes."""
        return Objective(self.objective)

    @property
    def control_terms(self) -> Objective:
        """The same without the teacher: the hard labels alone, at full weight."""
        return labels_alone(self.terms)

    @property
    def temperature(self) -> float:
        """The temperature at which targets are heard: that of the first term of the last training that has one."""
        for objective, training in reversed(self.trainings):
            for term in objective.at(math.nextafter(float(training.epochs), 0.0)):
                temperature = getattr(term.loss, "temperature", None)
                if temperature is not None:
                    return float(temperature)
        return 1.0

    def document(self) -> dict[str, Any]:
        """The resolved recipe as a plain document, defaults included."""
        return self.model_dump(mode="python", exclude_none=True)


assert set(MEANS) == {"probabilities", "logits", "geometric"}, "TeacherSection.mean must list MEANS"
