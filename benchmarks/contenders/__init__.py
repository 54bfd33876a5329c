"""The ways to send that are compared, each run as a program of its own by `benchmarks.workers`."""
