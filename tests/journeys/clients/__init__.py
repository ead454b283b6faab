"""Programs that make one and the same trace with whatever people send traces with, and the table of how they fare.

    checkout   SERVER
    └── charge   CLIENT, with an attribute of each type
        └── authorize   an event, an error; of another service where B3 headers go between services

A program prints the trace's id and ends when it has sent everything; variables and arguments tell it where to.
"""
