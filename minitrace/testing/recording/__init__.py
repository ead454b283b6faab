"""`pytest --minitrace`: a session of tests as a run, with a trace for each test."""
