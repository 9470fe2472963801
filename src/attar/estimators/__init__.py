"""The face for users of scikit-learn: a small network that imitates any estimator, fitted like one."""

from attar.estimators.mimic import Mimic as Mimic

__all__ = ["Mimic"]
