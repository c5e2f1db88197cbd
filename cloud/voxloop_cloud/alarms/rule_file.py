"""The file of rules: TOML, a table for each rule. One ships; a server may be given its own."""

import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from pydantic import BaseModel, ConfigDict, ValidationError

from voxloop_cloud.alarms.rule import Rule
from voxloop_cloud.alarms.rule_check import faults_of
from voxloop_proto.errors import ConfigError

SHIPPED_RULES: Final = Path(__file__).with_name("rules.toml")
MAX_FILE_BYTES: Final = 1 << 20


class _RuleFile(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")

    rules: dict[str, Any]


def read_rules(file: Path | None = None) -> tuple[Rule, ...]:
    """The rules of a file, or those that ship.

    Raises ConfigError that names the file, each faulty rule and field, what was found and what is allowed.
    """
    return parse_rules(read_text(file or SHIPPED_RULES), file or SHIPPED_RULES)


def read_text(file: Path) -> str:
    """The file as it stands. Raises ConfigError if it is not there, too large, or no text."""
    try:
        with file.open("rb") as opened:
            content = opened.read(MAX_FILE_BYTES + 1)
        if len(content) > MAX_FILE_BYTES:
            raise ConfigError(f"the alarm rules {file} are larger than {MAX_FILE_BYTES} bytes")
        return content.decode()
    except FileNotFoundError:
        raise ConfigError(
            f"no alarm rules {file}; 'voxloop alarms set RULE THRESHOLD --rules {file}' makes it of those that ship"
        ) from None
    except OSError as error:
        raise ConfigError(f"cannot read the alarm rules {file}: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise ConfigError(f"the alarm rules {file} are not UTF-8: {error}") from error


def parse_rules(text: str, file: Path) -> tuple[Rule, ...]:
    """The rules in a file's text. Raises as read_rules."""
    try:
        tables = _RuleFile.model_validate(tomllib.loads(text)).rules
    except (ValueError, RecursionError) as error:
        reason = _no_rule_file(error) if isinstance(error, ValidationError) else f"not TOML: {error}"
        raise ConfigError(f"{file}: {reason}") from error
    rules: list[Rule] = []
    faults: list[str] = []
    for name, table in tables.items():
        try:
            rule = _rule(name, table)
        except ValidationError as error:
            wrong = explain(error)
        else:
            wrong = list(faults_of(rule))
            rules.append(rule)
        faults += [f"{file}: rule {name}: {fault}" for fault in wrong]
    if faults:
        raise ConfigError("\n".join(faults))
    return tuple(rules)


def explain(error: ValidationError) -> list[str]:
    """What is wrong with a rule, a sentence for each fault: the field, what was found, what is allowed."""
    return [_fault(found["type"], found["loc"], found["input"], found["msg"]) for found in error.errors()]


def _rule(name: str, table: object) -> Rule:
    return Rule.model_validate({**table, "name": name} if isinstance(table, Mapping) else table)


def _fault(kind: str, where: tuple[int | str, ...], found: object, message: str) -> str:
    field = ".".join(map(str, where))
    if kind == "extra_forbidden":
        return f"unknown field {field} = {found!r}; allowed are {', '.join(sorted(Rule.model_fields))}"
    about = Rule.model_fields[str(where[0])].description if where and str(where[0]) in Rule.model_fields else ""
    if kind == "missing":
        return f"field {field} is missing ({about})"
    said = message.removeprefix("Value error, ")
    return f"field {field} = {found!r}: {said} ({about})" if field else said


def _no_rule_file(error: ValidationError) -> str:
    return "no rules in it, or more than rules: each is a table [rules.NAME]; " + "; ".join(
        f"{'.'.join(map(str, found['loc']))}: {found['msg']}" for found in error.errors()
    )
