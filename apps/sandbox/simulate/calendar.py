"""The months of a simulation: days with what happens on them, and every few days and at each month's end the comparison."""

import json
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field

from apps.sandbox.simulate import acts_staff, faults
from apps.sandbox.simulate.acts import live_some_days
from apps.sandbox.simulate.compare import Comparison, Difference, compare, find_near_borders
from apps.sandbox.simulate.lives import Life, chance
from apps.sandbox.simulate.observed import Having, read_books
from apps.sandbox.simulate.world import SimulatedWorld

DAY, HOUR, QUARTER_HOUR = 86_400, 3600, 900
MONTH_DAYS = 30
CATALOGUE_CHANGES_PER_MONTH = 0.5
BORDER_TRIES = 6  # then those who are near one are left out


@dataclass
class Simulation:
    """One run; `day` is the next to be lived."""

    world: SimulatedWorld
    lives: list[Life]
    seed: int
    months: int
    faults: bool
    say: Callable[[str], None]
    compare_days: int = 10
    stops: bool = False  # at the first comparison that finds a difference
    step_days: int = 1
    day: int = 0
    found: list[tuple[int, Difference]] = field(default_factory=list)  # with the day of the comparison
    broken: list[tuple[int, str]] = field(default_factory=list)  # laws, the same
    rows: Counter[int] = field(default_factory=Counter)
    hurt: Counter[str] = field(default_factory=Counter)  # what went wrong on purpose, and how often
    unknown: Counter[str] = field(default_factory=Counter)  # laws that could not be checked
    compared: int = 0
    before: dict[int, Having] = field(default_factory=dict)

    def run(self, *, at_month_end: Callable[["Simulation"], None] | None = None) -> None:
        """Live all months; whatever differs is in `found`."""
        while self.day < self.months * MONTH_DAYS and not (self.stops and (self.found or self.broken)):
            before = self.day
            self.day += self._next_step()
            self.live_some_days(before)
            if self.day % self.compare_days == 0 or self.day % MONTH_DAYS == 0:
                self.compare()
            if self.day % MONTH_DAYS == 0 and at_month_end:
                at_month_end(self)

    def _next_step(self) -> int:
        """How many days the clock moves: never past a comparison or the end of a month."""
        return min(self.step_days, *(every - self.day % every for every in (self.compare_days, MONTH_DAYS)))

    def live_some_days(self, before: int) -> None:
        """The clock, what people do, what breaks, and all the work of it, since the day `before`."""
        if self.faults:
            self.hurt.update(faults.begin_day(self.world, seed=self.seed, day=before))
        self.world.stack.advance((self.day - before) * DAY)
        if self.faults:
            self.hurt.update(faults.strike(self.world, seed=self.seed, day=before))
        for life in self.lives:
            live_some_days(self.world, life, seed=self.seed, since=before, day=self.day)
        if before % MONTH_DAYS < MONTH_DAYS // 2 <= (self.day - 1) % MONTH_DAYS + 1:
            self._change_catalog()
        self.world.stack.finish_work()

    def _change_catalog(self) -> None:
        dice = chance(self.seed, "catalog", self.day)
        if dice.random() < CATALOGUE_CHANGES_PER_MONTH:
            self.say(f"day {self.day}: {acts_staff.change_catalog(self.world, dice)}")

    def compare(self) -> Comparison:
        """Faults off, sweeps run, the queue empty; then everybody is compared."""
        faults.end(self.world)
        self.world.stack.finish_work(retries=True)
        for seconds in (HOUR, QUARTER_HOUR):  # what is done so often; the second sees what the first has brought
            self.world.stack.advance(seconds)
            self.world.stack.finish_work(retries=True)
        if confirmed := acts_staff.confirm_safeguard():
            self.hurt["safeguard asked"] += confirmed
            self.world.stack.finish_work(retries=True)
        books = read_books(self.world)
        for _ in range(BORDER_TRIES):
            if not find_near_borders(self.world, self.lives, books):
                break
            self.world.stack.advance(240)
            self.world.stack.finish_work(retries=True)
            books = read_books(self.world)
        self.check_laws()
        result = compare(self.world, self.lives, books, self.before)
        self.found += [(self.day, one) for one in result.differences]
        self.rows.update(result.rows)
        self.compared += sum(result.rows.values())
        broken = [words for day, words in self.broken if day == self.day]
        shown = " ".join(f"{row}:{count}" for row, count in result.rows.items() if count)
        self.say(
            f"day {self.day}: {sum(result.rows.values())} lives compared (row:lives {shown}), {len(result.differences)} differ, {len(broken)} violations of laws"
        )
        for lines in (broken, *(describe(self, self.day, one) for one in result.differences)):
            if lines:
                self.say("\n".join(lines))
        return result

    def check_laws(self) -> None:
        """All laws; what breaks one counts like a difference, and one that cannot be checked is named."""
        from apps.core import laws

        for one in laws.run():
            if one.state == laws.LawState.UNKNOWN:
                self.unknown[one.law.number] += 1
            for each in one.checked.violations if one.state == laws.LawState.VIOLATED else ():
                words = f"{one.law.number} {one.law.title}: {each.subject_kind} {each.subject_id}, {each.words}"
                self.broken.append((self.day, words))


def report(simulation: Simulation, *, seconds: float, as_json: bool) -> str:
    """What was found: the figures, and each difference with the life that led to it."""
    lives = {life.number: life for life in simulation.lives}
    acts = sum(len(life.story) for life in simulation.lives)
    figures = {
        "seed": simulation.seed, "subscribers": len(simulation.lives), "months": simulation.months, "faults": simulation.faults,
        "acts": acts, "hurt": dict(simulation.hurt), "compared": simulation.compared, "rows": dict(simulation.rows),
        "differences": len(simulation.found), "violations": len(simulation.broken),
        "laws not checked": dict(simulation.unknown), "jobs for staff": acts_staff.count_failed_jobs(), "seconds": round(seconds),
    }  # fmt: skip
    if as_json:
        found = [
            {
                "day": day,
                "row": one.row,
                "life": lives[one.life].name,
                "differs": one.sentences,
                "story": lives[one.life].lines(),
            }
            for day, one in simulation.found
        ]
        return json.dumps(figures | {"found": found, "laws": simulation.broken}, indent=2)
    lines = [", ".join(f"{name} {value}" for name, value in figures.items())]
    lines += [f"day {day}: {words}" for day, words in simulation.broken]
    for day, one in simulation.found:
        lines += ["", *describe(simulation, day, one)]
    return "\n".join(lines)


def describe(simulation: Simulation, day: int, one: Difference) -> list[str]:
    """A difference, and the life that led to it, in lines."""
    life = next(each for each in simulation.lives if each.number == one.life)
    lines = [f"{life.name}, day {day}, row {one.row} of the policy (seed {simulation.seed}):"]
    return lines + [f"  {sentence}" for sentence in one.sentences] + [f"    {line}" for line in life.lines()]
