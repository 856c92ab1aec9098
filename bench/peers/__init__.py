"""Other queues, driven by as many clients and workers as the broker, so that the comparison is fair."""
