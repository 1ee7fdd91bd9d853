"""Templates: what they give, what they may cost, and what is wrong with them before they run."""

from contextlib import suppress
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import BaseModel, Field

from area.core.errors import InvalidInput
from area.engine import liquid
from area.engine.configs import compile_config
from area.engine.filters import TEXT
from area.engine.liquid import environment, one_budget
from area.engine.references import check_condition, check_value
from area.engine.templates import TemplateFailed, compile_condition, compile_value
from area.nodes import sdk

BIG = [{f"key{number}": "v" * 20 for number in range(20_000)}]
"""About half a megabyte, as one object in a list."""


def rendered(template: Any, /, **scope: Any) -> Any:
    render = compile_value(template)
    assert render is not None
    return render(scope)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("{{ n }}", 7),
        (" {{ n }} ", 7),
        ("{{ n | times: 6 }}", 42),
        ("{{ csv | split: ',' }}", ["a", "b"]),
        ("{{ list | map: 'x' }}", [1, None]),
        ("{{ list[0].x }}", 1),
        ("{{ list.first.x }}", 1),
        ("{{ list.size }}", 2),
        ("{{ list[9].x }}", None),
        ("{{ absent.anything }}", None),
        ("{{ flag }}", True),
        ("{{ object }}", {"a": [1, "é"]}),
        ("{{ n }} {{ flag }}", "7 true"),
        ("<{{ object }}>", '<{"a":[1,"é"]}>'),
        ("<{{ csv }}{{ absent }}>", "<a,b>"),
        ("{{ html | strip_html }}!", "1 < 2 & so!"),
        ("{{ list | uniq: 'y' | size }}.", "1."),
        ("{{ object | json }}", '{"a":[1,"é"]}'),
    ],
)
def test_what_templates_give(text: str, expected: Any) -> None:
    scope = {
        "n": 7,
        "csv": "a,b",
        "flag": True,
        "list": [{"x": 1}, {"z": 2}],
        "object": {"a": [1, "é"]},
        "html": "<p class='a'>1 < 2</p> <!-- <b> --><script>alert('<i>')</script>&amp; so".replace("&amp;", "&"),
    }
    assert rendered(text, **scope) == expected


def test_fields_for_text_get_text_and_others_keep_their_type() -> None:
    class Post(sdk.Inputs):
        title: str
        subtitle: str | None = None
        tags: list[str] = Field(default_factory=list)
        headers: dict[str, str] = Field(default_factory=dict)
        body: Any = None

    config = {
        "title": "{{ n }}",
        "subtitle": "{{ absent }}",
        "tags": "{{ tags }}",
        "headers": {"x-n": "{{ n }}"},
        "body": {"n": "{{ n }}", "o": "{{ o }}"},
    }
    render = compile_config(Post, config)
    assert render is not None
    post = Post.model_validate(render({"n": 5, "tags": ["a"], "o": {"p": True}}))
    assert post == Post(title="5", subtitle=None, tags=["a"], headers={"x-n": "5"}, body={"n": 5, "o": {"p": True}})


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("{% for a in (1..10000) %}{% endfor %}{% for a in (1..1) %}{% endfor %}", "more than 10,000 turns"),
        ("{% for a in (1..200) %}{% for b in (1..200) %}x{% endfor %}{% endfor %}", "more than 10,000 turns"),
        ("{% for a in (1..99999999999) %}x{% endfor %}", "is longer than 10,000"),
        ("{% for a in (1..99999999999) reversed %}x{% endfor %}", "is longer than 10,000"),
        ("{% for a in (1..99999999999) offset: 99999999990 %}x{% endfor %}", "is longer than 10,000"),
        ("{% if words contains 'x' %}{% endif %}{{ (1..99999999999) | reverse }}!", "is longer than 10,000"),
        ("{% for a in (1..9000) %}{{ words }}{% endfor %}", "prints more than 256 KiB"),
        ("{% for a in (1..9000) %}{% capture z %}{{ z }}{{ words }}{% endcapture %}{% endfor %}", "256 KiB"),
        ("{{ words | replace: 'w', words | replace: 'w', words }}", "'replace' would make"),
        ("{{ words | split: '' }}", "'split' would make more than 10,000 items"),
        ("{{ text | append: text | size }}", "'append' made 2,097,152 characters"),
        ("{{ text | append: text | append: text | size }}", "'append' made 2,097,152 characters"),
        ("{% assign l = big | concat: big | concat: big | concat: big | concat: big %}{{ l }}", "too large"),
        (
            "{% assign l = big | concat: big | concat: big | concat: big | concat: big %}{{ l | sort_natural }}",
            "too large",
        ),
        ("{% for a in (1..9999) %}{% if big == twin %}{% endif %}{% endfor %}", "0.25 s of processor time"),
        ("{% for a in (1..9999) %}{% assign z = text | upcase | size %}{% endfor %}", "0.25 s of processor time"),
        ("{% for a in (1..9999) %}" + "{% if true %}{% endif %}" * 3000 + "{% endfor %}", "0.25 s of processor time"),
        ("{{ n | divided_by: 0 }}!", "can't divide by 0"),
        ("{{ words | slice: big }}!", "slice expected an integer"),
    ],
)
def test_what_costs_too_much_or_cannot_be_is_an_error_of_its_own(
    monkeypatch: pytest.MonkeyPatch, text: str, told: str
) -> None:
    if "processor time" not in told:
        monkeypatch.setattr(liquid, "SECONDS", 60.0)  # a slow machine meets the limit that is meant too
    scope = {"words": "w" * 20_000, "text": "t" * TEXT, "n": 1, "big": BIG, "twin": [dict(BIG[0])]}
    with pytest.raises(TemplateFailed) as caught:
        rendered(text, **scope)
    assert told in str(caught.value)


def test_many_templates_of_one_step_share_one_budget() -> None:
    render = compile_value(["{% for a in (1..2000) %}{% endfor %}!"] * 6)
    assert render is not None
    with pytest.raises(TemplateFailed, match="more than 10,000 turns"), one_budget():
        render({})
    assert rendered(["{% for a in (1..2000) %}{% endfor %}!"] * 6) == ["!"] * 6, "alone, each has its own"


@pytest.mark.parametrize(
    "text",
    [
        "{{",
        "{{ a | }}",
        "{% if %}",
        "{% for x %}{% endfor %}",
        "{% if a %}" * 40 + "{% endif %}" * 40,
        "{% include 'secrets' %}",
        "{% render 'secrets' %}",
        "{% nonsense %}",
        "{% if " + "a and " * 20_000 + "a %}{% endif %}",
        "x" * 100_001 + "{{ a }}",
    ],
)
def test_what_does_not_parse_is_told_at_once(text: str) -> None:
    with pytest.raises(InvalidInput):
        compile_value(text)
    assert [problem.path for problem in check_value(text, {}, ("message",))] == [("message",)]


def test_a_config_nested_without_end_is_refused() -> None:
    deep: Any = "{{ a }}"
    for _ in range(5_000):
        deep = [deep]
    with pytest.raises(InvalidInput, match="levels deep"):
        compile_value(deep)


class Author(BaseModel):
    name: str
    karma: int


class Story(sdk.Outputs):
    title: str
    score: int
    author: Author | None
    tags: list[str]
    comments: list[Author]
    extra: dict[str, Author]
    body: Any


KNOWN = {"trigger": Story, "steps": {"post": Story}, "run": {"approvals": {"ask": str}}}


@pytest.mark.parametrize(
    "text",
    [
        "{{ trigger.title }} {{ trigger.title.size }} {{ trigger.author.name }} {{ trigger.tags[0] }} {{ trigger.tags.last }}",
        "{{ trigger.comments[1].karma }} {{ trigger.comments.first.name }} {{ trigger.extra.any.name }}",
        "{{ trigger.body.whatever[3].there.is }} {{ steps.post.score | plus: 1 | round: 2 }}",
        "{% for c in trigger.comments %}{{ c.name }} {{ forloop.index }}{% endfor %}",
        "{% assign a = trigger.author %}{{ a.name }}{% capture b %}x{% endcapture %}{{ b }}",
        "{% for t in trigger.tags %}{% if seen %}{{ seen }}{% endif %}{% assign seen = t %}{% endfor %}",
        "{{ 'now' | date: '%Y' }} {{ now | date: '%H' }} {{ run.approvals.ask }}",
        "{{ trigger.body | default: 'x', allow_false: true }} {{ trigger[steps.post.title] }}",
        "{% if trigger.author == nil or trigger.tags contains 'x' %}{% endif %}",
    ],
)
def test_references_that_exist_are_no_problem(text: str) -> None:
    assert list(check_value(text, KNOWN, ())) == []


@pytest.mark.parametrize(
    ("text", "said", "suggestion"),
    [
        ("{{ triger.title }}", "triger", "trigger"),
        ("{{ trigger.titel }}", "trigger.titel", "trigger.title"),
        ("{{ trigger.title.name }}", "trigger.title.name", None),
        ("{{ trigger.score.size }}", "trigger.score.size", None),
        ("{{ trigger.author.nam }}", "trigger.author.nam", "trigger.author.name"),
        ("{{ trigger.comments[0].nme }}", "trigger.comments.0.nme", "trigger.comments.0.name"),
        ("{{ trigger.comments.nme }}", "trigger.comments.nme", None),
        ("{{ trigger.extra.someone.nme }}", "trigger.extra.someone.nme", "trigger.extra.someone.name"),
        ("{{ steps.pots.title }}", "steps.pots", "steps.post"),
        ("{{ run.approvals.aks }}", "run.approvals.aks", "run.approvals.ask"),
        ("{% for c in trigger.comments %}{{ c.nme }}{% endfor %}", "c.nme", "c.name"),
        ("{% for c in trigger.comments %}{% endfor %}{{ c.name }}", "c", None),
        ("{% assign a = trigger.author %}{{ a.nme }}", "a.nme", "a.name"),
        ("{% if trigger.scor > 3 %}{% endif %}", "trigger.scor", "trigger.score"),
        ("{{ trigger.body | append: trigger.titel }}", "trigger.titel", "trigger.title"),
        ("{{ trigger[steps.post.titel] }}", "steps.post.titel", "steps.post.title"),
        ("{% for c in (1..trigger.scor) %}{% endfor %}", "trigger.scor", "trigger.score"),
    ],
)
def test_a_name_that_does_not_exist_is_told_with_its_place(text: str, said: str, suggestion: str | None) -> None:
    [problem] = check_value({"a": ["x", text]}, KNOWN, ("config",))
    assert (problem.path, problem.code) == (("config", "a", 1), "UNKNOWN_REFERENCE")
    assert problem.message.startswith(f"{{{{ {said} }}}} names what does not exist")
    assert problem.suggestion == suggestion


@pytest.mark.parametrize(
    ("text", "told", "suggestion"),
    [
        ("{{ trigger.title | upcas }}", "There is no filter 'upcas'.", "upcase"),
        ("{{ trigger.title | append }}", "The filter 'append' is not used rightly", None),
        ("{{ trigger.title | upcase: 1, 2 }}", "The filter 'upcase' is not used rightly", None),
        ("{% assign x = trigger.title | upcas %}", "There is no filter 'upcas'.", "upcase"),
    ],
)
def test_a_filter_that_does_not_exist_or_fit_is_told(text: str, told: str, suggestion: str | None) -> None:
    [problem] = check_value(text, KNOWN, ())
    assert problem.message.startswith(told)
    assert (problem.code, problem.suggestion) == ("TEMPLATE_SYNTAX", suggestion)


@pytest.mark.parametrize("expression", ["", "{% if a %}", "a ==", "a %}x{% if b"])
def test_a_condition_is_one_expression(expression: str) -> None:
    assert [problem.path for problem in check_condition(expression, {"a": Any}, ("when",))] == [("when",)]


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=12,
)
_PRIMITIVE = st.sampled_from(
    ["a", "b.c", "a[0]", "b.first", "a.size", "1", "-2.5", "'x'", "''", "nil", "(1..3)", "(a..9)"]
)
_FILTER = st.builds(
    lambda name, arguments: f"{name}: {', '.join(arguments)}" if arguments else name,
    st.sampled_from(sorted(environment.filters)),
    st.lists(_PRIMITIVE, max_size=3),
)
_OUTPUT = st.builds(
    lambda value, filters: "{{ " + " | ".join([value, *filters]) + " }}", _PRIMITIVE, st.lists(_FILTER, max_size=4)
)
_TEMPLATE = st.lists(
    st.one_of(
        _OUTPUT,
        st.builds(lambda x, body: f"{{% for i in {x} %}}{body}{{{{ i }}}}{{% endfor %}}", _PRIMITIVE, _OUTPUT),
        st.builds(lambda x, y, body: f"{{% if {x} == {y} %}}{body}{{% endif %}}", _PRIMITIVE, _PRIMITIVE, _OUTPUT),
        st.builds(lambda x, y: f"{{% if {x} contains {y} %}}1{{% endif %}}", _PRIMITIVE, _PRIMITIVE),
        st.builds(
            lambda x: f"{{% assign b = {x} %}}{{% tablerow i in b cols: a %}}{{{{ i }}}}{{% endtablerow %}}", _PRIMITIVE
        ),
    ),
    min_size=1,
    max_size=4,
).map("".join)


@settings(deadline=None)
@given(_TEMPLATE, JSON, JSON)
def test_whatever_a_payload_is_a_template_renders_or_fails_as_a_template(text: str, a: Any, b: Any) -> None:
    try:
        render = compile_value(text)
    except InvalidInput:
        return
    assert render is not None
    with suppress(TemplateFailed):
        assert isinstance(render({"a": a, "b": b}), str | int | float | list | dict | None)


@settings(deadline=None)
@given(st.text(max_size=200))
def test_whatever_is_typed_is_a_template_or_an_error_with_its_place(text: str) -> None:
    problems = list(check_value(text, {"a": Any}, ("x",)))
    assert all(problem.path == ("x",) for problem in problems)
    try:
        render = compile_value(text)
    except InvalidInput:
        assert problems
        return
    if render is not None:
        with suppress(TemplateFailed):
            render({"a": 1})


@settings(deadline=None)
@given(
    st.lists(st.sampled_from(["{{ secret }}", "{% raw %}", "{%", "}}", "{{", "x", "\\", "'"]), max_size=6).map("".join)
)
def test_text_from_outside_is_never_evaluated(text: str) -> None:
    scope = {"said": text, "secret": "s3cret", "list": [text], "object": {"k": text}}
    assert rendered("{{ said }}", **scope) == text
    assert rendered("<{{ said }}>", **scope) == f"<{text}>"
    assert (
        rendered("<{% assign x = said %}{{ x }}{% capture y %}{{ said }}{% endcapture %}{{ y }}>", **scope)
        == f"<{text}{text}>"
    )
    assert rendered({"a": ["{{ list }}", "{{ object.k }}"]}, **scope) == {"a": [[text], text]}
    assert "s3cret" not in rendered("<{{ list | join: said }} {{ object | json }} {{ said | append: said }}>", **scope)
    assert compile_condition("said contains 's3cret'")(scope) is False
