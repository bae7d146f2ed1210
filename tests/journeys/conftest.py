"""The running demo that browsers visit, and what they share."""

from tests.journeys.stack import album, customer, keycloak_stack, stack, standin_stack, visit

__all__ = ["album", "customer", "keycloak_stack", "stack", "standin_stack", "visit"]
