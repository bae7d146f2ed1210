"""A rule is one setting with the value it should have, as data; `applied` holds a row of Keycloak's against a table of them."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from apps.identity.checks.finding import Finding, Severity, assign, well

ERROR, WARNING = Severity.ERROR, Severity.WARNING


@dataclass(frozen=True, kw_only=True)
class Rule:
    """`setting` is Keycloak's name, or (map, key) inside a map. `wanted` is what the fix sets; `good` says what passes.

    `wrong` may say `{found}`. `where` is the page of Keycloak's own console.
    """

    setting: str | tuple[str, str]
    wanted: Any
    wrong: str
    right: str
    why: str
    where: str
    severity: Severity = ERROR
    good: Callable[[Any], bool] | None = None

    @property
    def name(self) -> str:
        """The last part of the finding's id."""
        return self.setting if isinstance(self.setting, str) else self.setting[1]

    @property
    def field(self) -> str:
        """The setting as kcadm names it."""
        return self.setting if isinstance(self.setting, str) else f'{self.setting[0]}."{self.setting[1]}"'

    def found(self, row: Mapping[str, Any]) -> Any:
        """What the row says; None when nothing."""
        if isinstance(self.setting, str):
            return row.get(self.setting)
        return (row.get(self.setting[0]) or {}).get(self.setting[1])

    def passes(self, found: Any) -> bool:
        """Whether that value is good."""
        return self.good(found) if self.good is not None else bool(found == self.wanted)


def applied(
    rules: Iterable[Rule], row: Mapping[str, Any], *, prefix: str, resource: str, realm: str, about: str = ""
) -> Iterator[Finding]:
    """One finding for each rule, its id `<prefix>.<setting>`; the fix writes to `resource`; sentences begin with `about`."""
    for rule in rules:
        found = rule.found(row)
        if rule.passes(found):
            yield well(f"{prefix}.{rule.name}", about + rule.right)
            continue
        yield Finding(
            id=f"{prefix}.{rule.name}",
            severity=rule.severity,
            says=about + rule.wrong.format(found="nothing" if found is None else found),
            why=rule.why,
            fix=f"{rule.where}: set {rule.name} to {shown(rule.wanted)}.",
            commands=(assign(resource, realm, {rule.field: rule.wanted}),),
        )


def shown(value: Any) -> str:
    """A value in a sentence."""
    if isinstance(value, bool):
        return "on" if value else "off"
    return ", ".join(value) if isinstance(value, list) else str(value)
