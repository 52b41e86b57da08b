"""Changes of Python source, made on the syntax tree.

Left alone are what no test should pin: docstrings, annotations (but for the bounds of a msgspec `Meta`),
decorators, asserts, texts of messages, log lines, and waiting times (names that end in `_s`, `_S` or hold
`timeout`).
"""

from __future__ import annotations

import ast
import copy
from collections.abc import Iterator

from mutants.mutant import Change

_COMPARISONS: dict[type[ast.cmpop], type[ast.cmpop]] = {
    ast.Lt: ast.LtE,
    ast.LtE: ast.Lt,
    ast.Gt: ast.GtE,
    ast.GtE: ast.Gt,
    ast.Eq: ast.NotEq,
    ast.NotEq: ast.Eq,
    ast.Is: ast.IsNot,
    ast.IsNot: ast.Is,
    ast.In: ast.NotIn,
    ast.NotIn: ast.In,
}
_ARITHMETIC: dict[type[ast.operator], type[ast.operator]] = {
    ast.Add: ast.Sub,
    ast.Sub: ast.Add,
    ast.Mult: ast.Add,
    ast.FloorDiv: ast.Mult,
    ast.Div: ast.Mult,
    ast.Mod: ast.FloorDiv,
    ast.LShift: ast.RShift,
    ast.RShift: ast.LShift,
    ast.BitAnd: ast.BitOr,
    ast.BitOr: ast.BitAnd,
    ast.BitXor: ast.BitOr,
    ast.Pow: ast.Mult,
}
_CALLS = {"min": "max", "max": "min", "any": "all", "all": "any", "sorted": "list", "reversed": "list"}
_LOGGERS = {"log", "logger", "logging", "_log", "_LOG", "LOG"}


def changes(source: bytes) -> list[Change]:
    """All changes that the rules propose for a file that ast can parse."""
    finder = _Finder(source)
    finder.visit(ast.parse(source))
    return finder.found


class _Finder(ast.NodeVisitor):
    def __init__(self, source: bytes) -> None:
        self.found: list[Change] = []
        self._source = source
        self._scope: list[str] = []
        self._starts = [0]
        for line in source.splitlines(keepends=True):
            self._starts.append(self._starts[-1] + len(line))

    # What is proposed

    def _offset(self, line: int, column: int) -> int:
        return self._starts[line - 1] + column

    def _propose(self, node: ast.expr | ast.stmt, new: str, rule: str) -> None:
        start = self._offset(node.lineno, node.col_offset)
        end = self._offset(node.end_lineno or node.lineno, node.end_col_offset or node.col_offset)
        old = self._source[start:end].decode("utf-8")
        self.found.append(Change(start, end, node.lineno, ".".join(self._scope), rule, old, new))

    def _propose_node(self, node: ast.expr, new: ast.expr, rule: str) -> None:
        text = ast.unparse(new)
        plain = isinstance(new, (ast.Constant, ast.Name, ast.Call, ast.Tuple))
        self._propose(node, text if plain else f"({text})", rule)

    # What is left alone

    def visit_JoinedStr(self, node: ast.JoinedStr) -> None:
        """Texts are left alone."""

    def visit_Assert(self, node: ast.Assert) -> None:
        """Asserts state what holds anyway."""

    def visit_Import(self, node: ast.Import) -> None:
        """Imports are left alone."""

    def visit_ImportFrom(self, node: ast.ImportFrom) -> None:
        """Imports are left alone."""

    # Names around

    def visit_ClassDef(self, node: ast.ClassDef) -> None:
        self._scope.append(node.name)
        self._visit_all(node.body)
        self._scope.pop()

    def visit_FunctionDef(self, node: ast.FunctionDef | ast.AsyncFunctionDef) -> None:
        self._scope.append(node.name)
        given = node.args
        positional = [*given.posonlyargs, *given.args]
        pairs = [*zip(positional[len(positional) - len(given.defaults) :], given.defaults, strict=True)]
        for argument, default in [*pairs, *zip(given.kwonlyargs, given.kw_defaults, strict=True)]:
            if default is not None and not _is_waiting_time(argument.arg):
                self.visit(default)
        self._visit_all(node.body)
        self._scope.pop()

    visit_AsyncFunctionDef = visit_FunctionDef

    def _visit_all(self, nodes: list[ast.expr] | list[ast.stmt]) -> None:
        for node in nodes:
            self.visit(node)

    # Statements

    def visit_If(self, node: ast.If) -> None:
        if ast.unparse(node.test) == "TYPE_CHECKING" or "__name__" in ast.unparse(node.test):
            return
        self._propose(node.test, "False", "condition never")
        self._propose(node.test, "True", "condition always")
        self.generic_visit(node)

    def visit_IfExp(self, node: ast.IfExp) -> None:
        self._propose(node.test, "False", "condition never")
        self._propose(node.test, "True", "condition always")
        self.generic_visit(node)

    def visit_comprehension(self, node: ast.comprehension) -> None:
        for test in node.ifs:
            self._propose(test, "True", "filter left out")
        self.generic_visit(node)

    def visit_Raise(self, node: ast.Raise) -> None:
        self._propose(node, "pass", "raise left out")

    def visit_Break(self, node: ast.Break) -> None:
        self._propose(node, "continue", "break to continue")

    def visit_Continue(self, node: ast.Continue) -> None:
        self._propose(node, "break", "continue to break")

    def visit_Expr(self, node: ast.Expr) -> None:
        call = node.value.value if isinstance(node.value, ast.Await) else node.value
        if not isinstance(call, ast.Call) or _is_log(call):
            return
        self._propose(node, "pass", "call left out")
        self.generic_visit(node)

    def visit_Assign(self, node: ast.Assign) -> None:
        if _is_waiting_time(node.targets[0]) or ast.unparse(node.targets[0]) == "__all__":
            return
        if isinstance(node.targets[0], (ast.Attribute, ast.Subscript)):
            self._propose(node, "pass", "assignment left out")
        self.generic_visit(node)

    def visit_AugAssign(self, node: ast.AugAssign) -> None:
        if not _is_waiting_time(node.target):
            self._propose(node, "pass", "assignment left out")
            self.generic_visit(node)

    def visit_AnnAssign(self, node: ast.AnnAssign) -> None:
        for part in ast.walk(node.annotation):
            if isinstance(part, ast.Call):
                self.visit(part)
        if node.value is not None and not _is_waiting_time(node.target):
            if isinstance(node.target, ast.Attribute):
                self._propose(node, "pass", "assignment left out")
            self.visit(node.value)

    def visit_ExceptHandler(self, node: ast.ExceptHandler) -> None:
        if isinstance(node.type, ast.Tuple) and len(node.type.elts) > 1:
            for index in range(len(node.type.elts)):
                fewer = ast.Tuple(node.type.elts[:index] + node.type.elts[index + 1 :], ast.Load())
                self._propose_node(node.type, fewer, "exception not caught")
        self._visit_all(node.body)

    # Expressions

    def visit_Compare(self, node: ast.Compare) -> None:
        for index, operator in enumerate(node.ops):
            new = copy.copy(node)
            new.ops = [*node.ops[:index], _COMPARISONS[type(operator)](), *node.ops[index + 1 :]]
            self._propose_node(node, new, "comparison")
        self.generic_visit(node)

    def visit_BoolOp(self, node: ast.BoolOp) -> None:
        new = copy.copy(node)
        new.op = ast.Or() if isinstance(node.op, ast.And) else ast.And()
        self._propose_node(node, new, "and, or")
        for index in range(len(node.values)):
            rest = node.values[:index] + node.values[index + 1 :]
            left = rest[0] if len(rest) == 1 else ast.BoolOp(node.op, rest)
            self._propose_node(node, left, "operand left out")
        self.generic_visit(node)

    def visit_UnaryOp(self, node: ast.UnaryOp) -> None:
        if isinstance(node.op, (ast.Not, ast.USub)):
            self._propose_node(node, node.operand, "not, minus")
        self.generic_visit(node)

    def visit_BinOp(self, node: ast.BinOp) -> None:
        new_operator = _ARITHMETIC.get(type(node.op))
        if new_operator is not None and not any(_is_text(side) for side in (node.left, node.right)):
            new = copy.copy(node)
            new.op = new_operator()
            self._propose_node(node, new, "arithmetic")
        self.generic_visit(node)

    def visit_Call(self, node: ast.Call) -> None:
        if isinstance(node.func, ast.Name) and node.func.id in _CALLS:
            new = ast.Call(
                ast.Name(_CALLS[node.func.id]),
                node.args[:1] if node.func.id == "sorted" else node.args,
                [] if node.func.id == "sorted" else node.keywords,
            )
            self._propose_node(node, new, "min, max, any, all, sorted")
        if isinstance(node.func, ast.Name) and node.func.id in ("TypeVar", "ParamSpec", "NewType"):
            return
        self.visit(node.func)
        self._visit_all(node.args)
        for keyword in node.keywords:
            if not _is_waiting_time(keyword.arg or ""):
                self.visit(keyword.value)

    def visit_Constant(self, node: ast.Constant) -> None:
        for new in _other_constants(node.value):
            self._propose(node, new, "constant")


def _other_constants(value: object) -> Iterator[str]:
    if isinstance(value, bool):
        yield str(not value)
    elif isinstance(value, int):
        yield str(value + 1)
        if value > 1:
            yield str(value - 1)
    elif isinstance(value, float):
        yield repr(value * 2 if value else 1.0)


def _is_text(node: ast.expr) -> bool:
    """Whether an operand is plainly no number: such a change only makes a TypeError."""
    if isinstance(node, ast.BinOp):
        return _is_text(node.left) or _is_text(node.right)
    kinds = (ast.JoinedStr, ast.List, ast.Tuple, ast.ListComp, ast.Dict, ast.Set)
    return isinstance(node, kinds) or (
        isinstance(node, ast.Constant) and not isinstance(node.value, (int, float))
    )


def _is_waiting_time(target: ast.expr | str) -> bool:
    name = target if isinstance(target, str) else ast.unparse(target)
    return name.endswith(("_s", "_S")) or "timeout" in name.lower()


def _is_log(call: ast.Call) -> bool:
    root = call.func
    while isinstance(root, ast.Attribute):
        root = root.value
    return isinstance(root, ast.Name) and root.id in _LOGGERS
