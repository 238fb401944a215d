"""Jinja templates of prompts, which may come from a file that someone else wrote.

They are sandboxed. Nothing of one is evaluated before a row is there, and what one may make for a
row is bounded: a bad template costs rows, not the memory or the time of the process.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Callable, Mapping, Sized
from typing import Any, cast

from jinja2 import Template, TemplateSyntaxError, meta, nodes, pass_context
from jinja2.runtime import Context, Undefined
from jinja2.sandbox import ImmutableSandboxedEnvironment, SandboxedFormatter
from jinja2.visitor import NodeTransformer

from beam_distilabel.errors import DistilabelUserError

MAX_TEMPLATE = 2**18
"""How many characters a template may have."""

MAX_WORK = 10_000_000
"""How many characters and items a template may make for one row."""

MAX_WIDTH = 1000
"""The largest width to which a template may fill or indent a text."""

_CALL = 100
"""What a call costs, which takes as long as to make so many characters."""

_BUDGET = " budget"  # no name that a template can say
_LARGE = re.compile(r"\d{5,}")
_LARGE_PERCENT = re.compile(
    rf"%(?:\([^)]*\))?[-+ #0]*(?:\*|{_LARGE.pattern}|\d*\.(?:\*|{_LARGE.pattern}))"
)
_HAVE_WIDTHS = frozenset(
    "batch center expandtabs indent ljust rjust slice tojson wordwrap zfill".split()
)
_GROW = frozenset(("expandtabs", "indent", "join", "wordwrap"))
"""What may add the length of its argument at each character or item."""


class EmptyColumn(Exception):
    """A template prints a column that is None."""


class TemplateLimitError(ValueError):
    """A template makes more than one prompt can need."""


class _Budget:
    def __init__(self) -> None:
        self._left = MAX_WORK

    def spend(self, amount: int) -> None:
        self._left -= amount
        if self._left < 0:
            raise TemplateLimitError(
                f"the template makes more than {MAX_WORK:,} characters and items for one row"
            )


def _spend(context: Context, amount: int) -> None:
    context.parent[_BUDGET].spend(amount)


def _size(value: Any) -> int:
    if isinstance(value, int):
        return value.bit_length() // 8
    return len(value) if isinstance(value, Sized) and not isinstance(value, Undefined) else 0


def _check_widths(text: Any, pattern: re.Pattern[str]) -> None:
    if isinstance(text, bytes):
        text = text.decode("latin-1")
    if isinstance(text, str) and pattern.search(text):
        raise TemplateLimitError(f"the template has a format with a width above {MAX_WIDTH:,}")


def _spend_before(context: Context, name: str, value: Any, arguments: list[Any]) -> None:
    """Spend what a filter or a method is about to make, as far as its result is larger."""
    if name in _HAVE_WIDTHS and any(isinstance(a, int) and a > MAX_WIDTH for a in arguments):
        raise TemplateLimitError(f"{name}: a width above {MAX_WIDTH:,}")
    if name in _GROW:
        longest = max((a if isinstance(a, int) else _size(a) for a in arguments), default=0)
        _spend(context, _size(value) * longest)
    if name == "replace" and len(arguments) > 1:
        _spend(context, (str(value).count(str(arguments[0])) + 1) * _size(arguments[1]))
    if name == "format":
        _check_widths(value, _LARGE_PERCENT)


def _limited(name: str, made: Callable[..., Any]) -> Callable[..., Any]:
    """A filter of Jinja, within the budget."""
    takes = getattr(getattr(made, "jinja_pass_arg", None), "name", None)

    @pass_context
    def limited(context: Context, value: Any, *args: Any, **kwargs: Any) -> Any:
        _spend_before(context, name, value, [*args, *kwargs.values()])
        passed: dict[str, list[Any]] = {
            "context": [context],
            "eval_context": [context.eval_ctx],
            "environment": [context.environment],
        }
        first = passed.get(str(takes), [])
        result = made(*first, value, *args, **kwargs)
        _spend(context, _size(result))
        return result

    return limited


@pass_context
def _counted(context: Context, items: Any, each: int) -> Any:
    """The items of a loop, each of which costs `each`."""
    items = items if isinstance(items, Sized) else list(items)
    _spend(context, len(items) * each)
    return items


@pass_context
def _printable(context: Context, value: Any) -> Any:
    """What a template may print: None would ask the model about the word "None".

    Takes the context, without which Jinja prints constants when it reads the template.
    """
    if value is None:
        raise EmptyColumn
    _spend(context, _size(value))
    return value


class _Counting(NodeTransformer):
    """Has loops and `~` done by filters, which count."""

    def visit_For(self, node: nodes.For) -> nodes.For:
        each = 1 + sum(len(text.data) for text in node.find_all(nodes.TemplateData))
        self.generic_visit(node)
        cost = nodes.Const(each, lineno=node.lineno, environment=node.environment)
        items = cast(nodes.Expr, node.iter)
        node.iter = self._filter(node, items, "counted", [cost])
        return node

    def visit_Concat(self, node: nodes.Concat) -> nodes.Expr:
        self.generic_visit(node)
        parts = nodes.List(node.nodes, lineno=node.lineno, environment=node.environment)
        return self._filter(node, parts, "join", [])

    def _filter(
        self, at: nodes.Node, of: nodes.Expr, name: str, arguments: list[nodes.Expr]
    ) -> nodes.Filter:
        return nodes.Filter(
            of, name, arguments, [], None, None, lineno=at.lineno, environment=at.environment
        )


class _Formatter(SandboxedFormatter):
    def format_field(self, value: Any, format_spec: str) -> Any:
        _check_widths(format_spec, _LARGE)
        return super().format_field(value, format_spec)


class _Environment(ImmutableSandboxedEnvironment):
    intercepted_binops = frozenset(("+", "*", "**", "%"))

    def __init__(self) -> None:
        super().__init__(keep_trailing_newline=True, finalize=_printable, optimized=False)
        self.filters = {name: _limited(name, made) for name, made in self.filters.items()}
        self.filters["counted"] = _counted
        del self.globals["lipsum"]

    def _parse(self, source: str, name: str | None, filename: str | None) -> nodes.Template:
        tree = super()._parse(source, name, filename)
        switch = tree.find(nodes.EvalContextModifier)
        if switch is not None:  # its value would be computed here
            raise TemplateSyntaxError("prompts have no autoescape", switch.lineno)
        counting: nodes.Template = _Counting().visit(tree)
        return counting

    def is_safe_attribute(self, obj: Any, attr: str, value: Any) -> bool:
        return attr not in ("to_bytes", "translate") and super().is_safe_attribute(obj, attr, value)

    def wrap_str_format(self, value: Any) -> Callable[..., str] | None:
        if super().wrap_str_format(value) is None:
            return None
        text: str = value.__self__
        if value.__name__ == "format_map":
            return lambda mapping: _Formatter(self).vformat(text, (), mapping)
        return lambda *args, **kwargs: _Formatter(self).vformat(text, args, kwargs)

    def call_binop(self, context: Context, operator: str, left: Any, right: Any) -> Any:
        if operator == "+":
            _spend(context, _size(left) + _size(right))
        elif operator == "**":
            bits = left.bit_length() if isinstance(left, int) else 0
            _spend(context, bits * int(abs(right)) // 8)
        elif operator == "*":
            times = [abs(n) for n in (left, right) if isinstance(n, int)]
            sized = [len(n) for n in (left, right) if isinstance(n, Sized)]
            _spend(context, times[0] * sized[0] if times and sized else _size(left) + _size(right))
        else:
            _check_widths(left, _LARGE_PERCENT)
        return super().call_binop(context, operator, left, right)

    def call(self, context: Context, obj: Any, /, *args: Any, **kwargs: Any) -> Any:
        _spend(context, _CALL)
        name = getattr(obj, "__name__", "")
        whose = getattr(obj, "__self__", None)
        if isinstance(whose, (str, bytes)):
            if name == "join":
                args = tuple(map(list, args))
                _spend(context, sum(map(len, args)) * len(whose))
            _spend_before(context, str(name), whose, [*args, *kwargs.values()])
        result = super().call(context, obj, *args, **kwargs)
        _spend(context, _size(result))
        return result


_ENVIRONMENT = _Environment()


class _Variables(meta.TrackingCodeGenerator):
    """Jinja's own, but that it computes nothing."""

    def __init__(self) -> None:
        super().__init__(_ENVIRONMENT)
        self.optimizer = None


@functools.lru_cache(maxsize=256)
def _compiled(template: str) -> Template:
    return _ENVIRONMENT.from_string(template)


def fill_template(template: str, values: Mapping[str, Any]) -> str:
    """The text that a Jinja template makes of values; compiled once.

    Raises:
        EmptyColumn: it prints a None.
        TemplateLimitError: it makes too much.
        Exception: whatever the template does wrong.

    Example:
        >>> fill_template("Hello {{ name|upper }}!", {"name": "Ada"})
        'Hello ADA!'
    """
    return _compiled(template).render({**values, _BUDGET: _Budget()})


def template_variables(template: str) -> set[str]:
    """The variables that a Jinja template needs.

    Raises:
        DistilabelUserError: the template has a syntax error, is too long or too deep.

    Example:
        >>> sorted(template_variables("{{ a }} {% for x in b %}{{ x }}{% endfor %}"))
        ['a', 'b']
    """
    if len(template) > MAX_TEMPLATE:
        raise DistilabelUserError(
            f"the template has {len(template):,} characters, at most {MAX_TEMPLATE:,} are allowed; "
            "put long texts into columns."
        )
    found = _Variables()
    try:
        found.visit(_ENVIRONMENT.parse(template))
    except TemplateSyntaxError as error:
        raise DistilabelUserError(
            f"the template can't be read, line {error.lineno}: {error.message}"
        ) from None
    except RecursionError:
        raise DistilabelUserError(
            "the template can't be read: its expressions or blocks are nested too deep."
        ) from None
    return found.undeclared_identifiers


__all__ = [
    "MAX_TEMPLATE",
    "MAX_WIDTH",
    "MAX_WORK",
    "EmptyColumn",
    "TemplateLimitError",
    "fill_template",
    "template_variables",
]
