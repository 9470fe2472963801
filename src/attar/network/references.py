"""Functions that a file names, as ``package.module:function``: which of them may be named, and how they are called."""

from __future__ import annotations

import hashlib
import importlib
import inspect
import logging
import re
import sys
import sysconfig
import traceback
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from importlib.machinery import ModuleSpec, PathFinder
from pathlib import Path
from typing import Any

from attar.errors import AttarError, BadInput, must, near, shown
from attar.workspace import digest_of

log = logging.getLogger(__name__)

ARCHITECTURES = "attar.network.architectures"
"""The module of Attar whose functions a file may name. Nothing else of Attar is for files to call."""


@dataclass(frozen=True)
class Trust:
    """Whose functions a file may name, besides Attar's architectures.

    Two of them are always equal: what a recipe says does not depend on who trusts it.

    Attributes:
        beside: A folder whose modules are trusted as the file that lies in it is; None for none.
        packages: Packages or modules that the user allows.
    """

    beside: Path | None = field(default=None, compare=False)
    packages: tuple[str, ...] = field(default=(), compare=False)

    @contextmanager
    def opened(self, references: Mapping[str, str]) -> Iterator[None]:
        """Within it, all of these references can be resolved; nothing is imported where one of them is not trusted.

        Folders of trusted modules are at the end of the import path as long as it is open, so that they hide nothing.

        Args:
            references: Where each stands, such as ``student.network.use of mine.toml``, to the reference.

        Raises:
            BadInput: If a reference is malformed, or names what is not trusted.
        """
        with findable([self._folder(reference, where) for where, reference in references.items()]):
            yield

    def trusts(self, module: str) -> bool:
        """Whether what is defined in a module may be used: it lies beside the file, or in a package that is allowed."""
        top = module.partition(".")[0]
        if within(module, self.packages):
            return True
        if self.beside is None or top in sys.stdlib_module_names:
            return False
        beside, installed = _in(self.beside, top), _installed(top)
        return beside is not None and (installed is None or _places(installed) == _places(beside))

    def _folder(self, reference: str, where: str) -> Path | None:
        """The folder in which a trusted module is looked for; None where it is found without."""
        module, _ = module_and_name(reference, where)
        top = module.partition(".")[0]
        if top == "attar":
            check_architecture(reference, where)
            return None
        if within(module, self.packages):
            return next((one for one in (folder_of(module, self.beside), folder_of(module, Path.cwd())) if one), None)
        importlib.invalidate_caches()
        beside = None if self.beside is None else _in(self.beside, top)
        if beside is None:
            given = "" if self.beside is None else f", of a module beside it (in {self.beside})"
            raise BadInput(
                f"{where} names {reference!r}, which is not run: it must be a function of {ARCHITECTURES}{given}, "
                f"or of a package that you allow. If you trust it, add --allow {top} (in Python, allow=[{top!r}])."
            )
        installed = _installed(top)
        if top in sys.stdlib_module_names or (installed is not None and _places(installed) != _places(beside)):
            raise BadInput(
                f"{where} names {reference!r}, but an installed module is called {top!r} too, and it would be taken "
                f"for the one in {self.beside}. Rename the file."
            )
        _forget(top, beside)
        return self.beside


@contextmanager
def findable(folders: Iterable[Path | None]) -> Iterator[None]:
    """Modules in these folders can be imported within it; each is at the end of the import path once."""
    added = sorted({str(one) for one in folders if one is not None})
    sys.path.extend(added)
    try:
        yield
    finally:
        for one in added:
            if one in sys.path:
                del sys.path[len(sys.path) - 1 - sys.path[::-1].index(one)]


def folder_of(module: str, folder: Path | None) -> Path | None:
    """The folder, where a module that is not installed lies in it; else None."""
    importlib.invalidate_caches()
    top = module.partition(".")[0]
    return folder if folder is not None and _installed(top) is None and _in(folder, top) is not None else None


def within(module: str, packages: Collection[str]) -> bool:
    """Whether a module is one of these or lies below one of them."""
    return any(module == name or module.startswith(name + ".") for name in packages)


_FILES = (".npz", ".csv", ".parquet", ".npy", ".onnx", ".skops", ".txt", ".json", ".ubj", ".cbm")
"""Endings by which a text with a colon is a path."""


def names_function(text: str) -> bool:
    """Whether a text is meant as a reference, and not as the path of a file or a name."""
    return ":" in text and not text.lower().endswith(_FILES)


def module_and_name(reference: str, where: str = "The reference of a function") -> tuple[str, str]:
    """Module and name of a reference.

    Args:
        reference: The reference.
        where: What names it; for the message.

    Raises:
        BadInput: If it is not written ``package.module:function``.
    """
    module, _, name = reference.partition(":")
    if not all(word.isidentifier() for word in (*module.split("."), name)):
        raise BadInput(f"{where} {_unwritten(reference)}")
    return module, name


def check_written(reference: str) -> str:
    """The reference, where it is written as one; for the schema of a file, which says where it stands.

    Raises:
        ValueError: If it is not; what follows the key in a sentence.
    """
    module, _, name = reference.partition(":")
    if not all(word.isidentifier() for word in (*module.split("."), name)):
        raise ValueError(_unwritten(reference))
    return reference


def _unwritten(reference: str) -> str:
    """What is wrong with a reference that is none, after the words for where it stands."""
    meant = next((one for one in _architectures() if one.endswith(f":{re.split('[:.]', reference)[-1]}")), None)
    remedy = "Put a colon before the name of the function." if meant is None else f"Did you mean {meant!r}?"
    return f"must be written package.module:function; got {shown(reference)}. {remedy}"


def check_architecture(reference: str, where: str) -> None:
    """Let through a function that `ARCHITECTURES` defines itself, and nothing that it imports.

    Raises:
        BadInput: If it is anything else.
    """
    known = _architectures()
    if reference not in known:
        close = near(reference, known)
        close += "" if close.endswith("?") else "."
        raise BadInput(f"{where} must be a function of {ARCHITECTURES}; got {shown(reference)}. {close}")


def _architectures() -> list[str]:
    """The functions of Attar that a file may name."""
    return [
        f"{ARCHITECTURES}:{name}"
        for name, value in vars(importlib.import_module(ARCHITECTURES)).items()
        if inspect.isfunction(value) and value.__module__ == ARCHITECTURES and not name.startswith("_")
    ]


def resolve(reference: str) -> Callable[..., Any]:
    """The function that ``package.module:function`` names; whoever asks has seen to it that it may be imported.

    Raises:
        BadInput: If the reference is malformed, the module cannot be imported or has no such function.
    """
    module_name, name = module_and_name(reference)
    try:
        module = importlib.import_module(module_name)
    except ImportError as error:
        where = "" if isinstance(error, ModuleNotFoundError) and error.name in _above(module_name) else located(error)
        raise BadInput(
            f"The module of {shown(reference)} cannot be imported: {error}{where}. Check its name, install its "
            "package, put it on PYTHONPATH, or beside the recipe."
        ) from error
    except (Exception, SystemExit) as error:
        raise raised(reference, error, "could not be imported") from error
    found = getattr(module, name, None)
    if found is None:
        names = [n for n, value in vars(module).items() if callable(value) and not n.startswith("_")]
        raise must("reference", "a function", f"a name in {module_name}", reference, near(name, names or ["(none)"]))
    if not callable(found):
        raise must("reference", "a function", "callable", reference, f"It is a {type(found).__name__}")
    return found  # type: ignore[no-any-return]


def _above(module: str) -> list[str]:
    """A module and the packages that it lies in."""
    names = module.split(".")
    return [".".join(names[:length]) for length in range(1, len(names) + 1)]


def call(reference: str, **arguments: Any) -> Any:
    """What the function of a reference returns.

    Raises:
        BadInput: If there is no such function, or it raises anything; its traceback is logged.
    """
    function = resolve(reference)
    try:
        return function(**arguments)
    except AttarError:
        raise
    except (Exception, SystemExit) as error:
        raise raised(reference, error) from error


def raised(
    reference: str, error: BaseException, what: str = "failed", arguments: Mapping[str, Any] | None = None
) -> BadInput:
    """The error for code of the user's that raised: its type, its place and its message; its traceback is logged.

    Args:
        reference: Of the code.
        error: What it raised.
        what: What became of it.
        arguments: With which it was called, if a file says them: they may be what is wrong.
    """
    log.error("%s %s", reference, what, exc_info=error)
    given = f" with {shown(dict(arguments))}" if arguments else ""
    remedy = "Correct it there, or give other arguments" if arguments else "Correct it there"
    return BadInput(f"{reference} {what}{given}: {summary(error)}{located(error)}. {remedy}.")


def summary(error: BaseException) -> str:
    """Type and message of an exception on one line, without the period at its end."""
    text = " ".join(str(error).split()).rstrip(".")
    if len(text) > 400:
        text = f"{text[:250]} ... {text[-140:]}"
    return f"{type(error).__name__}{': ' if text else ''}{text}"


def folders_of(references: Collection[str]) -> list[Path]:
    """Where the modules of these references lie, as far as they are loaded and not Attar's."""
    tops = {reference.partition(":")[0].partition(".")[0] for reference in references} - {"attar"}
    loaded = [sys.modules[top].__spec__ for top in sorted(tops) if top in sys.modules]
    return [place for spec in loaded if spec is not None for place in _places(spec)]


def own_code(modules: Collection[str]) -> dict[str, str]:
    """Digests of the user's own modules as their files are now, by name: of packages all of their Python files.

    Args:
        modules: By name; Attar's and those that are installed are left out.
    """
    found, libraries = dict[str, str](), _libraries()
    for top in sorted({name.partition(".")[0] for name in modules} - {"attar"}):
        spec = sys.modules[top].__spec__ if top in sys.modules else _installed(top)
        places = [] if spec is None else _places(spec)
        own = [place for place in places if not any(place.is_relative_to(one) for one in libraries)]
        files = [file for place in own for file in (sorted(place.rglob("*.py")) if place.is_dir() else [place])]
        if files:
            digests = "".join(digest_of(file) for file in files if file.is_file())
            found[top] = hashlib.sha256(digests.encode()).hexdigest()
    return found


def _libraries() -> list[Path]:
    """Where what is installed lies, and Attar."""
    installed = [Path(sysconfig.get_path(name)).resolve() for name in ("stdlib", "purelib", "platlib")]
    return [*installed, Path(__file__).resolve().parents[1]]


def place_of(error: BaseException, folders: Collection[Path]) -> str | None:
    """File and line of the last frame of an exception that lies in one of these files and folders."""
    roots = [folder.resolve() for folder in folders]
    for frame in reversed(traceback.extract_tb(error.__traceback__)):
        path = Path(frame.filename)
        if path.is_absolute() and any(path.resolve().is_relative_to(root) for root in roots):
            return f"{frame.filename}, line {frame.lineno}"
    return None


def located(error: BaseException) -> str:
    """`` (in FILE, line N)``, of the last frame that is neither Attar's nor a library's; empty where there is none."""
    if isinstance(error, SyntaxError) and error.filename is not None:
        return f" (in {error.filename}, line {error.lineno})"
    libraries = _libraries()
    for frame in reversed(traceback.extract_tb(error.__traceback__)):
        path = Path(frame.filename)
        if path.is_absolute() and not any(path.resolve().is_relative_to(one) for one in libraries):
            return f" (in {frame.filename}, line {frame.lineno})"
    return ""


def _in(folder: Path, top: str) -> ModuleSpec | None:
    """The module or package of this name that lies in a folder itself."""
    return PathFinder.find_spec(top, [str(folder)])


def _installed(top: str) -> ModuleSpec | None:
    """The module of this name that an import would find now; unlike `importlib.util.find_spec`, loaded or not."""
    for finder in sys.meta_path:
        found = finder.find_spec(top, None, None)
        if found is not None:
            return found
    return None


def _places(spec: ModuleSpec) -> list[Path]:
    """The file of a module, or the folders of a package."""
    places = list(spec.submodule_search_locations or ())
    if not places and spec.has_location and spec.origin:
        places = [spec.origin]
    return [Path(one).resolve() for one in places]


def _forget(top: str, beside: ModuleSpec) -> None:
    """A module of the same name that was loaded from elsewhere, as for another recipe, is not this one."""
    loaded = sys.modules.get(top)
    if loaded is None or (loaded.__spec__ is not None and _places(loaded.__spec__) == _places(beside)):
        return
    for name in [name for name in sys.modules if within(name, [top])]:
        del sys.modules[name]
