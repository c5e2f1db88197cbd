"""Changes a threshold in the file of rules, and leaves everything else in it, comments too, as it was."""

from pathlib import Path

import tomlkit
from pydantic import ValidationError

from voxloop_cloud.alarms.rule import Rule
from voxloop_cloud.alarms.rule_file import explain, parse_rules
from voxloop_proto.errors import ConfigError


def rule_named(rules: tuple[Rule, ...], name: str, file: Path) -> Rule:
    """The rule of that name. Raises ConfigError that lists those that there are."""
    for rule in rules:
        if rule.name == name:
            return rule
    raise ConfigError(f"{file}: no rule {name}; there are {', '.join(rule.name for rule in rules) or 'none'}")


def changed_text(
    text: str, file: Path, name: str, threshold: float, resolves_at: float | None
) -> tuple[str, Rule, Rule]:
    """The file's text with another threshold, and the rule before and after. Raises ConfigError if it may not be so."""
    before = rule_named(parse_rules(text, file), name, file)
    try:
        after = before.at(threshold, resolves_at)
    except ValidationError as error:
        raise ConfigError("\n".join(f"rule {name}: {fault}" for fault in explain(error))) from error
    document = tomlkit.parse(text)
    table = document["rules"][name]
    table["threshold"] = after.threshold
    if "resolves_at" in table or after.resolves_at != after.threshold:
        table["resolves_at"] = after.resolves_at
    changed = tomlkit.dumps(document)
    return changed, before, rule_named(parse_rules(changed, file), name, file)
