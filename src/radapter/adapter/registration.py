"""Registration of tuners with PEFT.

PEFT accepts only names in its `PeftType` enumeration, so registering extends the enumeration and PEFT's tables.
"""

import enum

import peft
from peft import PeftConfig
from peft.tuners.tuners_utils import BaseTuner
from peft.utils import PeftType


def _moved(reason: object) -> ImportError:
    return ImportError(
        f"radapter cannot register with peft {peft.__version__}, whose internals have moved: {reason}. "
        "Install a tested version: pip install -c constraints.txt peft"
    )


try:
    from peft.mapping import PEFT_TYPE_TO_TUNER_MAPPING
    from peft.tuners.tuners_utils import _ExcludedModule as ExcludedModule
    from peft.utils import register_peft_method
except ImportError as error:  # pragma: no cover - a PEFT of the future
    raise _moved(error) from error

__all__ = ["ExcludedModule", "register_tuner"]


def register_tuner(name: str, *, config: type[PeftConfig], tuner: type[BaseTuner]) -> None:
    """Makes PEFT know a tuner whose parameters have the prefix "NAME_"; its `peft_type` is the name in capitals.

    Raises ImportError if PEFT's internals have moved.
    """
    member = name.upper()
    if member not in PeftType.__members__:
        _extend(PeftType, member)
    if PeftType(member) not in PEFT_TYPE_TO_TUNER_MAPPING:
        register_peft_method(name=name, config_cls=config, model_cls=tuner)


def _extend(enumeration: type[enum.Enum], name: str) -> None:
    try:
        member = str.__new__(enumeration, name)  # type: ignore[type-var]
        member._name_ = name
        member._value_ = name
        member._sort_order_ = len(enumeration.__members__)  # type: ignore[attr-defined]
        type.__setattr__(enumeration, name, member)
        enumeration._member_names_.append(name)
        enumeration._member_map_[name] = member
        enumeration._value2member_map_[name] = member
        places = (enumeration(name), enumeration[name], getattr(enumeration, name))
        known = member in list(enumeration) and all(place is member for place in places)
    except Exception as error:
        raise _moved(error) from error
    if not known:
        raise _moved("its PeftType does not keep the new member")
