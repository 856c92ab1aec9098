"""The page on security against the tests: whatever it says is shown by a test is shown by one that is there."""

import ast
import re
from functools import cache
from pathlib import Path

import pytest

from broker.redaction import without_secrets

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "security.md").read_text(encoding="utf-8")
THREATS = [
    [cell.strip() for cell in line[1:-1].split("|")]
    for line in PAGE.splitlines()
    if re.match(r"\| T\d+ \|", line)
]
_TEST = re.compile(r"`(tests/[\w/.]+)::([^`]+)`")
NAMED = sorted(set(_TEST.findall(PAGE)))


@cache
def names_in(name: str) -> set[str]:
    """The tests of a Python file."""
    tree = ast.parse((ROOT / name).read_text(encoding="utf-8"))
    return {
        node.name
        for node in ast.walk(tree)
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
        if node.name.startswith("test_")
    }


@cache
def titles_in(name: str) -> list[str]:
    """The titles of a JavaScript file's tests, as they are written."""
    text = (ROOT / name).read_text(encoding="utf-8")
    return re.findall(r"""\btest\(\s*(["'`].*?["'`])\s*,\s*(?:async\s*)?\(""", text)


def is_there(name: str, test: str) -> bool:
    if not (ROOT / name).is_file():
        return False
    if name.endswith(".py"):
        return test in names_in(name)
    return any(test in title for title in titles_in(name))


def test_every_threat_has_its_line_once_and_in_order() -> None:
    assert [row[0] for row in THREATS] == [f"T{number}" for number in range(1, 37)]


@pytest.mark.parametrize("row", THREATS, ids=lambda row: row[0])
def test_every_threat_has_a_defence_a_default_and_a_test(row: list[str]) -> None:
    _, attack, defence, default, tests = row

    assert attack.endswith(".")
    assert defence.endswith(".")
    assert default
    assert _TEST.sub("", tests).strip(", ") == "", "something beside the names of tests"
    assert _TEST.findall(tests)


@pytest.mark.parametrize(("name", "test"), NAMED, ids=lambda part: part[:60])
def test_every_test_that_is_named_is_there(name: str, test: str) -> None:
    assert is_there(name, test), f"{name} has no {test}"


def test_a_test_that_is_not_there_would_be_noticed() -> None:
    assert len(NAMED) > 60
    assert not is_there("tests/unit/test_guard.py", "test_nothing_of_the_kind")
    assert not is_there("tests/unit/test_nothing.py", "test_every_route_is_told")
    assert not is_there("tests/extension/pack.test.js", "nothing of the kind")


def test_the_prefixes_that_are_told_are_those_that_are_found() -> None:
    told = re.search(r"begins like a key \(([^)]*)\)", " ".join(PAGE.split()))
    assert told is not None
    for prefix in re.findall(r"`([^`]+)`", told[1]):
        assert without_secrets(f"a {prefix}abcdefghijklmnop b") == "a [secret] b", prefix
