"""The tests of the specification's rows, by its chapters; tests/test_specification.py puts them together and counts them."""
