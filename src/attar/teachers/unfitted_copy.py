"""An estimator as it was before it was fitted."""

from __future__ import annotations

from typing import Any

_KINDS = ("cat", "text", "embedding")
"""What CatBoost calls columns that are no numbers."""


def unfitted_copy(estimator: Any) -> Any:
    """What `sklearn.base.clone` gives; also of estimators whose constructor copies what it is given.

    Such are CatBoost's, which `clone` refuses once they have ``cat_features``. Columns that one of these took for names
    or texts because its ``fit`` was told so, or a Pool, stay that.

    Args:
        estimator: Fitted or not, with ``get_params``.

    Raises:
        TypeError: If it has no ``get_params``.
    """
    copy = _copied(estimator)
    if not (hasattr(estimator, "get_cat_feature_indices") and estimator.is_fitted()):
        return copy
    for kind in _KINDS:
        places = list(getattr(estimator, f"get_{kind}_feature_indices")())
        if places and copy.get_params().get(f"{kind}_features") is None:
            copy.set_params(**{f"{kind}_features": places})
    return copy


def _copied(value: Any, *, safe: bool = True) -> Any:
    from sklearn.base import clone  # scikit-learn takes a second, and most runs do without

    if isinstance(value, list | tuple) and type(value) in (list, tuple):
        return type(value)(_copied(one, safe=False) for one in value)
    try:
        return clone(value, safe=safe)
    except RuntimeError:  # its constructor modifies a parameter, or that of an estimator in it does
        given = value.get_params(deep=False)
        return type(value)(**{name: _copied(one, safe=False) for name, one in given.items()})
