"""The fixtures of the whole world: the one tests deliver to by hand, and the running demo that browsers visit."""

from tests.journeys.stack import album, customer, keycloak_stack, stack, standin_stack, visit
from tests.world import empty_world, world, world_process

__all__ = [
    "album",
    "customer",
    "empty_world",
    "keycloak_stack",
    "stack",
    "standin_stack",
    "visit",
    "world",
    "world_process",
]
