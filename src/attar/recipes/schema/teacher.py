"""The tables of a recipe about the teacher."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import AfterValidator, Field, model_validator

from attar.network.references import check_written
from attar.pipeline.section import Number, Section, Seed, TrainingSettings, each_once
from attar.recipes.schema.data import ViewsSection
from attar.recipes.schema.network import NetworkSection
from attar.teachers.ensemble import MEANS
from attar.teachers.image_inputs import ImageInputs
from attar.teachers.model_file import FILES, is_model_file, refused_file
from attar.training.settings import Training


def _file_or_function(text: str) -> str:
    """The path of a fitted model, or a reference."""
    if is_model_file(text):
        return text
    if why := refused_file(text):
        raise ValueError(f"must be a file that is read without running it; got {text!r}. It {why}")
    if ":" not in text:
        raise ValueError(f"must be a file ({', '.join(FILES)}) or package.module:function; got {text!r}")
    return check_written(text)


GivenOutput = Literal["logits", "probabilities", "log_probabilities"]
"""What a given model of a classification may be stated to give."""


class LibrarySection(Section):
    """Many models trained here, of which an ensemble is selected on validation data."""

    families: Annotated[list[str], Field(min_length=1), AfterValidator(each_once)] | None = Field(
        None, description="families of models to train; all that are installed if left out"
    )
    size: Literal["small", "full"] = Field("small", description="how fine the grids of settings are")
    metric: Literal["rmse", "log_loss", "brier", "accuracy", "auc"] = Field("rmse", description="what is selected by")
    sorted_init: Annotated[int, Field(ge=0)] | Literal["best"] = Field(
        "best", description="how many of the best models a selection begins with; best takes as many as help"
    )
    bags: Annotated[int, Field(ge=1, le=10_000)] = Field(
        20, description="selections from random parts of the library, averaged"
    )
    bag_fraction: Annotated[Number, Field(gt=0, le=1)] = Field(0.5, description="share of the library in each part")
    max_steps: Annotated[int, Field(ge=1, le=100_000)] = Field(
        100, description="models added in each selection, at most"
    )


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
    jobs: Annotated[int, Field(ge=1, le=1024)] = Field(1, description="processes that train at once")

    @model_validator(mode="after")
    def _sets_are_found_or_given(self) -> SpecialistsSection:
        if (self.clusters is None) == (self.sets is None):
            raise ValueError("give clusters, or the sets themselves; one of them, not both")
        if self.sets is not None and self.set_size is not None:
            raise ValueError("set_size is for sets that are found; leave it out")
        return self


class InputsSection(Section):
    """What images are changed to before a given teacher sees them, where it was trained on others than the data are."""

    size: Annotated[list[Annotated[int, Field(ge=1)]], Field(min_length=2, max_length=2)] | None = Field(
        None, description="height and width"
    )
    channels: Literal[1, 3] | None = Field(None, description="3 for colors, 1 for grey")
    mean: Annotated[list[Number], Field(min_length=1)] | None = Field(
        None, description="per channel, taken from pixels in 0..1"
    )
    std: Annotated[list[Number], Field(min_length=1)] | None = Field(
        None, description="per channel, by which they are divided"
    )

    @model_validator(mode="after")
    def _can_be(self) -> InputsSection:
        assert self.wanted is not None
        return self

    @property
    def wanted(self) -> ImageInputs:
        """The same for teachers."""
        mean, std = (None if one is None else tuple(map(float, one)) for one in (self.mean, self.std))
        size = None if self.size is None else (self.size[0], self.size[1])
        return ImageInputs(size=size, channels=self.channels, mean=mean, std=std)


class MemberSection(Section):
    """One given model of a teacher whose models differ: in what they take, or in the classes that they know."""

    network: NetworkSection | None = Field(None, description="its architecture; goes with weights")
    weights: str | None = Field(None, description="safetensors file")
    onnx: str | None = Field(None, description="ONNX file instead of a network")
    inputs: InputsSection | None = Field(None, description="what it wants of images, where the data have others")
    classes: list[str] | None = Field(None, description="names of the classes it knows, in the order of its logits")
    vote: Annotated[Number, Field(gt=0)] = Field(1.0, description="weight in the average")
    output: GivenOutput | None = Field(None, description="what the model gives; found out if left out")
    output_name: str | None = Field(None, description="which output of an ONNX file, where several could be meant")

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
    members: Annotated[int, Field(ge=1, le=1000)] = Field(1, description="networks to train, from different seeds")
    weights: list[str] = Field(default_factory=list, description="safetensors files, one per member; none: train them")
    onnx: list[str] = Field(default_factory=list, description="ONNX files instead of networks")
    each: Annotated[list[MemberSection], Field(min_length=1)] | None = Field(
        None, description="given models that differ in what they take or know, one table each"
    )
    estimator: Annotated[str, AfterValidator(_file_or_function)] | None = Field(
        None,
        description="package.module:function that returns a model with predict_proba, fitted unless fit = true, or a "
        "network with its weights; or a file with a fitted model: .skops, .txt of LightGBM, .json or .ubj of XGBoost, "
        ".cbm of CatBoost",
    )
    transformers: str | None = Field(
        None, description="folder that a model of transformers was saved to: config.json and model.safetensors"
    )
    use: Annotated[str, AfterValidator(check_written)] | None = Field(
        None,
        description="package.module:function that returns a network with its weights, or anything else that "
        "attar.as_teacher takes",
    )
    inputs: InputsSection | None = Field(
        None, description="what onnx, transformers or use wants of images, where the data have others"
    )
    classes: Annotated[list[str], Field(min_length=2), AfterValidator(each_once)] | None = Field(
        None, description="names of the data's classes in the order of the outputs of a model that numbers its classes"
    )
    fit: bool = Field(
        False, description="the estimator comes unfitted and is fitted here, on the training rows and nothing else"
    )
    library: LibrarySection | None = Field(None, description="models trained here for rows of a table, and a selection")
    mean: Literal["probabilities", "logits", "geometric"] = Field("probabilities", description="what is averaged")
    output: GivenOutput | None = Field(None, description="what given models give; found out if left out")
    output_name: str | None = Field(None, description="which output of ONNX files, where several could be meant")
    rows_at_once: Annotated[int, Field(ge=1)] | None = Field(
        None,
        description="examples that an estimator, or what use returns, is asked about at once; each block is kept, and "
        "asked once",
    )
    samples: Annotated[int, Field(ge=2)] | None = Field(
        None, description="answers to average of a teacher that answers at random"
    )
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
        given = [
            name
            for name in ("network", "onnx", "each", "estimator", "transformers", "use", "library")
            if getattr(self, name)
        ]
        if len(given) != 1:
            raise ValueError(
                "give one of network (with weights, or to be trained here), onnx, each, estimator, transformers, use "
                "and library; "
                f"got {' and '.join(given) or 'none'}"
            )
        if self.fit and self.estimator is None:
            raise ValueError('fit = true is for an estimator; leave it out, or give estimator = "module:function"')
        if self.fit and is_model_file(str(self.estimator)):
            raise ValueError("fit = true is for a function; a file holds a fitted model. Leave it out")
        if self.classes is not None and (self.fit or (self.estimator is None and self.transformers is None)):
            raise ValueError(
                "classes are for transformers, and for an estimator that is not fitted here; leave them out"
            )
        if self.inputs is not None and not (self.onnx or self.transformers or self.use):
            raise ValueError("inputs are for onnx, transformers and use; with network, write [[teacher.each]]")
        for name in ("estimator", "library", "transformers", "use"):
            if getattr(self, name) is not None and (self.learns or self.weights or self.members != 1):
                raise ValueError(f"with {name} there are no learns, weights or members; leave them out")
        if self.output is not None and not (self.weights or self.onnx or self.transformers or self.use):
            raise ValueError(
                "output is for weights, onnx, transformers and use; with each, give it in the table of the model"
            )
        if self.output_name is not None and not self.onnx:
            raise ValueError("output_name is for onnx; with each, give it in the table of the model")
        if self.rows_at_once is not None and (self.samples is not None or not (self.estimator or self.use)):
            raise ValueError("rows_at_once is for estimator and use, without samples; leave it out")
        if self.samples is not None and (self.learns or self.library is not None or self.specialists is not None):
            raise ValueError("samples are for a frozen teacher without specialists; leave them out")
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
    def given(self) -> bool:
        """Whether it is there before the run: nothing of it is trained here."""
        known = self.onnx or self.each or self.weights or self.transformers or self.use
        return bool(known or (self.estimator is not None and not self.fit))

    @property
    def may_be_network(self) -> bool:
        """Whether what is called an estimator is a function, of which only its call tells that it returns a network."""
        return self.estimator is not None and not self.fit and not is_model_file(self.estimator)

    @property
    def trained_here(self) -> bool:
        """Whether its networks are trained in the run, before the students."""
        return self.network is not None and not self.weights and not self.learns

    @property
    def given_networks(self) -> list[dict[str, Any]]:
        """How networks with given weights are built: an argument may change answers and no weight, and is in no digest.

        Of networks that are trained here the weights follow from it.
        """
        sections = [one.network for one in self.each or ()] + ([self.network] if self.weights else [])
        return [one.known_by() for one in sections if one is not None]

    @property
    def count(self) -> int:
        """How many members there are."""
        return len(self.onnx) or len(self.weights) or len(self.each or ()) or self.members


assert set(MEANS) == {"probabilities", "logits", "geometric"}, "TeacherSection.mean must list MEANS"
