"""Fixtures of other folders that the cases from the field need as well."""

from tests.console.conftest import staff  # noqa: F401
