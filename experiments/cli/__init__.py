"""The command line: a command is options, one call, and what is printed."""
