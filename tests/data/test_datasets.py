"""Data sets: what the loaders give, and every rule that data can break."""

import pickle
import re
import zipfile
from types import SimpleNamespace

import numpy as np
import pytest
import sklearn.datasets
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from attar.data.datasets import (
    Dataset,
    Split,
    from_arrays,
    keep_classes,
    load,
    load_digits,
    load_function,
    load_npz,
    shrink,
)
from attar.errors import BadInput, CorruptFile, NothingMatched
from attar.tables.columns import Columns
from attar.tasks.classification import Classification


def arrays(rows: int = 40, classes: int = 4) -> dict[str, np.ndarray]:
    """Complete, valid arrays; the first input of each row is its number."""
    x = np.random.default_rng(0).normal(size=(rows, 3)).astype("float32")
    x[:, 0] = np.arange(rows)
    y = np.arange(rows) % classes
    return {
        "x_train": x,
        "y_train": y,
        "x_val": x[:8] + 100,
        "y_val": y[:8],
        "x_test": x[:12] + 200,
        "y_test": y[:12],
    }


def split(**changes: object) -> Split:
    fields = {
        "inputs": torch.arange(12.0).view(6, 2),
        "labels": torch.tensor([0, 1, 2, 0, 1, -1]),
        "ids": torch.tensor([10, 11, 12, 20, 21, 22]),
        "task": Classification(("a", "b", "c")),
    }
    return Split(**{**fields, **changes})


class TestSplit:
    def test_rows_by_numbers_mask_and_slice_agree(self):
        mask = torch.tensor([False, True, False, True, True, False])
        parts = [split().rows(index) for index in (torch.tensor([1, 3, 4]), mask)]
        for part in parts:
            assert part.inputs.tolist() == [[2, 3], [6, 7], [8, 9]]
            assert part.labels.tolist() == [1, 0, 1] and part.ids.tolist() == [11, 20, 21]
            assert part.classes == ("a", "b", "c") and len(part) == 3
        assert torch.equal(split().rows(slice(2, 5)).ids, torch.tensor([12, 20, 21]))

    def test_rows_without_labels(self):
        assert split(labels=None).rows(torch.tensor([0])).labels is None

    def test_slices_and_all_floats_share_memory(self):
        whole = split()
        assert whole.floats() is whole.inputs
        assert whole.floats(slice(2, 4)).data_ptr() == whole.inputs[2:].data_ptr()
        assert whole.rows(slice(2, 4)).inputs.data_ptr() == whole.inputs[2:].data_ptr()

    @settings(deadline=None)
    @given(rows=st.lists(st.integers(0, 255), max_size=20))
    def test_pixels_become_fractions(self, rows):
        pixels = torch.arange(256, dtype=torch.uint8).view(256, 1, 1, 1)
        whole = Split(pixels, None, torch.arange(256), Classification(("a", "b")))
        chosen = whole.floats(torch.tensor(rows, dtype=torch.int64))
        expected = np.array(rows, dtype="float32").reshape(-1, 1, 1, 1) / np.float32(255)
        assert chosen.dtype == torch.float32 and np.array_equal(chosen.numpy(), expected)
        assert torch.equal(whole.inputs, pixels)

    def test_pixels_by_mask_slice_and_all(self):
        pixels = torch.tensor([[0], [51], [255]], dtype=torch.uint8)
        whole = Split(pixels, None, torch.arange(3), Classification(("a", "b")))
        assert torch.equal(whole.floats(), torch.tensor([[0.0], [0.2], [1.0]]))
        assert torch.equal(whole.floats(slice(1, None)), whole.floats(torch.tensor([False, True, True])))
        assert whole.inputs.tolist() == [[0], [51], [255]]

    def test_the_fingerprint_is_of_the_content(self):
        assert split().fingerprint() == split(inputs=torch.arange(12.0).view(2, 6).view(6, 2)).fingerprint()
        assert len(split().fingerprint()) == 64
        changed = [
            split(inputs=torch.arange(12.0).view(6, 2) + 1e-3),
            split(inputs=torch.arange(12.0).view(6, 1, 2)),
            split(labels=torch.tensor([0, 1, 2, 0, 1, 1])),
            split(labels=None),
            split(ids=torch.arange(6)),
            split(task=Classification(("a", "b", "d"))),
            split().rows(slice(0, 5)),
        ]
        assert len({part.fingerprint() for part in [split(), *changed]}) == 1 + len(changed)

    def test_the_fingerprint_of_rows_that_are_not_contiguous(self):
        assert split().rows(slice(0, None, 2)).fingerprint() == split().rows(torch.tensor([0, 2, 4])).fingerprint()

    def test_it_prints_its_size_and_not_its_values(self):
        assert repr(split()) == "Split(6 examples of 2 float32, 3 classes)"

    @pytest.mark.parametrize(
        ("changes", "message"),
        [
            (
                {"inputs": torch.zeros(6, 2, dtype=torch.float64)},
                "inputs of Split must be float32, or uint8 for pixels",
            ),
            ({"inputs": torch.zeros(6)}, r"inputs of Split must be \[n, ...\] with at least two axes; got \(6,\)"),
            (
                {"inputs": torch.tensor([[0.0]] * 4 + [[torch.nan], [torch.inf]])},
                "inputs of Split must be finite; got NaN or infinity in row 4",
            ),
            ({"labels": torch.zeros(6)}, "labels of Split must be int64; got torch.float32"),
            ({"labels": torch.zeros(5).long()}, r"labels of Split must be one for each of the 6 rows; got \(5,\)"),
            ({"labels": torch.zeros(6, 1).long()}, r"labels of Split must be one for each of the 6 rows; got \(6, 1\)"),
            (
                {"labels": torch.tensor([0, 1, 2, 3, 0, 0])},
                r"labels of Split must be from 0 to 2 \(there are 3 classes\)",
            ),
            ({"labels": torch.tensor([0, 1, 2, -2, 0, 0])}, r"labels of Split must be .*, or -1 .*; got -2 .. 2"),
            ({"ids": torch.zeros(6)}, "ids of Split must be int64; got torch.float32"),
            ({"ids": torch.arange(7)}, "ids of Split must be one for each of the 6 rows"),
            ({"ids": torch.tensor([1, 2, 3, 1, 2, 5])}, "ids of Split must be all different; got 2 repeated"),
        ],
    )
    def test_broken_rules_are_named(self, changes, message):
        with pytest.raises(BadInput, match=f"^{message}"):
            split(**changes)


class TestSplitOfATable:
    columns = Columns.infer(np.array([["a", 1.0], ["b", 2.0]], dtype=object))

    def table(self, **changes: object) -> Split:
        inputs = torch.tensor([[0.0, 1.5], [1.0, torch.nan], [torch.nan, 2.0]])
        fields = {
            "inputs": inputs,
            "labels": None,
            "ids": torch.arange(3),
            "task": Classification(("a", "b")),
            "columns": self.columns,
        }
        return Split(**{**fields, **changes})

    def test_values_may_be_missing(self):
        assert self.table().inputs.isnan().sum() == 2

    def test_rows_keep_the_columns(self):
        assert self.table().rows(slice(0, 2)).columns is self.columns
        assert self.table().rows(torch.tensor([2])).inputs.isnan().tolist() == [[True, False]]

    def test_the_fingerprint_is_of_the_columns_too(self):
        full = torch.zeros(3, 2)
        other = Columns.infer(np.array([["a", 1.0], ["c", 2.0]], dtype=object))
        parts = [self.table(inputs=full), self.table(inputs=full, columns=None), self.table(inputs=full, columns=other)]
        assert len({part.fingerprint() for part in parts}) == 3

    @pytest.mark.parametrize(
        ("changes", "message"),
        [
            ({"inputs": torch.zeros(3, 3)}, r"inputs of Split must be \[n, 2\] float32, .*; got \(3, 3\) float32"),
            (
                {"inputs": torch.zeros(3, 2, 1)},
                r"inputs of Split must be \[n, 2\] float32, .*; got \(3, 2, 1\) float32",
            ),
            (
                {"inputs": torch.zeros(3, 2).byte()},
                r"inputs of Split must be \[n, 2\] float32, .*; got \(3, 2\) uint8",
            ),
            ({"inputs": torch.full((3, 2), torch.inf)}, "inputs of Split must be finite; got infinity in row 0"),
        ],
    )
    def test_broken_rules_are_named(self, changes, message):
        with pytest.raises(BadInput, match=f"^{message}"):
            self.table(**changes)

    def test_splits_must_have_the_same_columns(self):
        labels = torch.tensor([0, 1, 0])
        one, bare = self.table(labels=labels), self.table(labels=labels, inputs=torch.zeros(3, 2), columns=None)
        assert Dataset("mine", one, one, one, "a test").columns is self.columns
        with pytest.raises(BadInput, match=r"^columns of the test split of mine must be those of train; got None"):
            Dataset("mine", one, one, bare, "a test")


class TestDigits:
    def test_they_are_scikit_learns(self):
        dataset = load("digits")
        assert isinstance(dataset, Dataset) and dataset.name == "digits"
        assert [len(part) for part in dataset.splits().values()] == [1294, 144, 359]
        images = torch.from_numpy(sklearn.datasets.load_digits().images).float().unsqueeze(1) / 16
        labels = torch.from_numpy(sklearn.datasets.load_digits().target)
        for part in dataset.splits().values():
            assert torch.equal(part.inputs, images[part.ids]) and torch.equal(part.labels, labels[part.ids])
        assert images.min() == 0 and images.max() == 1

    def test_they_are_the_same_where_the_file_lies_elsewhere(self, monkeypatch: pytest.MonkeyPatch) -> None:
        expected = load_digits().fingerprint()
        monkeypatch.setattr("attar.data.digits.distribution", lambda _: SimpleNamespace(locate_file=lambda name: name))
        assert load_digits().fingerprint() == expected

    def test_every_row_is_in_one_split(self):
        ids = torch.cat([part.ids for part in load_digits(seed=5).splits().values()])
        assert torch.equal(ids.sort().values, torch.arange(1797))

    def test_classes_keep_their_shares(self):
        dataset = load_digits()
        counts = [torch.bincount(part.labels, minlength=10) / len(part) for part in dataset.splits().values()]
        assert max((counts[0] - counts[1]).abs().max(), (counts[0] - counts[2]).abs().max()) < 0.01

    def test_the_seed_draws_validation_and_never_test(self):
        one, other = load_digits(seed=0), load_digits(seed=1)
        assert one.test.fingerprint() == other.test.fingerprint()
        assert one.validation.fingerprint() != other.validation.fingerprint()
        assert one.fingerprint() == load_digits(seed=0).fingerprint() != other.fingerprint()

    def test_test_is_the_same_rows_in_every_version(self):
        # Frozen: a change of these rows would make results from before and after it incomparable.
        assert load_digits().test.ids[:8].tolist() == FIRST_TEST_IDS

    def test_a_number_of_validation_examples(self):
        assert len(load_digits(validation=100).validation) == 100


FIRST_TEST_IDS = [1, 7, 10, 17, 18, 20, 21, 24]


class TestFromArrays:
    def test_given_splits_are_taken_as_they_are(self):
        given = arrays()
        dataset = from_arrays("mine", given, source="a test")
        for part, key in zip(dataset.splits().values(), ("train", "val", "test"), strict=True):
            assert np.array_equal(part.inputs.numpy(), given[f"x_{key}"])
            assert np.array_equal(part.labels.numpy(), given[f"y_{key}"])
            assert torch.equal(part.ids, torch.arange(len(part)))
        assert dataset.classes == ("0", "1", "2", "3") and dataset.source == "a test"

    @pytest.mark.parametrize("missing", [("val",), ("test",), ("val", "test")])
    def test_missing_splits_are_taken_from_train(self, missing):
        given = {key: value for key, value in arrays().items() if not key.endswith(missing)}
        dataset = from_arrays("mine", given, validation=0.2, test=0.25)
        train = 40
        if "test" in missing:
            assert len(dataset.test) == 10
            train -= 10
        if "val" in missing:
            assert len(dataset.validation) == round(0.2 * train)
            train -= len(dataset.validation)
        assert len(dataset.train) == train
        own = [dataset.train] + [dataset.validation] * ("val" in missing) + [dataset.test] * ("test" in missing)
        assert torch.equal(torch.cat([part.ids for part in own]).sort().values, torch.arange(40))
        for part in own:
            assert torch.equal(part.inputs[:, 0].long(), part.ids), "an id is the row in the array given"

    def test_x_and_y_alone(self):
        given = arrays()
        dataset = from_arrays("mine", {"x": given["x_train"], "y": given["y_train"]})
        assert [len(part) for part in dataset.splits().values()] == [29, 3, 8]

    def test_names_of_classes(self):
        for names in (["p", "q", "r", "s"], np.array(["p", "q", "r", "s"])):
            assert from_arrays("mine", {**arrays(), "classes": names}).classes == ("p", "q", "r", "s")

    def test_unlabelled_rows_stay_in_train(self):
        given = {"x": arrays()["x_train"], "y": np.where(np.arange(40) < 10, -1, arrays()["y_train"])}
        dataset = from_arrays("mine", given, validation=0.2, test=0.2)
        assert int((dataset.train.labels == -1).sum()) == 10
        assert len(dataset.test) == 6 and len(dataset.validation) == round(0.2 * 24)
        assert dataset.test.labels.min() >= 0 and dataset.validation.labels.min() >= 0

    def test_train_may_be_unlabelled_altogether(self):
        given = {**arrays(), "y_train": np.full(40, -1), "classes": list("pqrs")}
        assert from_arrays("mine", given).train.labels.eq(-1).all()

    @pytest.mark.parametrize("kind", ["float16", "float32", "float64", ">f4"])
    def test_floats_become_float32(self, kind):
        given = {key: value.astype(kind) if key[0] == "x" else value for key, value in arrays().items()}
        assert from_arrays("mine", given).train.inputs.dtype == torch.float32

    def test_tensors_and_read_only_and_strided_arrays(self):
        expected = from_arrays("mine", arrays()).fingerprint()
        frozen = arrays()
        for value in frozen.values():
            value.flags.writeable = False
        strided = {key: np.asfortranarray(value) for key, value in arrays().items()}
        tensors = {key: torch.from_numpy(value) for key, value in arrays().items()}
        assert {from_arrays("mine", given).fingerprint() for given in (frozen, strided, tensors)} == {expected}

    def test_pixels_stay_bytes_and_pictures_get_a_channel(self):
        pixels = {key: np.zeros((len(value), 5, 6), dtype="uint8") for key, value in arrays().items() if key[0] == "x"}
        dataset = from_arrays("mine", {**arrays(), **pixels})
        assert dataset.train.inputs.dtype == torch.uint8 and dataset.train.inputs.shape == (40, 1, 5, 6)

    @pytest.mark.parametrize(
        ("changes", "message"),
        [
            ({"x_train": None}, r"arrays of mine must be complete: x_test, .*; got \[.*\]\. Add 'x_train'\.$"),
            ({"y_test": None}, r"arrays of mine must be complete: .*Add 'y_test'\.$"),
            ({"x_val": None}, r"arrays of mine must be complete: .*Add 'x_val'\.$"),
            (
                {"x_extra": np.zeros(3)},
                r"arrays of mine must be x and y \(or x_train .*; got \['x_extra'\]\. Leave out 'x_extra'",
            ),
            ({"x_test": np.zeros((12, 4), "float32")}, r"inputs of the test split of mine must be of shape \(3,\)"),
            ({"x_test": np.zeros((12, 3), "uint8")}, r"inputs of the test split of mine must be .* type torch.float32"),
            ({"x_train": np.zeros(40, "float32")}, r"x_train of mine must be \[n, \.\.\.\] with .*; got \(40,\)"),
            ({"x_train": np.zeros((40, 3), "int32")}, r"x_train of mine must be floats, or uint8 .*; got 'int32'"),
            (
                {"x_train": np.zeros((40, 3), "complex64")},
                "x_train of mine must be an array of numbers; got .*complex64",
            ),
            (
                {"x_train": np.array([["a"] * 3] * 40)},
                "x_train of mine must be an array of numbers; got ndarray of <U1",
            ),
            ({"x_train": "a path"}, "x_train of mine must be an array of numbers; got str of <U6"),
            (
                {"x_test": np.where(np.arange(36).reshape(12, 3) == 22, np.nan, 0)},
                "x_test of mine must be finite in float32; got NaN or infinity in row 7",
            ),
            (
                {"x_test": np.full((12, 3), 1e300)},
                "x_test of mine must be finite in float32; got NaN or infinity in row 0",
            ),
            (
                {"x_train": np.zeros((40, 8, 8, 3), "uint8")},
                r"x_train of mine must be \[n, channels, height, width\]; got \(40, 8, 8, 3\)\. Move the channels",
            ),
            (
                {"y_train": np.arange(40) / 2, "task": "classification"},
                "y_train of mine must be whole numbers, .*; got 0.5 in row 1. Number",
            ),
            (
                {"y_train": np.arange(40) / 2},
                'y_train of mine has numbers with a fraction, .* Set task to "regression"',
            ),
            ({"task": "regresion"}, "task of mine must be one of .*; got 'regresion'. Did you mean 'regression'"),
            ({"task": "regression", "classes": ["a", "b"]}, "classes of mine are named, and the task is regression"),
            ({"names": ["a"]}, "names of mine must be given for values alone"),
            ({"y_train": np.zeros(40, complex)}, "y_train of mine must be whole numbers, bools or names; got"),
            ({"y_train": np.zeros((40, 4), int)}, r"y_train of mine must be \[n\], .*; got \(40, 4\)\. Use \.argmax"),
            ({"y_train": np.arange(39) % 4}, r"y_train of mine must be as long as x_train \(40 rows\); got 39 rows"),
            ({"y_test": np.full(12, 4)}, r"y_test of mine must be from 0 to 3 \(there are 4 classes\); got 4"),
            ({"y_test": np.full(12, -1)}, r"y_test of mine must be from 0 to 3 \(there are 4 classes\); got -1"),
            (
                {"y_train": np.arange(40) % 4 - 2},
                r"y_train of mine must number .*; got 3 different labels from -2 to 1",
            ),
            (
                {"y_train": np.arange(40) % 2 * 3},
                r"y_train of mine must number .*; got 2 different labels from 0 to 3, and none is 1",
            ),
            (
                {"y_train": np.zeros(40, int), "y_val": np.zeros(8, int), "y_test": np.zeros(12, int)},
                "y_train of mine must be of two or more classes; got 0 alone",
            ),
            ({"classes": "pqrs"}, "classes of mine must be a list of names; got 'pqrs'"),
            (
                {"classes": ["p", "q", "r", "p"]},
                "classes of a classification must be different names",
            ),
            ({"classes": ["p", "q", "r"]}, r"y_train of mine must be from 0 to 2 \(there are 3 classes\).*; got 3"),
            (
                {"x_test": np.zeros((0, 3), "float32"), "y_test": np.zeros(0, int)},
                "inputs of the test split .* at least one",
            ),
        ],
    )
    def test_broken_rules_are_named(self, changes, message):
        given = {key: value for key, value in {**arrays(), **changes}.items() if value is not None}
        with pytest.raises(BadInput, match=f"^{message}"):
            from_arrays("mine", given)

    @pytest.mark.parametrize("which", ["validation", "test"])
    @pytest.mark.parametrize("share", [0.0, 1.0, -0.5, 1.5, 0, -3, 40, 0.001, True])
    def test_shares_that_leave_nothing_are_refused(self, which, share):
        given = {"x": arrays()["x_train"], "y": arrays()["y_train"]}
        remedies = {
            0.001: "Give more examples, or write 1 for one of them",
            40: "Write 0.4 for 40%",
        }
        remedy = re.escape(f"{remedies.get(share, 'Use 0.1 for a tenth')}.")
        message = (
            rf"^{which} of mine must be a share between 0 and 1, or a number of examples, .*; got {share}\. {remedy}"
        )
        with pytest.raises(BadInput, match=message):
            from_arrays("mine", given, **{which: share})


class TestNpz:
    def test_a_file_gives_what_its_arrays_give(self, tmp_path):
        np.savez_compressed(tmp_path / "mine.npz", **arrays(), classes=np.array(list("pqrs")))
        dataset = load(tmp_path / "mine.npz")
        assert dataset.fingerprint() == from_arrays("mine", {**arrays(), "classes": list("pqrs")}).fingerprint()
        assert dataset.name == "mine" and dataset.source == "mine.npz"
        assert load(str(tmp_path / "mine.npz")).fingerprint() == dataset.fingerprint()

    def test_a_missing_file(self, tmp_path):
        with pytest.raises(BadInput, match=r"^data: there is no file 'none\.npz' in the folder '.*'\. Check the path"):
            load(tmp_path / "none.npz")

    def test_a_truncated_file(self, tmp_path):
        path = tmp_path / "mine.npz"
        np.savez(path, **arrays())
        path.write_bytes(path.read_bytes()[:-200])
        with pytest.raises(
            CorruptFile, match=r"^mine\.npz must be a whole \.npz archive without Python objects; got: "
        ):
            load_npz(path)

    def test_an_altered_file(self, tmp_path):
        path = tmp_path / "mine.npz"
        np.savez(path, **arrays())
        content = bytearray(path.read_bytes())
        content[300] ^= 255
        path.write_bytes(content)
        with pytest.raises(CorruptFile, match=r"^mine\.npz must be a whole .*CRC"):
            load_npz(path)

    @pytest.mark.parametrize("content", [b"", b"not an archive", pickle.dumps([1, 2])], ids=["empty", "text", "pickle"])
    def test_something_else(self, tmp_path, content):
        (tmp_path / "mine.npz").write_bytes(content)
        with pytest.raises(
            CorruptFile, match=r"^mine\.npz must be a whole \.npz archive without Python objects; got: "
        ):
            load_npz(tmp_path / "mine.npz")

    def test_a_single_array(self, tmp_path):
        with (tmp_path / "mine.npz").open("wb") as file:
            np.save(file, np.zeros(3))
        with pytest.raises(
            CorruptFile, match=r"^mine\.npz must be an \.npz archive; got a single array\. Write it again"
        ):
            load_npz(tmp_path / "mine.npz")

    def test_python_objects_are_never_loaded(self, tmp_path):
        class Bomb:
            def __reduce__(self):
                return (pytest.fail, ("something was unpickled",))

        with zipfile.ZipFile(tmp_path / "mine.npz", "w") as archive, archive.open("x.npy", "w") as file:
            np.lib.format.write_array(file, np.array([Bomb()], dtype=object), allow_pickle=True)
        with pytest.raises(
            CorruptFile, match=r"^mine\.npz must be without Python objects; got some in 'x'\. Write it again"
        ):
            load_npz(tmp_path / "mine.npz")

    def test_missing_keys(self, tmp_path):
        np.savez(tmp_path / "mine.npz", data=np.zeros(3))
        with pytest.raises(
            BadInput, match=r"^arrays of mine must be complete: x and y, or x_train and y_train; got \['data'\]\. Name"
        ):
            load_npz(tmp_path / "mine.npz")


@pytest.fixture
def module(tmp_path, monkeypatch):
    """A module of the user's, ``mydata``."""
    (tmp_path / "mydata.py").write_text(
        "import numpy as np\n"
        "from attar.data.datasets import load_digits\n"
        "x, y = np.zeros((40, 3), 'float32'), np.arange(40) % 4\n"
        "def pair(): return x, y\n"
        "def dictionary(): return {'x': x, 'y': y}\n"
        "def dataset(): return load_digits()\n"
        "def nothing(): return None\n"
        "def triple(): return x, y, y\n"
        "def array(): return x\n"
        "number = 3\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    yield "mydata"


class TestFunction:
    def test_pairs_and_dictionaries_are_arrays(self, module):
        one, other = load("mydata:pair", seed=2), load_function("mydata:dictionary", seed=2)
        assert one.fingerprint() == other.fingerprint() and one.name == one.source == "mydata:pair"

    def test_a_dataset_is_taken_as_it_is(self, module):
        assert load("mydata:dataset").fingerprint() == load_digits().fingerprint()

    @pytest.mark.parametrize(
        ("name", "got"), [("nothing", "a NoneType"), ("triple", "a tuple of 3"), ("array", "a ndarray")]
    )
    def test_something_else_is_refused(self, module, name, got):
        rule = r"a Dataset, a dict of arrays, a pair \(x, y\) or a data set of PyTorch"
        message = rf"^the result of mydata:{name} must be {rule}; got '{got}'\."
        with pytest.raises(BadInput, match=message):
            load(f"mydata:{name}")

    @pytest.mark.parametrize("reference", ["no_such_module:f", "mydata:pears", "mydata:number", "mydata:"])
    def test_a_function_that_is_not_there(self, module, reference):
        with pytest.raises(
            BadInput, match=rf"^(The module of|(The )?reference of a function must be .*; got) '{reference}'"
        ):
            load(reference)


class TestLoad:
    def test_an_unknown_name(self):
        message = (
            r"^name of load must be 'digits', 'fashion-mnist', .*; got 'fashion_mnist'\. Did you mean 'fashion-mnist'"
        )
        with pytest.raises(BadInput, match=message):
            load("fashion_mnist")

    def test_shares_and_seed_reach_the_loader(self):
        dataset = load("digits", validation=100, test=0.5, seed=3)
        assert dataset.fingerprint() == load_digits(validation=100, test=0.5, seed=3).fingerprint()
        assert len(dataset.test) == 898 and len(dataset.validation) == 100

    def test_filter_and_limit_together(self):
        dataset = load("digits", classes=["8", "3"], limit=50)
        assert dataset.classes == ("8", "3")
        assert torch.bincount(dataset.train.labels).tolist() == [24, 26]


class TestKeepClasses:
    def test_each_split_is_a_part_of_the_unfiltered_one(self):
        whole = load_digits()
        kept = keep_classes(whole, ["8", "3"])
        for part, full in zip(kept.splits().values(), whole.splits().values(), strict=True):
            wanted = (full.labels == 8) | (full.labels == 3)
            assert torch.equal(part.ids, full.ids[wanted])
            assert torch.equal(part.labels, (full.labels[wanted] == 3).long())
            assert torch.equal(part.inputs, full.inputs[wanted])

    def test_unlabelled_rows_are_left_out(self):
        given = {"x": arrays()["x_train"], "y": np.where(np.arange(40) < 10, -1, arrays()["y_train"])}
        kept = keep_classes(from_arrays("mine", given), ["1", "3"])
        assert kept.train.labels.min() == 0

    def test_a_class_that_is_not_there(self):
        with pytest.raises(NothingMatched, match=r"^classes of digits must be classes of the data; got '11'\. "):
            keep_classes(load_digits(), ["1", "11"])

    @pytest.mark.parametrize("classes", [[], ["3"], ["3", "3"]])
    def test_fewer_than_two_classes(self, classes):
        with pytest.raises(BadInput, match=r"^classes of .* must be .*different names"):
            keep_classes(load_digits(), classes)


class TestShrink:
    def test_sizes_and_shares(self):
        small = shrink(load_digits(), 37)
        for part in small.splits().values():
            assert len(part) == 37
            assert torch.bincount(part.labels, minlength=10).min() >= 3
        assert torch.isin(small.train.ids, load_digits().train.ids).all()

    def test_a_split_that_is_small_enough_stays(self):
        assert shrink(load_digits(), 200).validation.fingerprint() == load_digits().validation.fingerprint()

    def test_rare_classes_stay(self):
        y = np.array([0] * 90 + [1] * 9 + [2])
        given = {"x_train": np.zeros((100, 2), "float32"), "y_train": y}
        given |= {f"{axis}_{part}": given[f"{axis}_train"] for axis in "xy" for part in ("val", "test")}
        assert torch.bincount(shrink(from_arrays("mine", given), 3).train.labels).tolist() == [1, 1, 1]

    def test_a_limit_without_room_for_every_class(self):
        with pytest.raises(BadInput, match=r"^limit of digits must be at least 10, one for each class; got 9"):
            shrink(load_digits(), 9)


def test_splits_must_have_the_classes_of_the_data_set():
    one = load_digits()
    other = keep_classes(one, ["0", "1"])
    with pytest.raises(
        BadInput, match=r"^task of the test split of mixed must be that of train, Classification\(classes=\('0', '1', "
    ):
        Dataset("mixed", one.train, one.validation, other.test, "a test")


def test_test_and_validation_must_be_labelled():
    one = load_digits()
    bare = Split(one.test.inputs, None, one.test.ids, one.task)
    with pytest.raises(
        BadInput, match=r"^labels of the test split of mixed must be known for every row; got unknown ones"
    ):
        Dataset("mixed", one.train, one.validation, bare, "a test")


def test_a_data_set_prints_its_sizes():
    assert repr(load_digits()) == (
        "Dataset(digits: train 1294, validation 144, test 359; inputs 1 x 8 x 8; 10 classes; "
        "from scikit-learn's digits)"
    )
