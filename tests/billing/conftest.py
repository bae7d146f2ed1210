"""The fixtures of the whole world."""

from tests.world import empty_world, world, world_process

__all__ = ["empty_world", "world", "world_process"]
