"""For how many people somebody buys a plan: how many they may choose, and the quantity that it takes."""

from collections.abc import Mapping
from dataclasses import dataclass

from django.utils.translation import gettext as _

from apps.catalog.models import Product
from apps.core.errors import BadInput

FIELD = "people"
LONGEST = 6  # digits


@dataclass(frozen=True)
class PeopleField:
    """The field of a page with plans: which of these are sold by people, for how many at most, and what it shows."""

    plans: tuple[Product, ...]
    value: str

    @property
    def most(self) -> int:
        """For how many people the largest is sold."""
        return max(one.most_people for one in self.plans)

    @property
    def plan_ids(self) -> str:
        """For the script that shows the field only with one of these plans."""
        return " ".join(str(one.pk) for one in self.plans)

    @property
    def slugs(self) -> tuple[str, ...]:
        """Of the plans it is about."""
        return tuple(one.slug for one in self.plans)

    @property
    def names(self) -> str:
        """The plans it is about: `Family, Team`."""
        return ", ".join(one.name for one in self.plans)


def people_field(plans: list[Product], *, typed: str, basket: Mapping[str, int]) -> PeopleField | None:
    """What the page asks; None where no plan is sold by people. `basket`: what was chosen before."""
    sold = tuple(one for one in plans if one.is_sold_by_people)
    if not sold:
        return None
    chosen = [one.people * basket[one.slug] for one in sold if one.slug in basket]
    return PeopleField(sold, typed or str(max([*chosen, min(one.people for one in sold)])))


def read_quantity(plan: Product, typed: str, *, before: int) -> int:
    """How many of the plan that many people need. BadInput names the field; nothing typed: as many as `before`."""
    if not plan.is_sold_by_people:
        return 1
    typed = typed.strip()
    if not typed:
        return min(max(1, before), plan.max_quantity)
    is_number = typed.isascii() and typed.isdigit() and len(typed) <= LONGEST
    if not (is_number and 1 <= int(typed) <= plan.most_people):
        told = _("Please enter for how many people {plan} should be: a whole number from 1 to {most}.")
        raise BadInput(told.format(plan=plan.name, most=plan.most_people), field=FIELD)
    return -(-int(typed) // plan.people)  # rounded up
