"""The face for users of scikit-learn: a small network that imitates any estimator, fitted like one."""
