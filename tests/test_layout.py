"""What reading the files alone can tell: sizes, names, promises in words. Complexity and style are ruff's work."""

import ast
import re
import subprocess
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
SOURCE_ROOTS = ("operator", "trainer-image", "kernels")
PURE = ("operator/asiarch/core/", "operator/asiarch/api/")
TOP_LEVEL = {
    ".ci",
    ".gitignore",
    "ARCHITECTURE.md",
    "CHANGELOG.md",
    "CONTRIBUTING.md",
    "LICENSE",
    "Makefile",
    "README.md",
    "SCOPE.md",
    "crds",
    "docs",
    "examples",
    "helm",
    "kernels",
    "operator",
    "pyproject.toml",
    "requirements.lock",
    "tests",
    "trainer-image",
}
MAX_FILE_LINES = 400
MAX_FUNCTION_LINES = 40
MAX_KERNEL_LINES = 120
MAX_PARAMETERS = 5
MIN_CHARTER = 40
EMPTY_NAMES = {"common", "helper", "helpers", "manager", "managers", "misc", "util", "utils"}
OTHER_WORDS_FOR_OURS = {"program", "node", "individual", "element", "trial"}
# Where such a word belongs to what the module deals with: trees of YAML and schemas, CEL and BPF programs, a cluster.
FOREIGN_WORDS = {
    "operator/asiarch/api/cel.py": {"node", "program"},
    "operator/asiarch/api/crd.py": {"node"},
    "operator/asiarch/api/document.py": {"node"},
    "operator/asiarch/api/reason.py": {"node"},
    "operator/asiarch/api/schema.py": {"node"},
    "operator/asiarch/local/seccomp.py": {"program"},
}
MADE_BY_A_SEARCH = {"report.md"}
IMPURE_BUILTINS = {"open", "print", "input"}
IMPURE_METHODS = {"now", "today", "utcnow", "getenv", "urandom"}
BROAD = {"Exception", "BaseException"}
# Put together from halves, so that this file may be searched too.
MACHINES = [
    "/" + "root/",
    "/" + "home/",
    "/" + "Users/",
    "/" + "work/",
    "/opt" + "/wheels",
]
REGISTRIES = [
    "pypi" + ".org",
    "python" + "hosted",
    "pytorch" + ".org/whl",
    "docker" + ".io",
    "ghcr" + ".io",
    "quay" + ".io",
]

Function = ast.FunctionDef | ast.AsyncFunctionDef


@cache
def tracked() -> tuple[str, ...]:
    """Every file that is in the repository or would be after `git add`."""
    command = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    listed = subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True).stdout.split("\0")
    return tuple(sorted({name for name in listed if name and (ROOT / name).is_file()}))


@cache
def text(name: str) -> str:
    """A file's text; empty for pictures and other bytes."""
    try:
        return (ROOT / name).read_text(encoding="utf-8")
    except UnicodeDecodeError:
        return ""


@cache
def tree(name: str) -> ast.Module:
    return ast.parse(text(name), filename=name)


def modules(*prefixes: str) -> list[str]:
    return [n for n in tracked() if n.endswith(".py") and n.startswith(prefixes or ("",))]


def sources() -> list[str]:
    return modules(*(f"{root}/" for root in SOURCE_ROOTS))


def functions(name: str) -> Iterator[Function]:
    return (n for n in ast.walk(tree(name)) if isinstance(n, Function))


def at(name: str, line: int, what: object) -> str:
    return f"{name}:{line}: {what}"


def listing(faults: list[str]) -> str:
    return "\n".join(["", *faults])


def test_the_top_level_is_exactly_the_house() -> None:
    assert {name.split("/")[0] for name in tracked()} == TOP_LEVEL


def test_no_file_is_longer_than_its_ceiling() -> None:
    sizes = {name: len(text(name).splitlines()) for name in modules()}
    assert {name: size for name, size in sizes.items() if size > MAX_FILE_LINES} == {}


def test_no_function_is_longer_than_its_ceiling() -> None:
    late = []
    for name in modules():
        ceiling = MAX_KERNEL_LINES if name.startswith("kernels/") else MAX_FUNCTION_LINES
        for function in functions(name):
            lines = (function.end_lineno or function.lineno) - function.lineno + 1
            if lines > ceiling:
                late.append(at(name, function.lineno, f"{function.name} has {lines} lines"))
    assert not late, listing(late)


def test_no_function_takes_more_than_five_parameters() -> None:
    wide = []
    # In kernels/ an operator takes its tensors one by one.
    for name in modules("operator/", "trainer-image/"):
        for function in functions(name):
            a = function.args
            taken = [p.arg for p in (*a.posonlyargs, *a.args, *a.kwonlyargs) if p.arg not in {"self", "cls"}]
            if len(taken) > MAX_PARAMETERS:
                wide.append(at(name, function.lineno, f"{function.name} takes {', '.join(taken)}"))
    assert not wide, listing(wide)


def test_no_module_has_a_name_that_says_nothing() -> None:
    assert [n for n in tracked() if set(re.split(r"[/._]", n)) & EMPTY_NAMES] == []


def test_no_source_root_is_a_package() -> None:
    assert [root for root in SOURCE_ROOTS if (ROOT / root / "__init__.py").exists()] == []


def test_every_module_says_what_it_is_for() -> None:
    silent = [n for n in modules() if text(n).strip() and ast.get_docstring(tree(n)) is None]
    assert not silent, listing(silent)


def test_every_package_states_its_charter() -> None:
    packages = [n for n in sources() if n.endswith("__init__.py")]
    assert [n for n in packages if len(ast.get_docstring(tree(n)) or "") < MIN_CHARTER] == []


def test_no_broad_handler_swallows_an_error() -> None:
    swallowed = [
        at(name, handler.lineno, "re-raise it, or bind it and hand it on, or say above it why not")
        for name in sources()
        for handler in ast.walk(tree(name))
        if isinstance(handler, ast.ExceptHandler) and _broad(handler.type) and not _handed_on(name, handler)
    ]
    suppressed = [
        at(name, call.lineno, "suppress() of everything")
        for name in sources()
        for call in ast.walk(tree(name))
        if isinstance(call, ast.Call) and _last_name(call.func) == "suppress" and any(map(_broad, call.args))
    ]
    assert not swallowed + suppressed, listing(swallowed + suppressed)


def test_the_pure_half_asks_nobody_but_its_arguments() -> None:
    asked = [
        at(name, call.lineno, f"{_last_name(call.func)}()")
        for name in modules(*PURE)
        for call in ast.walk(tree(name))
        if isinstance(call, ast.Call) and _impure(call.func)
    ]
    assert not asked, listing(asked)


def test_one_word_per_idea() -> None:
    strange = [
        at(name, line, identifier)
        for name in modules("operator/asiarch/")
        for identifier, line in _defined(tree(name))
        if _words(identifier) & (OTHER_WORDS_FOR_OURS - FOREIGN_WORDS.get(name, set()))
    ]
    assert not strange, listing(strange)


@pytest.mark.parametrize("words", [MACHINES, REGISTRIES], ids=["machines", "registries"])
def test_no_file_knows_the_machine_it_was_written_on(words: list[str]) -> None:
    pattern = re.compile("|".join(map(re.escape, words)))
    told = [
        at(name, number, line.strip())
        for name in tracked()
        for number, line in enumerate(text(name).splitlines(), start=1)
        if pattern.search(line)
    ]
    assert not told, listing(told)


def test_every_document_that_is_spoken_of_is_here() -> None:
    known = MADE_BY_A_SEARCH | {part for name in tracked() for part in (name, Path(name).name)}
    spoken = [
        at(name, number, document)
        for name in tracked()
        for number, line in enumerate(text(name).splitlines(), start=1)
        for document in re.findall(r"[\w./-]*\w\.md\b", line)
        if document not in known and not (ROOT / name).parent.joinpath(document).exists()
    ]
    assert not spoken, listing(spoken)


def test_every_relative_link_resolves() -> None:
    broken = []
    for name in (n for n in tracked() if n.endswith(".md")):
        shown = re.sub(r"<!--.*?-->", "", text(name), flags=re.DOTALL)
        for target in re.findall(r"\]\(([^)\s]+)\)|(?:src|href)=\"([^\"]+)\"", shown):
            link = "".join(target).split("#")[0]
            local = link and not re.match(r"[a-z]+:", link)
            if local and not (ROOT / name).parent.joinpath(link).exists():
                broken.append(f"{name}: {link}")
    assert not broken, listing(broken)


def test_the_changelog_is_open() -> None:
    assert re.search(r"^## \[Unreleased\]$", text("CHANGELOG.md"), flags=re.MULTILINE)


def test_no_promise_without_an_anchor() -> None:
    promise = re.compile(r"#.*\b(?:TODO|FIXME|XXX)\b(?!\(#\d+\))")
    loose = [
        at(name, number, line.strip())
        for name in tracked()
        if not name.endswith(".md") and name != "tests/test_layout.py"
        for number, line in enumerate(text(name).splitlines(), start=1)
        if promise.search(line)
    ]
    assert not loose, listing(loose)


def _last_name(expression: ast.expr) -> str:
    """The last name of `a.b.c` or `c`; empty for what has none."""
    match expression:
        case ast.Name(id=found) | ast.Attribute(attr=found):
            return found
        case _:
            return ""


def _impure(called: ast.expr) -> bool:
    """Whether a call reads a file, the console, the environment, a clock or a source of chance."""
    return _last_name(called) in (IMPURE_BUILTINS if isinstance(called, ast.Name) else IMPURE_METHODS)


def _broad(caught: ast.expr | None) -> bool:
    if isinstance(caught, ast.Tuple):
        return any(map(_broad, caught.elts))
    return caught is None or _last_name(caught) in BROAD


def _handed_on(name: str, handler: ast.ExceptHandler) -> bool:
    """Whether a handler raises, or uses the error that it bound, or a comment above it says why it may end here."""
    inside = [found for statement in handler.body for found in ast.walk(statement)]
    explained = text(name).splitlines()[handler.lineno - 2].lstrip().startswith("#")
    return explained or any(
        isinstance(f, ast.Raise) or (isinstance(f, ast.Name) and f.id == handler.name) for f in inside
    )


def _defined(module: ast.Module) -> Iterator[tuple[str, int]]:
    """Every name that a module defines, with its line."""
    for found in ast.walk(module):
        match found:
            case ast.FunctionDef(name=name) | ast.AsyncFunctionDef(name=name) | ast.ClassDef(name=name):
                yield name, found.lineno
            case (
                ast.arg(arg=name)
                | ast.Name(id=name, ctx=ast.Store())
                | ast.Attribute(attr=name, ctx=ast.Store())
            ):
                yield name, found.lineno


def _words(identifier: str) -> set[str]:
    """An identifier's words in the singular: `TrialNodes` and `trial_nodes` give trial and node."""
    parts = re.findall(r"[A-Z]?[a-z]+|[A-Z]+(?![a-z])", identifier)
    return {word.lower().removesuffix("s") for word in parts}
