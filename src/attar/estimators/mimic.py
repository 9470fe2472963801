"""`Mimic`: a small network that imitates an estimator of scikit-learn, and is one itself.

The method is that of Bucila, Caruana, Niculescu-Mizil, *Model Compression*, KDD 2006: synthesize many rows that look
like the data, let the big model label them, and train a small network on its outputs.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
import torch
from scipy.special import expit, softmax  # type: ignore[import-untyped]
from sklearn.base import BaseEstimator
from sklearn.metrics import accuracy_score, r2_score
from sklearn.utils import Tags
from sklearn.utils.metaestimators import available_if
from sklearn.utils.validation import check_is_fitted

from attar.data.in_memory import outputs_of
from attar.deployment.artifact import Artifact
from attar.deployment.backends import PORTABLE
from attar.deployment.candidates import candidate_of
from attar.deployment.deploy import deploy
from attar.estimators import teachers
from attar.estimators.build import MimicBuilder, task_of
from attar.estimators.choice import chosen
from attar.estimators.labels import label_names
from attar.estimators.origin import counted_from, origin_of
from attar.estimators.outputs import outputs_for
from attar.estimators.plan import checked, seed_of
from attar.estimators.report import Clock, Report, figures
from attar.estimators.rows import (
    blocks_of,
    counted,
    head,
    held_against,
    is_frame,
    sample_weights,
    warn_about_columns,
)
from attar.estimators.tags import mimicked
from attar.estimators.trials import Given
from attar.estimators.truth import (
    as_target,
    check_as_many,
    numbered,
    refuse_labels_of_nothing,
    refuse_one_class,
    truth_of,
    values_to_judge_by,
    warn_of_chance,
)
from attar.network.entry_point import entry_point
from attar.tables.columns import Columns
from attar.teachers.boosters import is_booster
from attar.training.progress import Progress, silent

_BLOCK = 1 << 24
"""Values of a sparse matrix that are in memory at once when predicting, as an array of 128 MB."""

_CALIBRATION_ROWS = 256
"""Training rows kept for checking a deployment and for calibrating it."""


class Mimic(BaseEstimator):  # type: ignore[misc]  # scikit-learn has no types
    """A small network that predicts what a big estimator predicts.

    `fit` synthesizes rows that look like the data, has the teacher label them, and trains the network on that. A
    teacher that is fitted already is used as it is, and then rows need no labels; another one is first fitted (a clone
    of it) on the rows and labels given, as scikit-learn's meta-estimators do. Note that `sklearn.base.clone`, and so
    cross-validation and searches, clone the teacher too, which forgets its fit: wrap it in
    `sklearn.frozen.FrozenEstimator` to keep it.

    A mimic of a classifier is a classifier and a mimic of a regressor a regressor. It may have several values, or
    several labels of which any may hold, where its teacher does (y in columns of 1 and 0): then it predicts such
    columns, and gives the probability of each label whatever the form in which its teacher does. Maps, with a class for
    each pixel, are not for tables: `attar.fit` trains networks on them.

    Attributes:
        classes_: Classes, sorted (classifiers); of several labels a list with 0 and 1 for each of them.
        teacher_: The fitted teacher.
        columns_: What the columns of the rows are.
        network_: The network, from encoded rows (float32, nominals as codes, NaN where missing) to logits, log-odds of
            several labels, or values.
        spec_: How to build that network anew.
        synthesis_: How rows were synthesized, with the p and s that were chosen; None if none were.
        report_: How close the mimic is to its teacher on validation rows.
        n_features_in_: Number of columns.
        feature_names_in_: Names of the columns, where the rows had them.

    Example:
        >>> from sklearn.datasets import load_iris
        >>> from sklearn.ensemble import RandomForestClassifier
        >>> X, y = load_iris(return_X_y=True)
        >>> forest = RandomForestClassifier(random_state=0).fit(X, y)
        >>> mimic = Mimic(forest, hidden=(16,), p=0.5, s=1.0, rows=2000, steps=200, random_state=0).fit(X)
        >>> bool(np.mean(mimic.predict(X) == forest.predict(X)) > 0.9)
        True

    References:
        Bucila, Caruana, Niculescu-Mizil, *Model Compression*, KDD 2006.
    """

    def __init__(
        self,
        teacher: Any,
        *,
        hidden: Sequence[int] = (256,),
        rows: int | None = None,
        method: Literal["munge", "random", "nbe"] = "munge",
        p: float | None = 0.5,
        s: float | None = 1.0,
        loss: Literal["kl_divergence", "squared_error", "logits"] = "kl_divergence",
        steps: int | None = None,
        batch_size: int = 256,
        learning_rate: float = 0.01,
        validation: float | int = 0.1,
        nominal: Sequence[str | int] = (),
        unseen: Literal["error", "missing"] = "error",
        embed: int | None = None,
        curves: int | None = None,
        labels: float | None = None,
        time: float | str | None = None,
        include_original: bool = True,
        rows_at_once: int | None = None,
        runtime: str = PORTABLE,
        random_state: Any = None,
    ) -> None:
        """Set the parameters; `fit` checks them.

        Args:
            teacher: An estimator with ``predict_proba`` (or ``decision_function``, for two classes) or, for regression,
                ``predict``; a ``Booster`` of LightGBM or XGBoost; or one of Attar's teachers.
            hidden: Width of each hidden layer.
            rows: Synthetic rows, and 0 learns from the real rows alone; None chooses between none, and 25 for each real
                row, at most 50,000.
            method: How rows are synthesized: ``munge``, or the baselines ``random`` and ``nbe``.
            p: Probability with which MUNGE changes a value; None tunes it on validation rows.
            s: MUNGE's local variance parameter, larger for less; None tunes it likewise.
            loss: What is minimized: the Kullback-Leibler divergence from the teacher's probabilities, their
                ``squared_error`` as in the paper, or the squared error of centered ``logits``. A regressor's mimic
                always has the squared error of its values, and one of several labels the divergence of each of them.
            steps: Optimizer steps; as many epochs are taken as come nearest to them, at least one. None trains in
                rounds, of 8,000 steps together at most, until one of them betters the loss on validation rows no more.
            batch_size: Rows in a step.
            learning_rate: Peak step size of Adam.
            validation: Share (below 1) or number of the real rows that the network does not learn from; they choose p
                and s, and from six of them on the best epoch, which is the last one else.
            nominal: Columns whose numbers are mere names, by name or position; strings always are.
            unseen: What to do when predicting on a nominal value that its column did not have when fitted: ``error``,
                or take it for ``missing``. A missing value counts as the column's middle where there was none when
                fitted, and how many did is logged.
            embed: Width of learned embeddings of nominal columns; None for one input per value.
            curves: Piecewise linear functions of each column of numbers that training chooses, which follow steps such
                as those of trees, with logarithms of long tails; 0 for numbers standardized alone. None chooses between
                four (fewer of more than 64 columns) and 0.
            labels: Share of the labels in what the network learns of real rows, above 0 with y alone; None chooses
                between 0 and, of real rows alone, a half or all, and is 0 without y.
            time: How long the choice of curves, rows and labels may take, in seconds or as "2m"; 0 chooses nothing.
                The clock is looked at between trainings alone: copies of the teacher are fitted (on 8,000 rows at
                most) and a first training is done in any case; another one where it would end in time if it took
                the mean of those before; one more, of how long to train, where half of the time is left. None does
                up to five. The teacher's own fit and the final training are no part of it.
            include_original: Whether the network learns from the real rows too.
            rows_at_once: About how many rows the teacher is asked at once, at most, as some take few; 4,096 if None. It
                is asked once about each row, real or synthetic, after up to 100 that show what it gives.
            runtime: What `save` writes for by default.
            random_state: Seed (as of a recipe), generator or None: validation and synthetic rows, first weights, order.
        """
        self.teacher = teacher
        self.hidden = hidden
        self.rows = rows
        self.method = method
        self.p = p
        self.s = s
        self.loss = loss
        self.steps = steps
        self.batch_size = batch_size
        self.learning_rate = learning_rate
        self.validation = validation
        self.nominal = nominal
        self.unseen = unseen
        self.embed = embed
        self.curves = curves
        self.labels = labels
        self.time = time
        self.include_original = include_original
        self.rows_at_once = rows_at_once
        self.runtime = runtime
        self.random_state = random_state

    # scikit-learn wants a constructor that takes anything; where tests check types at run time, this one is left out.
    __init__.__dict__["__no_type_check__"] = True

    # -- fitting -----------------------------------------------------------------------------------------------------

    @entry_point
    def fit(self, X: Any, y: Any = None, sample_weight: Any = None, *, progress: Progress = silent) -> Mimic:
        """Train the network.

        Args:
            X: Real rows: an array, a DataFrame, an Arrow table, or a sparse matrix of SciPy, which becomes an array.
                The more of them, the better; labels are not needed.
            y: Labels, one for each row or in columns of 1 and 0; or values. They fit a teacher that is not fitted; of
                one that is, they choose the best epoch, p and s in place of the teacher's own outputs; best of rows
                that the teacher has not seen. From 200 rows on they choose what is learned, and a temperature.
            sample_weight: ``[rows]``, what each row, and each that MUNGE makes of it, counts in training (of a teacher
                that is fitted here, too), and in choosing the best epoch; `report_` counts every row once, but for
                those of weight 0, which are left out.
            progress: Sees labelling, tuning and training.

        Raises:
            BadInput: If a parameter breaks its rule; the teacher is not fitted and there is no y, gives no
                probabilities, or knows one class only; labels are not among its classes; a number is infinite.
            ValueError: If rows and labels do not fit together, as scikit-learn finds.
        """
        plan = checked(seed=seed_of(self.random_state), **self.get_params(deep=False))
        candidate_of(self.runtime, "runtime", "Mimic")
        refuse_labels_of_nothing(plan.labels, y)
        teacher: Any = teachers.as_estimator(self.teacher)
        kind = teachers.kind_of(teacher)
        if kind is None:
            raise teachers.no_teacher(self.teacher)
        ready = teachers.is_fitted(teacher)
        if not ready and y is None:
            raise teachers.not_fitted(self.teacher)
        for name in [name for name in vars(self) if name.endswith("_")]:
            delattr(self, name)  # of an earlier fit: if this one fails, they are of other rows
        given = held_against(X, self, None)
        truth = truth_of(y, given, self.teacher, kind, ready)
        given, truth, sample_weight = counted(given, truth, sample_weight)
        if not ready and kind == "classifier" and truth is not None and truth.ndim == 1:
            refuse_one_class(truth, " among the rows whose weight is above 0")
        weights = sample_weights(sample_weight, given)
        columns = Columns.infer(given, nominal=plan.nominal)
        matrix = columns.encode(given)
        warn_about_columns(given, columns, plan.nominal, matrix)
        clock = Clock()

        if not ready:
            with clock("teacher"):
                teacher = teachers.fitted(self.teacher, given, truth, sample_weight)
            if kind == "classifier" and truth is not None:
                teachers.refuse_without_probabilities(teacher, len(np.unique(truth)) if truth.ndim == 1 else None)
        kind = teachers.kind_when_fitted(teacher, kind, columns, head(given))
        classes, labels, values = numbered(teacher, kind, truth)
        origin = origin_of(kind, values, teacher, columns, given, plan.rows_at_once)
        values = counted_from(origin, values)
        with clock("labelling"):
            wrapped = teachers.wrapped(teacher, kind, columns, head(given), classes, plan.rows_at_once, origin)
            outputs = outputs_of(wrapped, torch.from_numpy(matrix).float(), progress=progress, title="label real rows")
        if kind == "classifier" and classes is None:
            classes = np.arange(outputs.shape[1])
        if kind == "labels" and labels is not None:
            check_as_many(labels, outputs, teacher)
        values = values_to_judge_by(values, outputs, teacher, plan.labels)
        origin = None if origin is None else np.resize(origin, outputs.shape[1])
        task = task_of(kind, classes, label_names(y, outputs.shape[1]), outputs.shape[1])
        target = as_target(labels, values)
        warn_of_chance(task, teacher, outputs, target)
        by: Literal["teacher", "truth"] = "truth" if ready and target is not None else "teacher"
        with clock("choice"):
            about: dict[str, Any] = {"columns": columns, "matrix": matrix, "outputs": outputs, "task": task}
            about |= {"kind": kind, "rows": given, "classes": classes, "truth": truth, "weights": weights}
            about |= {"rows_at_once": plan.rows_at_once, "origin": origin}
            choice = chosen(plan, teacher, Given(known=target, **about), progress=progress)
        beside: dict[str, Any] = {"truth": target, "weights": weights, "by": by, "progress": progress}
        builder = MimicBuilder(choice.plan, task, columns, wrapped, matrix, outputs, **beside)
        with clock("tuning"):
            synthesis, trials = builder.tuned()
        with clock("synthesis"):
            synthetic = builder.synthetic(synthesis)
        with clock("labelling"):
            examples = builder.transfer_set(synthetic)
        with clock("training"):
            fitted = builder.train(*examples, temperature=choice.temperature)

        if kind == "labels":
            self.classes_: Any = [np.array([0, 1]) for _ in task.names]
        elif classes is not None:
            self.classes_ = classes
        self.teacher_, self.columns_, self.synthesis_ = teacher, columns, synthesis
        self.network_, self.spec_ = fitted.model.module, fitted.model.spec
        self._task, self._origin, self._by_name = task, origin, is_frame(given)
        self._flat = (truth is not None and truth.ndim == 1) or teachers.gives_one_axis(teacher, columns, head(given))
        self._label_type = np.dtype(np.int64) if truth is None else truth.dtype
        self._seen = torch.from_numpy(matrix[builder.training_rows[:_CALIBRATION_ROWS]].astype(np.float32))
        validation_rows = builder.validation_rows
        found = figures(
            kind,
            outputs_for(self.network_, matrix[validation_rows]),
            outputs[validation_rows].double().numpy(),
            None if labels is None else labels[validation_rows],
            None if values is None else values[validation_rows],
        )
        self.report_ = Report(
            rows=len(matrix),
            validation_rows=len(validation_rows),
            synthetic_rows=len(synthetic),
            p=None if synthesis is None else synthesis.p,
            s=None if synthesis is None else synthesis.s,
            trials=tuple(trials),
            curves=fitted.model.spec.arguments.get("curves", 0),
            **choice.facts,
            judged_by=builder.by,
            parameters=sum(each.numel() for each in self.network_.parameters()),
            steps=fitted.facts["steps"],
            best_epoch=fitted.facts["best_epoch"],
            epochs=len(fitted.history),
            teacher_fitted_here=not ready,
            seconds=clock.spent,
            **found,
        )
        return self

    # -- predicting --------------------------------------------------------------------------------------------------

    def predict(self, X: Any) -> npt.NDArray[Any]:
        """The most probable class of each row, its value(s), or ``[rows, labels]``: 1 where a label is probable."""
        outputs = self._outputs_of(X)
        if self._task.target == "logits":
            predicted: npt.NDArray[Any] = self.classes_[outputs.argmax(1)]
            return predicted
        if self._task.target == "log_odds":
            return (outputs > 0).astype(self._label_type)
        outputs = outputs if self._origin is None else outputs + self._origin
        return outputs[:, 0] if self._flat and outputs.shape[1] == 1 else outputs

    @available_if(lambda self: self._tells_classes())  # type: ignore[untyped-decorator]
    def predict_proba(self, X: Any) -> npt.NDArray[np.float64]:
        """Probabilities, float64 ``[rows, classes]`` in the order of ``classes_``; ``[rows, labels]``, of each."""
        outputs = self._outputs_of(X)
        return np.asarray(expit(outputs) if self._task.target == "log_odds" else softmax(outputs, axis=1))

    @available_if(lambda self: self._tells_classes())  # type: ignore[untyped-decorator]
    def logits(self, X: Any) -> npt.NDArray[np.float64]:
        """Logits, float64 ``[rows, classes]`` in the order of ``classes_``; of labels the log-odds, of each."""
        return self._outputs_of(X)

    def score(self, X: Any, y: Any, sample_weight: Any = None) -> float:
        """Accuracy of a classifier, r2 of a regressor, against the truth; of labels the share of rows all right."""
        predicted = self.predict(X)
        scored = r2_score if self._task.target == "values" else accuracy_score
        return float(scored(y, predicted, sample_weight=sample_weight))

    def _tells_classes(self) -> bool:
        return teachers.kind_of(self._teacher_once_read()) == "classifier"

    def _teacher_once_read(self) -> Any:
        """The teacher as it was given; a booster in the form of an estimator, once it was read as that."""
        return getattr(self, "teacher_", self.teacher) if is_booster(self.teacher) else self.teacher

    def _outputs_of(self, X: Any) -> npt.NDArray[np.float64]:
        check_is_fitted(self, "network_")
        outputs = [
            outputs_for(self.network_, self.columns_.encode(rows, unseen=self.unseen))
            for rows in (held_against(block, self, self._by_name) for block in blocks_of(X, _BLOCK))
        ]
        return outputs[0] if len(outputs) == 1 else np.concatenate(outputs)

    def save(self, path: Path | str, runtime: str | None = None) -> Artifact:
        """Write the mimic as files that a runtime executes; `attar.load` reads them, and needs no scikit-learn.

        Args:
            path: The folder.
            runtime: A runtime, or one of `attar.candidates`; that of the constructor if None.

        Raises:
            BadInput: If there is no such runtime.
            DeploymentError: If it cannot run the network.
        """
        check_is_fitted(self, "network_")
        wanted = self.runtime if runtime is None else runtime
        return deploy(
            self.network_,
            candidate_of(wanted, "runtime", "Mimic.save") if isinstance(wanted, str) else wanted,
            path,
            example=self._seen[:1],
            task=self._task,
            calibration=self._seen,
            spec=self.spec_,
            columns=self.columns_,
            unseen=self.unseen,
            origin=self._origin,
        )

    def __sklearn_tags__(self) -> Tags:
        return mimicked(super().__sklearn_tags__(), self._teacher_once_read())
