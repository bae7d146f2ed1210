"""What support is asked, the way to each answer from the console's first page, and what has to be read there.

A way is a list of clicks: `menu` opens an entry of the menu, `page` one of the pages above a list, `view` one of a list's saved views,
`tab` one of a subscriber's tabs, `tile` and `line` a number of the first page, `link` any link. `find` types into the search that
Ctrl+K opens, and Enter on what it found counts as a click. `fill` only types.
"""

from dataclasses import dataclass

import pytest

MOST_CLICKS = 4
CLICKS = "clicks"  # the property of a test's report
HEAD, NEXT, ROWS = ".fd-card-head", ".fd-person", "#result_list tbody tr"


@dataclass(frozen=True)
class Question:
    """`where`: the part of the page that has all of `says`; of several the first that has the first of them. `role`: who is asked.

    `by_a_worker`: a job finds the answer out, which the page waits for.
    """

    asked: str
    way: str
    where: str
    says: tuple[str, ...]
    role: str = "support"
    by_a_worker: bool = False

    @property
    def steps(self) -> list[tuple[str, str]]:
        """What is done, and to what."""
        pairs = [step.partition(" ") for step in self.way.split(" > ") if step]
        return [(kind, name) for kind, _, name in pairs]


QUESTIONS = (
    # About one person
    Question("Why has Dana no access, and what happens next?", "find dana", NEXT,
             ("Your subscription isn't paid, so your apps are paused.", "What happens next", "Next payment attempt")),
    Question("When is her next payment attempt?", "find dana", HEAD, ("{attempt}", "Next payment attempt (attempt ")),
    Question("Did our last email reach her?", "find dana > tab Emails", "#panel-mails tbody tr:first-child", ("Payment failed", "Delivered")),
    Question("What did a colleague write down about her?", "find dana > link 1 by staff", "#panel-notes tbody tr", ("Called: her bank sends a new card on Friday.", "sam")),
    Question("Which card does she pay with?", "find dana > tab Billing", "#panel-billing", ("Card", "Visa ending in 4242, expires 12/2034")),
    Question("What did she pay in total, and what does she owe?", "find dana > tab Billing", "#panel-billing", ("Paid in total", "€5", "Owed", "next on")),
    Question("What did we ever do to her?", "find dana > link What staff did", ".fd-timeline", ("Note written", "by sam", "Approval requested", "She is in hospital until spring")),
    Question("Was Rosa refunded?", "find rosa", HEAD, ("Partly refunded", "returned: €2")),
    Question("Who extended Fay's grace period, and why?", "find fay > tab Overrides", "#panel-overrides tbody tr",
             ("No suspension while a payment is late", "sam", "Waits for a new card from her bank")),
    Question("Until when is Hugo's data kept?", "find hugo", HEAD, ("Final expiry, seat released", "You can come back until")),
    Question("Is Dana's account in Keycloak disabled, and is that what we want?", "find dana > link Compare with Stripe and Keycloak now", "#three-way",
             ("All three agree.", "The account should be disabled.", "The account is disabled")),
    Question("Which instance is Erik on, and who else?", "find erik > tab Seats > link nextcloud- > link Users on this instance", "#result_list", ("erik", "nextcloud-")),
    Question("Who has the customer {customer} at Stripe?", "find {customer}", HEAD, ("dana", "Dana Winter")),
    Question("Who wrote to us from lena@example.com, which no account has?", "find lena@example.com", HEAD, ("lena@new.example", "Lena Kowalska")),
    Question("A Mrs. Kowal-something calls: who is she?", "find kowal", HEAD, ("Lena Kowalska",)),
    Question("What does Nina pay, and until when?", "find nina > tab Billing", "#panel-billing", ("Personal for €50 / year", "none: it ends on")),
    # About the house
    Question("Who is hurt by what is broken now?", "link Who is affected, and what to do", ".fd-problem", ("Affects zoe",)),
    Question("How long until Nextcloud is full?", "", ".fd-product", ("Nextcloud", "6 free", "full about")),
    Question("Who waits longest for what they paid for?", "", "#today-people", ("Longest wait: jan",)),
    Question("Who has a grant that ends this week?", "menu Subscribers > page Overrides > view Ends within 7 days", ROWS, ("greta", "Grant", "Wrote our handbook")),
    Question("Whose payments are disputed?", "menu Payments > page Disputes", ROWS, ("erik", "€50")),
    Question("Who owes us money, and how much?", "tile Money at risk", "#result_list", ("dana", "fay", "otto", "€5")),
    Question("Whose trial ends this week?", "tile Trials ending", ROWS, ("iris", "Trial ends")),
    Question("Which events failed today?", "menu Inbox > page Events > view Failed", ROWS, ("customer.updated", "Failed", "zoe", "{today}")),
    Question("Is Stripe's webhook alive?", "", ".fd-facts", ("Last event by Stripe's webhook", "{event}")),
    Question("When did the nightly run end, and do the workers live?", "menu Inbox > page Schedules and workers", ".fd-page",
             ("Alive", "Nightly sync of everyone", "{today}")),
    Question("Is anything held back by incident mode?", "link 1 held back", ROWS, ("mona", "Canceled")),
    Question("Has anybody asked to be erased?", "menu Subscribers > page Privacy requests", ROWS, ("lea", "Erasure")),
    Question("Where was something changed by hand in Keycloak?", "line Differs in Keycloak", ROWS, ("kim",)),
    Question("Whom do our emails not reach?", "link Who is affected, and what to do", ".fd-problem", ("Affects rosa", "bounce")),
    Question("What did staff change yesterday?", "menu Audit log > view Changed by staff", "#result_list",
             ("Override added", "oskar", "ada", "Spam was sent from this account", "{yesterday}")),
    Question("Who may refund?", "menu Staff > page Roles", ".fd-table tbody tr", ("Refund payments", "Yes")),
    Question("Which requests wait for a second person?", "menu Inbox > page Approvals", ROWS, ("dana", "sam"), "operator"),
    Question("What would be lost if the grace period were 3 days?",
             "menu Terms > link Add > fill Grace days=3 > fill Reason=What would it do, three days > button Save", "#preview-progress",
             ("This changes something for 1 person", "Lose access", "otto"), "admin", by_a_worker=True),
)  # fmt: skip


def print_clicks(terminalreporter: pytest.TerminalReporter) -> None:
    """At the end of a run: each question that was answered, and after how many clicks."""
    reports = [one for kind in ("passed", "failed") for one in terminalreporter.stats.get(kind, [])]
    told = [value for report in reports for name, value in getattr(report, "user_properties", ()) if name == CLICKS]
    for line in dict.fromkeys(told):
        terminalreporter.write_line(f"support: {line}")
