"""dj-stripe's migrations as one file; MIGRATION_MODULES points here."""
