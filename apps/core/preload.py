"""Imports done once, before processes are forked: they start at once and share the memory."""

import gc

from django.urls import get_resolver


def preload() -> None:
    """Load what every process would load by itself. Frozen, for the garbage collector's marks would copy each page."""
    _ = get_resolver().reverse_dict  # all views
    gc.collect()
    gc.freeze()
