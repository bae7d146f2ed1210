"""A small application for tests with real worker processes: at a named step of somebody's job, once, the worker is killed."""
