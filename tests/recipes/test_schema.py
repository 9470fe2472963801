"""What a recipe may say, and that what it says is what the library does."""

from __future__ import annotations

import copy
import dataclasses
import importlib
import inspect
from collections.abc import Callable
from pkgutil import iter_modules
from typing import Any, get_args

import pytest

from attar.budget import Limit
from attar.deployment.backends import RUNTIMES
from attar.errors import BadInput
from attar.pipeline.objective import LOSSES, labels_alone
from attar.pipeline.section import Section
from attar.recipes.read import from_document
from attar.recipes.schema.recipe import BudgetSection, Runtime
from attar.tasks.classification import Classification
from attar.training import losses
from attar.training.losses.outputs import HardLabels, SoftTargets
from attar.training.settings import Training

Document = dict[str, Any]

TASK = Classification(("no", "yes"))


def test_the_dict_of_losses_covers_each_public_loss_once() -> None:
    """A loss is a public dataclass of the losses folder whose instances are called with an output and a batch."""
    modules = [
        importlib.import_module(f"attar.training.losses.{found.name}") for found in iter_modules(losses.__path__)
    ]
    public = {
        kind
        for module in modules
        for name, kind in vars(module).items()
        if inspect.isclass(kind)
        and kind.__module__ == module.__name__
        and dataclasses.is_dataclass(kind)
        and not name.startswith("_")
        and "__call__" in vars(kind)
    }
    assert public == set(LOSSES.values())
    assert len(LOSSES) == len(public)


def test_runtimes_are_those_that_deploy_knows() -> None:
    assert get_args(Runtime) == RUNTIMES


def test_every_setting_of_training_can_be_said(tiny: Document) -> None:
    said = from_document(tiny).document()["student"]["training"]
    absent = {field.name for field in dataclasses.fields(Training) if field.default is None}
    assert set(said) == {field.name for field in dataclasses.fields(Training)} - {"seed"} - absent


def test_whole_numbers_pass_for_floats_and_true_does_not(tiny: Document) -> None:
    tiny["objective"]["soft"]["temperature"] = 4
    tiny["budget"]["macs"] = 3
    recipe = from_document(tiny)
    assert recipe.objective["soft"].loss == SoftTargets(temperature=4.0)
    assert recipe.budget.macs == Limit("macs", 3.0)
    tiny["budget"]["macs"] = True
    with pytest.raises(BadInput, match=r"budget\.macs must .*got True"):
        from_document(tiny)


def test_the_baseline_learns_from_the_labels_alone_at_full_weight(tiny: Document) -> None:
    tiny["objective"]["hard"] |= {"smoothing": 0.1}
    terms = labels_alone(from_document(tiny).terms, TASK).terms
    assert [(term.loss, term.weight) for term in terms.values()] == [(HardLabels(smoothing=0.1), 1.0)]
    del tiny["objective"]["hard"]
    assert [term.loss for term in labels_alone(from_document(tiny).terms, TASK).terms.values()] == [HardLabels()]


def test_every_key_of_a_section_is_described() -> None:
    """The description is the documentation of a key; tables explain themselves."""
    assert all(section.__doc__ for section in Section.__subclasses__())
    undescribed = [key for key, field in BudgetSection.model_fields.items() if not field.description]
    assert undescribed == []


def test_functions_that_the_schema_names_exist(tiny: Document) -> None:
    module, _, name = tiny["student"]["network"]["use"].partition(":")
    assert callable(getattr(importlib.import_module(module), name))


def _set(*path: str, to: Any) -> Callable[[Document], None]:
    def change(document: Document) -> None:
        for key in path[:-1]:
            document = document.setdefault(key, {})
        document[path[-1]] = to

    return change


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (_set("teacher", "onnx", to=["a.onnx"]), "give one of network .* got network and onnx"),
        (_set("teacher", "network", to=None), "give one of network .* got none"),
        (_set("teacher", to={"library": {}, "estimator": "a:b"}), "got estimator and library"),
        (_set("teacher", to={"library": {}, "members": 3}), "there are no learns, weights or members"),
        (_set("teacher", to={"library": {"sorted_init": -1}}), "sorted_init"),
        (_set("teacher", to={"library": {"metric": "f1"}}), "'rmse', 'log_loss', 'brier', 'accuracy' or 'auc'"),
        (_set("transfer", to={"synthesis": {"rows": 0}}), "rows must be at least 1; got 0"),
        (_set("transfer", to={"synthesis": {"rows": 9, "method": "random", "p": 0.5}}), "p and s belong to"),
        (_set("transfer", to={"synthesis": {"rows": 9, "components": 3}}), "components belongs to"),
        (_set("transfer", to={"synthesis": {"rows": 9}, "views": {"count": 2}}), "views are for pictures"),
        (_set("transfer", to={"synthesis": {"rows": 9}, "cached": False}), "synthesis needs stored targets"),
        (_set("teacher", "network", "mean", to=[0.5]), "mean and std must be given together"),
        (_set("teacher", "training", "seed", to=1), "There is one seed"),
        (_set("teacher", "training", "epochs", to=0), "epochs of Training must be greater than 0; got 0"),
        (_set("teacher", "training", to=3), "must be a table; got 3"),
        (_set("teacher", "seed", to=2**80), "seed must be less than 4294967296; got"),
        (_set("teacher", "seed", to=-1), "seed must be at least 0; got -1"),
        (_set("teacher", "mean", to="median"), "'probabilities', 'logits' or 'geometric'"),
        (_set("name", to="../elsewhere"), "name must be of letters"),
        (_set("name", to="a/../../elsewhere"), "name must be of letters"),
        (_set("name", to="two words"), "name must be of letters"),
        (_set("budget", "macs", to=float("inf")), "budget.macs must be a number with its unit; got inf"),
        (_set("artifacts", "seconds", to=float("inf")), "finite"),
        (_set("budget", "quality_loss", to=10**310), "at most 300 digits"),
        (_set("artifacts", "runtimes", to=[]), r"runtimes must have at least 1 entry; got \[\]"),
        (_set("artifacts", "runtimes", to=["tensorrt"]), f"{RUNTIMES[-2]!r} or {RUNTIMES[-1]!r}"),
        (_set("objective", to={}), "objective must have at least 1 entry"),
        (_set("objective", "soft", "use", to=["soft_targets"]), "use must name a loss"),
        (_set("objective", "soft", "use", to="soft_target"), "Did you mean 'soft_targets'"),
        (_set("objective", "soft", "of", to="nobody"), "of must be 'student' or 'teacher'; got 'nobody'"),
        (_set("objective", "soft", "temperature", to={"start": 1.0}), "key end is missing"),
        (
            _set("objective", "soft", "temperature", to=float("inf")),
            "finite and greater than 0, from 0.001 to 10,000, .*; got inf",
        ),
        (_set("objective", "soft", to=[1]), "must be a table"),
    ],
)
def test_rules_are_told_in_one_sentence(tiny: Document, change: Callable[[Document], None], said: str) -> None:
    change(tiny)
    with pytest.raises(BadInput, match=said):
        from_document({key: value for key, value in tiny.items() if value is not None})


def test_terms_must_leave_no_pause(tiny: Document) -> None:
    """The loop would stop at the first epoch in which nothing counts, after training until there."""
    for term in tiny["objective"].values():
        term["end_epoch"] = 2
    with pytest.raises(BadInput, match="in force in every epoch, also 2"):
        from_document(tiny)
    tiny["objective"]["hard"]["end_epoch"] = 4
    from_document(tiny)  # four epochs: 0 to 3
    tiny["objective"]["soft"] |= {"start_epoch": 1, "end_epoch": 3}
    tiny["objective"]["hard"] |= {"start_epoch": 1, "end_epoch": 4}
    with pytest.raises(BadInput, match="in force in every epoch, also 0"):
        from_document(tiny)


def test_a_teacher_that_learns_is_one_network_and_the_student_is_judged(tiny: Document) -> None:
    learning = copy.deepcopy(tiny)
    learning["teacher"]["learns"] = True
    learning["objective"]["its"] = {"use": "hard_labels", "of": "teacher"}
    assert from_document(learning).teacher.learns
    tiny["objective"]["its"] = {"use": "hard_labels", "of": "teacher"}
    with pytest.raises(BadInput, match="needs a teacher that learns"):
        from_document(tiny)
    learning["objective"] = {"its": {"use": "hard_labels", "of": "teacher"}}
    with pytest.raises(BadInput, match="must have a term that judges the student"):
        from_document(learning)
    learning["objective"]["hard"] = {"use": "hard_labels"}
    learning["teacher"]["members"] = 2
    with pytest.raises(BadInput, match="needs one network as teacher"):
        from_document(learning)


def test_settings_that_would_do_nothing_are_refused(tiny: Document) -> None:
    tiny["transfer"] = {"cached": False, "top_k": 2}
    with pytest.raises(BadInput, match=r"transfer\.top_k needs stored targets"):
        from_document(tiny)
    tiny["transfer"] = {"labels": False}
    with pytest.raises(BadInput, match="hard_labels in objective needs labels"):
        from_document(tiny)
    tiny["transfer"] = {}
    tiny["teacher"] = {"onnx": ["a.onnx"], "members": 3}
    with pytest.raises(BadInput, match=r"members \(3\) must be the number of onnx files \(1\)"):
        from_document(tiny)


@pytest.mark.parametrize(
    ("key", "change"),
    [
        ("transfer.only", {"transfer": {"only": ["ant", "bee"]}}),
        ("transfer.without", {"transfer": {"without": ["ant"]}}),
        ("transfer.share", {"transfer": {"share": 0.5}}),
        ("transfer.labeled_share", {"transfer": {"labeled_share": 0.5}}),
        ("transfer.unlabeled", {"transfer": {"unlabeled": "a.npz"}}),
        ("transfer.label_views", {"transfer": {"label_views": False}}),
        ("transfer.per_teacher", {"transfer": {"per_teacher": True}}),
        ("transfer.synthesis", {"transfer": {"synthesis": {"rows": 9}}}),
        ("the step correct", {"student": {"steps": [{"use": "distill"}, {"use": "correct"}]}}),
    ],
)
def test_a_teacher_that_learns_has_no_use_for_settings_of_targets(tiny: Document, key: str, change: Document) -> None:
    tiny["teacher"]["learns"] = True
    from_document(tiny)
    for table, settings in change.items():
        tiny[table] = tiny.get(table, {}) | settings
    with pytest.raises(BadInput, match=f"{key} needs a teacher that does not learn; leave it out"):
        from_document(tiny)


MEMBER = {"onnx": "a.onnx"}


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"transfer": {"per_teacher": True}}, "per_teacher needs a teacher of several members"),
        (
            {"teacher": {"members": 2}, "transfer": {"per_teacher": True, "cached": False}},
            "per_teacher needs stored targets",
        ),
        ({"teacher": {"votes": [1.0]}}, "votes are for several members"),
        (
            {"transfer": {"synthesis": {"rows": 9}}, "student": {"steps": [{"use": "distill"}, {"use": "correct"}]}},
            "the step correct is for classes",
        ),
        ({"transfer": {"labels": False}, "objective": {"hard": {"use": "decoupled"}}}, "decoupled in objective needs"),
        (
            {
                "transfer": {"labels": False},
                "objective": {"hard": {"use": "soft_targets"}},
                "student": {"steps": [{"use": "distill", "objective": {"a": {"use": "decoupled"}}}]},
            },
            "decoupled in a step needs labels",
        ),
        (
            {
                "teacher": {"specialists": {"clusters": 2}},
                "objective": {"hint": {"use": "hidden_match", "student_layer": "2", "teacher_layer": "2"}},
            },
            "teacher.specialists are no one network whose layers",
        ),
    ],
)
def test_settings_that_do_not_go_together_are_refused(tiny: Document, change: Document, said: str) -> None:
    for table, settings in change.items():
        tiny[table] = tiny.get(table, {}) | settings
    with pytest.raises(BadInput, match=said):
        from_document(tiny)


def test_members_that_know_some_classes_are_not_labelled_apart(tiny: Document) -> None:
    tiny["transfer"] = {"per_teacher": True}
    tiny["teacher"] = {"each": [MEMBER, MEMBER]}
    assert from_document(tiny).transfer.per_teacher
    tiny["teacher"] = {"each": [MEMBER, MEMBER | {"classes": ["ant", "bee"]}]}
    with pytest.raises(BadInput, match="per_teacher needs members that know all classes"):
        from_document(tiny)


def test_votes_of_a_library_are_refused(tiny: Document) -> None:
    tiny["teacher"] = {"library": {}, "votes": [1.0]}
    with pytest.raises(BadInput, match="votes are for several members"):
        from_document(tiny)


def test_the_temperature_is_that_of_the_last_training(tiny: Document) -> None:
    soft = {"use": "soft_targets", "temperature": 9.0}
    tiny["student"]["steps"] = [{"use": "distill"}, {"use": "distill", "objective": {"soft": soft}}]
    assert from_document(tiny).temperature == 9.0
    tiny["student"]["steps"].append({"use": "distill", "objective": {"hard": {"use": "hard_labels"}}})
    assert from_document(tiny).temperature == 9.0, "labels have no temperature"
