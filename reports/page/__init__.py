"""The report as one HTML page: tables, figures, sentences."""
