"""A small application for tests with real worker processes: jobs that leave traces, take time, or kill their worker."""
