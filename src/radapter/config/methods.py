"""`method` in run.yaml: a name, or a mapping of a name and the settings of that method.

    method: lora
    method: {name: r-adapter, r: 4, drop: 0.3}

The names and settings are those of a task's table in `radapter.methods`. Each method has its own model, selected by
`name`, so a key that the method does not read is an error.
"""

from collections.abc import Mapping
from typing import Annotated, Any, Literal, Union

from pydantic import Field, GetCoreSchemaHandler, create_model
from pydantic_core import CoreSchema, core_schema

from radapter.methods import Method, MethodSettings, unknown_method

DEFAULT_METHOD = "r-adapter"


class NamedSettings(MethodSettings):
    """The name of a method, and its settings."""

    name: str = Field(DEFAULT_METHOD, description="what is trained; `radapter methods` lists them")


class MethodOf:
    """The annotation of `method` in the schema of one task; `members` are the models of its methods' mappings."""

    def __init__(self, table: Mapping[str, Method], task: str) -> None:
        self.table, self._task = table, task
        self.members = {name: _member(method) for name, method in table.items()}

    def __get_pydantic_core_schema__(self, source: object, handler: GetCoreSchemaHandler) -> CoreSchema:
        """One of the members, selected by `name`; text alone is a name."""
        union: Any = Union[tuple(self.members.values())]  # noqa: UP007
        schema = handler.generate_schema(Annotated[union, Field(discriminator="name")])
        return core_schema.no_info_before_validator_function(self._with_name, schema)

    def settings(self, given: NamedSettings) -> MethodSettings:
        """Return the method's settings; those that were not given are left unset."""
        values = given.model_dump(exclude={"name"}, exclude_unset=True)
        return self.table[given.name].settings_type(**values)

    def readers(self, key: str) -> list[str]:
        """Return the methods that read a key of `method`, without those that change a part of another."""
        return [name for name, method in self.table.items() if key in method.keys and method.part_of is None]

    def _with_name(self, value: object) -> object:
        if not isinstance(value, str | Mapping):
            raise ValueError("must be the name of a method, or a mapping such as {name: r-adapter, r: 4}")
        mapping: dict[str, Any] = {"name": value} if isinstance(value, str) else {**value}
        name = mapping.setdefault("name", DEFAULT_METHOD)
        if not isinstance(name, str) or name not in self.table:
            raise ValueError(
                f"must be one of {', '.join(self.table)}.{unknown_method(str(name), self._task)}"
            )
        return mapping


def _member(method: Method) -> type[NamedSettings]:
    fields = method.settings_type.model_fields
    own: dict[str, Any] = {key: (fields[key].annotation, fields[key]) for key in method.keys}
    own["name"] = (Literal[method.name], ...)
    is_open = (
        method.settings_type.model_config.get("extra") == "allow"
    )  # its validators check the further keys
    bases: Any = (NamedSettings, method.settings_type) if is_open else NamedSettings
    member: type[NamedSettings] = create_model(method.name, __base__=bases, **own)
    return member
