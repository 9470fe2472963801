"""What scikit-learn is to know about a mimic: what it knows about the teacher."""

from __future__ import annotations

from sklearn.utils import ClassifierTags, RegressorTags, Tags

from attar.estimators import teachers


def mimicked(tags: Tags, teacher: object) -> Tags:
    """The tags of a mimic of a teacher.

    Args:
        tags: Those that every estimator has; changed in place.
        teacher: Whom it imitates.
    """
    kind, its = teachers.kind_of(teacher), teachers.tags_of(teacher)
    tags.estimator_type = kind
    tags.input_tags.sparse = True
    tags.target_tags.required = not teachers.is_fitted(teacher)
    if kind == "classifier":
        tags.classifier_tags = ClassifierTags()
    if kind == "regressor":
        tags.regressor_tags = RegressorTags()
    if its is not None:
        if its.classifier_tags is not None:
            tags.classifier_tags = ClassifierTags(
                multi_class=its.classifier_tags.multi_class, multi_label=its.classifier_tags.multi_label
            )
        tags.target_tags.single_output = its.target_tags.single_output
        tags.target_tags.multi_output = kind == "regressor" and its.target_tags.multi_output
        tags.input_tags.allow_nan = its.input_tags.allow_nan
        tags.input_tags.string = its.input_tags.string
        tags.input_tags.categorical = its.input_tags.categorical
        tags.input_tags.positive_only = its.input_tags.positive_only
        tags.non_deterministic = its.non_deterministic
    return tags
