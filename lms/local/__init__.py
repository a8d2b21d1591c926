"""Models on this machine: engine, batching, constrained decoding, KV cache."""
