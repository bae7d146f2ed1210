"""The customer API for other systems: who is a customer, what they have, and who has changed. It changes nothing.

Plain views, not django-ninja: five GET routes and one document need none of its parsing, and a package that answers by itself
would stand beside our refusals, limits and headers. openapi.json describes every answer; a test keeps it true.
"""
