"""YAML of a bounded size, depth and number of values.

An alias repeats all values of its anchor, so nine lines of nine aliases each are 387 million values. Anchors,
aliases and merge keys work as usual; the values that they repeat are counted before they are read.
"""

import re
from typing import Any

import yaml

MAX_CHARACTERS = 2**20  # of a text
MAX_DEPTH = 50  # of nested lists and mappings
MAX_VALUES = 200_000  # those of aliases count each time
MAX_DIGITS = 100  # of an integer
_LONG = 100  # characters of a text that count as one more value
_HALF = re.compile("[\ud800-\udfff]")
_INTEGER = "tag:yaml.org,2002:int"
_TOO_MANY = f"it must hold at most {MAX_VALUES:,} values, those of aliases included"


class BoundedLoader(yaml.SafeLoader):
    """SafeLoader that raises a YAMLError with the line for text that is too deep, too large or contains itself."""

    def __init__(self, text: str) -> None:
        if len(text) > MAX_CHARACTERS:
            raise yaml.YAMLError(f"it must have at most {MAX_CHARACTERS:,} characters, and has {len(text):,}")
        super().__init__(text)
        self._depth = self._nodes = 0

    def compose_node(self, parent: yaml.Node | None, index: Any) -> yaml.Node | None:
        """Compose one node; nested nodes are nested calls of this method."""
        if self._depth > MAX_DEPTH:
            raise _error(f"lists and mappings must be at most {MAX_DEPTH} deep", self.get_mark())
        self._depth += 1
        self._nodes += 1
        if self._nodes > MAX_VALUES:
            raise _error(_TOO_MANY, self.get_mark())
        try:
            return super().compose_node(parent, index)
        finally:
            self._depth -= 1

    def get_single_node(self) -> yaml.Node | None:
        """Return the whole document after counting its values."""
        root = super().get_single_node()
        if root is not None:
            _count(root, {})
        return root

    def construct_object(self, node: yaml.Node, deep: bool = False) -> Any:
        """Return a value; one that Python refuses, such as the 32nd of a month, is a YAMLError too."""
        if node.tag == _INTEGER and len(node.value) > MAX_DIGITS:
            raise _error(f"a number must have at most {MAX_DIGITS} digits", node.start_mark)
        try:
            return super().construct_object(node, deep)
        except (ValueError, OverflowError, TypeError) as error:
            raise _error(str(error), node.start_mark) from error


class ConfigLoader(BoundedLoader):
    """BoundedLoader that reads 1e-4 as a number; YAML 1.1 reads text unless it is 1.0e-4."""


ConfigLoader.yaml_implicit_resolvers = dict(yaml.SafeLoader.yaml_implicit_resolvers)
ConfigLoader.add_implicit_resolver(
    "tag:yaml.org,2002:float", re.compile(r"^[-+]?(\d+(\.\d*)?|\.\d+)[eE][-+]?\d+$"), list("-+.0123456789")
)


def _count(node: yaml.Node, counted: dict[yaml.Node, int | None]) -> int:
    """The number of values of a node with its aliases; `counted` has None for the nodes that contain it."""
    if node in counted:
        values = counted[node]
        if values is None:
            raise _error("a list or mapping must not hold itself", node.start_mark)
        return values
    if isinstance(node, yaml.ScalarNode):
        if _HALF.search(node.value):
            raise _error("text must not hold half of a surrogate pair", node.start_mark)
        return 1 + len(node.value) // _LONG
    counted[node] = None
    values = 1
    for child in node.value:
        pair = child if isinstance(child, tuple) else (child,)
        values += sum(_count(part, counted) for part in pair)
        if values > MAX_VALUES:
            raise _error(_TOO_MANY, node.start_mark)
    counted[node] = values
    return values


def _error(problem: str, mark: yaml.Mark) -> yaml.MarkedYAMLError:
    return yaml.MarkedYAMLError(problem=problem, problem_mark=mark)
