"""The figures, a module for each part of the program."""
