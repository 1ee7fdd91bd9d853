"""YAML for people, JSON underneath: what is written is read again as it was, and nothing but JSON's values can be said.

The types are those of YAML 1.2's core schema (https://yaml.org/spec/1.2.2/#103-core-schema), so ``12:30`` and dates stay text.
Anchors, tags and repeated keys are refused: a short text must not become a large value, or another one than it looks.
"""

import json
import re
from typing import Any, NoReturn

import orjson
import yaml

MAX_LENGTH = 200_000
MAX_EVENTS = 50_000
MAX_DEPTH = 60

_Loader: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
_Dumper: Any = yaml.SafeDumper
_ODD = re.compile("[\r\x85\u2028\u2029\ufeff]")
_RESOLVERS = (
    ("tag:yaml.org,2002:null", re.compile(r"(?:~|null|Null|NULL|)\Z"), ["~", "n", "N", ""]),
    ("tag:yaml.org,2002:bool", re.compile(r"(?:true|True|TRUE|false|False|FALSE)\Z"), list("tTfF")),
    ("tag:yaml.org,2002:int", re.compile(r"(?:[-+]?[0-9]+|0o[0-7]+|0x[0-9a-fA-F]+)\Z"), list("-+0123456789")),
    (
        "tag:yaml.org,2002:float",
        re.compile(r"[-+]?(?:\.[0-9]+|[0-9]+(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?\Z"),
        list("-+.0123456789"),
    ),
)


class BadDocument(ValueError):
    """A text that is no document; the message says where and why."""


class _Reader(_Loader):  # type: ignore[misc]
    yaml_implicit_resolvers: dict[Any, Any] = {}  # noqa: RUF012 - the library's name, for this class alone

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[str, Any]:
        """An object; its keys are text, each once."""
        found: dict[str, Any] = {}
        for key_node, value_node in node.value:
            key = self.construct_object(key_node, deep=True)
            if not isinstance(key, str):
                _refuse(f"The key {key!r} is not text; put it in quotes", key_node.start_mark)
            if key in found:
                _refuse(f"The key {key!r} is there twice", key_node.start_mark)
            found[key] = self.construct_object(value_node, deep=True)
        return found


class _Writer(_Dumper):  # type: ignore[misc]
    def ignore_aliases(self, _data: Any) -> bool:
        """What is used twice is written twice."""
        return True


def load(text: str) -> Any:
    """The value of a YAML or JSON text. Raises: BadDocument."""
    if len(text) > MAX_LENGTH:
        raise BadDocument(f"The document has {len(text)} characters; {MAX_LENGTH} is the most.")
    if text.lstrip()[:1] in ("{", "[", '"'):
        try:
            return orjson.loads(text)
        except orjson.JSONDecodeError:
            pass  # YAML has such brackets too
    try:
        _look_over(text)
        return yaml.load(text, Loader=_Reader)  # noqa: S506 - a safe loader of our own
    except yaml.MarkedYAMLError as error:
        _refuse(str(error.problem or error.context), error.problem_mark or error.context_mark)
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        raise error if isinstance(error, BadDocument) else BadDocument(f"This is not YAML: {error}.") from None


def dump(value: Any, *, as_json: bool = False) -> str:
    """A value as YAML, or as indented JSON."""
    if as_json:
        return json.dumps(value, indent=2, ensure_ascii=False) + "\n"
    text: str = yaml.dump(value, Dumper=_Writer, sort_keys=False, allow_unicode=True, width=100)
    return text


def _look_over(text: str) -> None:
    depth = 0
    for number, event in enumerate(yaml.parse(text, Loader=_Loader)):
        if number > MAX_EVENTS:
            raise BadDocument(f"The document has more than {MAX_EVENTS} parts.")
        if getattr(event, "anchor", None) is not None:
            _refuse("Anchors and aliases are not allowed; write it out", event.start_mark)
        tag = getattr(event, "tag", None)
        if tag is not None:
            _refuse(f"Tags such as {tag} are not allowed", event.start_mark)
        depth += isinstance(event, yaml.CollectionStartEvent) - isinstance(event, yaml.CollectionEndEvent)
        if depth > MAX_DEPTH:
            _refuse(f"It is nested more than {MAX_DEPTH} levels deep", event.start_mark)


def _refuse(what: str, mark: Any) -> NoReturn:
    place = f" (line {mark.line + 1}, column {mark.column + 1})" if mark else ""
    raise BadDocument(f"{what[:1].upper()}{what[1:]}{place}.") from None


def _integer(_reader: Any, node: yaml.ScalarNode) -> int:
    text = str(node.value)
    return int(text, 0) if text[:2] in ("0o", "0x") else int(text)


def _text(writer: Any, value: str) -> yaml.ScalarNode:
    # Line ends that only some readers take for such are written as escapes.
    style = '"' if _ODD.search(value) else "|" if "\n" in value else None
    found: yaml.ScalarNode = writer.represent_scalar("tag:yaml.org,2002:str", value, style=style)
    return found


for _tag, _pattern, _first in _RESOLVERS:
    _Reader.add_implicit_resolver(_tag, _pattern, _first)
    # Readers of YAML 1.1 find their own kinds in the writer already: what any of the two would take for something else is quoted.
    _Writer.add_implicit_resolver(_tag, _pattern, _first)
_Reader.add_constructor("tag:yaml.org,2002:int", _integer)
_Reader.add_constructor("tag:yaml.org,2002:float", lambda _reader, node: float(node.value))
_Reader.add_constructor("tag:yaml.org,2002:map", lambda reader, node: reader.construct_mapping(node))
_Writer.add_representer(str, _text)
