"""`manage.py setup`: asks what an installation needs to know, makes it at Stripe, Keycloak and Mailgun, and writes `.env` and secret files."""
