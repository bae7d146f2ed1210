"""What a new instance would change: who gets a seat at once, who on the waitlist could be invited, and when it is full. Nothing is stored."""

from dataclasses import dataclass
from typing import Any, override

from django import forms
from django.http import QueryDict

from apps.console.capacity_board import Board, ProductBoard, WaitlistLine
from apps.instances.allocation import waiting_line
from apps.instances.models import SeatWait
from apps.operations.outlook import Outlook, foresee

NAMED = 10  # of those who get a seat at once
MOST_SEATS = 1_000_000


class WhatIfForm(forms.Form):
    """An instance that is thought of: of what product, and how many seats for new subscribers."""

    product = forms.TypedChoiceField(coerce=int)
    seats = forms.IntegerField(min_value=1, max_value=MOST_SEATS, initial=200)

    @override
    def __init__(self, board: Board, given: QueryDict) -> None:
        asked: Any = given if "product" in given and ("seats" in given or "allocation_cap" in given) else None
        if asked and "seats" not in asked:  # as the form of a new instance calls them
            asked = asked.copy()
            asked["seats"] = asked["allocation_cap"]
        super().__init__(asked)
        self.fields["product"].choices = [(one.id, one.name) for one in board.products]  # type: ignore[attr-defined]


@dataclass(frozen=True)
class LineReach:
    """A line of the waitlist: how many of it could be invited, and the other product without room for them, if there is one."""

    line: WaitlistLine
    reachable: int
    full: str


@dataclass(frozen=True)
class NewInstanceEffect:
    """`served`: those who have paid and get a seat at once; `left`: seats after that; `invited`: on the waitlist, with room for them."""

    product: ProductBoard
    seats: int
    served: int
    named: tuple[SeatWait, ...]
    left: int
    lines: tuple[LineReach, ...]
    invited: int
    invited_now: int
    before: Outlook
    after: Outlook
    after_invitations: Outlook

    @property
    def more(self) -> int:
        """Of those who are served, how many are not named."""
        return self.served - len(self.named)

    @property
    def waiting(self) -> int:
        """How many are on the waitlist for what needs it."""
        return sum(one.line.count for one in self.lines)


def plan_instance(board: Board, product: ProductBoard, seats: int, *, names: bool) -> NewInstanceEffect:
    """What so many more seats for new subscribers would change. One query, where people wait and may be named."""
    served = min(product.owed, product.free + seats)
    left = product.free + seats - served
    lines = tuple(_reach(board, product, line) for line in product.lines)
    could = sum(one.reachable for one in lines)
    waiting = waiting_line(product.id).select_related("profile__user")[: min(served, NAMED)]
    today, growth = board.at.date(), product.forecast.growth
    invited = min(left, could)
    return NewInstanceEffect(
        product=product, seats=seats, served=served, named=tuple(waiting) if served and names else (), left=left, lines=lines,
        invited=invited, invited_now=min(could, max(0, product.free - product.owed)), before=product.forecast.full,
        after=foresee(growth, free=left, today=today), after_invitations=foresee(growth, free=left - invited, today=today),
    )  # fmt: skip


def _reach(board: Board, product: ProductBoard, line: WaitlistLine) -> LineReach:
    """A seat is needed on every product of the line: the one with the least room decides."""
    others = [one for one in board.products if one.id in line.needs and one.id != product.id]
    rooms = {one.name: max(0, one.free - one.owed) for one in others}
    least = min(rooms, key=lambda name: rooms[name], default="")
    reachable = min(line.count, rooms[least]) if rooms else line.count
    return LineReach(line, reachable, least if reachable < line.count else "")
