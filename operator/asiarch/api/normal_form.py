"""A candidate's file in normal form: what two copies still share when their names, comments and order differ.

Folded: comments, docstrings, annotations, names of locals, arguments, top-level definitions and attributes that a class
sets on itself, ways to import one thing, and the order of top-level definitions. Nothing that is computed is folded.
"""

import ast
import re
from collections.abc import Callable, Iterator, Mapping
from hashlib import sha256

CONTRACT_NAMES = frozenset({"Mixer", "forward"})
"""Names that the host model looks for; they mean something."""

_ROUNDS = 8
_SILENT = frozenset({"annotation", "returns", "type_comment", "ctx", "kind", "simple", "type_ignores"})
_MARK = re.compile("\0([^\0]*)\0")

Function = ast.FunctionDef | ast.AsyncFunctionDef
Scoped = Function | ast.Lambda


def normal_form(module: ast.Module) -> str:
    """Write a module so that copies of it are written alike.

    A definition that another one speaks of stands there by a label that is made from its own text, round after round,
    as in colour refinement of graphs (Weisfeiler and Leman 1968).
    """
    definitions = _definitions(module)
    labels = {name: name if name in CONTRACT_NAMES else "" for name in definitions}
    for _ in range(min(len(definitions), _ROUNDS)):
        labels = {name: _label(name, texts, labels) for name, texts in definitions.items()}
    return "\n".join(sorted(labels.values()))


def imported_paths(module: ast.Module) -> dict[str, str]:
    """What each imported name stands for: `F` → `torch.nn.functional`."""
    paths: dict[str, str] = {}
    for found in ast.walk(module):
        if isinstance(found, ast.Import):
            for alias in found.names:
                whole = alias.name if alias.asname else alias.name.split(".")[0]
                paths[alias.asname or whole] = whole
        elif isinstance(found, ast.ImportFrom):
            paths |= {alias.asname or alias.name: f"{found.module}.{alias.name}" for alias in found.names}
    return paths


def dotted_path(expression: ast.expr, paths: Mapping[str, str]) -> str | None:
    """The full path of `F.silu`, when its first name was imported."""
    if isinstance(expression, ast.Name):
        return paths.get(expression.id)
    if isinstance(expression, ast.Attribute):
        before = dotted_path(expression.value, paths)
        return None if before is None else f"{before}.{expression.attr}"
    return None


def _label(name: str, texts: list[str], labels: Mapping[str, str]) -> str:
    whole = "\n".join(_MARK.sub(lambda mark: labels[mark[1]], text) for text in texts)
    return sha256(f"{name if name in CONTRACT_NAMES else ''}:{whole}".encode()).hexdigest()


def _definitions(module: ast.Module) -> dict[str, list[str]]:
    """The texts of each top-level name, in their order; what binds no name stands under the empty one."""
    statements = [s for s in module.body if not _mute(s)]
    writer = _Writer(imported_paths(module), {_bound(s): _parameters(s) for s in statements})
    written: dict[str, list[str]] = {}
    for statement in statements:
        written.setdefault(_bound(statement), []).append(writer.write_definition(statement))
    return written


def _bound(statement: ast.stmt) -> str:
    match statement:
        case ast.FunctionDef(name=name) | ast.AsyncFunctionDef(name=name) | ast.ClassDef(name=name):
            return name
        case ast.Assign(targets=[ast.Name(id=name)]) | ast.AnnAssign(target=ast.Name(id=name)):
            return name
        case _:
            return ""


def _parameters(statement: ast.stmt) -> tuple[str, ...]:
    """The parameters of a top-level function, or of a class's `__init__` without the first."""
    if isinstance(statement, Function):
        return tuple(argument.arg for argument in _arguments(statement.args))
    if isinstance(statement, ast.ClassDef):
        makers = (s for s in statement.body if isinstance(s, Function) and s.name == "__init__")
        return tuple(argument.arg for maker in makers for argument in _arguments(maker.args)[1:])
    return ()


class _Writer:
    """Writes definitions of one module with the names that it knows."""

    def __init__(self, paths: Mapping[str, str], own: Mapping[str, tuple[str, ...]]) -> None:
        self._paths = paths
        self._own = own
        self._scopes: list[dict[str, str]] = []
        self._attributes: dict[str, str] = {}
        self._handlers: Mapping[type[ast.AST], Callable[..., str]] = {
            ast.AnnAssign: self._annotated,
            ast.Assign: self._assigned,
            ast.AsyncFunctionDef: self._function,
            ast.Attribute: self._attribute,
            ast.Call: self._call,
            ast.ClassDef: self._class,
            ast.Constant: self._constant,
            ast.FunctionDef: self._function,
            ast.Lambda: self._function,
            ast.Name: self._name,
            ast.arg: self._argument,
        }

    def write_definition(self, statement: ast.stmt) -> str:
        """Write one top-level statement."""
        self._attributes = {}
        return self._write(statement)

    def _write(self, value: object) -> str:
        if isinstance(value, list):
            return f"[{','.join(self._write(item) for item in value if not _mute(item))}]"
        if not isinstance(value, ast.AST):
            return repr(value)
        handler = self._handlers.get(type(value))
        return handler(value) if handler else self._plain(value, *value._fields)

    def _plain(self, syntax: ast.AST, *fields: str) -> str:
        parts = [self._write(getattr(syntax, field)) for field in fields if field not in _SILENT]
        return f"{type(syntax).__name__}({','.join(parts)})"

    def _annotated(self, syntax: ast.AnnAssign) -> str:
        return f"Assign({self._target(syntax.target)},{self._write(syntax.value)})"

    def _assigned(self, syntax: ast.Assign) -> str:
        return f"Assign({','.join(map(self._target, syntax.targets))},{self._write(syntax.value)})"

    def _target(self, target: ast.expr) -> str:
        """A top-level name that is bound is not named: its definition stands under it."""
        top = not self._scopes and isinstance(target, ast.Name)
        return "" if top else self._write(target)

    def _constant(self, syntax: ast.Constant) -> str:
        # A decimal of a huge hexadecimal literal is refused by Python, its hexadecimal is not.
        return f"{syntax.value:x}" if type(syntax.value) is int else repr(syntax.value)

    def _name(self, syntax: ast.Name) -> str:
        return self._resolve(syntax.id)

    def _argument(self, syntax: ast.arg) -> str:
        return self._resolve(syntax.arg)

    def _resolve(self, name: str) -> str:
        for scope in reversed(self._scopes):
            if name in scope:
                return scope[name]
        if name in self._own:
            return f"\0{name}\0"
        return f"@{self._paths[name]}" if name in self._paths else name

    def _attribute(self, syntax: ast.Attribute) -> str:
        holder = self._write(syntax.value)
        if holder.startswith("@"):
            return f"{holder}.{syntax.attr}"
        # The first argument of a method is written so; see _function.
        name = self._attributes.get(syntax.attr, syntax.attr) if holder == "me" else syntax.attr
        return f"Attribute({holder},{name})"

    def _call(self, syntax: ast.Call) -> str:
        """Write a call of a function of the file with its keywords by place, as its arguments' names are folded."""
        known = self._own.get(syntax.func.id, ()) if isinstance(syntax.func, ast.Name) else ()
        keywords = [
            (k.arg if k.arg not in known else f"#{known.index(k.arg)}", k.value) for k in syntax.keywords
        ]
        written = ",".join(f"{name}={self._write(value)}" for name, value in keywords)
        return f"Call({self._write(syntax.func)},{self._write(syntax.args)},{written})"

    def _class(self, syntax: ast.ClassDef) -> str:
        outer, self._attributes = self._attributes, _own_attributes(syntax)
        name = "" if not self._scopes else self._resolve(syntax.name)
        written = self._plain(syntax, "bases", "keywords", "decorator_list")
        body = []
        for statement in syntax.body:
            if isinstance(statement, Function):
                method = self._attributes.get(statement.name, statement.name)
                body.append(f"{method}={self._function(statement, me=True)}")
            elif not _mute(statement):
                body.append(self._write(statement))
        self._attributes = outer
        return f"{name}{written}[{','.join(body)}]"

    def _function(self, syntax: Scoped, *, me: bool = False) -> str:
        """Write a function; `me` says that its first argument is the object it belongs to."""
        names = list(dict.fromkeys(_local_names(syntax)))
        depth = len(self._scopes)
        scope = {name: f"v{depth}.{i}" for i, name in enumerate(names)}
        if me and _arguments(syntax.args):
            scope[_arguments(syntax.args)[0].arg] = "me"
        inner = isinstance(syntax, Function) and bool(self._scopes)
        name = self._resolve(syntax.name) if inner and isinstance(syntax, Function) else ""
        self._scopes.append(scope)
        written = self._plain(syntax, *(field for field in syntax._fields if field != "name"))
        self._scopes.pop()
        return f"{name}{written}"


def _mute(syntax: object) -> bool:
    """Whether a statement says nothing: a docstring, an ellipsis, a pass, an import (names are written by path)."""
    if isinstance(syntax, ast.Expr):
        return isinstance(syntax.value, ast.Constant)
    return isinstance(syntax, ast.Pass | ast.Import | ast.ImportFrom)


def _arguments(arguments: ast.arguments) -> list[ast.arg]:
    stars = [star for star in (arguments.vararg, arguments.kwarg) if star]
    return [*arguments.posonlyargs, *arguments.args, *arguments.kwonlyargs, *stars]


def _local_names(function: Scoped) -> Iterator[str]:
    """Names that a function binds, in the order in which they appear; functions inside it have their own."""
    yield from (argument.arg for argument in _arguments(function.args))
    yield from _stored(function.body if isinstance(function.body, list) else [function.body])


def _stored(statements: list[ast.AST] | list[ast.stmt] | list[ast.expr]) -> Iterator[str]:
    for syntax in statements:
        if isinstance(syntax, Function | ast.ClassDef):
            yield syntax.name
        elif not isinstance(syntax, ast.Lambda):
            if isinstance(syntax, ast.Name) and isinstance(syntax.ctx, ast.Store):
                yield syntax.id
            yield from _stored(list(ast.iter_child_nodes(syntax)))


def _own_attributes(defined: ast.ClassDef) -> dict[str, str]:
    """Attributes that a class's methods set on their object, and its methods, but for those the host looks for."""
    methods = [s for s in defined.body if isinstance(s, Function)]
    names = [m.name for m in methods if not m.name.startswith("__") and m.name not in CONTRACT_NAMES]
    for method in methods:
        me = [a.arg for a in _arguments(method.args)][:1]
        for found in ast.walk(method):
            match found:
                case ast.Attribute(value=ast.Name(id=holder), attr=name, ctx=ast.Store()) if [holder] == me:
                    names.append(name)
    return {name: f"a{i}" for i, name in enumerate(dict.fromkeys(names))}
