"""The Batch API of OpenAI and Azure."""
