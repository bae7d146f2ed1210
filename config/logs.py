"""The log: what is written, and where it is kept."""

from apps.core.logs import logging_settings
from config.environment import boolean, text

LOG_LEVEL = text("LOG_LEVEL", "INFO").upper()
LOG_FILE = text("LOG_FILE", "")  # where what we write to stderr is kept, for the law that nothing secret is in it
LOG_REQUESTS = boolean("LOG_REQUESTS", default=False)  # one line for each answer
LOG_COMMANDS = boolean("LOG_COMMANDS", default=False)  # manage.py reads it before there are settings
LOGGING = logging_settings(LOG_LEVEL)
LOGGING_CONFIG = "apps.core.log_streams.configure"
