"""The tasks of ./dev and what they stand on."""
