"""JSON Schemas that clients sent: is a value what one says? Answered in bounded time, whatever schema it is.

Nothing is fetched, patterns are matched in linear time, and a check that takes too many steps is given up. The
library is known here alone; it takes a while to load, so this file is imported when the first schema comes.
"""

import json
from collections.abc import Callable, Iterator, Mapping
from contextvars import ContextVar
from functools import lru_cache, partial
from itertools import islice
from typing import Any

from jsonschema import validators
from jsonschema.exceptions import ValidationError
from pydantic_core import SchemaError as PatternError
from pydantic_core import SchemaValidator
from pydantic_core.core_schema import str_schema
from referencing import Registry
from referencing.exceptions import Unresolvable
from referencing.jsonschema import specification_with

from broker.api.openai.chat.formats import NotThatJson
from broker.errors import InvalidValue

MAX_CHARS = 100_000
MAX_PATTERNS = 30
MAX_PATTERN_CHARS = 1000
#: At most two seconds' work; an honest answer of 100 KB takes a third of it.
MAX_STEPS = 100_000
#: Enough to find out that a schema refers to itself without end.
_PROBE_STEPS = 10_000
#: So many are told, and so much of each: it may quote the whole answer.
_MAX_FLAWS = 3
_FLAW_CHARS = 300
_REFERENCES = ("$ref", "$dynamicRef", "$recursiveRef")
#: Not checked: the library looks for these with patterns that have no bound.
_UNCHECKED = ("unevaluatedProperties", "unevaluatedItems")

Found = Iterator[ValidationError]
Check = Callable[[Any, Any, Any, Any], Any]
Members = list[tuple[str, Any]]


class Schema:
    """A client's JSON Schema, found to be one."""

    def __init__(self, schema: Mapping[str, Any], param: str) -> None:
        """Raises `InvalidValue` for what is no JSON Schema, or refers to something outside itself."""
        self._param = param
        if len(json.dumps(schema)) > MAX_CHARS:
            raise self._invalid(f"it has more than {MAX_CHARS} characters")
        if not isinstance(schema.get("$schema", ""), str):
            raise self._invalid("$schema must be text")
        members = list(_members(schema))
        self._draft = validators.validator_for(schema, default=validators.Draft202012Validator)
        self._check(schema, members)
        self._validator = _bounded(self._draft)(schema, registry=Registry())
        self._probe()
        #: What is asked for but not checked, a sentence each.
        self.warnings = self._warnings(members)

    def checker(self) -> Callable[[Any], str | None]:
        """Says what is wrong with each value of one answer, or None; raises `NotThatJson` if it takes too long."""
        return partial(_flaw, self._validator, Steps(MAX_STEPS))

    def _check(self, schema: Mapping[str, Any], members: Members) -> None:
        steps = Steps(MAX_STEPS)
        judge = _bounded(self._draft)(self._draft.META_SCHEMA)
        try:
            for each in (schema, *self._referred_to(schema, members)):
                if flaw := _flaw(judge, steps, each):
                    raise self._invalid(flaw)
        except NotThatJson:
            raise self._invalid("it is too large") from None

    def _referred_to(self, schema: Mapping[str, Any], members: Members) -> list[Any]:
        """What its references lead to, each once: part of the schema, but not always in a place for schemas."""
        names = {value for name, value in members if name in _REFERENCES and _is_text(value)}
        found: dict[int, Any] = {}
        dialect = specification_with(self._draft.META_SCHEMA["$schema"])
        resolver = Registry().with_resource("", dialect.create_resource(schema)).resolver()
        for name in sorted(names):
            try:
                contents = resolver.lookup(name).contents
            except (Unresolvable, ValueError):
                raise self._invalid(
                    f"the reference {name[:100]!r} leads nowhere in it, and nothing else is fetched"
                ) from None
            found[id(contents)] = contents
        return list(found.values())

    def _probe(self) -> None:
        try:
            _flaw(self._validator, Steps(_PROBE_STEPS), None)
        except NotThatJson:
            raise self._invalid("it refers to itself without end, or nearly") from None

    def _warnings(self, members: Members) -> tuple[str, ...]:
        patterns = set(_patterns(members))
        if len(patterns) > MAX_PATTERNS:
            raise self._invalid(f"it has more than {MAX_PATTERNS} patterns")
        unchecked = [f"the pattern {each!r}" for each in sorted(patterns) if _matcher(each) is None]
        unchecked += [name for name in _UNCHECKED if any(name == found for found, _ in members)]
        return tuple(f"{self._param}: {each} is not checked." for each in unchecked)

    def _invalid(self, why: str) -> InvalidValue:
        return InvalidValue(f"{self._param} is not usable: {why}.", param=self._param)


def _members(value: Any) -> Iterator[tuple[str, Any]]:
    """The members of every object in there, with their names."""
    if isinstance(value, Mapping):
        yield from value.items()
        value = list(value.values())
    if isinstance(value, list):
        for item in value:
            yield from _members(item)


def _patterns(members: Members) -> Iterator[str]:
    for name, value in members:
        if name == "pattern" and _is_text(value):
            yield value
        elif name == "patternProperties" and isinstance(value, Mapping):
            yield from value


def _is_text(value: Any) -> bool:
    return isinstance(value, str)


# Checks that have a bound.


class Steps:
    """How many more steps may be taken."""

    def __init__(self, left: int) -> None:
        self._left = left

    def take(self, count: int) -> None:
        self._left -= count
        if self._left < 0:
            raise _too_hard()


#: Of the check that is being made.
_steps: ContextVar[Steps] = ContextVar("_steps")


def _flaw(validator: Any, steps: Steps, value: Any) -> str | None:
    token = _steps.set(steps)
    try:
        errors = list(islice(validator.iter_errors(value), _MAX_FLAWS))
    except (RecursionError, Unresolvable):
        raise _too_hard() from None
    finally:
        _steps.reset(token)
    told = (f"{error.json_path}: {error.message[:_FLAW_CHARS]}" for error in errors)
    return "; ".join(told) or None


def _too_hard() -> NotThatJson:
    message = "To check it against the schema takes too many steps."
    return NotThatJson(message, can_repair=False)


@lru_cache(maxsize=16)
def _bounded(draft: Any) -> Any:
    """A draft's class with a bound on all that it does."""
    checks = draft.VALIDATORS | {
        name: check for name, check in _OWN_CHECKS.items() if name in draft.VALIDATORS
    }
    counted = {name: _counted(check) for name, check in checks.items()}
    return validators.extend(draft, counted)  # type: ignore[no-untyped-call]


def _counted(check: Check) -> Check:
    def counted(validator: Any, value: Any, instance: Any, schema: Any) -> Any:
        # A list of allowed values is looked through one by one.
        _steps.get().take(1 + (len(value) if isinstance(value, list | Mapping) else 0))
        return check(validator, value, instance, schema)

    return counted


def _pattern(validator: Any, pattern: str, instance: Any, schema: Any) -> Found:
    if _is_text(instance) and _matches(pattern, instance) is False:
        yield ValidationError(f"{instance!r} does not match {pattern!r}")


def _pattern_properties(
    validator: Any, patterns: Mapping[str, Any], instance: Any, schema: Any
) -> Found:
    for pattern, inner in patterns.items():
        for name, value in instance.items() if isinstance(instance, Mapping) else ():
            if _matches(pattern, name):
                yield from validator.descend(value, inner, path=name, schema_path=pattern)


def _additional_properties(
    validator: Any, allowed: Any, instance: Any, schema: Mapping[str, Any]
) -> Found:
    for name, value in instance.items() if isinstance(instance, Mapping) else ():
        patterns = schema.get("patternProperties", ())
        is_named = any(_matches(pattern, name) is not False for pattern in patterns)
        if is_named or name in schema.get("properties", ()):
            continue
        if isinstance(allowed, Mapping):
            yield from validator.descend(value, allowed, path=name)
        elif not allowed:
            yield ValidationError(f"{name!r} is not one of its properties")


def _unique_items(validator: Any, is_wanted: Any, instance: Any, schema: Any) -> Found:
    if not is_wanted or not isinstance(instance, list):
        return
    if len({json.dumps(item, sort_keys=True) for item in instance}) < len(instance):
        yield ValidationError("an item comes twice")


def _nothing(validator: Any, value: Any, instance: Any, schema: Any) -> None:
    """Not checked."""


_OWN_CHECKS: Mapping[str, Check] = {
    "pattern": _pattern,
    "patternProperties": _pattern_properties,
    "additionalProperties": _additional_properties,
    "uniqueItems": _unique_items,
    **dict.fromkeys(_UNCHECKED, _nothing),
}


def _matches(pattern: str, text: str) -> bool | None:
    """Whether a text has the pattern in it; None where that cannot be told."""
    matcher = _matcher(pattern)
    return None if matcher is None else matcher.isinstance_python(text)


@lru_cache(maxsize=256)
def _matcher(pattern: str) -> SchemaValidator | None:
    """None for a pattern that this engine, which takes linear time whatever the text, does not take."""
    if len(pattern) > MAX_PATTERN_CHARS:
        return None
    try:
        return SchemaValidator(str_schema(pattern=pattern, regex_engine="rust-regex"))
    except PatternError:
        return None
