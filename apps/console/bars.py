"""A bar that shows how full something is: seats by state against three caps. An SVG, so that no page needs inline style."""

from dataclasses import dataclass
from typing import Any, Self

from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString

WIDTH = 1000


@dataclass(frozen=True)
class Bar:
    assigned: int
    retained: int
    reserved: int
    soft_cap: int
    allocation_cap: int
    hard_cap: int

    @classmethod
    def of(cls, instance: Any) -> Self:
        """From whatever has these numbers: an Occupancy or an Instance."""
        return cls(**{name: getattr(instance, name) for name in cls.__dataclass_fields__})

    @property
    def taken(self) -> int:
        """Seats that count against the caps."""
        return self.assigned + self.retained + self.reserved

    @property
    def percent(self) -> int:
        """How full it is for new people: seats against the allocation cap."""
        return round(100 * self.taken / self.allocation_cap) if self.allocation_cap else 100

    @property
    def tone(self) -> str:
        """good below the soft cap, warn below the allocation cap, bad from there on."""
        if self.taken < self.soft_cap:
            return "good"
        return "warn" if self.taken < self.allocation_cap else "bad"

    @property
    def label(self) -> str:
        """The same in words, where there is something to say."""
        return {"warn": "above its soft cap", "bad": "full"}.get(self.tone, "")

    @property
    def free(self) -> int:
        """Seats left for new people."""
        return max(0, self.allocation_cap - self.taken)

    @property
    def sentence(self) -> str:
        return (
            f"{self.taken} {'seat' if self.taken == 1 else 'seats'} taken: {self.assigned} assigned, {self.retained} retained, {self.reserved} reserved. "
            f"Caps: soft {self.soft_cap}, allocation {self.allocation_cap}, hard {self.hard_cap}."
        )

    def markup(self) -> SafeString:
        """The bar as an SVG with a title for those who cannot see it. What is not assigned is striped, as in the legend."""
        scale = max(self.hard_cap, self.taken, 1)
        filled, parts = 0, []
        for name, count in (
            ("assigned", self.assigned),
            ("retained", self.retained),
            ("reserved", self.reserved),
        ):
            parts.append((name, round(WIDTH * filled / scale), round(WIDTH * count / scale)))
            filled += count
        marks = [("soft", self.soft_cap), ("allocation", self.allocation_cap)]
        return format_html(
            '<svg class="fd-bar fd-bar-{}" viewBox="0 0 {} 10" preserveAspectRatio="none" role="img" aria-label="{}"><title>{}</title>'
            '<rect class="fd-bar-all" width="{}" height="10"></rect>{}{}</svg>',
            self.tone,
            WIDTH,
            self.sentence,
            self.sentence,
            WIDTH,
            format_html_join(
                "",
                '<rect class="fd-bar-{}" x="{}" width="{}" height="10"></rect><line class="fd-stripes-{}" x1="{}" x2="{}" y1="5" y2="5"></line>',
                ((name, start, width, name, start, start + width) for name, start, width in parts),
            ),
            format_html_join(
                "",
                '<rect class="fd-bar-mark" data-cap="{}" x="{}" width="5" height="10"></rect>',
                ((name, max(0, round(WIDTH * cap / scale) - 2)) for name, cap in marks),
            ),
        )
