"""Fitting an estimator on rows of which some count more than others."""

from __future__ import annotations

from attar.errors import BadInput


def refuse_without_weights(estimator: object, of: str, key: str) -> None:
    """See that the ``fit`` of an estimator takes weights.

    Args:
        estimator: Not fitted.
        of: What it is, for the message.
        key: Where the user gave the weights.

    Raises:
        BadInput: If it does not.
    """
    from sklearn.utils.validation import has_fit_parameter  # scikit-learn takes a second, and most runs do without

    if not has_fit_parameter(estimator, "sample_weight"):
        raise BadInput(
            f"{of}, a {type(estimator).__name__}, takes no sample_weight when it is fitted, and {key} is given. Fit it "
            f"before, with weights as it takes them, and give it fitted; or leave {key} out."
        )
