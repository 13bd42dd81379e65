"""The candidate's file as text: its digest, its fingerprint, and what it may contain (contract mixer/v1).

The check tells an honest author early and with the line what won't do. It is no jail: what a hostile file can do is
limited by the process that it runs in.
"""

import ast
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from hashlib import sha256

from asiarch.api.normal_form import dotted_path, imported_paths, normal_form
from asiarch.api.order import MAX_CODE_BYTES
from asiarch.api.reason import Reason

MAX_DEPTH = 100
"""Deepest nesting of a file's syntax: far above what people write, far below what makes a reader of it overflow."""

MAX_REFUSALS = 20
ALLOWED = ("torch", "einops", "math", "asiarch_kernels", "typing", "__future__")


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


_REFUSED_OF_TORCH = _words(
    """
    backends classes compile compiler cpp cpu cuda distributed export from_file futures fx hub jit library load
    monitor mps mtia multiprocessing onnx overrides package profiler quantization save serialization
    set_default_device set_default_dtype set_num_interop_threads set_num_threads storage testing torch_version
    use_deterministic_algorithms version xpu
    """
)
_ALLOWED_BELOW: Mapping[str, frozenset[str]] = {
    "torch.ops": _words("asiarch"),
    "torch.utils": _words("checkpoint"),
}
_FOREIGN = _words(
    """
    asyncio builtins ctypes gc importlib inspect io linecache multiprocessing os pickle platform shutil signal
    socket subprocess sys tempfile threading time traceback types warnings weakref
    """
)
"""Modules that torch's own modules hold as attributes."""

_REFUSED_NAMES = _words(
    """
    breakpoint compile delattr eval exec exit globals locals open quit vars
    __builtins__ __import__ __loader__ __spec__
    """
)
_REFUSED_ATTRIBUTES = _words(
    """
    _getframe ag_frame cr_frame f_back f_builtins f_code f_globals f_locals func_globals gi_code gi_frame tb_frame
    """
)
_ALLOWED_DUNDERS = _words("__all__ __call__ __class__ __init__ __len__ __name__")
_DUNDER = re.compile(r"__\w+__")
_SAFE_CALLS = _words("abs bool dict float frozenset int len list max min range round set sorted sum tuple")
_WANTED = ("width", "heads", "layer", "layers")


@dataclass(frozen=True, slots=True)
class Refusal:
    """One thing that a file may not contain."""

    line: int
    reason: Reason
    message: str


def digest(text: str) -> str:
    """SHA-256 of the text."""
    return sha256(text.encode()).hexdigest()


def fingerprint(text: str) -> str:
    """SHA-256 of the normal form of a file's syntax; of the text itself where it can't be read as Python."""
    module = _parse(text)
    if isinstance(module, Refusal):
        return digest(f"unreadable\n{text}")
    return digest(normal_form(module))


def check(text: str) -> tuple[Refusal, ...]:
    """Say what a candidate's file contains that it may not; nothing for a file that may run."""
    module = _parse(text)
    if isinstance(module, Refusal):
        return (module,)
    found = [*_contents(module), *_top_level(module), *_interface(module)]
    # One of a kind for each line: `torch.os.system` is refused as a whole, not again as `torch.os`.
    first = {(refusal.line, refusal.reason): refusal for refusal in reversed(found)}
    # What is forbidden comes before what is missing, as the first refusal decides what the file is refused for.
    ordered = sorted(first.values(), key=lambda r: (r.reason is Reason.INTERFACE_MISMATCH, r.line))
    return tuple(ordered[:MAX_REFUSALS])


# Reading


def _parse(text: str) -> ast.Module | Refusal:
    unreadable = _unreadable(text)
    if unreadable:
        return unreadable
    try:
        module = ast.parse(text)
    except SyntaxError as error:
        return Refusal(error.lineno or 1, Reason.INVALID_SOURCE, f"is no Python: {error.msg}.")
    except (ValueError, RecursionError, MemoryError) as error:
        return Refusal(1, Reason.INVALID_SOURCE, f"can't be parsed: {type(error).__name__}: {error}.")
    deep = _too_deep(module)
    return deep or module


def _unreadable(text: str) -> Refusal | None:
    try:
        size = len(text.encode())
    except UnicodeEncodeError as error:
        line = text.count("\n", 0, error.start) + 1
        return Refusal(line, Reason.INVALID_SOURCE, "holds a lone surrogate, which UTF-8 can't write.")
    if size > MAX_CODE_BYTES:
        message = f"the file has {size} bytes; wanted at most {MAX_CODE_BYTES}."
        return Refusal(1, Reason.INVALID_SOURCE, message)
    if "\0" in text:
        line = text.count("\n", 0, text.index("\0")) + 1
        return Refusal(line, Reason.INVALID_SOURCE, "holds a NUL character.")
    return None


def _too_deep(module: ast.Module) -> Refusal | None:
    """Measure the nesting without recursion."""
    level: list[ast.AST] = [module]
    line = 1
    for _ in range(MAX_DEPTH):
        level = [child for syntax in level for child in ast.iter_child_nodes(syntax)]
        line = max((getattr(syntax, "lineno", 0) for syntax in level), default=line) or line
        if not level:
            return None
    return Refusal(line, Reason.INVALID_SOURCE, f"nests more than {MAX_DEPTH} levels deep.")


# What may stand anywhere


def _contents(module: ast.Module) -> Iterator[Refusal]:
    paths = imported_paths(module)
    for syntax in ast.walk(module):
        rule = _RULES.get(type(syntax))
        for message in rule(syntax, paths) if rule else ():
            yield Refusal(getattr(syntax, "lineno", 1), Reason.IMPORT_REFUSED, message)


def _import(syntax: ast.Import, _paths: Mapping[str, str]) -> Iterator[str]:
    for alias in syntax.names:
        yield from _refused_path(alias.name, "imports")


def _import_from(syntax: ast.ImportFrom, _paths: Mapping[str, str]) -> Iterator[str]:
    if syntax.level:
        yield "imports relative to itself; a candidate is one file."
        return
    for alias in syntax.names:
        if alias.name == "*":
            yield f"imports everything from {syntax.module}; name what you need."
        else:
            yield from _refused_path(f"{syntax.module}.{alias.name}", "imports")


def _name(syntax: ast.Name, _paths: Mapping[str, str]) -> Iterator[str]:
    if syntax.id in _REFUSED_NAMES:
        yield f"names {syntax.id}, which candidates may not use."


def _attribute(syntax: ast.Attribute, paths: Mapping[str, str]) -> Iterator[str]:
    hidden = _DUNDER.fullmatch(syntax.attr) and syntax.attr not in _ALLOWED_DUNDERS
    if hidden or syntax.attr in _REFUSED_ATTRIBUTES:
        yield f"names the attribute {syntax.attr}, which candidates may not use."
        return
    path = dotted_path(syntax, paths)
    if path is None:
        return
    yield from _refused_path(path, "names")
    if not isinstance(syntax.ctx, ast.Load):
        yield f"changes {path}; a candidate may change nothing but itself."


def _string(syntax: ast.Constant, _paths: Mapping[str, str]) -> Iterator[str]:
    """A name in double underscores as a text serves to reach what may not be named."""
    value = syntax.value
    if isinstance(value, str) and _DUNDER.fullmatch(value) and value not in _ALLOWED_DUNDERS:
        yield f"holds the text {value!r}, which candidates may not use."


def _refused_path(path: str, verb: str) -> Iterator[str]:
    """Say why a dotted path may not be used, if so."""
    parts = path.split(".")
    if parts[0] not in ALLOWED:
        yield f"{verb} {path}; allowed are {', '.join(ALLOWED)}."
        return
    if _private(parts) or (parts[0] == "torch" and _refused_of_torch(parts)):
        yield f"{verb} {path}, which candidates may not use; torch's tensors, nn, linalg, fft and special they may."


def _private(parts: list[str]) -> bool:
    """Whether a path leads into a library's inside or out of it again."""
    return any(
        part in _FOREIGN or (part.startswith("_") and part not in _ALLOWED_DUNDERS) for part in parts[1:]
    )


def _refused_of_torch(parts: list[str]) -> bool:
    if not _REFUSED_OF_TORCH.isdisjoint(parts[1:2]):
        return True
    below = _ALLOWED_BELOW.get(".".join(parts[:2]))
    return below is not None and not below.issuperset(parts[2:3])


_RULES: Mapping[type[ast.AST], Callable[..., Iterator[str]]] = {
    ast.Attribute: _attribute,
    ast.Constant: _string,
    ast.Import: _import,
    ast.ImportFrom: _import_from,
    ast.Name: _name,
}


# What must stand at the top level


def _top_level(module: ast.Module) -> Iterator[Refusal]:
    paths = imported_paths(module)
    if not ast.get_docstring(module):
        message = "the file has no docstring; state the idea in one paragraph at its head."
        yield Refusal(1, Reason.INTERFACE_MISMATCH, message)
    for statement in module.body:
        if not _is_definition(statement, paths):
            message = "runs code at the top level; wanted only imports, constants, functions and classes."
            yield Refusal(statement.lineno, Reason.INTERFACE_MISMATCH, message)


def _is_definition(statement: ast.stmt, paths: Mapping[str, str]) -> bool:
    match statement:
        case ast.Import() | ast.ImportFrom() | ast.FunctionDef() | ast.ClassDef():
            return True
        case ast.Expr(value=ast.Constant()) | ast.AnnAssign(target=ast.Name(), value=None):
            return True
        case (
            ast.Assign(targets=[ast.Name()], value=value)
            | ast.AnnAssign(target=ast.Name(), value=ast.expr() as value)
        ):
            return all(_is_safe(call, paths) for call in ast.walk(value) if isinstance(call, ast.Call))
        case _:
            return False


def _is_safe(call: ast.Call, paths: Mapping[str, str]) -> bool:
    """Whether a constant may be made by this call."""
    path = dotted_path(call.func, paths)
    if path is not None:
        return path.split(".")[0] in {"math", "typing"}
    return isinstance(call.func, ast.Name) and call.func.id in _SAFE_CALLS


def _interface(module: ast.Module) -> Iterator[Refusal]:
    mixers = [s for s in module.body if isinstance(s, ast.ClassDef) and s.name == "Mixer"]
    if not mixers:
        yield Refusal(1, Reason.INTERFACE_MISMATCH, "the file defines no class Mixer at its top level.")
    for made in (s for mixer in mixers for s in mixer.body if isinstance(s, ast.FunctionDef)):
        given = made.args
        names = {argument.arg for argument in (*given.args, *given.kwonlyargs)}
        if made.name == "__init__" and given.kwarg is None and not names.issuperset(_WANTED):
            message = f"Mixer.__init__ takes {', '.join(sorted(names))}; wanted self, {', '.join(_WANTED)}."
            yield Refusal(made.lineno, Reason.INTERFACE_MISMATCH, message)
