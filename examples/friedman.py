"""Data and teacher of friedman.toml: ten columns, of which five say what a number is, and noise says the rest."""

from typing import Any

from sklearn.datasets import make_friedman1
from sklearn.gaussian_process import GaussianProcessRegressor
from sklearn.gaussian_process.kernels import RBF, WhiteKernel
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import StandardScaler


def data() -> dict[str, Any]:
    """1,000 rows of Friedman's function: ``10 sin(pi a b) + 20 (c - 1/2)² + 10 d + 5 e``, and noise of deviation 1."""
    x, y = make_friedman1(n_samples=1000, noise=1.0, random_state=0)
    return {"x": x, "y": y, "names": ["output"], "task": "regression", "columns": list("abcdefghij")}


def teacher() -> Pipeline:
    """A Gaussian process, which the run fits on its training rows, and which keeps all of them to predict."""
    process = GaussianProcessRegressor(RBF(3.0) + WhiteKernel(), normalize_y=True)
    return make_pipeline(StandardScaler(), process)
