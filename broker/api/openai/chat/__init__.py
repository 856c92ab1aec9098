"""Chat completions: messages in, an answer out, whole or as a stream."""
