"""The command line: one file for each command group; a command loads, calls one function of `api`, and shows."""
