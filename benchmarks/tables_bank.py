"""Tables that can be had without a network, for benchmarks: what they hold, and how they are divided."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from sklearn import datasets
from sklearn.model_selection import train_test_split

MOST_TRAIN, MOST_TEST, TRAIN_SHARE = 6_000, 6_000, 0.6
FEW = 690
"""Tables of fewer rows are shown and not counted."""


@dataclass(frozen=True)
class Table:
    """Rows, what is to be told about them, and whether that is a class."""

    name: str
    rows: pd.DataFrame
    truth: np.ndarray
    classes: bool

    @property
    def counted(self) -> bool:
        """Whether there are enough rows to tell a difference."""
        return len(self.rows) >= FEW

    def divided(self, split: int) -> tuple[pd.DataFrame, pd.DataFrame, np.ndarray, np.ndarray]:
        """Training rows, test rows, and the truth of each; classes by their shares."""
        train = min(MOST_TRAIN, round(TRAIN_SHARE * len(self.rows)))
        test = min(MOST_TEST, len(self.rows) - train)
        strata = self.truth if self.classes else None
        return tuple(  # type: ignore[return-value]
            train_test_split(
                self.rows, self.truth, train_size=train, test_size=test, random_state=split, stratify=strata
            )
        )


def _of_sklearn(load: Callable[..., Any], classes: bool = True) -> Callable[[str], Table]:
    def made(name: str) -> Table:
        rows, truth = load(return_X_y=True, as_frame=True)
        return Table(name, rows, truth.to_numpy(), classes)

    return made


def _generated(draw: Callable[[np.random.Generator], tuple[Any, Any]], classes: bool = True) -> Callable[[str], Table]:
    def made(name: str) -> Table:
        rows, truth = draw(np.random.default_rng(20260101))
        frame = rows if isinstance(rows, pd.DataFrame) else pd.DataFrame(rows, columns=_names(rows.shape[1]))
        return Table(name, frame, np.asarray(truth), classes)

    return made


def _names(count: int) -> list[str]:
    return [f"c{place}" for place in range(count)]


def _tails(draws: np.random.Generator) -> tuple[Any, Any]:
    """Forty columns that are 0 for most rows and logarithmically normal for the others, as shares of words are."""
    there = draws.random((4_500, 40)) < draws.uniform(0.1, 0.6, 40)
    logs = draws.normal(0, 1.2, there.shape)
    weights = draws.normal(0, 0.9, (2, 40)) * (draws.random((2, 40)) < 0.5)
    score = there @ weights[0] + (there * np.tanh(logs)) @ weights[1]
    score += 1.5 * (there[:, 0] & there[:, 1]) - 2.0 * (there[:, 2] & (logs[:, 2] > 0.5))
    noise = draws.logistic(0, 0.7, len(score))
    return np.where(there, np.exp(logs), 0.0).round(2), (score + noise > np.median(score)).astype(int)


def _boxes(draws: np.random.Generator) -> tuple[Any, Any]:
    """Nine columns of whole numbers with long tails, and classes that lie in boxes, the first with most rows."""
    rows = np.rint(draws.standard_t(2, (9_000, 9)) * draws.uniform(2, 60, 9) + draws.uniform(-5, 80, 9))
    order = rows.argsort(0).argsort(0) / len(rows)
    truth = np.zeros(len(rows), int)
    for kind, (share, first, second) in enumerate(((0.45, 0, 1), (0.3, 2, 3), (0.25, 4, 0), (0.2, 5, 6)), 1):
        truth[(order[:, first] > 1 - share) & (order[:, second] < 2 * share)] = kind
    flip = draws.random(len(rows)) < 0.01
    truth[flip] = draws.integers(0, 5, flip.sum())
    return rows, truth


def _names_and_numbers(draws: np.random.Generator) -> tuple[Any, Any]:
    """Ten columns of names, of 2 to 60 kinds, and three of numbers; three classes, some by names that go together."""
    sizes, rows = (2, 2, 3, 4, 5, 7, 9, 12, 30, 60), 6_000
    codes = np.stack([draws.choice(size, rows, p=draws.dirichlet(np.full(size, 2.0))) for size in sizes], 1)
    numbers = np.stack([draws.normal(size=rows), draws.lognormal(3, 1, rows).round(1), draws.integers(17, 90, rows)], 1)
    score = np.zeros((rows, 3))
    for place, size in enumerate(sizes):
        score += draws.normal(0, 0.5, (size, 3))[codes[:, place]]
    for first, second in ((0, 3), (2, 5), (4, 8)):
        score += draws.normal(0, 0.7, (sizes[first], sizes[second], 3))[codes[:, first], codes[:, second]]
    score[:, 0] += np.where((numbers[:, 2] > 30) & (numbers[:, 2] < 55), 1.2, 0.0) + 0.4 * numbers[:, 0]
    score[:, 1] += 0.8 * (np.log(numbers[:, 1]) - 3)
    truth = (score + draws.gumbel(0, 0.5, score.shape)).argmax(1)
    frame = pd.DataFrame({f"name{place}": [f"v{code}" for code in codes[:, place]] for place in range(len(sizes))})
    return frame.assign(x=numbers[:, 0], pay=numbers[:, 1], age=numbers[:, 2].astype(int)), truth


def _checkers(draws: np.random.Generator) -> tuple[Any, Any]:
    """Twelve columns of which three make a board of uneven fields, each with a class of its own and 5% of others."""
    rows = np.concatenate([draws.random((6_000, 6)), draws.normal(size=(6_000, 6))], 1)
    cuts = [np.sort(draws.uniform(0.1, 0.9, 3)), np.sort(draws.uniform(0.1, 0.9, 2)), np.sort(draws.normal(0, 1, 2))]
    fields = [np.searchsorted(cut, rows[:, column]) for cut, column in zip(cuts, (0, 3, 8), strict=True)]
    truth = draws.integers(0, 3, (4, 3, 3))[tuple(fields)]
    others = draws.random(len(rows)) < 0.05
    truth[others] = draws.integers(0, 3, others.sum())
    return rows, truth


def _rules(draws: np.random.Generator) -> tuple[Any, Any]:
    """Five columns of names and seven of numbers, and four classes by the votes of 40 rules of two or three columns."""
    rows, sizes = 6_000, (2, 3, 5, 8, 12)
    codes = np.stack([draws.integers(0, size, rows) for size in sizes], 1)
    numbers = np.stack([draws.gamma(2, 10, rows), draws.poisson(4, rows), *draws.normal(size=(5, rows))], 1)
    score = draws.gumbel(0, 0.3, (rows, 4))
    for _ in range(40):
        holds = np.ones(rows, bool)
        for column in draws.choice(12, draws.integers(2, 4), replace=False):
            if column < 5:
                holds &= draws.random(sizes[column])[codes[:, column]] < 0.5
            else:
                values = numbers[:, column - 5]
                holds &= (values > np.quantile(values, draws.uniform(0.2, 0.8))) ^ (draws.random() < 0.5)
        score[:, draws.integers(4)] += 1.5 * holds
    frame = pd.DataFrame({f"name{place}": [f"v{code}" for code in codes[:, place]] for place in range(len(sizes))})
    return pd.concat([frame, pd.DataFrame(numbers, columns=_names(7))], axis=1), score.argmax(1)


def _steps(draws: np.random.Generator) -> tuple[Any, Any]:
    """Ten columns, and a value that is a sum of 30 steps of one or two of them, with noise."""
    rows = draws.normal(size=(6_000, 10)) * draws.lognormal(0, 1, 10)
    order = rows.argsort(0).argsort(0) / len(rows)
    value = draws.normal(0, 0.3, len(rows))
    for _ in range(30):
        first, second = draws.choice(8, 2, replace=False)
        holds = order[:, first] > draws.uniform(0.1, 0.9)
        if draws.random() < 0.6:
            holds &= order[:, second] < draws.uniform(0.2, 0.9)
        value += draws.normal(0, 1) * holds
    return rows, value


def _led(draws: np.random.Generator) -> tuple[Any, Any]:
    """The seven segments of digits on a display, each wrong in a tenth of the rows, and 17 columns of chance.

    As in *Classification and Regression Trees* (Breiman et al. 1984), section 2.6.1.
    """
    segments = "1110111 0010010 1011101 1011011 0111010 1101011 1101111 1010010 1111111 1111011"
    lit = np.array([[int(one) for one in digit] for digit in segments.split()])
    truth = draws.integers(0, 10, 6_000)
    shown = lit[truth] ^ (draws.random((6_000, 7)) < 0.1)
    return np.concatenate([shown, draws.integers(0, 2, (6_000, 17))], 1), truth


def _loans(draws: np.random.Generator) -> tuple[Any, Any]:
    """Nine columns of people who ask for a loan, and two classes by their age, salary and loan; one in twenty is wrong.

    After function 5 of *Database Mining: A Performance Perspective* (Agrawal et al. 1993).
    """
    rows = 6_000
    salary, age, loan = draws.uniform(20, 150, rows), draws.integers(20, 81, rows), draws.uniform(0, 500, rows)
    commission = np.where(salary >= 75, 0, draws.uniform(10, 75, rows))
    area = draws.integers(0, 9, rows)
    house = draws.uniform(50, 150, rows) * (9 - area)
    good = np.zeros(rows, bool)
    groups = ((age < 40, 50, 100), ((age >= 40) & (age < 60), 75, 125), (age >= 60, 25, 75))
    for place, (of_age, low, high) in enumerate(groups):
        within = (salary >= low) & (salary <= high)
        least = np.where(within, (100, 200, 300)[place], (200, 300, 100)[place])
        good |= of_age & (loan >= least) & (loan <= least + 200)
    good ^= draws.random(rows) < 0.05
    frame = pd.DataFrame({"salary": salary.round(2), "commission": commission.round(2), "age": age})
    frame["education"], frame["car"] = draws.integers(0, 5, rows), [f"make{one}" for one in draws.integers(1, 21, rows)]
    frame["area"], frame["house"] = [f"zip{one}" for one in area], house.round(1)
    return frame.assign(years=draws.integers(1, 31, rows), loan=loan.round(2)), good.astype(int)


def _grown(draws: np.random.Generator) -> tuple[Any, Any]:
    """Five columns of names, five of numbers, and three classes: those of the leaves of a tree that chance has grown.

    After *Mining High-Speed Data Streams* (Domingos and Hulten 2000), section 4.1; one row in twenty is wrong.
    """
    rows = 6_000
    codes, numbers = draws.integers(0, 4, (rows, 5)), draws.random((rows, 5))
    truth = np.zeros(rows, int)

    for leaf in _leaves_of_a_tree(draws, codes, numbers, early=0.15):
        truth[leaf] = draws.integers(0, 3)
    others = draws.random(rows) < 0.05
    truth[others] = draws.integers(0, 3, others.sum())
    frame = pd.DataFrame({f"name{place}": [f"v{code}" for code in codes[:, place]] for place in range(5)})
    return pd.concat([frame, pd.DataFrame(numbers.round(4), columns=_names(5))], axis=1), truth


def _leaves_of_a_tree(draws: np.random.Generator, codes: Any, numbers: Any, early: float = 0.0) -> Iterator[Any]:
    """The rows of each leaf of a tree that chance grows, ``[rows]`` bool; what is drawn for a leaf comes in between.

    Args:
        draws: Of columns and thresholds.
        codes: ``[rows, names]``.
        numbers: ``[rows, numbers]``.
        early: Probability with which a branch ends below its fourth split.
    """
    names, categories = codes.shape[1], codes.max() + 1

    def grow(reached: Any, depth: int) -> Iterator[Any]:
        if depth == 8 or reached.sum() < 100 or (early and depth > 3 and draws.random() < early):
            yield reached
            return
        column = draws.integers(names + numbers.shape[1])
        if column < names:
            left = draws.random(categories)[codes[:, column]] < 0.5
        else:
            values = numbers[:, column - names]
            left = values < np.quantile(values[reached], draws.uniform(0.25, 0.75))
        yield from grow(reached & left, depth + 1)
        yield from grow(reached & ~left, depth + 1)

    yield from grow(np.ones(len(codes), bool), 0)


def _leaves(draws: np.random.Generator) -> tuple[Any, Any]:
    """Four columns of names, six of numbers, and a value: that of the leaf of a tree that chance has grown, and noise.

    As `_grown`, but for values.
    """
    rows = 6_000
    codes, numbers = draws.integers(0, 5, (rows, 4)), draws.gamma(2, 3, (rows, 6))
    value = draws.normal(0, 0.3, rows)

    for leaf in _leaves_of_a_tree(draws, codes, numbers):
        value[leaf] += draws.normal(0, 1)
    frame = pd.DataFrame({f"name{place}": [f"v{code}" for code in codes[:, place]] for place in range(4)})
    return pd.concat([frame, pd.DataFrame(numbers.round(3), columns=_names(6))], axis=1), value


def _mixed(draws: np.random.Generator) -> tuple[Any, Any]:
    """Ten columns of names and numbers that depend on each other, and a value by rules of them, without noise.

    After Torgo's table "mv artificial domain", which is handed on with his collection of regressions.
    """
    rows = 6_000
    first, second = draws.uniform(-5, 5, rows), draws.uniform(-15, -10, rows)
    color = np.where(first > 0, "green", np.where(draws.random(rows) < 0.4, "red", "brown"))
    of_red = np.where(draws.random(rows) < 0.3, first / 2, second / 2)
    fourth = np.where(color == "green", first + 2 * second, np.where(color == "red", of_red, first / 3))
    fifth = draws.uniform(-1, 1, rows)
    sixth = fourth * draws.uniform(0, 5, rows)
    known = np.where(draws.random(rows) < 0.3, "yes", "no")
    size = np.where(fifth < 0.5, "normal", "large")
    frame = pd.DataFrame({"x1": first, "x2": second, "color": color, "x4": fourth, "x5": fifth, "x6": sixth})
    frame = frame.assign(known=known, size=size, x9=draws.uniform(100, 500, rows), x10=draws.integers(1000, 1201, rows))
    near = np.abs(fourth) <= 2
    far = np.where(near, 3.0, fourth)  # so that nothing is divided by 0
    others = np.where(known == "yes", 3 - first / far, np.where(size == "normal", sixth + first, first / 2))
    return frame, np.where(second > -11, 35 - 0.5 * fourth, np.where(near, 10 - 2 * first, others))


def _waves(draws: np.random.Generator) -> tuple[Any, Any]:
    """Forty columns of which 21 are a mix of two of three waves with noise; the class says which two.

    As in *Classification and Regression Trees* (Breiman et al. 1984), section 2.6.2.
    """
    rows, places = 6_000, np.arange(1, 22)
    waves = np.stack([np.maximum(6 - np.abs(places - center), 0) for center in (7, 15, 11)])
    truth, share = draws.integers(0, 3, rows), draws.random((rows, 1))
    first, second = waves[np.array([0, 0, 1])[truth]], waves[np.array([1, 2, 2])[truth]]
    seen = share * first + (1 - share) * second
    return draws.normal(size=(rows, 40)) + np.pad(seen, ((0, 0), (0, 19))), truth


def _rings(draws: np.random.Generator) -> tuple[Any, Any]:
    """Twenty columns, and two normal distributions: a wide one around zero, and a narrow one a little off.

    As in *Bias, Variance, and Arcing Classifiers* (Breiman 1996): "ringnorm".
    """
    truth = draws.integers(0, 2, 6_000)
    rows = draws.normal(size=(6_000, 20))
    return np.where(truth[:, None] == 0, 2 * rows, rows + 2 / np.sqrt(20)), truth


def _needles(draws: np.random.Generator) -> tuple[Any, Any]:
    return datasets.make_classification(
        6_000, 50, n_informative=5, n_redundant=5, n_clusters_per_class=8, class_sep=1.5, flip_y=0.02, random_state=2
    )


def _hastie(draws: np.random.Generator) -> tuple[Any, Any]:
    rows, truth = datasets.make_hastie_10_2(6_000, random_state=1)
    return rows, (truth > 0).astype(int)


def _blobs(draws: np.random.Generator) -> tuple[Any, Any]:
    return datasets.make_classification(
        6_000, 20, n_informative=8, n_redundant=4, n_classes=4, n_clusters_per_class=3, flip_y=0.03, random_state=1
    )


def _friedman(number: int) -> Callable[[np.random.Generator], tuple[Any, Any]]:
    if number == 1:
        return lambda draws: datasets.make_friedman1(6_000, noise=1.0, random_state=1)
    return lambda draws: datasets.make_friedman2(6_000, noise=125.0, random_state=1)


R_TABLES: Mapping[str, tuple[str, str, str]] = {
    "letter": ("mlbench", "LetterRecognition", "lettr"),
    "dna": ("mlbench", "DNA", "Class"),
    "vehicle": ("mlbench", "Vehicle", "Class"),
    "sonar": ("mlbench", "Sonar", "Class"),
    "glass": ("mlbench", "Glass", "Type"),
    "breast": ("mlbench", "BreastCancer", "Class"),
    "pima": ("mlbench", "PimaIndiansDiabetes", "diabetes"),
    "votes": ("mlbench", "HouseVotes84", "Class"),
    "boston": ("mlbench", "BostonHousing", "medv"),
    "ozone": ("mlbench", "Ozone", "V4"),
    "musk": ("kernlab", "musk", "Class"),
    "ticdata": ("kernlab", "ticdata", "CARAVAN"),
}
"""Tables of Debian's r-cran-mlbench and r-cran-kernlab: package, name, and the column that is to be told."""

OURS: Mapping[str, Callable[[str], Table]] = {
    "digits": _of_sklearn(datasets.load_digits),
    "breast_cancer": _of_sklearn(datasets.load_breast_cancer),
    "wine": _of_sklearn(datasets.load_wine),
    "diabetes": _of_sklearn(datasets.load_diabetes, classes=False),
    "hastie": _generated(_hastie),
    "blobs": _generated(_blobs),
    "tails": _generated(_tails),
    "boxes": _generated(_boxes),
    "names": _generated(_names_and_numbers),
    "checkers": _generated(_checkers),
    "rules": _generated(_rules),
    "steps": _generated(_steps, classes=False),
    "led": _generated(_led),
    "loans": _generated(_loans),
    "grown": _generated(_grown),
    "needles": _generated(_needles),
    "leaves": _generated(_leaves, classes=False),
    "mixed": _generated(_mixed, classes=False),
    "waves": _generated(_waves),
    "rings": _generated(_rings),
    "friedman1": _generated(_friedman(1), classes=False),
    "friedman2": _generated(_friedman(2), classes=False),
}
"""Tables of scikit-learn, and such as are drawn here."""

NAMES = (*OURS, *R_TABLES)


def load(name: str, r_files: Path | None) -> Table:
    """One table.

    Args:
        name: One of `NAMES`.
        r_files: The folder under which the files of mlbench and kernlab are (``*.rda``); they need pyreadr.
    """
    if name in OURS:
        return OURS[name](name)
    import pyreadr

    if r_files is None:
        raise SystemExit(f"{name} is a table of mlbench or kernlab. Say where their files are with --r-files.")
    package, file, label = R_TABLES[name]
    found = next(path for path in sorted(r_files.rglob(f"{file}.rda")) if package in path.parts)
    frame = next(iter(pyreadr.read_r(str(found)).values()))
    frame = frame.drop(columns=[one for one in frame.columns if one in ("Id",)])
    frame = frame[frame[label].notna()].reset_index(drop=True)
    truth = frame.pop(label)
    if name == "breast":  # numbers that are declared as ordered levels
        frame = frame.astype(float)
    for column in frame.columns[[not pd.api.types.is_numeric_dtype(kind) for kind in frame.dtypes]]:
        frame[column] = frame[column].astype(object).where(frame[column].notna(), None)
    frame.columns = [str(one) for one in frame.columns]
    if name in ("boston", "ozone"):
        return Table(name, frame, truth.to_numpy(float), classes=False)
    return Table(name, frame, truth.astype(str).to_numpy(), classes=True)
