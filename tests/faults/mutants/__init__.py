"""A small application for the simulator's workers: one row of the policy is switched off, as MUTANT_ROW says."""
