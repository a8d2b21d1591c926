"""Finding, loading, converting and adapting weights."""
