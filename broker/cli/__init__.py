"""`python -m broker`: the broker's command line."""
