"""Programs that the benchmarks compare with, each run as a process of its own."""
