"""`python -m tests.golive`: a fresh machine, the commands of the manual, and a paying customer.

`--import`: then also a thousand who were customers before there was a Frontdesk. Prints each line that it types. Exit code 0:
the customer has access, and who was imported has what they had; the laws hold, and every row of the doctor is green but for
those of which the manual says that they stay. 1: it did not come to that; the end says where and why.
"""

import os
import signal
import sys
import tempfile
import time
from pathlib import Path

from tests import browser
from tests.golive import former, house, machine, peers, people
from tests.golive.machine import Terminal, say
from tests.image import machine as namespaces


def main() -> int:
    """The whole afternoon."""
    began = time.monotonic()
    browser.find_or_install()  # inside there is nothing to get one from
    folder = Path(tempfile.mkdtemp(prefix="frontdesk-golive-"))
    try:
        code = namespaces.enter()
    except namespaces.Impossible as error:
        folder.rmdir()
        say(f"Nothing was tried: {error}")
        return 0 if os.geteuid() else 1
    if code is not None:
        folder.rmdir()  # what lay over it went with its namespace
        return code
    try:
        machine.lay_overlays(folder)
    except namespaces.Impossible as error:
        say(f"Nothing was tried: {error}")
        return 1
    code = 0
    shell = Terminal(machine.leave_internet())
    try:
        wait_for_peers = peers.start(folder)
        house.install_code(shell)
        machine.start_postgres()
        machine.publish_peers(shell)
        machine.trust_authority()
        wait_for_peers()
        say(f"[{time.monotonic() - began:5.1f} s] the peers answer")
        house.sell_at_stripe()
        customers = former.pay_before() if "--import" in sys.argv else []
        first_password = house.set_up(shell)
        house.start(shell)
        say(f"[{time.monotonic() - began:5.1f} s] the house is open")
        with people.browsing() as chromium:
            people.open_shop(chromium, first_password)
            people.become_customer(chromium)
            say(f"[{time.monotonic() - began:5.1f} s] a customer has paid and has access")
            house.back_up(shell)
            house.ask_doctor(shell, mail_to=people.CUSTOMER)
            house.check_laws(shell)
            if customers:
                former.import_all(shell, chromium, customers)
                say(f"[{time.monotonic() - began:5.1f} s] a thousand who were here before are imported")
                house.check_laws(shell)
                house.ask_doctor(shell, mail_to=people.CUSTOMER)
    except (machine.Refused, AssertionError) as error:
        say(f"\nThe house is not open: {error}")
        code = 1
    say(f"\nAll of it took {time.monotonic() - began:.0f} s.")
    if "--hold" in sys.argv:
        say(f"It stays: nsenter --target {os.getpid()} --all, from where this was started. Ctrl-C ends it.")
        signal.pause()
    return code


if __name__ == "__main__":
    sys.exit(main())
