"""The benchmarks: ratios measured side by side in one run, never timed tests. It speaks to the broker over HTTP only.

One file a figure, `b01_create.py` to `b12_loop_stall.py`; what they share lies beside them, named for what it is.
"""
