"""How the spans of other processes get into a test: variables, forks, children, and the endpoint they send to."""
