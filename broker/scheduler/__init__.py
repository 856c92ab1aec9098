"""What a calendar may do: prune, rotate, back up. The only place that knows apscheduler."""
