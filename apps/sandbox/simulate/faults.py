"""What goes wrong on a day: events lost, doubled, late or in disorder, peers down or slow, workers killed, Postgres cut off."""

from apps.sandbox.simulate.lives import chance
from apps.sandbox.simulate.world import SimulatedWorld

POST = ("deliver", "deliver", "duplicate", "shuffle", "drop", "hold")
PEERS = {
    "stripe": ("down", "http_500", "http_503", "http_429", "slow", "lost_answer", "500_after_commit", "stored_500"),
    "keycloak": ("down", "http_500", "http_503", "slow", "lost_answer", "500_after_commit", "lost_update"),
    "mailgun": ("down", "http_500", "slow", "accept_then_lose"),
}
PATHS = {"stripe": "/stripe/v1/", "keycloak": "/admin/realms/"}  # the control switches and Checkout's pages always work
KILLED_PER_DAY, CUTS_PER_DAY, PEERS_PER_DAY = 0.35, 0.04, 0.5


def begin_day(world: SimulatedWorld, *, seed: int, day: int) -> list[str]:
    """Switch today's faults on; their names."""
    dice = chance(seed, "faults", day)
    post = dice.choice(POST)
    world.stack.control("webhooks", mode=post)
    found = [] if post == "deliver" else [f"events {post}"]
    for peer, modes in PEERS.items():
        world.stack.control("faults", peer=peer, mode="ok")
        if dice.random() < PEERS_PER_DAY / len(PEERS):
            options = {"times": dice.randint(1, 12), "every": dice.randint(1, 3), "delay_ms": 0}
            mode = dice.choice(modes)
            if mode == "slow":
                options["delay_ms"] = dice.choice([300, 1500])
            world.stack.control("faults", peer=peer, mode=mode, path=PATHS.get(peer, ""), **options)
            found.append(f"{peer} {mode}")
    return found


def strike(world: SimulatedWorld, *, seed: int, day: int) -> list[str]:
    """While the day's work is done: kill a worker, or cut Postgres off for a second; what was done."""
    dice, found = chance(seed, "strikes", day), []
    if dice.random() < KILLED_PER_DAY and world.stack.kill_worker(dice.choice):
        found.append("worker killed")
    if dice.random() < CUTS_PER_DAY:
        world.stack.cut_postgres(dice.uniform(0.2, 1.5))
        found.append("Postgres cut off")
    return found


def end(world: SimulatedWorld) -> None:
    """Everything answers again, and what was held back is delivered."""
    for peer in PEERS:
        world.stack.control("faults", peer=peer, mode="ok")
    world.stack.control("webhooks", mode="deliver")
