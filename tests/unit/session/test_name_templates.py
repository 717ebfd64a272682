"""Templates of names: what they match, in which form alone, in which time, and which are refused."""

from __future__ import annotations

import re
from typing import Any
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st
from starlette.routing import compile_path

from asocketio.errors import UsageError
from asocketio.session.name_templates import compile_template

ID = "0f8fad5b-d9cb-469f-a165-70867728950e"

MATCHES: list[tuple[str, str, dict[str, Any]]] = [
    ("/o/{n:int}", "/o/7", {"n": 7}),
    ("/o/{n:int}", "/o/0", {"n": 0}),
    ("/o/{n:int}", "/o/" + 190 * "9", {"n": int(190 * "9")}),
    ("/o/{x}", "/o/ä b{}", {"x": "ä b{}"}),
    ("/o/{x:str}", "/o/a\nb", {"x": "a\nb"}),
    ("/o/{v:float}", "/o/1.5", {"v": 1.5}),
    ("/o/{v:float}", "/o/1", {"v": 1.0}),
    ("/o/{v:float}", "/o/0.1", {"v": 0.1}),
    ("/o/{v:float}", "/o/0.00000001", {"v": 1e-8}),
    ("/o/{v:float}", "/o/1" + 30 * "0", {"v": 1e30}),
    ("/o/{id:uuid}", f"/o/{ID}", {"id": UUID(ID)}),
    ("/o/{p:path}", "/o/", {"p": ""}),
    ("/o/{p:path}", "/o/a/b\n/c", {"p": "a/b\n/c"}),
    ("/o/{p:path}/edit", "/o/a/edit/b/edit", {"p": "a/edit/b"}),
    ("/o/{p:path}/{name}", "/o/a/b/c", {"p": "a/b", "name": "c"}),
    ("/o/{name}-{n:int}", "/o/a-5-7", {"name": "a-5", "n": 7}),
    ("/o/{n:int}-{name}", "/o/5-a-7", {"n": 5, "name": "a-7"}),
    ("/o/{v:float}.json", "/o/1.5.json", {"v": 1.5}),
    ("/o/{id:uuid}-{x}", f"/o/{ID}-a-b", {"id": UUID(ID), "x": "a-b"}),
    ("/{a}/{b}/{c}", "/x/y/z", {"a": "x", "b": "y", "c": "z"}),
    ("/a.b+{x}", "/a.b+c", {"x": "c"}),
]
NOT = [
    ("/o/{n:int}", ["/o/007", "/o/+7", "/o/-7", "/o/٧", "/o/７", "/o/7 ", "/o/7\n", "/o/", "/o/7/", "/o/1_0", "/O/7"]),
    ("/o/{v:float}", ["/o/1.", "/o/.5", "/o/1.0", "/o/1.50", "/o/01.5", "/o/1e5", "/o/-1", "/o/nan", "/o/1.5.5",
                      "/o/0.1000000000000000055511151231257827"]),
    ("/o/{id:uuid}", [f"/o/{ID.upper()}", f"/o/{ID.replace('-', '')}", f"/o/{{{ID}}}", f"/o/{ID}0"]),
    ("/o/{x}", ["/o/", "/o/a/b", "/o"]),
    ("/o/{name}-{n:int}", ["/o/a-", "/o/-7", "/o/a-07", "/o/a7"]),
    ("/a.b+{x}", ["/aXb+c", "/a.bb"]),
]  # fmt: skip


@pytest.mark.parametrize(("template", "name", "values"), MATCHES)
def test_a_name_in_canonical_form_has_values(template: str, name: str, values: dict[str, Any]) -> None:
    found = compile_template(template).match(name)
    assert found == values
    assert found is not None
    assert {key: type(value) for key, value in found.items()} == {key: type(value) for key, value in values.items()}


@pytest.mark.parametrize(("template", "name"), [(template, name) for template, names in NOT for name in names])
def test_another_form_is_no_name(template: str, name: str) -> None:
    assert compile_template(template).match(name) is None


@pytest.mark.parametrize(("template", "name", "values"), MATCHES)
def test_values_are_those_of_starlette(template: str, name: str, values: dict[str, Any]) -> None:
    regex, _, converters = compile_path(template)
    found = regex.match(name)
    if found is None:
        assert "\n" in name  # where its ``.`` does not match
        return
    assert {key: converters[key].convert(text) for key, text in found.groupdict().items()} == values


@given(st.floats(min_value=0, allow_infinity=False, allow_nan=False), st.text("0123456789.", max_size=30))
def test_a_number_has_one_name(value: float, text: str) -> None:
    template = compile_template("/{v:float}")
    for name in (f"/{text}", f"/{value!r}"):
        found = template.match(name)
        if found is not None:
            assert float(name[1:]) == found["v"]
            others = [name + "0", name + ".0", "/0" + name[1:], name.replace(".", "")]
            assert all(template.match(each) != found for each in others if each != name)


@pytest.mark.parametrize(
    ("template", "says"),
    [
        ("/o/{x:number}", "there is no converter 'number'; there are str, int, float, uuid, path"),
        ("/o/{x}/{x:int}", "the parameter 'x' is there twice"),
        ("/o/{x", "a parameter is written"),
        ("/o/x}", "a parameter is written"),
        ("/o/{}", "a parameter is written"),
        ("/o/{7}", "a parameter is written"),
        ("/o/{x:int:str}", "a parameter is written"),
        ("/o/{{x}}", "a parameter is written"),
        ("/o/{x }", "a parameter is written"),
        ("/o/{x}{y}", "there must be a separator, such as '/', behind {x}"),
        ("/o/{x:int}{y}", "there must be a separator"),
        ("/o/{x}-{y}", "nobody can tell where {x} ends, for '-' may be part of it and of a later parameter"),
        ("/o/{p:path}/{q:path}", "nobody can tell where {p} ends"),
        ("/o/{p:path}/x/{q:path}", "nobody can tell where {p} ends"),
        ("/o/{v:float}.{kind}", "nobody can tell where {v} ends"),
        ("/" + 200 * "x" + "/{x}", "longer than 200 characters"),
    ],
)
def test_a_template_that_is_none_is_refused(template: str, says: str) -> None:
    with pytest.raises(UsageError, match=re.escape(says)):
        compile_template(template)


def test_a_template_is_compiled_once() -> None:
    assert compile_template("/o/{n:int}") is compile_template("/o/{n:int}")


@pytest.mark.parametrize(
    ("template", "name"),
    [
        ("/{a}/{b}/{c}/{d}x", "/" + "a/" * 50_000),
        ("/{p:path}/{name}/edit", "/" + "a/" * 50_000),
        ("/{name}-{n:int}", "/" + "7-" * 50_000),
        ("/{name}-{n:int}", "/" + "-" * 100_000),
        ("/{name}--{n:int}", "/" + "-" * 100_000),
        ("/{p:path}/{name}-{n:int}", "/" + "a-7/" * 25_000),
        ("/{n:int}", "/" + "7" * 100_000 + "x"),
        ("/{v:float}x", "/" + "7" * 100_000),
    ],
)
def test_a_match_takes_time_in_proportion_to_the_name(template: str, name: str) -> None:
    """A name of 100 000 characters is looked at before any clock would show it; square time would be minutes."""
    assert compile_template(template).match(name) is None
