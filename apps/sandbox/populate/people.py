"""Who lives in a populated demo: sixty people, when each came, what happened since, and whom to look at first.

Each moment is (months, days) before today: who came (3, 6) ago and pays by the month has renewed six days ago.
"""

import datetime as dt
from collections.abc import Sequence
from dataclasses import dataclass

from apps.sandbox.populate import acts, house
from apps.sandbox.populate.acts import Act, Resident
from apps.sandbox.simulate.lives import Life, chance

type Ago = tuple[int, float]

ORDINARY = (
    "Aino Virtanen", "Alba Serrano", "Anton Weber", "Bea Novak", "Carlo Ricci", "Clara Dubois", "Daan Visser", "Elif Kaya",
    "Emil Larsen", "Eva Horvat", "Felix Braun", "Greta Lind", "Hanna Nowak", "Hugo Martin", "Ilse Peeters", "Ivan Petrov",
    "Jana Svoboda", "Jonas Huber", "Kai Schmidt", "Lea Fontaine", "Luca Moretti", "Marek Zielinski", "Mia Jensen",
    "Nils Bauer", "Olga Popescu", "Pedro Alves",
)  # fmt: skip
YEARLY, PLUS, STORAGE, SAFE, DEBIT, COUPON = 4, 3, 4, 6, 9, 8  # each so many-th of them


@dataclass(frozen=True)
class Person:
    """`story`: what happened when, after `first`. `look`: the line for a newcomer; {} stands for the page."""

    name: str
    came: Ago
    story: Sequence[tuple[Ago, Act]] = ()
    basket: str = "personal"
    interval: str = "month"
    first: Act = acts.sign_up
    look: str = ""

    def resident(self, number: int) -> Resident:
        """As the acts need to have it; nothing has happened yet."""
        basket = {name: int(count or 1) for name, _, count in (one.partition(":") for one in self.basket.split())}
        made = Resident(self.name, basket, self.interval, Life(number, "", 0))
        made.life.name = made.username
        return made

    def plan(self, number: int, now: dt.datetime) -> list[tuple[dt.datetime, Resident, Act]]:
        """What happens when; each has an hour of the day."""
        who = self.resident(number)
        hour = dt.timedelta(minutes=chance(7, "hour", number).randrange(480)) if self.came > (0, 1) else dt.timedelta()
        return [(before(now - hour, ago), who, act) for ago, act in ((self.came, self.first), *self.story)]


def before(now: dt.datetime, ago: Ago) -> dt.datetime:
    """So many calendar months before the moment so many days before `now`."""
    months, days = ago
    day = now - dt.timedelta(days=days)
    year, month = divmod(day.year * 12 + day.month - 1 - months, 12)
    return day.replace(year=year, month=month + 1, day=min(day.day, 28) if months else day.day)


CAST = (
    Person("Anna Keller", (3, 12), [((0, 20), acts.fail_payments), ((0, 3), acts.note("Called: her bank sends a new card next week."))],
           look="Anna Keller is suspended, her last payment failed twelve days ago: {}"),
    Person("Ben Haas", (5, 2), [((0, 9), acts.fail_payments)],
           look="Ben Haas is in the grace period: {}"),
    Person("Cora Lenz", (4, 6), [((0, 10), acts.fail_payments)], basket="plus",
           look="Cora Lenz is late in it, access ends tomorrow: {}"),
    Person("David Osei", (6, 9), [((0, 15), acts.fail_payments), ((0, 5), acts.extend_grace(7, "Waits for a new card until Friday"))],
           basket="plus photos", look="David Osei was given more time to pay: {}"),
    Person("Erik Sand", (2, 3), [((0, 10), acts.fail_payments), ((0, 1), acts.mend_payments)]),
    Person("Fatima Nasser", (0, 4), [((0, 4), acts.trial(14))], basket="plus", look="Fatima Nasser is on trial: {}"),
    Person("Georg Maier", (0, 9), [((0, 9), acts.trial(14))]),
    Person("Hedda Berg", (0, 13), [((0, 13), acts.trial(14))], look="Hedda Berg's trial ends tomorrow: {}"),
    Person("Ines Costa", (7, 18), [((0, 25), acts.leave)],
           look="Ines Costa has canceled, her data is kept for a while: {}"),
    Person("Jakub Wolf", (4, 25), [((0, 13), acts.leave_now), ((0, 12), acts.keep_seat("Is in hospital, comes back in spring", days=90))]),
    Person("Karin Vogel", (8, 50), [((0, 45), acts.leave_now)], look="Karin Vogel's account has expired: {}"),
    Person("Lars Holm", (10, 20), [((2, 20), acts.leave_now)]),
    Person("Maja Kranjc", (6, 15), [((0, 15), acts.leave_now), ((0, 1), acts.recover)],
           look="Maja Kranjc has confirmed a recovery code and is about to pay: {}"),
    Person("Nora Falk", (5, 22), [((0, 6), acts.hold("Spam was sent from this account; see ticket 4711")),
            ((0, 5), acts.note("Says that her password was stolen. Asked her to choose a new one.")),
            ((0, 2), acts.note("New password is set. Ada ends the hold once the logs are read."))],
           look="Nora Falk is on hold: {}"),
    Person("Oskar Blom", (9, 11), [((0, 40), acts.hold("Asked us to lock it while travelling", days=14))]),
    Person("Paula Stein", (6, 24), [((0, 24), acts.leave_now), ((0, 23), acts.grant("plus", "Wrote our handbook", days=180))],
           look="Paula Stein pays nothing and has access, by a grant: {}"),
    Person("Quentin Roy", (2, 8), [((0, 7), acts.dispute)], look="Quentin Roy disputes a payment: {}"),
    Person("Rosa Lindner", (3, 16), [((0, 15), acts.dispute), ((0, 3), acts.lose_dispute)], basket="plus",
           look="Rosa Lindner's bank took the money back: {}"),
    Person("Samuel Adler", (4, 10), [((1, 15), acts.use_coupon("sorry")), ((0, 8), acts.refund_part(250))], look="Samuel Adler got half a payment back: {}"),
    Person("Tara Quinn", (1, 14), [((0, 10), acts.refund)], look="Tara Quinn got all of it back: {}"),
    Person("Udo Frank", (8, 5), [((0, 4), acts.pause(60))], look="Udo Frank's payments are paused: {}"),
    Person("Vera Simic", (5, 19), [((0, 2), acts.add("photos"))],
           look="Vera Simic paid for Photos and waits for a seat: {}"),
    Person("Wim de Boer", (7, 21), [((2, 0), acts.upgrade), ((0, 12), acts.downgrade)]),
    Person("Xenia Roth", (2, 26), [((0, 5), acts.second_subscription)],
           look="Xenia Roth pays for two subscriptions: {}"),
    Person("Yusuf Demir", (0, 6), look="Yusuf Demir's emails come back: {}"),
    Person("Tom Berger", (0, 2), [((0, 1.99), house.choose_password)], basket="plus",
           look="Tom Berger is logged in on two devices: {}"),
    Person("Zoe Hartmann", (11, 9), basket="plus photos storage_100:4", interval="year"),
    Person("Ada Lorenz", (10, 28), basket="personal photos", interval="year"),
    Person("Bruno Kern", (6, 7), [((6, 6), acts.use_coupon("friends"))], basket="personal photos",
           look="Bruno Kern pays less, by a coupon without an end: {}"),
    Person("Celine Graf", (3, 29), [((3, 28), acts.use_coupon("welcome"))], basket="personal photos"),
    Person("Frida Baumann", (2, 17), [((2, 16), acts.use_coupon("friends")), ((0, 2), acts.invite("oma.baumann@example.org"))], basket="family",
           look="Frida Baumann's Family plan is shared by three people, and a fourth is invited: {}"),
    Person("Otto Baumann", (2, 15), basket="", first=acts.accept_invitation_of("Frida Baumann"),
           look="Otto Baumann pays nothing, Frida pays for him: {}"),
    Person("Mila Baumann", (1, 8), basket="", first=acts.accept_invitation_of("Frida Baumann")),
    Person("Jan Baumann", (2, 10), [((0, 8), acts.leave_shared)], basket="", first=acts.accept_invitation_of("Frida Baumann"),
           look="Jan Baumann has left it, his data is kept for a while: {}"),
    Person("Dirk Sommer", (0, 3), first=acts.open_checkout),
    Person("Elsa Brandt", (0, 0.002), basket="plus", first=acts.open_checkout),
    Person("Finn Oberg", (0, 11), basket="photos", first=acts.join_waitlist),
    Person("Gina Rossi", (0, 7), basket="photos", first=acts.join_waitlist),
    Person("Henk Bakker", (0, 1), basket="photos", first=acts.join_waitlist),
)  # fmt: skip
DRIFTED = ("Aino Virtanen", "Carlo Ricci", "Emil Larsen")  # changed by hand in Keycloak
BOUNCES, SPAM, TWO_DEVICES, IN_OUTAGE = "Yusuf Demir", "Alba Serrano", "Tom Berger", "Georg Maier"


def everybody() -> list[Person]:
    """The cast, and who just pays and has access: they came throughout the year, more and more of them."""
    return [*CAST, *(_ordinary(number, name) for number, name in enumerate(ORDINARY))]


def _ordinary(number: int, name: str) -> Person:
    dice = chance(7, "came", number)
    share = ((number + 1) / len(ORDINARY)) ** 0.7
    months, days = min(11, int((1 - share) * 12)), dice.randrange(3, 28)
    basket = "plus" if number % PLUS == 1 else "personal vaultwarden" if number % SAFE == 3 else "personal"
    if number % STORAGE == 2:
        basket += f" storage_100:{dice.randint(1, 3)}"
    story = [((0, 2.0), acts.use_debit)] if number % DEBIT == 5 else []
    if number % COUPON == 2:
        story.append(((months, days - 1), acts.use_coupon("welcome")))
    return Person(name, (months, days), story, basket, "year" if number % YEARLY == 0 else "month")
