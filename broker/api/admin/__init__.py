"""The operators' door: all jobs, workers and logs."""
