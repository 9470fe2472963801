"""What a file may name, and that nothing else is even imported."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from attar.errors import BadInput
from attar.network.references import Trust, call, folders_of, own_code, place_of, resolve

WHERE = "data.use of the recipe"


@pytest.fixture(autouse=True)
def as_it_was(tmp_path: Path) -> Iterator[None]:
    path, modules = list(sys.path), set(sys.modules)
    yield
    assert sys.path == path
    for name in set(sys.modules) - modules:
        if str(tmp_path) in repr(sys.modules[name]):  # what is installed stays: torch cannot be loaded twice
            del sys.modules[name]


def write(folder: Path, name: str, code: str) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / name).parent.mkdir(parents=True, exist_ok=True)
    (folder / name).write_text(code, encoding="utf-8")
    return folder


def returned(trust: Trust, reference: str) -> object:
    with trust.opened({WHERE: reference}):
        return call(reference)


def test_a_module_beside_the_file_is_found_and_one_elsewhere_is_not_imported(tmp_path: Path) -> None:
    beside = write(tmp_path / "one", "mine_a.py", "import mine_helper\ndef data(): return mine_helper.VALUE")
    write(beside, "mine_helper.py", "VALUE = 3")
    write(tmp_path, "mine_b.py", "raise SystemExit('this was run')")
    assert returned(Trust(beside), "mine_a:data") == 3
    with pytest.raises(
        BadInput, match=r"data\.use of the recipe names 'mine_b:data', which is not run.*--allow mine_b"
    ):
        returned(Trust(beside), "mine_b:data")
    assert "mine_b" not in sys.modules


def test_a_package_beside_the_file_is_found(tmp_path: Path) -> None:
    write(tmp_path, "mine_package/__init__.py", "")
    write(tmp_path, "mine_package/data.py", "def all(): return 5")
    assert returned(Trust(tmp_path), "mine_package.data:all") == 5


def test_each_file_has_the_modules_beside_itself(tmp_path: Path) -> None:
    for value in (1, 2):
        write(tmp_path / str(value), "mine_same.py", f"def data(): return {value}")
    for value in (1, 2, 1):
        assert returned(Trust(tmp_path / str(value)), "mine_same:data") == value


@pytest.mark.parametrize("name", ["os", "shutil", "subprocess", "builtins", "numpy", "torch", "sklearn", "posix"])
def test_a_file_that_is_called_like_an_installed_module_does_not_bring_that_in(name: str, tmp_path: Path) -> None:
    write(tmp_path, f"{name}.py", "def system(_): pass\ndef eval(): pass")
    write(tmp_path, "attar.py", "raise SystemExit('this was run')")
    with pytest.raises(BadInput, match=f"an installed module is called '{name}' too.*Rename the file"):
        returned(Trust(tmp_path), f"{name}:system")


@pytest.mark.parametrize(
    "reference",
    [
        "os:system",
        "os.path:join",
        "builtins:eval",
        "attar_evil:run",
        "attar.network.architectures:near",
        "attar.network.architectures:Rows",
        "attar.network.architectures:Residual",
        "attar.network.references:resolve",
        "attar.deployment.artifact:load",
        "attar.recipes.compress:compress",
        "attar.evidence.memory:main",
        "attar:compress",
        ".os:system",
        "os:system.x",
        "os:",
        ":system",
        "os :system",
        "o\u017f:system",
        "../os:system",
    ],
)
@pytest.mark.parametrize("allow", [(), ("attar",), ("o", "attar_", "system")])
def test_nothing_else_is_called(reference: str, allow: tuple[str, ...], tmp_path: Path) -> None:
    with pytest.raises(BadInput, match=r"not run|architectures|written package\.module:function"):
        returned(Trust(tmp_path, allow), reference)


def test_architectures_are_for_every_file() -> None:
    with Trust().opened({WHERE: "attar.network.architectures:mlp"}):
        assert callable(resolve("attar.network.architectures:mlp"))


def test_an_allowed_package_is_found_where_it_is_installed_or_in_the_working_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(tmp_path, "mine_allowed.py", "def data(): return 7")
    monkeypatch.chdir(tmp_path)
    assert returned(Trust(packages=("mine_allowed",)), "mine_allowed:data") == 7
    with Trust(packages=("os.path",)).opened({WHERE: "os.path:join"}):
        pass
    with pytest.raises(BadInput, match="not run"):
        returned(Trust(packages=("os.path",)), "os:system")


def test_trust_is_no_part_of_what_is_compared(tmp_path: Path) -> None:
    assert Trust() == Trust(tmp_path, ("os",))


@pytest.mark.parametrize(
    ("code", "message"),
    [
        (
            "def data():\n    raise KeyError('no such key')",
            r"failed: KeyError: 'no such key' \(in .*mine_c\.py, line 2\)",
        ),
        ("def data():\n\n    exit(3)", r"failed: SystemExit: 3 \(in .*mine_c\.py, line 3\)"),
        ("def data():\n    import json\n    json.loads('{')", r"failed: JSONDecodeError: .*mine_c\.py|json"),
        ("import no_such_package_of_mine\ndef data(): pass", r"No module named 'no_such.*mine_c\.py, line 1\)"),
        ("data = 3", r"must be callable; got 'mine_c:data'\. It is a int"),
    ],
)
def test_what_code_of_the_users_raises_is_one_sentence_with_its_place(
    code: str, message: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    write(tmp_path, "mine_c.py", code)
    with pytest.raises(BadInput, match=message) as caught:
        returned(Trust(tmp_path), "mine_c:data")
    assert "\n" not in str(caught.value)
    if "failed" in message:
        assert "Traceback" in caplog.text


def test_an_interrupt_passes(tmp_path: Path) -> None:
    write(tmp_path, "mine_d.py", "def data(): raise KeyboardInterrupt")
    with pytest.raises(KeyboardInterrupt):
        returned(Trust(tmp_path), "mine_d:data")


# -- resolve -----------------------------------------------------------------------------------------------------------


def test_a_reference_is_found():
    assert resolve("attar.network.references:resolve") is resolve


def test_a_module_of_the_users_own_is_found(tmp_path, monkeypatch):
    (tmp_path / "my_nets_for_this_test.py").write_text("def small():\n    return 'it'\n")
    monkeypatch.syspath_prepend(tmp_path)
    assert resolve("my_nets_for_this_test:small")() == "it"


@pytest.mark.parametrize(
    "reference",
    [
        "attar.network",
        "attar.network:",
        ":mlp",
        "",
        "attar/network.py",
        "attar..network:f",
        ".attar:f",
        "..:f",
        "a:b.c",
    ],
)
def test_a_malformed_reference_is_refused(reference):
    with pytest.raises(BadInput, match=r"must be written package\.module:function; got"):
        resolve(reference)


@pytest.mark.parametrize("reference", ["no_such_package.x:f", "attar.no_such_module:f"])
def test_a_module_that_is_not_there_is_named(reference):
    with pytest.raises(
        BadInput, match=rf"The module of '{reference}' cannot be imported: No module named .*PYTHONPATH"
    ):
        resolve(reference)


def test_a_misspelt_function_is_told_the_near_ones():
    with pytest.raises(BadInput, match=r"must be a name in attar\.network\.architectures; .*Did you mean 'resnet'\?$"):
        resolve("attar.network.architectures:resnt")


def test_what_cannot_be_called_is_refused():
    with pytest.raises(BadInput, match=r"must be callable; got 'math:pi'\. It is a float\."):
        resolve("math:pi")


def test_own_code_is_known_by_the_bytes_of_its_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "alone_r.py").write_text("x = 1\n")
    (tmp_path / "package_r").mkdir()
    for name in ("__init__.py", "inner.py"):
        (tmp_path / "package_r" / name).write_text("x = 1\n")
    monkeypatch.syspath_prepend(tmp_path)
    modules = ("attar", "numpy", "json", "alone_r", "package_r.inner", "no_such_r")
    first = own_code(modules)
    assert first.keys() == {"alone_r", "package_r"} and own_code(modules) == first
    (tmp_path / "package_r" / "inner.py").write_text("x = 2\n")
    assert own_code(modules)["package_r"] != first["package_r"] and own_code(modules)["alone_r"] == first["alone_r"]


def test_what_lies_in_a_package_has_its_place_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "package_s").mkdir()
    (tmp_path / "package_s" / "__init__.py").write_text("")
    (tmp_path / "package_s" / "inner.py").write_text("def net():\n    raise OSError('on purpose')\n")
    monkeypatch.syspath_prepend(tmp_path)
    function = resolve("package_s.inner:net")
    with pytest.raises(OSError, match="on purpose") as found:
        function()
    place = place_of(found.value, folders_of(["package_s.inner:net"]))
    assert place == f"{tmp_path / 'package_s' / 'inner.py'}, line 2"
