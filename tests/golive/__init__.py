"""A house goes live by what the manual says, and by nothing else."""
